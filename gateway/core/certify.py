"""Asking a feeder's model: what set-points want beyond what it has certified, one question at a time (DESIGN 3, C12).

What lies inside the last certified box acts at once; what lies beyond it waits for its certificate, and without one in
time the last box holds. A trimmed answer is final until what is wanted or the network changes.
"""

from collections.abc import Iterator

from gateway.core.feeder import Room, Span, Validate, Wish
from gateway.core.plan import Envelope
from gateway.core.state import FeederState, ResourceState, State, Wanted

UNCERTIFIED = "no certificate yet"
SILENT = "its model does not answer"
AGAIN_MS = 10_000
"""How long after a question without an answer the model is asked again."""
FRESH_MS = 300_000
"""How long a certificate is taken for the network as it is."""


def room_of(name: str, feeder: FeederState) -> Room:
    """Give what a resource may run at as far as its feeder's model has certified."""
    span = feeder.box.get(name)
    if span is not None:
        return Room(span.low_w, span.high_w, feeder.binding or UNCERTIFIED)
    if feeder.silent:
        return Room(0, 0, SILENT)
    return Room(0, 0, UNCERTIFIED, waits=True)


class Asking:
    """Turns what is wanted on each feeder into questions to its model, over the machine's state."""

    def __init__(self, state: State) -> None:
        """Ask for what this state wants."""
        self._state = state
        self._dirty: dict[str, None] = {}

    def see(self, resource: ResourceState, bounds: Envelope, driven: tuple[int, int]) -> None:
        """Take what a resource wants now: a set-point to be certified, or else to run inside its limits."""
        feeder, name = self._state.feeders[resource.feeder], resource.resource.name
        able_w = [self._state.devices[device] for device in resource.resource.devices]
        if bounds.wanted_w is None:
            feeder.wanted.pop(name, None)
            generation_w = sum(device.generation_max_w for device in able_w)
            charge_w = sum(device.charge_max_w for device in able_w if device.device.energy_wh)
            low_w = -charge_w if bounds.lower_w is None else max(-charge_w, bounds.lower_w)
            feeder.standing[name] = Span(name, low_w, min(bounds.upper_w, generation_w))
        else:
            feeder.standing.pop(name, None)
            feeder.wanted[name] = Wanted(Span(name, min(0, bounds.wanted_w), max(0, bounds.wanted_w)), driven)
        self._dirty[resource.feeder] = None

    def look_again(self, name: str) -> None:
        """Look again at a feeder: its network has changed, or its certificate is old."""
        self._state.feeders[name].answered = None
        self._dirty[name] = None

    def ask(self) -> Iterator[Validate]:
        """Yield the questions that are due, at most one in flight for each feeder."""
        dirty, self._dirty = self._dirty, {}
        for name in dirty:
            feeder = self._state.feeders.get(name)
            if feeder is None or feeder.question is not None or not _lacking(feeder):
                continue
            if feeder.silent and self._state.now_ms < feeder.again_ms:
                continue
            wish = self._wish(name, feeder)
            if feeder.answered is not None and wish[2:4] == feeder.answered[2:4]:
                continue
            feeder.question, feeder.asked_count = wish, wish.serial
            self._state.remind(wish.deadline_ms, "feeder", name)
            yield Validate(wish)

    def _wish(self, name: str, feeder: FeederState) -> Wish:
        """Put all that is wanted on a feeder into one question, the strongest at rank 0."""
        strengths = sorted({wanted.driven for wanted in feeder.wanted.values()})
        asked = tuple(
            feeder.wanted[each].span._replace(rank=strengths.index(feeder.wanted[each].driven))
            for each in feeder.resources
            if each in feeder.wanted
        )
        standing = tuple(feeder.standing[each] for each in feeder.resources if each in feeder.standing)
        return Wish(name, feeder.asked_count + 1, asked, standing, self._state.now_ms + feeder.deadline_ms)


def _lacking(feeder: FeederState) -> bool:
    """Tell whether anything wanted lies beyond the box, or what the box rests on no longer holds."""
    if all(_inside(wanted.span, None) for wanted in feeder.wanted.values()):
        return False
    if feeder.answered is None:
        return True
    if any(not _inside(wanted.span, feeder.box.get(name)) for name, wanted in feeder.wanted.items()):
        return True
    return any(not _inside(span, feeder.under.get(name)) for name, span in feeder.standing.items())


def _inside(span: Span, other: Span | None) -> bool:
    """Tell whether a span lies within another; one that goes nowhere lies within nothing too."""
    low_w, high_w = (0, 0) if other is None else (other.low_w, other.high_w)
    return low_w <= span.low_w and span.high_w <= high_w
