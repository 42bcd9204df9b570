"""Decisions told in records: what was ruled, clipped and commanded, and why an order holds or is beaten."""

from collections.abc import Iterable, Iterator, Sequence

from gateway.core.allot import Shared
from gateway.core.arbitrate import SITE, Ruling
from gateway.core.capacity import Reduction
from gateway.core.clearing import Award
from gateway.core.events import Tell, Topic
from gateway.core.functions import CEILINGS, Function
from gateway.core.guard import Blocked
from gateway.core.modes import in_words
from gateway.core.orders import Order, OrderKey
from gateway.core.plan import Command, Envelope
from gateway.core.settling import Settled


def label(key: OrderKey) -> str:
    """Give the order's name as people read it."""
    return f"{key.issuer}/{key.id}"


def tell(
    at_ms: int,
    topic: Topic,
    order: OrderKey | None,
    rule: str,
    effect: str,
    names: Iterable[str],
    values: Iterable[int],
    why: str,
    function: str = "",
) -> Tell:
    """Make one record."""
    named = "" if order is None else label(order)
    return Tell(topic, at_ms, named, function, rule, effect, tuple(names), tuple(values), why)


def rulings(at_ms: int, settled: Settled, before: tuple[Ruling, ...], names: Sequence[str]) -> Iterator[Tell]:
    """Tell what is ruled at these resources that was not before."""
    old = {ruling.function: ruling for ruling in before}
    for ruling in settled.settlement.rulings:
        held = old.get(ruling.function)
        if held is not None and _gist(held) == _gist(ruling):
            continue
        others = [f"{text} {label(key)}" for text, keys in _others(ruling) for key in keys]
        effect, function, values = effect_text(ruling), ruling.function.value, (ruling.value,)
        why = "; ".join(others)
        yield tell(at_ms, Topic.RULED, ruling.binding, ruling.rule, effect, names, values, why, function)
        if ruling.clipped:
            why = "limits contradict each other"
            yield tell(at_ms, Topic.CLIPPED, ruling.binding, "C2", "alarm", names, values, why, function)
    bounds = settled.envelope
    if bounds.target_by is not None and bounds.target_w is not None and bounds.target_w != bounds.ordered_w:
        why = f"set-point of {bounds.ordered_w} W lies outside {clipped_by(bounds)}"
        effect, function = f"clipped to {bounds.target_w} W", Function.ACTIVE_POWER.value
        yield tell(
            at_ms, Topic.CLIPPED, bounds.target_by, clip_rule(bounds), effect, names, (bounds.target_w,), why, function
        )


def commanded(at_ms: int, told: Sequence[Command]) -> Tell:
    """Tell commands that differ in nothing but their devices and limits."""
    first = told[0]
    parts = [f"limit, {first.rule}"]
    if first.target_w is not None:
        parts.append(f"set-point {first.target_w} W")
    if first.floor_w is not None and first.floor_by is not None:
        parts.append(f"draws at most {-first.floor_w} W by {label(first.floor_by)}")
    if first.connected is False:
        parts.append("disconnected")
    if first.energized is False:
        parts.append("ceased to energize")
    modes = zip(first.modes, first.mode_basis, strict=True)
    parts += [f"{in_words(mode)} by {label(key)}" for mode, key in modes]
    parts.append(f"falls back to {first.revert_limit_w} W")
    if first.revert_floor_w is not None:
        parts.append(f"then draws at most {-first.revert_floor_w} W")
    names = [command.device for command in told]
    values = [command.limit_w for command in told]
    return tell(at_ms, Topic.COMMANDED, first.power_basis[-1], first.rule, ", ".join(parts), names, values, "")


def shared(at_ms: int, share: Shared) -> Tell:
    """Tell what falls to each resource of an order in sum, or of a rating."""
    rule = "C12" if share.key.issuer == SITE else "E"
    effect = f"{share.total_w} W shared at {share.point}"
    names, values = share.shares.keys(), share.shares.values()
    return tell(at_ms, Topic.SHARED, share.key, rule, effect, names, values, "", share.function.value)


