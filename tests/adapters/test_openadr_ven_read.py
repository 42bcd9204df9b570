"""What a VTN lists becomes orders, defaults and their ends, each told once."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from openadr_world import HOUR_S, HOUSES, KW, PARTY, VtnWorld, make_certificate

from gateway.core.events import Assigned, Contact, DefaultHeard, Offset, OrderHeard, OrderUnreadable
from gateway.core.functions import Function
from gateway.core.orders import Ceiling, Each, Floor, Target, Tie
from gateway.core.units import Watts

EVENTS = "/openadr3/3.1.0/events"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("vtn"))


async def test_an_event_is_an_order_for_each_of_its_intervals(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path, service="envelope") as world:
        plans = [{"payloads": {"EXPORT_CAPACITY_LIMIT": 1.5 + at, "DISPATCH_SETPOINT": -1}} for at in range(3)]
        name = world.issue("envelope", intervals=plans, duration_s=600, priority=2, randomize_start_s=60)
        orders = await world.ordered(*(f"{name}/{at}" for at in range(3)))
        start_ms = orders[0].start_ms
        assert [(one.start_ms - start_ms, (one.end_ms or 0) - start_ms) for one in orders] == [
            (0, 600_000),
            (600_000, 1_200_000),
            (1_200_000, 1_800_000),
        ]
        assert [one.effects for one in orders] == [
            (Ceiling(Function.EXPORT_LIMIT, Watts(1_500 + 1_000 * at)), Target(Watts(1_000))) for at in range(3)
        ]
        first = orders[0]
        assert (first.issuer, first.scope, first.service) == (PARTY, Each(f"{PARTY}:*"), "envelope")
        assert (first.rank.precedence, first.rank.tie, first.randomize_start_ms) == (2, Tie.TIGHTER_LIMIT, 60_000)
        assert len({one.draw for one in orders}) == 1
        assert first.version == first.rank.created_ms > 1_700_000_000_000
        assert (first.reply.receipt, first.reply.progress) == (False, False)
        await world.rounds(2)
        assert len(world.orders()) == 3
        kinds = [type(event) for event in world.events]
        assert kinds.index(Offset) < kinds.index(Assigned) < kinds.index(OrderHeard) < kinds.index(Contact)
        assert world.heard(Assigned) == [Assigned(PARTY, f"{PARTY}:*", tuple(HOUSES))]
        assert world.heard(Contact)[0] == Contact(PARTY, 300_000)


async def test_the_clock_of_the_vtn_is_told_once_and_when_it_moves(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path, rate=50) as world:
        world.vtn.date_offset_ms = 90_000
        await world.rounds()
        world.events.clear()
        world.vtn.date_offset_ms = -30_000
        await world.rounds(2)
        (moved,) = world.heard(Offset)
        assert abs(moved.offset_ms + 30_000) < 2_000


async def test_a_modified_event_is_a_newer_version_and_drops_what_it_has_no_more(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        plans: list[dict[str, Any]] = [{"payloads": {"EXPORT_CAPACITY_LIMIT": 1.5 + at}} for at in range(2)]
        name = world.issue("envelope", intervals=plans)
        first, _second = await world.ordered(f"{name}/0", f"{name}/1")
        await world.seconds(2)
        world.vtn.modify("envelope", intervals=[{"payloads": {"EXPORT_CAPACITY_LIMIT": 0.75}}])
        await world.until(world.withdrawn)
        changed = world.orders()[-1]
        assert (changed.id, changed.effects) == (first.id, (Ceiling(Function.EXPORT_LIMIT, Watts(750)),))
        assert changed.version > first.version
        assert (changed.draw, changed.received_ms) == (first.draw, first.received_ms)
        assert world.withdrawn() == [f"{name}/1"]
        assert len(world.orders()) == 3


async def test_a_deleted_event_ends_and_one_of_no_length_too(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        gone, ended = world.issue("gone"), world.issue("ended")
        await world.ordered(f"{gone}/0", f"{ended}/0")
        world.vtn.delete("gone")
        await world.until(world.withdrawn)
        assert world.withdrawn() == [f"{gone}/0"]
        world.vtn.modify("ended", duration_s=0)
        await world.until(lambda: len(world.withdrawn()) == 2)
        assert world.withdrawn()[1] == f"{ended}/0"
        assert world.heard(OrderUnreadable) == []


async def test_what_was_deleted_while_the_gateway_was_down_ends_when_it_is_up(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        plans = [{"payloads": {"EXPORT_CAPACITY_LIMIT": 1.5 + at}, "duration_s": 60} for at in range(9)]
        gone, stays = world.issue("gone"), world.issue("stays", start_s=None, intervals=plans)
        await world.ordered(f"{gone}/0", f"{stays}/8")
        await world.disconnect()
        world.held = [one for one in world.heard(OrderHeard) if one.order.id != f"{stays}/0"]
        world.events.clear()
        world.vtn.delete("gone")
        await world.seconds(70)
        world.connect()
        await world.rounds()
        assert world.withdrawn() == [f"{gone}/0"]
        assert {one.id for one in world.orders()} <= {f"{stays}/0"}


async def test_now_is_when_an_event_was_first_heard(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        name = world.issue("now", start_s=None)
        (first,) = await world.ordered(f"{name}/0")
        assert abs(first.start_ms - world.clock.now_ms()) < 60_000
        assert first.end_ms == first.start_ms + 1000 * HOUR_S
        await world.seconds(120)
        world.vtn.modify("now", payloads={"EXPORT_CAPACITY_LIMIT": 1})
        await world.until(lambda: len(world.orders()) == 2)
        assert (world.orders()[1].start_ms, world.orders()[1].end_ms) == (first.start_ms, first.end_ms)


async def test_targets_are_the_groups_of_the_resources_that_they_name(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        world.vtn.enrol("street gateway", {"HOUSE-1": ["HOUSE-1", "feeder-7"], "house-2": ["house-2"]})
        name = world.issue("one", targets=["HOUSE-1"])
        more = world.issue("feeder", targets=["feeder-7"])
        await world.ordered(f"{name}/0", f"{more}/0")
        assert {(one.group, one.resources) for one in world.heard(Assigned)} == {
            (f"{PARTY}:HOUSE-1", ("house-1",)),
            (f"{PARTY}:feeder-7", ("house-1",)),
        }
        assert {order.scope.group for order in world.orders()} == {f"{PARTY}:HOUSE-1", f"{PARTY}:feeder-7"}


@pytest.mark.parametrize("page_limit", [1, 2, 3, 50])
async def test_every_page_of_a_list_is_read(pem: Path, tmp_path: Path, page_limit: int) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        world.vtn.page_limit = page_limit
        names = [world.issue(f"event {at}") for at in range(7)]
        await world.ordered(*(f"{name}/0" for name in names))
        world.vtn.delete("event 6")
        await world.until(world.withdrawn)
        assert world.withdrawn() == [f"{names[6]}/0"]


async def test_a_vtn_that_shows_what_is_targeted_only_where_it_is_asked_for_is_asked(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        world.vtn.rules.targets_asked = True
        for_all, for_one = world.issue("for all"), world.issue("for one", targets=["house-2"])
        await world.ordered(f"{for_all}/0", f"{for_one}/0")
        await world.rounds(2)
        assert world.withdrawn() == []


async def test_only_the_programs_that_the_site_names_are_obeyed(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path, programs=("envelopes", "nowhere")) as world:
        world.vtn.program("envelopes", descriptors=KW)
        world.issue("other program")
        event = world.vtn.issue("envelopes", "mine", {"IMPORT_CAPACITY_LIMIT": 2.0004}, 0, HOUR_S)
        (order,) = await world.ordered(f"{event['id']}/0")
        assert order.effects == (Floor(Function.IMPORT_LIMIT, Watts(-2_000)),)
        await world.rounds()
        assert len(world.orders()) == 1
        assert world.told("nowhere") == [f'{PARTY}: program "nowhere" is not listed']


async def test_a_subscription_is_the_default_and_outlives_its_event(pem: Path, tmp_path: Path) -> None:
    units = {"EXPORT_CAPACITY_SUBSCRIPTION": "KW", "EXPORT_CAPACITY_LIMIT": "KW"}
    async with VtnWorld(pem, tmp_path) as world:
        payloads = {"EXPORT_CAPACITY_SUBSCRIPTION": 1.25, "EXPORT_CAPACITY_LIMIT": 3}
        name = world.issue("contract", payloads, duration_s=None, descriptors=units)
        await world.ordered(f"{name}/0")
        (heard,) = world.heard(DefaultHeard)
        assert heard.default.effects == (Ceiling(Function.EXPORT_LIMIT, Watts(1_250)),)
        assert (heard.default.issuer, heard.default.group) == (PARTY, f"{PARTY}:*")
        later = world.issue("later", {"EXPORT_CAPACITY_SUBSCRIPTION": 9}, start_s=HOUR_S, descriptors=units)
        await world.rounds(2)
        assert len(world.heard(DefaultHeard)) == 1
        world.vtn.delete("contract")
        await world.until(lambda: world.told("EXPORT_CAPACITY_SUBSCRIPTION"))
        await world.rounds(2)
        assert world.withdrawn() == [f"{name}/0"]
        assert len(world.heard(DefaultHeard)) == 1
        assert len(world.told("the last one holds")) == 1
        world.vtn.modify("later", start_s=0)
        await world.until(lambda: len(world.heard(DefaultHeard)) == 2)
        assert later
        assert world.heard(DefaultHeard)[1].default.effects == (Ceiling(Function.EXPORT_LIMIT, Watts(9_000)),)


async def test_a_subscription_that_moves_to_another_target_leaves_nothing_behind(pem: Path, tmp_path: Path) -> None:
    units = {"EXPORT_CAPACITY_SUBSCRIPTION": "KW"}
    async with VtnWorld(pem, tmp_path) as world:
        payloads = {"EXPORT_CAPACITY_SUBSCRIPTION": 5}
        world.issue("contract", payloads, duration_s=None, descriptors=units, targets=["HOUSE-1"])
        await world.until(lambda: world.heard(DefaultHeard))
        world.vtn.modify("contract", payloads={"EXPORT_CAPACITY_SUBSCRIPTION": 2}, targets=["house-2"])
        await world.until(lambda: len(world.heard(DefaultHeard)) == 3)
        first, moved, left = (heard.default for heard in world.heard(DefaultHeard))
        assert moved.effects == (Ceiling(Function.EXPORT_LIMIT, Watts(2_000)),)
        assert (left.group, left.effects) == (first.group, ())


async def test_one_date_that_leaps_is_not_followed(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        await world.until(lambda: world.heard(Offset))
        told_ms = world.heard(Offset)[-1].offset_ms
        leap_ms = 5 * HOUR_S * 1_000
        lists = 0

        def leaping(request: web.Request) -> None:
            nonlocal lists
            lists += request.path == EVENTS
            world.vtn.date_offset_ms = leap_ms if lists % 8 < 2 else 0

        world.vtn.intercept = leaping
        await world.until(lambda: lists > 24)
        assert [each.offset_ms for each in world.heard(Offset) if abs(each.offset_ms - told_ms) > 60_000] == []
        world.vtn.intercept = None
        world.vtn.date_offset_ms = leap_ms
        await world.until(lambda: abs(world.heard(Offset)[-1].offset_ms - leap_ms) < 60_000)


# -- odd ones


def served(world: VtnWorld, *more: str) -> None:
    """Let the VTN serve its events and these texts among them, whatever they are."""

    def intercept(request: web.Request) -> web.Response | None:
        if request.path != EVENTS:
            return None
        texts = [json.dumps(body) for body in world.vtn.events]
        texts[1:1] = more
        first = int(request.query["skip"])
        return web.Response(text=f"[{','.join(texts[first:])}]", content_type="application/json")

    world.vtn.intercept = intercept


async def test_one_odd_event_is_told_once_and_hides_no_other(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        before, after = world.issue("before"), world.issue("after")
        served(
            world,
            '{"id": "odd-1", "priority": "high"}',
            '{"id": "odd-2", "programID": "p", "priority": -1, "intervals": []}',
            '{"id": "odd-3", "duration": NaN}',
            '{"id": "odd-4", "programID": "p", "intervalPeriod": {"start": "tomorrow"}, "intervals": []}',
            '{"id": "odd-5", "programID": "p", "modificationDateTime": "2026-13-01T00:00:00Z"}',
            '{"id": "odd-6", "intervals": [{"id": 0, "payloads": [{"type": "SIMPLE", "values": [1e999]}]}]}',
            '"no object"',
        )
        await world.ordered(f"{before}/0", f"{after}/0")
        await world.rounds(3)
        odd = world.heard(OrderUnreadable)
        assert sorted(one.id for one in odd) == ["odd-1", "odd-2", "odd-3", "odd-4", "odd-5", "odd-6/0"]
        assert all(one.issuer == PARTY and one.why for one in odd)
        assert len(world.lines) == 7
        assert len({line.partition(":")[2] for line in world.lines}) == 7
        assert len(world.orders()) == 2


async def test_one_odd_interval_hides_no_other_and_ends_nothing_that_it_was(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        plans = [{"payloads": {"EXPORT_CAPACITY_LIMIT": 1.5 + at}, "duration_s": HOUR_S} for at in range(3)]
        name = world.issue("envelope", intervals=plans)
        await world.ordered(f"{name}/0", f"{name}/2")
        world.vtn.modify("envelope", intervals=[*plans[:1], {"payloads": {"EXPORT_CAPACITY_LIMIT": "two"}}, plans[2]])
        await world.until(lambda: world.heard(OrderUnreadable))
        await world.rounds(2)
        (odd,) = world.heard(OrderUnreadable)
        assert (odd.id, odd.group) == (f"{name}/1", f"{PARTY}:*")
        assert odd.why == "EXPORT_CAPACITY_LIMIT: its value is no number"
        assert world.withdrawn() == []
        assert len(world.told(f"{name}/1 cannot be read")) == 1
        world.vtn.modify("envelope", intervals=plans)
        await world.until(lambda: world.orders()[-1].id == f"{name}/2" and len(world.orders()) == 8)


async def test_an_item_without_an_id_ends_nothing(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        stays, gone = world.issue("stays"), world.issue("gone")
        await world.ordered(f"{stays}/0", f"{gone}/0")
        served(world, '{"programID": "p"}')
        await world.until(lambda: world.told("without an id"))
        world.vtn.delete("gone")
        await world.rounds(3)
        assert world.withdrawn() == []
        world.vtn.intercept = None
        await world.until(world.withdrawn)
        assert world.withdrawn() == [f"{gone}/0"]


async def test_a_unit_that_is_missing_is_told_with_what_to_do(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        name = world.issue("bare", {"DISPATCH_SETPOINT": 2}, descriptors={})
        await world.until(lambda: world.heard(OrderUnreadable))
        (odd,) = world.heard(OrderUnreadable)
        assert odd.id == f"{name}/0"
        assert odd.why.startswith("DISPATCH_SETPOINT: no payloadDescriptor tells its unit; give one of ")


async def test_a_list_that_moves_while_it_is_read_ends_nothing(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        names = [world.issue(f"event {at}") for at in range(6)]
        await world.ordered(*(f"{name}/0" for name in names))

        def moving(request: web.Request) -> web.Response | None:
            if request.path != EVENTS:
                return None
            first = int(request.query["skip"])
            bodies = world.vtn.events[:3] if first == 0 else world.vtn.events[4:]
            return web.json_response(bodies)

        contacts = len(world.heard(Contact))
        world.vtn.intercept = moving
        await world.until(lambda: world.told("the list of events changed while it was read"))
        contacts = len(world.heard(Contact))
        await world.polls(3)
        assert len(world.heard(Contact)) == contacts
        assert world.withdrawn() == []
        assert len(world.told("the list of events")) == 1


async def test_what_is_listed_again_after_its_end_holds_again(pem: Path, tmp_path: Path) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        name = world.issue("limit")
        (first,) = await world.ordered(f"{name}/0")

        def empty(request: web.Request) -> web.Response | None:
            return web.json_response([]) if request.path == EVENTS else None

        for count in (1, 2):
            world.vtn.intercept = empty
            await world.until(lambda count=count: len(world.withdrawn()) == count)  # type: ignore[misc]  # bound now
            world.vtn.intercept = None
            await world.until(lambda count=count: len(world.orders()) == count + 1)  # type: ignore[misc]  # bound now
        await world.rounds(2)
        assert [one.version - first.version for one in world.orders()] == [0, 1, 2]
        assert len({one.rank for one in world.orders()}) == 1
        await world.disconnect()
        world.held = world.heard(OrderHeard)[-1:]
        world.events.clear()
        world.connect()
        await world.rounds()
        assert (world.orders(), world.withdrawn()) == ([], [])
        await world.seconds(2)
        world.vtn.modify("limit", payloads={"EXPORT_CAPACITY_LIMIT": 1})
        await world.until(world.orders)
        assert world.orders()[0].version > first.version + 2


async def test_an_event_whose_targets_move_ends_only_when_the_vtn_was_asked_whom_it_is_for(
    pem: Path, tmp_path: Path
) -> None:
    async with VtnWorld(pem, tmp_path) as world:
        name = world.issue("moved", targets=["HOUSE-1"])
        await world.ordered(f"{name}/0")
        body = next(one for one in world.vtn.events if one["id"] == name)

        def serve(*targets: str) -> None:
            moved = {**body, "targets": list(targets), "modificationDateTime": "2027-02-01T00:00:00Z"}

            def intercept(request: web.Request) -> web.Response | None:
                return web.json_response([moved][int(request.query["skip"]) :]) if request.path == EVENTS else None

            world.vtn.intercept = intercept

        world.vtn.resources[1]["targets"].append("feeder-9")
        serve("feeder-9")
        await world.until(lambda: len(world.orders()) == 2)
        assert world.orders()[1].scope.group == f"{PARTY}:feeder-9"
        assert world.withdrawn() == []
        assert world.lines == []
        serve("feeder-10")
        await world.until(lambda: world.told("targets nothing that is known here"))
        assert world.withdrawn() == [f"{name}/0"]
