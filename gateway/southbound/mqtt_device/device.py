"""One device behind the broker: what is wanted of it, what it was told, and what it says; it sends nothing itself.

Level-triggered: whatever was lost on the way, the next state of the device shows it, and it is told again. Intervals
run on monotonic time at the clock's rate, so that a clock that is set moves none of them.
"""

import logging
import time
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.core.events import Adopted, ForeignHand, LinkDown, NotAdopted, Observed
from gateway.core.known import Known, Reading, Unknown
from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.ports.south import Cleared, Lease
from gateway.southbound.mqtt_device import translate
from gateway.southbound.mqtt_device.config import MqttDevice
from gateway.southbound.mqtt_device.watch import Watch
from gateway.wire.mqtt import Command, Settings, State, Unreadable, decode_ack, decode_state

log = logging.getLogger(__name__)

ANSWER_S: Final = 5.0
"""How long a device has to acknowledge, and the shortest time between two sendings of one command."""
REPORTS_MISSED: Final = 3
HEARTBEAT_S: Final = 60.0
ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
NEVER: Final = float("inf")


@dataclass(slots=True)
class Shared:
    """What all devices share: the clock, where events go, the lease, whether writes may leave, and this start's name.

    `writes` counts the commands that left.
    """

    clock: Clock
    hear: Hear
    lease: Lease
    may_write: bool
    run: str
    writes: int = 0
    suppressed: int = 0


class Sending(NamedTuple):
    """A command that is to leave now, and for how many seconds of wall time the broker may keep it."""

    command: Command
    expiry_s: int


