"""Capacity promised to services: double promises refused, buyers told (RULES C7, C8; CPUC D.18-01-003, Appendix A).

    CPUC rule                                                                            enforced in
     1  connected at a customer: may serve every domain                                   `serves`
     2  connected to distribution: every domain but the customer's                        `serves`
     3  connected to transmission: neither the customer's nor distribution                `serves`
     4  connected to any grid: resource adequacy, transmission, wholesale                 `serves`
     5  a reliability service goes before every other                                     `admit`, `capacity.precedence`
     6  no two promises of which keeping one would break the other; terms that assure it  `admit`
     7  of split capacity, each service has a part of its own                             `admit`
     8  a contract says how it is enforced, with a penalty for not performing             `admit`
     9  every buyer is told what else is sold of the DER, and of what is added            `disclosures`
    10  each service is measured against its own contract's availability and performance  `performance.measure`
    11  energy is paid once, to one service                                               `performance.tag_energy`

Rules 1 to 5 and the first half of 6 were compared with published accounts of the decision; the rest follows its
commonly reported sense. The exception for community storage that rule 2 leaves open is not made. The rules are silent
on opposite directions. Our reading: firm promises of export and of import to two buyers at once cannot both be kept,
and fall under rule 6.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping

from gateway.core.authority import Refused
from gateway.core.capacity import (
    GRID_DOMAINS,
    MS_PER_HOUR,
    PERMILLE,
    Capability,
    Commitment,
    CommitmentBook,
    CommitmentKey,
    Committed,
    Crossing,
    Disclosure,
    Domain,
    Holding,
    InterfaceLoad,
    InterfaceRoom,
    Reduction,
    Slice,
    precedence,
)
from gateway.core.parties import Direction, Level


def serves(connected: Domain, service: Domain) -> int | None:
    """Give the CPUC rule by which a DER connected there may not render a service here, None where it may."""
    if connected is Domain.CUSTOMER or service in GRID_DOMAINS:
        return None
    if connected is Domain.DISTRIBUTION:
        return 2 if service is Domain.CUSTOMER else None
    return 3


# -- admission


def admit(
    book: CommitmentBook, commitment: Commitment, capabilities: Mapping[str, Capability], now_ms: int
) -> Committed | Refused:
    """Judge a commitment against the DER that it names and all that is promised of them already; changes nothing.

    What may be held depends on the set of commitments only, never on the order in which they came.
    """
    if commitment.key in book.held:
        return Refused("C1", f"commitment {commitment.id!r} of {commitment.party} is held; offer changes as a new id")
    refused = _of_itself(commitment, now_ms) or _of_its_terms(commitment)
    if refused is not None:
        return refused
    for part in commitment.slices:
        capability = capabilities.get(part.device)
        if capability is None or capability.owner != commitment.party:
            return Refused("A6", f"{part.device} is not {commitment.party}'s to offer; offer DER of your own")
        refused = (
            _of_the_domain(commitment, capability)
            or _alone(commitment, part, capability)
            or _with_others(book, commitment, part, capability, now_ms)
        )
        if refused is not None:
            return refused
    return _through_the_interface(book, commitment, capabilities)


def _of_itself(commitment: Commitment, now_ms: int) -> Refused | None:
    """Refuse what contradicts itself or begins in the past."""
    devices = {part.device for part in commitment.slices}
    if not devices or len(devices) < len(commitment.slices):
        return Refused("C8", "a commitment names every DER once, and at least one; state its slices again")
    if commitment.end_ms <= commitment.start_ms:
        return Refused("C8", "the window ends before it begins; state a later end")
    if commitment.start_ms < now_ms:
        return Refused("A5", f"begins {-(-(now_ms - commitment.start_ms) // 1000)} s in the past; offer a later window")
    if not Level.DSO_RELIABILITY <= commitment.level <= Level.CUSTOMER:
        return Refused("C8", f"nothing is sold at level {commitment.level}; offer a service of level 4 to 8")
    if commitment.reliability != (commitment.level <= Level.BULK_RELIABILITY):
        sold = "is sold as a reliability service" if commitment.reliability else "is not sold as a reliability service"
        wanted = "at level 4 or 5, or not as one" if commitment.reliability else "as one, or at level 6 to 8"
        return Refused("C7", f"level {commitment.level} {sold}, and those are levels 4 and 5; offer it {wanted}")
    if commitment.reliability and commitment.interruptible:
        return Refused("C7", "CPUC rule 5: a reliability service goes first and cannot be interruptible; offer it firm")
    return next((why for part in commitment.slices if (why := _of_the_slice(commitment, part))), None)


def _of_the_slice(commitment: Commitment, part: Slice) -> Refused | None:
    if part.w <= 0:
        return Refused("C8", f"{part.device}: {part.w} W is no capacity; state more than 0, the direction apart")
    most_wms = part.w * (commitment.end_ms - commitment.start_ms)
    if part.energy_wh is not None and not 0 < part.energy_wh * MS_PER_HOUR <= most_wms:
        return Refused("C8", f"{part.device}: {part.energy_wh} Wh is not what {part.w} W can deliver in the window")
    return None


def _of_its_terms(commitment: Commitment) -> Refused | None:
    terms = commitment.terms
    if terms is None:
        return Refused("C8", "CPUC rule 8: no terms of availability and penalty; state both")
    if not 0 < terms.availability_permille <= PERMILLE or terms.penalty_per_kwh_milli <= 0:
        return Refused("C8", "CPUC rule 8: availability is 1 to 1000 permille, and a penalty more than 0; state both")
    return None


def _of_the_domain(commitment: Commitment, capability: Capability) -> Refused | None:
    rule = serves(capability.domain, commitment.domain)
    if rule is None:
        return None
    why = (
        f"{capability.device} is connected in the {capability.domain} domain and may not serve the {commitment.domain}"
    )
    return Refused("C8", f"CPUC rule {rule}: {why} domain; offer it elsewhere")


def _alone(commitment: Commitment, part: Slice, capability: Capability) -> Refused | None:
    """Refuse what the DER could not do even if nothing else were promised of it."""
    most_w = capability.power_w(commitment.direction)
    if part.w > most_w:
        why = f"{part.device} can {commitment.direction} {most_w} W, not {part.w} W"
        return Refused("C8", f"CPUC rule 7: {why}; offer no more than it can")
    if capability.energy_wh is not None and commitment.promised_wms(part) > capability.energy_wh * MS_PER_HOUR:
        why = f"{part.device} stores {capability.energy_wh} Wh, less than {part.w} W over the window or as stated"
        return Refused("C8", f"CPUC rule 7: {why}; state less energy or a shorter window")
    return None


def _with_others(
    book: CommitmentBook, commitment: Commitment, part: Slice, capability: Capability, now_ms: int
) -> Refused | None:
    """Refuse a firm promise of what is firmly promised already: power, stored energy or the other direction."""
    if commitment.interruptible:
        return None
    against: list[Commitment] = []
    beside: list[Holding] = []
    for holding, other in _overlapping(book, part.device, commitment.start_ms, commitment.end_ms):
        if other.interruptible:
            continue
        if other.direction is commitment.direction:
            beside.append(holding)
        elif other.buyer != commitment.buyer:
            against.append(other)
    if against:
        why = f"{part.device} is promised to {against[0].buyer} for {against[0].direction} in that window"
        return Refused("C8", f"CPUC rule 6: {why}, and cannot do both; offer another window")
    free_w = capability.power_w(commitment.direction) - _peak((one.start_ms, one.end_ms, one.part.w) for one in beside)
    if part.w > free_w:
        why = f"{part.device} has {free_w} W free beside what {_buyers(book, beside)} bought, not {part.w} W"
        return Refused("C8", f"CPUC rule 6: {why}; offer that or another window")
    if capability.energy_wh is None:
        return None
    free_wms = capability.energy_wh * MS_PER_HOUR - _peak(_drawn(book, one) for one in beside)
    if commitment.promised_wms(part) > free_wms:
        why = f"{part.device} has {free_wms // MS_PER_HOUR} Wh free beside what {_buyers(book, beside)} bought"
        return Refused("C8", f"CPUC rule 6: {why}; offer that or another window")
    if not _refills(book, commitment, part, capability, now_ms):
        why = f"{part.device} cannot refill its {capability.energy_wh} Wh between this window and those beside it"
        return Refused("C8", f"CPUC rule 6: {why}; offer less energy or a window further away")
    return None


def _buyers(book: CommitmentBook, holdings: Iterable[Holding]) -> str:
    return ", ".join(dict.fromkeys(book.held[one.key].commitment.buyer for one in holdings))


def _drawn(book: CommitmentBook, holding: Holding) -> tuple[int, int, int]:
    """Give a holding's window (ms) and the energy that it may draw (W times ms)."""
    return holding.start_ms, holding.end_ms, book.held[holding.key].commitment.promised_wms(holding.part)


