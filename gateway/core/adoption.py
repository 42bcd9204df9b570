"""What devices read back of their commands and what is measured of them, and what of an order that proves (C15, E)."""

from collections.abc import Iterator

from gateway.core.answers import Kind, Unable
from gateway.core.decide import Decider
from gateway.core.events import Adopted, Effect, NotAdopted, Topic
from gateway.core.functions import FLOORS, Function
from gateway.core.known import Known, Reading
from gateway.core.ledger import Ledger
from gateway.core.narrate import tell
from gateway.core.observe import Circumstances, Proof, verify, verify_floor, verify_var
from gateway.core.orders import OrderKey
from gateway.core.plan import Command
from gateway.core.reporting import Reporting
from gateway.core.state import DeviceState, State


class Adoption:
    """Takes read-backs and verdicts into the machine's state; keeps nothing of its own."""

    def __init__(self, state: State, decider: Decider, ledger: Ledger, reporting: Reporting) -> None:
        """Take them into this state, answer through this ledger, and raise alarms through this reporting."""
        self._state = state
        self._decider = decider
        self._ledger = ledger
        self._reporting = reporting

    def adopted(self, event: Adopted) -> Iterator[Effect]:
        """Take it that a device does what it was told, save the modes that it cannot carry.

        Curves and power factors are proven by this; power is measured once it has settled, and after a restart anew
        (C15).
        """
        state = self._state
        device = state.devices[event.device]
        command = device.command
        if command is None or event.serial != device.serial:
            return
        if device.adopted and event.cannot == device.cannot and device.verify_at_ms is not None:
            return
        lacking = [Unable(event.device, function, why) for function, why in event.cannot]
        if event.cannot != device.cannot:
            yield from self._tell_lacking(device, command, lacking)
        device.adopted, device.cannot = True, event.cannot
        device.confirm()
        ramp_ms = command.ramp_ms or 0
        for key in dict.fromkeys(command.basis):
            ramp_ms = max(ramp_ms, self._confirm(key, device, command, lacking))
        device.verify_at_ms = state.now_ms + ramp_ms + device.device.settle_ms
        state.remind(device.verify_at_ms, "verify", event.device)
        self.touch_shared(device)

    def _confirm(self, key: OrderKey, device: DeviceState, command: Command, lacking: list[Unable]) -> int:
        """Note on an order what a device carries of it, and tell at once what it does not; give the order's ramp (ms).

        One of which nothing else is left stays in force all the same, since another device may carry it yet; where none
        has by its end, that is its answer.
        """
        live, name = self._state.lives.get(key), device.device.resource
        course = None if live is None else live.courses.get(name)
        if live is None or course is None:
            return 0
        mine = [mode.function for mode, by in zip(command.modes, command.mode_basis, strict=True) if by == key]
        if key == command.floor_by:
            mine += FLOORS
        missing = [one for one in lacking if one.function in mine]
        lost = [function for function, _at_ms in course.lost] + [one.function for one in missing]
        lost += FLOORS if any(one.function in FLOORS for one in missing) else ()
        keeps_any = any(effect.function not in lost for effect in live.effects.get(name, ()))
        new = course.adopt(device.device.name, missing, keeps_any=keeps_any)
        if new and not course.ended:
            self._ledger.say(live, (name,), Kind.UNCARRIED, "C15", "; ".join(map(str, new)))
        return live.order.ramp_ms

    def _tell_lacking(self, device: DeviceState, command: Command, lacking: list[Unable]) -> Iterator[Effect]:
        """Tell whose modes a device cannot carry, and whose limit on what it draws."""
        by = {mode.function: key for mode, key in zip(command.modes, command.mode_basis, strict=True)}
        if command.floor_by is not None:
            by.update(dict.fromkeys(FLOORS, command.floor_by))
        for one in lacking:
            if one.function in by and (one.function, one.why) not in device.cannot:
                key, names, what = by[one.function], (device.device.name,), one.function.value
                yield tell(
                    self._state.now_ms, Topic.NOT_ADOPTED, key, "C15", "left as it was", names, (), one.why, what
                )

    def touch_shared(self, device: DeviceState) -> None:
        """Look again at what shares a limit with a device: what it leaves is theirs (E)."""
        resource = self._state.resources[device.device.resource]
        if len(resource.resource.devices) > 1 or resource.points:
            self._decider.touch([device.device.resource])

    def not_adopted(self, event: NotAdopted) -> Iterator[Effect]:
        """Take it that a device did not take on what it was told: nothing that it does is known any more."""
        device = self._state.devices[event.device]
        if device.command is None or event.serial != device.serial:
            return
        device.verify_at_ms = None
        device.doubt()
        self.touch_shared(device)
        key, names = device.command.basis[0], (event.device,)
        yield tell(self._state.now_ms, Topic.NOT_ADOPTED, key, "C15", "not adopted", names, (), event.why)

    # -- measured

    def verify_due(self, name: str) -> Iterator[Effect]:
        """Hold what was measured of a device against its command, once that has settled."""
        device = self._state.devices.get(name)
        if device is not None:
            yield from self.verify(device)

    def verify(self, device: DeviceState) -> Iterator[Effect]:
        """Hold the measurements against the command once it has settled; tell what changes (C15)."""
        due_ms, command = device.verify_at_ms, device.command
        if command is None or due_ms is None or due_ms > self._state.now_ms:
            return
        around = Circumstances(device.voltage, device.device.nominal_voltage_mv, device.stored, device.device.energy_wh)
        proof = verify(command, device.power, device.device.rated_w, around)
        for key in command.power_basis:
            self._see(key, device, proof)
        if proof.verdict is not device.verdict:
            device.verdict = proof.verdict
            yield self._verified(command.power_basis[-1], device, proof, device.power, "")
            yield from self._reporting.verified(device, proof)
        if command.floor_w is not None or command.modes:
            yield from self._verify_functions(device, command)

    def _verify_functions(self, device: DeviceState, command: Command) -> Iterator[Effect]:
        """Hold power against the floor, reactive power against its modes, save where they are not carried."""
        lacking = [function for function, _why in device.cannot]
        known, found = dict(device.mode_verdicts), []
        seen = verify_floor(command, device.power, device.device.draws_w) if device.carries_floor() else None
        if seen is not None and command.floor_by is not None:
            self._see(command.floor_by, device, seen)
            found.append((Function.LOAD_LIMIT, seen.verdict))
            if known.get(Function.LOAD_LIMIT) is not seen.verdict:
                yield self._verified(command.floor_by, device, seen, device.power, Function.LOAD_LIMIT.value)
        for mode, key in zip(command.modes, command.mode_basis, strict=True):
            carried = mode.function not in lacking
            proof = verify_var(mode, device.power, device.reactive, device.device.rated_w) if carried else None
            if proof is None:
                continue
            self._see(key, device, proof)
            found.append((mode.function, proof.verdict))
            if known.get(mode.function) is not proof.verdict:
                yield self._verified(key, device, proof, device.reactive, mode.function.value)
        device.mode_verdicts = tuple(found)

    def _see(self, key: OrderKey, device: DeviceState, proof: Proof) -> None:
        live = self._state.lives.get(key)
        if live is not None and device.device.resource in live.courses:
            live.courses[device.device.resource].see(proof.verdict, proof.why)

    def _verified(self, key: OrderKey, device: DeviceState, proof: Proof, reading: Reading, function: str) -> Effect:
        values = (reading.value,) if isinstance(reading, Known) else ()
        at_ms, names = self._state.now_ms, (device.device.name,)
        return tell(at_ms, Topic.VERIFIED, key, "C15", proof.verdict.value, names, values, proof.why, function)
