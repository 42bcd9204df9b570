"""What a DER may draw: floors commanded, shared, held in silence, proven, and told where none is (C2, C14, C15, E)."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from core_world import DSO, STREET, Player, adopt_all, export, order, site, target, told
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.answers import Kind
from gateway.core.events import Adopted, DefaultHeard, LinkDown, LinkUp, MeterRead, Observed, Topic
from gateway.core.functions import Function
from gateway.core.known import Known, Unknown
from gateway.core.orders import Default, Floor, OrderKey
from gateway.core.plan import Command, Envelope, Part, commands
from gateway.core.topology import Site
from gateway.core.units import Watts

BY, LOW = OrderKey(DSO, "a"), OrderKey(DSO, "low")
F = Function
CANNOT = ((F.LOAD_LIMIT, "it has no word for it"),)


def imports(most_w: int) -> Floor:
    return Floor(F.IMPORT_LIMIT, Watts(-most_w))


def loads(most_w: int) -> Floor:
    return Floor(F.LOAD_LIMIT, Watts(-most_w))


def drawing(draws_w: dict[str, int]) -> Site:
    """The houses, in which these devices draw so much."""
    made = site()
    devices = [replace(one, rated_charge_w=draws_w.get(one.name, 0)) for one in made.devices]
    return replace(made, devices=tuple(devices))


def running(draws_w: dict[str, int]) -> Player:
    made = Player().start(drawing(draws_w))
    adopt_all(made, 1)
    return made


def floors(made: Player, *names: str) -> list[tuple[int | None, int | None]]:
    found = [made.machine.state.devices[name].command for name in names]
    return [(None, None) if one is None else (one.floor_w, one.revert_floor_w) for one in found]


def draws(made: Player, name: str, watts: int, now_s: int) -> None:
    reading = Known(-watts, now_s * 1000)
    made.feed(now_s, Observed(name, reading, Unknown("", 0), Unknown("", 0), None))


@pytest.mark.parametrize("limit", [imports, loads])
def test_a_limit_reaches_the_device_and_is_lifted_at_its_end(limit: Callable[[int], Floor]) -> None:
    made = running({"roof-10": 4_000})
    made.hear(5, order("low", limit(1_000), 10, 60))
    assert floors(made, "roof-10") == [(None, -1_000)]
    made.tick(10)
    assert floors(made, "roof-10") == [(-1_000, -1_000)]
    command = made.machine.state.devices["roof-10"].command
    assert command is not None
    assert command.floor_by == OrderKey(DSO, "low")
    adopt_all(made, 11)
    draws(made, "roof-10", 1_000, 12)
    made.tick(59)
    made.tick(60)
    assert floors(made, "roof-10") == [(None, None)]
    assert made.kinds("low")[-1] == (60, Kind.COMPLETED)


def test_the_reversion_is_the_tighter_of_the_default_and_what_is_known_ahead() -> None:
    made = running({"roof-10": 4_000})
    made.feed(2, default(imports(2_500)))
    assert floors(made, "roof-10") == [(-2_500, -2_500)]
    made.hear(5, order("wide", imports(3_500), 10, 90))
    made.hear(5, order("tight", imports(500), 90, 120))
    made.tick(10)
    assert floors(made, "roof-10") == [(-3_500, -2_500)]
    made.tick(70)
    assert floors(made, "roof-10") == [(-3_500, -500)]
    made.tick(90)
    assert floors(made, "roof-10") == [(-500, -500)]
    made.tick(120)
    assert floors(made, "roof-10") == [(-2_500, -2_500)]


def default(*effects: Floor) -> DefaultHeard:
    return DefaultHeard(Default(DSO, "p", STREET, 1, effects))


def test_one_that_does_not_bind_changes_no_command() -> None:
    made = running({"roof-10": 4_000})
    made.hear(5, order("low", imports(4_000), 10, 60))
    made.tick(10)
    assert floors(made, "roof-10") == [(None, None)]
    made.tick(60)
    assert made.kinds("low")[-1] == (60, Kind.COMPLETED)


def test_several_shrink_first_and_grow_into_what_was_read_back() -> None:
    made = running({"roof-20": 4_000, "roof-21": 2_000})
    made.hear(5, order("low", imports(3_000), 10, 200))
    made.tick(10)
    assert floors(made, "roof-20", "roof-21") == [(-2_000, -2_000), (-1_000, -1_000)]
    adopt_all(made, 11)
    made.hear(12, order("lower", imports(1_500), 20, 200, created_s=12))
    made.tick(20)
    assert floors(made, "roof-20", "roof-21") == [(-1_000, -1_000), (-500, -500)]
    made.feed(21, LinkDown("roof-21", "gone"))
    adopt(made, 21, "roof-20")
    assert floors(made, "roof-20")[0][0] == -500
    adopt(made, 22, "roof-21")
    made.feed(23, LinkUp("roof-21", Known(0, 0), Known(2_000, 0)))
    assert sum(-(one[0] or 0) for one in floors(made, "roof-20", "roof-21")) <= 1_500


def adopt(made: Player, now_s: int, name: str, cannot: tuple[tuple[Function, str], ...] = ()) -> None:
    made.feed(now_s, Adopted(name, made.machine.state.devices[name].serial, cannot))


def test_one_that_cannot_be_told_counts_at_its_rating_and_is_told_to_the_issuer() -> None:
    made = running({"roof-20": 4_000, "roof-21": 2_000})
    made.hear(5, order("low", imports(3_000), 10, 200))
    made.tick(10)
    adopt(made, 11, "roof-20")
    adopt(made, 11, "roof-21", CANNOT)
    assert [kind for _at, kind in made.kinds("low", "house-2")] == [Kind.RECEIVED, Kind.STARTED, Kind.UNCARRIED]
    adopt(made, 12, "roof-20")
    assert floors(made, "roof-20")[0][0] == -1_000
    made.tick(200)
    assert made.kinds("low", "house-2")[-1] == (200, Kind.PARTIAL)


def test_where_none_can_be_told_the_order_was_not_served() -> None:
    made = running({"roof-10": 4_000})
    made.hear(5, order("low", loads(1_000), 10, 60))
    made.tick(10)
    adopt(made, 11, "roof-10", CANNOT)
    made.tick(60)
    assert made.kinds("low")[-1] == (60, Kind.CANNOT)


def test_a_load_limit_is_answered_at_once_where_nothing_draws() -> None:
    made = running({})
    made.hear(5, order("low", loads(1_000), 10, 60))
    assert made.kinds("low") == [(5, Kind.CANNOT)]
    made.hear(6, order("both", (loads(1_000), imports(1_000)), 10, 60))
    assert made.kinds("both") == [(6, Kind.RECEIVED), (6, Kind.UNCARRIED)]


def test_a_limit_on_import_is_kept_where_nothing_draws() -> None:
    made = running({})
    made.hear(5, order("low", imports(0), 10, 60))
    made.tick(10)
    made.tick(60)
    assert made.kinds("low")[-1] == (60, Kind.COMPLETED)


@pytest.mark.parametrize(
    ("watts", "verdict", "ended"),
    [(1_000, "obeyed", Kind.COMPLETED), (1_080, "obeyed", Kind.COMPLETED), (1_081, "disobeyed", Kind.CANNOT)],
)
def test_what_is_drawn_is_held_against_the_limit(watts: int, verdict: str, ended: Kind) -> None:
    made = running({"roof-10": 4_000})
    made.hear(5, order("low", imports(1_000), 10, 60))
    made.tick(10)
    adopt(made, 11, "roof-10")
    draws(made, "roof-10", watts, 30)
    said = [one for one in told(made.effects, Topic.VERIFIED) if one.function == F.LOAD_LIMIT.value]
    assert said[-1].effect == verdict
    made.tick(60)
    assert made.kinds("low")[-1] == (60, ended)


def test_load_that_nobody_controls_counts_against_an_import_limit() -> None:
    made = running({"roof-10": 4_000})
    made.hear(2, order("low", imports(3_000), 3, None))
    made.tick(3)
    adopt(made, 4, "roof-10")
    for now_s in (30, 40, 50):
        draws(made, "roof-10", 3_000, now_s)
        made.feed(now_s, MeterRead("house-1", Known(-4_200, now_s * 1000)))
    floor_w, reverts_w = floors(made, "roof-10")[0]
    assert floor_w is not None
    assert -1_800 <= floor_w <= -1_700
    assert reverts_w == floor_w


def test_a_restart_in_silence_counts_what_is_unknown_at_its_worst() -> None:
    made = running({"roof-20": 4_000, "roof-21": 2_000})
    made.hear(5, order("low", imports(3_000), 10, None))
    made.tick(10)
    device = made.machine.state.devices["roof-20"]
    assert device.counted_draw_w() == 4_000
    adopt(made, 11, "roof-20")
    assert device.counted_draw_w() == 2_000


parts = st.lists(
    st.builds(
        Part,
        st.just("roof"),
        st.integers(1, 9_999),
        st.just(0),
        st.booleans(),
        st.none()
        | st.builds(
            lambda w: Command("roof", 0, None, None, None, 0, 1, (BY, LOW), "C2", floor_w=-w, revert_floor_w=-w),
            st.integers(0, 9_999),
        ),
        draws_w=st.integers(0, 9_999),
        counted_draw_w=st.integers(0, 9_999),
        counted_draw_fallback_w=st.integers(0, 9_999),
        carries_floor=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@given(st.integers(-20_000, 0), st.none() | st.integers(-20_000, 0), st.none() | st.integers(-20_000, 20_000), parts)
def test_floors_sum_to_at_most_what_may_be_drawn(
    lower: int, fallback: int | None, target: int | None, among: list[Part]
) -> None:
    by = None if target is None else BY
    bounds = Envelope(30_000, BY, F.EXPORT_LIMIT, "C2", lower, target, by, target, None, None, lower_by=LOW)
    made = commands(bounds, among, 0, [1] * len(among), fallback)
    pairs = [(one, part) for one, part in zip(made, among, strict=True) if part.draws_w]
    drawn = [part.draws_w if one.floor_w is None else -one.floor_w for one, part in pairs]
    falls = [part.draws_w if one.revert_floor_w is None else -one.revert_floor_w for one, part in pairs]
    assert sum(drawn) <= -lower
    assert sum(falls) <= min(-lower, 20_000 if fallback is None else -fallback)
    for (one, part), may_w, falls_w in zip(pairs, drawn, falls, strict=True):
        assert 0 <= falls_w <= may_w <= part.draws_w
        assert one.floor_by == (None if one.floor_w is None else LOW)
        assert one.target_w is None or one.floor_w is None or one.target_w >= one.floor_w
    assert all(
        one.floor_w is one.revert_floor_w is None for one, part in zip(made, among, strict=True) if not part.draws_w
    )


def test_a_set_point_beyond_what_a_der_draws_keeps_no_command_from_it() -> None:
    made = running({"roof-10": 1_000})
    made.hear(5, order("low", imports(2_000), 10, 90))
    made.hear(5, order("charge", target(-3_000), 10, 90))
    made.hear(5, order("out", export(700), 20, 60))
    made.tick(10)
    made.tick(20)
    command = made.machine.state.devices["roof-10"].command
    assert command is not None
    assert (command.limit_w, command.target_w) == (700, -1_000)
