"""One device as its server sees it: what is published for it, what it has answered, and what it measures."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from operator import is_
from typing import Final

from gateway.core.alarms import Alarm
from gateway.core.events import Adopted, Alarmed, LinkDown, LinkUp, NotAdopted, Observed
from gateway.core.known import Known, Reading, Unknown
from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.ports.south import Cleared, Lease
from gateway.southbound.sep2_server import mirror, translate
from gateway.southbound.sep2_server.config import Sep2ServerDevice
from gateway.southbound.sep2_server.schedule import Schedule, Stretch
from gateway.wire.sep2.resources import (
    DERAvailability,
    DERCapability,
    DERControlBase,
    DERSettings,
    DERStatus,
    Response,
)

log = logging.getLogger(__name__)

Document = DERCapability | DERSettings | DERStatus | DERAvailability

SWEEP_S: Final = 1.0
SHOW_S: Final = 5.0
HEARTBEAT_S: Final = 60.0
STATUS_OLD_S: Final = 900.0
SILENT_MIN_S: Final = 30
ANSWERS_KEPT: Final = 50
FAR_MS: Final = 1 << 60


@dataclass(slots=True)
class Shared:
    """What all devices share: the clock, where events go, the lease, whether controls may be published, and rates."""

    clock: Clock
    hear: Hear
    lease: Lease
    may_write: bool
    post_s: int
    writes: int = 0
    suppressed: int = 0

    def ticks_s(self) -> float:
        """Give a monotonic time that runs at the clock's rate (s): a clock that is set moves no interval."""
        return time.monotonic() * self.clock.rate


class Owner:
    """Whose state a body shows: the body is good while `version` stands and time has not reached `until_ms`."""

    def __init__(self) -> None:
        """Begin with what time alone does not change."""
        self.version = 0
        self.until_ms = FAR_MS

    def changed(self) -> None:
        """Let every body that shows this be made anew."""
        self.version += 1

    def lasts(self, until_ms: int) -> None:
        """Note that what is shown changes at this time at the latest."""
        self.until_ms = min(self.until_ms, until_ms)

    def at(self, now_ms: int) -> int:
        """Give the version that holds now."""
        if now_ms >= self.until_ms:
            self.until_ms = FAR_MS
            self.version += 1
        return self.version


