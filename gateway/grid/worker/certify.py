"""A question answered: the spans as asked where every corner fits, else the largest that fit, strongest ranks first."""

import time
from pathlib import Path
from typing import Final

import numpy as np

from gateway.core.feeder import Span
from gateway.grid.talk import Answer, Measured, Question, Refusal, Setup
from gateway.grid.worker.circuit import Circuit, Floats, Flow, Incredible, Taps
from gateway.grid.worker.limits import Limits, Worst
from gateway.grid.worker.search import Asked, Bools, Bound, Search
from gateway.grid.worker.trial import Box, Trial

UNKNOWN: Final = Measured(None, None)


class Certifier:
    """Answers questions about one model, one after the other; taps stand where the question before left them."""

    def __init__(self, setup: Setup) -> None:
        """Load the model; raises ModelFault or OSError where it cannot be used."""
        self._setup = setup
        self._at = {resource: place for place, resource in enumerate(setup.places)}
        self.circuit = Circuit(Path(setup.model), setup.places)
        self._limits = Limits(setup, self.circuit)
        self._shares = _shares(setup)
        self._rated_w = np.array(
            [sum(place.rated_w for place in those) for those in setup.places.values()], dtype=float
        )
        self._taps: Taps | None = self.circuit.taps()

    def answer(self, question: Question) -> Answer | Refusal:
        """Certify what is asked, trimmed where it does not fit."""
        measured = [question.measured.get(resource, UNKNOWN) for resource in self._setup.places]
        asked, without = self._asked(question), self._without(question, measured)
        reactive_var = np.array([each.reactive_var or 0 for each in measured], dtype=float) @ self._shares
        power_w = np.array([each.power_w or 0 for each in measured], dtype=float)
        trial = Trial(self.circuit, self._limits, self._shares, reactive_var, without)
        try:
            self._taps = trial.stand(power_w, self._taps)
            search = Search(trial, without, asked, time.monotonic() + self._setup.budget_s)
            fitting = search.largest()
            worst = self._worst(trial, search.box(fitting))
        except Incredible as error:
            return Refusal(question.serial, f"{error}; check the model and what was measured")
        spans = []
        for span in question.asked:
            at = self._at[span.resource]
            spans.append(Span(span.resource, int(fitting.low_w[at]), int(fitting.high_w[at]), span.rank))
        return Answer(
            question.serial,
            tuple(spans),
            self.circuit.hash,
            round(1000 * worst.voltage_pu),
            self.circuit.nodes[worst.voltage_place],
            round(worst.loading_permille),
            self.circuit.branches[worst.loading_place] if worst.loading_place >= 0 else "",
            self._binding(trial, search),
            taps_settled=True,
        )

    def _asked(self, question: Question) -> Asked:
        low_w, high_w = np.zeros(len(self._at)), np.zeros(len(self._at))
        members: dict[int, Bools] = {}
        for span in question.asked:
            at = self._at[span.resource]
            low_w[at], high_w[at] = span.low_w, span.high_w
            members.setdefault(span.rank, np.zeros(len(self._at), dtype=bool))[at] = True
        return Asked(low_w, high_w, tuple(members[rank] for rank in sorted(members)))

    def _without(self, question: Question, measured: list[Measured]) -> Box:
        """Give the box with nothing asked for: those that stand in their spans, others where they were measured.

        One that is neither and was not measured may be anywhere within its rating: unknown never relaxes anything.
        """
        known = [each.power_w for each in measured]
        low_w = np.array([-self._rated_w[at] if power is None else power for at, power in enumerate(known)])
        high_w = np.array([self._rated_w[at] if power is None else power for at, power in enumerate(known)])
        for span in question.asked:
            low_w[self._at[span.resource]] = high_w[self._at[span.resource]] = 0
        for span in question.standing:
            low_w[self._at[span.resource]], high_w[self._at[span.resource]] = span.low_w, span.high_w
        return Box(low_w.astype(float), high_w.astype(float))

    def _worst(self, trial: Trial, box: Box) -> Worst:
        found = [self._limits.worst(flow) for flow in trial.all_flows(box)]
        voltage = max(found, key=self._limits.distance)
        loading = max(found, key=lambda one: one.loading_permille)
        return Worst(voltage.voltage_pu, voltage.voltage_place, loading.loading_permille, loading.loading_place)

    def _binding(self, trial: Trial, search: Search) -> str:
        """Name all that stopped a rank, each once, as it stood when it was first met."""
        firsts: dict[tuple[int, int], Bound] = {}
        for bound in search.bounds:
            firsts.setdefault(bound.failing.breach[:2], bound)
        said = [self._says(trial, search, bound) for bound in firsts.values()]
        if not search.in_time:
            said.append("no time left to find room for the weaker ranks")
        return "; ".join(said)

    def _says(self, trial: Trial, search: Search, bound: Bound) -> str:
        """Name what stopped a rank, with the figure that all of the wish would have brought about."""
        at = bound.failing
        flows = (trial.flow(search.box(spans), at.corner, settle=at.settle) for spans in (bound.wished, bound.edge))
        return self._limits.says(at.breach, next((flow for flow in flows if isinstance(flow, Flow)), None))


def _shares(setup: Setup) -> Floats:
    """Give each device's part of the power of each resource: by rating, equal where there is none."""
    devices = [place for those in setup.places.values() for place in those]
    shares = np.zeros((len(setup.places), len(devices)))
    first = 0
    for row, those in enumerate(setup.places.values()):
        rated_w = np.array([place.rated_w for place in those], dtype=float)
        shares[row, first : first + len(those)] = (
            rated_w / rated_w.sum() if rated_w.sum() > 0 else np.full(len(those), 1 / max(len(those), 1))
        )
        first += len(those)
    return shares
