"""Controls with modes and curves over real TLS: their life up to what is heard, and curves that are amiss."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sep2_world import LIMIT, SEP2, World, make_pki, program

from gateway.core.events import Contact, DefaultHeard, OrderUnreadable, Withdrawal, Withdrawn
from gateway.core.functions import Function
from gateway.core.modes import Curve, CurveBase, CurveKind, CurvePoint, Displacement, PowerFactor
from gateway.core.orders import Ceiling, Effect
from gateway.core.units import Watts
from gateway.northbound.sep2_client import curve_reader
from gateway.wire.sep2.codes import CURVE_MODES
from hil.head_end import HeadEnd
from hil.sep2.curves import Curve as SentCurve
from hil.sep2.curves import Point
from hil.sep2.tree import Rates

HOUR_S = 3600
CURVE = "/derp/1/dc/1"
EXPORT = Ceiling(Function.EXPORT_LIMIT, Watts(1500))
SENT = SentCurve(
    name="sunny",
    curve_type=11,
    points=(Point(92, 44), Point(98, 0), Point(102, 0), Point(108, -44)),
    y_ref_type=2,
    open_loop_tms=500,
    v_ref=10_000,
)
VOLT_VAR = Curve(
    CurveKind.VOLT_VAR,
    (CurvePoint(9_200, 4_400), CurvePoint(9_800, 0), CurvePoint(10_200, 0), CurvePoint(10_800, -4_400)),
    CurveBase.MAX_VAR,
    5_000,
    10_000,
)
LINK: dict[str, Any] = {"opModVoltVar": {"href": CURVE}}
FIXED_PF: dict[str, Any] = {
    "opModFixedPFInjectW": {"displacement": 950, "excitation": True, "multiplier": -3},
    "opModFixedPFAbsorbW": {"displacement": 1, "excitation": False, "multiplier": 0},
}
POWER_FACTOR = PowerFactor(Displacement(9_500, absorbs=True), Displacement(10_000, absorbs=False))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


def effects(world: World) -> list[tuple[Effect, ...]]:
    return [order.effects for order in world.orders()]


def link(number: int, mode: str = "opModVoltVar") -> dict[str, Any]:
    return {mode: {"href": f"/derp/1/dc/{number}"}}


# -- the life of a control


async def test_a_volt_var_curve_and_a_power_factor_live_from_issue_to_cancellation(pki: Path) -> None:
    world = World(pki, program("street", default={**LIMIT, **LINK}))
    assert world.server.set_curve("street", SENT) == CURVE
    async with world:
        curved = world.server.issue("street", "sunny", LINK, 60, HOUR_S)
        factor = world.server.issue("street", "steady", FIXED_PF, 2 * HOUR_S, HOUR_S)
        await world.until(lambda: len(world.orders()) == 2)
        orders = {order.id: order for order in world.orders()}
        assert orders[curved.mrid].effects == (VOLT_VAR,)
        assert orders[factor.mrid].effects == (POWER_FACTOR,)
        assert all(order.uncarried == () for order in world.orders())
        assert world.heard(DefaultHeard)[0].default.effects == (EXPORT, VOLT_VAR)
        await world.rounds(3)
        assert len(world.orders()) == 2
        assert len(world.heard(DefaultHeard)) == 1
        world.server.cancel("sunny")
        await world.until(lambda: world.heard(Withdrawn))
        assert (world.heard(Withdrawn)[0].id, world.heard(Withdrawn)[0].how) == (curved.mrid, Withdrawal.CANCELLED)
        newer = world.server.issue("street", "steady again", FIXED_PF, 4 * HOUR_S, HOUR_S)
        await world.until(lambda: newer.mrid in {order.id for order in world.orders()})
        assert world.lines == []


async def test_a_curve_is_read_once_for_all_that_link_to_it_and_again_at_the_programs_rate(pki: Path) -> None:
    world = World(pki)
    world.server.set_curve("street", SENT)
    for number in range(5):
        world.server.issue("street", f"sunny {number}", LINK, HOUR_S + number, HOUR_S)
    async with world:
        await world.until(lambda: len(world.orders()) == 5)
        assert world.asked()[CURVE] == 1
        await world.rounds(4)
        assert 2 <= world.asked()[CURVE] <= len(world.heard(Contact)) + 1
        assert world.asked()["/derp/1/dc"] == 0, "its list is not needed"


async def test_what_links_to_no_curve_is_heard_before_any_curve_is_asked_for(pki: Path) -> None:
    world = World(pki, program("street"), program("alley", primacy=2, default={"opModExpLimW": 900}))
    world.server.set_curve("street", SENT)
    world.server.issue("street", "sunny", {**LIMIT, **LINK}, 60, HOUR_S)
    plain = world.server.issue("alley", "limit", LIMIT, 60, HOUR_S)
    async with world:
        await world.until(lambda: len(world.orders()) == 2)
        assert [order.effects for order in world.orders()] == [(EXPORT,), (EXPORT, VOLT_VAR)]
        assert world.orders()[0].id == plain.mrid
        paths = [path.partition("?")[0] for _at, _method, path, _status in world.server.requests]
        assert paths.index("/derp/2/derc") < paths.index(CURVE)


# -- curves that are amiss


SPOILT = {
    "malformed": "<DERCurve",
    "another resource": SEP2.format("DERProgram", "", "<mRID>0A</mRID><primacy>1</primacy>"),
    "too many points": "",
    "of another type": "",
}


@pytest.mark.parametrize("how", ["missing", *SPOILT])
async def test_a_curve_that_is_amiss_leaves_its_mode_out_and_unseats_nothing(pki: Path, how: str) -> None:
    world = World(pki, program("street", default={"opModExpLimW": 900}))
    world.server.set_curve("street", SENT)
    text = world.body(CURVE).decode()
    if how == "missing":
        world.replace(CURVE, status=404)
    elif how == "too many points":
        point = "<CurveData><xvalue>1</xvalue><yvalue>1</yvalue></CurveData>"
        world.edit(CURVE, ("<CurveData>", f"{point * 7}<CurveData>"))
    elif how == "of another type":
        world.edit(CURVE, ("<curveType>11", "<curveType>12"))
    else:
        world.replace(CURVE, SPOILT[how])
    assert text.count("<CurveData>") == 4
    world.server.issue("street", "limit and curve", {**LIMIT, **LINK}, 0, HOUR_S)
    world.server.issue("street", "factor", FIXED_PF, 0, HOUR_S)
    async with world:
        await world.until(lambda: len(world.orders()) == 2)
        order = next(order for order in world.orders() if EXPORT in order.effects)
        assert (order.effects, order.uncarried) == ((EXPORT,), ("opModVoltVar",))
        assert (POWER_FACTOR,) in effects(world)
        await world.rounds(3)
        assert len(world.orders()) == 2, "nothing is heard twice"
        assert world.heard(OrderUnreadable) == []
        assert world.heard(DefaultHeard)[0].default.effects == (Ceiling(Function.EXPORT_LIMIT, Watts(900)),)
        (line,) = world.lines
        assert f"event {order.id}: opModVoltVar is not carried: " in line
        assert CURVE in line


async def test_an_event_of_a_curve_alone_waits_until_the_curve_can_be_read(pki: Path) -> None:
    world = World(pki)
    world.server.set_curve("street", SENT)
    world.replace(CURVE, status=500)
    world.server.issue("street", "sunny", LINK, 0, HOUR_S)
    async with world:
        await world.polled(CURVE)
        await world.rounds()
        assert world.orders() == []
        world.mend(CURVE)
        await world.until(world.orders)
        assert effects(world) == [(VOLT_VAR,)]
        assert world.lines == []


async def test_a_curve_that_fails_is_asked_for_again_before_anything_else_is_due(pki: Path) -> None:
    world = World(pki, rates=Rates(page_limit=50, poll_rate_s=4 * HOUR_S))
    world.server.set_curve("street", SENT)
    world.replace(CURVE, status=404)
    world.server.issue("street", "sunny", LINK, 0, 4 * HOUR_S)
    async with world:
        await world.until(lambda: world.asked()[CURVE] >= 2)
        world.mend(CURVE)
        await world.until(world.orders)
        assert effects(world) == [(VOLT_VAR,)]
        assert world.asked()["/derp/1/derc"] == 1


async def test_an_event_that_starts_later_waits_for_its_curve_and_a_limit_that_is_due_does_not(pki: Path) -> None:
    world = World(pki)
    world.server.set_curve("street", SENT)
    world.replace(CURVE, status=500)
    world.server.issue("street", "due", {**LIMIT, **LINK}, 0, HOUR_S)
    later = world.server.issue("street", "later", {**LIMIT, **LINK}, HOUR_S, HOUR_S)
    async with world:
        await world.until(world.orders)
        assert effects(world) == [(EXPORT,)]
        await world.rounds()
        assert len(world.orders()) == 1
        world.mend(CURVE)
        await world.until(lambda: any(order.id == later.mrid for order in world.orders()))
        assert next(order for order in world.orders() if order.id == later.mrid).effects == (EXPORT, VOLT_VAR)


async def test_an_event_of_a_curve_that_never_comes_is_heard_in_the_end(pki: Path) -> None:
    world = World(pki)
    world.server.issue("street", "sunny", LINK, 0, HOUR_S)
    async with world:
        await world.until(world.orders)
        assert (world.orders()[0].effects, world.orders()[0].uncarried) == ((), ("opModVoltVar",))
        assert world.asked()[CURVE] >= 4, "at once, and after 1, 5 and 15 s"


async def test_a_curve_that_was_read_once_holds_while_it_cannot_be_read(pki: Path) -> None:
    world = World(pki, program("street", default=LINK))
    world.server.set_curve("street", SENT)
    async with world:
        world.server.issue("street", "sunny", LINK, 0, HOUR_S)
        await world.until(world.orders)
        world.replace(CURVE, status=404)
        await world.until(lambda: world.told(f"GET {CURVE}: status 404; the curve holds as it was read last"))
        await world.rounds(2)
        world.mend(CURVE)
        await world.until(lambda: world.told(f"{CURVE} is read again"))
        assert effects(world) == [(VOLT_VAR,)]
        assert [heard.default.effects for heard in world.heard(DefaultHeard)] == [(VOLT_VAR,)]
        assert len(world.lines) == 2


async def test_a_default_takes_the_curve_as_it_is_changed_and_one_that_comes_late(pki: Path) -> None:
    world = World(pki, program("street", default={**LIMIT, **LINK}))
    world.server.set_curve("street", SENT)
    world.replace(CURVE, status=500)
    async with world:
        await world.until(lambda: world.heard(DefaultHeard))
        assert world.heard(DefaultHeard)[0].default.effects == (EXPORT,)
        world.mend(CURVE)
        await world.until(lambda: len(world.heard(DefaultHeard)) == 2)
        assert world.heard(DefaultHeard)[1].default.effects == (EXPORT, VOLT_VAR)
        world.edit(CURVE, ("<openLoopTms>500", "<openLoopTms>600"))
        await world.until(lambda: len(world.heard(DefaultHeard)) == 3)
        assert world.heard(DefaultHeard)[2].default.effects[1] != VOLT_VAR


async def test_curves_that_give_no_answer_keep_no_limit_from_being_read(
    pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of ten curves would hold up a round by a timeout; two at most do. Ten modes supersede no other."""
    asked: list[str] = []
    serve = HeadEnd._serve

    async def fail(head_end: HeadEnd, request: web.Request) -> web.StreamResponse:
        if "/dc/" in request.path:
            asked.append(request.path)
            return web.Response(status=503)
        return await serve(head_end, request)

    monkeypatch.setattr(HeadEnd, "_serve", fail)
    world = World(pki)
    for number, mode in enumerate(CURVE_MODES[:10], 1):
        world.server.issue("street", mode, link(number, mode), 0, HOUR_S)
    async with world:
        await world.rounds()
        assert len(asked) <= 2 * (len(world.heard(Contact)) + 1)
        world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
        await world.until(lambda: (EXPORT,) in effects(world))
        await world.until(lambda: len(set(asked)) == 10, "all have their turn")
        assert len(asked) <= 2 * (len(world.heard(Contact)) + 1)