def _peak(windows: Iterable[tuple[int, int, int]]) -> int:
    """Give the most that half-open windows (start, end, amount) hold at one instant.

    Windows that all meet a further one meet there too where they meet pairwise, so that none need be cut to it.
    """
    steps: list[tuple[int, int]] = []
    for start_ms, end_ms, amount in windows:
        steps.append((start_ms, amount))
        steps.append((end_ms, -amount))
    most = held = 0
    for _at_ms, step in sorted(steps):
        held += step
        most = max(most, held)
    return most


def _refills(book: CommitmentBook, commitment: Commitment, part: Slice, capability: Capability, now_ms: int) -> bool:
    """Tell whether the store can keep every firm promise in turn: in no span is more owed than it can have.

    In a span it can give what it stores and what it can take in again while it does not give. A DER that cannot run the
    other way is refilled by what we do not see, and is taken at its word.
    """
    rate_w = capability.power_w(commitment.direction)
    refill_w = capability.power_w(_opposite(commitment.direction))
    if refill_w == 0 or capability.energy_wh is None:
        return True
    draws = [(commitment.start_ms, commitment.end_ms, commitment.promised_wms(part))]
    for holding in book.by_device.get(part.device, ()):
        other = book.held[holding.key].commitment
        if other.direction is commitment.direction and not other.interruptible and other.end_ms > now_ms:
            draws.append(_drawn(book, holding))
    draws.sort(key=lambda draw: draw[1])
    full = capability.energy_wh * MS_PER_HOUR * rate_w
    weight_w, pace = rate_w + refill_w, rate_w * refill_w
    if _surely_refills(draws, full, weight_w, pace):
        return True
    for first_ms in dict.fromkeys(draw[0] for draw in draws if draw[0] <= commitment.start_ms):
        owed = 0
        for start_ms, end_ms, wms in draws:
            if start_ms >= first_ms:
                owed += wms * weight_w
            if end_ms >= commitment.end_ms and owed > full + pace * (end_ms - first_ms):
                return False
    return True


