"""The site file's table `feeder`: the model of the feeder, the limits that it is judged by, and how patient we are."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated


@dataclass(frozen=True, slots=True)
class Feeder:
    """One feeder and its OpenDSS model.

    Voltages are per unit of each node's base, loading is per mille of the normal rating. A question is given
    `deadline_s` of wall time at least; a process that failed starts again after at most `restart_s`.
    """

    name: Annotated[str, "name of the feeder"]
    model: Annotated[Path, "OpenDSS text that makes the circuit and its voltage bases"]
    voltage_min_pu: Annotated[float, (0.5, 1.0)] = 0.95
    voltage_max_pu: Annotated[float, (1.0, 1.5)] = 1.05
    loading_max_permille: Annotated[int, (1, 5000)] = 1000
    deadline_s: Annotated[float, (0.1, 600.0)] = 2.0
    restart_s: Annotated[float, (0.1, 3600.0)] = 15.0


def feeder_faults(table: Feeder, _granted: object = None) -> Iterable[tuple[tuple[str, ...], str]]:
    """Give what is wrong with a table whose every key is right, each with the key."""
    if not table.model.is_file():
        yield ("model",), f'"{table.model}": no such file; give the OpenDSS text that makes the circuit'
    if table.voltage_min_pu >= table.voltage_max_pu:
        yield (
            ("voltage_max_pu",),
            f"is {table.voltage_max_pu:g}; give more than voltage_min_pu {table.voltage_min_pu:g}",
        )
