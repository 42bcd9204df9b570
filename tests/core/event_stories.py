"""Stories of events by chance, weighted to what goes wrong: overlaps, equal instants, words on the very second."""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from event_words import (
    Cancel,
    Clock,
    Contact,
    Defaults,
    Event,
    Happening,
    Hear,
    Primacy,
    Restart,
    Story,
    Supersede,
    What,
)

LATEST_START_S = 45
LAST_S = 85
DURATIONS_S = (1, 3, 5, 5, 10, 10, 15, 20, 30, None)
RANDOM_S = (0, 0, 0, 0, 2, 5, 10, -2, -5, -10)
VALUES = {
    "export-limit": (1_600, 2_000, 3_000, 4_000),
    "generation-limit": (1_700, 2_500, 4_500),
    "import-limit": (-5_000, -900, 0),
    "load-limit": (-4_000, -800, 0),
    "connect": (0, 1),
    "energize": (0, 1),
    "active-power": (100, 500, 900),
    "reactive-power": (0, 1, 2, 3, 4, 5),
    "volt-watt": (1, 2, 3),
}
PALETTES = (
    ("export-limit",),
    ("export-limit", "generation-limit"),
    ("export-limit", "import-limit", "reactive-power"),
    ("export-limit", "active-power", "reactive-power"),
    ("generation-limit", "load-limit", "connect", "volt-watt"),
    ("connect", "energize", "reactive-power", "volt-watt"),
)


class Draft(NamedTuple):
    """An event as drawn, and when it is first read."""

    event: Event
    heard_s: int


def _says(chance: Random, palette: tuple[str, ...], most: int = 3) -> dict[str, int]:
    names = chance.sample(palette, chance.randint(1, min(most, len(palette))))
    return {name: chance.choice(VALUES[name]) for name in sorted(names)}


def _event(
    chance: Random, number: int, programs: tuple[str, ...], palette: tuple[str, ...], known: list[Draft]
) -> Draft:
    """Draw an event that starts, often, where another one starts or ends."""
    edges_s = [at_s for each in known for at_s in _edges_s(each.event) if at_s <= LATEST_START_S]
    start_s = chance.choice(edges_s) if edges_s and chance.random() < 0.55 else chance.randint(4, LATEST_START_S)
    duration_s = chance.choice(DURATIONS_S)
    lacking = chance.random() < 0.06
    event = Event(
        f"e{number}",
        chance.choice(programs),
        chance.randint(0, 2),
        start_s,
        duration_s,
        chance.choice(RANDOM_S),
        chance.choice(RANDOM_S),
        {} if lacking and chance.random() < 0.3 else _says(chance, palette),
        uncarried=lacking,
    )
    drawn = chance.random()
    if drawn < 0.7:
        heard_s = chance.randint(2, min(6, start_s))
    elif drawn < 0.95:
        heard_s = chance.randint(2, start_s + (duration_s or 30))
    else:
        heard_s = start_s + (duration_s or 30) + chance.randint(-1, 3)
    return Draft(event, max(2, min(heard_s, LAST_S)))


def _edges_s(event: Event) -> tuple[int, ...]:
    if event.duration_s is None:
        return (event.start_s,)
    return (event.start_s, event.start_s + event.duration_s, event.start_s + event.duration_s)


def _moment_s(chance: Random, draft: Draft, drafts: list[Draft]) -> int:
    """Draw when the server says something of an event: often on a second at which something starts or ends."""
    edges_s = [at_s for each in drafts for at_s in _edges_s(each.event)]
    own_s = _edges_s(draft.event)
    drawn = chance.random()
    if drawn < 0.3:
        at_s = chance.choice(own_s)
    elif drawn < 0.6:
        at_s = chance.choice(edges_s)
    else:
        at_s = chance.randint(own_s[0] - 4, own_s[0] + (draft.event.duration_s or 30))
    return max(draft.heard_s, min(at_s, LAST_S))


