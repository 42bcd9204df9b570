"""The daemon is killed in the middle of its events, its head-end beside it: what was drawn, owed and in force stays."""

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from street_bench import Bench, Gateway, Simulators

from gateway.core.orders import OrderKey
from gateway.core.settling import interval_at
from gateway.core.timeline import Interval
from gateway.pki import files, identity
from gateway.runtime.daemon import recover
from gateway.store import Journal
from hil.clock import Clock
from hil.head_end import Certificate
from hil.sep2.records import Program, Resource, mrid_of
from hil.sep2.tree import Rates
from hil.sep2.unruly import UnrulyHeadEnd

RATE = 20.0
PATIENCE_S = 90.0
CONTROLS = "/derp/1/derc"
LFDI = "2A342CD9BEB285455C8C8EAC11E4634600009D6C"
DEFAULT_W, ORDERED_W, NEWER_W = 4_000, 1_500, 1_000
FAR_S, LONG_S = 86_400, 40_000
SPREAD_S = 300
SIMULATED = """
name = "killed"
measure_s = 2
[[inverter]]
name = "roof"
resource = "house"
rated_w = 5000
irradiance = 0.9
[[resource]]
name = "house"
lfdi = "2A342CD9BEB285455C8C8EAC11E4634600009D6C"
"""
SITE = """
[gateway]
name = "killed"
health_port = 0

[[party]]
name = "dso"
tier = "distribution"
limit_parent = true

[[grant]]
party = "dso"
service = "envelope"
level = 3
functions = ["export-limit"]
group = "street"

[[group]]
name = "street"
resources = ["house"]

[[resource]]
name = "house"
export_limit_w = 5000
last_resort_export_limit_w = 500
[resource.sep2]
lfdi = "2A342CD9BEB285455C8C8EAC11E4634600009D6C"
pin = 111115

[[device]]
name = "roof"
resource = "house"
rated_w = 5000
[device.sunspec_modbus]
host = "127.0.0.1"
port = {port}
poll_s = 2
settle_s = 20
revert_s = 600

[[sep2_client]]
party = "dso"
url = "{url}"
server_lfdi = "{lfdi}"
certificate = "pki/gateway.pem"
key = "pki/gateway.key"
trust = ["pki/serca.pem", "pki/mca.pem", "pki/mica.pem"]
poll_s = 10
"""


class Killed:
    """A daemon that is killed and started again, its inverter, and the head-end of this process."""

    def __init__(self, bench: Bench, simulators: Simulators, server: UnrulyHeadEnd) -> None:
        self.bench, self.simulators, self.server = bench, simulators, server
        self._starts = 0

    async def start(self) -> None:
        """Start the daemon, and see that it has read its events."""
        site = self.bench.folder / "site.toml"
        port = self.simulators.ready["inverters"]["roof"]["port"]
        site.write_text(SITE.format(port=port, url=self.server.url, lfdi=self.server.lfdi))
        self._starts += 1
        self._gateway = Gateway(self.bench, site, f"gateway-{self._starts}")
        self.bench.admit(self._gateway)
        await self.read()

    async def read(self) -> None:
        """Wait until the list of controls was read twice more: what the first reading brought is decided then."""
        before = self._asked()
        await self.until(lambda: self._asked() >= before + 2, "the controls were read twice")

    def kill(self) -> Path:
        """Kill the daemon; give a copy of what is on its disk."""
        assert self._gateway.stop(signal.SIGKILL) == -signal.SIGKILL
        left = self.bench.folder / f"left-{self._starts}"
        shutil.copytree(self.bench.state, left)
        return left

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline_s, (what, self.server.tree.intake.answers, self._gateway.said()[-5:])
            await asyncio.sleep(0.05)

    async def limited(self, limit_w: int) -> None:
        """Wait until the inverter holds this limit."""
        await self.until(lambda: self.simulators.limits() == {"roof": limit_w}, f"{limit_w} W")

    def shown_w(self, since: int = 0) -> set[int | None]:
        """Give every limit that the inverter was seen to hold since so many measurements."""
        return {line["limit_w"]["roof"] for line in self.simulators.happened("measured")[since:]}

    def measured(self) -> int:
        return len(self.simulators.happened("measured"))

    def order(self, name: str, limit_w: int, start_s: int = 0, spread_s: int | None = None) -> str:
        """List an event that is newer than those before, with a random start where it lies ahead; give its mRID."""
        return self.server.issue(
            "envelope",
            name,
            {"opModExpLimW": limit_w},
            start_s,
            LONG_S,
            randomize_start_s=spread_s if start_s else None,
            randomize_duration_s=spread_s,
        ).mrid

    def statuses(self, name: str) -> list[int]:
        """Give what the head-end was told of an event; one that was told again in the same words counts once."""
        said = [(one.status, one.created_s) for one in self.server.tree.intake.answers if one.control == name]
        return [status for status, _created_s in dict.fromkeys(said)]

    def _asked(self) -> int:
        return sum(path.startswith(CONTROLS) for _at, _method, path, _status in self.server.requests)


