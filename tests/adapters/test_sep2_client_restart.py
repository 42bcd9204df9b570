"""What outlives a restart of the gateway and an outage of the server: assignments, PIN verdicts, events as heard."""

from pathlib import Path

import pytest
from aiohttp import web
from sep2_world import HOUSES, LIMIT, PARTY, PIN, World, make_pki, program

from gateway.core.events import Assigned, Offset, OrderHeard
from gateway.northbound.sep2_client import Before
from hil.head_end import HeadEnd
from hil.sep2.records import mrid_of
from hil.sep2.tree import Rates
from hil.sep2.utility import POLLED, UtilityTree

HOUR_S = 3600
STREET = f"{PARTY}:{mrid_of('street')}"
FORBIDDEN = 403


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


async def restart(world: World) -> None:
    """Start the link anew with what the machine holds, and forget what was heard before."""
    await world.disconnect()
    assigned = {event.group: event for event in world.heard(Assigned)}
    orders = {event.order.id: event for event in world.heard(OrderHeard)}
    offsets_ms = {event.clock: event.offset_ms for event in world.heard(Offset)}
    world.before = Before(assigned.values, orders.values, offsets_ms.copy)
    world.events.clear()


@pytest.mark.parametrize("lost", ["/edev/3/rg", "/edev/3/fsa", "/edev/3/fsa/1/derp"])
async def test_a_resource_keeps_its_programs_while_the_server_gives_a_part_of_the_tree_alone(
    pki: Path, lost: str
) -> None:
    async with World(pki) as world:
        await world.rounds()
        assert world.heard(Assigned) == [Assigned(PARTY, STREET, HOUSES)]
        await restart(world)
        world.replace(lost, status=FORBIDDEN)
        world.connect()
        world.server.issue("street", "limit", LIMIT, 60, HOUR_S)
        await world.until(world.orders)
        await world.polled(lost)
        assert world.heard(Assigned) == []
        world.mend(lost)
        await world.rounds()
        assert world.heard(Assigned) == []


async def test_a_refused_pin_stays_refused_while_the_registration_cannot_be_read(pki: Path) -> None:
    async with World(pki, server_pins={"house-2": 123455}) as world:
        await world.rounds()
        assert world.heard(Assigned)[-1].resources == HOUSES[:1]
        await restart(world)
        world.replace("/edev/3/rg", status=FORBIDDEN)
        world.connect()
        await world.until(lambda: world.told("GET /edev/3/rg: status 403"))
        await world.polled("/edev/3/rg", 2)
        assert world.heard(Assigned) == []
        assert world.asked()["/edev/3/fsa"] == 0


async def test_a_pin_that_was_changed_meanwhile_is_refused(pki: Path) -> None:
    async with World(pki) as world:
        await world.rounds()
        await restart(world)
        world.edit("/edev/3/rg", (str(PIN), "123455"))
        world.connect()
        await world.until(lambda: world.heard(Assigned))
        assert world.heard(Assigned) == [Assigned(PARTY, STREET, HOUSES[:1])]


async def test_an_event_that_is_heard_again_is_the_one_that_was_heard(pki: Path) -> None:
    async with World(pki, program("street"), tree=UtilityTree) as world:
        world.server.issue("street", "limit", LIMIT, 60, HOUR_S, randomize_start_s=60)
        await world.until(world.orders)
        [before] = world.orders()
        await restart(world)
        world.replace("/edev/1/derp/1/derc", status=FORBIDDEN)
        world.connect()
        await world.until(world.orders)
        assert world.orders() == [before], "drawn as before, and each device answers where it did"


async def test_everything_is_read_again_after_an_outage(pki: Path) -> None:
    tree_rates = Rates(page_limit=50, poll_rate_s=10)
    async with World(pki, program("street"), tree=UtilityTree, rates=tree_rates) as world:
        tree = world.server.tree
        assert isinstance(tree, UtilityTree)
        for name in POLLED.values():
            tree.poll_at(name, HOUR_S)
        tree.poll_at("dcap", 10)
        await world.rounds()
        for path in ("/edev", "/edev/1/fsa", "/edev/1/derp/1/derc"):
            assert world.asked()[path] == 1, path
        await world.server.set_outage("refuse")
        await world.until(lambda: world.told("out of reach"))
        world.server.issue("street", "limit", LIMIT, 60, 2 * HOUR_S)
        await world.server.set_outage("none")
        await world.until(world.orders)
        await world.rounds()
        for path in ("/edev", "/edev/1/fsa", "/edev/1/fsa/1/derp", "/edev/1/derp/1/derc"):
            assert world.asked()[path] == 2, path


async def test_a_server_that_answers_a_little_at_a_time_is_read_whole_in_the_end(pki: Path) -> None:
    left = [6]

    class Weary(HeadEnd):
        """Busy after six answers, until it was asked for its DeviceCapability in vain."""

        async def _answer(self, request: web.Request) -> web.Response:
            if left[0]:
                left[0] -= 1
                return await super()._answer(request)
            if request.path == "/dcap":
                left[0] = 6
            return web.Response(status=503)

    world = World(pki, rates=Rates(page_limit=50, poll_rate_s=HOUR_S), may_write=False)
    world.server.__class__ = Weary
    async with world:
        await world.rounds()
        assert world.told("out of reach")