def _surely_refills(draws: list[tuple[int, int, int]], full: int, weight_w: int, pace: int) -> bool:
    """Tell in one pass, on the safe side, that no span owes too much; exact where no window lies inside another."""
    worst = until_ms = 0
    for start_ms, end_ms, wms in draws:
        worst = max(worst - pace * (end_ms - until_ms), -pace * (end_ms - start_ms)) + wms * weight_w
        until_ms = end_ms
        if worst > full:
            return False
    return True


def _through_the_interface(
    book: CommitmentBook, commitment: Commitment, capabilities: Mapping[str, Capability]
) -> Committed | Refused:
    """Refuse what the network cannot carry through a T-D interface, to a service rendered beyond it (C8)."""
    rooms: dict[str, InterfaceRoom] = {}
    wanted_w: dict[str, int] = {}
    for part in commitment.slices:
        room = capabilities[part.device].interface
        if room is not None and commitment.domain in GRID_DOMAINS:
            rooms[room.name] = room
            wanted_w[room.name] = wanted_w.get(room.name, 0) + part.w
    for name, w in wanted_w.items():
        limit_w = rooms[name].limit_w(commitment.direction)
        load = book.loads.get((name, commitment.direction))
        taken_w = 0 if load is None or commitment.interruptible else _most(load, commitment)
        if limit_w is not None and w > limit_w - taken_w:
            free_w = max(limit_w - taken_w, 0)
            why = f"the network can {commitment.direction} {free_w} W more at {name}, not {w} W"
            return Refused("C8", f"{why}; offer that or another window")
    if commitment.interruptible:
        return Committed(commitment)
    return Committed(commitment, tuple(Crossing(name, w) for name, w in wanted_w.items()))


def _most(load: InterfaceLoad, commitment: Commitment) -> int:
    """Give the most firm W through an interface at any instant of a commitment's window."""
    after = bisect_right(load.times_ms, commitment.start_ms)
    until = bisect_left(load.times_ms, commitment.end_ms)
    return max(load.watts[max(after - 1, 0) : until], default=0)


# -- the book


def enter(book: CommitmentBook, committed: Committed) -> None:
    """Enter what `admit` has let through."""
    commitment = committed.commitment
    book.held[commitment.key] = committed
    for part in commitment.slices:
        holding = Holding(commitment.start_ms, commitment.end_ms, commitment.key, part)
        insort(book.by_device.setdefault(part.device, []), holding)
    _load(book, committed, 1)


def withdraw(book: CommitmentBook, key: CommitmentKey) -> Commitment | None:
    """Take a commitment out of the book and give it; None where it is not held."""
    committed = book.held.pop(key, None)
    if committed is None:
        return None
    commitment = committed.commitment
    for part in commitment.slices:
        holdings = book.by_device[part.device]
        del holdings[bisect_left(holdings, Holding(commitment.start_ms, commitment.end_ms, key, part))]
        if not holdings:
            del book.by_device[part.device]
    _load(book, committed, -1)
    return commitment


