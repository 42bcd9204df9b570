"""MQTT payloads to the core's words and back: sign and scale are the same on both sides."""

from typing import Final

from gateway.core.events import NOT_STORED, Adopted, ForeignHand, LinkDown, LinkUp, NotAdopted, Observed
from gateway.core.functions import Function
from gateway.core.known import Known, Reading, Unknown
from gateway.ports.south import Cleared
from gateway.wire.mqtt import UNSET, Command, Reversion, Settings, State, UnsetType

Told = Adopted | ForeignHand | LinkDown | LinkUp | NotAdopted | Observed

_UNSAID: Final = "the device does not say"


def command(cleared: Cleared, run: str, issued_ms: int) -> Command:
    """Put what was cleared into a command; its id is unique over all starts of the gateway by `run`."""
    told = cleared.command
    return Command(
        id=f"{run}-{cleared.serial}",
        issued_ms=issued_ms,
        expires_ms=cleared.valid_until_ms,
        limit_w=told.limit_w,
        target_w=told.target_w,
        floor_w=told.floor_w,
        connected=told.connected,
        energized=told.energized,
        ramp_ms=told.ramp_ms,
        reversion=Reversion(told.revert_limit_w, told.revert_after_ms, told.revert_floor_w),
    )


def cannot(cleared: Cleared, held: Settings | None) -> tuple[tuple[Function, str], ...]:
    """Name what of that which was cleared is not carried, and why: modes, and a floor that is not read back."""
    told = cleared.command
    lacking = [(mode.function, "the commands of MQTT devices bear no modes") for mode in told.modes]
    if told.floor_w is not None and (held is None or held.floor_w is UNSET):
        lacking.append((Function.LOAD_LIMIT, "it does not read floor_w back: it does not limit what it draws"))
    return tuple(lacking)


def differs(asked: Command, held: Settings | None) -> str:
    """Say how what a device holds differs from what it was asked; empty where it does not.

    What the command leaves to the device is not compared.
    """
    if held is None:
        return "it holds no settings of a command"
    if held.limit_w != asked.limit_w:
        return f"limit reads {held.limit_w} W, not {asked.limit_w} W"
    if held.target_w != asked.target_w:
        return f"set-point reads {_watts(held.target_w)}, not {_watts(asked.target_w)}"
    if held.floor_w is not UNSET and held.floor_w != asked.floor_w:
        return f"floor reads {_watts(held.floor_w)}, not {_watts(asked.floor_w)}"
    for name in ("connected", "energized", "ramp_ms"):
        wanted = getattr(asked, name)
        if wanted is not None and getattr(held, name) != wanted:
            return f"{name} reads {getattr(held, name)}, not {wanted}"
    one, other = held.reversion, asked.reversion
    if (one.limit_w, one.after_ms) != (other.limit_w, other.after_ms):
        return f"reversion reads {one.limit_w} W after {one.after_ms} ms, not {other.limit_w} W after {other.after_ms}"
    if held.floor_w is not UNSET and one.floor_w != other.floor_w:
        return f"reversion reads a floor of {_watts(one.floor_w)}, not {_watts(other.floor_w)}"
    return ""


def off_by(asked: Command, state: State) -> str:
    """Say how a device's state differs from the command that it was sent; empty where it is in force as asked."""
    if state.command_id != asked.id:
        return f"it holds {f'command {state.command_id}' if state.command_id else 'no command'}"
    if state.reverted:
        return "it fell back by its own timer"
    return differs(asked, state.settings)


def _watts(power_w: int | UnsetType | None) -> str:
    return "off" if power_w is None or power_w is UNSET else f"{power_w} W"


def observed(device: str, state: State, now_ms: int) -> Observed:
    """Turn a state into an observation; it is as old as the device says, and never from the future."""
    at_ms = min(state.at_ms, now_ms)
    power, reactive, voltage = (_reading(each, at_ms) for each in (state.power_w, state.reactive_var, state.voltage_mv))
    stored = NOT_STORED if state.stored_wh is None else Known(state.stored_wh, at_ms)
    return Observed(device, power, reactive, voltage, state.connected, stored)


def unseen(device: str, why: str, now_ms: int) -> Observed:
    """Say that nothing is known of a device any more."""
    unknown = Unknown(why, now_ms)
    return Observed(device, unknown, unknown, unknown, None, unknown)


def up(device: str, state: State, now_ms: int) -> LinkUp:
    """Turn what a device can do into the word that it is there."""
    return LinkUp(device, _reading(state.generation_max_w, now_ms), _reading(state.charge_max_w, now_ms))


def _reading(value: int | None, at_ms: int) -> Reading:
    return Unknown(_UNSAID, at_ms) if value is None else Known(value, at_ms)
