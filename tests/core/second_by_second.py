"""What an IEEE 2030.5 client does at every second, by plain sets and lists (10.2.3 of 2018; RULES C5, C6, C13, C14).

It knows nothing of the machine. It walks forward through time; whenever it looks, it plays everything again from the
first start to now. Times are ms: `_s` on the server's clock, `_ms` on ours, which lags it by `ahead_ms`. What was drawn
at random is given to it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from event_words import (
    AGREED,
    CEILINGS,
    LAST_RESORT,
    LAST_RESORT_W,
    LIMITS_AND_SWITCHES,
    LONG_MS,
    Draws,
    Event,
    Said,
    Shown,
    tighter,
)

CLOCK_SLACK_MS = 10_000
"""Our reading: a server whose clock is this much ahead of ours may show an event superseded before the other starts."""
JUST_AFTER_MS = 1_000


@dataclass(eq=False)
class Heard:
    """An event of the server, and what the server has said of it since."""

    event: Event
    primacy: int
    draws: dict[str, Draws]
    cut_ms: int | None = None
    cut_word: str = ""
    winds_down: bool = False

    def strength(self) -> tuple[int, int, str]:
        return (self.primacy, -self.event.created_s, self.event.mrid)


@dataclass(eq=False)
class Course:
    """How far an event has come at one house."""

    heard: Heard
    house: str
    lost: dict[str, int] = field(default_factory=dict)
    started: bool = False
    ended: str = ""
    ended_ms: int = LONG_MS
    moved_ms: int = 0

    @property
    def event(self) -> Event:
        return self.heard.event

    @property
    def begun(self) -> bool:
        return self.started or bool(self.ended)

    def own_start_ms(self, ahead_ms: int) -> int:
        return self.event.start_s * 1000 - ahead_ms + self.heard.draws[self.house].start_ms

    def span_ms(self, ahead_ms: int) -> tuple[int, int]:
        """Give the effective start and end: half-open, on our clock, with what the server has cut off."""
        start_ms = self.own_start_ms(ahead_ms) + self.moved_ms
        end_ms, drawn = LONG_MS, self.heard.draws[self.house]
        if self.event.duration_s is not None:
            end_ms = start_ms + max(0, self.event.duration_s * 1000 + drawn.duration_ms)
        cut_ms = self.heard.cut_ms
        if cut_ms is None:
            return start_ms, end_ms
        if start_ms >= cut_ms:
            return cut_ms, cut_ms
        return start_ms, min(end_ms, cut_ms + (drawn.cut_ms if self.heard.winds_down else 0))


@dataclass
class Oracle:
    """Everything that was said, and what holds and is owed at each house."""

    houses: tuple[str, ...]
    joins: bool = True
    ahead_ms: int = 0
    now_ms: int = -1
    proven: bool = False
    closed_ms: int = -1
    heard: dict[str, Heard] = field(default_factory=dict)
    courses: dict[str, list[Course]] = field(default_factory=dict)
    defaults: dict[str, tuple[int, dict[str, int]]] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    holders: dict[str, dict[str, Course]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.courses = {house: [] for house in self.houses}
        self.holders = {house: {} for house in self.houses}

    # -- what happens

    def hear(self, event: Event, primacy: int, draws: dict[str, Draws]) -> None:
        """Take an event at its first receipt (rules 4 and 5)."""
        known = self.heard.get(event.mrid)
        if known is not None:
            self.seen["read again"] += 1
            if known.primacy != primacy and not all(course.ended for course in self._of(known)):
                self.seen["primacy changed"] += 1
                known.primacy, self.closed_ms = primacy, self.now_ms
            return
        made = self.heard[event.mrid] = Heard(event, primacy, draws)
        ends_ms = LONG_MS if event.duration_s is None else (event.start_s + event.duration_s) * 1000 - self.ahead_ms
        for house in self.houses:
            if not event.says:
                self._answer(event, house, "cannot")
            elif ends_ms <= self.now_ms:
                self.seen["received after its specified end"] += 1
                self._answer(event, house, "expired")
            else:
                self._answer(event, house, "received")
                if event.uncarried:
                    self.seen["carried in part"] += 1
                    self._answer(event, house, "uncarried")
                if event.start_s * 1000 - self.ahead_ms < self.now_ms:
                    self.seen["received after its start"] += 1
                self.courses[house].append(Course(made, house))

    def cancel(self, mrid: str, *, winds_down: bool) -> None:
        """Meet status 2 or 3 (rule 9)."""
        heard = self.heard.get(mrid)
        if heard is None or heard.cut_ms is not None:
            return
        for course in self._of(heard):
            start_ms, end_ms = course.span_ms(self.ahead_ms)
            if start_ms == self.now_ms:
                self.seen["cancelled at its start"] += 1
            if end_ms == self.now_ms:
                self.seen["cancelled at its end"] += 1
            before = self.now_ms < start_ms
            beats = [
                other for other in self._of_house(course.house) if not other.begun and self._would_beat(heard, other)
            ]
            self.seen["superseder cancelled before it starts"] += before and bool(beats)
        heard.cut_ms, heard.cut_word, heard.winds_down = self.now_ms, "cancelled", winds_down
        self.seen["cancelled with randomization"] += winds_down
        self.seen["cancelled"] += 1

    def supersede(self, mrid: str) -> None:
        """Meet status 4 (rule 8): stop at once; inside the window that the newer one may start in, when it does."""
        heard = self.heard.get(mrid)
        if heard is None or heard.cut_ms is not None:
            return
        starts_ms = []
        for other in self.heard.values():
            if other is heard or other.cut_ms is not None or not self._would_beat(other, heard):
                continue
            earliest_ms = (other.event.start_s + min(0, other.event.random_start_s)) * 1000 - self.ahead_ms
            mine = [course.span_ms(self.ahead_ms)[0] for course in self._of(other)]
            if mine and earliest_ms - CLOCK_SLACK_MS <= self.now_ms < max(mine):
                starts_ms.append(max(mine))
                self.seen["superseded inside the window of the newer one"] += other.event.random_start_s != 0
        heard.cut_ms = min(starts_ms) + JUST_AFTER_MS if starts_ms else self.now_ms
        heard.cut_word = "superseded"
        self.seen["superseded by the server"] += 1

    def default(self, program: str, primacy: int, says: dict[str, int]) -> None:
        self.defaults[program] = (primacy, says)

    def contact(self) -> None:
        self.proven = True

    def restart(self) -> None:
        """Stop and start: all that was known is kept, contact is not proven (C14)."""
        self.proven = False
        for house in self.houses:
            for course in self._of_house(house):
                earliest_ms = course.event.start_s * 1000 - self.ahead_ms
                self.seen["restart while one runs"] += course.started and not course.ended
                self.seen["restart before a drawn start"] += earliest_ms <= self.now_ms and not course.begun

    def clock(self, ahead_ms: int) -> None:
        self.seen["clock stepped"] += bool(self.heard) and ahead_ms != self.ahead_ms
        if ahead_ms != self.ahead_ms:
            self.ahead_ms, self.closed_ms = ahead_ms, self.now_ms

    # -- what comes of it

    def look(self, now_ms: int) -> None:
        """Take everything to where it stands now."""
        self.now_ms = now_ms
        for house in self.houses:
            self._place(house)
            while self._step(house):
                self._place(house)

    def _step(self, house: str) -> bool:
        """Play all again and take note; tell whether anybody was beaten, which moves who follows."""
        holders, beaten = self.play(house)
        self.holders[house] = holders
        any_beaten = False
        for course in self._of_house(house):
            if course.ended:
                continue
            start_ms, end_ms = course.span_ms(self.ahead_ms)
            for function in course.event.says:
                if course in beaten[function] and function not in course.lost:
                    course.lost[function] = self.now_ms
                    any_beaten = True
            if len(course.lost) == len(course.event.says):
                self.seen["superseded while it ran" if course.started else "superseded before it ran"] += 1
                self._end(course, "superseded")
                any_beaten = True
            elif end_ms <= self.now_ms:
                self._end(course, self._word(course, end_ms))
            if course.lost and not course.ended and course.started and start_ms <= self.now_ms:
                self.seen["lost a function and went on"] += 1
        for course in self._of_house(house):
            if course in holders.values() and not course.begun:
                course.started = True
                self._answer(course.event, house, "started")
        return any_beaten

    def play(self, house: str) -> tuple[dict[str, Course], dict[str, set[Course]]]:
        """Play every function from the first start to now: who holds it now, and who has ever been beaten in it."""
        courses, now_ms = self._of_house(house), self.now_ms
        spans = {course: course.span_ms(self.ahead_ms) for course in courses}
        instants = sorted({at_ms for span in spans.values() for at_ms in span if at_ms <= now_ms} | {now_ms})
        holders: dict[str, Course] = {}
        beaten: dict[str, set[Course]] = {}
        for function in {function for course in courses for function in course.event.says}:
            dead: set[Course] = set()
            running: list[Course] = []
            mine = [course for course in courses if function in course.event.says]
            for at_ms in instants:
                running = [
                    course
                    for course in mine
                    if course not in dead
                    and spans[course][0] <= at_ms < spans[course][1]
                    and at_ms < self._spent_ms(course, function) > self.closed_ms
                ]
                if len(running) > 1:
                    running.sort(key=lambda course: course.heard.strength())
                    self.seen["equal primacy and creation"] += len({c.heard.strength()[:2] for c in running[:2]}) == 1
                    dead.update(running[1:])
                    del running[1:]
            beaten[function] = dead
            if running:
                holders[function] = running[0]
        return holders, beaten

    def _spent_ms(self, course: Course, function: str) -> int:
        return min(course.lost.get(function, LONG_MS), course.ended_ms)

    def _place(self, house: str) -> None:
        """Let every event that has not begun start where the one before it ends, if one does (rule 10)."""
        if not self.joins:
            return
        courses = self._of_house(house)
        for course in sorted(courses, key=lambda course: course.event.start_s):
            if course.begun:
                continue
            ends_ms = [self._end_ms(other) for other in courses if self._precedes(other, course)]
            own_ms, moved_ms = course.own_start_ms(self.ahead_ms), course.moved_ms
            if ends_ms:
                moved_ms = max(ends_ms) - own_ms
            elif moved_ms and own_ms + moved_ms > self.now_ms:
                moved_ms = max(own_ms, self.now_ms) - own_ms
            if moved_ms != course.moved_ms:
                self.seen["joined later than it drew" if moved_ms > 0 else "joined earlier than it drew"] += (
                    moved_ms != 0
                )
                self.seen["let go by the one before it"] += not ends_ms
                self.seen["placed anew"] += 1
            course.moved_ms = moved_ms

    def _end_ms(self, course: Course) -> int:
        return course.span_ms(self.ahead_ms)[1]

    def _precedes(self, one: Course, other: Course) -> bool:
        """Tell whether one ends where the other starts, as specified, acts on the same, and runs to its end."""
        first, second = one.event, other.event
        if one is other or first.duration_s is None or first.start_s + first.duration_s != second.start_s:
            return False
        if one.heard.cut_ms is not None or one.ended not in ("", "completed", "partial"):
            return False
        return any(function in second.says and function not in one.lost for function in first.says)

    def _word(self, course: Course, end_ms: int) -> str:
        heard = course.heard
        if heard.cut_ms is not None and end_ms >= heard.cut_ms:
            self.seen[f"{heard.cut_word} {'while it ran' if course.started else 'before it ran'}"] += 1
            if end_ms > heard.cut_ms:
                self.seen["wound down at random"] += 1
            return heard.cut_word
        if not course.started:
            return "expired"
        return "partial" if course.event.uncarried else "completed"

    def _end(self, course: Course, word: str) -> None:
        course.ended, course.ended_ms = word, self.now_ms
        self._answer(course.event, course.house, word)

    def _answer(self, event: Event, house: str, word: str) -> None:
        self.said.append(Said(self.now_ms, event.mrid, house, word))

    def next_ms(self) -> int:
        """Give the next instant at which time alone changes something."""
        found = [
            at_ms
            for house in self.houses
            for course in self._of_house(house)
            if not course.ended
            for at_ms in course.span_ms(self.ahead_ms)
            if at_ms > self.now_ms
        ]
        return min(found, default=LONG_MS)

    def shown(self, house: str, functions: Iterable[str]) -> dict[str, Shown]:
        """Give what holds in each function: an event, else the strongest default that has it, else the last resort."""
        found = {}
        holders = self.holders[house]
        for function in functions:
            default = self._default(function)
            holder = holders.get(function)
            if holder is None:
                shown = default
                self.seen["a default holds"] += default is not None and default.by != LAST_RESORT
            else:
                shown = Shown(holder.event.mrid, holder.event.says[function])
                if not self.proven and default is not None and function in LIMITS_AND_SWITCHES:
                    value = holder.event.says[function]
                    held = value if default.value is None else tighter(function, value, default.value)
                    self.seen["unproven, so the tighter"] += held != shown.value
                    shown = shown._replace(value=held)
            if shown is not None:
                found[function] = shown
        return found

    def _default(self, function: str) -> Shown | None:
        ranked = sorted((primacy, name) for name, (primacy, says) in self.defaults.items() if function in says)
        if ranked:
            primacy, program = ranked[0]
            self.seen["a default of a weaker program"] += any(each < primacy for each, _says in self.defaults.values())
            return Shown(program, self.defaults[program][1][function])
        if function != "export-limit":
            return None
        if any(each in CEILINGS for _primacy, says in self.defaults.values() for each in says):
            return Shown(AGREED, None)
        self.seen["the last resort holds"] += 1
        return Shown(LAST_RESORT, LAST_RESORT_W)

    # -- who is who

    def _of_house(self, house: str) -> list[Course]:
        return self.courses[house]

    def _of(self, heard: Heard) -> list[Course]:
        return [course for house in self.houses for course in self.courses[house] if course.heard is heard]

    def _would_beat(self, one: "Heard", other: "Heard | Course") -> bool:
        heard = other.heard if isinstance(other, Course) else other
        share = any(function in heard.event.says for function in one.event.says)
        return share and one is not heard and one.strength() < heard.strength()
