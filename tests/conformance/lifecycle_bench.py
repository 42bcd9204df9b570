"""One house on a stepped clock: a head-end over TLS that may misbehave, and our link, machine and journal, whose power
may be cut at any instant.
"""

import asyncio
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from cryptography.hazmat.primitives.serialization import Encoding
from lifecycle_der import RATED_W, ROOF, Der
from lxml import etree
from procedure_clock import Requests, SteppedClock

from gateway.config import SiteFile, load
from gateway.core.aggregate import Picture, picture
from gateway.core.events import Event, LinkUp, Observed, Started
from gateway.core.known import Known
from gateway.core.orders import OrderKey
from gateway.core.plan import Command
from gateway.core.settling import interval_at
from gateway.core.state import State
from gateway.pki import files, identity
from gateway.ports.north import NorthLink
from gateway.ports.south import Lease
from gateway.runtime import wiring
from gateway.runtime.daemon import recover
from gateway.runtime.decider import Decider
from gateway.runtime.domain import core_site
from gateway.store import Journal
from hil.head_end import Certificate, Override
from hil.sep2.bodies import SEP2_NS
from hil.sep2.curves import Curve
from hil.sep2.records import Program, Resource, mrid_of
from hil.sep2.tree import Rates
from hil.sep2.unruly import UnrulyHeadEnd

T0_S = 1_800_014_400
T0_MS = 1000 * T0_S
MIDDLE_MS = 500
"""Where in a second the gateway reads a clock that tells whole seconds: then both sides agree to the millisecond."""
POLL_S = 10
READ_MS = 10_000
PARTY, HOUSE, STREET = "dso", "house", "street"
LFDI = mrid_of(HOUSE) + "0000ABCD"
CONTROLS, DEFAULT, PROGRAMS, RESPONSES = "/derp/1/derc", "/derp/1/dderc", "/edev/2/fsa/1/derp", "/rsps/1/rsp"
SITE = f"""
[gateway]
name = "life"
health_port = 0

[[party]]
name = "{PARTY}"
tier = "distribution"
limit_parent = true

[[grant]]
party = "{PARTY}"
service = "envelope"
level = 3
functions = [
    "export-limit", "import-limit", "generation-limit", "rating-limit", "load-limit", "active-power", "connect",
    "energize", "reactive-power", "volt-watt", "frequency-watt", "ride-through",
]
group = "{STREET}"

[[group]]
name = "{STREET}"
resources = ["{HOUSE}"]

[[resource]]
name = "{HOUSE}"
export_limit_w = {RATED_W}
last_resort_export_limit_w = 0
[resource.sep2]
lfdi = "{LFDI}"
pin = 111115

[[device]]
name = "{ROOF}"
resource = "{HOUSE}"
rated_w = {RATED_W}
[device.sunspec_modbus]
host = "127.0.0.1"
port = 502
poll_s = 2
settle_s = 20
revert_s = 60

[[sep2_client]]
party = "{PARTY}"
url = "{{url}}"
server_lfdi = "{{lfdi}}"
certificate = "{{pki}}/gateway.pem"
key = "{{pki}}/gateway.key"
trust = ["{{pki}}/serca.pem", "{{pki}}/mca.pem", "{{pki}}/mica.pem"]
poll_s = {POLL_S}
"""


class Said(NamedTuple):
    """One Response as the head-end has it: its status, and second of the story that it says it was decided in."""

    status: int
    at_s: int


class PowerCut(Exception):  # noqa: N818 - what happens, not what is wrong
    """The power fails at this instant."""


@dataclass(slots=True)
class Fuse:
    """Counts what the gateway brings onto its disk, and blows once: just before, or just after, that commit.

    With `of_answers` only those commits count by which an answer becomes owed, or is no more.
    """

    blows_at: int = 0
    before: bool = False
    of_answers: bool = False
    commits: int = 0
    _counts: bool = False
    _owed: tuple[int, ...] = ()

    def burn(self, state: State, *, before: bool) -> None:
        """Blow where it is time to; the state is as it was decided, on the disk or not yet."""
        if before:
            owed = tuple(state.owed)
            self._counts = owed != self._owed or not self.of_answers
            self._owed = owed
            self.commits += self._counts
        if self._counts and (self.commits, before) == (self.blows_at, self.before):
            raise PowerCut


class FusedJournal(Journal):
    """A journal with a fuse: the power may fail around each of its commits, before any effect leaves."""

    fuse: Fuse | None = None
    state: State

    def commit_packed(self, packed: Sequence[bytes], now_ms: int) -> None:
        """Bring entries onto the disk, unless the power fails before."""
        if self.fuse is not None:
            self.fuse.burn(self.state, before=True)
        super().commit_packed(packed, now_ms)
        if self.fuse is not None:
            self.fuse.burn(self.state, before=False)


