"""Inline SVG plots of a procedure: what was measured, where it had to go, and the band at every judged moment."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 860, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 22, 30
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judged moment on the plot, in the units of its axes."""

    at_s: float
    target: float
    low: float
    high: float
    kept: bool


def plot(
    title: str,
    unit: str,
    measured: Sequence[tuple[float, float]],
    judged: Sequence[Judgement],
    steps: Sequence[float],
) -> str:
    """Draw one quantity over time, s; `steps` are the moments at which steps began."""
    xs = [x for x, _ in measured] + [mark.at_s for mark in judged]
    ys = [y for _, y in measured] + [y for mark in judged for y in (mark.low, mark.high, mark.target)]
    across, up = _Axis.over(xs, _LEFT, WIDTH - _RIGHT), _Axis.over(ys, HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text x="{_LEFT}" y="14" class="title">{escape(title)}, {escape(unit)}</text>',
        *(_level(up, y) for y in up.ticks()),
        *(_moment(across, x) for x in across.ticks()),
        *(f'<path class="step" d="M{across.at(x):.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>' for x in steps),
        *(_band(across, up, mark) for mark in judged),
        _set_point(across, up, judged),
        f'<polyline class="measured" points="{_line(across, up, measured)}"/>',
        "</svg>",
    ]
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float
    begin: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], begin: float, end: float) -> "_Axis":
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        room = 0.05 * (high - low) or 1.0
        return cls(low - room, high + room, begin, end)

    def at(self, value: float) -> float:
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        rough = (self.high - self.low) / _TICKS
        power = 10 ** math.floor(math.log10(rough))
        pace = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
        first = math.ceil(self.low / pace)
        return [n * pace for n in range(first, math.floor(self.high / pace) + 1)]


def _line(across: _Axis, up: _Axis, points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in points)


def _level(up: _Axis, y: float) -> str:
    at = up.at(y)
    line = f'<path class="grid" d="M{_LEFT} {at:.1f}H{WIDTH - _RIGHT}"/>'
    return f'{line}<text x="{_LEFT - 6}" y="{at + 4:.1f}" class="y">{y:g}</text>'


def _moment(across: _Axis, x: float) -> str:
    return f'<text x="{across.at(x):.1f}" y="{HEIGHT - 10}" class="x">{x:g} s</text>'


def _band(across: _Axis, up: _Axis, mark: Judgement) -> str:
    x = across.at(mark.at_s)
    kind = "band" if mark.kept else "band broken"
    return f'<path class="{kind}" d="M{x:.1f} {up.at(mark.low):.1f}V{up.at(mark.high):.1f}"/>'


def _set_point(across: _Axis, up: _Axis, judged: Sequence[Judgement]) -> str:
    """Draw where the quantity had to go, as the steps that it was told."""
    if not judged:
        return ""
    first, *rest = judged
    told = "".join(f"V{up.at(mark.target):.1f}H{across.at(mark.at_s):.1f}" for mark in rest)
    return f'<path class="target" d="M{across.at(first.at_s):.1f} {up.at(first.target):.1f}{told}"/>'
