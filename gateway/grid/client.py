"""The feeder's model as the daemon sees it: asked by `validate`, answering by events, restarted when it fails (C12)."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.grid.config import Feeder
from gateway.grid.process import WORKER, Trouble, Worker
from gateway.grid.talk import Answer, Faulty, Measured, Place, Question, Refusal, setup
from gateway.ports.clock import Clock
from gateway.ports.feeder import Certificate, Certified, NotCertified, Span, Wish

log = logging.getLogger(__name__)

BACKOFF_S: Final = (1.0, 2.0, 5.0, 15.0)
BUDGET: Final = 0.6
"""The part of the time for an answer that the worker may spend on finding room; the rest is for the way."""

Hear = Callable[[Certified | NotCertified], None]


@dataclass(slots=True)
class _Asked:
    """A wish, the loop's time by which it is answered, and what answers it then."""

    wish: Wish
    until_s: float
    alarm: asyncio.TimerHandle


class Model:
    """One feeder's model, in a process of its own.

    A resource that is neither asked about nor standing runs at its measured power; where that is unknown, anywhere
    within its rating. The measured reactive power of a resource goes into every state; where that is unknown, none.
    """

    def __init__(
        self,
        table: Feeder,
        places: Mapping[str, tuple[Place, ...]],
        clock: Clock,
        hear: Hear,
        command: Sequence[str] = WORKER,
    ) -> None:
        """Be ready to run; `command` starts the worker."""
        self.feeder = table.name
        self._table = table
        self._places = dict(places)
        self._setup = setup(table, self._places, BUDGET * table.deadline_s)
        self._clock = clock
        self._hear = hear
        self._command = tuple(command)
        self._measured: dict[str, tuple[Measured, int]] = {}
        self._waiting: _Asked | None = None
        self._wake = asyncio.Event()
        self._failures = 0
        self._unproven = False
        self._told_down = False
        self._state = "the feeder model has not started"

    @property
    def trouble(self) -> str | None:
        """Why the model does not answer now, None where it does."""
        return self._state or None

    # -- what is asked

    def validate(self, wish: Wish) -> None:
        """Ask this within the later of its deadline and `deadline_s` of wall time; it takes the place of one waiting.

        On an accelerated clock the answer may come after the wish's deadline: the model computes on wall time.
        """
        stray = [span.resource for span in (*wish.asked, *wish.standing) if span.resource not in self._places]
        if stray:
            self._refuse(wish, f'resource "{stray[0]}" is not on the feeder; give its devices a bus')
            return
        crooked = [span.resource for span in (*wish.asked, *wish.standing) if not span.low_w <= 0 <= span.high_w]
        if crooked:
            self._refuse(wish, f'the span of "{crooked[0]}" leaves out standstill; ask from at most 0 to at least 0 W')
            return
        if self._waiting is not None:
            self._refuse(self._withdraw(self._waiting), "replaced by a later question")
        loop = asyncio.get_running_loop()
        left_s = (wish.deadline_ms - self._clock.now_ms()) / 1000 / self._clock.rate
        until_s = loop.time() + max(left_s, self._table.deadline_s)
        self._waiting = _Asked(wish, until_s, loop.call_at(until_s, self._expire))
        self._wake.set()

    def measure(self, resource: str, power_w: int | None, reactive_var: int | None, at_ms: int) -> None:
        """Take what a resource was measured at last; None is unknown and takes what was known away."""
        if resource in self._places:
            self._measured[resource] = Measured(power_w, reactive_var), at_ms

    def _withdraw(self, asked: _Asked) -> Wish:
        asked.alarm.cancel()
        self._waiting = None
        return asked.wish

    def _expire(self) -> None:
        """Answer what waited for a model that did not come up, or was still busy."""
        if self._waiting is not None:
            why = f": {self._state}" if self._state else ": the model is busy with an earlier question"
            self._refuse(self._withdraw(self._waiting), f"no answer in time{why}")

    def _refuse(self, wish: Wish, why: str) -> None:
        self._hear(NotCertified(self.feeder, wish.serial, why))

    # -- the process

    async def run(self) -> None:
        """Keep the model's process alive until cancelled; trouble with it is survived, logged once and recovered."""
        self._state = "the feeder model is starting"
        while True:
            try:
                await self._serve()
            except Trouble as trouble:
                self._down(str(trouble))
            step_s = BACKOFF_S[min(self._failures, len(BACKOFF_S)) - 1]
            await asyncio.sleep(min(step_s, self._table.restart_s))

    async def _serve(self) -> None:
        """Start the process and put questions to it until it fails; raises Trouble."""
        worker, first = await Worker.start(self._command, self._setup)
        try:
            if isinstance(first, Faulty):
                raise Trouble("; ".join(first.faults) or "its model cannot be used")
            if not self._unproven:
                self._up()
            self._state = ""
            worker.ended.add_done_callback(lambda _: self._wake.set())
            while not worker.ended.done():
                self._wake.clear()
                if self._waiting is not None:
                    await self._ask(worker, self._waiting.until_s, self._withdraw(self._waiting))
                    continue
                await self._wake.wait()
            raise Trouble("its process ended")
        finally:
            await worker.end()

    async def _ask(self, worker: Worker, until_s: float, wish: Wish) -> None:
        question, state_ms = self._question(wish)
        try:
            reply = await _reply(worker, question, until_s - asyncio.get_running_loop().time())
        except Trouble as trouble:
            self._unproven = True
            self._refuse(wish, f"the feeder model failed: {trouble}")
            raise
        self._proven()
        if isinstance(reply, Refusal):
            self._refuse(wish, reply.why)
        else:
            self._hear(Certified(_certificate(self.feeder, reply, state_ms)))

    def _question(self, wish: Wish) -> tuple[Question, int]:
        """Give the question and the time of the oldest measurement in it, of now where there is none (our reading)."""
        used = {name: said for name, (said, _) in self._measured.items() if said != (None, None)}
        state_ms = min((self._measured[name][1] for name in used), default=self._clock.now_ms())
        return Question(wish.serial, wish.asked, wish.standing, used), state_ms

    def _proven(self) -> None:
        """Take an answer as proof that the model works."""
        self._up()
        self._unproven = False
        self._failures = 0

    def _up(self) -> None:
        if self._told_down:
            log.info("feeder %s: the feeder model answers again", self.feeder)
        self._told_down = False

    def _down(self, why: str) -> None:
        self._failures += 1
        self._state = f"the feeder model is down: {why}"
        if not self._told_down:
            log.warning("feeder %s: %s; what was certified last holds", self.feeder, self._state)
        self._told_down = True


