"""First-order plant of an inverter: what its terminals do about its light or its store, and its settings."""

import math
from dataclasses import dataclass

_SETTLED_W = 0.5


@dataclass(frozen=True, slots=True)
class Wish:
    """What the enabled functions ask of the plant; W and var, positive out of the inverter, None where not enabled.

    A changed limit is taken over `ramp_s`. `var_first`: reactive power goes first. `w_tau_s`, `var_tau_s`: time
    constants that a function sets, None is the plant's own.
    """

    energize: bool = True
    limit_w: float | None = None
    set_w: float | None = None
    set_var: float | None = None
    ramp_s: float = 0.0
    var_first: bool = False
    w_tau_s: float | None = None
    var_tau_s: float | None = None


class Plant:
    """Active power goes to min(available, limit, set-point) with a time constant; reactive power follows its set-point.

    A changed limit moves in a straight line over its ramp time, when it shrinks from the power that there is. Below
    zero power goes no further than `absorbs_w`, what a store takes.
    Ceasing to energize acts within the step. After it, power stays 0 for the enter-service delay and then rises by
    at most `rated_w` per `enter_ramp_s` (IEEE 1547-2018, 4.10). Active power has priority over reactive power, unless
    it is told otherwise.
    """

    __slots__ = (
        "_entering",
        "_limit_w",
        "_ramp_w_per_s",
        "_rated_w",
        "_service_from_ms",
        "_tau_s",
        "_told_limit_w",
        "absorbs_w",
        "enter_delay_s",
        "enter_ramp_s",
        "var",
        "w",
    )

    def __init__(self, rated_w: float, tau_s: float) -> None:
        self._rated_w = rated_w
        self._tau_s = tau_s
        self._service_from_ms: int | None = 0
        self._entering = False
        self._told_limit_w: float | None = None
        self._limit_w: float | None = None
        self._ramp_w_per_s = 0.0
        self.absorbs_w = 0.0
        self.enter_delay_s = 0.0
        self.enter_ramp_s = 0.0
        self.w = 0.0
        self.var = 0.0

    def delay_left_s(self, now_ms: int) -> float:
        """Seconds of the enter-service delay that are still to run."""
        return max(0, (self._service_from_ms or 0) - now_ms) / 1000

    def step(self, now_ms: int, dt_s: float, available_w: float, max_va: float, wish: Wish) -> None:
        """Advance by `dt_s` seconds that end at `now_ms`."""
        limit_w = self._limited(wish, dt_s)
        if not wish.energize:
            self._service_from_ms = None
        elif self._service_from_ms is None:
            self._service_from_ms = now_ms + round(1000 * self.enter_delay_s)
            self._entering = True
        if self._service_from_ms is None or now_ms < self._service_from_ms:
            self.w = self.var = 0.0
            return
        limits = (available_w, max_va, *(x for x in (limit_w, wish.set_w) if x is not None))
        target_w = max(-min(self.absorbs_w, max_va), min(limits))
        if wish.var_first:
            target_w = min(target_w, math.sqrt(max(0.0, max_va**2 - min(abs(wish.set_var or 0.0), max_va) ** 2)))
        moved = self._moved(dt_s, wish.w_tau_s)
        self.w = self._ramped(_toward(self.w, target_w, moved), target_w, dt_s)
        room_var = max_va if wish.var_first else math.sqrt(max(0.0, max_va**2 - self.w**2))
        target_var = max(-room_var, min(room_var, wish.set_var or 0.0))
        self.var = _toward(self.var, target_var, self._moved(dt_s, wish.var_tau_s))

    def _moved(self, dt_s: float, tau_s: float | None) -> float:
        tau_s = self._tau_s if tau_s is None else tau_s
        return 1.0 if tau_s <= 0 or self._tau_s <= 0 else 1 - math.exp(-dt_s / tau_s)

    def _limited(self, wish: Wish, dt_s: float) -> float | None:
        """Move the limit toward what is told, at the pace that its last change set."""
        told_w, now_w = wish.limit_w, self._limit_w
        if told_w is None or now_w is None or wish.ramp_s <= 0:
            self._told_limit_w = self._limit_w = told_w
            return told_w
        if told_w != self._told_limit_w:
            now_w = max(told_w, min(now_w, self.w)) if told_w < now_w else now_w
            self._told_limit_w, self._ramp_w_per_s = told_w, abs(told_w - now_w) / wish.ramp_s
        most_w = self._ramp_w_per_s * dt_s
        self._limit_w = now_w + max(-most_w, min(most_w, told_w - now_w))
        return self._limit_w

    def _ramped(self, w: float, target_w: float, dt_s: float) -> float:
        if not self._entering:
            return w
        if self.enter_ramp_s > 0:
            w = min(w, self.w + self._rated_w * dt_s / self.enter_ramp_s)
        self._entering = w < target_w
        return w


def _toward(now: float, target: float, moved: float) -> float:
    after = now + (target - now) * moved
    return target if abs(target - after) < _SETTLED_W else after
