"""The largest spans that fit: generation and demand each on its own, strongest ranks first, one factor for each rank.

Tightening the weakest first and filling up from the strongest give the same; filling up leaves the weaker what the
stronger do not need.
"""

import time
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.grid.worker.circuit import Floats
from gateway.grid.worker.trial import Box, Failing, Trial

Bools = NDArray[np.bool_]

HALVINGS: Final = 7
"""A factor is found to 1 part in 128."""


class Asked(NamedTuple):
    """What is asked for (W) in the order of the places, zero where nothing is, and the members of each rank."""

    low_w: Floats
    high_w: Floats
    ranks: tuple[Bools, ...]

    def part(self, members: Bools, factor: float = 1.0) -> "Asked":
        """Give the members' part of it, so far, in whole W toward zero."""
        part = np.where(members, factor, 0.0)
        return Asked(np.trunc(self.low_w * part), np.trunc(self.high_w * part), self.ranks)

    def and_also(self, more: "Asked") -> "Asked":
        """Put what others ask for beside it."""
        return Asked(self.low_w + more.low_w, self.high_w + more.high_w, self.ranks)


class Bound(NamedTuple):
    """What stopped a rank: where the least that does not fit fails, that itself, and what was wished for."""

    failing: Failing
    edge: Asked
    wished: Asked


class Search:
    """Looks for the largest spans in one trial; `bounds` tell what stopped it, `in_time` whether it was finished."""

    def __init__(self, trial: Trial, without: Box, asked: Asked, until_s: float) -> None:
        """Take what is asked; after `until_s` of monotonic time the ranks that are left get nothing."""
        self._trial = trial
        self._without = without
        self._asked = asked
        self._any = np.logical_or.reduce(asked.ranks) if asked.ranks else np.zeros(asked.low_w.shape, dtype=bool)
        self._until_s = until_s
        self.bounds: list[Bound] = []
        self.in_time = True

    def box(self, spans: Asked) -> Box:
        """Give the box in which these may run beside what stands."""
        low_w = np.where(self._any, np.minimum(self._without.low_w, spans.low_w), self._without.low_w)
        high_w = np.where(self._any, np.maximum(self._without.high_w, spans.high_w), self._without.high_w)
        return Box(low_w, high_w)

    def largest(self) -> Asked:
        """Give the spans that fit; raises Incredible where the feeder has no flow with nothing asked for."""
        if self._failing(self._asked) is None:
            return self._asked
        none = np.zeros_like(self._asked.low_w)
        generation = self._fill(self._asked._replace(low_w=none))
        demand = self._fill(self._asked._replace(high_w=none))
        return self._fill(Asked(demand.low_w, generation.high_w, self._asked.ranks))

    def _failing(self, spans: Asked) -> Failing | None:
        return self._trial.failing(self.box(spans))

    def _late(self) -> bool:
        """Tell whether the time for the search is over, and keep that in mind."""
        self.in_time = self.in_time and time.monotonic() <= self._until_s
        return not self.in_time

    def _fill(self, wished: Asked) -> Asked:
        """Grant rank by rank, strongest first, what fits beside the stronger."""
        if self._failing(wished) is None:
            return wished
        granted = wished.part(np.zeros_like(self._any))
        left = list(wished.ranks)
        while left:
            if self._late():
                break
            whole = self._whole(granted, wished, left)
            granted = granted.and_also(wished.part(_together(left[:whole], self._any)))
            if whole < len(left):
                granted = granted.and_also(self._one_rank(granted, wished.part(left[whole])))
            left = left[whole + 1 :]
        return granted

    def _whole(self, granted: Asked, wished: Asked, left: list[Bools]) -> int:
        """Count the ranks, from the strongest, that fit as they were wished for."""
        fits, fails = 0, len(left) + 1
        while fails - fits > 1:
            tried = (fits + fails) // 2 if fails <= len(left) else len(left)
            more = granted.and_also(wished.part(_together(left[:tried], self._any)))
            if self._failing(more) is None:
                fits = tried
            else:
                fails = tried
        return fits

    def _one_rank(self, granted: Asked, wished: Asked) -> Asked:
        """Grant the largest common part of what one rank wishes for.

        Where not even the least of it fits, those of the rank that fit alone still get a common part.
        """
        every = (wished.low_w != 0) | (wished.high_w != 0)
        found = self._common_part(granted, wished, every)
        if found.low_w.any() or found.high_w.any():
            return found
        alone = np.zeros_like(every)
        for at in np.flatnonzero(every):
            if self._late():
                break
            one = np.arange(every.size) == at
            alone |= one & (self._failing(granted.and_also(wished.part(one))) is None)
        return found if not alone.any() or (alone == every).all() else self._common_part(granted, wished, alone)

    def _common_part(self, granted: Asked, wished: Asked, members: Bools) -> Asked:
        """Grant the largest common part of what these wish for, and note what stopped it."""
        whole = granted.and_also(wished.part(members))
        failing = self._failing(whole)
        if failing is None:
            return wished.part(members)
        edge = whole
        fits, fails = 0.0, 1.0
        for _ in range(HALVINGS):
            if self._late():
                break
            tried = (fits + fails) / 2
            more = granted.and_also(wished.part(members, tried))
            now = self._failing(more)
            if now is None:
                fits = tried
            else:
                fails, failing, edge = tried, now, more
        self.bounds.append(Bound(failing, edge, whole))
        return wished.part(members, fits)


def _together(ranks: list[Bools], like: Bools) -> Bools:
    return np.logical_or.reduce(ranks) if ranks else np.zeros_like(like)