async def _reply(worker: Worker, question: Question, within_s: float) -> Answer | Refusal:
    """Give what the worker says to this question; raises Trouble where that is no answer to it."""
    reply = await worker.ask(question, within_s)
    if isinstance(reply, Refusal) and reply.serial == question.serial:
        return reply
    if isinstance(reply, Answer) and reply.serial == question.serial and _fits(reply, question.asked):
        return reply
    raise Trouble("an answer to something else than was asked")


def _fits(answer: Answer, asked: tuple[Span, ...]) -> bool:
    """Tell whether an answer gives nothing more than was asked for, and names what bound it where it gives less."""
    whole = answer.spans == asked
    within = len(answer.spans) == len(asked) and all(map(_within, answer.spans, asked))
    return whole or (within and bool(answer.binding))


def _within(given: Span, asked: Span) -> bool:
    same = (given.resource, given.rank) == (asked.resource, asked.rank)
    return same and asked.low_w <= given.low_w <= 0 <= given.high_w <= asked.high_w


def _certificate(feeder: str, answer: Answer, state_ms: int) -> Certificate:
    return Certificate(
        feeder,
        answer.serial,
        answer.spans,
        answer.model_hash,
        state_ms,
        answer.worst_voltage_milli_pu,
        answer.worst_voltage_at,
        answer.worst_loading_permille,
        answer.worst_loading_at,
        answer.binding,
        answer.taps_settled,
    )
