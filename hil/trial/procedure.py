"""Procedures and suites as data: steps on a device under test, and what it must show; TOML files by name.

Names are those of IEEE 1547.1-2020 (LAP, CPF) and of the SunSpec Modbus conformance procedures (DEV-1, MOD-1).
"""

import difflib
import hashlib
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from hil.trial.criteria import Axis, Quantity, late_s
from hil.trial.tables import Strict

HERE = Path(__file__).parents[1]
PROCEDURES, SUITES, BENCHES = HERE / "procedures", HERE / "suites", HERE / "benches"
PRESENT = "present"
STEADY = "steady"

T = TypeVar("T")
Number = int | float
Check = Literal[
    "discovery",
    "mandatory_points",
    "model_read",
    "point_write",
    "tcp_interface",
    "partial_request",
    "multiple_packets",
    "monitoring",
    "scale_factors",
    "rejection",
]
SerialCheck = Literal["rtu_interface", "rtu_baud_rate", "rtu_partial_request"]


class ProcedureError(ValueError):
    """What was asked for cannot be run; the message is one line that names the place and what to do."""


class Curve(Strict, kw_only=True):
    """Points of an autonomous function, x in % of nominal voltage or of WMax, y in % of `of`.

    For model 711 `droop` takes the place of points: its fields by name. `of` names what 100 % of y is: "WMax", "VAMax",
    "VarMaxInj". `response_s` is the open-loop response time to set; None where the model has none.
    """

    model: Literal[705, 706, 711, 712]
    x: Axis
    of: Literal["WMax", "VAMax"]
    points: tuple[tuple[float, float], ...] = ()
    droop: dict[str, float] = msgspec.field(default_factory=dict)
    response_s: float | None = None


class Follow(Strict, kw_only=True):
    """The measured quantity must go to a target, as a first-order step.

    Exactly one of: `target_pct` of `of`; `curve`, read at what is measured; `power_factor` (Var only, + over-excited).
    `at_most_pct` (of the curve's `of`) caps its target; `from_pct` of WMax is the power before a droop.
    """

    quantity: Quantity
    target_pct: float | None = None
    of: Literal["WMax", "VAMax", "VarMaxInj"] = "WMax"
    curve: str | None = None
    power_factor: float | None = None
    at_most_pct: float | None = None
    from_pct: float = 100
    response_s: float | None = None
    shape: Literal["settable", "at_latest"] = "at_latest"


class Keep(Strict, kw_only=True):
    """The measured quantity must lie in a band, in % of WMax, from one moment of the step to another.

    `from_s` is how long the device may take to get there, `until_s` when the step ends or the next band begins.
    """

    quantity: Quantity = "W"
    low_pct: float
    high_pct: float
    from_s: float
    until_s: float


class Grid(Strict):
    """What the grid or the light is to be; None leaves it."""

    volts_pct: float | None = None
    hz: float | None = None
    light_pct: float | None = None


class Step(Strict, kw_only=True):
    """One step: set the grid, adopt, write, expect refusals, follow, keep, wait, check and read, in this order.

    Points are written one by one in the order given. A value may be relative: "80 % of 702.WMaxRtg". A read may want
    a value to be "present", or "steady": the same for as long as a few seconds.
    """

    name: str
    set: Grid | None = None
    adopt: str | None = None
    adoption: Literal["completed", "failed"] = "completed"
    write: dict[str, Number | str] = msgspec.field(default_factory=dict)
    refused: dict[str, Number | str] = msgspec.field(default_factory=dict)
    wait_s: float = 0
    reads: dict[str, Number | str] = msgspec.field(default_factory=dict)
    check: Check | SerialCheck | None = None
    follow: tuple[Follow, ...] = ()
    keep: tuple[Keep, ...] = ()


class Procedure(Strict, kw_only=True):
    """One procedure; `needs` are points without which the device has nothing to be judged.

    `only` is what the device must say of itself for the procedure to be about it.
    """

    id: str
    title: str
    source: str
    response_s: float = 10
    needs: tuple[str, ...] = ()
    only: dict[str, Number | str] = msgspec.field(default_factory=dict)
    curve: dict[str, Curve] = msgspec.field(default_factory=dict)
    steps: tuple[Step, ...] = msgspec.field(name="step", default=())
    sha256: str = ""


class Suite(Strict):
    """A list of procedures by name."""

    title: str
    procedures: tuple[str, ...]


def names(folder: Path) -> list[str]:
    """Name what a folder ships."""
    return sorted(file.stem for file in folder.glob("*.toml"))


def load(path: Path) -> Procedure:
    """Read one procedure; raises ProcedureError with the place that is wrong."""
    text = _text(path)
    procedure = _decoded(path, text, Procedure)
    if not procedure.steps:
        raise ProcedureError(f"{path}: it has no [[step]]; give at least one")
    for number, step in enumerate(procedure.steps):
        for curve in (step.adopt, *(follow.curve for follow in step.follow)):
            if curve is not None and curve not in procedure.curve:
                known = ", ".join(procedure.curve) or "none"
                raise ProcedureError(f'{path}: step[{number}] names curve "{curve}"; the file has {known}')
        for follow in step.follow:
            if sum(x is not None for x in (follow.target_pct, follow.curve, follow.power_factor)) != 1:
                raise ProcedureError(f"{path}: step[{number}].follow needs one of target_pct, curve, power_factor")
        if any(keep.until_s <= late_s(keep.from_s) or keep.high_pct < keep.low_pct for keep in step.keep):
            raise ProcedureError(f"{path}: step[{number}].keep needs until_s after from_s, and high_pct from low_pct")
    return msgspec.structs.replace(procedure, sha256=hashlib.sha256(text.encode()).hexdigest())


def select(asked: str) -> tuple[str, list[Procedure]]:
    """Give title and procedures of a suite or a single procedure, by shipped name or as a file."""
    suites, single = names(SUITES), names(PROCEDURES)
    path = Path(asked)
    if asked in suites or (path.is_file() and "procedures" in _raw(path)):
        file = SUITES / f"{asked}.toml" if asked in suites else path
        suite = _decoded(file, _text(file), Suite)
        return suite.title, [load(_found(name, single, file)) for name in suite.procedures]
    procedure = load(path if path.is_file() else _found(asked, single, None))
    return procedure.title, [procedure]


def _found(name: str, known: list[str], suite: Path | None) -> Path:
    if name in known:
        return PROCEDURES / f"{name}.toml"
    everything = known + ([] if suite else names(SUITES))
    near = difflib.get_close_matches(name, everything, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"give a file, or one of: {', '.join(everything)}"
    raise ProcedureError(f'{f"{suite}: " if suite else ""}no procedure or suite "{name}"; {hint}')


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise ProcedureError(f"{path} cannot be read: {fault}") from fault


def _raw(path: Path) -> dict[str, Any]:
    try:
        raw: dict[str, Any] = msgspec.toml.decode(_text(path))
    except msgspec.DecodeError as fault:
        raise ProcedureError(f"{path} is not TOML: {fault}") from fault
    return raw


def _decoded(path: Path, text: str, kind: type[T]) -> T:
    try:
        return msgspec.toml.decode(text, type=kind)
    except msgspec.ValidationError as fault:
        raise ProcedureError(f"{path}: {fault}") from fault
    except msgspec.DecodeError as fault:
        raise ProcedureError(f"{path} is not TOML: {fault}") from fault
