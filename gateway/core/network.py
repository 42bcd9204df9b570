"""What the network is like: colours, changes, and what a feeder's model certifies (RULES C11, C12, C19)."""

from collections.abc import Iterator

from gateway.core.certify import AGAIN_MS, FRESH_MS
from gateway.core.decide import Decider
from gateway.core.events import Coloured, Effect, NetworkChanged, Topic
from gateway.core.feeder import Certificate, Certified, NotCertified, Span
from gateway.core.narrate import tell
from gateway.core.parties import Colour
from gateway.core.settling import colour_fault, colour_now, on_segment
from gateway.core.state import FeederState, SegmentColour, State
from gateway.core.timeline import FOR_EVER_MS


class Network:
    """Takes what is said of the network into the machine's state."""

    def __init__(self, state: State, decider: Decider) -> None:
        """Take it into this state, and let this decider look again at what it touches."""
        self._state = state
        self._decider = decider

    def started(self) -> None:
        """Take the feeders of the site; what was certified holds until it is asked anew."""
        state = self._state
        known, state.feeders = state.feeders, {}
        for feeder in state.site.feeders:
            held = known.get(feeder.name)
            if held is None:
                held = FeederState(feeder.resources, feeder.deadline_ms)
            held.resources = feeder.resources
            held.box = {each: span for each, span in held.box.items() if each in feeder.resources}
            held.deadline_ms, held.question, held.answered = feeder.deadline_ms, None, None
            held.wanted, held.standing = {}, {}
            state.feeders[feeder.name] = held
            for name in feeder.resources:
                state.resources[name].feeder = feeder.name

    def coloured(self, event: Coloured) -> Iterator[Effect]:
        """Take a segment's colour from the limit parent; nobody else colours it (A2, C11)."""
        state = self._state
        refused = self._not_the_parent(event.issuer, "a segment's colour")
        wrong = colour_fault(event.segment, event.until_ms, state)
        rule, why = ("A2", refused) if refused else ("C11", wrong and f"said by {event.issuer}: {wrong}")
        if why:
            yield tell(self._state.now_ms, Topic.REFUSED, None, rule, "no effect", (event.segment,), (), why)
            return
        constrained = event.constrained if event.colour is Colour.RED else None
        state.colours[event.segment] = SegmentColour(event.colour, constrained, event.until_ms, event.issuer)
        state.remind(event.until_ms, "colour", event.segment)
        self._decider.touch(on_segment(state, event.segment))
        effect = f"{event.colour.value} for {constrained.value}" if constrained else event.colour.value
        yield tell(
            self._state.now_ms, Topic.COLOUR, None, "C11", effect, (event.segment,), (), f"set by {event.issuer}"
        )

    def colour_due(self, segment: str) -> Iterator[Effect]:
        """Tell what a segment's colour is once its time is over (C11)."""
        held = self._state.colours.get(segment)
        if held is None or held.until_ms > self._state.now_ms:
            return
        self._decider.touch(on_segment(self._state, segment))
        effect = colour_now(held, self._state).value
        yield tell(
            self._state.now_ms, Topic.COLOUR, None, "C11", effect, (segment,), (), "the time of its colour is over"
        )

    def touch_coloured_by(self, issuer: str) -> None:
        """Look again at the segments whose colour has run out: contact decides what it is then (C11)."""
        for segment, held in self._state.colours.items():
            if held.issuer == issuer and held.until_ms <= self._state.now_ms:
                self._decider.touch(on_segment(self._state, segment))

    def changed(self, event: NetworkChanged) -> Iterator[Effect]:
        """Hold the tighter of order and default below what changed until it is validated; colours are void (C19)."""
        state = self._state
        refused = self._not_the_parent(event.issuer, "a change of the network")
        if refused:
            yield tell(self._state.now_ms, Topic.REFUSED, None, "A2", "no effect", event.points, (), refused)
            return
        for point in event.points:
            if event.validated:
                state.unvalidated.pop(point, None)
                continue
            state.unvalidated[point] = event.why
            held = state.colours.get(point)
            if held is not None:
                state.colours[point] = SegmentColour(Colour.AMBER, None, FOR_EVER_MS, held.issuer)
        for name, feeder in state.feeders.items():
            if name in event.points or self._touches(event.points, feeder.resources):
                feeder.question = None
                self._decider.asking.look_again(name)
        self._decider.touch(
            name
            for name, each in state.resources.items()
            if any(point in event.points for point in (each.segment, *each.places))
        )
        effect = "validated again" if event.validated else "changed, not validated"
        yield tell(self._state.now_ms, Topic.NETWORK, None, "C19", effect, event.points, (), event.why)

    def _touches(self, points: tuple[str, ...], resources: tuple[str, ...]) -> bool:
        """Tell whether any of these resources lies under one of these points."""
        under = [self._state.resources[name] for name in resources]
        return any(point in points for each in under for point in (each.segment, *each.places))

    def _not_the_parent(self, issuer: str, what: str) -> str:
        parties = [party.name for party in self._state.site.parties if party.limit_parent]
        return "" if issuer in parties else f"{issuer} is not the limit parent and may not say {what}"

    # -- the feeder's model

    def certified(self, event: Certified) -> Iterator[Effect]:
        """Take a certificate; nothing beyond what was asked is ever taken from it."""
        certificate = event.certificate
        feeder = self._asked(certificate.feeder, certificate.serial)
        if feeder is None or feeder.question is None:
            return
        wish, before = feeder.question, (feeder.box, feeder.silent)
        allowed = {span.resource: span for span in certificate.spans}
        feeder.box = {span.resource: span for span in wish.standing}
        feeder.box.update({span.resource: _within(span, allowed.get(span.resource)) for span in wish.asked})
        feeder.under = {span.resource: span for span in wish.standing}
        feeder.question, feeder.answered, feeder.silent = None, wish, False
        feeder.certificate, feeder.binding = certificate, certificate.binding
        self._state.remind(self._state.now_ms + FRESH_MS, "feeder", certificate.feeder)
        self._decider.touch_due(feeder.wanted)
        if (feeder.box, feeder.silent) == before:
            return
        trimmed = [span for span in wish.asked if feeder.box[span.resource] != span]
        effect = "trimmed" if trimmed else "certified"
        names = [span.resource for span in wish.asked]
        values = [_far_w(feeder.box[name]) for name in names]
        why = _findings(certificate)
        yield tell(self._state.now_ms, Topic.NETWORK, None, "C12", effect, names, values, why, certificate.feeder)

    def not_certified(self, event: NotCertified) -> Iterator[Effect]:
        """Hold what was certified last, and ask again in a while."""
        if self._asked(event.feeder, event.serial) is not None:
            yield from self._unanswered(event.feeder, event.why)

    def feeder_due(self, name: str) -> Iterator[Effect]:
        """Give up a question whose time is over; ask again where nobody answered, or where the answer is old."""
        feeder, now_ms = self._state.feeders[name], self._state.now_ms
        if feeder.question is not None:
            if feeder.question.deadline_ms <= now_ms:
                yield from self._unanswered(name, "no answer by the deadline")
            return
        if feeder.silent or (feeder.certificate is not None and feeder.certificate.state_ms + FRESH_MS <= now_ms):
            self._decider.asking.look_again(name)

    def _asked(self, name: str, serial: int) -> FeederState | None:
        feeder = self._state.feeders.get(name)
        if feeder is None or feeder.question is None or feeder.question.serial != serial:
            return None
        return feeder

    def _unanswered(self, name: str, why: str) -> Iterator[Effect]:
        feeder = self._state.feeders[name]
        was_silent, feeder.question, feeder.silent = feeder.silent, None, True
        feeder.again_ms = self._state.now_ms + AGAIN_MS
        self._state.remind(feeder.again_ms, "feeder", name)
        if was_silent:
            return
        self._decider.touch_due(feeder.wanted)
        said = f"{why}; what was certified last holds"
        yield tell(self._state.now_ms, Topic.NETWORK, None, "C12", "not certified", feeder.wanted, (), said, name)


def _within(asked: Span, allowed: Span | None) -> Span:
    """Give what of a span is allowed, and never more than was asked; what nobody speaks of is not allowed."""
    if allowed is None:
        return asked._replace(low_w=0, high_w=0)
    return asked._replace(
        low_w=max(asked.low_w, min(0, allowed.low_w)), high_w=min(asked.high_w, max(0, allowed.high_w))
    )


def _far_w(span: Span) -> int:
    """Give the end of a span that is farther from zero (W)."""
    return span.high_w if span.high_w >= -span.low_w else span.low_w


def _findings(found: Certificate) -> str:
    """Say what a certificate found, the binding element first."""
    units, thousandths = divmod(found.worst_voltage_milli_pu, 1_000)
    percent, tenths = divmod(found.worst_loading_permille, 10)
    worst = (
        f"worst voltage {units}.{thousandths:03} pu at {found.worst_voltage_at}, "
        f"worst loading {percent}.{tenths} % at {found.worst_loading_at}, model {found.model_hash[:12]}"
    )
    return f"{found.binding}; {worst}" if found.binding else worst