async def test_curves_that_come_slowly_keep_no_limit_from_being_read(
    pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of twenty answers, late; once a round has asked for as long as it may, the others wait for the next."""
    asked: list[str] = []
    serve = HeadEnd._serve

    async def drag(head_end: HeadEnd, request: web.Request) -> web.StreamResponse:
        if "/dc/" in request.path:
            asked.append(request.path)
            await asyncio.sleep(0.1)
        return await serve(head_end, request)

    monkeypatch.setattr(HeadEnd, "_serve", drag)
    monkeypatch.setattr(curve_reader, "ASKING_MAX_S", 0.05)
    world = World(pki)
    for number in range(1, 21):
        world.server.set_curve("street", SentCurve(name=f"{number}", curve_type=11, points=SENT.points, y_ref_type=2))
        world.server.issue("street", f"curve {number}", link(number), number * HOUR_S, HOUR_S)
    async with world:
        await world.until(lambda: asked)
        world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
        await world.until(lambda: (EXPORT,) in effects(world))
        assert len(asked) < 20, "the limit did not wait for all the curves"
        await world.until(lambda: len(set(asked)) == 20, "all have their turn")


async def test_no_more_curves_are_read_than_are_bounded(pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve_reader, "CURVES_MAX", 2)
    world = World(pki)
    for number in range(1, 4):
        world.server.set_curve("street", SentCurve(name=f"{number}", curve_type=11, points=SENT.points, y_ref_type=2))
        world.server.issue("street", f"curve {number}", link(number), number * HOUR_S, HOUR_S)
    async with world:
        await world.until(lambda: len(world.orders()) == 3)
        assert sorted(len(one) for one in effects(world)) == [0, 1, 1]
        assert world.told("is one curve more than the 2 that are read")
        assert len([path for path in world.asked() if "/dc/" in path]) == 2


async def test_modes_that_contradict_each_other_are_named_in_one_line(pki: Path) -> None:
    world = World(pki)
    world.server.set_curve("street", SENT)
    async with world:
        event = world.server.issue("street", "both", {**LIMIT, **LINK, **FIXED_PF}, 0, HOUR_S)
        await world.until(world.orders)
        assert effects(world) == [(EXPORT,)]
        await world.rounds(2)
        (line,) = world.lines
        names = "opModFixedPFAbsorbW and opModFixedPFInjectW and opModVoltVar"
        assert line.endswith(f"event {event.mrid}: {names} are not carried: they contradict each other")
