"""The lines of a bench as CSV: what every device gave and saw, and all that happened, each in the time of the clock."""

import csv
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

MEASURED, HAPPENED = "measured.csv", "messages.csv"
_PHASES: Final = 3


class Record:
    """Two tables in a folder, written as the lines come; a context manager that closes them. Raises OSError.

    A voltage is in p.u. of nominal, phase by phase in the device's order; "" where the bench has no feeder, or the
    device no such phase.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [(folder / name).open("w", encoding="utf-8", newline="") for name in (MEASURED, HAPPENED)]
        self._measured, self._happened = (csv.writer(file) for file in self._files)
        self._measured.writerow(("t_ms", "device", "w", "limit_w", *(f"v{n}_pu" for n in range(1, _PHASES + 1))))
        self._happened.writerow(("t_ms", "kind", "particulars"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        for file in self._files:
            file.close()

    def take(self, line: dict[str, Any]) -> None:
        """Write one line of the bench; those without a time are not of the bench's time and are left out."""
        if "t_ms" not in line:
            return
        if line["kind"] != "measured":
            particulars = {name: value for name, value in line.items() if name not in {"t_ms", "kind"}}
            self._happened.writerow((line["t_ms"], line["kind"], json.dumps(particulars)))
        else:
            for device, w in line["w"].items():
                volts = line.get("voltage_pu", {}).get(device, [])
                told = (line["limit_w"].get(device), *volts, *("",) * (_PHASES - len(volts)))
                self._measured.writerow((line["t_ms"], device, w, *told))
        for file in self._files:
            file.flush()
