"""A power shared out among parts: policies for set-points and limits in sum, and fairness over time (RULES C12, E)."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

MS_PER_HOUR = 3_600_000
QUARTER_MS = 900_000
FAIRNESS_BASE = 16
FAIRNESS_MOST_QUARTERS = 4
FRACTION_BITS = 96


class Policy(StrEnum):
    """How an order on a group in sum is shared."""

    PROPORTIONAL = "proportional"
    EQUAL = "equal"
    MERIT_ORDER = "merit-order"
    LEAST_NETWORK_IMPACT = "least-network-impact"


class Claim(NamedTuple):
    """One part as sharing sees it; names are unique within a call, powers in W and positive out of the part.

    `low_w` and `high_w` are its range inside its own envelope, `wish_w` what it would take by itself (`high_w` where
    it is free). `counted_w` is the most that it can be doing in the direction of the limit shared: at least what it
    was told and has not yet been read back to have left. `told_w` is its last word, None before its first.
    `strength` is the level and rank of who drives it, the smaller the stronger; cheap `cost` and small `impact` go
    first where the policy asks. `reachable` is false for what is dead, contested or unseen. `stored_wh` and `room_wh`
    bound what it can give and take; `owed_quarters` is its standing in fairness (see Fairness.weigh).
    """

    name: str
    low_w: int
    high_w: int
    wish_w: int
    counted_w: int
    told_w: int | None = None
    strength: tuple[int, int] = (0, 0)
    cost: int = 0
    impact: int = 0
    reachable: bool = True
    stored_wh: int | None = None
    room_wh: int | None = None
    ramp_w_per_s: int | None = None
    owed_quarters: int = 0


class Division(NamedTuple):
    """A set-point in sum shared out: a share (W) per claim in the claims' order, and what nobody can take (signed)."""

    shares_w: tuple[int, ...]
    unmet_w: int


class Caps(NamedTuple):
    """A limit in sum shared out, each in the claims' order (W, of the limit's sign).

    `caps_w` is what each may be told now, `aims_w` where it ends once all have been read back; while they differ the
    re-share is under way. `unmet_w` is the size by which what cannot be controlled breaks the limit by itself.
    """

    caps_w: tuple[int, ...]
    aims_w: tuple[int, ...]
    unmet_w: int


def pour(
    amount: int,
    tops: Sequence[int],
    weights: Sequence[int],
    turns: Sequence[int],
    floors: Sequence[int] | None = None,
) -> list[int]:
    """Divide a whole amount in proportion to the weights (positive), each part within its floor and its top (>= 0).

    The parts sum to the amount, which is first brought between the sums of floors and tops. Whole units go out one by
    one to whoever stands furthest below its proportion, equals by `turns` (distinct, the smaller first). Unlike the
    largest remainder this never takes a unit back when the amount grows (the divisor method of Webster).
    """
    lows = [0] * len(tops) if floors is None else floors
    wanted = max(amount, sum(lows))
    if wanted >= sum(tops):
        return list(tops)
    level = _level(wanted, lows, tops, weights)
    half = 1 << FRACTION_BITS
    parts = [
        min(top, max(low, (2 * level * weight + half) >> (FRACTION_BITS + 1)))
        for low, top, weight in zip(lows, tops, weights, strict=True)
    ]
    missing = wanted - sum(parts)
    if missing > 0:
        _add_units(missing, parts, tops, weights, turns)
    elif missing < 0:
        _take_units(-missing, parts, lows, weights, turns)
    return parts