class Life:
    """One story; `async with` starts and ends both sides. Seconds count from its beginning."""

    def __init__(
        self,
        pki: Path,
        folder: Path,
        requests: Requests,
        default: Mapping[str, object],
        curves: Iterable[Curve] = (),
        *,
        begin_ms: int = MIDDLE_MS,
        poll_s: int = POLL_S,
    ) -> None:
        self.clock = SteppedClock(T0_MS + begin_ms)
        self.der = Der(self.clock)
        self.fuse = Fuse()
        self.fuse_off_s = 0.0
        """For how long the power is off after the fuse has blown."""
        self._requests = requests
        self._pki, self._folder = pki, folder
        self._lives = 0
        self._heard = False
        self._read_ms = 0
        self._task: asyncio.Task[None] | None = None
        own = files.read_certificates(pki / "gateway.pem")[0].public_bytes(Encoding.DER)
        self.server = UnrulyHeadEnd(
            PARTY,
            self.clock,
            Certificate.of(pki, PARTY),
            identity.lfdi(own),
            resources=[Resource(HOUSE, LFDI)],
            programs=[Program("program", mrid_of("program"), 1, (HOUSE,), curves=list(curves))],
            rates=Rates(page_limit=50, poll_rate_s=poll_s, post_rate_s=300),
        )
        self.server.set_default("program", default)

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            await self.cut_power()
        await self.server.stop()

    # -- power

    async def switch_on(self) -> None:
        """Start the gateway on what is on its disk."""
        try:
            await self._switch_on()
        except PowerCut:
            await self.power_cycle(self.fuse_off_s)

    async def _switch_on(self) -> None:
        self._journal = FusedJournal.open(self._state(), reserve_bytes=4096)
        self.machine = recover(self._journal)
        self._journal.fuse, self._journal.state = self.fuse, self.machine.state
        site, now_ms = self._site(), self.clock.now_ms()
        self._decider = Decider(self.machine, self._journal, self.clock, Lease(self.clock))
        self._decider.south = {ROOF: self.der}
        self._decider.north = wiring.north(
            site,
            self._state(),
            self.clock,
            self._hear,
            self._look,
            self.machine,
            may_write=True,
        )
        await self._decider.settle(Started(core_site(site, self.clock.rate)))
        self._decider.resume()
        self._hear(LinkUp(ROOF, Known(RATED_W, now_ms), Known(RATED_W, now_ms)))
        self._task = asyncio.create_task(_run(self._decider.north[PARTY]))
        await self._settle()

    async def cut_power(self, *, snapshot: bool = False) -> None:
        """Let the gateway be gone, with what it had on its disk at this instant: a snapshot of late, or only events."""
        if snapshot:
            self._journal.snapshot(self.machine.state)
        before = self._state()
        self._lives += 1
        shutil.copytree(before, self._state())
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled() and (fault := self._task.exception()) is not None:
                raise fault
        self._task = None
        self._journal.close()
        self.der.forget()

    def pass_time(self, s: float) -> None:
        """Let time pass while the gateway is off."""
        self.clock.advance(self.clock.now_ms() + round(1000 * s))

    async def power_cycle(self, off_s: float, *, snapshot: bool = False) -> None:
        """Cut the power for so many seconds."""
        await self.cut_power(snapshot=snapshot)
        self.pass_time(off_s)
        await self.switch_on()

    def _state(self) -> Path:
        return self._folder / f"state-{self._lives}"

    def _site(self) -> SiteFile:
        file = self._folder / "site.toml"
        file.write_text(SITE.format(url=self.server.url, lfdi=self.server.lfdi, pki=self._pki))
        site = load(file, wiring.TABLES).site
        assert site is not None
        return site

    # -- time

    @property
    def now_s(self) -> float:
        return (self.clock.now_ms() - T0_MS) / 1000

    async def until(self, at_s: float) -> None:
        """Let happen all that is due up to, and at, this second of the story; the fuse may blow meanwhile."""
        while True:
            try:
                return await self._until(T0_MS + round(1000 * at_s))
            except PowerCut:
                await self.power_cycle(self.fuse_off_s)

    async def _until(self, at_ms: int) -> None:
        await self._settle()
        while self.clock.now_ms() < at_ms:
            due_ms = [self.clock.next_ms(), self.der.next_ms(), self.machine.next_change(), self._read_ms + READ_MS]
            next_ms = min([at_ms, *(each for each in due_ms if each is not None)])
            self.clock.advance(max(next_ms, self.clock.now_ms() + 1))
            for event in self.der.adopt():
                self._hear(event)
            if self.clock.now_ms() >= self._read_ms + READ_MS:
                self._measure()
            await self._settle()

    async def _settle(self) -> None:
        """Let everything go on until only the clock is waited for."""
        while True:
            await self._requests.settle()
            if self._task is not None and self._task.done():
                self._task.result()
            if not self._heard and self.machine.next_change() > self.clock.now_ms():
                return
            self._heard = False
            await self._decider.settle()

    def _measure(self) -> None:
        self._read_ms = now_ms = self.clock.now_ms()
        power, connected = Known(self.der.power_w(), now_ms), self.der.power_w() != 0
        self._hear(Observed(ROOF, power, Known(0, now_ms), Known(230_000, now_ms), connected))

    def _look(self) -> Picture:
        return picture(self.machine.samples(), self.clock.now_ms())

    def _hear(self, event: Event) -> None:
        self._heard = True
        self._decider.hear(event)

    # -- what is ordered

    def order(
        self,
        name: str,
        modes: Mapping[str, object],
        start_s: int,
        duration_s: int,
        randomize_start_s: int | None = None,
        randomize_duration_s: int | None = None,
    ) -> str:
        """List a control that starts at this second of the story; give its mRID."""
        return self.server.issue(
            "program",
            name,
            modes,
            start_s,
            duration_s,
            since_ms=T0_MS,
            creation_offset_s=round(self.now_s),
            randomize_start_s=randomize_start_s,
            randomize_duration_s=randomize_duration_s,
        ).mrid

    def fail(self, path: str, status: int = 200, body: bytes = b"") -> None:
        """Let an address answer this until it is mended."""
        self.server.override(path, Override(status, body))

    def vanish(self, path: str) -> None:
        """Let all items of a list be gone without a word."""
        name = etree.QName(etree.fromstring(self.body(path))).localname
        self.fail(path, 200, f'<{name} xmlns="{SEP2_NS}" all="0" results="0"/>'.encode())

    def body(self, path: str) -> bytes:
        """Give what is at an address now."""
        return self.server.tree.handle("GET", path, {}, b"").body

    def count(self, path: str) -> int:
        """Give how many items a list at an address holds now."""
        return int(etree.fromstring(self.body(path)).get("all", ""))

    def mend(self, path: str) -> None:
        self.server.override(path, None)
        self.server.torn = None

    # -- what came of it

    def asked(self, path: str) -> int:
        """Give how often an address was asked for."""
        return sum(asked.partition("?")[0] == path for _at, _method, asked, _status in self.server.requests)

    def said(self, name: str) -> list[Said]:
        """Give the Responses to a control, in order of arrival."""
        answers = [one for one in self.server.tree.intake.answers if one.control == name]
        assert all(one.lfdi == LFDI for one in answers)
        return [Said(one.status, (one.created_s or 0) - T0_S) for one in answers]

    def statuses(self, name: str) -> list[int]:
        return [one.status for one in self.said(name)]

    @property
    def command(self) -> Command:
        """What the DER has been told last."""
        return self.der.told[-1].command

    def rests_on(self, name: str) -> bool:
        """Whether what the DER has been told last rests on this control."""
        mrids = {one.mrid for one in self.server.tree.programs[0].controls.values() if one.name == name}
        return any(key.id in mrids for key in self.command.basis)

    def told_between(self, since_s: float, until_s: float) -> list[Command]:
        """Give every command that the DER had in this time."""
        since_ms, until_ms = (T0_MS + round(1000 * each) for each in (since_s, until_s))
        before = [one.command for one in self.der.told if one.at_ms <= since_ms]
        return [*before[-1:], *(one.command for one in self.der.told if since_ms < one.at_ms < until_ms)]

    def is_out_of_contact(self) -> bool:
        """Whether the gateway takes its server as lost."""
        return self.machine.state.parties[PARTY].lost

    @property
    def ahead_s(self) -> float:
        """How far the head-end's clock is ahead of the gateway's, as the gateway has it (s)."""
        return (self.machine.offsets_ms(PARTY).get("", 0)) / 1000

    def in_force(self, name: str) -> tuple[float, float]:
        """Give when a control begins and ends here, as the gateway has drawn it (s of the story)."""
        mrid = next(one.mrid for one in self.server.tree.programs[0].controls.values() if one.name == name)
        start_ms, end_ms = interval_at(self.machine.state, self.machine.state.lives[OrderKey(PARTY, mrid)], HOUSE)
        return (start_ms - T0_MS) / 1000, (end_ms - T0_MS) / 1000


async def _run(link: NorthLink) -> None:
    await link.run()
