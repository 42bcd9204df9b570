"""What a server is told of each EndDevice itself: its connection point, once, and again where it is another."""

from pathlib import Path

import pytest
from sep2_world import World, lfdi, make_pki

from gateway.northbound.sep2_client.config import DeviceIdentity
from gateway.wire.sep2 import Dialect
from gateway.wire.sep2.namespaces import NAMESPACE

NMI = "QB0123456789"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


async def test_a_connection_point_is_put_once(pki: Path) -> None:
    world = World(pki)
    world.connection_points = {"house-1": NMI}
    async with world:
        papers = world.server.tree.papers
        await world.until(lambda: papers.connection_points)
        await world.rounds(5)
        assert papers.connection_points == {"house-1": NMI}
        assert world.asked("PUT")["/edev/2/cp"] == 1
        assert not world.asked("GET", "PUT")["/edev/3/cp"], "the site file says nothing of it"
        await world.disconnect()
        world.connect()
        await world.rounds(2)
        await world.until(lambda: world.asked()["/edev/2/cp"] == 2)
        assert world.asked("PUT")["/edev/2/cp"] == 1, "after a restart it is there already"
        assert world.lines == []


async def test_another_connection_point_is_put_right_once_the_device_was_changed(pki: Path) -> None:
    world = World(pki)
    world.connection_points = {"house-1": NMI}
    world.server.tree.papers.connection_points["house-1"] = "another"
    async with world:
        papers = world.server.tree.papers
        await world.until(lambda: papers.connection_points["house-1"] == NMI)
        papers.connection_points["house-1"] = "another"
        await world.rounds(3)
        assert papers.connection_points["house-1"] == "another", "nobody says that anything was changed"
        world.server.tree._born_s += 1
        await world.until(lambda: papers.connection_points["house-1"] == NMI)


async def test_a_connection_point_that_is_refused_is_said_and_put_again_a_quarter_of_an_hour_later(pki: Path) -> None:
    world = World(pki, clock_rate=1_000)
    world.connection_points = {"house-1": NMI}
    papers = world.server.tree.papers
    papers.taken = frozenset({"none of ours"})
    async with world:
        await world.until(lambda: world.told("check connection_point_id"))
        assert world.told("check") == ["dso: does not take what house-1 is: refused; check connection_point_id"]
        papers.taken = None
        await world.until(lambda: papers.connection_points)
        puts = [
            at_ms for at_ms, method, path, _status in world.server.requests if (method, path[-3:]) == ("PUT", "/cp")
        ]
        assert puts[1] - puts[0] >= 899_000


@pytest.mark.parametrize("registers", [True, False], ids=["in band", "out of band"])
async def test_where_the_device_has_no_link_it_is_put_below_it_in_band_alone(pki: Path, registers: bool) -> None:
    world = World(pki, registers=registers)
    world.connection_points = {"house-1": NMI}
    link = '<csipaus:ConnectionPointLink href="/edev/2/cp"/>'
    world.edit("/edev", (link, ""))
    async with world:
        papers = world.server.tree.papers
        if registers:
            await world.until(lambda: papers.connection_points == {"house-1": NMI})
        else:
            await world.until(lambda: world.told("has no ConnectionPointLink"))
            await world.rounds(2)
            assert len(world.told("has no ConnectionPointLink")) == 1
            assert papers.connection_points == {}


async def test_a_gateway_that_may_not_write_tells_nothing(pki: Path) -> None:
    world = World(pki, may_write=False)
    world.connection_points = {"house-1": NMI}
    async with world:
        await world.rounds(3)
        assert world.asked("PUT") == {}
        assert not world.asked()["/edev/2/cp"]


async def test_device_information_is_put_once_and_when_the_site_file_says_another(pki: Path) -> None:
    world = World(pki)
    world.identities = {"house-1": DeviceIdentity(40_732, "Sun 5000", "SN-1", hardware="B")}
    async with world:
        papers = world.server.tree.papers
        await world.until(lambda: papers.information)
        await world.rounds(3)
        kept = papers.information["house-1"]
        assert (kept["mfID"], kept["mfModel"], kept["mfSerNum"], kept["mfHwVer"], kept["swVer"]) == (
            "40732",
            "Sun 5000",
            "SN-1",
            "B",
            "unknown",
        )
        assert kept["lFDI"] == lfdi("house-1")
        assert world.asked("PUT")["/edev/2/di"] == 1
        assert world.lines == []
        await world.disconnect()
        world.connect()
        await world.rounds(2)
        assert world.asked("PUT")["/edev/2/di"] == 1, "it is there already"
        await world.disconnect()
        world.identities = {"house-1": DeviceIdentity(40_732, "Sun 5000", "SN-2")}
        world.connect()
        await world.until(lambda: papers.information["house-1"]["mfSerNum"] == "SN-2")


async def test_a_profile_without_connection_points_is_said_once_and_nothing_is_put(pki: Path) -> None:
    world = World(pki)
    world.connection_points = {"house-1": NMI}
    world.dialect = Dialect(2018, NAMESPACE)
    async with world:
        await world.until(lambda: world.told("has no ConnectionPoint"))
        await world.rounds(3)
        assert len(world.told("has no ConnectionPoint")) == 1
        assert not world.asked("GET", "PUT")["/edev/2/cp"]