def awarded(at_ms: int, order: OrderKey, award: Award) -> Tell:
    """Tell what a dispatch takes of an offer, and at which price."""
    by = f"{award.offer.party}/{award.offer.id}"
    effect = f"{award.w} W {award.direction.value} of {by} at {award.milli_per_mwh} thousandths per MWh"
    return tell(at_ms, Topic.AWARDED, order, "E", effect, award.resources, (award.w,), "", award.service)


def unmet(at_ms: int, share: Shared, why: str) -> Tell:
    """Tell what of an order in sum cannot be met."""
    return tell(
        at_ms, Topic.UNMET, share.key, "E", "unmet", (share.point,), (share.unmet_w,), why, share.function.value
    )


def outage(at_ms: int, cut: Reduction) -> Tell:
    """Tell a buyer what is left of a commitment."""
    key = OrderKey(cut.key.party, cut.key.id)
    why = f"{cut.kept_w} W of the {cut.promised_w} W promised can be kept"
    return tell(at_ms, Topic.OUTAGE, key, "C8", f"told to {cut.buyer}", (cut.device,), (cut.kept_w,), why, "commitment")


def blocked(at_ms: int, one: Blocked) -> Tell:
    """Tell a command that the guard did not let pass."""
    command = one.command
    return tell(at_ms, Topic.BLOCKED, command.basis[0], "guard", "not written", (command.device,), (), one.why)


def winners(order: Order, settled: Settled) -> str:
    """Name what holds in the functions of a beaten order."""
    functions = [effect.function for effect in order.effects]
    found = {label(one.binding): None for one in settled.settlement.rulings if one.function in functions}
    return ", ".join(found) or "a stronger order"


def reason(order: Order, settled: Settled) -> tuple[str, str]:
    """Say by which rule an order holds, and whether it binds."""
    bounds = settled.envelope
    for ruling in settled.settlement.rulings:
        if ruling.binding == order.key:
            clipped = bounds.target_by == ruling.binding and bounds.target_w != bounds.ordered_w
            if ruling.function is Function.ACTIVE_POWER and bounds.waits:
                return "C12", f"{effect_text(ruling)}, once the feeder's model has certified it"
            if ruling.function is Function.ACTIVE_POWER and clipped:
                return clip_rule(bounds), f"clipped to {bounds.target_w} W by {clipped_by(bounds)}"
            return ruling.rule, f"{ruling.function.value} {effect_text(ruling)}"
    return "C2", "in force, not binding"


def clipped_by(bounds: Envelope) -> str:
    """Name what leaves less of a set-point than is ordered: the feeder, or the limit that binds."""
    return f"the feeder: {bounds.held_by}" if bounds.held_by else label(bounds.upper_by)


def clip_rule(bounds: Envelope) -> str:
    """Give the rule by which a set-point is clipped."""
    return "C12" if bounds.held_by else "C2"


def effect_text(ruling: Ruling) -> str:
    """Say what a ruling makes of its function."""
    if ruling.function is Function.ACTIVE_POWER:
        return f"set-point {ruling.value} W"
    if ruling.function in {Function.CONNECT, Function.ENERGIZE}:
        return "on" if ruling.value else "off"
    if ruling.mode is not None:
        return in_words(ruling.mode)
    return f"{'ceiling' if ruling.function in CEILINGS else 'floor'} {ruling.value} W"


def _gist(ruling: Ruling) -> tuple[object, ...]:
    return (ruling.value, ruling.mode, ruling.binding, ruling.rule, ruling.slack, ruling.suspended, ruling.clipped)


def _others(ruling: Ruling) -> tuple[tuple[str, tuple[OrderKey, ...]], ...]:
    return (("slack", ruling.slack), ("suspended", ruling.suspended), ("beaten", ruling.beaten))