class Child(Owner):
    """A device that is a client, or stands behind one; `poll_s` is how often it is told to look."""

    def __init__(self, device: str, table: Sep2ServerDevice, rated_w: int, poll_s: int, shared: Shared) -> None:
        """Begin without a command, and without knowledge of the device."""
        super().__init__()
        now_ms = shared.clock.now_ms()
        self.device = device
        self.table = table
        self.poll_s = poll_s
        self.up = False
        self.documents: dict[type[Document], Document] = {}
        self.points: dict[str, mirror.Point] = {}
        self.answers: tuple[Response, ...] = ()
        self.default: DERControlBase | None = None
        self.schedule = Schedule(self.lfdi, now_ms)
        self._rated_w = rated_w
        self._shared = shared
        self._ratings = translate.ratings(None, None, now_ms)
        self._scale = translate.scale(self._ratings, rated_w)
        self._wanted: Cleared | None = None
        self._base: DERControlBase | None = None
        self._made_of: tuple[Cleared, translate.Scale] | None = None
        self._taken = self._refused = self._default_read = False
        self._adopted = 0
        self._complained = False
        self._read_s: float | None = None
        self._status_s = 0.0
        self._faults: tuple[Alarm, ...] | None = None
        self._shown: Observed | None = None
        self._shown_s = 0.0
        self._sweep_s = 0.0
        self._show_s = 0.0

    @property
    def lfdi(self) -> str:
        """Its own LFDI in upper case."""
        return self.table.lfdi.upper()

    def now_s(self) -> int:
        """Give the server's time (s)."""
        return self._shared.clock.now_ms() // 1000

    # -- what it is told

    def want(self, cleared: Cleared) -> None:
        """Want this from now on: published at once where it differs from what is published."""
        if not cleared.holds_for(self.device, self._shared.clock.now_ms()):
            log.error("%s: refused a command that is not its own or has expired", self.device)
            return
        before, self._wanted = self._wanted, cleared
        if before is None or before.serial != cleared.serial:
            self._complained = False
        if not self._shared.may_write:
            self._shared.suppressed += 1
            return
        self._publish(cleared)
        self._settle()

    def sweep(self, ticks_s: float) -> None:
        """Do once a second what time asks for: extend what is published (C14, C18), complain, show what is old."""
        if ticks_s < self._sweep_s:
            return
        self._sweep_s = ticks_s + SWEEP_S
        self._extend()
        if not self.up:
            return
        if ticks_s >= self._show_s:
            self._show_s = ticks_s + SHOW_S
            self._show()
        self._miss()

    def _extend(self) -> None:
        """Publish anew what is wanted, but only while the deciding loop lives and still stands by it."""
        wanted, shared = self._wanted, self._shared
        if wanted is None or not shared.may_write or not shared.lease.lives():
            return
        if wanted.holds_for(self.device, shared.clock.now_ms()):
            self._publish(wanted)

    def _publish(self, wanted: Cleared) -> None:
        """Put what is wanted into the programs; what is there already stays as it is."""
        base = self._made(wanted)
        revert_s = wanted.command.revert_after_ms // 1000
        new = self.schedule.keep(base, self.now_s(), revert_s, wanted.valid_until_ms // 1000)
        if new:
            self._shared.writes += new
            self.changed()

    def _made(self, wanted: Cleared) -> DERControlBase:
        """Give the control of a command, made anew only where the command or what shares are of has changed."""
        made_of = wanted, self._scale
        if self._base is not None and self._made_of is not None and all(map(is_, self._made_of, made_of)):
            return self._base
        base = translate.control(wanted.command, self.table, self._scale)
        default = translate.default(wanted.command, self.table, self._scale)
        if base != self._base:
            self._base, self._taken, self._refused, self._read_s = base, False, False, None
        if default != self.default:
            self.default, self._default_read = default, False
            self.changed()
        self._made_of = made_of
        return base

    def seen(self, stretches: Iterable[Stretch]) -> None:
        """Note that the client was given these events."""
        now_s = self.now_s()
        for one in stretches:
            one.seen = True
            if self._read_s is None and one.runs_on(now_s):
                self._read_s = self._shared.ticks_s()

    def default_read(self) -> None:
        """Note that the client was given the default."""
        self._default_read = True
        self._settle()

    # -- what it answers

    def answered(self, response: Response) -> str:
        """Take a Response to one of its events; a text says why it is refused."""
        one = self.schedule.find(response.subject.upper())
        if one is None:
            return f"{self.device}: no event {response.subject} is known here"
        word = None if response.status is None else translate.word(response.status)
        if word is None or response.status is None:
            return f"{self.device}: {response.status} is no status of a Response"
        self.answers = (*self.answers[1 - ANSWERS_KEPT :], response)
        self.changed()
        if one.base != self._base or not one.runs_on(self.now_s()):
            return ""
        if word is translate.Word.REFUSED:
            self._taken, self._refused, self._adopted = False, True, 0
            self._complain(translate.said(response.status))
        elif word is translate.Word.STARTED or (word is translate.Word.RECEIVED and not self._refused):
            self._taken, self._refused = True, False
            self._settle()
        return ""

    def _settle(self) -> None:
        """Tell once that the device has what is wanted: it has answered to it, and has read its default."""
        wanted = self._wanted
        if wanted is None or not self._taken or not self._default_read or self._adopted == wanted.serial:
            return
        self._adopted, self._complained = wanted.serial, False
        self._shared.hear(Adopted(self.device, wanted.serial, translate.cannot(wanted.command, self.table)))

    def _miss(self) -> None:
        """Complain of a device that has read its events and says nothing of them."""
        wanted, read_s = self._wanted, self._read_s
        if wanted is None or read_s is None or self._adopted == wanted.serial or self._refused:
            return
        if self._shared.ticks_s() - read_s > self.patience_s:
            lacks = "has not read its default" if self._taken else "has not answered to its event"
            self._complain(f"it {lacks} for {self.patience_s} s")

    def _complain(self, why: str) -> None:
        """Tell once that the device is not at what is wanted."""
        if self._wanted is None or self._complained or not self._shared.may_write:
            return
        self._complained = True
        log.warning("%s did not adopt: %s", self.device, why)
        self._shared.hear(NotAdopted(self.device, self._wanted.serial, why))

    # -- whether it is there, and what it is

    @property
    def patience_s(self) -> int:
        """How long it may be silent (s)."""
        return max(2 * self.poll_s, SILENT_MIN_S)

    def come_up(self) -> None:
        """Note that its client has asked for something."""
        self.up, self._shown = True, None
        log.info("%s is up", self.device)
        self._tell_up()
        self._show()

    def go_down(self, why: str) -> None:
        """Note that its client is silent, or that nobody listens any more."""
        if not self.up:
            return
        self.up = False
        log.warning("%s is down: %s", self.device, why)
        self._shared.hear(LinkDown(self.device, why))

    def _tell_up(self) -> None:
        self._shared.hear(LinkUp(self.device, self._ratings.generation_max, self._ratings.charge_max))

    def put(self, document: Document) -> bool:
        """Take a document of the device; tell whether it is the first of its kind."""
        kind = type(document)
        first, self.documents[kind] = kind not in self.documents, document
        self.changed()
        if kind in (DERCapability, DERSettings):
            self._rate()
        elif kind is DERStatus:
            self._status_s = self._shared.ticks_s()
        if isinstance(document, DERStatus):
            self._alarm(document)
        self._show()
        return first

    def _alarm(self, status: DERStatus) -> None:
        """Tell the faults that the device says it has, where they are others than before."""
        faults = translate.faults(status)
        if faults is not None and faults != self._faults:
            self._faults = faults
            self._shared.hear(Alarmed(self.device, faults))

    def _rate(self) -> None:
        """Take what the device says that it can; shares are of other watts then."""
        capability, settings = self.documents.get(DERCapability), self.documents.get(DERSettings)
        before = self._ratings
        self._ratings = translate.ratings(
            capability if isinstance(capability, DERCapability) else None,
            settings if isinstance(settings, DERSettings) else None,
            self._shared.clock.now_ms(),
        )
        pairs = zip(before[:2], self._ratings[:2], strict=True)
        if self.up and any(_values(one) != _values(other) for one, other in pairs):
            self._tell_up()
        scale = translate.scale(self._ratings, self._rated_w)
        if scale != self._scale:
            self._scale = scale
            self._extend()

    # -- what it measures

    def measured(self) -> None:
        """Note that readings of it were taken in."""
        self._show()

    def _show(self) -> None:
        """Tell a reading that is past its dead band, changed in kind, or a minute old."""
        if not self.up:
            return
        now_ms, ticks_s = self._shared.clock.now_ms(), self._shared.ticks_s()
        status = self.documents.get(DERStatus)
        if not isinstance(status, DERStatus) or ticks_s - self._status_s > STATUS_OLD_S:
            status = None
        observed = Observed(
            self.device,
            *mirror.measured(self.points.values(), now_ms, self._shared.post_s),
            translate.connected(status),
            translate.stored(status, self._ratings.capacity_wh, now_ms),
        )
        if self._shown is not None and ticks_s - self._shown_s < HEARTBEAT_S and not self._moved(self._shown, observed):
            return
        self._shown, self._shown_s = observed, ticks_s
        self._shared.hear(observed)

    def _moved(self, shown: Observed, now: Observed) -> bool:
        if shown.connected is not now.connected or _changed(shown.voltage, now.voltage, 2_000):
            return True
        band = max(10, self._rated_w // 200)
        pairs = ((shown.power, now.power), (shown.reactive, now.reactive), (shown.stored, now.stored))
        return any(_changed(before, after, band) for before, after in pairs)


def _values(reading: Reading) -> int | None:
    return reading.value if isinstance(reading, Known) else None


def _changed(shown: Reading, now: Reading, band: int) -> bool:
    if isinstance(shown, Known) and isinstance(now, Known):
        return abs(shown.value - now.value) > band
    if isinstance(shown, Unknown) and isinstance(now, Unknown):
        return shown.why != now.why
    return True