class Device:
    """Keeps one device at what is wanted of it, and tells what it measures."""

    def __init__(self, name: str, table: MqttDevice, rated_w: int, shared: Shared) -> None:
        """Be ready to be heard."""
        self.name = name
        self._rated_w = rated_w
        self._shared = shared
        self._allowed_ms = 1000 * REPORTS_MISSED * table.report_s
        self._wanted: Cleared | None = None
        self._sent: Command | None = None
        self._issued_ms = 0
        self._due = False
        self._watch = Watch(shared.run)
        self._clear_word()
        self._up = self._told_down = self._logged_down = self._offline = False
        self._doubt = ""
        self._silent_at = NEVER
        self._last: tuple[int, int] | None = None
        self._said: tuple[int | None, int | None] | None = None
        self._shown: Observed | None = None
        self._shown_at = 0.0

    def _clear_word(self) -> None:
        """Count on nothing that the device said of a command."""
        self._adopted = 0
        self._answered_ms = 0
        self._answer_by = NEVER
        self._sent_at = 0.0
        self._refused = ""
        self._complained = self._restored = False

    # -- wanting

    def want(self, cleared: Cleared) -> bool:
        """Want this from now on; tell whether it has to be sent."""
        if not cleared.holds_for(self.name, self._shared.clock.now_ms()):
            log.error("%s: refused a command that is not its own or has expired", self.name)
            return False
        before, self._wanted = self._wanted, cleared
        if before is not None and before.serial == cleared.serial:
            return False
        self._clear_word()
        self._watch.forget()
        self._due = True
        return True

    @property
    def due(self) -> bool:
        """Tell whether a command is to leave at once."""
        return self._due

    def take(self, wall_s: float) -> Sending | None:
        """Give the command that is to leave now: a new one, one that was lost, or the refresh of one in force."""
        wanted, shared = self._wanted, self._shared
        now_ms = shared.clock.now_ms()
        if wanted is None or not (self._due or self._refresh_due(wanted, wall_s)) or not self._holds(wanted):
            return None
        self._due = False
        if not shared.may_write:
            shared.suppressed += 1
            return None
        shared.writes += 1
        self._issued_ms = max(now_ms, self._issued_ms + 1)
        self._sent = translate.command(wanted, shared.run, self._issued_ms)
        self._sent_at, self._answer_by = wall_s, self._after(wall_s, ANSWER_S)
        keeps_ms = min(wanted.valid_until_ms - now_ms, wanted.command.revert_after_ms)
        return Sending(self._sent, max(1, round(keeps_ms / 1000 / shared.clock.rate)))

    def unsent(self) -> None:
        """Take back that a command left: it did not."""
        self._due = True

    def _refresh_due(self, wanted: Cleared, wall_s: float) -> bool:
        """Refresh at a third of the reversion time, but only while the deciding loop lives (C14)."""
        if not self._up or self._sent is None or not self._shared.lease.lives():
            return False
        return wall_s >= self._after(self._sent_at, wanted.command.revert_after_ms / 3000)

    def _holds(self, wanted: Cleared) -> bool:
        return wanted.holds_for(self.name, self._shared.clock.now_ms())

    def _after(self, wall_s: float, seconds: float) -> float:
        """Give the monotonic time when so many of the clock's seconds have passed."""
        return wall_s + seconds / self._shared.clock.rate

    # -- the connection to the broker, and time

    def reachable(self) -> None:
        """Begin to wait for the device: the broker is there again, and what was said meanwhile is lost."""
        self._silent_at = self._after(time.monotonic(), self._allowed_ms / 1000)
        self._due |= self._wanted is not None and self._shared.lease.lives()

    def unreachable(self, why: str) -> None:
        """Be out of reach because the broker is; that is logged once, for all."""
        if self._up or not self._told_down:
            self._go_down(why)

    def sweep(self, wall_s: float) -> None:
        """Do what time asks for."""
        if wall_s >= self._silent_at:
            self._silent_at = NEVER
            self._fall_silent(self._doubt or f"no state within {self._allowed_ms // 1000} s")
        if wall_s >= self._answer_by:
            self._answer_by = NEVER
            if self._up:
                self._complain(f"no acknowledgement within {ANSWER_S:g} s")

    def _fall_silent(self, why: str) -> None:
        if self._up:
            self._shared.hear(translate.unseen(self.name, why, self._shared.clock.now_ms()))
        if self._up or not self._logged_down:
            log.warning("%s is down: %s", self.name, why)
            self._logged_down = True
            self._go_down(why)

    def _go_down(self, why: str) -> None:
        self._up, self._told_down = False, True
        self._shared.hear(LinkDown(self.name, why))
        self._clear_word()
        self._watch.lose()
        self._last = self._said = self._shown = None
        self._silent_at = NEVER

    # -- hearing

    def availability(self, payload: bytes) -> None:
        """Take the device's own word, or its last will."""
        if payload == OFFLINE:
            self._offline = True
            self._fall_silent("it went offline")
        elif payload == ONLINE:
            self._offline = False

    def state(self, payload: bytes, *, retained: bool) -> None:
        """Take a state where it is to be believed: readable, of now, and later than the last."""
        now_ms, state = self._shared.clock.now_ms(), decode_state(payload)
        if isinstance(state, Unreadable):
            self._doubt = f"its state cannot be read: {state.why}"
            return
        age_ms = now_ms - state.at_ms
        if abs(age_ms) > self._allowed_ms:
            if not retained:
                self._doubt = f"its clock is {abs(age_ms) // 1000} s {'behind' if age_ms > 0 else 'ahead'}"
            return
        stamp = (state.at_ms, state.sequence)
        if (self._last is not None and stamp <= self._last) or (retained and self._offline):
            return
        restarted = self._last is not None and state.sequence <= self._last[1]
        self._last, self._offline, self._doubt = stamp, False, ""
        self._silent_at = self._after(time.monotonic(), (self._allowed_ms - max(0, age_ms)) / 1000)
        self._come_up(state, now_ms, restarted=restarted)
        self._judge(state)
        self._show(translate.observed(self.name, state, now_ms))

    def ack(self, payload: bytes, *, retained: bool) -> None:
        """Take the acknowledgement of the command that was sent last; a kept one proves nothing."""
        ack, sent = decode_ack(payload), self._sent
        if isinstance(ack, Unreadable):
            if self._answer_by < NEVER:
                self._complain(f"its acknowledgement cannot be read: {ack.why}")
            return
        if sent is None or retained or self._due or (ack.id, ack.issued_ms) != (sent.id, sent.issued_ms):
            return
        self._answer_by = NEVER
        self._answered_ms = min(ack.at_ms, self._shared.clock.now_ms() + self._allowed_ms)
        if not ack.accepted:
            self._refused = f"it refused: {ack.why or 'it does not say why'}"
            self._complain(self._refused)
            return
        why, self._refused = translate.differs(sent, ack.applied), ""
        if why:
            self._complain(why)
        elif self._up and not self._complained:
            self._adopt(self._answered_ms, ack.applied)

    def _come_up(self, state: State, now_ms: int, *, restarted: bool) -> None:
        """Tell that it is there, and again where it can do more or less than it said; one that starts is told anew."""
        if restarted or not self._up:
            self._watch.forget()
            self._due |= self._wanted is not None and self._shared.lease.lives()
        said = (state.generation_max_w, state.charge_max_w)
        if not self._up and self._logged_down:
            log.info("%s is up", self.name)
        if not self._up or said != self._said:
            self._shared.hear(translate.up(self.name, state, now_ms))
        self._up, self._said, self._told_down, self._logged_down = True, said, False, False

    # -- judging

    def _judge(self, state: State) -> None:
        """Hold what the device says that it holds against what it was sent.

        A state from before the acknowledgement, or while none is there yet, says nothing against the command.
        """
        wanted, sent = self._wanted, self._sent
        if wanted is None or sent is None or self._due or state.at_ms < self._answered_ms or not self._holds(wanted):
            return
        why = translate.off_by(sent, state)
        if not why:
            self._adopt(state.at_ms, state.settings)
        elif self._watch.foreign(state, sent.id):
            self._adopted = 0
            self._due = self._shared.lease.lives()
            log.warning("%s was told by another hand: %s", self.name, why)
            self._shared.hear(ForeignHand(self.name, f"{why}, which this gateway did not send"))
        elif self._answer_by == NEVER:
            self._miss(state, why)

    def _adopt(self, at_ms: int, held: Settings | None) -> None:
        self._answer_by, self._answered_ms = NEVER, at_ms
        self._refused, self._complained, self._restored = "", False, False
        self._watch.keep()
        wanted = self._wanted
        if wanted is not None and self._adopted != wanted.serial:
            self._adopted = wanted.serial
            self._shared.hear(Adopted(self.name, wanted.serial, translate.cannot(wanted, held)))

    def _miss(self, state: State, why: str) -> None:
        """Tell the device again, but not one that refused: that one is asked again with the next refresh.

        Once the lease has lapsed a device that fell back is left there; one that lost its setting is told once more.
        """
        self._complain(self._refused or why)
        if self._refused or time.monotonic() < self._after(self._sent_at, ANSWER_S):
            return
        if self._shared.lease.lives():
            self._due = True
        elif not state.reverted and not self._restored:
            self._due = self._restored = True

    def _complain(self, why: str) -> None:
        """Tell once that the device is not at what is wanted; from then on its state alone proves that it is."""
        self._adopted = 0
        if self._wanted is None or self._complained:
            return
        self._complained = True
        log.warning("%s did not adopt: %s", self.name, why)
        self._shared.hear(NotAdopted(self.name, self._wanted.serial, why))

    # -- showing

    def _show(self, live: Observed) -> None:
        """Tell a reading that is past its dead band, changed in kind, or a minute old."""
        shown, wall_s = self._shown, time.monotonic()
        if shown is not None and wall_s < self._after(self._shown_at, HEARTBEAT_S) and not self._moved(shown, live):
            return
        self._shown, self._shown_at = live, wall_s
        self._shared.hear(live)

    def _moved(self, shown: Observed, live: Observed) -> bool:
        if shown.connected is not live.connected or _changed(shown.voltage, live.voltage, 2_000):
            return True
        band = max(10, self._rated_w // 200)
        pairs = ((shown.power, live.power), (shown.reactive, live.reactive), (shown.stored, live.stored))
        return any(_changed(before, now, band) for before, now in pairs)


def _changed(shown: Reading, live: Reading, band: int) -> bool:
    if isinstance(shown, Known) and isinstance(live, Known):
        return abs(shown.value - live.value) > band
    if isinstance(shown, Unknown) and isinstance(live, Unknown):
        return shown.why != live.why
    return True
