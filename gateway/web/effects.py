"""Effects in the bodies of the local API: a control function and what it is to be.

Powers are signed as everywhere here: positive is generation, so that an import limit of 3 kW is -3000 W.
"""

from typing import Final

from gateway.core.functions import CEILINGS, FLOORS, SWITCHES, Function
from gateway.core.modes import Mode, fault
from gateway.core.orders import Ceiling, Connect, Effect, Energize, Floor, Price, Release, Target
from gateway.core.units import HUNDREDTHS_OF_PERCENT, Share, Watts
from gateway.web.body import BadBodyError, Body, Money, Percent, Power, milli
from gateway.web.modes import (
    KEYS,
    CurveBody,
    DroopBody,
    FixedVarBody,
    ModeBody,
    PowerFactorsBody,
    Var,
    mode,
)

_VALUES: Final = ("w", "percent", "on", "per_mwh", "var", "fixed_var", "power_factor", "curve", "curves", "droop")


class EffectBody(Body):
    """One effect: a control function and exactly one value."""

    function: Function
    w: Power | None = None
    percent: Percent | None = None
    on: bool | None = None
    per_mwh: Money | None = None
    var: Var | None = None
    fixed_var: FixedVarBody | None = None
    power_factor: PowerFactorsBody | None = None
    curve: CurveBody | None = None
    curves: tuple[CurveBody, ...] | None = None
    droop: DroopBody | None = None
    release: bool = False


def effects(given: tuple[EffectBody, ...]) -> tuple[Effect, ...]:
    """Give the core's effects; raise BadBodyError where one is not what its function takes."""
    if not given:
        raise BadBodyError("effects: there is none; give at least one")
    functions = [one.function for one in given]
    twice = next((one for one in functions if functions.count(one) > 1), None)
    if twice is not None:
        raise BadBodyError(f"effects: {twice} stands there twice; give one value for it")
    return tuple(_effect(one) for one in given)


def _effect(given: EffectBody) -> Effect:
    function = given.function
    name = _stated_by(given)
    if given.release:
        return Release(function)
    if function in KEYS:
        return _mode(function, getattr(given, name))
    if function in SWITCHES:
        return Connect(bool(given.on)) if function is Function.CONNECT else Energize(bool(given.on))
    if given.per_mwh is not None:
        return Price(milli(given.per_mwh))
    percent = given.percent or 0.0
    _signed_rightly(function, *(("w", given.w) if given.w is not None else ("percent", percent)))
    power = Watts(given.w) if given.w is not None else Share(round(percent * HUNDREDTHS_OF_PERCENT / 100))
    if function in CEILINGS:
        return Ceiling(function, power)
    return Floor(function, power) if function in FLOORS else Target(power)


def _stated_by(given: EffectBody) -> str:
    """Name the one value of an effect; raise BadBodyError where there is none, another or more than one."""
    function = given.function
    stated = [name for name in _VALUES if getattr(given, name) is not None] + (["release"] if given.release else [])
    wanted = KEYS.get(function, ("w", "percent"))
    if function in SWITCHES or function is Function.PRICE:
        wanted = ("per_mwh",) if function is Function.PRICE else ("on",)
    if len(stated) != 1 or stated[0] not in (*wanted, "release"):
        raise BadBodyError(f"effects: give {function} exactly one of {', '.join((*wanted, 'release'))}")
    return stated[0]


def _mode(function: Function, given: int | ModeBody | tuple[CurveBody, ...]) -> Mode:
    made = mode(given)
    if made.function is not function and isinstance(given, CurveBody):
        raise BadBodyError(f"effects: {given.kind} is no curve of {function}; state it as {made.function}")
    why = fault(made)
    if why:
        raise BadBodyError(f"effects: {why}")
    return made


def _signed_rightly(function: Function, name: str, value: float) -> None:
    """Raise BadBodyError for a limit on the other side of zero: it would be an order to run the other way (C2)."""
    if function in FLOORS and value > 0:
        what = "import" if function is Function.IMPORT_LIMIT else "load"
        raise BadBodyError(f"effects: {function} takes {name} of 0 or less ({what} is negative): write {-value:.15g}")
    if function in CEILINGS and value < 0:
        raise BadBodyError(
            f"effects: {function} takes {name} of 0 or more (generation is positive): write {-value:.15g}"
        )