def _level(amount: int, floors: Sequence[int], tops: Sequence[int], weights: Sequence[int]) -> int:
    """Give the amount per weight, in binary fractions, at which the parts sum to the amount but for rounding."""
    edges = []
    for low, top, weight in zip(floors, tops, weights, strict=True):
        if low < top:
            edges.append(((low << FRACTION_BITS) // weight, weight, -low))
            edges.append(((top << FRACTION_BITS) // weight, -weight, top))
    edges.sort()
    fixed, slope = sum(floors), 0
    for level, weight, resting in edges[:-1]:
        if slope and slope * level >= (amount - fixed) << FRACTION_BITS:
            break
        slope += weight
        fixed += resting
    return max(0, ((amount - fixed) << FRACTION_BITS) // slope)


def _add_units(units: int, parts: list[int], tops: Sequence[int], weights: Sequence[int], turns: Sequence[int]) -> None:
    queue = [
        (((2 * part + 1) << FRACTION_BITS) // weight, turn, index)
        for index, (part, top, weight, turn) in enumerate(zip(parts, tops, weights, turns, strict=True))
        if part < top
    ]
    heapq.heapify(queue)
    for _ in range(units):
        _, turn, index = heapq.heappop(queue)
        parts[index] += 1
        if parts[index] < tops[index]:
            heapq.heappush(queue, (((2 * parts[index] + 1) << FRACTION_BITS) // weights[index], turn, index))


def _take_units(
    units: int, parts: list[int], floors: Sequence[int], weights: Sequence[int], turns: Sequence[int]
) -> None:
    queue = [
        (-(((2 * part - 1) << FRACTION_BITS) // weight), -turn, index)
        for index, (part, low, weight, turn) in enumerate(zip(parts, floors, weights, turns, strict=True))
        if part > low
    ]
    heapq.heapify(queue)
    for _ in range(units):
        _, turn, index = heapq.heappop(queue)
        parts[index] -= 1
        if parts[index] > floors[index]:
            heapq.heappush(queue, (-(((2 * parts[index] - 1) << FRACTION_BITS) // weights[index]), turn, index))


def reach(claim: Claim, horizon_ms: int = 0) -> tuple[int, int]:
    """Give the range (W) that a part can hold to the end of the horizon; both ends are zero where it is unreachable.

    Stored energy and room narrow the range so that they last for the horizon; with none given (0) an empty store
    gives nothing and a full one takes nothing. A ramp bounds how far it comes from its last word, and never takes it
    out of its envelope.
    """
    if not claim.reachable:
        return 0, 0
    low_w, high_w = claim.low_w, max(claim.low_w, claim.high_w)
    if claim.stored_wh is not None:
        high_w = min(high_w, _lasting_w(claim.stored_wh, horizon_ms, high_w))
        low_w = min(low_w, high_w)
    if claim.room_wh is not None:
        low_w = max(low_w, -_lasting_w(claim.room_wh, horizon_ms, -low_w))
        high_w = max(low_w, high_w)
    if claim.ramp_w_per_s is None or claim.told_w is None or not horizon_ms:
        return low_w, high_w
    step_w = claim.ramp_w_per_s * horizon_ms // 1_000
    return _within(claim.told_w - step_w, low_w, high_w), _within(claim.told_w + step_w, low_w, high_w)


def _lasting_w(energy_wh: int, horizon_ms: int, wanted_w: int) -> int:
    if energy_wh <= 0:
        return 0
    return energy_wh * MS_PER_HOUR // horizon_ms if horizon_ms else max(0, wanted_w)


def _within(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def share_total(policy: Policy, total_w: int, claims: Sequence[Claim], horizon_ms: int = 0) -> Division:
    """Share a set-point in sum (W, signed) by the policy, every share within its part's reach (RULES E).

    Shares and what is unmet sum to the total. Every part starts at the end of its range that is nearest to zero and
    moves the way that the total asks: by its available range, to one level, or the cheapest (or least harmful)
    first, each to its end before the next. An unreachable part counts zero. Our reading: cost and impact order the
    parts in the same way in both directions, and at equal cost the stronger, then who is owed more, then the name.
    """
    ranges = [reach(claim, horizon_ms) for claim in claims]
    feasible_w = _within(total_w, sum(low for low, _ in ranges), sum(high for _, high in ranges))
    bases = [_within(0, low, high) for low, high in ranges]
    if feasible_w >= sum(bases):
        ends = [high for _, high in ranges]
        shares = _outward(policy, feasible_w, bases, ends, claims)
    else:
        ends = [-low for low, _ in ranges]
        shares = [-share for share in _outward(policy, -feasible_w, [-base for base in bases], ends, claims)]
    return Division(tuple(shares), total_w - feasible_w)


def _outward(
    policy: Policy, total_w: int, bases: Sequence[int], ends: Sequence[int], claims: Sequence[Claim]
) -> list[int]:
    """Share a total between the bases and the ends above them; equal means one level, not one step."""
    if policy is Policy.EQUAL:
        offsets = [min(0, base) for base in bases]
        floors = [max(0, base) for base in bases]
        tops = [max(0, end) for end in ends]
    else:
        offsets = list(bases)
        floors = [0] * len(bases)
        tops = [end - base for base, end in zip(bases, ends, strict=True)]
    shares = _by_policy(policy, total_w - sum(offsets), claims, tops, tops, floors)
    return [offset + share for offset, share in zip(offsets, shares, strict=True)]


def _by_policy(
    policy: Policy,
    amount: int,
    claims: Sequence[Claim],
    tops: Sequence[int],
    ranges: Sequence[int],
    floors: Sequence[int] | None = None,
) -> list[int]:
    """Divide an amount among claims of one standing, each within its top; the ranges are what proportion goes by."""
    order = sorted(range(len(claims)), key=lambda index: _precedence(policy, claims[index]))
    if policy in {Policy.MERIT_ORDER, Policy.LEAST_NETWORK_IMPACT}:
        parts = [0] * len(claims)
        for index in order:
            parts[index] = min(tops[index], amount)
            amount -= parts[index]
        return parts
    turns = [0] * len(claims)
    for turn, index in enumerate(order):
        turns[index] = turn
    least = min((claim.owed_quarters for claim in claims), default=0)
    weights = [
        (FAIRNESS_BASE + min(claim.owed_quarters - least, FAIRNESS_MOST_QUARTERS))
        * (1 if policy is Policy.EQUAL else max(1, reach_w))
        for claim, reach_w in zip(claims, ranges, strict=True)
    ]
    return pour(amount, tops, weights, turns, floors)


def _precedence(policy: Policy, claim: Claim) -> tuple[int, tuple[int, int], int, str]:
    if policy is Policy.MERIT_ORDER:
        return claim.cost, claim.strength, -claim.owed_quarters, claim.name
    if policy is Policy.LEAST_NETWORK_IMPACT:
        return claim.impact, claim.strength, -claim.owed_quarters, claim.name
    return 0, (0, 0), -claim.owed_quarters, claim.name


def cap_upper(policy: Policy, upper_w: int, claims: Sequence[Claim]) -> Caps:
    """Share a ceiling on a sum of powers (W) as one ceiling per part, each at least zero (RULES C2, C12, E).

    The strongest keep their wish first, the weaker are tightened, equals share by the policy; what is then left goes
    the same way up to `high_w`. The ceilings sum to at most the limit, and load is not counted against generation.
    What is unreachable keeps its last word and is counted at its worst; where that alone breaks the limit the others
    go to zero and it is to come back with its share only. A part grows only into what all others have been read back
    to leave, so that the worst case in sum never rises past the limit while a re-share is under way.
    """
    silent_w = sum(max(0, claim.counted_w) for claim in claims if not claim.reachable)
    aims = _aims(policy, upper_w, silent_w, claims)
    free_w = max(0, upper_w - sum(max(0, claim.counted_w) for claim in claims))
    growths = [
        max(0, aim - max(0, claim.counted_w)) if claim.reachable else 0 for aim, claim in zip(aims, claims, strict=True)
    ]
    grown = _strongest_first(policy, free_w, claims, growths)
    over = sum(max(0, claim.counted_w) for claim in claims) > upper_w
    held = [_last_word_w(claim) if over else max(0, claim.counted_w) for claim in claims]
    caps = [
        min(aim, before + step) if claim.reachable else aim
        for aim, claim, step, before in zip(aims, claims, grown, held, strict=True)
    ]
    return Caps(tuple(caps), tuple(aims), max(0, silent_w - upper_w))


def cap_lower(policy: Policy, lower_w: int, claims: Sequence[Claim]) -> Caps:
    """Share a floor on a sum of powers (W, signed: an import limit is negative): the mirror image of `cap_upper`.

    `counted_w` and `told_w` of the claims are those of this direction: the lowest that each can be doing, and the
    floor that it was told.
    """
    mirrored = [
        claim._replace(
            low_w=-claim.high_w,
            high_w=-claim.low_w,
            wish_w=-claim.wish_w,
            counted_w=-claim.counted_w,
            told_w=None if claim.told_w is None else -claim.told_w,
        )
        for claim in claims
    ]
    caps, aims, unmet_w = cap_upper(policy, -lower_w, mirrored)
    return Caps(tuple(-cap for cap in caps), tuple(-aim for aim in aims), unmet_w)


def _aims(policy: Policy, upper_w: int, silent_w: int, claims: Sequence[Claim]) -> list[int]:
    """Give the ceilings that the parts end at: zero for all that is reachable where the others break the limit."""
    last_words = [0 if claim.reachable else _last_word_w(claim) for claim in claims]
    if silent_w > upper_w:
        return _strongest_first(policy, max(0, upper_w), claims, last_words)
    left_w = upper_w - silent_w
    mosts = [max(0, claim.high_w) if claim.reachable else 0 for claim in claims]
    wishes = [_within(claim.wish_w, 0, most) for claim, most in zip(claims, mosts, strict=True)]
    kept = _strongest_first(policy, left_w, claims, wishes)
    rest = [most - share for most, share in zip(mosts, kept, strict=True)]
    more = _strongest_first(policy, left_w - sum(kept), claims, rest)
    return [word + share + extra for word, share, extra in zip(last_words, kept, more, strict=True)]


def _last_word_w(claim: Claim) -> int:
    return max(0, claim.counted_w if claim.told_w is None else min(claim.counted_w, claim.told_w))


def _strongest_first(policy: Policy, amount_w: int, claims: Sequence[Claim], tops: Sequence[int]) -> list[int]:
    """Fill the tops of the strongest class first; the class that the amount ends in shares it by the policy."""
    parts = [0] * len(claims)
    order = sorted(range(len(claims)), key=lambda index: claims[index].strength)
    for _, indices in groupby(order, key=lambda index: claims[index].strength):
        if amount_w <= 0:
            break
        among = [index for index in indices if tops[index]]
        equals = [claims[index] for index in among]
        ranges = [max(tops[index], claims[index].high_w) for index in among]
        shares = _by_policy(policy, amount_w, equals, [tops[index] for index in among], ranges)
        for index, share in zip(among, shares, strict=True):
            parts[index] = share
        amount_w -= sum(shares)
    return parts


@dataclass(slots=True)
class Fairness:
    """What each part was curtailed by so far (W times ms), so that equals are not always curtailed in one order (E).

    Its influence is bounded: who was curtailed for an hour of its whole range more than the least curtailed gets a
    quarter more weight, nobody gets more, and equals in merit take turns by the quarter of an hour.
    """

    curtailed_w_ms: dict[str, int] = field(default_factory=dict)

    def record(self, curtailed_w: Mapping[str, int], for_ms: int) -> None:
        """Add what the parts of these names were held below their wish (W >= 0) for a time (ms >= 0)."""
        for name, w in curtailed_w.items():
            self.curtailed_w_ms[name] = self.curtailed_w_ms.get(name, 0) + w * for_ms

    def curtailed_wh(self, name: str) -> int:
        """Give the energy (Wh, rounded down) that a part was curtailed by."""
        return self.curtailed_w_ms.get(name, 0) // MS_PER_HOUR

    def weigh(self, claims: Sequence[Claim]) -> list[Claim]:
        """Give the claims with their standing: whole quarters of an hour of curtailment at their full range."""
        return [
            claim._replace(
                owed_quarters=self.curtailed_w_ms.get(claim.name, 0)
                // (QUARTER_MS * max(1, claim.high_w, -claim.low_w))
            )
            for claim in claims
        ]
