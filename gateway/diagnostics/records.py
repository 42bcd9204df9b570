"""Records of decisions for people and programs: one sentence for each, or one flat row for each name in it."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.core.events import Tell, Topic
from gateway.core.meter import NOT_READ

KEYS: Final = ("t", "order", "device", "function", "rule", "effect", "answer")
NAMED_AT_MOST: Final = 5
OWN_USE: Final = "own use"
PARENT: Final = "the limit parent"
"""Who else could have said it, where an older record does not name its issuer."""
LARGE: Final = 10_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AMOUNT: Final = re.compile(r"(?<![\w./-])(-?\d+) (W|Wh|var)\b")
_PRICE: Final = re.compile(r"(?<![\w./-])(-?\d+) thousandths")
_CURTAILED_WH: Final = re.compile(r"by about -?\d+ Wh\b")
_NOT_THE_PARENT: Final = re.compile(r"(\S+) is not the limit parent and may not say (.+)")
_STANDINGS: Final = {"slack": "not binding", "suspended": "suspended", "beaten": "beaten"}


def iso_utc(at_ms: int) -> str:
    """Give an instant (ms since the UNIX epoch) as ISO 8601 in UTC, to the millisecond."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


def amount(size: int, unit: str) -> str:
    """Give a number of W, Wh or var as people write it: in thousands where it is large."""
    return f"{size} {unit}" if abs(size) < LARGE else f"{_thousandths(size)} k{unit}"


def listed(names: Iterable[str], most: int = NAMED_AT_MOST) -> str:
    """Name things as a sentence does: `a, b and c`, or the first few `and 7 more`."""
    every = list(names)
    if len(every) > most + 1:
        return f"{', '.join(every[:most])} and {len(every) - most} more"
    return " and ".join(part for part in (", ".join(every[:-1]), *every[-1:]) if part)


def in_units(text: str) -> str:
    """Write large amounts in thousands, and prices in the currency."""
    sized = _AMOUNT.sub(lambda found: amount(int(found[1]), found[2]), text)
    return _PRICE.sub(lambda found: _thousandths(int(found[1])), sized)


def standings(tell: Tell) -> dict[str, list[str]]:
    """Give the other orders that a ruling names, by how they stand beside it; none for any other record."""
    found: dict[str, list[str]] = {}
    for part in tell.why.split("; ") if tell.topic is Topic.RULED else ():
        standing, _, order = part.partition(" ")
        if standing in _STANDINGS:
            found.setdefault(_STANDINGS[standing], []).append(order)
    return found


def records(tell: Tell) -> Iterator[dict[str, str]]:
    """Yield one row for each resource, device or party that a record names, and one where it names none.

    Every row has the keys t, order, device, function, rule, effect and answer; all are text, empty where the record
    has nothing to say.
    """
    row = {
        "t": iso_utc(tell.at_ms),
        "order": tell.order,
        "device": "",
        "function": tell.function,
        "rule": tell.rule,
        "effect": "",
        "answer": tell.effect if tell.topic is Topic.ANSWERED else "",
    }
    for name, value in values_by_name(tell):
        yield {**row, "device": name, "effect": _effect(tell, value)}


def sentence(tell: Tell) -> str:
    """Say a record in one sentence: when, what by which rule, at which names, and why."""
    return f"{iso_utc(tell.at_ms)} {said(tell)}"


def said(tell: Tell) -> str:
    """Say a record without its instant."""
    say = _SAYINGS.get(tell.topic, _otherwise)
    why = f"; {_why(tell)}" if tell.why else ""
    return in_units(say(tell) + why)


def values_by_name(tell: Tell) -> Iterator[tuple[str, int | None]]:
    """Give each name with its value: its own where there are as many values as names, else the one for all."""
    if not tell.names:
        yield "", tell.values[0] if tell.values else None
        return
    each_its_own = len(tell.values) == len(tell.names)
    for place, name in enumerate(tell.names):
        yield name, tell.values[place if each_its_own else 0] if tell.values else None


# -- rows


def _effect(tell: Tell, value: int | None) -> str:
    if tell.topic is Topic.ANSWERED:
        return tell.why
    if tell.topic is Topic.COMMANDED:
        return _command(tell, f"{value} W")
    effect = tell.effect
    if effect == NOT_READ:
        return f"{effect} for {value} s"
    if value is not None:
        effect = _OWN_VALUES.get(tell.topic, "{effect}").format(value=value, effect=effect)
    return f"{effect}: {_why(tell)}" if tell.why else effect