@pytest.fixture
async def killed(tmp_path: Path) -> AsyncIterator[Killed]:
    with Bench(tmp_path, RATE, ("dso",)) as bench:
        simulators = bench.simulators(SIMULATED)
        own = files.read_certificates(bench.pki / "gateway.pem")[0].public_bytes(Encoding.DER)
        server = UnrulyHeadEnd(
            "dso",
            Clock.parse(bench.clock),
            Certificate.of(bench.pki, "dso"),
            identity.lfdi(own),
            resources=[Resource("house", LFDI)],
            programs=[Program("envelope", mrid_of("envelope"), 1, ("house",), {"opModExpLimW": DEFAULT_W})],
            rates=Rates(page_limit=50, poll_rate_s=10, post_rate_s=300),
        )
        await server.start()
        try:
            yield Killed(bench, simulators, server)
        finally:
            await server.stop()


def in_force(left: Path, mrid: str) -> Interval:
    """Give when an event is in force by what a daemon has left on its disk."""
    journal = Journal.open(left, reserve_bytes=4096)
    try:
        state = recover(journal).state
        return interval_at(state, state.lives[OrderKey("dso", mrid)], "house")
    finally:
        journal.close()


async def test_a_daemon_that_is_killed_draws_nothing_anew_loses_no_answer_and_loosens_nothing(killed: Killed) -> None:
    await killed.start()
    await killed.limited(DEFAULT_W)
    drawn = killed.order("drawn", NEWER_W, FAR_S, 3_600)
    killed.order("older", ORDERED_W)
    await killed.until(lambda: (killed.statuses("older"), killed.statuses("drawn")) == ([1, 2], [1]), "received")
    await killed.limited(ORDERED_W)
    since = killed.measured()
    first = in_force(killed.kill(), drawn)
    await killed.start()
    await killed.until(lambda: killed.measured() > since + 2, "measured")
    assert killed.shown_w(since) == {ORDERED_W}
    assert killed.statuses("older") == [1, 2]

    killed.server.swallows = True
    killed.order("newer", NEWER_W)
    await killed.until(lambda: 7 in killed.statuses("older"), "taken and not acknowledged")
    assert in_force(killed.kill(), drawn) == first
    killed.server.swallows = False
    await killed.start()
    await killed.until(lambda: killed.statuses("newer") == [1, 2], "started")
    assert killed.statuses("older") == [1, 2, 7]
    await killed.limited(NEWER_W)

    since = killed.measured()
    winding = killed.order("winding", NEWER_W, 0, SPREAD_S)
    await killed.until(lambda: killed.statuses("winding") == [1, 2], "started")
    assert killed.statuses("newer") == [1, 2, 7]
    killed.server.cancel("winding")
    await killed.read()
    ends = in_force(killed.kill(), winding)
    await killed.start()
    await killed.until(lambda: killed.statuses("winding") == [1, 2, 6], "wound down")
    await killed.limited(DEFAULT_W)
    assert killed.shown_w(since) <= {NEWER_W, DEFAULT_W}
    left = killed.kill()
    assert (in_force(left, winding), in_force(left, drawn)) == (ends, first)
    assert (killed.statuses("drawn"), killed.statuses("older")) == ([1], [1, 2, 7])
