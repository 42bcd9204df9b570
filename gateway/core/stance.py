"""How the orders on the timelines of a resource stand, kept from one pass to the next (C1, C5, C6).

A stance is derived from the state alone and may be dropped at any time: what is kept spares only looking again at the
slots that nothing happened in. A new order is taken into its own slots, passing time is noticed by each slot on its
own, and whatever else moves an order drops the stance.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.core.arbitrate import Choice, Ruled, Status, choose, rule, status_in_slot, status_of
from gateway.core.functions import Function
from gateway.core.orders import OrderKey
from gateway.core.slots import Fallbacks, Ground, Held, Word, held_in
from gateway.core.timeline import FOR_EVER_MS, Entry, Slot, Succession, strength

LONG_AGO_MS = -FOR_EVER_MS
GROUP_STRIDE = 1 << 32
"""How many orders each group of a resource has places for."""


class Place(NamedTuple):
    """Where an order is found at a resource: its slot, its number by group and arrival, and what it puts there."""

    slot: Slot
    number: int
    stream: "Stream"
    entry: Entry


class Stream:
    """The orders of one slot at one resource, and what they come to at the instant that was looked at last.

    `winner` is in force, `gone` has lost the slot for good, the strongest first, `beaten` names those of them that are
    not over. Nothing of it changes before `until_ms`. It is `doubled` where an order is in it more than once.
    """

    __slots__ = (
        "_gone_keys",
        "_numbers",
        "_quiet_since_ms",
        "_succession",
        "_word",
        "_word_of",
        "beaten",
        "doubled",
        "entries",
        "gone",
        "slot",
        "until_ms",
        "winner",
    )

    def __init__(self, slot: Slot) -> None:
        """Start without orders."""
        self.slot = slot
        self.entries: list[Entry] = []
        self.gone: Sequence[Entry] = ()
        self.winner: Entry | None = None
        self.beaten: tuple[OrderKey, ...] = ()
        self.until_ms = LONG_AGO_MS
        self.doubled = False
        self._numbers: list[int] = []
        self._gone_keys: frozenset[OrderKey] = frozenset()
        self._quiet_since_ms = FOR_EVER_MS
        self._succession: Succession | None = None
        self._word = Word(slot.function, None)
        self._word_of: tuple[Entry | None, tuple[OrderKey, ...], Fallbacks] | None = None

    def add(self, entry: Entry, number: int) -> None:
        """Take an order in; it is looked at with all the others at the next look."""
        if not self._numbers or number > self._numbers[-1]:
            self._numbers.append(number)
            self.entries.append(entry)
        else:
            index = bisect_left(self._numbers, number)
            self._numbers.insert(index, number)
            self.entries.insert(index, entry)
        self.until_ms = LONG_AGO_MS
        self._succession = None

    def begin(self, entry: Entry, number: int, now_ms: int) -> bool:
        """Take in an order that begins after all that has happened here; False where that needs another look.

        It takes over from a weaker holder or is lost to a stronger one, and nothing else moves (C6). One that is still
        to begin moves nothing before it does.
        """
        until_ms, (start_ms, end_ms) = self.until_ms, entry.interval
        self.add(entry, number)
        if now_ms < until_ms and now_ms < start_ms:
            self.until_ms = min(until_ms, start_ms)
            return True
        if not now_ms < until_ms or not self._quiet_since_ms <= start_ms <= now_ms < min(end_ms, entry.spent_ms):
            return False
        self.until_ms, self._quiet_since_ms = min(until_ms, end_ms), start_ms
        holder = self.winner
        if holder is None or strength(entry) < strength(holder):
            self.winner, loser = entry, holder
        else:
            loser = entry
        if loser is not None:
            gone = list(self.gone)
            insort(gone, loser, key=strength)
            self._lose(gone, now_ms)
        return True

    def look(self, now_ms: int) -> None:
        """Look at all orders anew."""
        entries = self.entries
        if len(entries) == 1:
            (entry,) = entries
            start_ms, end_ms = entry.interval
            holds = start_ms <= now_ms < min(end_ms, entry.spent_ms)
            self.winner = entry if holds else None
            self.until_ms = start_ms if now_ms < start_ms else end_ms if now_ms < end_ms else FOR_EVER_MS
            self._quiet_since_ms = start_ms if holds else FOR_EVER_MS if entry.spent_ms < end_ms else end_ms
            self._lose((), now_ms)
            return
        succession = self.succession()
        self.winner, lost = succession.standing(now_ms)
        self.until_ms = succession.next_change(now_ms)
        if self.winner is not None:
            holder = self.winner.key
            lost = tuple(entry for entry in lost if entry.key != holder)
        self._lose(lost, now_ms)
        spent = any(each.spent_ms <= now_ms < each.interval.end_ms and not self.lacks(each) for each in entries)
        self._quiet_since_ms = FOR_EVER_MS if spent or self.doubled else succession.last_change(now_ms)

    def succession(self) -> Succession:
        """Give which order holds when."""
        if self._succession is None:
            self._succession = Succession(self.entries)
        return self._succession

    def lacks(self, entry: Entry) -> bool:
        """Tell whether an order has lost the slot for good."""
        return entry.key in self._gone_keys

    def word(self, fallbacks: Fallbacks) -> Word:
        """Give what the slot says."""
        known = self._word_of
        if known is None or known[0] is not self.winner or known[1] is not self.beaten or known[2] is not fallbacks:
            self._word_of = (self.winner, self.beaten, fallbacks)
            self._word = Word(self.slot.function, held_in(self.slot, self.winner, fallbacks), self.beaten)
        return self._word

    def places(self) -> Iterator[Place]:
        """Yield where each of the orders is found."""
        for number, entry in zip(self._numbers, self.entries, strict=True):
            yield Place(self.slot, number, self, entry)

    def place_of(self, entry: Entry) -> Place:
        """Give where one of the orders is found."""
        return Place(self.slot, self._numbers[self.entries.index(entry)], self, entry)

    def _lose(self, gone: Sequence[Entry], now_ms: int) -> None:
        if not gone and not self.gone:
            return
        self.gone = gone
        self._gone_keys = frozenset(entry.key for entry in gone)
        self.beaten = tuple(entry.key for entry in gone if now_ms < entry.interval.end_ms)


class Memory:
    """What was chosen last in each function of one resource on one ground, and from what."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        """Start without any."""
        self._known: dict[Function, tuple[tuple[object, ...], Choice]] = {}

    def choose(
        self,
        function: Function,
        held: Sequence[Held],
        ends: tuple[int | None, int | None] | None,
        beaten: Sequence[OrderKey],
        ground: Ground,
    ) -> Choice:
        """Choose as before where nothing else is said."""
        basis = (held, ends, beaten)
        known = self._known.get(function)
        if known is None or known[0] != basis:
            known = self._known[function] = (basis, choose(function, held, ends, beaten, ground))
        return known[1]


class Row(NamedTuple):
    """One slot of a resource, and the orders in it, if any."""

    slot: Slot
    stream: Stream | None


class Stance:
    """Where every order stands that a resource hears, for it and for all that are alike.

    `alike` tells that its orders mean the same wherever its groups do. `followed` are the
    resources whose orders have been taken to the status that they have here.
    """

    __slots__ = (
        "_followed_ms",
        "_followed_number",
        "_known",
        "_mark",
        "_moved",
        "_numbered",
        "_several",
        "_streams",
        "_suspended",
        "alike",
        "followed",
        "ground",
        "groups",
        "streams",
        "valid",
    )

    def __init__(self, groups: tuple[str, ...], ground: Ground, *, alike: bool) -> None:
        """Start without orders; the levels of the slots are this ground's."""
        self.groups, self.ground, self.alike = groups, ground, alike
        self.streams: list[Stream] = []
        self.valid = True
        self._mark: frozenset[OrderKey] | None = None
        self.followed: set[str] = set()
        self._followed_ms, self._followed_number = LONG_AGO_MS, 0
        self._numbered = 0
        self._streams: dict[Slot, Stream] = {}
        self._several: dict[OrderKey, list[Place]] = {}
        self._moved: dict[OrderKey, Place] = {}
        self._suspended: Mapping[tuple[OrderKey, Function], str] = {}
        self._known: tuple[Fallbacks, list[Row], Memory] | None = None

    @property
    def mark(self) -> frozenset[OrderKey]:
        """Name the orders, whatever their order."""
        if self._mark is None:
            self._mark = frozenset(entry.key for stream in self.streams for entry in stream.entries)
        return self._mark

    def load(self, group: str, key: OrderKey, entries: Sequence[tuple[Slot, Entry]]) -> None:
        """Take in an order of a group, to be looked at with all the others."""
        base = self.groups.index(group) * GROUP_STRIDE
        if len(entries) > 1:
            self._take_several(base, key, entries)
            return
        ((slot, entry),) = entries
        self._numbered += 1
        self._stream(slot).add(entry, base + self._numbered)

    def take(self, group: str, key: OrderKey, entries: Sequence[tuple[Slot, Entry]], now_ms: int) -> None:
        """Take in a new order of a group, after all others were looked at."""
        self._mark = None
        base = self.groups.index(group) * GROUP_STRIDE
        if len(entries) > 1:
            self._take_several(base, key, entries)
            return
        ((slot, entry),) = entries
        self._numbered += 1
        stream, number = self._stream(slot), base + self._numbered
        before = stream.winner
        if not stream.begin(entry, number, now_ms):
            return
        self._note(Place(slot, number, stream, entry))
        if before is not None and stream.winner is entry:
            self._note(stream.place_of(before))

    def _take_several(self, base: int, key: OrderKey, entries: Sequence[tuple[Slot, Entry]]) -> None:
        """Take in an order of several functions; its slots are looked at anew."""
        taken: list[Place] = []
        for slot, entry in entries:
            self._numbered += 1
            stream = self._stream(slot)
            stream.doubled = stream.doubled or any(each.stream is stream for each in taken)
            stream.add(entry, base + self._numbered)
            taken.append(Place(slot, base + self._numbered, stream, entry))
        self._several[key] = sorted(taken, key=_number)

    def _stream(self, slot: Slot) -> Stream:
        stream = self._streams.get(slot)
        if stream is None:
            stream = self._streams[slot] = Stream(slot)
            self._known = None
            insort(self.streams, stream, key=_slot)
        return stream

    def look(self, now_ms: int) -> int:
        """Look again at the slots whose time has come; give until when (ms) nothing changes by itself."""
        until_ms = FOR_EVER_MS
        for stream in self.streams:
            if stream.until_ms <= now_ms:
                stream.look(now_ms)
                if self.followed:
                    for place in stream.places():
                        self._note(place)
            until_ms = min(until_ms, stream.until_ms)
        return until_ms

    def rule(self, fallbacks: Fallbacks) -> Ruled:
        """Rule from what each slot says, in the order of the slots."""
        rows, memory = self._board(fallbacks)
        words = [fallbacks.words[slot] if stream is None else stream.word(fallbacks) for slot, stream in rows]
        return rule(words, fallbacks.ground, memory.choose)

    def rows(self, fallbacks: Fallbacks) -> list[Row]:
        """Give every slot that an order or a fallback speaks in, in order."""
        return self._board(fallbacks)[0]

    def _board(self, fallbacks: Fallbacks) -> tuple[list[Row], Memory]:
        known = self._known
        if known is not None and known[0] is fallbacks:
            return known[1], known[2]
        streams = self._streams
        slots = sorted(dict.fromkeys((*streams, *fallbacks.slots)))
        rows = [Row(slot, streams.get(slot)) for slot in slots]
        self._known = (fallbacks, rows, Memory())
        return rows, self._known[2]

    def statuses(self, suspended: Mapping[tuple[OrderKey, Function], str], now_ms: int) -> dict[OrderKey, Status]:
        """Give where each order stands."""
        found: dict[OrderKey, Status] = {}
        for stream in self.streams:
            for entry in stream.entries:
                if entry.key not in found:
                    found[entry.key] = self._status(entry.key, stream, entry, suspended, now_ms)
        return found

    def moved(
        self, suspended: Mapping[tuple[OrderKey, Function], str], now_ms: int
    ) -> Iterator[tuple[OrderKey, Status]]:
        """Yield the orders that may stand elsewhere than where they were followed to, in the order of `statuses`."""
        if suspended.keys() != self._suspended.keys():
            for stream in self.streams:
                winner = stream.winner
                if winner is None or winner.key in self._moved:
                    continue
                slot = (winner.key, stream.slot.function)
                if (slot in suspended) != (slot in self._suspended):
                    self._note(stream.place_of(winner))
        for key, place in sorted(self._moved.items(), key=_placed):
            yield key, self._status(key, place.stream, place.entry, suspended, now_ms)

    def has_moved(self, key: OrderKey) -> bool:
        """Tell whether an order may stand elsewhere than where it was followed to."""
        return key in self._moved

    def spent(self, statuses: Mapping[OrderKey, Status]) -> dict[OrderKey, Status]:
        """Count what was over when it was followed last among what holds nothing any more."""
        found = dict(statuses)
        for stream in self.streams:
            for place in stream.places():
                known = place.number % GROUP_STRIDE <= self._followed_number
                if known and place.entry.interval.end_ms <= self._followed_ms:
                    found[place.entry.key] = Status.SUPERSEDED
        return found

    def follow(self, names: Iterable[str], suspended: Mapping[tuple[OrderKey, Function], str], now_ms: int) -> None:
        """Take it that these resources' orders stand where they stand here; with others that is not so yet."""
        self._followed_ms, self._followed_number = now_ms, self._numbered
        if self._moved or suspended.keys() != self._suspended.keys():
            self._moved, self._suspended, self.followed = {}, suspended, set(names)
        else:
            self.followed.update(names)

    def _note(self, place: Place) -> None:
        key = place.entry.key
        self._moved[key] = self._several[key][0] if key in self._several else place

    def _status(
        self,
        key: OrderKey,
        stream: Stream,
        entry: Entry,
        suspended: Mapping[tuple[OrderKey, Function], str],
        now_ms: int,
    ) -> Status:
        several = self._several.get(key)
        if several is None:
            state = status_in_slot(entry, now_ms, beaten=stream.lacks(entry))
            if state is Status.IN_FORCE and (key, stream.slot.function) in suspended:
                return Status.SUSPENDED
            return state
        states = [
            (status_in_slot(each.entry, now_ms, beaten=each.stream.lacks(each.entry)), each.slot.function)
            for each in several
        ]
        return status_of(key, states, suspended)


