"""Evidence per service from the journal: every delivered Wh in one row, and each commitment by its terms (C8, C9).

Our reading: what is settled is the quarter of an hour. A commitment is judged up to the end of the last one that is
over; in each, what was asked and what was delivered count at their means, and as meters tell whole Wh, less than one
that is missing is not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from gateway.core.capacity import MS_PER_HOUR, Commitment, CommitmentBook, CommitmentKey, Committed, Slice
from gateway.core.commitments import enter
from gateway.core.events import Tell, Topic
from gateway.core.meter import NOT_READ, QUARTER_MS
from gateway.core.parties import Direction
from gateway.core.performance import (
    EnergyTag,
    Evidence,
    Performance,
    ServiceClaim,
    Stretch,
    evidence,
    measure,
    tag_energy,
)
from gateway.diagnostics.promises import Asked, Past, Reach, asked_of, reach_of
from gateway.diagnostics.records import OWN_USE, values_by_name

Place = tuple[str, Direction]


class Kept(NamedTuple):
    """How a commitment was kept until `until_ms`: its end, or as far as the journal has been measured."""

    commitment: Commitment
    until_ms: int
    performance: Performance


class Account(NamedTuple):
    """What a party delivered of what was awarded, in the quarter of an hour that was over at `end_ms`."""

    end_ms: int
    service: str
    party: str
    delivered_wh: int
    effect: str
    why: str


class Proof(NamedTuple):
    """All evidence of a journal: rows that hold every measured Wh once, the commitments, and the accounts.

    `open` are the commitments of which no quarter of an hour is over yet; the running one is over at `counts_ms`.
    """

    rows: tuple[Evidence, ...]
    kept: tuple[Kept, ...]
    accounts: tuple[Account, ...]
    open: tuple[Commitment, ...]
    counts_ms: int


def prove(past: Past) -> Proof:
    """Give the evidence of all that a journal holds."""
    until_ms = past.until_ms - past.until_ms % QUARTER_MS
    metered = _metered(past.tells)
    promised = _Promised(past.commitments, until_ms)
    rows = [row for start_ms in promised.quarters(metered) for row in _of_quarter(start_ms, metered, promised)]
    asked, reach = asked_of(past), reach_of(past)
    book = CommitmentBook()
    for one in promised.commitments:
        enter(book, Committed(one))
    kept = tuple(
        Kept(one, one.end_ms, measure(one, _stretches(one, promised, asked, reach, book)))
        for one in promised.commitments
    )
    to_come = tuple(one for one in past.commitments if until_ms <= one.start_ms < one.end_ms)
    return Proof(tuple(rows), kept, tuple(_accounts(past.tells)), to_come, until_ms + QUARTER_MS)


def _metered(tells: Sequence[Tell]) -> dict[int, dict[Place, dict[str, int]]]:
    """Give the Wh told by the start of the quarter of an hour, device and direction, and service."""
    found: dict[int, dict[Place, dict[str, int]]] = {}
    for tell in tells:
        if tell.topic is not Topic.METERED or tell.effect == NOT_READ:
            continue
        start_ms = tell.at_ms - tell.at_ms % QUARTER_MS - QUARTER_MS
        direction = Direction(tell.effect.rpartition(" ")[2])
        for name, wh in values_by_name(tell):
            services = found.setdefault(start_ms, {}).setdefault((name, direction), {})
            services[tell.function] = services.get(tell.function, 0) + (wh or 0)
    return found


class _Promised:
    """The commitments as far as they are over, and what each delivered in every quarter of an hour (Wh)."""

    def __init__(self, commitments: Sequence[Commitment], until_ms: int) -> None:
        begun = [one for one in commitments if one.start_ms < min(one.end_ms, until_ms)]
        self.commitments = [replace(one, end_ms=min(one.end_ms, until_ms)) for one in begun]
        self.delivered_wh: dict[tuple[CommitmentKey, int], int] = {}
        self._given_wh: dict[tuple[CommitmentKey, str], int] = {}
        self._by_quarter: dict[int, list[Commitment]] = {}
        for one in self.commitments:
            for start_ms in quarters(one.start_ms, one.end_ms):
                self._by_quarter.setdefault(start_ms, []).append(one)

    def quarters(self, metered: dict[int, dict[Place, dict[str, int]]]) -> list[int]:
        return sorted({*metered, *self._by_quarter})

    def at(self, start_ms: int) -> Iterator[tuple[Commitment, Slice]]:
        for one in self._by_quarter.get(start_ms, ()):
            for part in one.slices:
                yield one, part

    def claim(self, one: Commitment, part: Slice, start_ms: int) -> ServiceClaim:
        """Give what a commitment can claim of its DER in a quarter of an hour: what is promised and not given yet."""
        lasted_ms = min(one.end_ms, start_ms + QUARTER_MS) - max(one.start_ms, start_ms)
        wh = part.w * lasted_ms // MS_PER_HOUR
        if part.energy_wh is not None:
            wh = min(wh, part.energy_wh - self._given_wh.get((one.key, part.device), 0))
        return ServiceClaim(one, wh * MS_PER_HOUR)

    def give(self, key: CommitmentKey, device: str, start_ms: int, wh: int) -> None:
        self.delivered_wh[key, start_ms] = self.delivered_wh.get((key, start_ms), 0) + wh
        self._given_wh[key, device] = self._given_wh.get((key, device), 0) + wh


def quarters(start_ms: int, end_ms: int) -> range:
    """Give the starts of the quarters of an hour that a half-open window (ms) touches."""
    return range(start_ms - start_ms % QUARTER_MS, end_ms, QUARTER_MS)


def _of_quarter(
    start_ms: int, metered: dict[int, dict[Place, dict[str, int]]], promised: _Promised
) -> Iterator[Evidence]:
    """Give the rows of one quarter of an hour: each Wh in one of them."""
    measured = metered.get(start_ms, {})
    by_place: dict[Place, list[tuple[Commitment, Slice]]] = {place: [] for place in measured}
    for one, part in promised.at(start_ms):
        by_place.setdefault((part.device, one.direction), []).append((one, part))
    for (device, direction), held in sorted(by_place.items()):
        tags: dict[EnergyTag, int] = {one.key: 0 for one, _part in held}
        end_ms = start_ms + QUARTER_MS
        for service, wh in sorted(measured.get((device, direction), {}).items()):
            claims = [promised.claim(one, part, start_ms) for one, part in held if one.service == service]
            for tagged in tag_energy(wh * MS_PER_HOUR, direction, claims):
                given_wh = tagged.wms // MS_PER_HOUR
                if isinstance(tagged.tag, CommitmentKey):
                    promised.give(tagged.tag, device, start_ms, given_wh)
                elif service != OWN_USE and given_wh:
                    where = (device, direction, start_ms, end_ms, 0)
                    yield Evidence(service, "", "", "", *where, given_wh, service)
                    continue
                elif service != OWN_USE:
                    continue
                tags[tagged.tag] = tags.get(tagged.tag, 0) + given_wh
        commitments = {one.key: one for one, _part in held}
        yield from evidence(device, direction, start_ms, end_ms, tags, commitments)


def _stretches(
    one: Commitment, promised: _Promised, asked: Asked, reach: Reach, book: CommitmentBook
) -> Iterator[Stretch]:
    """Give the quarters of an hour of a commitment, cut where its DER became able to do more or less."""
    for quarter_ms in quarters(one.start_ms, one.end_ms):
        start_ms, end_ms = max(quarter_ms, one.start_ms), min(quarter_ms + QUARTER_MS, one.end_ms)
        asked_wms = sum(_asked_wms(one, part.device, quarter_ms, promised, asked) for part in one.slices)
        given_wms = promised.delivered_wh.get((one.key, quarter_ms), 0) * MS_PER_HOUR
        if 0 < asked_wms - given_wms < MS_PER_HOUR:
            given_wms = asked_wms
        asked_w, delivered_w = asked_wms // (end_ms - start_ms), given_wms // (end_ms - start_ms)
        cuts = [start_ms, *reach.changes([part.device for part in one.slices], start_ms, end_ms), end_ms]
        for from_ms, until_ms in pairwise(cuts):
            yield Stretch(from_ms, until_ms, asked_w, delivered_w, reach.able_w(one, book, from_ms))


def _asked_wms(one: Commitment, device: str, quarter_ms: int, promised: _Promised, asked: Asked) -> int:
    """Give what was asked of a commitment on one DER: what its service asked, the stronger commitments first."""
    start_ms, end_ms = max(quarter_ms, one.start_ms), min(quarter_ms + QUARTER_MS, one.end_ms)
    total_wms = asked.wms(one.service, device, one.direction, start_ms, end_ms)
    claims = [
        ServiceClaim(other, part.w * (min(end_ms, other.end_ms) - max(start_ms, other.start_ms)))
        for other, part in promised.at(quarter_ms)
        if part.device == device and other.service == one.service and _share_time(other, start_ms, end_ms)
    ]
    return sum(tagged.wms for tagged in tag_energy(total_wms, one.direction, claims) if tagged.tag == one.key)


def _share_time(one: Commitment, start_ms: int, end_ms: int) -> bool:
    return one.start_ms < end_ms and start_ms < one.end_ms


def _accounts(tells: Sequence[Tell]) -> Iterator[Account]:
    for tell in tells:
        if tell.topic is Topic.ACCOUNTED:
            for party, wh in values_by_name(tell):
                end_ms = tell.at_ms - tell.at_ms % QUARTER_MS
                yield Account(end_ms, tell.function, party, wh or 0, tell.effect, tell.why)
