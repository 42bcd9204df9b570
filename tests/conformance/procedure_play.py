"""Plays one procedure: its steps wait for requests and for time, its actions are done to the server, its checks judged.

Our reading, where the procedures leave it open: the client registers itself, except where the procedure registers it; a
person does at once what a step asks of one, begins 20 s after all is ready, and proceeds two minutes later.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from procedure_checks import Faults, Judge
from procedure_client import Gateway
from procedure_clock import Requests, SteppedClock
from procedure_observer import Observer
from procedure_person import HANDS, Hand, power_cycles, prepare
from procedure_script import Parameters, Part, Procedure, Step, resolve
from procedure_server import CannotPlayError, ProcedureServer, matches

NOON_MS = 1_800_014_400_000
READY_MS = 5 * 60_000
"""How long the client has for what must be so before a procedure begins."""
OVER_MS = 25 * 60_000
HOPELESS_MS = 5 * 60_000
"""How long a procedure may take beyond its own waits, taken twice; once and less where it is known to fail."""
PERSON_MS = 120_000
BEGIN_MS = 20_000
"""How long after all is ready a person begins."""

SUBSCRIBERS = {"S-L", "S-G"}
"""Classes of procedures for clients that subscribe; all others only poll."""


@dataclass(slots=True)
class Waiting:
    """A step that is not complete, and since when it is enabled (ms), if it is."""

    step: Step
    since_ms: int | None = None


class Play:
    """One procedure on one server and one client."""

    def __init__(
        self, procedure: Procedure, pki: Path, folder: Path, requests: Requests, *, hopeless: bool = False
    ) -> None:
        self.procedure = procedure
        self._requests = requests
        self._hopeless = hopeless
        self._folder = folder
        self._houses = 2 if procedure.id == "P-01" else 1
        self._clock = SteppedClock(NOON_MS)
        own_lfdi = Gateway.own_lfdi(pki)
        self.server = ProcedureServer(self._clock, pki, own_lfdi, self._houses, self._requested)
        self.judge = Judge(self.server, lambda: list(self._waiting))
        self._pki = pki
        self._waiting = {step.name: Waiting(step) for step in procedure.steps}
        self._running = False
        self._finished: Faults | None = None
        self._fault: Exception | None = None
        self._hands: list[tuple[int, Hand]] = []
        self.gateway: Gateway | None = None
        self.observer: Observer | None = None

    async def run(self) -> Faults:
        """Play it to its end and give what is amiss; raises CannotPlayError where it asks for what is not there."""
        self._see_what_it_takes()
        await self.server.start()
        subscribes = bool(SUBSCRIBERS & set(self.procedure.classes))
        self.server.has_empty_defaults = subscribes
        ders = 2 if "M" in self.procedure.classes else 1
        gateway = Gateway(
            self._clock,
            self._pki,
            self.server.url,
            self.server.lfdi,
            self._houses,
            ders,
            subscribes=subscribes,
            negotiates=self.procedure.id == "SDVN-01",
        )
        self.gateway = gateway
        try:
            return await self._play(gateway)
        finally:
            await gateway.stop()
            await self.server.stop()

    def _see_what_it_takes(self) -> None:
        for part in (*self.procedure.preconditions, *self.procedure.criteria):
            if not self.judge.knows(part.type):
                raise CannotPlayError(f"no check {part.type}")
        self.server.utility.registered = False

    async def _play(self, gateway: Gateway) -> Faults:
        gateway.registers = not any(part.type == "register-end-device" for part in self.procedure.actions)
        prepare(self.procedure, gateway)
        self._do(self.procedure.before)
        if self.procedure.starts_at_once:
            self._do(self.procedure.actions)
            self._begin()
        gateway.start()
        if not self.procedure.starts_at_once:
            if not await self._until(lambda: not self._amiss(self.procedure.preconditions), READY_MS):
                return ["not ready to begin", *self._amiss(self.procedure.preconditions)]
            await self._until(lambda: False, BEGIN_MS)
            self._do(self.procedure.actions)
            self._begin()
        self.observer = Observer(self.server, gateway)
        stated_ms = sum(1000 * each.step.event.parameters.get("duration_seconds", 0) for each in self._all)
        await self._until(
            lambda: self._finished is not None or not self._amiss(self._criteria),
            stated_ms + HOPELESS_MS if self._hopeless else 2 * stated_ms + OVER_MS,
        )
        faults = (self._finished or []) + self._amiss(self._criteria)
        return [*faults, *self.observer.faults, *self.observer.refusals(), *self.observer.starts()]

    def _begin(self) -> None:
        self._all = list(self._waiting.values())
        self._running = True
        self.server.begun_ms = self._clock.now_ms()
        self._enable([self.procedure.steps[0].name])

    @property
    def _criteria(self) -> tuple[Part, ...]:
        return self.procedure.criteria

    # -- time

    async def _until(self, holds: Callable[[], bool], patience_ms: int) -> bool:
        """Let time pass until it holds, for so long at most; tell whether it does."""
        assert self.gateway is not None
        deadline_ms = self._clock.now_ms() + patience_ms
        while True:
            await self._requests.settle()
            while await self.server.notifier.settle():
                await self._requests.settle()
            if self._fault is not None:
                raise self._fault
            if holds():
                return True
            due_ms = [
                self.gateway.next_ms(),
                self._clock.next_ms(),
                *self._timers(),
                *(at_ms for at_ms, _hand in self._hands),
                deadline_ms,
            ]
            next_ms = max(min(each for each in due_ms if each is not None), self._clock.now_ms() + 1)
            if next_ms > deadline_ms or self._clock.now_ms() >= deadline_ms:
                return False
            self._clock.advance(next_ms)
            await self._lend_hands()
            self.gateway.turn()
            self._pass_time()
            if self.observer is not None:
                self.observer.look()

    async def _lend_hands(self) -> None:
        assert self.gateway is not None
        due = [hand for at_ms, hand in self._hands if at_ms <= self._clock.now_ms()]
        self._hands = [each for each in self._hands if each[0] > self._clock.now_ms()]
        for hand in due:
            if hand is power_cycles:
                await self.gateway.power_cycle(self._folder)
            else:
                hand(self.gateway)

    def _timers(self) -> Iterable[int]:
        return [
            each.since_ms + duration_ms
            for each in self._waiting.values()
            if each.since_ms is not None and (duration_ms := _duration_ms(each.step)) is not None
        ]

    def _pass_time(self) -> None:
        now_ms = self._clock.now_ms()
        for each in list(self._waiting.values()):
            duration_ms = _duration_ms(each.step)
            if each.since_ms is None or duration_ms is None or now_ms < each.since_ms + duration_ms:
                continue
            if not self._amiss(each.step.event.checks):
                self._take(each.step)

    # -- steps

    def _requested(self, method: str, path: str, served: bool) -> None:
        if not self._running or self._finished is not None:
            return
        try:
            self._trigger(method, path, served)
        except Exception as fault:  # noqa: BLE001 - it is raised where the procedure is played, not in the server
            self._fault = fault

    def _trigger(self, method: str, path: str, served: bool) -> None:
        for each in list(self._waiting.values()):
            event = each.step.event
            if each.since_ms is None or event.type != f"{method}-request-received":
                continue
            given = self._resolved(event.parameters)
            if bool(given.get("serve_request_first")) is served and matches(path, given["endpoint"]):
                if self._amiss(event.checks):
                    continue
                self._take(each.step)
                return

    def _take(self, step: Step) -> None:
        """Do what a step brings about."""
        self._do(step.actions)

    def _enable(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._waiting:
                self._waiting[name].since_ms = self._clock.now_ms()
                now_ms = self._clock.now_ms()
                self._hands += [(now_ms + 1000 * s, hand) for s, hand in HANDS.get((self.procedure.id, name), ())]

    def _do(self, actions: Iterable[Part]) -> None:
        for action in actions:
            if action.type == "enable-steps":
                self._enable(action.parameters["steps"])
            elif action.type == "remove-steps":
                for name in action.parameters["steps"]:
                    self._waiting.pop(name, None)
            elif action.type == "finish-test":
                message = action.parameters.get("fail_message")
                self._finished = [message] if message else []
            else:
                self.server.act(action.type, self._resolved(action.parameters))

    def _resolved(self, parameters: Parameters) -> Parameters:
        return resolve(parameters, self._clock.now_ms(), self.judge.value)

    def _amiss(self, checks: Iterable[Part]) -> Faults:
        faults: Faults = []
        for check in checks:
            try:
                faults += self.judge.faults(check.type, self._resolved(check.parameters))
            except LookupError as fault:
                faults.append(f"{check.type}: {fault}")
        return faults


def _duration_ms(step: Step) -> int | None:
    """Give how long a step waits for nothing but time, or None."""
    if step.event.type == "proceed":
        return PERSON_MS
    return 1000 * step.event.parameters["duration_seconds"] if step.event.type == "wait" else None