_OWN_VALUES: Final = {
    Topic.SHARED: "{value} W of {effect}",
    Topic.UNMET: "{value} W {effect}",
    Topic.CURTAILED: "{value} Wh short, {effect}",
    Topic.METERED: "{value} Wh {effect}",
    Topic.COMMITTED: "{value} W {effect}",
    Topic.LINK: "{effect}, generates up to {value} W",
}


def _command(tell: Tell, limit: str) -> str:
    """Put the device's own limit into what all the commands of a record have in common."""
    common = tell.effect.removeprefix("limit").removeprefix(f", {tell.rule}")
    return f"limit {limit}{common}"


def _why(tell: Tell) -> str:
    """Say how other orders stand beside a ruling; any other reason is as it is."""
    beside = standings(tell)
    return "; ".join(f"{text}: {', '.join(orders)}" for text, orders in beside.items()) or tell.why


# -- sentences


def _ruled(tell: Tell) -> str:
    return f"{tell.order} rules {tell.function} at {_where(tell)} by {tell.rule}: {tell.effect}"


def _commanded(tell: Tell) -> str:
    return f"{tell.order} commands {_where(tell)} by {tell.rule}: {_command(tell, _limits(tell.values))}"


def _answered(tell: Tell) -> str:
    return f"{tell.order} is answered {tell.effect} for {_where(tell)} by {tell.rule}"


def _refused(tell: Tell) -> str:
    what = f" ({tell.function})" if tell.function else ""
    refused = f"{tell.order}{what} is refused" if tell.order else f"{_unnamed(tell)} is refused"
    at = f" at {_where(tell)}" if tell.names else ""
    rest = "has no effect" if tell.effect == "no effect" else f"what is held is {tell.effect}"
    return f"{refused}{at} by {tell.rule} and {rest}"


def _unnamed(tell: Tell) -> str:
    """Say who asked for what has no id: colours and changes of the network, whose reason names who it was."""
    if tell.rule == "C11":
        issuer = tell.why.partition(": ")[0].removeprefix("said by ") if tell.why.startswith("said by ") else PARENT
        return f"a segment's colour from {issuer}"
    said = _NOT_THE_PARENT.fullmatch(tell.why)
    return f"{said[2]} from {said[1]}" if said else "what was asked for"


def _admitted(tell: Tell) -> str:
    return f"{tell.order} stands {tell.effect} from now on at {_where(tell)} by {tell.rule}"


def _verified(tell: Tell) -> str:
    return f"{tell.order} is {tell.effect} at {_where(tell)} by {tell.rule}"


def _default(tell: Tell) -> str:
    return f"{tell.order} is the default at {_where(tell)} by {tell.rule}"


def _clipped(tell: Tell) -> str:
    what = "raises an alarm" if tell.effect == "alarm" else f"is {tell.effect}"
    return f"{tell.order} {what} at {_where(tell)} by {tell.rule}"


def _blocked(tell: Tell) -> str:
    rule = "the guard" if tell.rule == "guard" else tell.rule
    return f"the command of {tell.order} to {_where(tell)} is blocked by {rule} and {tell.effect}"


def _contact(tell: Tell) -> str:
    lost = tell.effect == "contact lost"
    return f"contact with {_where(tell)} is {'lost' if lost else 'proven'} by {tell.rule}"


def _link(tell: Tell) -> str:
    if tell.effect == "down":
        return f"{_where(tell)} is out of reach by {tell.rule}"
    able = f" and generates up to {_limits(tell.values)}" if tell.values else ""
    return f"{_where(tell)} is in reach by {tell.rule}{able}"


def _shared(tell: Tell) -> str:
    total, _, point = tell.effect.partition(" shared at ")
    at = f" at {point}" if point else ""
    return f"{tell.order} shares out {total} of {tell.function}{at} by {tell.rule}: {_each(tell, 'W')}"


def _unmet(tell: Tell) -> str:
    return f"{tell.order} ({tell.function}) is unmet by {_limits(tell.values)} at {_where(tell)} by {tell.rule}"


def _curtailed(tell: Tell) -> str:
    effect = tell.effect.replace(" of its ", " over its ")
    if len(tell.values) == len(tell.names) > 0:
        effect = _CURTAILED_WH.sub(f"by about {sum(tell.values)} Wh", effect, count=1)
    each = f" ({_each(tell, 'Wh')})" if len(tell.names) > 1 else ""
    return f"{tell.order} is {effect} at {_where(tell)} by {tell.rule}{each}"


def _metered(tell: Tell) -> str:
    if tell.effect == NOT_READ:
        lost = "it delivered then is" if len(tell.names) == 1 else "they delivered then is"
        return f"the meter of {_each(tell, 's')} was {NOT_READ} by {tell.rule}, and what {lost} in no sum"
    service = "no service (own use)" if tell.function == OWN_USE else f"the service {tell.function}"
    total = f", {amount(sum(tell.values), 'Wh')} in all" if len(tell.names) > 1 else ""
    verb = "is" if len(tell.names) == 1 else "are"
    return f"{_each(tell, 'Wh')} {verb} {tell.effect} for {service} by {tell.rule}{total}"


