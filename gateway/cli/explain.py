"""`gateway explain`: what the journal tells of an order, a name or an hour, in sentences or as rows (DESIGN 3)."""

import argparse
import difflib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gateway.core.events import DefaultHeard, OrderHeard, OrderUnreadable, Started, Tell
from gateway.core.state import State
from gateway.core.topology import Site
from gateway.diagnostics.hour import HOUR_MS, clock, summary
from gateway.diagnostics.records import iso_utc, records, sentence
from gateway.store import JournalFault, Reader

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

DONE, WRONG_USE = 0, 2
NEAR_AT_MOST = 3


class Subject(NamedTuple):
    """What is asked about: the orders by their full names, and the devices, resources, points or parties.

    `of_group` are the orders and defaults that were given for the group that is asked about.
    """

    orders: frozenset[str]
    names: frozenset[str]
    of_group: frozenset[str] = frozenset()


class Journalled(NamedTuple):
    """What a journal holds: its records, its site, when its last entry was made (ms), and each group's orders."""

    tells: list[Tell]
    site: Site | None
    until_ms: int
    groups: dict[str, set[str]]


class Period(NamedTuple):
    """The hour that is asked about, and the part of it that the summary is of: all of it, or one instant (ms)."""

    start_ms: int
    end_ms: int
    from_ms: int
    until_ms: int


class UnknownError(ValueError):
    """What was asked about is in no record; says what to ask instead."""


