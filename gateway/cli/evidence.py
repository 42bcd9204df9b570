"""`gateway evidence`: what was delivered for which service, every Wh in one row, and how each promise was kept (C9)."""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.core.meter import QUARTER_MS
from gateway.core.performance import Evidence
from gateway.core.timeline import FOR_EVER_MS
from gateway.diagnostics.evidence import Account, Kept, Proof, prove
from gateway.diagnostics.promises import Past, Told, read
from gateway.diagnostics.records import amount, in_units, iso_utc, listed
from gateway.store import JournalFault, Reader

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

DONE, WRONG_USE = 0, 2
TABLES = ("delivered", "commitments", "accounts")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "delivered": (
        "from",
        "until",
        "service",
        "buyer",
        "party",
        "commitment",
        "device",
        "direction",
        "promised_wh",
        "delivered_wh",
        "tag",
    ),
    "commitments": (
        "from",
        "until",
        "service",
        "buyer",
        "party",
        "commitment",
        "direction",
        "asked_wh",
        "delivered_wh",
        "shortfall_wh",
        "unavailable_wh",
        "availability_permille",
        "penalty_milli",
        "met",
    ),
    "accounts": ("until", "service", "party", "delivered_wh", "said"),
}


def register(subparsers: "Commands") -> None:
    """Add `evidence` to the command line."""
    about = "prove what was delivered for each service, with every Wh in one row, and how commitments were kept"
    parser = subparsers.add_parser("evidence", help=about, description=about)
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="the gateway's state folder")
    parser.add_argument("--service", metavar="NAME", help="of this service only")
    parser.add_argument("--from", dest="start", type=_instant, metavar="ISO", help="from this instant on (UTC)")
    parser.add_argument("--to", dest="end", type=_instant, metavar="ISO", help="until before this instant (UTC)")
    parser.add_argument("--table", choices=TABLES, help="which table --csv prints (delivered)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV")
    form.add_argument("--json", action="store_true", help="print JSON: all three tables")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prove; 0, or 2 where the journal cannot be read or knows nothing of the service, or options contradict."""
    start_ms, end_ms = args.start or 0, FOR_EVER_MS if args.end is None else args.end
    wrong = _contradiction(args, start_ms, end_ms)
    if wrong:
        print(f"gateway evidence: {wrong}", file=sys.stderr)
        return WRONG_USE
    try:
        reader = Reader.open(args.state)
        try:
            past = _past(reader)
        finally:
            reader.close()
    except JournalFault as fault:
        print(f"gateway evidence: {fault}", file=sys.stderr)
        return WRONG_USE
    proof = prove(past)
    services = _services(proof)
    if args.service is not None and args.service not in services:
        known = f"it knows {listed(services)}" if services else "it knows of none"
        print(f"gateway evidence: no service {args.service!r} in this journal; {known}", file=sys.stderr)
        return WRONG_USE
    asked = start_ms < min(proof.counts_ms, past.until_ms + 1) and proof.counts_ms - QUARTER_MS < end_ms
    _show(args, _narrowed(proof, args.service, start_ms, end_ms), asked)
    return DONE


def _contradiction(args: argparse.Namespace, start_ms: int, end_ms: int) -> str:
    if start_ms > end_ms:
        return "--from is after --to; give a time that begins before it ends"
    if args.table and not args.csv:
        return "--table is of --csv; give --csv too, or leave --table out"
    return ""


def _show(args: argparse.Namespace, proof: Proof, running: bool) -> None:
    """Print a proof; `running` tells whether the quarter of an hour that is not over yet was asked about."""
    if args.csv:
        table = args.table or TABLES[0]
        rows = csv.DictWriter(sys.stdout, COLUMNS[table], lineterminator="\n")
        rows.writeheader()
        rows.writerows(_tables(proof)[table])
    elif args.json:
        print(json.dumps(_tables(proof), indent=2))
    else:
        for line in _sentences(proof, running):
            print(line)


def _instant(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give one such as 2026-06-21T12:00Z") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def _past(reader: Reader) -> Past:
    snapshot = next(reader.snapshots_back(), None)
    if snapshot is None:
        return read(_told(reader))
    held = [one.commitment for one in snapshot.state.commitments.held.values()]
    return read(_told(reader), held, snapshot.state.site)


def _told(reader: Reader) -> Iterator[Told]:
    """Give all entries, the thinned ones first, as they are the older ones."""
    for kept in reader.kept():
        yield Told(kept.now_ms, kept.event, kept.tells)
    for _number, entry in reader.entries():
        yield Told(entry.now_ms, entry.event, entry.tells)


def _services(proof: Proof) -> list[str]:
    found = [row.service or row.tag for row in proof.rows] + [one.commitment.service for one in proof.kept]
    return sorted({*found, *(one.service for one in proof.accounts), *(one.service for one in proof.open)})


def _narrowed(proof: Proof, service: str | None, start_ms: int, end_ms: int) -> Proof:
    """Leave what is of a service and, in quarters of an hour that begin in it, of a half-open window (ms)."""

    def wanted(name: str, tag: str = "") -> bool:
        return service is None or service in {name, tag}

    rows = [row for row in proof.rows if wanted(row.service, row.tag) and start_ms <= row.start_ms < end_ms]
    kept = [
        one
        for one in proof.kept
        if wanted(one.commitment.service) and one.commitment.start_ms < end_ms and one.until_ms > start_ms
    ]
    accounts = [one for one in proof.accounts if wanted(one.service) and start_ms < one.end_ms <= end_ms]
    still = [one for one in proof.open if wanted(one.service) and one.start_ms < end_ms and one.end_ms > start_ms]
    return Proof(tuple(rows), tuple(kept), tuple(accounts), tuple(still), proof.counts_ms)


# -- tables


def _tables(proof: Proof) -> dict[str, list[dict[str, object]]]:
    return {
        "delivered": [_delivered(row) for row in proof.rows],
        "commitments": [_commitment(one) for one in proof.kept],
        "accounts": [_account(one) for one in proof.accounts],
    }


def _delivered(row: Evidence) -> dict[str, object]:
    given = {name: value for name, value in row._asdict().items() if name in COLUMNS["delivered"]}
    return {"from": iso_utc(row.start_ms), "until": iso_utc(row.end_ms), **given, "direction": row.direction.value}


def _commitment(one: Kept) -> dict[str, object]:
    promise, done = one.commitment, one.performance
    return {
        "from": iso_utc(promise.start_ms),
        "until": iso_utc(one.until_ms),
        "service": promise.service,
        "buyer": promise.buyer,
        "party": promise.party,
        "commitment": promise.id,
        "direction": promise.direction.value,
        "asked_wh": done.asked_wh,
        "delivered_wh": done.delivered_wh,
        "shortfall_wh": done.shortfall_wh,
        "unavailable_wh": done.unavailable_wh,
        "availability_permille": done.availability_permille,
        "penalty_milli": done.penalty_milli,
        "met": done.met,
    }


def _account(one: Account) -> dict[str, object]:
    said = f"{one.effect}; {one.why}" if one.why else one.effect
    row = {"until": iso_utc(one.end_ms), "service": one.service, "party": one.party}
    return {**row, "delivered_wh": one.delivered_wh, "said": said}


# -- sentences


def _sentences(proof: Proof, running: bool) -> Iterator[str]:
    totals: dict[tuple[str, str], list[Evidence]] = {}
    for row in proof.rows:
        totals.setdefault((row.service or row.tag, row.direction.value), []).append(row)
    if not proof.rows:
        when = "quarters of an hour that are over" if running else "that time"
        yield "nothing was delivered yet" if proof.open else f"nothing was delivered or promised in {when}"
    for (service, direction), rows in totals.items():
        yield _total(service, direction, rows)
    for one in proof.kept:
        promise, done = one.commitment, one.performance
        met = "is kept" if done.met else in_units(f"is not kept at a penalty of {done.penalty_milli} thousandths")
        yield (
            f"commitment {promise.party}/{promise.id} for {promise.service} to {promise.buyer} {met} by C8:"
            f" {amount(done.delivered_wh, 'Wh')} of {amount(done.asked_wh, 'Wh')} asked,"
            f" available for {done.availability_permille / 10:g} % of the time until {iso_utc(one.until_ms)}"
        )
    for own in proof.accounts:
        why = f"; {own.why}" if own.why else ""
        yield in_units(f"{own.party} {own.effect} for {own.service} by C9 until {iso_utc(own.end_ms)}{why}")
    for promise in proof.open:
        parts = listed(f"{part.device} {amount(part.w, 'W')}" for part in promise.slices)
        yield (
            f"commitment {promise.party}/{promise.id} for {promise.service} to {promise.buyer} is open by C8: {parts}"
            f" in {promise.direction.value} from {iso_utc(promise.start_ms)} until {iso_utc(promise.end_ms)}"
        )
    if proof.open or (running and not proof.rows):
        yield f"the running quarter of an hour counts when it is over, at {iso_utc(proof.counts_ms)}"


def _total(service: str, direction: str, rows: Sequence[Evidence]) -> str:
    total = amount(sum(row.delivered_wh for row in rows), "Wh")
    devices = listed(dict.fromkeys(row.device for row in rows))
    return f"{service}: {total} delivered in {direction} by {devices} (C9)"
