"""What is wrong with devices, taken into the machine's state and told to the limit parents (CSIP 4.6.3, RULES A2)."""

from collections.abc import Iterator

from gateway.core.alarms import FAULTS, Alarm
from gateway.core.events import Alarmed, Effect, Report, Reported, Topic
from gateway.core.narrate import tell
from gateway.core.observe import Proof, Verdict
from gateway.core.state import DeviceState, State


class Reporting:
    """Turns what devices say, and what is seen of them, into notices; keeps nothing of its own."""

    def __init__(self, state: State) -> None:
        """Take alarms into this state."""
        self._state = state

    def alarmed(self, event: Alarmed) -> Iterator[Effect]:
        """Take the faults that a device says it has, and those that it has no more."""
        device = self._state.devices[event.device]
        before, device.faults = device.faults or (), event.faults
        for fault in FAULTS:
            on = fault in event.faults
            if on != (fault in before):
                effect, names = ("raised", "has it") if on else ("over", "has it no more")
                yield tell(self._state.now_ms, Topic.ALARM, None, "C15", effect, (event.device,), (), "", fault.value)
                yield from self._mark(device, fault, f"{event.device} {names}", on=on)

    def contact(self, device: DeviceState, why: str = "", *, lost: bool) -> Iterator[Effect]:
        """Take it that a device is out of reach, or in it again."""
        yield from self._mark(device, Alarm.NO_CONTACT, why or f"{device.device.name} is in reach again", on=lost)

    def verified(self, device: DeviceState, proof: Proof) -> Iterator[Effect]:
        """Take what measurement says of a command; one that is not seen says nothing."""
        if proof.verdict is not Verdict.UNSEEN:
            yield from self._mark(device, Alarm.CANNOT_COMPLY, proof.why, on=proof.verdict is Verdict.DISOBEYED)

    def due(self, resource: str, alarm: str) -> Iterator[Effect]:
        """Tell what changed while it was too early to tell it."""
        if resource in self._state.resources:
            parties = [party.name for party in self._state.site.parties if party.limit_parent]
            for notice in self._state.alarms.tell(resource, Alarm(alarm), self._state.now_ms, parties):
                yield Report(notice)

    def reported(self, event: Reported) -> Iterator[Effect]:
        """Owe a notice no more."""
        self._state.alarms.owed.pop(event.serial, None)
        yield from ()

    def outstanding(self) -> Iterator[Effect]:
        """Yield every notice that is still owed."""
        for notice in self._state.alarms.owed.values():
            yield Report(notice)

    def regroup(self) -> None:
        """Forget what is of devices that the site has no more."""
        self._state.alarms.keep({name: each.device.resource for name, each in self._state.devices.items()})

    def _mark(self, device: DeviceState, alarm: Alarm, why: str, *, on: bool) -> Iterator[Effect]:
        state, resource = self._state, device.device.resource
        due_ms = state.alarms.mark(resource, device.device.name, alarm, state.now_ms, why, on=on)
        if due_ms is None:
            return
        if due_ms <= state.now_ms:
            yield from self.due(resource, alarm.value)
        else:
            state.remind(due_ms, "alarm", resource, alarm.value)