def register(subparsers: "Commands") -> None:
    """Add `explain` to the command line."""
    about = "explain what was decided on an order, at a device, resource or point, or in an hour"
    parser = subparsers.add_parser("explain", help=about, description=about)
    subject = "the id of an order, offer or commitment, or how it begins; ISSUER/ID; a device, resource, point or time"
    parser.add_argument("subject", metavar="ORDER|NAME|TIME", nargs="?", help=subject)
    parser.add_argument("--hour", metavar="ISO", help="an hour, 2026-06-21T12, or an instant, 2026-06-21T12:10Z (UTC)")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="the gateway's state folder")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain; 0, or 2 where the journal cannot be read or what is asked about is unknown."""
    try:
        reader = Reader.open(args.state)
        try:
            journalled = _read(reader)
        finally:
            reader.close()
        return _explain(args, journalled)
    except (JournalFault, UnknownError) as fault:
        print(f"gateway explain: {fault}", file=sys.stderr)
        return WRONG_USE


def _explain(args: argparse.Namespace, journalled: Journalled) -> int:
    asked, hour = args.subject, args.hour
    tells, site = journalled.tells, journalled.site
    subject = None if asked is None else _subject(asked, journalled)
    if subject is None and asked is not None:
        if hour is not None or _period(asked) is None:
            raise UnknownError(_unknown(asked, tells, site))
        asked, hour = None, asked
    if hour is not None:
        period = _period(hour)
        if period is None:
            raise UnknownError(f"{hour!r} is no time; give an hour such as 2026-06-21T12, or 2026-06-21T12:10Z")
        return _of_period(period, journalled._replace(tells=_of(tells, subject)), args.json)
    if subject is None:
        raise UnknownError("name an order, a device, a resource or a point, or give --hour")
    return _of_subject(asked, _of(tells, subject), args.json)


def _of_subject(asked: str, found: Sequence[Tell], as_json: bool) -> int:
    if as_json:
        print(json.dumps([row for tell in found for row in records(tell)], indent=2))
        return DONE
    for tell in found:
        print(sentence(tell))
    if not found:
        print(f"nothing was decided at {asked} yet")
    return DONE


def _of_period(period: Period, journalled: Journalled, as_json: bool) -> int:
    tells, ended_ms = journalled.tells, journalled.until_ms
    lines = summary(tells, period.from_ms, period.until_ms, ended_ms)
    told = [tell for tell in tells if period.start_ms <= tell.at_ms < period.end_ms]
    start, end = iso_utc(period.from_ms), iso_utc(period.until_ms)
    if as_json:
        rows = [row for tell in told for row in records(tell)]
        shown = {"from": start, "until": end, "in_force": [line.row() for line in lines], "records": rows}
        print(json.dumps({**shown, "journal_ends": iso_utc(ended_ms)}, indent=2))
        return DONE
    when = f"at {start}" if period.until_ms == period.from_ms + 1 else f"from {start} until {end}"
    known = period.from_ms <= ended_ms
    print(f"In force {when}:" if lines else f"Nothing {'was in force' if known else 'is known'} {when}.")
    for line in lines:
        print(f"- {line.said}")
    if ended_ms + 1 < period.until_ms:
        print(f"the journal ends {clock(ended_ms, period.from_ms)}; nothing is known after it")
    if not known:
        return DONE
    hour = f"from {iso_utc(period.start_ms)} until {iso_utc(period.end_ms)}"
    print(f"\nDecided {hour}:" if told else f"\nNothing was decided {hour}.")
    for tell in told:
        print(sentence(tell))
    return DONE


def _period(asked: str) -> Period | None:
    """Read an hour or an instant; times without a zone are UTC."""
    if re.match(r"\d{4}-\d\d-\d\dT\d\d", asked) is None:
        return None
    whole_hour = re.fullmatch(r".{13}Z?", asked) is not None
    try:
        found = datetime.fromisoformat(asked[:13] + ":00Z" if whole_hour else asked)
    except ValueError:
        return None
    at_ms = int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    start_ms = at_ms - at_ms % HOUR_MS
    if whole_hour:
        return Period(start_ms, start_ms + HOUR_MS, start_ms, start_ms + HOUR_MS)
    return Period(start_ms, start_ms + HOUR_MS, at_ms, at_ms + 1)


def _read(reader: Reader) -> Journalled:
    """Read all records, the older ones first, and the site as the last start, or a snapshot, has it."""
    snapshot = next(reader.snapshots_back(), None)
    site, until_ms, groups = None, 0, {}
    if snapshot is not None:
        site, until_ms = snapshot.state.site, snapshot.state.now_ms
        groups = _groups(snapshot.state)
    tells: list[Tell] = []
    for kept in reader.kept():
        tells += kept.tells
        until_ms = max(until_ms, kept.now_ms)
    for _number, entry in reader.entries():
        tells += entry.tells
        until_ms = max(until_ms, entry.now_ms)
        if isinstance(entry.event, Started):
            site = entry.event.site
        for group, order in _for_group(entry.event):
            groups.setdefault(group, set()).add(order)
    return Journalled(tells, site, until_ms, groups)


def _groups(state: State) -> dict[str, set[str]]:
    """Give the orders and defaults that a snapshot holds, by the group that they are for."""
    found: dict[str, set[str]] = {}
    for key, live in state.lives.items():
        found.setdefault(live.order.scope.group, set()).add("/".join(key))
    for held in state.defaults.values():
        for key, default in held.items():
            found.setdefault(default.group, set()).add("/".join(key))
    return found


def _for_group(event: object) -> Iterator[tuple[str, str]]:
    """Give the group that an order or default is for, and its full name; nothing for any other event."""
    match event:
        case OrderHeard(order):
            yield order.scope.group, f"{order.issuer}/{order.id}"
        case DefaultHeard(default):
            yield default.group, f"{default.issuer}/{default.id}"
        case OrderUnreadable(issuer, name, group):
            yield group, f"{issuer}/{name}"


def _subject(asked: str, journalled: Journalled) -> Subject | None:
    tells, site = journalled.tells, journalled.site
    of_group = frozenset(journalled.groups.get(asked, ()))
    every = dict.fromkeys(tell.order for tell in tells if tell.order)
    orders = frozenset(order for order in every if asked in {order, _id(order)})
    names = frozenset(_together(asked, site)) or frozenset(
        name for tell in tells for name in tell.names if name == asked
    )
    if not orders and not names and not of_group:
        orders = _beginning(asked, list(every))
    return Subject(orders, names, of_group) if orders or names or of_group else None


def _beginning(asked: str, every: Sequence[str]) -> frozenset[str]:
    """Give the one order whose id or full name begins so; raises UnknownError where several do."""
    begun = asked.casefold()
    found = [order for order in every if begun and any(_begins(name, begun) for name in (order, _id(order)))]
    if len(found) > 1:
        some = ", ".join(found[:NEAR_AT_MOST]) + (" ..." if len(found) > NEAR_AT_MOST else "")
        raise UnknownError(f"{asked!r} is how {len(found)} orders begin ({some}); give more of it")
    return frozenset(found)


def _begins(name: str, begun: str) -> bool:
    return name.casefold().startswith(begun)


def _id(order: str) -> str:
    """Give the issuer's own id of an order's full name."""
    return order.partition("/")[2]


def _together(asked: str, site: Site | None) -> Iterator[str]:
    """Yield what is told of a device with its resource, of a resource with its devices, or of a point or group."""
    if site is None:
        return
    for resource in site.resources:
        if asked == resource.name:
            yield from (resource.name, *resource.devices)
        elif asked in resource.devices:
            yield from (resource.name, asked)
    if asked in _places(site):
        yield asked


def _places(site: Site) -> dict[str, None]:
    """Give the points, groups, segments and service transformers of a site."""
    above = (name for device in site.devices for name in (device.service_transformer, device.segment) if name)
    named = (*(point.name for point in site.points), *(group.name for group in site.groups))
    return dict.fromkeys((*named, *above))


def _of(tells: Sequence[Tell], subject: Subject | None) -> list[Tell]:
    """Give the records on a subject, and of each what concerns it; all, where there is none."""
    if subject is None:
        return list(tells)
    return [_narrowed(tell, subject) for tell in tells if _concerns(tell, subject)]


def _concerns(tell: Tell, subject: Subject) -> bool:
    if tell.order in subject.orders or tell.order in subject.of_group:
        return True
    if any(name in subject.names for name in tell.names):
        return True
    text = f"{tell.effect} {tell.why}"
    if any(_mentions(text, order) for order in subject.orders):
        return True
    return any(tell.effect.endswith(f" shared at {name}") for name in subject.names)


def _mentions(text: str, order: str) -> bool:
    """Tell whether an order is named as a word of its own, as one that is not binding, suspended or beaten is."""
    return order in text and re.search(rf"(?<![^\s]){re.escape(order)}(?![^\s;,])", text) is not None


def _narrowed(tell: Tell, subject: Subject) -> Tell:
    """Leave of a record on many names those that were asked about; an order is explained at all of them."""
    if tell.order in subject.orders or tell.order in subject.of_group:
        return tell
    if not any(name in subject.names for name in tell.names):
        return tell
    own_value = len(tell.values) == len(tell.names)
    places = [place for place, name in enumerate(tell.names) if name in subject.names]
    values = tuple(tell.values[place] for place in places) if own_value else tell.values
    return tell._replace(names=tuple(tell.names[place] for place in places), values=values)


def _unknown(asked: str, tells: Sequence[Tell], site: Site | None) -> str:
    known = dict.fromkeys(part for tell in tells if tell.order for part in (tell.order, _id(tell.order)))
    known.update(dict.fromkeys(name for tell in tells for name in tell.names))
    for resource in site.resources if site else ():
        known.update(dict.fromkeys((resource.name, *resource.devices)))
    known.update(_places(site) if site else {})
    near = difflib.get_close_matches(asked, known, n=NEAR_AT_MOST)
    hint = f"did you mean {' or '.join(near)}?" if near else _to_give(tells)
    return f"{asked!r} is in no record of this journal; {hint}"


def _to_give(tells: Sequence[Tell]) -> str:
    """Say by what things go: the journal keeps no descriptions of orders, so name the newest of them."""
    newest = list(dict.fromkeys(tell.order for tell in reversed(tells) if tell.order))[:NEAR_AT_MOST]
    orders = f" (the newest: {', '.join(newest)})" if newest else ""
    by_id = f"an order goes by its id{orders}, a 2030.5 control by its mRID and not its description"
    return f"{by_id}; give that, or a device, a resource, a point or a time"