def drop_ended(book: CommitmentBook, before_ms: int) -> tuple[Commitment, ...]:
    """Take out every commitment that ended at or before an instant, and give them in the order of their names."""
    ended = sorted(key for key, one in book.held.items() if one.commitment.end_ms <= before_ms)
    return tuple(one for key in ended if (one := withdraw(book, key)) is not None)


def _load(book: CommitmentBook, committed: Committed, sign: int) -> None:
    """Add a commitment to the steps of its interfaces, or take it off; steps that are none are joined."""
    commitment = committed.commitment
    for crossing in committed.crossings:
        where = (crossing.interface, commitment.direction)
        load = book.loads.setdefault(where, InterfaceLoad())
        first, last = _step_at(load, commitment.start_ms), _step_at(load, commitment.end_ms)
        for index in range(first, last):
            load.watts[index] += sign * crossing.w
        for index in (last, first):
            if load.watts[index] == (load.watts[index - 1] if index else 0):
                del load.watts[index], load.times_ms[index]
        if not load.watts:
            del book.loads[where]


def _step_at(load: InterfaceLoad, at_ms: int) -> int:
    index = bisect_left(load.times_ms, at_ms)
    if index == len(load.times_ms) or load.times_ms[index] != at_ms:
        load.times_ms.insert(index, at_ms)
        load.watts.insert(index, load.watts[index - 1] if index else 0)
    return index


# -- what the book tells


def disclosures(book: CommitmentBook, commitment: Commitment, now_ms: int) -> tuple[Disclosure, ...]:
    """Give who is to be told when a commitment is entered (CPUC rule 9).

    Everyone who still holds one on the DER is told of the new one, and its buyer of what others hold there.
    """
    told: dict[Disclosure, None] = {}
    for part in commitment.slices:
        for holding in book.by_device.get(part.device, ()):
            other = book.held[holding.key].commitment
            if other.end_ms > now_ms and other.buyer != commitment.buyer:
                told[Disclosure(other.buyer, part.device, commitment)] = None
                told[Disclosure(commitment.buyer, part.device, other)] = None
    return tuple(told)


def commitments_at(
    book: CommitmentBook, device: str, direction: Direction, at_ms: int
) -> Iterator[tuple[Slice, Commitment]]:
    """Give the slices of one DER that are promised in one direction at an instant, earliest start first."""
    for holding, commitment in _overlapping(book, device, at_ms, at_ms + 1):
        if commitment.direction is direction:
            yield holding.part, commitment


def _overlapping(book: CommitmentBook, device: str, start_ms: int, end_ms: int) -> Iterator[tuple[Holding, Commitment]]:
    for holding in book.by_device.get(device, ()):
        if holding.start_ms >= end_ms:
            return
        if holding.end_ms > start_ms:
            yield holding, book.held[holding.key].commitment


def reserved_w(
    book: CommitmentBook, device: str, direction: Direction, at_ms: int, *, reliability_only: bool = False
) -> int:
    """Give what is firmly promised of one DER at an instant (W), of all services or of reliability services alone."""
    return sum(
        part.w
        for part, one in commitments_at(book, device, direction, at_ms)
        if not one.interruptible and (one.reliability or not reliability_only)
    )


def contracted_w(
    book: CommitmentBook,
    device: str,
    direction: Direction,
    at_ms: int,
    *,
    level: int | None = None,
    service: str | None = None,
) -> int:
    """Give what is contracted of one DER at an instant (W), firm or not, at a level, for a service, or at all (C11)."""
    return sum(
        part.w
        for part, one in commitments_at(book, device, direction, at_ms)
        if level in {None, one.level} and service in {None, one.service}
    )


def shortfall(
    book: CommitmentBook, device: str, available_w: int, direction: Direction, at_ms: int
) -> tuple[Reduction, ...]:
    """Give the commitments that an outage cuts when a DER has only `available_w` left, the weakest first (B, C7).

    Firm ones are kept in the order of `precedence`. What is interruptible comes last in it and shares its kW by
    agreement, so that it is cut only where the DER as a whole has less than it.
    """
    left_w = available_w = max(available_w, 0)
    cut: list[Reduction] = []
    promised = sorted(commitments_at(book, device, direction, at_ms), key=lambda pair: precedence(pair[1]))
    for part, one in promised:
        kept_w = min(part.w, available_w if one.interruptible else left_w)
        left_w -= kept_w
        if kept_w < part.w:
            cut.append(Reduction(one.key, one.buyer, device, part.w, kept_w))
    return tuple(reversed(cut))


def _opposite(direction: Direction) -> Direction:
    return Direction.IMPORT if direction is Direction.EXPORT else Direction.EXPORT
