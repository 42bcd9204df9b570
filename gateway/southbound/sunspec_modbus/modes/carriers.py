"""Which registers of a device carry a mode, and what it lacks for those that it cannot carry.

A device that has any of models 704 to 712 is told by them alone: the legacy models beside them show the same functions.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.core.functions import Function
from gateway.core.modes import Curve, CurveKind, Droop, FixedVar, Mode, PowerFactor, RideThrough, TargetVar
from gateway.southbound.sunspec_modbus.modes import curves, legacy_curves, reactive
from gateway.southbound.sunspec_modbus.modes.adoption import Adopting
from gateway.southbound.sunspec_modbus.modes.effort import Carrier
from gateway.southbound.sunspec_modbus.modes.legacy_curves import Selecting
from gateway.southbound.sunspec_modbus.modes.reactive import Direct, Registers
from gateway.southbound.sunspec_modbus.modes.wanted import Shape, Trips, Wanted
from gateway.southbound.sunspec_modbus.points import part
from gateway.southbound.sunspec_modbus.profiles import Habits
from gateway.wire.sunspec import Chain, compile_model

MODERN: Final = range(704, 713)
DIRECT: Final = (reactive.FIXED_VAR, reactive.PF_INJECTING, reactive.PF_ABSORBING)
DIRECT_LEGACY: Final = (reactive.FIXED_VAR_LEGACY, reactive.PF_LEGACY)
KINDS: Final[Mapping[CurveKind, tuple[int, ...]]] = {
    CurveKind.VOLT_VAR: (705, 126),
    CurveKind.VOLT_WATT: (706, 132),
    CurveKind.WATT_VAR: (712,),
    CurveKind.WATT_PF: (131,),
    CurveKind.FREQ_WATT: (134,),
    **{kind: (slots.model,) for slots in curves.TRIPS for kind in slots.kinds or {}},
}
"""The models that carry each kind of curve; ride-through adds its legacy ones."""
TRIPS_LEGACY: Final = {array.kind: array.model for array in legacy_curves.TRIPS}

Way = tuple[Carrier, Wanted]


def carriers(chain: Chain, habits: Habits) -> tuple[Carrier, ...]:
    """Give what a device has to carry modes by; each model once."""
    modern = any(block.id in MODERN for block in chain.models)
    found: list[Carrier] = []
    for place in DIRECT if modern else DIRECT_LEGACY:
        read = part(chain, place.model, _with_scales(place))
        if read is not None:
            found.append(Registers(place, read, habits))
    if modern:
        found += [Adopting(slots, chain.of(slots.model)[0], habits) for slots in curves.ALL if chain.of(slots.model)]
    else:
        found += [
            Selecting(array, chain.of(array.model)[0], habits) for array in legacy_curves.ALL if chain.of(array.model)
        ]
    return tuple(found)


def _with_scales(place: Direct) -> tuple[str, ...]:
    model = compile_model(place.model)
    scales = (model.points[name].scale_factor for name in place.names)
    return (*place.names, *dict.fromkeys(scale for scale in scales if isinstance(scale, str)))


def ways(mode: Mode, has: Sequence[Carrier]) -> tuple[Way, ...] | str:
    """Give what carries a mode, and what each is to be told; or why nothing does."""
    by_key = {carrier.key: carrier for carrier in has}
    match mode:
        case FixedVar() | TargetVar():
            return _of(by_key, ("fixed var (704)", "fixed var (123)"), mode, "fixed var: no model 704 or 123")
        case PowerFactor():
            return _power_factor(mode, by_key)
        case Droop():
            return _of(by_key, ("frequency droop (711)",), mode, "frequency droop: no model 711")
        case Curve():
            models = KINDS.get(mode.kind, ())
            keys = tuple(f"{mode.kind.value} ({model})" for model in models)
            lacks = f"{mode.kind.value}: no model {' or '.join(map(str, models))}"
            return _of(by_key, keys, _shape(mode), lacks)
        case RideThrough():
            return _ride_through(mode, has)


def _of(by_key: Mapping[str, Carrier], keys: Sequence[str], wanted: Wanted, lacks: str) -> tuple[Way, ...] | str:
    found = next((by_key[key] for key in keys if key in by_key), None)
    return lacks if found is None else ((found, wanted),)


def _shape(curve: Curve) -> Shape:
    points = tuple((point.x, point.y) for point in curve.points)
    return Shape(points, curve.base, curve.response_ms, curve.reference_hundredths, curve.reference_auto_ms)


def _power_factor(mode: PowerFactor, by_key: Mapping[str, Carrier]) -> tuple[Way, ...] | str:
    legacy = by_key.get("power factor (123)")
    if legacy is not None:
        return ((legacy, mode),)
    told: list[Way] = []
    for direction, value in (("injecting", mode.injecting), ("absorbing", mode.absorbing)):
        key = f"power factor while {direction} (704)"
        if value is not None and key not in by_key:
            return "power factor: no model 704 or 123"
        if value is not None:
            told.append((by_key[key], mode))
    return tuple(told) or "power factor: the order gives none"


def _ride_through(mode: RideThrough, has: Sequence[Carrier]) -> tuple[Way, ...] | str:
    by_key = {carrier.key: carrier for carrier in has}
    told: dict[str, dict[CurveKind, Sequence[tuple[int, int]]]] = {}
    for curve in mode.curves:
        slots = next((each for each in curves.TRIPS if curve.kind in (each.kinds or {})), None)
        keys = [f"{slots.what} ({slots.model})"] if slots is not None else []
        if curve.kind in TRIPS_LEGACY:
            keys.append(f"{curve.kind.value} ({TRIPS_LEGACY[curve.kind]})")
        key = next((each for each in keys if each in by_key), None)
        if key is None:
            models = [*KINDS.get(curve.kind, ()), *([TRIPS_LEGACY[curve.kind]] if curve.kind in TRIPS_LEGACY else [])]
            return f"{curve.kind.value}: no model {' or '.join(map(str, models)) or 'has it'}"
        told.setdefault(key, {})[curve.kind] = [(point.x, point.y) for point in curve.points]
    return tuple((by_key[key], Trips(kinds)) for key, kinds in told.items()) or "ride-through: the order gives no curve"


def rivals(function: Function, told: Sequence[Way], has: Sequence[Carrier], mode: Mode) -> tuple[Carrier, ...]:
    """Give what else of the device moves the same quantity, and so has to be off beside a mode (C5).

    A power factor of a direction that the order leaves as it is no rival, nor is one trip curve another's.
    """
    if function is Function.RIDE_THROUGH:
        return ()
    keys = {carrier.key for carrier, _ in told}
    others = [carrier for carrier in has if carrier.function == function and carrier.key not in keys]
    if isinstance(mode, PowerFactor):
        others = [carrier for carrier in others if not carrier.key.startswith("power factor")]
    return tuple(others)
