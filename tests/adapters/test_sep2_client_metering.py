"""Meter readings on their way to a server: spans of its clock, one body for each usage point, kept until taken in."""

import logging
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web
from sep2_world import PARTY, World, known, lfdi, make_pki, sample

from gateway.core.aggregate import ConnectionReading, picture
from gateway.core.known import Unknown
from gateway.northbound.sep2_client import metering
from gateway.northbound.sep2_client.exchange import Exchange
from gateway.northbound.sep2_client.metering import Metering
from gateway.northbound.sep2_client.said import Said
from gateway.northbound.sep2_client.sending import Sender
from gateway.northbound.sep2_client.telemetry import Place
from gateway.pki import tls
from hil.head_end import HeadEnd
from hil.sep2 import bodies
from hil.sep2.records import PostedReading

HOUSE_1 = lfdi("house-1")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


def powers(world: World, role: str = "0049", who: str = HOUSE_1) -> list[PostedReading]:
    """Give the readings of active power of a usage point, in order of arrival."""
    intake = world.server.tree.intake
    points = {one.mrid for one in intake.usage_points if (one.lfdi, one.role_flags) == (who, role)}
    return [one for one in intake.readings if one.usage_point in points and one.uom == 38]


async def test_all_readings_of_a_usage_point_go_in_one_body(pki: Path) -> None:
    async with World(pki, post_s=10) as world:
        world.rates.post_rate_s = 10
        await world.until(lambda: len(powers(world)) >= 4)
        posts = Counter(
            path for _at, method, path, _status in world.server.requests if method == "POST" and path != "/mup"
        )
        readings = Counter((one.usage_point, one.start_s) for one in world.server.tree.intake.readings)
        assert set(readings.values()) == {3}, "power, reactive power and voltage of each span, and none of them twice"
        assert sum(posts.values()) <= len(readings) + 3
        assert world.lines == []


class Picky(HeadEnd):
    """Takes no MirrorMeterReadingList."""

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path.startswith("/mup/") and bodies.root_name(await request.read()) == "MirrorMeterReadingList":
            return web.Response(status=400)
        return await super()._answer(request)


async def test_a_server_that_takes_no_list_is_sent_each_reading_alone(pki: Path) -> None:
    world = World(pki, post_s=10)
    world.server.__class__ = Picky
    world.rates.post_rate_s = 10
    async with world:
        await world.until(lambda: len(powers(world)) >= 3)
        refused = [path for _at, method, path, status in world.server.requests if method == "POST" and status == 400]
        assert len(refused) == 1, "it is asked once"
        assert {one.uom for one in world.server.tree.intake.readings} == {38, 63, 29}
        assert world.lines == []


async def test_spans_begin_and_end_on_multiples_of_the_rate_without_gap_or_overlap(pki: Path) -> None:
    async with World(pki, post_s=20) as world:
        world.rates.post_rate_s = 20
        await world.until(lambda: len(powers(world)) >= 6)
        spans = [(one.start_s or 0, one.duration_s or 0) for one in powers(world)]
        assert all(start_s % 20 == 0 and duration_s % 20 == 0 for start_s, duration_s in spans)
        assert all(start_s + duration_s == after_s for (start_s, duration_s), (after_s, _) in pairwise(spans))


@pytest.mark.parametrize("takes_lists", [True, False], ids=["in one set", "each alone"])
async def test_readings_of_an_outage_are_sent_when_it_is_over(pki: Path, takes_lists: bool) -> None:
    world = World(pki, post_s=10)
    if not takes_lists:
        world.server.__class__ = Picky
    world.rates.post_rate_s = 10
    async with world:
        await world.until(lambda: powers(world))
        await world.server.set_outage("error")
        await world.seconds(60)
        world.samples = [sample("house-1", known(700)), sample("house-2", known(700))]
        await world.seconds(60)
        await world.server.set_outage("none")
        began_s = powers(world)[0].start_s or 0
        await world.until(lambda: [one for one in powers(world) if (one.start_s or 0) >= began_s + 100])
        assert powers(world)[-1].value == 700
        spans = [(one.start_s or 0, one.duration_s or 0) for one in powers(world)]
        distinct = sorted(set(spans))
        assert all(start_s + duration_s == after_s for (start_s, duration_s), (after_s, _) in pairwise(distinct))
        if takes_lists:
            posted = Counter(spans)
            assert max(posted.values()) == 1, "nothing is sent twice"


