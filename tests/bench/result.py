"""What a benchmark found, the table of all of them, and `build/bench.json`."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

HEAD = ("benchmark", "ours", "floor", "unit", "ratio", "goal", "")


@dataclass(frozen=True, slots=True)
class Result:
    """One figure of ours, in `unit`, beside the floor and the peers of the same run; the smaller, the better.

    Where there is a floor, `ratio` is ours to it and the goal is for the ratio; else the goal is for ours, in `unit`.
    """

    name: str
    what: str
    ours: float
    unit: str
    goal: float
    floor: float | None = None
    peers: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """How often the floor fits into ours."""
        return None if self.floor is None else self.ours / self.floor

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return (self.ours if self.ratio is None else self.ratio) <= self.goal

    def line(self) -> dict[str, object]:
        """Give what stands in the file, figures rounded to what they can bear."""
        ratio = None if self.ratio is None else round(self.ratio, 3)
        return {
            **asdict(self),
            "ours": round(self.ours, 3),
            "floor": _rounded(self.floor),
            "ratio": ratio,
            "met": self.met,
        }


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 3)


def table(results: Iterable[Result]) -> str:
    """Lay the results out for a terminal; peers stand in lines of their own."""
    rows = [HEAD]
    for result in results:
        floor = "" if result.floor is None else f"{result.floor:.1f}"
        ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
        met = "met" if result.met else "missed"
        rows.append((result.name, f"{result.ours:.1f}", floor, result.unit, ratio, f"{result.goal:g}", met))
        for name, figure in result.peers.items():
            rows.append((f"  {name}", f"{figure:.1f}", "", result.unit, f"{result.ours / figure:.2f}", "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def write(results: Iterable[Result], file: Path) -> None:
    """Write all results as one JSON list."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([result.line() for result in results], indent=2) + "\n", encoding="utf-8")
