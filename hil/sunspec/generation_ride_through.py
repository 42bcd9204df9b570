"""Simulated inverter with trip curves too: models 707 to 710 of IEEE 1547-2018, clause 6, and curves that revert."""

from dataclasses import replace
from itertools import pairwise
from typing import Final, Literal

from hil.physics.protection import CATEGORY_III, Trip
from hil.sunspec.generation_autonomous import COMPLETED, FAILED, GenerationAutonomous
from hil.sunspec.personality import InverterSpec, Reversion, Settings
from hil.sunspec.register_image import Image, Value

_SLOTS: Final = 3
_POINTS: Final = 5
_GROUPS: Final = ("MustTrip", "MayTrip", "MomCess")
_AXIS: Final[dict[int, Literal["V", "Hz"]]] = {707: "V", 708: "V", 709: "Hz", 710: "Hz"}
_SIDE: Final[dict[int, Literal["below", "above"]]] = {707: "below", 708: "above", 709: "below", 710: "above"}
_DEFAULTS: Final = {
    model: tuple(
        sorted((trip.after_s, trip.at) for trip in CATEGORY_III if (trip.quantity, trip.side) == (axis, _SIDE[model]))
    )
    for model, axis in _AXIS.items()
}
_REVERTING: Final = {705: "Crv", 706: "Crv", 711: "Ctl", 712: "Crv"}
"""Models whose curve or control has a reversion timer here, and what it is called."""


class GenerationRideThrough(GenerationAutonomous):
    """Three slots of five points in each of models 707 to 710; by the must-trip points of the first it trips.

    The curves to trip by at will and to cease by are taken and shown. Our reading of a must-trip curve: it is steps, so
    that a device trips when it is beyond a point for that point's time; where a model is off it does not trip on that
    side. Our reading of RvrtCrv: when the timer of a curve model expires, the device adopts the slot named there, as if
    it had been asked to.
    """

    models: tuple[int, ...] = (*GenerationAutonomous.models, *_AXIS)
    reversions: tuple[Reversion, ...] = (
        *GenerationAutonomous.reversions,
        *(
            Reversion(
                armed_by=(f"{model}.Ena", 1),
                period_s=f"{model}.RvrtTms",
                restarted_by=frozenset((f"{model}.Ena", f"{model}.RvrtTms")),
                takes=((f"{model}.Adpt{name}Req", f"{model}.Rvrt{name}"),),
                remaining_s=f"{model}.RvrtRem",
            )
            for model, name in _REVERTING.items()
        ),
    )
    locked: frozenset[str] = GenerationAutonomous.locked | frozenset(
        f"{model}.Crv.1.{group}.{field}"
        for model, axis in _AXIS.items()
        for group in _GROUPS
        for field in ("ActPt", *(f"Pt.{n}.{each}" for n in range(1, _POINTS + 1) for each in (axis, "Tms")))
    )

    def scale_factors(self, spec: InverterSpec) -> tuple[tuple[str, int], ...]:
        return (
            *super().scale_factors(spec),
            *((f"{model}.NPt", _POINTS) for model in _AXIS),
            *((f"{model}.NCrvSet", _SLOTS) for model in _AXIS),
            *((f"{model}.Tms_SF", -2) for model in _AXIS),
            *((f"{model}.{axis}_SF", -2) for model, axis in _AXIS.items()),
        )

    def at_start(self, spec: InverterSpec) -> dict[str, Value]:
        values = super().at_start(spec) | {"1.Md": "Sim-1547-Trips"}
        for model, name in _REVERTING.items():
            values |= {f"{model}.RvrtTms": 0, f"{model}.RvrtRem": 0, f"{model}.Rvrt{name}": 2}
        for model, axis in _AXIS.items():
            values |= {f"{model}.Ena": 1, f"{model}.AdptCrvReq": 2, f"{model}.AdptCrvRslt": COMPLETED}
            for slot in range(1, _SLOTS + 1):
                values[f"{model}.Crv.{slot}.ReadOnly"] = int(slot == 1)
                for group in _GROUPS:
                    values |= _group(model, axis, slot, group)
        return values

    def settings(self, image: Image) -> Settings:
        return replace(
            super().settings(image), trips=tuple(trip for model in _AXIS for trip in _must_trip(image, model))
        )

    def adopted(self, image: Image, written: frozenset[str]) -> dict[str, Value]:
        taken = super().adopted(image, written)
        for model in _AXIS:
            if f"{model}.AdptCrvReq" in written:
                taken |= _taken(image, model, round(image.number(f"{model}.AdptCrvReq")))
        return taken


def _must_trip(image: Image, model: int) -> list[Trip]:
    """Give what a model trips by, the longest time first, without the points that another makes idle."""
    if image.value(f"{model}.Ena") != 1:
        return []
    axis, side, prefix = _AXIS[model], _SIDE[model], f"{model}.Crv.1.MustTrip"
    points = {
        (image.number(f"{prefix}.Pt.{number}.Tms"), image.number(f"{prefix}.Pt.{number}.{axis}"))
        for number in range(1, round(image.number(f"{prefix}.ActPt")) + 1)
    }
    inward = 1 if side == "below" else -1
    told = [
        (after_s, at)
        for after_s, at in points
        if not any(
            other_s <= after_s and inward * other >= inward * at and (other_s, other) != (after_s, at)
            for other_s, other in points
        )
    ]
    return [Trip(axis, side, at, after_s) for after_s, at in sorted(told, reverse=True)]


def _group(model: int, axis: str, slot: int, group: str) -> dict[str, Value]:
    prefix, default = f"{model}.Crv.{slot}.{group}", _DEFAULTS[model]
    values: dict[str, Value] = {f"{prefix}.ActPt": len(default)}
    for number in range(1, _POINTS + 1):
        seconds, at = default[min(number, len(default)) - 1]
        values |= {f"{prefix}.Pt.{number}.Tms": seconds, f"{prefix}.Pt.{number}.{axis}": at}
    return values


def _taken(image: Image, model: int, slot: int) -> dict[str, Value]:
    """Adopt a slot whose times do not run backwards; else fail and change nothing."""
    result = f"{model}.AdptCrvRslt"
    if not 2 <= slot <= _SLOTS:
        return {result: FAILED}
    for group in _GROUPS:
        count = round(image.number(f"{model}.Crv.{slot}.{group}.ActPt"))
        times = [image.number(f"{model}.Crv.{slot}.{group}.Pt.{n}.Tms") for n in range(1, count + 1)]
        if not 1 <= count <= _POINTS or any(before > after for before, after in pairwise(times)):
            return {result: FAILED}
    shown = {
        name: image.value(name.replace(".1.", f".{slot}.", 1))
        for name in GenerationRideThrough.locked
        if name.startswith(f"{model}.")
    }
    return shown | {result: COMPLETED}
