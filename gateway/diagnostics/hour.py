"""What was in force in an hour: who limited whom, what was suspended or curtailed, and what was in trouble."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gateway.core.answers import Kind
from gateway.core.events import Tell, Topic
from gateway.core.meter import NOT_READ, QUARTER_MS
from gateway.core.observe import Verdict
from gateway.core.timeline import FOR_EVER_MS
from gateway.diagnostics.records import OWN_USE, amount, iso_utc, listed, said, standings
from gateway.diagnostics.spans import Span, spans

HOUR_MS = 3_600_000
MOMENTS = (Topic.REFUSED, Topic.CLIPPED, Topic.CURTAILED, Topic.BLOCKED, Topic.OUTAGE, Topic.ACCOUNTED)
"""What has no duration and belongs into the summary of its hour."""
TROUBLES = (Topic.BYPASS, Topic.NETWORK, Topic.CONTACT, Topic.LINK, Topic.UNMET)


class Line(NamedTuple):
    """One sentence of a summary, and what it rests on; `start_ms` and `end_ms` are when it held."""

    about: str
    said: str
    rule: str
    order: str
    names: tuple[str, ...]
    start_ms: int
    end_ms: int

    def row(self) -> dict[str, object]:
        """Give it as a row; an open end is null."""
        end = None if self.end_ms >= FOR_EVER_MS else iso_utc(self.end_ms)
        row = {"about": self.about, "order": self.order, "names": list(self.names), "rule": self.rule}
        return {**row, "from": iso_utc(self.start_ms), "until": end, "said": self.said}


def summary(tells: Sequence[Tell], start_ms: int, end_ms: int, known_ms: int = FOR_EVER_MS) -> list[Line]:
    """Give what held at any time in a half-open period (ms), in sentences with their rules.

    `tells` are all records there are: what held then may have been told long before, and its end after it. Nothing is
    said of the time after `known_ms`, the journal's last entry.
    """
    every = (span._replace(known_ms=min(span.end_ms, known_ms + 1)) for span in spans(tells))
    within = [span for span in every if span.start_ms < end_ms and span.known_ms > start_ms]
    alike: dict[tuple[object, ...], list[Span]] = {}
    for span in within:
        tell = span.tell
        about = (tell.topic, tell.order, tell.function, tell.effect, tell.rule, tell.why, span.start_ms, span.end_ms)
        alike.setdefault(about, []).append(span)
    groups = [_Group(spans[0], tuple(span.name for span in spans)) for spans in alike.values()]
    groups.sort(key=lambda group: group.span.start_ms)
    waits = {tell.order: tell.rule for tell in tells if _is_suspension(tell)}
    return [
        *_rulings(groups, start_ms, end_ms),
        *_overrides(groups, waits, start_ms, end_ms),
        *_colours(groups, start_ms, end_ms),
        *_troubles(groups, start_ms, end_ms),
        *_moments(tells, start_ms, end_ms),
        *_delivered(tells, start_ms, end_ms),
    ]


class _Group(NamedTuple):
    """What held alike at several names."""

    span: Span
    names: tuple[str, ...]

    def line(self, about: str, text: str, start_ms: int, end_ms: int, rule: str = "", order: str = "") -> Line:
        span = self.span
        when = _when(span, start_ms, end_ms)
        rule, order = rule or span.tell.rule, order or span.tell.order
        return Line(about, f"{when}: {text}", rule, order, self.names, span.start_ms, span.end_ms)


def _is_suspension(tell: Tell) -> bool:
    return tell.topic is Topic.ANSWERED and tell.effect == Kind.SUSPENDED


def _rulings(groups: Iterable[_Group], start_ms: int, end_ms: int) -> Iterator[Line]:
    for group in groups:
        tell = group.span.tell
        if tell.topic is Topic.RULED:
            yield group.line("ruling", said(tell._replace(names=group.names, values=())), start_ms, end_ms)


def _overrides(groups: Iterable[_Group], waits: dict[str, str], start_ms: int, end_ms: int) -> Iterator[Line]:
    for group in groups:
        tell = group.span.tell
        if tell.topic is not Topic.RULED:
            continue
        for order in standings(tell).get("suspended", ()):
            rule = waits.get(order, "C10")
            text = f"{order} is suspended at {listed(group.names)} by {rule} while {tell.order} rules {tell.function}"
            yield group.line("override", text, start_ms, end_ms, rule, order)


def _colours(groups: Iterable[_Group], start_ms: int, end_ms: int) -> Iterator[Line]:
    for group in groups:
        if group.span.tell.topic is Topic.COLOUR:
            text = said(group.span.tell._replace(names=group.names))
            yield group.line("colour", text, start_ms, end_ms)


def _troubles(groups: Iterable[_Group], start_ms: int, end_ms: int) -> Iterator[Line]:
    for group in groups:
        tell = group.span.tell
        if tell.topic in TROUBLES:
            values = tell.values if tell.topic is Topic.UNMET else ()
            text = said(tell._replace(names=group.names, values=values))
            yield group.line(tell.topic.value, text, start_ms, end_ms)


def _moments(tells: Iterable[Tell], start_ms: int, end_ms: int) -> Iterator[Line]:
    for tell in tells:
        if not start_ms <= tell.at_ms < end_ms:
            continue
        if tell.topic in MOMENTS or tell.effect == Verdict.DISOBEYED:
            text = f"at {clock(tell.at_ms, start_ms)}: {said(tell)}"
            yield Line(tell.topic.value, text, tell.rule, tell.order, tell.names, tell.at_ms, tell.at_ms)


def _delivered(tells: Iterable[Tell], start_ms: int, end_ms: int) -> Iterator[Line]:
    """Sum up the quarters of an hour that began in a period."""
    sums: dict[tuple[str, str, str], list[Tell]] = {}
    for tell in tells:
        quarter_ms = tell.at_ms - tell.at_ms % QUARTER_MS - QUARTER_MS
        if tell.topic is not Topic.METERED or not start_ms <= quarter_ms < end_ms:
            continue
        if tell.effect == NOT_READ:
            text = f"from {clock(quarter_ms, start_ms)}: {said(tell)}"
            yield Line("delivered", text, tell.rule, "", tell.names, quarter_ms, quarter_ms + QUARTER_MS)
        else:
            sums.setdefault((tell.function, tell.effect, tell.rule), []).append(tell)
    for (service, effect, rule), found in sums.items():
        names = tuple(dict.fromkeys(name for tell in found for name in tell.names))
        total = amount(sum(sum(tell.values) for tell in found), "Wh")
        what = "no service (own use)" if service == OWN_USE else f"the service {service}"
        text = f"in all: {total} of {listed(names)} {'is' if len(names) == 1 else 'are'} {effect} for {what} by {rule}"
        yield Line("delivered", text, rule, "", names, start_ms, end_ms)


def _when(span: Span, from_ms: int, until_ms: int) -> str:
    """Say when something held beside a period."""
    if span.start_ms <= from_ms and span.known_ms >= until_ms > from_ms + 1:
        return "all the time"
    until = "" if span.known_ms >= until_ms else " until the journal ends"
    if span.end_ms < FOR_EVER_MS:
        until = f" until {clock(span.end_ms, from_ms)}"
    return f"from {clock(span.start_ms, from_ms)}{until}"


def clock(at_ms: int, beside_ms: int) -> str:
    """Give an instant as the time of the day where it is the day of the other."""
    text, beside = iso_utc(at_ms), iso_utc(beside_ms)
    return text[11:19] if text[:10] == beside[:10] else f"{text[:19]}Z"
