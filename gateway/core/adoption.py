"""What devices read back of their commands, and what of an order that proves (RULES C15, E)."""

from collections.abc import Iterator

from gateway.core.answers import Kind, Unable
from gateway.core.decide import Decider
from gateway.core.events import Adopted, Effect, NotAdopted, Topic
from gateway.core.ledger import Ledger
from gateway.core.narrate import tell
from gateway.core.orders import OrderKey
from gateway.core.plan import Command
from gateway.core.state import DeviceState, State


class Adoption:
    """Takes read-backs into the machine's state; keeps nothing of its own."""

    def __init__(self, state: State, decider: Decider, ledger: Ledger) -> None:
        """Take them into this state, and answer through this ledger."""
        self._state = state
        self._decider = decider
        self._ledger = ledger

    def adopted(self, event: Adopted) -> Iterator[Effect]:
        """Take it that a device does what it was told, save the modes that it cannot carry.

        Curves and power factors are proven by this; power is measured once it has settled (C15).
        """
        state = self._state
        device = state.devices[event.device]
        command = device.command
        if command is None or event.serial != device.serial or (device.adopted and event.cannot == device.cannot):
            return
        lacking = [Unable(event.device, function, why) for function, why in event.cannot]
        if event.cannot != device.cannot:
            yield from self._tell_lacking(device, command, lacking)
        device.adopted, device.cannot = True, event.cannot
        device.confirmed_w, device.confirmed_fallback_w = command.limit_w, command.revert_limit_w
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
        missing = [one for one in lacking if one.function in mine]
        lost = [function for function, _at_ms in course.lost] + [one.function for one in missing]
        keeps_any = any(effect.function not in lost for effect in live.effects.get(name, ()))
        new = course.adopt(device.device.name, missing, keeps_any=keeps_any)
        if new and not course.ended:
            self._ledger.say(live, (name,), Kind.UNCARRIED, "C15", "; ".join(map(str, new)))
        return live.order.ramp_ms

    def _tell_lacking(self, device: DeviceState, command: Command, lacking: list[Unable]) -> Iterator[Effect]:
        """Tell whose modes a device cannot carry."""
        by = {mode.function: key for mode, key in zip(command.modes, command.mode_basis, strict=True)}
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
        device.adopted, device.verify_at_ms = False, None
        device.confirmed_w = device.confirmed_fallback_w = None
        self.touch_shared(device)
        key, names = device.command.basis[0], (event.device,)
        yield tell(self._state.now_ms, Topic.NOT_ADOPTED, key, "C15", "not adopted", names, (), event.why)
