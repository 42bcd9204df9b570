"""Programs and events that several EndDevices share: one order, and each EndDevice answers where its own copy says."""

from dataclasses import replace
from pathlib import Path

import pytest
from sep2_world import HOUSES, LIMIT, PARTY, POLL_S, World, lfdi, make_pki, program

from gateway.core.answers import Kind
from gateway.core.events import Assigned, Contact, DefaultHeard, OrderUnreadable, Withdrawal, Withdrawn
from gateway.core.orders import Reply
from hil.sep2.records import mrid_of
from hil.sep2.utility import POLLED, UtilityTree

HOUR_S = 3600
REPLY = {house: f"/edev/{number}/rsps/site_control/rsp" for number, house in enumerate(HOUSES, 1)}
CONTROLS = {house: f"/edev/{number}/derp/1/derc" for number, house in enumerate(HOUSES, 1)}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


def shared(pki: Path) -> World:
    """A server that lists one program below each of two EndDevices, with addresses of its own below each."""
    world = World(pki, program("street", default={"opModExpLimW": 3000}), tree=UtilityTree)
    assert isinstance(world.server.tree, UtilityTree)
    for name in ("dcap", *POLLED.values()):
        world.server.tree.poll_at(name, POLL_S)
    return world


async def test_an_event_of_two_devices_is_one_order_that_each_answers_at_its_own_place(pki: Path) -> None:
    async with shared(pki) as world:
        await world.rounds()
        control = world.server.issue("street", "limit", LIMIT, 60, 300)
        await world.until(world.orders)
        await world.rounds(2)
        assert world.heard(Assigned) == [Assigned(PARTY, f"{PARTY}:{mrid_of('street')}", HOUSES)]
        assert len(world.heard(DefaultHeard)) == 1
        [order] = world.orders()
        assert order.id == control.mrid
        assert order.reply.to == REPLY["house-1"]
        assert order.reply.at == (("house-2", REPLY["house-2"]),)
        assert all(world.asked()[path] > 1 for path in CONTROLS.values())
        for number, house in enumerate(HOUSES, 1):
            to = dict(order.reply.at).get(house, order.reply.to)
            world.owe(replace(order, reply=Reply(to)), Kind.RECEIVED, resource=house, first=number)
        await world.until(lambda: len(world.answers()) == 2)
        posted = world.server.tree.intake.response_models
        assert {path: [one.endDeviceLFDI for one in given] for path, given in posted.items()} == {
            REPLY[house]: [lfdi(house)] for house in HOUSES
        }
        assert world.lines == []


async def test_a_copy_that_is_listed_later_is_answered_at_its_place_from_then_on(pki: Path) -> None:
    async with shared(pki) as world:
        empty = world.body(CONTROLS["house-2"])
        world.replace(CONTROLS["house-2"], empty)
        world.server.issue("street", "limit", LIMIT, 60, HOUR_S)
        await world.until(world.orders)
        assert world.orders()[0].reply.at == ()
        world.mend(CONTROLS["house-2"])
        await world.until(lambda: len(world.orders()) == 2)
        assert world.orders()[1].reply.at == (("house-2", REPLY["house-2"]),)
        assert world.orders()[0].draw == world.orders()[1].draw


async def test_a_copy_that_vanishes_is_answered_where_it_was(pki: Path) -> None:
    async with shared(pki) as world:
        empty = world.body(CONTROLS["house-1"])
        world.server.issue("street", "limit", LIMIT, 60, HOUR_S)
        await world.until(world.orders)
        world.replace(CONTROLS["house-1"], empty)
        await world.rounds(3)
        world.mend(CONTROLS["house-1"])
        world.replace(CONTROLS["house-2"], empty)
        await world.rounds(3)
        assert len(world.orders()) == 1
        assert world.heard(Withdrawn) == []


async def test_a_new_event_is_looked_for_below_every_device_at_once(pki: Path) -> None:
    async with shared(pki) as world:
        await world.rounds()
        world.replace(CONTROLS["house-2"], status=403)
        await world.until(lambda: world.told("status 403"))
        world.mend(CONTROLS["house-2"])
        await world.rounds()
        world.server.issue("street", "limit", LIMIT, 60, HOUR_S)
        await world.until(world.orders)
        assert world.orders()[0].reply.at == (("house-2", REPLY["house-2"]),)


async def test_an_event_is_withdrawn_once_when_any_copy_says_so(pki: Path) -> None:
    async with shared(pki) as world:
        control = world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
        await world.until(world.orders)
        active = world.body(CONTROLS["house-1"])
        world.replace(CONTROLS["house-1"], active)
        world.server.cancel("limit")
        await world.until(lambda: world.heard(Withdrawn))
        world.mend(CONTROLS["house-1"])
        await world.rounds(2)
        assert world.heard(Withdrawn) == [Withdrawn(PARTY, control.mrid, Withdrawal.CANCELLED, 0)]


async def test_a_copy_that_cannot_be_read_is_made_good_by_another(pki: Path) -> None:
    async with shared(pki) as world:
        await world.rounds()
        world.server.issue("street", "limit", LIMIT, 60, HOUR_S)
        world.edit(CONTROLS["house-1"], ("<duration>", "<duration>a"))
        await world.until(world.orders)
        await world.rounds(2)
        assert world.heard(OrderUnreadable) == []
        assert {world.orders()[-1].reply.to, *dict(world.orders()[-1].reply.at).values()} == set(REPLY.values())


async def test_one_list_that_fails_keeps_the_other_and_the_contact_lapses(pki: Path) -> None:
    async with shared(pki) as world:
        await world.rounds()
        world.replace(CONTROLS["house-1"], status=404)
        await world.polled(CONTROLS["house-1"])
        before = len(world.heard(Contact))
        world.server.issue("street", "limit", LIMIT, 60, HOUR_S)
        await world.until(world.orders)
        assert len(world.heard(Contact)) == before
        world.mend(CONTROLS["house-1"])
        await world.rounds()
        assert world.orders()[-1].reply.to in REPLY.values()
