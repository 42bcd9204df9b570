"""Assignments with a clock of their own: their events run on it, and are answered by it."""

from pathlib import Path

import pytest
from sep2_world import LIMIT, PARTY, World, make_pki

from gateway.core.answers import Answer, Kind
from gateway.core.events import Contact, Offset
from gateway.core.orders import Order
from hil.sep2.utility import POLLED, UtilityTree

AHEAD_S = 90
BACK_S = -40
HOUR_S = 3600
NEAR_MS = 5_000
"""What a machine that stalls for a second does to an offset here."""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


def tree_of(world: World) -> UtilityTree:
    assert isinstance(world.server.tree, UtilityTree)
    return world.server.tree


def two_clocks(pki: Path) -> World:
    """A server with two assignments, of one program each; the second has a clock of its own, at /tm/2."""
    world = World(pki, tree=UtilityTree, clock_rate=5)
    tree = tree_of(world)
    tree.programs.clear()
    for number in (1, 2):
        tree.add_program(primacy=number, assignment=number)
    tree.clocks_ms = {2: 1000 * AHEAD_S}
    for name in ("dcap", *POLLED.values()):
        tree.poll_at(name, 2)
    return world


def shows(world: World, clock: str, ahead_s: int) -> bool:
    """Whether a clock was heard to be so far ahead, the last time that it was heard of."""
    heard = [event.offset_ms for event in world.heard(Offset) if event.clock == clock]
    return bool(heard) and abs(heard[-1] - 1000 * ahead_s) <= NEAR_MS


def offsets_ms(world: World, clock: str) -> list[int]:
    return [event.offset_ms for event in world.heard(Offset) if event.clock == clock]


def answer(serial: int, order: Order, at_ms: int) -> Answer:
    to = order.reply.to
    return Answer(serial, order.key, 0, "house-1", Kind.RECEIVED, at_ms, "A3", "", to, clock=order.clock)


async def test_events_run_on_the_clock_of_their_assignment_and_are_answered_by_it(pki: Path) -> None:
    async with two_clocks(pki) as world:
        plain = world.server.issue("1", "plain", LIMIT, 60, HOUR_S)
        ahead = world.server.issue("2", "ahead", LIMIT, 60 + AHEAD_S, HOUR_S)
        await world.until(lambda: len(world.orders()) == 2)
        assert shows(world, "", 0)
        assert shows(world, "/tm/2", AHEAD_S)
        orders = {order.id: order for order in world.orders()}
        assert (orders[plain.mrid].clock, orders[ahead.mrid].clock) == ("", "/tm/2")
        assert orders[ahead.mrid].start_ms == 1000 * ahead.start_s, "times stay on their own clock"
        at_ms = world.clock.now_ms()
        for serial, order in enumerate(orders.values(), 1):
            world.link.owe(answer(serial, order, at_ms))
        await world.until(lambda: len(world.answers()) == 2)
        said = {one.mrid: (one.created_s or 0) - at_ms // 1000 for one in world.server.tree.intake.answers}
        assert abs(said[plain.mrid]) <= NEAR_MS // 1000
        assert abs(said[ahead.mrid] - AHEAD_S) <= NEAR_MS // 1000
        assert world.lines == []


async def test_the_clock_of_an_assignment_is_read_again_at_its_rate(pki: Path) -> None:
    async with two_clocks(pki) as world:
        await world.rounds(3)
        assert shows(world, "/tm/2", AHEAD_S)
        assert world.asked()["/tm/2"] >= 3, "asked for as often as the others"
        tree_of(world).clocks_ms = {2: 1000 * BACK_S}
        await world.until(lambda: shows(world, "/tm/2", BACK_S))
        assert shows(world, "", 0), "the other clock goes on as it went"


async def test_a_clock_that_cannot_be_read_goes_on_as_it_went(pki: Path) -> None:
    async with two_clocks(pki) as world:
        await world.rounds()
        world.replace("/tm/2", status=403)
        await world.until(lambda: world.told("GET /tm/2: status 403; what is in force holds"))
        before = offsets_ms(world, "/tm/2")
        world.server.issue("2", "ahead", LIMIT, 60 + AHEAD_S, HOUR_S)
        await world.until(world.orders)
        assert world.orders()[0].clock == "/tm/2"
        assert offsets_ms(world, "/tm/2") == before


async def test_events_of_a_clock_that_was_never_known_are_heard_all_the_same(pki: Path) -> None:
    world = two_clocks(pki)
    world.replace("/tm/2", status=403)
    async with world:
        world.server.issue("2", "ahead", LIMIT, 60 + AHEAD_S, HOUR_S)
        await world.until(world.orders)
        await world.polled("/tm/2", 2)
        assert [order.clock for order in world.orders()] == ["/tm/2"]
        assert world.heard(Contact) == [], "it is no complete read"
        world.mend("/tm/2")
        await world.until(lambda: shows(world, "/tm/2", AHEAD_S))
        await world.rounds()
        assert len(world.orders()) == 1


async def test_an_event_keeps_the_clock_that_it_began_with(pki: Path) -> None:
    async with two_clocks(pki) as world:
        world.server.issue("2", "ahead", LIMIT, 60 + AHEAD_S, HOUR_S)
        await world.until(world.orders)
        tree_of(world).clocks_ms = {}
        await world.rounds(3)
        assert [order.clock for order in world.orders()] == ["/tm/2"]
        assert all(event.issuer == PARTY for event in world.heard(Offset))
