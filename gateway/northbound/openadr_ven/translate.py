"""OpenADR 3.1 event payloads -> orders and defaults; readings and answers -> what a VTN is sent.

Sign: a capacity limit is the size of a power into or out of the site; DISPATCH_SETPOINT is consumption, so that what
generates is negative there and positive here. Our reading: a READING of power has the sign of DISPATCH_SETPOINT.
Source: OpenADR 3.1.0, event-interval-payloads, report-payloads and units schemas; User Guide 7 and 8.10.
"""

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from gateway.core.aggregate import Total
from gateway.core.answers import Answer
from gateway.core.events import OrderHeard
from gateway.core.functions import Function
from gateway.core.orders import Ceiling, Default, Each, Effect, Floor, Order, Price, Rank, Reply, Target
from gateway.core.units import HUNDREDTHS_OF_PERCENT, Share, Watts
from gateway.northbound.openadr_ven.schedule import Piece
from gateway.northbound.openadr_ven.words import KW, Profile
from gateway.ports.ranks import openadr3_rank
from gateway.wire.openadr3 import (
    AGGREGATED,
    Event,
    Interval,
    Payload,
    PayloadDescriptor,
    Period,
    Report,
    ReportPayloadDescriptor,
    ReportResource,
    WireFault,
    instant_ms,
    write_duration,
    write_instant,
)

EXPORT_LIMIT: Final = "EXPORT_CAPACITY_LIMIT"
IMPORT_LIMIT: Final = "IMPORT_CAPACITY_LIMIT"
SIMPLE: Final = "SIMPLE"
SETPOINT: Final = "DISPATCH_SETPOINT"
PRICE: Final = "PRICE"
CARRIED: Final = (EXPORT_LIMIT, IMPORT_LIMIT, SIMPLE, SETPOINT, PRICE)
SUBSCRIPTIONS: Final = {"EXPORT_CAPACITY_SUBSCRIPTION": EXPORT_LIMIT, "IMPORT_CAPACITY_SUBSCRIPTION": IMPORT_LIMIT}
DIVIDED: Final = frozenset((*CARRIED, *SUBSCRIPTIONS))
"""The payload types of which several values share an interval."""

READING: Final = "READING"
OPERATING_STATE: Final = "OPERATING_STATE"

W_IN: Final = {"W": Decimal(1), "KW": Decimal(1_000), "MW": Decimal(1_000_000)}
WH_IN: Final = {"WH": Decimal(1), "KWH": Decimal(1_000), "MWH": Decimal(1_000_000)}
MOST_W: Final = Decimal(10**12)
MS_PER_HOUR: Final = 3_600_000
NO_REPLY: Final = Reply()

_MEANINGS: Final = frozenset(CARRIED)

Units = Mapping[str, str]
"""What each payload type is measured in, in capitals."""


class Asked(NamedTuple):
    """What an interval asks for: effects, the payload types that are not carried, and why one cannot be read."""

    effects: tuple[Effect, ...]
    uncarried: tuple[str, ...]
    why: str


# -- what is asked of us


def units(event: Event, program: Iterable[PayloadDescriptor]) -> Units:
    """Give what each payload type of an event is measured in: its own word goes before its program's."""
    return {each.payload_type: (each.units or "").upper() for each in (*program, *(event.payload_descriptors or ()))}


def effects(
    payloads: Iterable[Payload], part: int, told: Units, length_ms: int | None, words: Profile, *, default: bool = False
) -> Asked:
    """Give what an interval of this length (ms, None for ever) asks for; with `default`, its subscriptions instead.

    A limit is rounded to its stricter side, a set-point toward zero. Of two values for one type the stricter limit or
    the first holds. What cannot be read drops nothing beside it.
    """
    found: dict[str, Effect] = {}
    uncarried: dict[str, None] = {}
    why = ""
    for payload in payloads:
        kind = payload.type
        meant = SUBSCRIPTIONS.get(kind) if default else kind
        if meant not in _MEANINGS:
            if meant is not None and kind not in SUBSCRIPTIONS and kind not in words.information:
                uncarried[kind] = None
            continue
        try:
            effect = _effect(meant, _value(payload, part), told.get(kind, ""), length_ms, words)
        except WireFault as fault:
            why = why or f"{kind}: {fault}"
            uncarried[kind] = None
            continue
        known = found.get(meant)
        if known is None or _stricter(effect, known):
            found[meant] = effect
    if len(found) > 1:
        found = {kind: found[kind] for kind in CARRIED if kind in found}
    return Asked(tuple(found.values()), tuple(uncarried), why)