async def test_the_post_rate_of_an_end_device_is_obeyed_at_once(pki: Path) -> None:
    async with World(pki, post_s=600) as world:
        world.rates.post_rate_s = 600
        await world.until(lambda: world.asked("POST")["/mup"] == 3)
        assert not powers(world)
        world.edit("/edev", ("<RegistrationLink", "<postRate>20</postRate><RegistrationLink"))
        await world.until(lambda: len(powers(world)) >= 3)
        assert all((one.duration_s or 0) % 20 == 0 and (one.duration_s or 0) < 600 for one in powers(world)[1:])


async def test_a_connection_point_is_shown_beside_its_der(pki: Path) -> None:
    world = World(pki, post_s=10)
    world.rates.post_rate_s = 10
    world.connections = {"house-1": ConnectionReading(known(1_200), known(80), known(231_000))}
    async with world:
        await world.until(lambda: powers(world, "0003") and powers(world))
        [site, der] = [powers(world, role)[-1] for role in ("0003", "0049")]
        assert (site.value, site.flow_direction) == (-1_200, 1), "export is negative of what is delivered"
        assert (der.value, der.flow_direction) == (2_000, 19)
        assert not powers(world, "0003", lfdi("house-2")), "nobody meters it"
        assert world.asked("POST")["/mup"] == 4
        world.connections = {
            "house-1": ConnectionReading(Unknown("dead", 0), Unknown("dead", 0), Unknown("dead", 0)),
        }
        count = len(powers(world))
        await world.until(lambda: len(powers(world)) >= count + 4)
        await world.until(lambda: powers(world)[-1].start_s != powers(world, "0003")[-1].start_s, "unknown is not sent")


# -- what is kept, without a server


def keeper(pki: Path, post_s: int = 60) -> Metering:
    context = tls.client_context(pki / "gateway.pem", pki / "gateway.key", pki / "serca.pem")
    exchange, said = Exchange("https://127.0.0.1:1/dcap", context, may_write=True), Said(PARTY)
    return Metering(PARTY, exchange, Sender(exchange, said), said, {"house-1": HOUSE_1, "": "AB" * 20}, post_s)


def fill(kept: Metering, from_s: int, to_s: int, step_s: int = 60) -> None:
    for now_s in range(from_s, to_s, step_s):
        kept.sample(picture([sample("house-1", known(1_000))], 1000 * now_s), now_s)


def test_the_newest_day_is_kept_and_the_gap_is_said_once(pki: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept, noon_s = keeper(pki), 1_800_014_400
    with caplog.at_level(logging.WARNING):
        fill(kept, noon_s, noon_s + 86_400)
        assert not caplog.records
        fill(kept, noon_s + 86_400, noon_s + 2 * 86_400)
    assert kept.kept == 2 * 1_440, "a day of one resource and of the whole"
    assert [record.getMessage() for record in caplog.records] == [
        "dso: readings older than a day, or too many, are dropped unsent; there is a gap"
    ]


def test_no_more_is_kept_than_memory_allows(pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "KEPT_MOST", 10)
    kept, noon_s = keeper(pki), 1_800_014_400
    fill(kept, noon_s, noon_s + 3_600)
    assert kept.kept == 10
    newest = [slots[-1].start_s for slots in kept._kept.values()]
    assert set(newest) == {noon_s + 3_480}, "the oldest go first"


def test_a_clock_that_is_set_begins_a_new_span(pki: Path) -> None:
    kept, noon_s = keeper(pki), 1_800_014_400
    fill(kept, noon_s, noon_s + 120, 5)
    fill(kept, noon_s - 3_600, noon_s - 3_480, 5)
    spans = [(slot.start_s - noon_s, slot.duration_s) for slot in kept._kept[Place("house-1")]]
    assert spans == [(0, 60), (-3_600, 60)]


def test_a_span_begins_on_a_whole_minute_and_ends_with_the_rate(pki: Path) -> None:
    kept, noon_s = keeper(pki, 300), 1_800_014_400
    fill(kept, noon_s + 61, noon_s + 700, 5)
    spans = [(slot.start_s - noon_s, slot.duration_s) for slot in kept._kept[Place("house-1")]]
    assert spans == [(120, 180), (300, 300)]
