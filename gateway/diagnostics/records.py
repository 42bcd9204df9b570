"""Records of decisions for people and programs: one sentence for each, or one flat row for each name in it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.core.events import Tell, Topic

KEYS: Final = ("t", "order", "device", "function", "rule", "effect", "answer")
NAMED_AT_MOST: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def iso_utc(at_ms: int) -> str:
    """Give an instant (ms since the UNIX epoch) as ISO 8601 in UTC, to the millisecond."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


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
    for name, value in _values(tell):
        yield {**row, "device": name, "effect": _effect(tell, value)}


def sentence(tell: Tell) -> str:
    """Say a record in one sentence: when, what by which rule, at which names, and why."""
    return f"{iso_utc(tell.at_ms)} {_said(tell)}"


def _values(tell: Tell) -> Iterator[tuple[str, int | None]]:
    """Give each name with its value: its own where there are as many values as names, else the one for all."""
    if not tell.names:
        yield "", tell.values[0] if tell.values else None
        return
    each_its_own = len(tell.values) == len(tell.names)
    for place, name in enumerate(tell.names):
        yield name, tell.values[place if each_its_own else 0] if tell.values else None


def _effect(tell: Tell, value: int | None) -> str:
    if tell.topic is Topic.ANSWERED:
        return tell.why
    if tell.topic is Topic.COMMANDED:
        return _command(tell, f"{value} W")
    return f"{tell.effect}: {tell.why}" if tell.why else tell.effect


def _command(tell: Tell, limit: str) -> str:
    """Put the device's own limit into what all the commands of a record have in common."""
    common = tell.effect.removeprefix("limit").removeprefix(f", {tell.rule}")
    return f"limit {limit}{common}"


def _said(tell: Tell) -> str:
    at, order, why = _where(tell.names), tell.order, f"; {tell.why}" if tell.why else ""
    match tell.topic:
        case Topic.RULED:
            return f"{order} rules {tell.function} at {at} by {tell.rule}: {tell.effect}{why}"
        case Topic.COMMANDED:
            return f"{order} commands {at} by {tell.rule}: {_command(tell, _limits(tell.values))}"
        case Topic.ANSWERED:
            return f"{order} is answered {tell.effect} for {at} by {tell.rule}{why}"
        case Topic.REFUSED:
            what = f" ({tell.function})" if tell.function else ""
            return f"{order}{what} is refused at {at} by {tell.rule}, {tell.effect}{why}"
        case Topic.VERIFIED:
            return f"{order} is {tell.effect} at {at} by {tell.rule}{why}"
        case Topic.DEFAULT:
            return f"{order} is the default at {at} by {tell.rule}{why}"
        case Topic.CLIPPED:
            return f"{order} at {at} by {tell.rule}: {tell.effect}{why}"
        case _:
            by = f" for {order}" if order else ""
            return f"{at} is {tell.effect}{by} by {tell.rule}{why}"


def _limits(values: tuple[int, ...]) -> str:
    if not values:
        return "unknown"
    least, most = min(values), max(values)
    return f"{least} W" if least == most else f"{least} to {most} W"


def _where(names: tuple[str, ...]) -> str:
    if not names:
        return "every resource it reaches"
    shown = ", ".join(names[:NAMED_AT_MOST])
    return shown if len(names) <= NAMED_AT_MOST else f"{len(names)} names ({shown} ...)"
