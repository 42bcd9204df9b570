"""`gateway explain`: what the journal tells of one order, device or resource, in sentences or as rows (DESIGN 3)."""

import argparse
import difflib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gateway.core.events import Started, Tell
from gateway.core.topology import Site
from gateway.diagnostics.records import records, sentence
from gateway.store import JournalFault, Reader

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

DONE, WRONG_USE = 0, 2


class Subject(NamedTuple):
    """What is asked about: the orders by their full names, and the devices, resources or parties."""

    orders: frozenset[str]
    names: frozenset[str]


def register(subparsers: "Commands") -> None:
    """Add `explain` to the command line."""
    about = "explain what was decided on an order, or at a device or resource"
    parser = subparsers.add_parser("explain", help=about, description=about)
    parser.add_argument("subject", metavar="ORDER|DEVICE", help="an order's id, ISSUER/ID, a device or a resource")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="the gateway's state folder")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain; 0, or 2 where the journal cannot be read or the name is unknown."""
    try:
        reader = Reader.open(args.state)
        try:
            tells = [tell for _number, tell in reader.tells()]
            site = _site(reader)
        finally:
            reader.close()
    except JournalFault as fault:
        print(f"gateway explain: {fault}", file=sys.stderr)
        return WRONG_USE
    subject = _subject(args.subject, tells, site)
    if subject is None:
        print(f"gateway explain: {_unknown(args.subject, tells, site)}", file=sys.stderr)
        return WRONG_USE
    found = [_narrowed(tell, subject) for tell in tells if _concerns(tell, subject)]
    if args.json:
        print(json.dumps([row for tell in found for row in records(tell)], indent=2))
        return DONE
    for tell in found:
        print(sentence(tell))
    if not found:
        print(f"nothing was decided at {args.subject} yet")
    return DONE


def _site(reader: Reader) -> Site | None:
    """Give the site as the last snapshot, or a start after it, has it."""
    snapshot = next(reader.snapshots_back(), None)
    site = snapshot.state.site if snapshot else None
    for _number, entry in reader.entries(snapshot.after + 1 if snapshot else reader.first_whole()):
        if isinstance(entry.event, Started):
            site = entry.event.site
    return site


def _subject(asked: str, tells: list[Tell], site: Site | None) -> Subject | None:
    orders = frozenset(tell.order for tell in tells if tell.order and asked in {tell.order, _id(tell.order)})
    names = frozenset(_together(asked, site)) or frozenset(
        name for tell in tells for name in tell.names if name == asked
    )
    return Subject(orders, names) if orders or names else None


def _id(order: str) -> str:
    """Give the issuer's own id of an order's full name."""
    return order.partition("/")[2]


def _together(asked: str, site: Site | None) -> Iterator[str]:
    """Yield what is told of a device with its resource, or of a resource with its devices."""
    for resource in site.resources if site else ():
        if asked == resource.name:
            yield from (resource.name, *resource.devices)
        elif asked in resource.devices:
            yield from (resource.name, asked)


def _concerns(tell: Tell, subject: Subject) -> bool:
    if tell.order in subject.orders or any(name in subject.names for name in tell.names):
        return True
    return bool(tell.why) and any(_mentions(tell.why, order) for order in subject.orders)


def _mentions(why: str, order: str) -> bool:
    """Tell whether an order is named as a word of its own, as one that is slack, suspended or beaten is."""
    return order in why and re.search(rf"(?<![^\s]){re.escape(order)}(?![^\s;,])", why) is not None


def _narrowed(tell: Tell, subject: Subject) -> Tell:
    """Leave of a record on many names those that were asked about; an order is explained at all of them."""
    if tell.order in subject.orders or not any(name in subject.names for name in tell.names):
        return tell
    own_value = len(tell.values) == len(tell.names)
    places = [place for place, name in enumerate(tell.names) if name in subject.names]
    values = tuple(tell.values[place] for place in places) if own_value else tell.values
    return tell._replace(names=tuple(tell.names[place] for place in places), values=values)


def _unknown(asked: str, tells: list[Tell], site: Site | None) -> str:
    known = dict.fromkeys(part for tell in tells if tell.order for part in (tell.order, _id(tell.order)))
    known.update(dict.fromkeys(name for tell in tells for name in tell.names))
    for resource in site.resources if site else ():
        known.update(dict.fromkeys((resource.name, *resource.devices)))
    near = difflib.get_close_matches(asked, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "give an order, a device or a resource of this site"
    return f"{asked!r} is in no record of this journal; {hint}"
