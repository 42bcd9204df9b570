"""`gateway replay`: decide a journal anew and hold every record against the one of then, bit for bit (DESIGN 3)."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gateway.core.events import Tell, Topic
from gateway.core.machine import Machine
from gateway.store import JournalFault, Reader, Stored, whole
from gateway.store.codec import pack

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

AGREED, DIFFERS, WRONG_USE = 0, 1, 2


class Difference(NamedTuple):
    """The first place where replay decides otherwise: the entry's number, the field, and both sides."""

    entry: int
    field: str
    journal: str
    replay: str


class Replayed(NamedTuple):
    """How many entries and rulings agreed, how many entries no snapshot leads to, and the first difference."""

    entries: int
    rulings: int
    skipped: int
    difference: Difference | None


def register(subparsers: "Commands") -> None:
    """Add `replay` to the command line."""
    about = "decide a journal anew and compare with what was decided"
    parser = subparsers.add_parser("replay", help=about, description=about)
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="the gateway's state folder")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay and print what agreed; 0, or 1 with the first difference, or 2 where the journal cannot be read."""
    try:
        reader = Reader.open(args.state)
        try:
            replayed = replay(reader)
        finally:
            reader.close()
    except JournalFault as fault:
        print(f"gateway replay: {fault}", file=sys.stderr)
        return WRONG_USE
    difference = replayed.difference
    if args.json:
        shown = {**replayed._asdict(), "agreed": difference is None}
        print(json.dumps({**shown, "difference": difference and difference._asdict()}))
    else:
        agreed = f"{replayed.entries} entries and {replayed.rulings} rulings agreed"
        skipped = f"; {replayed.skipped} entries that no snapshot leads to were left out" if replayed.skipped else ""
        print(f"{agreed}{skipped}")
    if difference is None:
        return AGREED
    print(
        f"gateway replay: entry {difference.entry}, {difference.field}: the journal has {difference.journal},"
        f" replay gives {difference.replay}; compare the versions that wrote and replayed it",
        file=sys.stderr,
    )
    return DIFFERS


def replay(reader: Reader) -> Replayed:
    """Replay every whole entry that a snapshot or the very first entry leads to; stops at the first difference.

    Of the last entry the process may have been killed before all was committed: what is there must agree.
    """
    entries = rulings = skipped = 0
    place = reader.first_whole()
    while place <= reader.last_number():
        machine, start = _start(reader, place)
        if machine is None:
            skipped += reader.last_number() - place + 1
            break
        skipped += start - place
        place = start
        for first, last, entry in whole(_run(reader, start)):
            decided = tuple(effect for effect in machine.handle(entry.event, entry.now_ms) if isinstance(effect, Tell))
            cut_off = last == reader.last_number()
            difference = _difference(first, entry.tells, decided[: len(entry.tells)] if cut_off else decided)
            if difference is not None:
                return Replayed(entries, rulings, skipped, difference)
            entries += 1
            rulings += sum(tell.topic is Topic.RULED for tell in decided)
            place = last + 1
        if place == start:
            break
    return Replayed(entries, rulings, skipped, None)


def _start(reader: Reader, place: int) -> tuple[Machine | None, int]:
    """Give a machine that is ready for the first entry it can be ready for, from `place` on."""
    if place == 1:
        return Machine(), 1
    snapshot = reader.snapshot_from(place - 1)
    if snapshot is None:
        return None, place
    return Machine(snapshot.state), snapshot.after + 1


def _run(reader: Reader, start: int) -> Iterator[Stored]:
    """Yield entries that follow on each other, all by the same writer: another version starts from a snapshot."""
    writer: int | None = None
    for expected, stored in enumerate(reader.stored(start), start):
        writer = stored.writer if writer is None else writer
        if stored.number != expected or stored.writer != writer:
            return
        yield stored


def _difference(number: int, journal: tuple[Tell, ...], replayed: tuple[Tell, ...]) -> Difference | None:
    if pack(journal) == pack(replayed):
        return None
    for place, (then, now) in enumerate(zip(journal, replayed, strict=False), 1):
        for field, before, after in zip(Tell._fields, then, now, strict=True):
            if pack(before) != pack(after):
                return Difference(number, f"record {place} ({then.topic}), {field}", _short(before), _short(after))
    return Difference(number, "number of records", str(len(journal)), str(len(replayed)))


def _short(value: object) -> str:
    text = repr(str(value) if isinstance(value, str) else value)
    return text if len(text) <= 200 else f"{text[:200]}..."
