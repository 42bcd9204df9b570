"""Registers into numbers: our compiled readers, pysunspec2's models, and struct by hand, in this process."""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from sunspec2 import device

from gateway.wire.sunspec import Reader, compile_model
from hil.sunspec.generation_2018 import Generation2018
from hil.sunspec.register_image import Image, layout_of

from .devices import BASE, RATED_W, SPEC
from .poll_clients import POINTS, READER, scaled
from .result import Result

TIMES: Final = 2_000
SAMPLES: Final = 15
GOAL: Final = 2.5
US: Final = 1e6
MODELS: Final = (1, 701, 702, 703, 704)


def benchmark(_folder: Path) -> list[Result]:
    """Measure the points of a poll, and all points of five models."""
    return measure(SAMPLES, TIMES)


def measure(samples: int, times: int) -> list[Result]:
    """Decode in turn so often; ValueError where not all read the same power."""
    words = registers()
    poll = words[701][2 * READER.offset : 2 * (READER.offset + READER.quantity)]
    theirs = {model_id: device.Model(model_id) for model_id in MODELS}
    compiled = [compile_model(each) for each in MODELS]
    ours = [(model.reader(list(model.points), limit=0x10000), words[model.id]) for model in compiled]
    bare = scaled(poll)[0]
    if not READER.decode(poll)["W"] == bare == _theirs(theirs[701], words[701], POINTS)[0] == RATED_W:
        raise ValueError(f"the decoders differ on a power of {RATED_W} W")
    points_us = _in_turn(
        [
            lambda: READER.decode(poll),
            lambda: scaled(poll),
            lambda: _theirs(theirs[701], words[701], POINTS),
        ],
        samples,
        times,
    )
    models_us = _in_turn([lambda: _ours(ours), lambda: _all_of_theirs(theirs, words)], samples, max(1, times // 50))
    per = f"median of {samples} samples in turn"
    return [
        Result(
            "decode-701",
            f"{READER.quantity} registers of model 701 into the six points of a poll, checked and scaled, {per}; "
            "floor: struct and powers of ten by hand, nothing checked",
            points_us[0],
            "us",
            GOAL,
            points_us[1],
            peers={"pysunspec2": points_us[2]},
        ),
        Result(
            "decode-models",
            f"all points of models {', '.join(map(str, MODELS))} from their registers, {per}; floor: pysunspec2's",
            models_us[0],
            "us",
            1 / 3,
            models_us[1],
        ),
    ]


def registers() -> dict[int, bytes]:
    """Give the registers of each model as hil's inverter shows them, from its ID on."""
    generation = Generation2018()
    layout = layout_of(generation.models, generation.scale_factors(SPEC))
    start = generation.at_start(SPEC) | {"701.W": RATED_W, "701.LNV": SPEC.nominal_v, "701.ConnSt": 1, "701.Var": 0}
    words = Image(layout, BASE, start, {}).read(BASE, len(layout.template) // 2) or b""
    found = {}
    for model_id in MODELS:
        at = 2 * layout.registers[f"{model_id}.ID"].offset
        found[model_id] = words[at : at + 4 + 2 * int.from_bytes(words[at + 2 : at + 4], "big")]
    return found


def _ours(readers: Sequence[tuple[Reader, bytes]]) -> None:
    for reader, words in readers:
        reader.decode(words)


def _theirs(model: Any, words: bytes, names: Sequence[str]) -> list[Any]:
    model.set_mb(words)
    points = model.points
    return [points[name].cvalue for name in names]


def _all_of_theirs(models: dict[int, Any], words: dict[int, bytes]) -> None:
    for model_id, model in models.items():
        model.set_mb(words[model_id])
        _valued(model)


def _valued(group: Any) -> None:
    for point in group.points.values():
        _ = point.cvalue
    for inner in group.groups.values():
        for each in inner if isinstance(inner, list) else [inner]:
            _valued(each)


def _in_turn(works: Sequence[Callable[[], object]], samples: int, times: int) -> list[float]:
    """Give the median CPU time (us) of each."""
    spent: list[list[float]] = [[] for _ in works]
    for _ in range(samples):
        for work, taken in zip(works, spent, strict=True):
            began_s = time.process_time()
            for _ in range(times):
                work()
            taken.append(US * (time.process_time() - began_s) / times)
    return [statistics.median(taken) for taken in spent]
