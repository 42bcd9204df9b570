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


class Draw(NamedTuple):
    """What a floor is held against, all sizes in W: the mirror image of the ceilings of `Bounds`.

    `rated_w` is the most that the DER draws, `most_w` what its resource may, `held_w` what the DER was told last and
    `others_w` what the other DER are counted at; `fallback_w` and the two after it are the same in silence.
    """

    rated_w: int
    most_w: int
    held_w: int
    others_w: int
    fallback_w: int
    held_fallback_w: int
    others_fallback_w: int


class Bounds(NamedTuple):
    """What a command is held against, taken from the rulings and not from the plan.

    `upper_w` is the resource's ceiling, `held_w` what this DER was told last and `others_w` what its other DER are
    counted at; `fallback_w` is what the resource may do in silence, `held_fallback_w` what this DER was told to revert
    to and `others_fallback_w` what the others may at worst; all in W. A command that shrinks is never blocked by what
    others still do. `draw` is None where nothing limits what the DER draws.
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
    draw: Draw | None = None


def clear(command: Command, bounds: Bounds, serial: int, now_ms: int) -> Cleared | Blocked:
    """Clear a command for its device, or block it with the first reason found."""
    why = _fault(command, bounds, now_ms) or _draw_fault(command, bounds.draw)
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


def _draw_fault(command: Command, draw: Draw | None) -> str | None:
    if draw is None:
        if command.floor_w is None and command.revert_floor_w is None:
            return None
        return f"floor {command.floor_w} W for a DER of which nothing limits what it draws"
    told_w = draw.rated_w if command.floor_w is None else -command.floor_w
    falls_w = draw.rated_w if command.revert_floor_w is None else -command.revert_floor_w
    if not 0 <= told_w <= draw.rated_w:
        return f"floor -{told_w} W is outside -{draw.rated_w}..0 W, the rating"
    if told_w > draw.most_w:
        return f"floor -{told_w} W exceeds the envelope of -{draw.most_w} W"
    if told_w > draw.held_w and told_w + draw.others_w > draw.most_w:
        return f"floor -{told_w} W with -{draw.others_w} W of the others exceeds -{draw.most_w} W"
    if command.target_w is not None and command.target_w < -told_w:
        return f"set-point {command.target_w} W is below the floor of -{told_w} W"
    if not 0 <= falls_w <= told_w:
        return f"reversion to -{falls_w} W would loosen the floor of -{told_w} W"
    if falls_w > draw.fallback_w:
        return f"reversion to -{falls_w} W exceeds the fallback of -{draw.fallback_w} W"
    if falls_w > draw.held_fallback_w and falls_w + draw.others_fallback_w > draw.fallback_w:
        return f"reversion to -{falls_w} W with the others' exceeds -{draw.fallback_w} W"
    return None
