"""A resource's rulings shared out to its DER: one command each, inside every limit (RULES C2, C14, E)."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.core.arbitrate import Ruling, Settlement
from gateway.core.feeder import Room
from gateway.core.functions import CEILINGS, FLOORS, Function
from gateway.core.modes import Mode
from gateway.core.orders import OrderKey
from gateway.core.siteload import UNMETERED, LocalLoad


class Envelope(NamedTuple):
    """The intersection of all limits in force at a resource (W), which of them bind, and by which rule.

    `ordered_w` is the set-point as ruled, `wanted_w` what the limits leave of it and `target_w` what the feeder's model
    leaves of that; `held_by` is what binds there. While the model has not answered yet the set-point `waits`. `modes`
    are how it is to move by itself, and `modes_by` says whose each of them is. `lower_by` is what binds at `lower_w`.
    """

    upper_w: int
    upper_by: OrderKey
    upper_function: Function
    rule: str
    lower_w: int | None
    target_w: int | None
    target_by: OrderKey | None
    ordered_w: int | None
    connected: bool | None
    energized: bool | None
    wanted_w: int | None = None
    held_by: str = ""
    waits: bool = False
    modes: tuple[Mode, ...] = ()
    modes_by: tuple[OrderKey, ...] = ()
    lower_by: OrderKey | None = None


class Command(NamedTuple):
    """What one DER is told.

    `limit_w` is the most it may generate, `target_w` the set-point it runs at or None, `revert_limit_w` what it falls
    back to when nobody speaks to it for `revert_after_ms`. `connected` and `energized` are None where nobody says:
    then the DER is left as it is. `basis` names the orders that it rests on: whose the limit is, then the set-point,
    then whose the floor is, then each of the modes in their order. `ramp_ms` is how long the DER takes to get
    to a new limit or set-point: 0 is at once, None leaves it to the DER (C16). `modes` are how it is to move by itself,
    at most one of a function; a function that has none is left to the DER. `floor_w` (0 or below) is the least power:
    the most that it may draw, as much as it is rated for where that is None; `revert_floor_w` is what it becomes
    when nobody speaks.
    """

    device: str
    limit_w: int
    target_w: int | None
    connected: bool | None
    energized: bool | None
    revert_limit_w: int
    revert_after_ms: int
    basis: tuple[OrderKey, ...]
    rule: str
    ramp_ms: int | None = None
    modes: tuple[Mode, ...] = ()
    floor_w: int | None = None
    revert_floor_w: int | None = None

    @property
    def power_basis(self) -> tuple[OrderKey, ...]:
        """Name whose the limit is, then whose the set-point, where there is one."""
        return self.basis[: len(self.basis) - len(self.modes) - (self.floor_w is not None)]

    @property
    def floor_by(self) -> OrderKey | None:
        """Name whose the floor is, where there is one."""
        return None if self.floor_w is None else self.basis[len(self.basis) - len(self.modes) - 1]

    @property
    def mode_basis(self) -> tuple[OrderKey, ...]:
        """Name whose each of the modes is."""
        return self.basis[len(self.basis) - len(self.modes) :]


class Part(NamedTuple):
    """One DER of a resource as sharing sees it: its rating, and what it must be counted at (W) until told otherwise.

    `before` is the command that it has, `adopted` whether it reads back as told, `counted_fallback_w` what it may at
    worst fall back to in silence. `draws_w` is the most that it draws, 0 where it draws nothing; `counted_draw_w` and
    `counted_draw_fallback_w` are what it must be counted at, sizes; `carries_floor` is False where it cannot be told.
    """

    device: str
    rated_w: int
    counted_w: int
    reachable: bool
    before: Command | None = None
    adopted: bool = False
    counted_fallback_w: int = 0
    draws_w: int = 0
    counted_draw_w: int = 0
    counted_draw_fallback_w: int = 0
    carries_floor: bool = True

    def mirrored(self) -> "Part":
        """Give the part as sharing sees what it draws: powers counted positive into it."""
        before = self.before
        if before is not None:
            draw_w = self.draws_w if before.floor_w is None else -before.floor_w
            revert_w = self.draws_w if before.revert_floor_w is None else -before.revert_floor_w
            before = before._replace(limit_w=draw_w, revert_limit_w=revert_w)
        return self._replace(
            rated_w=self.draws_w,
            counted_w=self.counted_draw_w,
            counted_fallback_w=self.counted_draw_fallback_w,
            reachable=self.reachable and self.carries_floor,
            before=before,
        )


def envelope(settlement: Settlement, room: Room | None = None, load: LocalLoad = UNMETERED) -> Envelope:
    """Intersect a resource's rulings; a set-point is clipped into the limits, and into what its feeder certified.

    A ceiling is never an order to run the other way: below zero it holds as zero, and so does a floor above it (C2).
    A limit at the connection point holds on the DER behind it with the local load on top, which is
    metered there or else taken as zero.
    """
    upper = min(
        (ruling for ruling in settlement.rulings if ruling.function in CEILINGS),
        key=lambda ruling: _behind_meter_w(ruling, load),
    )
    upper_w = max(0, _behind_meter_w(upper, load))
    lower_w: int | None = None
    lower_by: OrderKey | None = None
    target_w: int | None = None
    target_by: OrderKey | None = None
    ordered_w: int | None = None
    connected: bool | None = None
    energized: bool | None = None
    modes: tuple[Mode, ...] = ()
    modes_by: tuple[OrderKey, ...] = ()
    for ruling in settlement.rulings:
        if ruling.function in FLOORS:
            floor_w = min(0, _behind_meter_w(ruling, load))
            if lower_w is None or floor_w > lower_w:
                lower_w, lower_by = floor_w, ruling.binding
        elif ruling.function is Function.ACTIVE_POWER:
            ordered_w, target_by = ruling.value, ruling.binding
        elif ruling.function is Function.CONNECT:
            connected = bool(ruling.value)
        elif ruling.function is Function.ENERGIZE:
            energized = bool(ruling.value)
        elif ruling.mode is not None:
            modes, modes_by = (*modes, ruling.mode), (*modes_by, ruling.binding)
    if ordered_w is not None:
        target_w = min(ordered_w, upper_w)
        if lower_w is not None:
            target_w = max(target_w, lower_w)
    wanted_w, held_by, waits = target_w, "", False
    if room is not None and wanted_w is not None and not room.low_w <= wanted_w <= room.high_w:
        waits = room.waits
        target_w = None if waits else max(room.low_w, min(wanted_w, room.high_w))
        held_by = room.binding
    return Envelope(
        upper_w,
        upper.binding,
        upper.function,
        upper.rule,
        lower_w,
        target_w,
        target_by,
        ordered_w,
        connected,
        energized,
        wanted_w,
        held_by,
        waits,
        modes,
        modes_by,
        lower_by,
    )


def _behind_meter_w(ruling: Ruling, load: LocalLoad) -> int:
    """Give what a limit leaves to the DER (W): one of the connection point holds with the local load on top."""
    if ruling.function is Function.EXPORT_LIMIT:
        return ruling.value + load.least_w
    return ruling.value + load.most_w if ruling.function is Function.IMPORT_LIMIT else ruling.value


def proportional(total_w: int, parts: Sequence[Part]) -> list[int]:
    """Share a power by rating, rounded toward zero, so that the shares never sum to more than the total."""
    if len(parts) == 1:
        return [total_w]
    rated_w = sum(part.rated_w for part in parts)
    if total_w < 0:
        return [-(-total_w * part.rated_w // rated_w) for part in parts]
    return [total_w * part.rated_w // rated_w for part in parts]


def share_ceiling(upper_w: int, parts: Sequence[Part]) -> list[int]:
    """Give each DER its ceiling (W): shrink first, grow only into what the others have been read back to leave (E).

    An unreachable DER keeps what it was told and is counted at its worst; where even that exceeds the ceiling the
    others go to zero, and it is to come back with no more than its own share.
    """
    if len(parts) == 1:
        return [min(upper_w, parts[0].rated_w)]
    silent_w = sum(part.counted_w for part in parts if not part.reachable)
    reachable = [part for part in parts if part.reachable]
    wished = iter(proportional(max(0, upper_w - silent_w), reachable)) if reachable else iter(())
    silent_most_w = [part.rated_w for part in parts] if silent_w <= upper_w else proportional(max(0, upper_w), parts)
    shares = [
        min(next(wished), part.rated_w) if part.reachable else min(_last_word_w(part), most_w)
        for part, most_w in zip(parts, silent_most_w, strict=True)
    ]
    room_w = max(0, upper_w - sum(part.counted_w for part in parts))
    for index, part in enumerate(parts):
        told_w = _last_word_w(part)
        if shares[index] > told_w:
            grown_w = min(shares[index], told_w + room_w)
            room_w -= grown_w - told_w
            shares[index] = grown_w
    return shares


def share_fallback(fallback_w: int, parts: Sequence[Part], ceilings: Sequence[int]) -> list[int]:
    """Give each DER its reversion (W) inside its ceiling; it grows only into what the others surely leave (C14)."""
    room_w = max(0, fallback_w - sum(part.counted_fallback_w for part in parts))
    shares = []
    for part, share_w, limit_w in zip(parts, proportional(fallback_w, parts), ceilings, strict=True):
        wished_w = min(share_w, limit_w)
        told_w = wished_w if part.before is None else part.before.revert_limit_w
        grown_w = min(wished_w, told_w + room_w)
        room_w -= max(0, grown_w - told_w)
        shares.append(grown_w)
    return shares


def _last_word_w(part: Part) -> int:
    return part.counted_w if part.before is None else min(part.counted_w, part.before.limit_w)


def commands(
    bounds: Envelope,
    parts: Sequence[Part],
    fallback_w: int,
    revert_after_ms: Sequence[int],
    fallback_floor_w: int | None = None,
) -> list[Command]:
    """Give one command for each DER of a resource; the fallbacks are what the resource falls back to in silence."""
    made = _ceiled(bounds, parts, fallback_w, revert_after_ms)
    if bounds.lower_w is None and fallback_floor_w is None:
        return made
    return _floored(made, bounds, parts, fallback_floor_w)


def _ceiled(bounds: Envelope, parts: Sequence[Part], fallback_w: int, revert_after_ms: Sequence[int]) -> list[Command]:
    if len(parts) == 1:
        limit_w = min(bounds.upper_w, parts[0].rated_w)
        return [_command(bounds, parts[0], limit_w, bounds.target_w, max(0, fallback_w), revert_after_ms[0])]
    ceilings = share_ceiling(bounds.upper_w, parts)
    targets = [None] * len(parts) if bounds.target_w is None else proportional(bounds.target_w, parts)
    fallbacks = share_fallback(max(0, min(fallback_w, bounds.upper_w)), parts, ceilings)
    rows = zip(parts, ceilings, targets, fallbacks, revert_after_ms, strict=True)
    return [_command(bounds, *row) for row in rows]


def _floored(
    made: Sequence[Command], bounds: Envelope, parts: Sequence[Part], fallback_floor_w: int | None
) -> list[Command]:
    """Give the commands with the floors of those DER that draw: the mirror image of how ceilings are shared.

    What generates beside them is not counted against what they draw, as load is not against generation.
    """
    drawing = [part.mirrored() for part in parts if part.draws_w]
    if not drawing:
        return list(made)
    rated_w = sum(part.rated_w for part in drawing)
    draw_w = rated_w if bounds.lower_w is None else -bounds.lower_w
    silent_w = draw_w if fallback_floor_w is None else min(draw_w, -fallback_floor_w)
    most_w = share_ceiling(draw_w, drawing)
    falls_w = share_fallback(silent_w, drawing, most_w) if len(drawing) > 1 else [min(silent_w, most_w[0])]
    shares = iter(zip(drawing, most_w, falls_w, strict=True))
    return [
        _with_floor(command, bounds, *next(shares)) if part.draws_w else command
        for command, part in zip(made, parts, strict=True)
    ]


def _with_floor(command: Command, bounds: Envelope, part: Part, draw_w: int, fall_w: int) -> Command:
    revert_floor_w = -fall_w if fall_w < part.draws_w else None
    target_w = None if command.target_w is None else max(command.target_w, -min(draw_w, part.draws_w))
    if draw_w >= part.draws_w or bounds.lower_by is None:
        return command._replace(target_w=target_w, revert_floor_w=revert_floor_w)
    basis = (*command.power_basis, bounds.lower_by, *command.mode_basis)
    return command._replace(target_w=target_w, basis=basis, floor_w=-draw_w, revert_floor_w=revert_floor_w)


def _command(
    bounds: Envelope, part: Part, limit_w: int, target_w: int | None, fallback_w: int, revert_after_ms: int
) -> Command:
    before = part.before
    power_by = (bounds.upper_by,) if bounds.target_by is None else (bounds.upper_by, bounds.target_by)
    return Command(
        part.device,
        limit_w,
        None if target_w is None else max(-part.rated_w, min(target_w, limit_w)),
        _switch(bounds.connected, before and before.connected, adopted=part.adopted),
        _switch(bounds.energized, before and before.energized, adopted=part.adopted),
        min(fallback_w, limit_w),
        revert_after_ms,
        (*power_by, *bounds.modes_by),
        bounds.rule,
        modes=bounds.modes,
    )


def _switch(ruled: bool | None, before: bool | None, *, adopted: bool) -> bool | None:
    """Say on or off where a ruling does; take back an off of our own once, and leave alone what others switched."""
    if ruled is not None or before is None:
        return ruled
    return None if before and adopted else True