class Statuses(Mapping[OrderKey, Status]):
    """Where every order of a stance stands, found when somebody asks."""

    __slots__ = ("_found", "_now_ms", "_suspended", "stance")

    def __init__(self, stance: Stance, suspended: Mapping[tuple[OrderKey, Function], str], now_ms: int) -> None:
        """Stand as this stance does at this instant, with these orders waiting."""
        self.stance = stance
        self._suspended, self._now_ms = suspended, now_ms
        self._found: dict[OrderKey, Status] | None = None

    def _all(self) -> dict[OrderKey, Status]:
        if self._found is None:
            self._found = self.stance.statuses(self._suspended, self._now_ms)
        return self._found

    def __eq__(self, other: object) -> bool:
        """Tell whether the same orders stand alike."""
        return isinstance(other, Statuses) and self.stance.spent(self) == other.stance.spent(other)

    __hash__ = Mapping.__hash__

    def __getitem__(self, key: OrderKey) -> Status:
        """Give where an order stands."""
        return self._all()[key]

    def __iter__(self) -> Iterator[OrderKey]:
        """Go through the orders by slot, then group, then arrival."""
        return iter(self._all())

    def __len__(self) -> int:
        """Count the orders."""
        return len(self._all())


def _slot(stream: Stream) -> Slot:
    return stream.slot


def _number(place: Place) -> tuple[Slot, int]:
    return (place.slot, place.number)


def _placed(moved: tuple[OrderKey, Place]) -> tuple[Slot, int]:
    return _number(moved[1])