def _of_events(chance: Random, drafts: list[Draft]) -> Iterator[tuple[int, What]]:
    """Yield what is said of each event."""
    for draft in drafts:
        mrid = draft.event.mrid
        yield draft.heard_s, Hear(mrid)
        if chance.random() < 0.3:
            yield _moment_s(chance, draft, drafts), Hear(mrid)
        if chance.random() < 0.3:
            yield _moment_s(chance, draft, drafts), Cancel(mrid, chance.random() < 0.5)
        if chance.random() < 0.15:
            yield _moment_s(chance, draft, drafts), Supersede(mrid)
        if draft.event.random_start_s > 0 and chance.random() < 0.15:
            yield max(draft.heard_s, draft.event.start_s + 1), Restart()


def _of_server(chance: Random, programs: tuple[str, ...], palette: tuple[str, ...]) -> Iterator[tuple[int, What]]:
    """Yield what is said of the programs, of the clock and of contact."""
    if chance.random() < 0.25:
        yield 1, Clock(chance.choice((-7, 3, 20)))
        if chance.random() < 0.3:
            yield chance.randint(10, 50), Clock(chance.choice((-8, -3, 3, 5)))
    for program in programs:
        for _ in range(chance.choice((0, 1, 1, 2))):
            says = _says(chance, palette) if chance.random() < 0.9 else {}
            yield chance.choice((1, 1, chance.randint(1, 60))), Defaults(program, tuple(says.items()))
        if chance.random() < 0.12:
            yield chance.randint(3, 50), Primacy(program, chance.randint(0, 3))
    if chance.random() < 0.95:
        yield chance.choice((1, 1, 1, 30)), Contact(chance.choice((15, 300)))
    if chance.random() < 0.2:
        yield chance.randint(3, 60), Restart()
    if chance.random() < 0.5:
        yield chance.randint(20, 70), Contact(300)


def story(seed: int) -> Story:
    """Draw a story: the same number, the same story."""
    chance = Random(seed)  # noqa: S311 - stories by chance, no secret
    programs = ("p1", "p2", "p3")[: chance.choice((1, 1, 2, 2, 3))]
    palette = chance.choice(PALETTES)
    drafts: list[Draft] = []
    for number in range(chance.choice((1, 2, 2, 2, 2, 3, 3, 3, 4, 6))):
        drafts.append(_event(chance, number, programs, palette, drafts))
    told = [*_of_server(chance, programs, palette), *_of_events(chance, drafts)]
    happenings = sorted((Happening(at_s, what, chance.random() < 0.5) for at_s, what in told), key=lambda one: one.at_s)
    return Story(
        seed,
        {program: chance.choice((1, 1, 2, 3)) for program in programs},
        {draft.event.mrid: draft.event for draft in drafts},
        tuple(happenings),
        houses=2 if chance.random() < 0.12 else 1,
        joins=chance.random() < 0.9,
    )


def table(told: Story) -> str:
    """Write a story so that a person can follow it."""
    rows = [f"story {told.seed}: {told.houses} house(s), programs {told.primacies}, joins {told.joins}"]
    for event in told.events.values():
        until = "for ever" if event.duration_s is None else f"{event.start_s + event.duration_s} s"
        drawn = f"start {event.random_start_s:+} s, duration {event.random_duration_s:+} s"
        rows.append(
            f"  {event.mrid} of {event.program}, created {event.created_s}: {event.start_s} s to {until}, "
            f"random {drawn}, says {event.says}{' and more' if event.uncarried else ''}"
        )
    rows += [f"  {one.at_s:>3} s{' (late)' if one.late else ''}: {one.what}" for one in told.happenings]
    return "\n".join(rows)


def smaller(told: Story) -> Iterator[Story]:
    """Yield stories with one thing less, to find the least that still differs."""
    if told.houses > 1:
        yield told._replace(houses=1)
    for mrid in told.events:
        kept = {name: event for name, event in told.events.items() if name != mrid}
        yield told._replace(
            events=kept, happenings=tuple(one for one in told.happenings if getattr(one.what, "mrid", "") != mrid)
        )
    for place in range(len(told.happenings)):
        yield told._replace(happenings=told.happenings[:place] + told.happenings[place + 1 :])
