"""What a person beside the DER would see: whether it does what the server wants of it, by a reading of its own.

Of the controls that are in force the one of the least primacy holds, of equals the newest; where none does, the default
of the least primacy. One that was beaten does not come back. IEEE 2030.5-2018 10.2.3.
"""

from typing import Any

from procedure_client import Gateway
from procedure_server import ProcedureServer

from hil.sep2.events import Control

LIMITS = ("opModExpLimW", "opModGenLimW", "opModImpLimW", "opModLoadLimW")
SWITCHES = ("opModConnect", "opModEnergize")
SLACK_W = 150
"""What counting the load behind a connection point may cost: its bands, and a percent of rounding."""
SLACK_MS = 20_000
"""How long after a control was read, or has begun, the DER may take to come to it; ramps are not waited for."""
RECEIVED, STARTED = 1, 2
REFUSALS = {8, 10, 13, 14, 252, 253, 254}
"""Responses of a client that did not do, or not wholly do, what was asked."""

Wanted = dict[str, Any]


class Observer:
    """Watches one DER site beside one server."""

    def __init__(self, server: ProcedureServer, gateway: Gateway) -> None:
        self.faults: list[str] = []
        self._server = server
        self._gateway = gateway
        self._wanted: Wanted = {}
        self._since_ms = gateway.clock.now_ms()

    def look(self) -> None:
        """Hold what the DER come to against what has been wanted long enough."""
        now_ms = self._gateway.clock.now_ms()
        wanted, certain = self._wants(now_ms // 1000)
        state = {
            "wanted": wanted,
            "load": self._gateway.load_w,
            "sun": [one.available_w for one in self._gateway.roofs],
        }
        if state != self._wanted or not certain:
            self._wanted, self._since_ms = state, now_ms
        if self._server.read_ms is None or self.faults:
            return
        if now_ms - max(self._since_ms, self._server.read_ms) >= SLACK_MS:
            second = (now_ms - self._server.begun_ms) // 1000
            self.faults += [f"seen at {second} s: {one}" for one in self._seen(wanted)]

    def refusals(self) -> list[str]:
        """Give the answers that say that something asked for is not done."""
        found = {one.status for one in self._server.tree.intake.answers} & REFUSALS
        return [f"a control was answered with {status}" for status in sorted(found)]

    def starts(self) -> list[str]:
        """Give what is amiss with when randomized controls were said to start: in their windows, and not all alike.

        One that was received when it had begun already starts at once, so it says nothing of its window; one that
        starts where another ends starts as late as that one, so that there is no gap.
        """
        controls = [one for program in self._server.tree.programs for one in program.controls.values()]
        ends_s = {one.start_s + one.duration_s for one in controls}
        windows_s = {one.mrid: (one.start_s, one.randomize_start_s) for one in controls if one.randomize_start_s}
        said = {(one.mrid, one.status): one.created_s or 0 for one in self._server.tree.intake.answers}
        delays_s = {
            mrid: said[mrid, STARTED] - start_s
            for mrid, (start_s, _spread_s) in windows_s.items()
            if (mrid, STARTED) in said and said.get((mrid, RECEIVED), start_s) < start_s
        }
        faults = [
            f"a control started {delay_s} s late, of {windows_s[mrid][1]} s at random"
            for mrid, delay_s in delays_s.items()
            if not min(0, windows_s[mrid][1]) <= delay_s <= max(0, windows_s[mrid][1])
        ]
        alone_s = [delay_s for mrid, delay_s in delays_s.items() if windows_s[mrid][0] not in ends_s]
        if len(alone_s) > 1 and len(set(alone_s)) == 1:
            faults.append(f"all of {len(alone_s)} randomized controls started equally late")
        return faults

    def _seen(self, wanted: Wanted) -> list[str]:
        power_w, load_w = sum(roof.end_w() for roof in self._gateway.roofs), self._gateway.load_w
        faults = []
        bounds = (
            ("opModExpLimW", power_w - load_w),
            ("opModGenLimW", power_w),
            ("opModImpLimW", load_w - power_w if power_w < 0 else 0),
            ("opModLoadLimW", -power_w),
        )
        for mode, found_w in bounds:
            if mode in wanted and found_w > wanted[mode] + SLACK_W and (power_w != 0):
                faults.append(f"{found_w} W where {mode} is {wanted[mode]:.0f} W")
        if any(wanted.get(mode) is False for mode in SWITCHES) and power_w != 0:
            faults.append(f"{power_w} W where nothing may run")
        return faults

    def _wants(self, now_s: int) -> tuple[Wanted, bool]:
        """Give what is wanted now by mode, and whether no randomization leaves it open."""
        wanted: Wanted = {}
        ranked = sorted(self._server.tree.programs, key=lambda program: program.primacy)
        for program in reversed(ranked):
            wanted |= {mode: _watts(value) for mode, value in (program.default or {}).items()}
        listed = [(program.primacy, one) for program in ranked for one in program.controls.values()]
        by_rank = sorted(listed, key=lambda each: (each[0], -each[1].created_s, -each[1].issued_s))
        controls = [one for _primacy, one in by_rank]
        for mode in (*LIMITS, *SWITCHES):
            rivals = [one for one in controls if mode in one.modes]
            for place, one in enumerate(rivals):
                if _runs(one, now_s) and not any(_beats(other, one, now_s) for other in rivals[:place]):
                    wanted[mode] = _watts(one.modes[mode])
                    break
        return wanted, not any(_is_open(one, now_s) for one in controls)


def _watts(value: object) -> Any:
    return value["value"] * 10 ** value["multiplier"] if isinstance(value, dict) else value


def _end_s(control: Control) -> int:
    end_s = control.start_s + control.duration_s
    return end_s if control.cancelled_s is None else min(end_s, control.cancelled_s)


def _runs(control: Control, now_s: int) -> bool:
    return control.start_s <= now_s < _end_s(control)


def _beats(stronger: Control, weaker: Control, now_s: int) -> bool:
    """Whether a stronger control has begun while a weaker one was in force."""
    begun_s = max(stronger.start_s, stronger.issued_s)
    return begun_s <= now_s and begun_s < _end_s(stronger) and _end_s(stronger) > weaker.start_s


def _is_open(control: Control, now_s: int) -> bool:
    spread_s = abs(control.randomize_start_s or 0)
    edges = (control.start_s, control.start_s + control.duration_s)
    return spread_s > 0 and any(edge - spread_s <= now_s <= edge + spread_s for edge in edges)
