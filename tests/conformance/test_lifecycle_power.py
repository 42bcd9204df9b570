"""The power of the gateway fails in every state of an event: the same random draws, no answer lost or doubled, and the
DER's command unbroken.
"""

import secrets
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from lifecycle_bench import CONTROLS, HOUSE, RESPONSES, Life, Said
from procedure_clock import Requests

from gateway.core.timeline import offset_ms
from gateway.pki import issue
from hil.sep2.curves import CURVE_MODES, Curve, Point

DEFAULT_W, ORDERED_W, OTHER_W = 4_000, 1_500, 1_000
LIMIT, OTHER = {"opModExpLimW": ORDERED_W}, {"opModExpLimW": OTHER_W}
SPREAD_S = 20
START_S, LENGTH_S = 30, 60
OFF_S = 4
CURVE = Curve(
    name="droop",
    curve_type=CURVE_MODES.index("opModVoltVar"),
    points=(Point(92, 44), Point(108, -44)),
    y_ref_type=2,
)


def _drawn_s(purpose: str, draw: int) -> float:
    return offset_ms(draw, purpose, HOUSE, 1000 * SPREAD_S) / 1000


def _draws() -> Iterator[int]:
    """Give random numbers of which the first lies in the middle of every spread, and all others near its end."""
    purposes = ("start", "duration", "cut")
    yield next(draw for draw in count() if all(8 < _drawn_s(each, draw) < 12 for each in purposes))
    yield from (draw for draw in count() if all(_drawn_s(each, draw) > 16 for each in purposes))


FIRST = next(_draws())
BEGINS_S = round(START_S + _drawn_s("start", FIRST), 3)
ENDS_S = round(BEGINS_S + LENGTH_S + _drawn_s("duration", FIRST), 3)
"""When the event of these stories is in force: its times are drawn, once."""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    issue.init(folder, ("gateway", "dso"))
    return folder


