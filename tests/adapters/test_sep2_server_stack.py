"""The gateway's own 2030.5 client reads the gateway's own 2030.5 server: several resources behind one certificate."""

import asyncio
import tomllib
from pathlib import Path

import pytest
from sep2_server_world import World, make_pki, trust_of

from gateway.core.aggregate import Picture, Sample, picture
from gateway.core.answers import Answer, Kind
from gateway.core.events import Adopted, Assigned, Contact, DefaultHeard, Event, LinkUp, Observed, OrderHeard, Withdrawn
from gateway.core.functions import Function
from gateway.core.known import Known
from gateway.core.orders import Ceiling, Order
from gateway.core.units import Share, Watts
from gateway.northbound.sep2_client import Link, Sep2Client, Sep2Resource, Speech
from gateway.pki import tls
from gateway.southbound.sep2_server import LimitMode, Sep2ServerDevice

ROOT = Path(__file__).parents[2]
CODES = tomllib.loads((ROOT / "profiles/protocols/sep2.toml").read_text())["answer"]
HOMES = ("home-1", "home-2", "home-3")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


def devices(lower_lfdi: str) -> dict[str, Sep2ServerDevice]:
    modes = (LimitMode.EXPORT, LimitMode.GENERATION, LimitMode.RATING)
    return {
        name: Sep2ServerDevice(f"{number:040X}", 111115, lower_lfdi, limit_mode=mode)
        for number, (name, mode) in enumerate(zip(HOMES, modes, strict=True), 1)
    }


class Lower:
    """The link of a gateway below, and what it heard; its homes generate 1000 W each."""

    def __init__(self, world: World) -> None:
        self.heard: list[Event] = []
        self._world = world
        self._serial = 0
        table = Sep2Client(
            "upper",
            f"{world.url}/dcap",
            world.server_lfdi,
            world.pki / "lower.pem",
            world.pki / "lower.key",
            trust_of(world.pki),
        )
        self.link = Link(
            table,
            {name: Sep2Resource(device.lfdi, 111115) for name, device in world.devices.items()},
            world.lfdis["lower"],
            tls.client_context(table.certificate, table.key, table.trust, pinned_lfdi=table.server_lfdi),
            Speech(CODES),
            world.clock,
            self.hear,
            self.look,
            may_write=True,
        )

    def look(self) -> Picture:
        now_ms = self._world.clock.now_ms()
        seen = [
            Sample(name, name, 5_000, 4_800, Known(1_000, now_ms), Known(-50, now_ms), Known(230_000, now_ms), True)
            for name in HOMES
        ]
        return picture(seen, now_ms)

    def hear(self, event: Event) -> None:
        """Keep what is heard, and answer every order with received and started."""
        self.heard.append(event)
        if isinstance(event, OrderHeard):
            order, now_ms = event.order, self._world.clock.now_ms()
            resource = self.groups()[order.scope.group]
            for kind in (Kind.RECEIVED, Kind.STARTED):
                self._serial += 1
                self.link.owe(Answer(self._serial, order.key, 0, resource, kind, now_ms, "C2", "", order.reply.to))

    def groups(self) -> dict[str, str]:
        return {one.group: one.resources[0] for one in self.heard if isinstance(one, Assigned)}

    def of(self, name: str) -> list[Order]:
        orders = [event.order for event in self.heard if isinstance(event, OrderHeard)]
        return [order for order in orders if self.groups()[order.scope.group] == name]


async def test_a_lower_gateway_reads_answers_and_reports(pki: Path) -> None:
    lfdi = World(pki).lfdis["lower"]
    async with World(pki, devices=devices(lfdi)) as world:
        for number, name in enumerate(HOMES, 1):
            world.want(name, limit_w=2_000 + 100 * number, revert_limit_w=1_000)
        lower = Lower(world)
        running = asyncio.create_task(lower.link.run())
        await world.until(lambda: all(len(lower.of(name)) >= 2 for name in HOMES))
        limits = (
            Ceiling(Function.EXPORT_LIMIT, Watts(2_100)),
            Ceiling(Function.GENERATION_LIMIT, Watts(2_200)),
            Ceiling(Function.RATING_LIMIT, Share(4_600)),
        )
        for name, effect in zip(HOMES, limits, strict=True):
            first, second = lower.of(name)[:2]
            assert first.effects == second.effects == (effect,)
            assert first.end_ms == second.start_ms, "no gap"
        await world.until(lambda: {one.device for one in world.heard(Adopted)} == set(HOMES))
        defaults = {one.default.group for one in lower.heard if isinstance(one, DefaultHeard)}
        assert defaults == lower.groups().keys()
        assert [one for one in lower.heard if isinstance(one, Contact)]
        await world.until(lambda: {_value(one.power) for one in world.heard(Observed)} >= {1_000})
        await world.until(lambda: {_value(one.generation_max_w) for one in world.heard(LinkUp)} >= {4_800})
        assert {one.device for one in world.heard(LinkUp)} == set(HOMES)
        of_what_it_is_set_to = Ceiling(Function.RATING_LIMIT, Share(2_300 * 10_000 // 4_800))
        await world.until(lambda: lower.of("home-3")[-1].effects == (of_what_it_is_set_to,))
        world.want("home-1", limit_w=500, revert_limit_w=0)
        tight = Ceiling(Function.EXPORT_LIMIT, Watts(500))
        await world.until(lambda: lower.of("home-1")[-1].effects == (tight,))
        await world.until(lambda: Adopted("home-1", 4) in world.events)
        await world.until(lambda: [one for one in lower.heard if isinstance(one, Withdrawn)])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert world.lines == [], "nothing was refused"


def _value(reading: object) -> int | None:
    return reading.value if isinstance(reading, Known) else None
