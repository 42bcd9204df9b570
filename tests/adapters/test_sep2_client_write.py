"""What the server is sent: answers until they are acknowledged, ratings, settings, status and readings."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sep2_world import CODES, HOUSES, LIMIT, World, known, lfdi, make_pki, program, sample

from gateway.core.answers import Kind
from gateway.core.events import Contact
from gateway.core.known import Unknown
from gateway.core.orders import Order, Reply
from gateway.northbound.sep2_client import exchange, telemetry
from gateway.northbound.sep2_client.telemetry import Place
from gateway.pki import tls
from hil.head_end import HeadEnd

HOUR_S = 3600
RESPONSES = "/rsps/1/rsp"
UNSEEN = Unknown("out of reach", 0)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


async def ordered(world: World, name: str = "limit") -> Order:
    before = len(world.orders())
    world.server.issue("street", name, LIMIT, 0, HOUR_S)
    await world.until(lambda: len(world.orders()) > before)
    return world.orders()[-1]


# -- answers


async def test_answers_arrive_in_order_for_the_der_itself(pki: Path) -> None:
    async with World(pki) as world:
        world.server.tree.time_offset_ms = 90_000_000
        order = await ordered(world)
        world.owe(order, Kind.RECEIVED, Kind.STARTED, Kind.COMPLETED)
        world.owe(order, Kind.RECEIVED, Kind.STARTED, Kind.CANCELLED, resource="house-2", first=4)
        await world.until(lambda: len(world.delivered()) == 6)
        assert world.answers() == [
            ("limit", "house-1", 1),
            ("limit", "house-1", 2),
            ("limit", "house-1", 3),
            ("limit", "house-2", 1),
            ("limit", "house-2", 2),
            ("limit", "house-2", 6),
        ]
        assert world.delivered() == [1, 2, 3, 4, 5, 6]
        first = world.server.tree.intake.answers[0]
        assert first.lfdi == lfdi("house-1")
        assert first.created_s is not None
        assert abs(first.created_s - world.server.tree.now_s()) < HOUR_S, "answers bear the server's time"
        model = world.server.tree.intake.response_models[RESPONSES][0]
        assert model.subject == order.id, "the mRID as the server wrote it"


async def test_the_code_of_every_answer(pki: Path) -> None:
    statuses = {
        Kind.RECEIVED: 1,
        Kind.STARTED: 2,
        Kind.COMPLETED: 3,
        Kind.CANCELLED: 6,
        Kind.SUPERSEDED: 7,
        Kind.PARTIAL: 8,
        Kind.CANNOT: 252,
        Kind.UNCARRIED: 252,
        Kind.REFUSED: 253,
        Kind.EXPIRED: 254,
    }
    async with World(pki) as world:
        order = await ordered(world)
        world.owe(order, Kind.SUSPENDED, *statuses)
        world.owe(order, Kind.CANNOT, first=12, unserved=True)
        await world.until(lambda: len(world.delivered()) == 12, "what has no code is done with as well")
        assert [status for _event, _resource, status in world.answers()] == [*statuses.values(), 10]


def test_every_kind_of_answer_has_a_code_or_is_known_to_have_none() -> None:
    assert {kind.value for kind in Kind} - set(CODES) == {"suspended"}


@pytest.mark.parametrize("outage", ["refuse", "error", "hang"])
async def test_answers_outlive_an_outage_in_order_and_once(
    pki: Path, outage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "TIMEOUT_S", 0.4)
    async with World(pki) as world:
        orders = [await ordered(world, name) for name in ("one", "two")]
        await world.server.set_outage(outage)  # type: ignore[arg-type]  # one of its literals
        world.owe(orders[0], Kind.RECEIVED, Kind.STARTED, Kind.SUPERSEDED)
        world.owe(orders[1], Kind.RECEIVED, Kind.STARTED, first=4)
        await world.seconds(100)
        assert world.delivered() == []
        await world.server.set_outage("none")
        await world.until(lambda: len(world.delivered()) == 5)
        assert world.answers() == [
            ("one", "house-1", 1),
            ("one", "house-1", 2),
            ("one", "house-1", 7),
            ("two", "house-1", 1),
            ("two", "house-1", 2),
        ]


async def test_an_answer_that_got_lost_on_its_way_back_is_sent_again_with_the_same_meaning(pki: Path) -> None:
    class Forgetful(HeadEnd):
        async def _answer(self, request: web.Request) -> web.Response:
            answer = await super()._answer(request)
            if request.path == RESPONSES and len(self.tree.intake.answers) < 3:
                return web.Response(status=504)
            return answer

    world = World(pki)
    world.server.__class__ = Forgetful
    async with world:
        order = await ordered(world)
        world.owe(order, Kind.RECEIVED, Kind.STARTED)
        await world.until(lambda: world.delivered() == [1, 2])
        assert world.answers() == [("limit", "house-1", 1)] * 3 + [("limit", "house-1", 2)]


async def test_an_answer_stays_owed_while_the_server_does_not_know_our_certificate(pki: Path) -> None:
    refusals = iter((403, 401, 403))

    class Unregistered(HeadEnd):
        async def _answer(self, request: web.Request) -> web.Response:
            status = next(refusals, None) if request.path == RESPONSES else None
            return await super()._answer(request) if status is None else web.Response(status=status)

    world = World(pki)
    world.server.__class__ = Unregistered
    async with world:
        world.owe(await ordered(world), Kind.RECEIVED)
        await world.until(lambda: world.delivered() == [1])
        assert world.answers() == [("limit", "house-1", 1)]


async def test_an_answer_that_is_refused_is_given_up_with_one_line(pki: Path) -> None:
    async with World(pki) as world:
        order = await ordered(world)
        stranger = replace(order, id="ABCDEF0123456789ABCDEF0123456789")
        world.owe(stranger, Kind.RECEIVED)
        world.owe(order, Kind.RECEIVED, first=2)
        await world.until(lambda: world.delivered() == [1, 2])
        await world.seconds(100)
        assert world.asked("POST")[RESPONSES] == 2
        assert world.told("is not sent again") == [
            f"the answer received to {stranger.id} for house-1 is not sent again: the server refuses it with status 400"
        ]


@pytest.mark.parametrize(
    ("to", "subject", "resource", "why"),
    [
        pytest.param("https://127.0.0.1:1/rsp", "", "house-1", "the link leaves the server", id="another host"),
        pytest.param("http://[", "", "house-1", "no address", id="no address"),
        pytest.param(RESPONSES, "not hex", "house-1", "not sent, DERControlResponse/subject", id="not writable"),
        pytest.param(RESPONSES, "", "house-9", "not known to this server", id="unknown resource"),
    ],
)
async def test_an_answer_that_cannot_be_sent_holds_up_no_other(
    pki: Path, to: str, subject: str, resource: str, why: str
) -> None:
    async with World(pki) as world:
        order = await ordered(world)
        hopeless = replace(order, id=subject or order.id, reply=Reply(to, receipt=True, progress=True))
        world.owe(hopeless, Kind.RECEIVED, resource=resource)
        world.owe(order, Kind.RECEIVED, first=2)
        await world.until(lambda: world.delivered() == [1, 2])
        assert world.answers() == [("limit", "house-1", 1)]
        assert len(world.told("is not sent again")) == 1
        assert why in world.told("is not sent again")[0]


async def test_an_answer_that_the_server_chokes_on_holds_up_no_other_order_for_ever(pki: Path) -> None:
    class Choking(HeadEnd):
        async def _answer(self, request: web.Request) -> web.Response:
            if request.path == RESPONSES and lfdi("house-1").encode() in await request.read():
                return web.Response(status=500)
            return await super()._answer(request)

    world = World(pki)
    world.server.__class__ = Choking
    async with world:
        order = await ordered(world)
        world.owe(order, Kind.RECEIVED, Kind.STARTED)
        world.owe(order, Kind.RECEIVED, Kind.STARTED, resource="house-2", first=3)
        await world.until(lambda: world.delivered() == [3, 4])
        assert world.answers() == [("limit", "house-2", 1), ("limit", "house-2", 2)]
        world.server.__class__ = HeadEnd
        await world.until(lambda: world.delivered() == [3, 4, 1, 2])


async def test_answers_wait_until_the_servers_clock_is_known(pki: Path) -> None:
    world = World(pki)
    world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
    world.replace("/tm", status=404)
    async with world:
        control = next(iter(world.server.tree.programs[0].controls.values()))
        await world.polled("/tm")
        world.mend("/tm")
        await world.until(world.orders)
        order = world.orders()[0]
        assert order.id == control.mrid
        await world.disconnect()
        world.replace("/tm", status=404)
        world.connect()
        world.owe(order, Kind.RECEIVED)
        await world.polled("/tm", 2)
        assert world.answers() == []
        world.mend("/tm")
        await world.until(world.answers)


async def test_a_gateway_that_may_not_write_sends_nothing_and_keeps_what_it_owes(pki: Path) -> None:
    async with World(pki, may_write=False, post_s=5) as world:
        order = await ordered(world)
        world.owe(order, Kind.RECEIVED, Kind.STARTED)
        await world.rounds(3)
        assert world.asked("POST", "PUT") == {}
        assert world.delivered() == []


async def test_an_exchange_that_may_not_write_opens_nothing(pki: Path) -> None:
    context = tls.client_context(pki / "gateway.pem", pki / "gateway.key", pki / "serca.pem")
    mute = exchange.Exchange("https://127.0.0.1:1/dcap", context, may_write=False)
    async with mute:
        assert await mute.send("PUT", "/x", telemetry.usage_point(lfdi("house-1"), Place("house-1"))) is None


# -- ratings, settings and status


async def test_ratings_and_settings_are_put_once_and_when_they_change(pki: Path) -> None:
    async with World(pki, post_s=10) as world:
        world.rates.post_rate_s = 10
        base = "/edev/2/der/1"
        await world.until(lambda: world.asked("PUT")[f"{base}/ders"] >= 3)
        documents = world.server.tree.intake.documents
        capability: Any = documents[f"{base}/dercap"].document
        settings: Any = documents[f"{base}/derg"].document
        assert (capability.rtgMaxW.value, capability.rtgMaxW.multiplier, capability.type_) == (5000, 0, 4)
        assert (capability.modesSupported, capability.doeModesSupported) == ("07FFFFFC", "0F")
        assert settings.setMaxW.value == 5000
        assert abs(settings.updatedTime - world.server.tree.now_s()) < HOUR_S
        assert [world.asked("PUT")[f"{base}/{name}"] for name in ("dercap", "derg")] == [1, 1]
        world.samples[0] = world.samples[0]._replace(generation_max_w=4000)
        await world.until(lambda: world.asked("PUT")[f"{base}/derg"] == 2)
        changed: Any = documents[f"{base}/derg"].document
        assert changed.setMaxW.value == 4000
        before = world.asked("PUT")[f"{base}/ders"]
        await world.until(lambda: world.asked("PUT")[f"{base}/ders"] >= before + 2)
        assert [world.asked("PUT")[f"{base}/{name}"] for name in ("dercap", "derg")] == [1, 2]
        assert world.asked("PUT")["/edev/3/der/1/dercap"] == 1
        assert world.lines == []


async def test_the_status_says_what_is_known_and_no_more(pki: Path) -> None:
    async with World(pki, post_s=10) as world:
        world.rates.post_rate_s = 10
        world.samples = [sample("house-1", known(2_000)), sample("house-2", UNSEEN, connected=None)]
        documents = world.server.tree.intake.documents
        await world.until(lambda: world.asked("PUT")["/edev/3/der/1/ders"] >= 2)
        seen: Any = documents["/edev/2/der/1/ders"].document
        unseen: Any = documents["/edev/3/der/1/ders"].document
        assert (seen.genConnectStatus.value, seen.operationalModeStatus.value) == ("07", 2)
        assert (unseen.genConnectStatus, unseen.operationalModeStatus.value) == (None, 0)


# -- readings


async def test_readings_of_each_resource_and_of_the_whole(pki: Path) -> None:
    async with World(pki, post_s=10) as world:
        world.rates.post_rate_s = 10
        intake = world.server.tree.intake
        await world.until(lambda: len(intake.readings) >= 18)
        own = world.own_lfdi
        assert {(point.lfdi, point.role_flags) for point in intake.usage_points} == {
            (own, "0009"),
            *((lfdi(house), "0049") for house in HOUSES),
        }
        last = {(one.lfdi, one.uom): one for one in intake.readings}
        assert [last[who, 38].value for who in (own, lfdi("house-1"), lfdi("house-2"))] == [4_000, 2_000, 2_000]
        assert last[own, 63].value == -240
        assert (last[own, 29].value, last[own, 29].multiplier) == (230_400, -3)
        power = last[own, 38]
        assert (power.flow_direction, power.data_qualifier, power.description) == (19, 2, "2 of 2 seen")
        assert power.start_s is not None
        assert power.duration_s is not None
        assert power.duration_s >= 10
        assert abs(power.start_s + power.duration_s - world.server.tree.now_s()) < HOUR_S
        assert world.asked("POST")["/mup"] == 3, "each usage point is made once"


async def test_what_is_unknown_is_left_out(pki: Path) -> None:
    world = World(pki, post_s=10)
    world.rates.post_rate_s = 10
    world.samples = [
        sample("house-1", known(2_000)),
        sample("house-2", UNSEEN)._replace(reactive=UNSEEN, voltage=UNSEEN),
    ]
    async with world:
        intake = world.server.tree.intake
        await world.until(lambda: len(intake.readings) >= 12)
        assert {one.lfdi for one in intake.readings} == {world.own_lfdi, lfdi("house-1")}
        whole = [one for one in intake.readings if one.lfdi == world.own_lfdi]
        assert {(one.uom, one.value) for one in whole} == {(38, 2_000), (63, -120), (29, 230_400)}
        assert {one.description for one in whole} == {"1 of 2 seen"}


async def test_a_reading_is_the_mean_of_its_interval(pki: Path) -> None:
    async with World(pki, post_s=60) as world:
        world.rates.post_rate_s = 60
        intake = world.server.tree.intake

        def means_w() -> list[int]:
            return [one.value for one in intake.readings if one.uom == 38 and one.lfdi == lfdi("house-1")]

        for _change in range(60):
            for power_w in (1_000, 3_000):
                world.samples = [sample(house, known(power_w)) for house in HOUSES]
                await world.seconds(10)
            if any(1_000 < value_w < 3_000 for value_w in means_w()):
                break
        else:
            raise AssertionError(means_w())


async def test_the_servers_post_rate_is_obeyed(pki: Path) -> None:
    async with World(pki, post_s=1_000) as world:
        world.rates.post_rate_s = 20
        intake = world.server.tree.intake
        await world.until(lambda: len(intake.readings) >= 27)
        estimate_s = 2
        durations_s = {one.duration_s for one in intake.readings}
        assert all(one is not None and 20 - estimate_s <= one < 1_000 for one in durations_s), durations_s
        world.rates.post_rate_s = 60
        await world.until(lambda: any((one.duration_s or 0) >= 60 for one in intake.readings))


async def test_usage_points_that_the_server_forgot_are_made_again(pki: Path) -> None:
    world = World(pki, post_s=10)
    world.rates.post_rate_s = 10
    world.samples = [sample("house-1", known(1_000)), sample("house-2", known(3_000))]
    async with world:
        intake = world.server.tree.intake
        await world.until(lambda: intake.readings)
        intake.usage_points.clear()
        intake.readings.clear()
        await world.until(lambda: len(intake.readings) >= 18)
        power_w = {(one.lfdi, one.value) for one in intake.readings if one.uom == 38}
        assert power_w == {(world.own_lfdi, 4_000), (lfdi("house-1"), 1_000), (lfdi("house-2"), 3_000)}


async def test_a_server_that_refuses_what_it_is_shown_hears_the_rest(pki: Path) -> None:
    world = World(pki, post_s=10)
    world.rates.post_rate_s = 10
    for path in ("/edev/2/der/1/dercap", "/edev/2/der/1/derg"):
        world.replace(path, status=403 if path.endswith("derg") else 500)
    async with world:
        intake = world.server.tree.intake
        await world.until(lambda: len(intake.readings) >= 27)
        assert world.asked("PUT")["/edev/2/der/1/derg"] == 1, "not sent again before it changes"
        assert world.asked("PUT")["/edev/2/der/1/dercap"] >= 3, "the server may be able to later"
        assert world.asked("PUT")["/edev/2/der/1/ders"] >= 3
        assert sorted(world.lines) == [
            "dso: PUT /edev/2/der/1/dercap: status 500",
            "dso: PUT /edev/2/der/1/derg: status 403; the server refuses what it is shown",
        ]


async def test_one_hiccup_of_the_server_is_not_worth_a_line(pki: Path) -> None:
    class Hiccuping(HeadEnd):
        hiccups = 0

        async def _answer(self, request: web.Request) -> web.Response:
            if request.path.endswith("/ders") and self.hiccups < 1:
                self.hiccups += 1
                return web.Response(status=500)
            return await super()._answer(request)

    world = World(pki, post_s=10)
    world.rates.post_rate_s = 10
    world.server.__class__ = Hiccuping
    async with world:
        await world.until(lambda: world.asked("PUT")["/edev/2/der/1/ders"] >= 3)
        assert world.lines == []


async def test_a_value_that_cannot_be_written_ends_nothing(pki: Path) -> None:
    async with World(pki, post_s=10) as world:
        world.rates.post_rate_s = 10
        world.samples = [sample("house-1", known(1 << 60)), sample("house-2", known(2_000))]
        intake = world.server.tree.intake
        await world.until(lambda: [one for one in intake.readings if one.lfdi == lfdi("house-2") and one.uom == 38])
        await world.rounds(2)
        assert world.told("not sent")
        order = await ordered(world)
        world.owe(order, Kind.RECEIVED)
        await world.until(world.delivered)


async def test_a_resource_with_another_pin_is_shown_nothing(pki: Path) -> None:
    async with World(pki, program("street"), server_pins={"house-2": 123455}, post_s=10) as world:
        world.rates.post_rate_s = 10
        intake = world.server.tree.intake
        await world.until(lambda: len(intake.readings) >= 12)
        assert {one.lfdi for one in intake.readings} == {world.own_lfdi, lfdi("house-1")}
        assert not [path for path in world.asked("PUT") if path.startswith("/edev/3/")]


async def test_a_party_that_is_not_the_parent_is_answered_and_shown_nothing(pki: Path) -> None:
    async with World(pki, is_parent=False, post_s=5) as world:
        order = await ordered(world)
        world.owe(order, Kind.RECEIVED)
        await world.until(world.delivered)
        await world.rounds(2)
        assert world.asked("POST", "PUT") == {RESPONSES: 1}


async def test_the_link_ends_when_it_is_told_to(pki: Path) -> None:
    async with World(pki) as world:
        await world.until(lambda: world.heard(Contact))
        before = len(asyncio.all_tasks())
        await world.disconnect()
        assert len(asyncio.all_tasks()) < before