def _stricter(effect: Effect, known: Effect) -> bool:
    match effect, known:
        case (Ceiling(power=Watts(w=now)), Ceiling(power=Watts(w=before))):
            return now < before
        case (Floor(power=Watts(w=now)), Floor(power=Watts(w=before))):
            return now > before
        case (Ceiling(power=Share(hundredths=now)), Ceiling(power=Share(hundredths=before))):
            return now < before
        case _:
            return False


def _value(payload: Payload, part: int) -> Decimal:
    values = payload.values
    if not values:
        raise WireFault("it has no value")
    value = values[part] if len(values) > 1 else values[0]
    if type(value) is not float and type(value) is not int:
        raise WireFault("its value is no number")
    number = Decimal(repr(value))
    if not number.is_finite():
        raise WireFault("its value is no finite number")
    return number


def _effect(kind: str, value: Decimal, unit: str, length_ms: int | None, words: Profile) -> Effect:
    """Give the one effect of a payload; raise WireFault where it cannot be told what is meant."""
    if kind == EXPORT_LIMIT:
        return Ceiling(Function.EXPORT_LIMIT, Watts(_size_w(value, unit, length_ms)))
    if kind == IMPORT_LIMIT:
        return Floor(Function.IMPORT_LIMIT, Watts(-_size_w(value, unit, length_ms)))
    if kind == SETPOINT:
        return Target(_set_point(value, unit, length_ms))
    if kind == PRICE:
        return Price(_milli_per_mwh(value, unit))
    level = words.simple.get(int(value)) if value == int(value) else None
    if level is None:
        raise WireFault(f"level {value} has no meaning here; the profile lists those that do")
    return Ceiling(Function.RATING_LIMIT, level)


def _size_w(value: Decimal, unit: str, length_ms: int | None) -> int:
    power_w = int(_power_w(value, unit, length_ms))
    if value < 0:
        raise WireFault(f"{value} is negative; a limit is the size of a power")
    return power_w


def _set_point(value: Decimal, unit: str, length_ms: int | None) -> Watts | Share:
    """Give a consumption as the power that it is here, rounded toward zero."""
    if unit != "PERCENT":
        return Watts(-int(_power_w(value, unit, length_ms)))
    if abs(value) > 1:
        raise WireFault(f"{value} is beyond -1.0 to 1.0, which PERCENT runs between")
    return Share(-int(value * HUNDREDTHS_OF_PERCENT))


def _milli_per_mwh(value: Decimal, unit: str) -> int:
    if unit not in WH_IN:
        raise WireFault(_no_unit(unit, WH_IN))
    milli = value * 1_000 * WH_IN["MWH"] / WH_IN[unit]
    if abs(milli) > MOST_W:
        raise WireFault("no energy costs that much")
    return int(milli.to_integral_value(ROUND_HALF_EVEN))


def _power_w(value: Decimal, unit: str, length_ms: int | None) -> Decimal:
    """Give a power in W; our reading: an energy over an interval is its mean power."""
    watts = W_IN.get(unit)
    if watts is not None:
        power_w = value * watts
    elif unit in WH_IN:
        if length_ms is None:
            raise WireFault(f"{unit} over an interval that never ends is no power")
        power_w = value * WH_IN[unit] * MS_PER_HOUR / length_ms
    else:
        raise WireFault(_no_unit(unit, (*W_IN, *WH_IN)))
    if abs(power_w) > MOST_W:
        raise WireFault(f"{value} {unit} is beyond any power")
    return power_w


def _no_unit(unit: str, known: Iterable[str]) -> str:
    what = f"unit {unit!a} is not known" if unit else "no payloadDescriptor tells its unit"
    return f"{what}; give one of {', '.join(known)}"


