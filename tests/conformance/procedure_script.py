"""The public client procedures (cactus-test-definitions) as values, and what their expressions mean.

The package is read as data, its YAML alone, from where `make test` puts it aside.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, NamedTuple

import yaml

Parameters = dict[str, Any]
Lookup = Callable[[str], float]
"""Gives the number that a name of a setting or rating stands for; raises LookupError where it was never sent."""

EXPRESSION = re.compile(r"\$\((?P<inner>.*)\)|\$(?P<name>[A-Za-z_0-9]+)")
TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^']*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>[<>=!]=|[-+*/<>]))"
)
UNITS_MS = {"second": 1_000, "minute": 60_000, "min": 60_000, "hour": 3_600_000, "day": 86_400_000}
EASTERN_MS = 10 * UNITS_MS["hour"]
"""Australian Eastern Standard Time, which the names of a day and an hour are of."""


class Part(NamedTuple):
    """An action or a check: its type and its parameters."""

    type: str
    parameters: Parameters


class Happening(NamedTuple):
    """What a step waits for, and what else must be true at that moment."""

    type: str
    parameters: Parameters
    checks: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: once its event happens its actions are done."""

    name: str
    event: Happening
    actions: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Procedure:
    """One procedure of the package."""

    id: str
    description: str
    classes: tuple[str, ...]
    versions: tuple[str, ...]
    starts_at_once: bool
    before: tuple[Part, ...]
    actions: tuple[Part, ...]
    preconditions: tuple[Part, ...]
    criteria: tuple[Part, ...]
    steps: tuple[Step, ...] = field(default=())

    @property
    def every_part(self) -> tuple[Part, ...]:
        """All actions and checks."""
        of_steps = [part for step in self.steps for part in (*step.actions, *step.event.checks)]
        return (*self.before, *self.actions, *self.preconditions, *self.criteria, *of_steps)


@cache
def procedures() -> Mapping[str, Procedure]:
    """All client procedures by id, in the order of their ids."""
    spec = PathFinder.find_spec("cactus_test_definitions", [str(Path(sys.prefix) / "procedures"), *sys.path])
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("cactus-test-definitions is not installed; make .venv/.test installs it")
    folder = Path(next(iter(spec.submodule_search_locations))) / "client" / "procedures"
    return {path.stem: _procedure(path) for path in sorted(folder.glob("*.yaml"))}


def _procedure(path: Path) -> Procedure:
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    before = said.get("Preconditions") or {}
    return Procedure(
        path.stem,
        " ".join(said["Description"].split()),
        tuple(said["Classes"]),
        tuple(said["TargetVersions"]),
        bool(before.get("immediate_start")),
        _parts(before.get("init_actions")),
        _parts(before.get("actions")),
        _parts(before.get("checks")),
        _parts((said.get("Criteria") or {}).get("checks")),
        tuple(_step(name, step) for name, step in said["Steps"].items()),
    )


def _parts(listed: list[dict[str, Any]] | None) -> tuple[Part, ...]:
    return tuple(Part(one["type"], one.get("parameters") or {}) for one in listed or ())


def _step(name: str, said: dict[str, Any]) -> Step:
    event = said["event"]
    happening = Happening(event["type"], event.get("parameters") or {}, _parts(event.get("checks")))
    return Step(name, happening, _parts(said.get("actions")))


def resolve(parameters: Parameters, now_ms: int, lookup: Lookup) -> Parameters:
    """Give parameters with their expressions worked out; instants are ms since the UNIX epoch."""
    return {key: _value(value, key, now_ms, lookup) for key, value in parameters.items()}


def _value(value: Any, key: str, now_ms: int, lookup: Lookup) -> Any:
    if isinstance(value, list):
        return [_value(each, key, now_ms, lookup) for each in value]
    found = EXPRESSION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return value
    words = _words(found["inner"] or found["name"])
    known = [_word(word, key, now_ms, lookup) for word in words]
    if len(known) == 1:
        return known[0]
    left, sign, right = known
    return _worked_out(left, str(sign), right)


def _words(text: str) -> list[str]:
    words, place = [], 0
    text = text.strip()
    if text.startswith("-"):
        text = f"0 {text}" if not text[1:2].isdigit() else text
    while place < len(text):
        found = re.match(r"\s*-\d+(?:\.\d+)?", text) if place == 0 else None
        found = found or TOKEN.match(text, place)
        if found is None:
            raise ValueError(f"no expression of a procedure: {text}")
        words.append(found[0].strip())
        place = found.end()
    return words


def _word(word: str, key: str, now_ms: int, lookup: Lookup) -> Any:
    if word.startswith("'"):
        number, unit = word.strip("'").split()
        return int(number) * UNITS_MS[unit.removesuffix("s")]
    if re.fullmatch(r"-?\d+(\.\d+)?", word):
        return float(word)
    if word.startswith("randuri"):
        return f"/{word}"
    starts = {"now": 1, "now_hour": UNITS_MS["hour"], "now_day": UNITS_MS["day"]}
    if word in starts:
        return now_ms - (now_ms + EASTERN_MS) % starts[word]
    return lookup(key if word == "this" else word) if re.match(r"[A-Za-z]", word) else word


def _worked_out(left: Any, sign: str, right: Any) -> Any:
    made: dict[str, Callable[[], Any]] = {
        "+": lambda: left + right,
        "-": lambda: left - right,
        "*": lambda: left * right,
        "/": lambda: left / right,
        "==": lambda: left == right,
        "!=": lambda: left != right,
        "<": lambda: left < right,
        "<=": lambda: left <= right,
        ">": lambda: left > right,
        ">=": lambda: left >= right,
    }
    return made[sign]()