@pytest.fixture
def life(pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    draws = _draws()
    monkeypatch.setattr(secrets, "randbits", lambda _bits: next(draws))
    return Life(pki, tmp_path, Requests(monkeypatch), {"opModExpLimW": DEFAULT_W}, (CURVE,))


@pytest.fixture(params=[False, True], ids=["by its events", "by a snapshot"])
def snapshot(request: pytest.FixtureRequest) -> bool:
    """How the disk knows what was: both must lead to the same."""
    return bool(request.param)


def _randomized(life: Life) -> None:
    life.order("drawn", LIMIT, START_S, LENGTH_S, SPREAD_S, SPREAD_S)


def _limits(life: Life, since_s: float, until_s: float) -> set[int]:
    return {command.limit_w for command in life.told_between(since_s, until_s)}


# -- before it starts, while it runs


@pytest.mark.parametrize(
    "cut_s",
    [
        pytest.param(15, id="scheduled"),
        pytest.param(START_S + 3, id="in the window of its random start"),
        pytest.param(BEGINS_S - 2, id="off over its start"),
        pytest.param(BEGINS_S + 20, id="active"),
        pytest.param(START_S + LENGTH_S + 1, id="active after its specified end"),
    ],
)
async def test_an_event_runs_in_the_times_that_were_drawn(life: Life, cut_s: float, snapshot: bool) -> None:
    async with life:
        _randomized(life)
        await life.switch_on()
        await life.until(cut_s)
        assert life.in_force("drawn") == (BEGINS_S, ENDS_S)
        await life.power_cycle(OFF_S, snapshot=snapshot)
        begun_s = max(BEGINS_S, cut_s + OFF_S) if cut_s < BEGINS_S else BEGINS_S
        for again_s in (cut_s + OFF_S, ENDS_S - 1):
            await life.until(again_s)
            assert life.in_force("drawn") == (BEGINS_S, ENDS_S)
        await life.until(ENDS_S + 20)
        assert life.said("drawn")[1:] == [Said(2, int(begun_s)), Said(3, int(ENDS_S))]
        assert _limits(life, 5, BEGINS_S) == {DEFAULT_W}
        assert _limits(life, begun_s + 1.5, ENDS_S) == {ORDERED_W}
        assert life.command.limit_w == DEFAULT_W


async def test_an_event_that_ends_while_the_power_is_off_is_answered_when_it_is_back(
    life: Life, snapshot: bool
) -> None:
    async with life:
        _randomized(life)
        await life.switch_on()
        await life.until(ENDS_S - 2)
        await life.power_cycle(30, snapshot=snapshot)
        await life.until(ENDS_S + 60)
        assert life.said("drawn")[1:] == [Said(2, int(BEGINS_S)), Said(3, int(ENDS_S + 28))]
        assert _limits(life, ENDS_S + 30, ENDS_S + 60) == {DEFAULT_W}


async def test_an_event_that_passes_while_the_power_is_off_is_answered_as_one_that_did_not_start(
    life: Life, snapshot: bool
) -> None:
    async with life:
        _randomized(life)
        await life.switch_on()
        await life.until(15)
        await life.power_cycle(120, snapshot=snapshot)
        await life.until(160)
        assert life.statuses("drawn") == [1, 254]
        assert _limits(life, 5, 160) == {DEFAULT_W}


async def test_an_event_in_force_outlives_a_power_cycle_without_its_server(life: Life, snapshot: bool) -> None:
    async with life:
        _randomized(life)
        await life.switch_on()
        await life.until(BEGINS_S + 20)
        await life.server.set_outage("refuse")
        await life.power_cycle(OFF_S, snapshot=snapshot)
        await life.until(ENDS_S + 10)
        assert life.statuses("drawn") == [1, 2]
        await life.server.set_outage("none")
        await life.until(ENDS_S + 80)
        assert life.said("drawn")[1:] == [Said(2, int(BEGINS_S)), Said(3, int(ENDS_S))]
        assert _limits(life, BEGINS_S + 1.5, ENDS_S) == {ORDERED_W}
        assert _limits(life, ENDS_S + 1.5, ENDS_S + 80) == {DEFAULT_W}


async def test_an_event_that_vanished_outlives_a_power_cycle(life: Life, snapshot: bool) -> None:
    async with life:
        _randomized(life)
        await life.switch_on()
        await life.until(15)
        life.vanish(CONTROLS)
        await life.until(25)
        await life.power_cycle(OFF_S, snapshot=snapshot)
        await life.until(ENDS_S + 20)
        assert life.said("drawn")[1:] == [Said(2, int(BEGINS_S)), Said(3, int(ENDS_S))]
        assert _limits(life, BEGINS_S + 1.5, ENDS_S) == {ORDERED_W}


async def test_a_curve_in_force_outlives_a_power_cycle_after_which_it_cannot_be_read(
    life: Life, snapshot: bool
) -> None:
    async with life:
        life.order("bends", {"opModVoltVar": {"curve": "droop"}}, 20, 100)
        await life.switch_on()
        await life.until(40)
        (mode,) = life.command.modes
        life.fail("/derp/1/dc/1", 404)
        await life.power_cycle(OFF_S, snapshot=snapshot)
        await life.until(119.9)
        assert {command.modes for command in life.told_between(21.5, 119.9)} == {(mode,)}
        await life.until(140)
        assert life.said("bends")[1:] == [Said(2, 20), Said(3, 120)]
        assert life.command.modes == ()


# -- while it ends


async def test_a_cancelled_event_winds_down_in_the_time_that_was_drawn(life: Life, snapshot: bool) -> None:
    async with life:
        _randomized(life)
        await life.switch_on()
        await life.until(BEGINS_S + 5)
        life.server.cancel("drawn")
        while life.machine.state.lives[next(iter(life.machine.state.lives))].cut_ms is None:
            await life.until(life.now_s + 1)
        _begins_s, ends_s = life.in_force("drawn")
        assert 5 < ends_s - life.now_s < SPREAD_S
        await life.power_cycle(OFF_S, snapshot=snapshot)
        await life.until(ends_s - 0.1)
        assert life.in_force("drawn") == (BEGINS_S, ends_s)
        assert life.statuses("drawn") == [1, 2]
        assert _limits(life, BEGINS_S + 1.5, ends_s) == {ORDERED_W}
        await life.until(ends_s + 30)
        assert life.said("drawn")[1:] == [Said(2, int(BEGINS_S)), Said(6, int(ends_s))]
        assert life.command.limit_w == DEFAULT_W


async def test_an_older_event_that_was_superseded_and_answers_that_were_owed_are_sent_once(
    life: Life, snapshot: bool
) -> None:
    async with life:
        life.order("older", LIMIT, 10, 30)
        await life.switch_on()
        await life.until(2)
        life.order("newer", OTHER, 20, 15)
        await life.until(18)
        life.fail(RESPONSES, 500)
        await life.until(25)
        assert life.statuses("older") == [1, 2]
        await life.cut_power(snapshot=snapshot)
        life.mend(RESPONSES)
        life.pass_time(OFF_S)
        await life.switch_on()
        await life.until(60)
        assert life.said("older")[1:] == [Said(2, 10), Said(7, 20)]
        assert life.said("newer")[1:] == [Said(2, 20), Said(3, 35)]
        assert _limits(life, 21.5, 35) == {OTHER_W}
        assert _limits(life, 36.5, 60) == {DEFAULT_W}


async def test_a_completed_event_whose_answer_was_owed_is_answered_once(life: Life, snapshot: bool) -> None:
    async with life:
        life.order("runs", LIMIT, 10, 20)
        await life.switch_on()
        await life.until(25)
        life.fail(RESPONSES, 500)
        await life.until(45)
        assert life.statuses("runs") == [1, 2]
        await life.cut_power(snapshot=snapshot)
        life.mend(RESPONSES)
        life.pass_time(OFF_S)
        await life.switch_on()
        await life.until(80)
        assert life.said("runs")[1:] == [Said(2, 10), Said(3, 30)]


@pytest.mark.parametrize("cut_s", [10.2, 12], ids=["before it is tried again", "after it was tried again"])
async def test_an_answer_whose_acknowledgement_was_never_seen_is_sent_again_as_it_was(
    life: Life, cut_s: float, snapshot: bool
) -> None:
    async with life:
        life.order("runs", LIMIT, 10, 20)
        await life.switch_on()
        await life.until(5)
        life.server.swallows = True
        await life.until(cut_s)
        assert life.said("runs")[1:2] == [Said(2, 10)]
        await life.cut_power(snapshot=snapshot)
        life.server.swallows = False
        life.pass_time(OFF_S)
        await life.switch_on()
        await life.until(60)
        said = life.said("runs")[1:]
        assert list(dict.fromkeys(said)) == [Said(2, 10), Said(3, 30)]
        assert said.count(Said(2, 10)) >= 2
        assert said.count(Said(3, 30)) == 1


# -- where no event is in force


async def test_a_default_in_force_outlives_a_power_cycle_with_and_without_its_server(
    life: Life, snapshot: bool
) -> None:
    async with life:
        await life.switch_on()
        await life.until(10)
        await life.power_cycle(OFF_S, snapshot=snapshot)
        await life.until(30)
        await life.server.set_outage("refuse")
        await life.power_cycle(OFF_S, snapshot=snapshot)
        await life.until(60)
        assert _limits(life, 5, 60) == {DEFAULT_W}


async def test_what_holds_out_of_contact_outlives_a_power_cycle(life: Life, snapshot: bool) -> None:
    async with life:
        life.order("runs", LIMIT, 10, 60)
        await life.switch_on()
        await life.until(30)
        await life.server.set_outage("refuse")
        await life.until(400)
        assert life.is_out_of_contact()
        await life.power_cycle(OFF_S, snapshot=snapshot)
        await life.until(450)
        assert life.is_out_of_contact()
        await life.server.set_outage("none")
        life.order("later", OTHER, 540, 20)
        await life.until(580)
        assert not life.is_out_of_contact()
        assert life.said("runs")[1:] == [Said(2, 10), Said(3, 70)]
        assert life.said("later")[1:] == [Said(2, 540), Said(3, 560)]
        assert _limits(life, 11.5, 70) == {ORDERED_W}
        assert _limits(life, 71.5, 540) == {DEFAULT_W}