def modified_ms(event: Event) -> int:
    """Give an event's version: when it was modified last (ms, the VTN's clock), else created, else 0.

    Raises WireFault where that cannot be read.
    """
    text = event.modified or event.created
    return 0 if text is None else max(0, instant_ms(text))


def rank(event: Event) -> Rank:
    """Give the strength of an event; raise WireFault where its priority or modification cannot be read."""
    try:
        return openadr3_rank(event.priority, modified_ms(event))
    except ValueError as fault:
        raise WireFault(str(fault)) from fault


class Sent(NamedTuple):
    """What all orders of one event share: who sent it, to whom, at what rank, and when it came (ms, ours)."""

    party: str
    event: str
    scope: Each
    version: int
    rank: Rank
    received_ms: int
    draw: int
    reply: Reply
    service: str

    @property
    def group(self) -> str:
        """The group of resources that obeys."""
        return self.scope.group


def sent(
    event: Event, party: str, group: str, received_ms: int, draw: int, service: str, version: int | None = None
) -> Sent:
    """Give what all orders of an event share; raise WireFault where its rank cannot be read.

    `version` is given where the event's own was ended here and is heard again.

    Answers are wanted only where the event asks for OPERATING_STATE: the protocol has no other word for them.
    """
    wants = any(each.payload_type == OPERATING_STATE for each in event.report_descriptors or ())
    newest = modified_ms(event) if version is None else version
    reply = Reply(event.id, receipt=False, progress=True) if wants else NO_REPLY
    return Sent(party, event.id, Each(group), newest, rank(event), received_ms, draw, reply, service)


def order(piece: Piece, by: Sent, told: Units, words: Profile) -> Order | None:
    """Turn a piece of an event into an order; None where it asks nothing of a DER.

    Raises WireFault where nothing of it can be read. Its times stay on the VTN's clock (RULES C17).
    """
    length_ms = None if piece.end_ms is None else piece.end_ms - piece.start_ms
    asked = effects(piece.interval.payloads, piece.part, told, length_ms, words)
    if not asked.effects:
        if asked.why:
            raise WireFault(asked.why)
        if not asked.uncarried:
            return None
    return Order(
        by.party,
        order_id(by.event, piece.name),
        by.version,
        by.scope,
        asked.effects,
        piece.start_ms,
        piece.end_ms,
        by.rank,
        by.received_ms,
        by.draw,
        piece.randomize_ms,
        0,
        0,
        by.reply,
        asked.uncarried,
        by.service,
    )


def order_heard(piece: Piece, by: Sent, told: Units, words: Profile) -> OrderHeard | None:
    """Give what is told of a piece, as `order` does."""
    found = order(piece, by, told, words)
    return None if found is None else OrderHeard(found)


def subscriptions(piece: Piece, by: Sent, told: Units, words: Profile) -> tuple[tuple[Default, ...], str]:
    """Turn the subscriptions of a piece into defaults, one for each direction, and say what cannot be read of them."""
    length_ms = None if piece.end_ms is None else piece.end_ms - piece.start_ms
    asked = effects(piece.interval.payloads, piece.part, told, length_ms, words, default=True)
    names = {
        Function.EXPORT_LIMIT: "EXPORT_CAPACITY_SUBSCRIPTION",
        Function.IMPORT_LIMIT: "IMPORT_CAPACITY_SUBSCRIPTION",
    }
    found = tuple(
        Default(by.party, names[effect.function], by.group, by.rank.precedence, (effect,), service=by.service)
        for effect in asked.effects
    )
    return found, asked.why


def order_id(event: str, piece: str) -> str:
    """Name the order that a piece of an event is."""
    return f"{event}/{piece}"


def event_of(order_name: str) -> str:
    """Give the id of the event that an order is a piece of."""
    return order_name.partition("/")[0]


def piece_of(order_name: str) -> str:
    """Give the name of the piece of an event that an order is."""
    return order_name.partition("/")[2]


def group_of(party: str, targets: Iterable[str]) -> str:
    """Name the group of resources that these targets of a party stand for; without targets it is all of them."""
    return f"{party}:{' '.join(sorted(targets)) or '*'}"


