"""Random orders, defaults and whole histories for the properties of the core, and how often each property is tried."""

from collections.abc import Callable
from typing import Any

import pytest
from core_world import (
    CORNER,
    DSO,
    FEED,
    MARKET,
    STREET,
    TSO,
    WINDOW_MS,
    Player,
    order,
    site,
    value_of,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.orders import (
    CEILINGS,
    FLOORS,
    SWITCHES,
    Default,
    Each,
    Effect,
    Function,
    Order,
    Release,
)

NORMAL, SOAK = 300, 20_000
SOAKED = [pytest.mark.soak, pytest.mark.timeout(0)]
HORIZON_S = 60
DSO_FUNCTIONS = (*CEILINGS, *FLOORS, *SWITCHES, Function.ACTIVE_POWER)
FUNCTIONS = {DSO: DSO_FUNCTIONS, TSO: (Function.ACTIVE_POWER,), MARKET: (Function.ACTIVE_POWER, Function.CONNECT)}


def explored(**drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Turn a check into a test over random values: some in every run, many under the mark `soak`."""

    def decorate(check: Callable[..., None]) -> Any:
        @pytest.mark.parametrize("examples", [NORMAL, pytest.param(SOAK, marks=SOAKED)])
        def test(examples: int) -> None:
            tried = settings(
                max_examples=examples,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            )
            tried(given(**drawn)(check))()

        test.__doc__ = check.__doc__
        return test

    return decorate


def values(function: Function) -> st.SearchStrategy[int]:
    """Values that meet, cross and change sides of zero often enough to matter."""
    if function in SWITCHES:
        return st.integers(0, 1)
    if function in CEILINGS:
        return st.sampled_from([-300, 0, 200, 900, 1_500, 2_500, 4_999, 9_500])
    if function in FLOORS:
        return st.sampled_from([-5_000, -900, -300, 0, 400])
    return st.sampled_from([-9_000, -700, 0, 100, 1_700, 6_000])


def effect_of(function: Function) -> st.SearchStrategy[Effect]:
    return values(function).map(lambda value: value_of(function, value))


@st.composite
def effects(draw: st.DrawFn, issuer: str, *, releases: bool = True) -> tuple[Effect, ...]:
    """One to three effects of different functions that the issuer may send."""
    functions = draw(st.lists(st.sampled_from(FUNCTIONS[issuer]), min_size=1, max_size=3, unique=True))
    made = []
    for function in functions:
        released = releases and issuer == DSO and draw(st.integers(0, 9)) == 0
        made.append(Release(function) if released else draw(effect_of(function)))
    return tuple(made)


@st.composite
def orders(draw: st.DrawFn, name: str, *, releases: bool = True, endless: bool = True) -> Order:
    """An order that its issuer is granted, starting within the horizon."""
    issuer = draw(st.sampled_from([DSO, DSO, DSO, TSO, MARKET]))
    start_s = draw(st.integers(1, HORIZON_S - 10))
    lasts_s = draw(st.none() | st.integers(1, HORIZON_S)) if endless else draw(st.integers(1, HORIZON_S))
    return order(
        name,
        draw(effects(issuer, releases=releases)),
        start_s,
        None if lasts_s is None else start_s + lasts_s,
        issuer=issuer,
        precedence=draw(st.integers(0, 2)),
        created_s=draw(st.integers(0, 2)),
        scope=Each(CORNER) if issuer == MARKET else Each(STREET),
    )


@st.composite
def order_sets(draw: st.DrawFn, *, most: int = 8, releases: bool = True, endless: bool = True) -> list[Order]:
    """Orders of different names."""
    names = [f"o{index}" for index in range(draw(st.integers(1, most)))]
    return [draw(orders(name, releases=releases, endless=endless)) for name in names]


@st.composite
def defaults(draw: st.DrawFn) -> Default:
    """A default of one of two programs of an issuer."""
    issuer = draw(st.sampled_from([DSO, DSO, TSO, MARKET]))
    said = draw(st.just(()) | effects(issuer, releases=False))
    return Default(issuer, draw(st.sampled_from(["p1", "p2"])), STREET, draw(st.integers(1, 2)), said)
