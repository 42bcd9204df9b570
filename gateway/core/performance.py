"""What a commitment delivered against its own contract, and each Wh paid once (RULES C8, C9; CPUC rules 8, 10, 11).

Energies are counted in W times ms and so are exact; whole Wh are made at the very end, with what is left carried on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gateway.core.capacity import MS_PER_HOUR, PERMILLE, Commitment, CommitmentKey, precedence
from gateway.core.parties import Direction

WH_PER_KWH = 1_000


class Stretch(NamedTuple):
    """A time in which nothing changed (ms), of all slices of a commitment in its direction (W, >= 0).

    What was asked for, what was measured (None unknown), and what could have been delivered (None unknown).
    """

    start_ms: int
    end_ms: int
    asked_w: int
    delivered_w: int | None
    able_w: int | None = None


@dataclass(frozen=True, slots=True)
class Performance:
    """How a commitment was kept. `delivered_wh` counts what was asked for, `unavailable_wh` what could not have been.

    `availability_permille` is of the whole window; `penalty_milli` in thousandths of the currency; `met` tells that the
    contract's availability was reached.
    """

    asked_wh: int
    delivered_wh: int
    shortfall_wh: int
    unavailable_wh: int
    availability_permille: int
    penalty_milli: int
    met: bool


class Remainder(StrEnum):
    """What measured energy is where no service claims it."""

    UNTAGGED_EXPORT = "untagged-export"
    OWN_USE = "own-use"


EnergyTag = CommitmentKey | Remainder


class ServiceClaim(NamedTuple):
    """What a commitment asked of one DER in an interval (W times ms, >= 0)."""

    commitment: Commitment
    wms: int


class Tagged(NamedTuple):
    """Measured energy (W times ms) and the one thing that it was delivered for."""

    tag: EnergyTag
    wms: int


class Reported(NamedTuple):
    """Whole Wh by tag, and the rest of each (W times ms, below one Wh) that the next report begins with."""

    wh: Mapping[EnergyTag, int]
    carried_wms: Mapping[EnergyTag, int]


class Evidence(NamedTuple):
    """One line of proof: what one DER delivered in an interval for one service, or for none."""

    service: str
    buyer: str
    party: str
    commitment: str
    device: str
    direction: Direction
    start_ms: int
    end_ms: int
    promised_wh: int
    delivered_wh: int
    tag: str


def measure(commitment: Commitment, stretches: Iterable[Stretch]) -> Performance:
    """Judge a commitment by the terms of its own contract (CPUC rules 8 and 10), from stretches in order of time.

    Time without a stretch counts as unavailable, unknown power as none. What is asked beyond the promised power or
    energy is not owed, and what is delivered beyond what was asked makes up for nothing. Contracts differ in what a
    penalty is due on. Our reading: below the agreed availability, on all that was missing. ValueError where stretches
    overlap.
    """
    promised_w = sum(part.w for part in commitment.slices)
    left_wms = promised_wms = sum(commitment.promised_wms(part) for part in commitment.slices)
    delivered_wms = unavailable_wms = available_ms = 0
    until_ms = commitment.start_ms
    for stretch in _within(commitment, stretches):
        unavailable_wms += promised_w * (stretch.start_ms - until_ms)
        until_ms = stretch.end_ms
        lasted_ms = stretch.end_ms - stretch.start_ms
        asked_w = min(stretch.asked_w, promised_w)
        measured_w = stretch.delivered_w or 0
        owed_wms = min(asked_w * lasted_ms, left_wms)
        given_wms = min(measured_w * lasted_ms, owed_wms)
        idle_w = promised_w - max(asked_w, min(max(stretch.able_w or 0, measured_w), promised_w))
        if left_wms == 0 or (given_wms == owed_wms and idle_w == 0):
            available_ms += lasted_ms
        else:
            unavailable_wms += idle_w * lasted_ms
        left_wms -= owed_wms
        delivered_wms += given_wms
    unavailable_wms += promised_w * (commitment.end_ms - until_ms)
    asked_wms = promised_wms - left_wms
    return _judged(commitment, asked_wms, delivered_wms, min(unavailable_wms, left_wms), available_ms)


def _within(commitment: Commitment, stretches: Iterable[Stretch]) -> Iterable[Stretch]:
    """Cut stretches to the window of a commitment."""
    until_ms = None
    for stretch in stretches:
        if stretch.end_ms < stretch.start_ms or (until_ms is not None and stretch.start_ms < until_ms):
            raise ValueError(f"a stretch from {stretch.start_ms} ms overlaps or runs backwards; give them in order")
        until_ms = stretch.end_ms
        start_ms, end_ms = max(stretch.start_ms, commitment.start_ms), min(stretch.end_ms, commitment.end_ms)
        if start_ms < end_ms:
            yield stretch._replace(start_ms=start_ms, end_ms=end_ms)


def _judged(
    commitment: Commitment, asked_wms: int, delivered_wms: int, unavailable_wms: int, available_ms: int
) -> Performance:
    short_wms = asked_wms - delivered_wms
    availability_permille = PERMILLE * available_ms // (commitment.end_ms - commitment.start_ms)
    terms = commitment.terms
    met = terms is None or availability_permille >= terms.availability_permille
    penalty_milli = 0
    if terms is not None and not met:
        penalty_milli = (short_wms + unavailable_wms) * terms.penalty_per_kwh_milli // (MS_PER_HOUR * WH_PER_KWH)
    return Performance(
        asked_wms // MS_PER_HOUR,
        delivered_wms // MS_PER_HOUR,
        short_wms // MS_PER_HOUR,
        unavailable_wms // MS_PER_HOUR,
        availability_permille,
        penalty_milli,
        met,
    )


def tag_energy(measured_wms: int, direction: Direction, claims: Sequence[ServiceClaim]) -> tuple[Tagged, ...]:
    """Share what one DER was measured to deliver in one direction among the services that claim it (CPUC rule 11).

    The strongest by `precedence` is served first, each with at most its claim; what is left is untagged export or own
    use. The parts sum exactly to `measured_wms` (>= 0, W times ms); ValueError where that is negative.
    """
    if measured_wms < 0:
        raise ValueError(f"{measured_wms} W ms is not an amount; give it apart for export and import")
    wanted: dict[CommitmentKey, int] = {}
    for claim in sorted(claims, key=lambda one: precedence(one.commitment)):
        if claim.commitment.direction is direction:
            wanted[claim.commitment.key] = wanted.get(claim.commitment.key, 0) + claim.wms
    tagged: list[Tagged] = []
    left_wms = measured_wms
    for key, wms in wanted.items():
        served_wms = min(wms, left_wms)
        left_wms -= served_wms
        tagged.append(Tagged(key, served_wms))
    tagged.append(Tagged(Remainder.UNTAGGED_EXPORT if direction is Direction.EXPORT else Remainder.OWN_USE, left_wms))
    return tuple(tagged)


def report(tagged: Iterable[Tagged], carried_wms: Mapping[EnergyTag, int]) -> Reported:
    """Make whole Wh of tagged energy: what is reported and what is carried on sum exactly to what was tagged."""
    total_wms = dict(carried_wms)
    for one in tagged:
        total_wms[one.tag] = total_wms.get(one.tag, 0) + one.wms
    return Reported(
        {tag: wms // MS_PER_HOUR for tag, wms in total_wms.items()},
        {tag: wms % MS_PER_HOUR for tag, wms in total_wms.items()},
    )


def evidence(
    device: str,
    direction: Direction,
    start_ms: int,
    end_ms: int,
    delivered_wh: Mapping[EnergyTag, int],
    commitments: Mapping[CommitmentKey, Commitment],
) -> tuple[Evidence, ...]:
    """Give one line for each tag of a DER's energy in an interval, services first; KeyError for an unknown tag."""
    lines: list[Evidence] = []
    for tag in sorted(delivered_wh, key=lambda one: (isinstance(one, Remainder), one)):
        wh = delivered_wh[tag]
        if isinstance(tag, Remainder):
            lines.append(Evidence("", "", "", "", device, direction, start_ms, end_ms, 0, wh, tag.value))
            continue
        one = commitments[tag]
        promised_wh = _promised_wh(one, device, start_ms, end_ms)
        where = (device, direction, start_ms, end_ms)
        lines.append(Evidence(one.service, one.buyer, one.party, one.id, *where, promised_wh, wh, "/".join(tag)))
    return tuple(lines)


def _promised_wh(commitment: Commitment, device: str, start_ms: int, end_ms: int) -> int:
    """Give what a commitment promises of one DER in the part of its window that lies in an interval (Wh)."""
    shared_ms = max(min(end_ms, commitment.end_ms) - max(start_ms, commitment.start_ms), 0)
    parts = (part for part in commitment.slices if part.device == device)
    return sum(min(part.w * shared_ms, commitment.promised_wms(part)) for part in parts) // MS_PER_HOUR