def server_ms(date: str) -> int:
    """Give the instant (ms) that a Date header tells; whole seconds are sent, so the middle of one is meant.

    Raises WireFault where it tells none.
    """
    try:
        return int(parsedate_to_datetime(date).timestamp()) * 1000 + 500
    except (TypeError, ValueError, OverflowError) as fault:
        raise WireFault("its Date header is no date") from fault


# -- what is told


class Figures(NamedTuple):
    """What is reported of one resource, or of several in sum (W, var, mV), and how many of its devices are read."""

    power_w: int | None
    reactive_var: int | None
    voltage_mv: int | None
    known: int
    devices: int


def figures(totals: Iterable[Total]) -> Figures:
    """Sum what is known of these; voltage is the mean. None where nothing at all is known."""
    every = tuple(totals)
    powers = [each.power_w for each in every if each.power_w is not None]
    reactives = [each.reactive_var for each in every if each.reactive_var is not None]
    voltages = [each.voltage_mv for each in every if each.voltage_mv is not None]
    return Figures(
        sum(powers) if powers else None,
        sum(reactives) if reactives else None,
        sum(voltages) // len(voltages) if voltages else None,
        sum(each.known for each in every),
        sum(each.devices for each in every),
    )


def reading(
    event: str, client: str, unit: str, of: Mapping[str, Figures], at_ms: int, interval: int, every_ms: int
) -> Report:
    """Report what was read at an instant (ms, the VTN's clock), by the resource's name there; `unit` of READ_UNITS.

    What is unknown is left out and said to be missing; a sum over fewer devices than there are is said to be estimated.
    The period runs to the next report. `interval` is that of the event which runs.
    """
    period = Period(start=write_instant(at_ms), duration=write_duration(every_ms))
    kind = "SUMMED" if AGGREGATED in of and len(of) == 1 else "DIRECT_READ"
    return Report(
        event,
        client,
        f"{client} {READING} {unit} {'whole' if kind == 'SUMMED' else 'each'} {at_ms}",
        (ReportPayloadDescriptor(READING, unit, kind), ReportPayloadDescriptor("DATA_QUALITY")),
        tuple(ReportResource(name, period, (Interval(interval, _read(one, unit)),)) for name, one in of.items()),
    )


def _read(of: Figures, unit: str) -> tuple[Payload, ...]:
    value: int | None = of.voltage_mv
    if unit == KW:
        value = None if of.power_w is None else -of.power_w
    elif unit == "KVAR":
        value = None if of.reactive_var is None else -of.reactive_var
    if value is None:
        return (Payload("DATA_QUALITY", ("MISSING",)),)
    quality = "OK" if of.known >= of.devices else "ESTIMATED"
    return (Payload(READING, (value / 1000,)), Payload("DATA_QUALITY", (quality,)))


def missing(event: str, client: str, start_ms: int, end_ms: int, count: int) -> Report:
    """Report that this many reports on an event were dropped, and over which time (ms, the VTN's clock)."""
    period = Period(start=write_instant(start_ms), duration=write_duration(max(0, end_ms - start_ms)))
    return Report(
        event,
        client,
        f"{client} {count} reports dropped since {start_ms}",
        (ReportPayloadDescriptor("DATA_QUALITY"),),
        (ReportResource(AGGREGATED, period, (Interval(0, (Payload("DATA_QUALITY", ("MISSING",)),)),)),),
    )


def operating_state(answer: Answer, client: str, resource: str, at_ms: int, words: Profile) -> Report | None:
    """Report what an answer says of a resource (its name there) at an instant (ms, the VTN's clock).

    None where the protocol has no word for it.
    """
    state = words.operating_state.get("unserved" if answer.unserved else answer.kind.value)
    if state is None or not answer.reply_to:
        return None
    name = piece_of(answer.order.id)
    digits = name.partition("@")[0].partition("+")[0].partition(".")[0]
    interval = Interval(int(digits) if digits.lstrip("-").isdecimal() else 0, (Payload(OPERATING_STATE, (state,)),))
    period = Period(start=write_instant(at_ms), duration=write_duration(0))
    return Report(
        answer.reply_to,
        client,
        f"{client} {OPERATING_STATE} {answer.kind.value} of {name} at {resource} version {answer.version}",
        (ReportPayloadDescriptor(OPERATING_STATE),),
        (ReportResource(resource, period, (interval,)),),
    )
