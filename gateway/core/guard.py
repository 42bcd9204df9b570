"""The last look: nothing reaches a DER that this did not clear; it blocks and never adjusts (DESIGN 3, default deny).

`Cleared` can be built here alone. A type checker refuses a bare command where a cleared one is asked for; at run time
the key stops what gets past it.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, final

from gateway.core.modes import fault
from gateway.core.plan import Command

LONGEST_MS = 3_600_000


@final
class _Key:
    """What only this module holds."""

    __slots__ = ()


_KEY: Final = _Key()


@final
class Cleared:
    """A command that the guard let pass: for one device, with its reversion, until `valid_until_ms`."""

    __slots__ = ("_key", "command", "serial", "valid_until_ms")

    def __init__(self, key: _Key, command: Command, serial: int, valid_until_ms: int) -> None:
        """Refuse everybody but the guard."""
        if key is not _KEY:
            raise PermissionError("only gateway.core.guard.clear makes a cleared command; ask it")
        self._key: Final = key
        self.command: Final = command
        self.serial: Final = serial
        self.valid_until_ms: Final = valid_until_ms

    def holds_for(self, device: str, now_ms: int) -> bool:
        """Tell whether this may be written to `device` at `now_ms`: genuine, its own, and not expired."""
        return self._key is _KEY and self.command.device == device and now_ms < self.valid_until_ms


@dataclass(frozen=True, slots=True)
class Blocked:
    """A command that is not written, and why."""

    command: Command
    why: str


class Bounds(NamedTuple):
    """What a command is held against, taken from the rulings and not from the plan.

    `upper_w` is the resource's ceiling, `held_w` what this DER was told last and `others_w` what its other DER are
    counted at; `fallback_w` is what the resource may do in silence, `held_fallback_w` what this DER was told to revert
    to and `others_fallback_w` what the others may at worst; all in W. A command that shrinks is never blocked by what
    others still do.
    """

    device: str
    rated_w: int
    upper_w: int
    held_w: int
    others_w: int
    fallback_w: int
    held_fallback_w: int
    others_fallback_w: int
    may_connect: bool
    may_energize: bool
    valid_until_ms: int


def clear(command: Command, bounds: Bounds, serial: int, now_ms: int) -> Cleared | Blocked:
    """Clear a command for its device, or block it with the first reason found."""
    why = _fault(command, bounds, now_ms)
    if why is not None:
        return Blocked(command, why)
    return Cleared(_KEY, command, serial, bounds.valid_until_ms)


def _fault(command: Command, bounds: Bounds, now_ms: int) -> str | None:
    limit_w = command.limit_w
    if command.device != bounds.device:
        return f"command for {command.device} held against the bounds of {bounds.device}"
    if not 0 <= limit_w <= bounds.rated_w:
        return f"limit {limit_w} W is outside 0..{bounds.rated_w} W, the rating"
    if limit_w > bounds.upper_w:
        return f"limit {limit_w} W exceeds the envelope of {bounds.upper_w} W"
    if limit_w > bounds.held_w and limit_w + bounds.others_w > bounds.upper_w:
        return f"limit {limit_w} W with {bounds.others_w} W of the others exceeds {bounds.upper_w} W"
    if command.target_w is not None and not -bounds.rated_w <= command.target_w <= limit_w:
        return f"set-point {command.target_w} W is outside -{bounds.rated_w}..{limit_w} W"
    if not 0 <= command.revert_limit_w <= limit_w:
        return f"reversion to {command.revert_limit_w} W would loosen the limit of {limit_w} W"
    if command.revert_limit_w > bounds.fallback_w:
        return f"reversion to {command.revert_limit_w} W exceeds the fallback of {bounds.fallback_w} W"
    grows = command.revert_limit_w > bounds.held_fallback_w
    if grows and command.revert_limit_w + bounds.others_fallback_w > bounds.fallback_w:
        return f"reversion to {command.revert_limit_w} W with the others' exceeds {bounds.fallback_w} W"
    if command.revert_after_ms <= 0:
        return f"reversion after {command.revert_after_ms} ms never comes"
    functions = [mode.function for mode in command.modes]
    if len(functions) > len(set(functions)):
        return "two modes of one function would move the same quantity"
    faulty = [why for why in map(fault, command.modes) if why]
    if faulty:
        return faulty[0]
    if command.connected and not bounds.may_connect:
        return "an order in force disconnects this DER"
    if command.energized and not bounds.may_energize:
        return "an order in force ceases to energize this DER"
    if not now_ms < bounds.valid_until_ms <= now_ms + LONGEST_MS:
        return f"validity until {bounds.valid_until_ms} is not within an hour of {now_ms}"
    return None