def _coloured(tell: Tell) -> str:
    return f"segment {_where(tell)} is {tell.effect} by {tell.rule}"


def _network(tell: Tell) -> str:
    effect = "has changed and is not validated" if tell.effect.startswith("changed") else f"is {tell.effect}"
    return f"the network at {_where(tell)} {effect} by {tell.rule}"


def _bypassed(tell: Tell) -> str:
    if tell.effect == "contested":
        return f"{_where(tell)} is moved past this gateway and contested by {tell.rule}"
    return f"{_where(tell)} is {tell.effect} by {tell.rule}"


def _committed(tell: Tell) -> str:
    if tell.effect == "withdrawn":
        return f"commitment {tell.order} of {_where(tell)} is withdrawn by {tell.rule}"
    return f"commitment {tell.order} promises {tell.effect} by {tell.rule}: {_each(tell, 'W')}"


def _disclosed(tell: Tell) -> str:
    buyer = tell.effect.removeprefix("told to ")
    return f"{buyer} is told what else is promised of {_where(tell)} by {tell.rule}"


def _outage(tell: Tell) -> str:
    return f"commitment {tell.order} falls short at {_where(tell)} by {tell.rule}, {tell.effect}"


def _offered(tell: Tell) -> str:
    if tell.effect == "withdrawn":
        return f"offer {tell.order} is withdrawn by {tell.rule}"
    return f"offer {tell.order} of {_where(tell)} {tell.effect} by {tell.rule}"


def _awarded(tell: Tell) -> str:
    return f"{tell.order} takes {tell.effect} for {tell.function} at {_where(tell)} by {tell.rule}"


def _accounted(tell: Tell) -> str:
    return f"{_where(tell)} {tell.effect} for {tell.function} by {tell.rule}"


def _not_adopted(tell: Tell) -> str:
    what = f"{tell.function} of" if tell.function else "the command of"
    return f"{what} {tell.order} is {tell.effect} at {_where(tell)} by {tell.rule}"


def _alarm(tell: Tell) -> str:
    how = "says that it has" if tell.effect == "raised" else "has no more"
    return f"{_where(tell)} {how} {tell.function} by {tell.rule}"


def _otherwise(tell: Tell) -> str:
    by = f" for {tell.order}" if tell.order else ""
    return f"{_where(tell)} is {tell.effect}{by} by {tell.rule}"


_SAYINGS: Final[dict[Topic, Callable[[Tell], str]]] = {
    Topic.ADMITTED: _admitted,
    Topic.REFUSED: _refused,
    Topic.RULED: _ruled,
    Topic.COMMANDED: _commanded,
    Topic.BLOCKED: _blocked,
    Topic.ANSWERED: _answered,
    Topic.VERIFIED: _verified,
    Topic.NOT_ADOPTED: _not_adopted,
    Topic.CONTACT: _contact,
    Topic.LINK: _link,
    Topic.DEFAULT: _default,
    Topic.CLIPPED: _clipped,
    Topic.SHARED: _shared,
    Topic.UNMET: _unmet,
    Topic.CURTAILED: _curtailed,
    Topic.METERED: _metered,
    Topic.COLOUR: _coloured,
    Topic.NETWORK: _network,
    Topic.BYPASS: _bypassed,
    Topic.COMMITTED: _committed,
    Topic.DISCLOSED: _disclosed,
    Topic.OUTAGE: _outage,
    Topic.OFFERED: _offered,
    Topic.AWARDED: _awarded,
    Topic.ACCOUNTED: _accounted,
    Topic.ALARM: _alarm,
}


def _where(tell: Tell) -> str:
    return listed(tell.names) if tell.names else "every resource it reaches"


def _each(tell: Tell, unit: str) -> str:
    """Name each with its own value."""
    rows = values_by_name(tell)
    return (
        listed(name if value is None else f"{name} {amount(value, unit)}".strip() for name, value in rows) or "nothing"
    )


def _limits(values: tuple[int, ...]) -> str:
    if not values:
        return "unknown"
    least, most = min(values), max(values)
    return amount(least, "W") if least == most else f"{amount(least, 'W')} to {amount(most, 'W')}"


def _thousandths(number: int) -> str:
    """Write thousandths of something exactly."""
    whole, rest = divmod(abs(number), 1_000)
    sign = "-" if number < 0 else ""
    return f"{sign}{whole}.{rest:03d}".rstrip("0").rstrip(".")
