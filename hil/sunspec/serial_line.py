"""A simulated device on a serial line: Modbus RTU on a pair of pseudo-terminals (MODBUS over Serial Line V1.02).

A pseudo-terminal moves octets at once, but it tells the speed that the other end has set, and a speed that the device
does not have is noise to it.
"""

import asyncio
import os
import termios
import tty
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from pymodbus.framer import FramerRTU

from hil.sunspec.modbus_server import READ_HOLDING, WRITE_MULTIPLE, WRITE_SINGLE, Registers, answer

BAUD_RATES: Final = {9_600: termios.B9600, 19_200: termios.B19200}
_OUTPUT_SPEED: Final = 5
_MOST: Final = 4_096
_SHORTEST: Final = 8
_HEAD_OF_WRITE: Final = 7


class SerialPort(NamedTuple):
    """Where a device under test is on a serial line, and the speeds that it is said to have, bit/s, 8 N 1."""

    path: str
    baud_rates: tuple[int, ...]
    timeout_s: float = 3.0


class SerialLine:
    """The device's end. `faults` is looked at at every octet.

    A broken frame is dropped for the whole one that follows, whatever the time between them. Faults: "no_serial",
    "one_baud_rate", "keeps_partial".
    """

    def __init__(self, units: Mapping[int, Registers], faults: Collection[str]) -> None:
        self._units = units
        self._faults = faults
        self._pending = b""
        self._ends: tuple[int, int] | None = None

    def start(self) -> SerialPort:
        """Open the pair and tell where the other end is."""
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self._ends = (ours, theirs)
        asyncio.get_running_loop().add_reader(ours, self._heard, ours)
        return SerialPort(os.ttyname(theirs), tuple(BAUD_RATES))

    def stop(self) -> None:
        """Close both ends."""
        if self._ends is None:
            return
        asyncio.get_running_loop().remove_reader(self._ends[0])
        for end in self._ends:
            os.close(end)
        self._ends = None

    def _heard(self, ours: int) -> None:
        octets = os.read(ours, _MOST)
        speeds = list(BAUD_RATES.values())[1 if "one_baud_rate" in self._faults else 0 :]
        if "no_serial" in self._faults or termios.tcgetattr(ours)[_OUTPUT_SPEED] not in speeds:
            return
        self._pending += octets
        while (found := self._frame()) is not None:
            start, frame = found
            self._pending = self._pending[start + len(frame) :]
            if frame[0] in self._units:
                reply = frame[:1] + answer(self._units, frame[0], frame[1:-2])
                os.write(ours, reply + _check(reply))

    def _frame(self) -> tuple[int, bytes] | None:
        """Find the first whole frame whose check is right, and where it begins."""
        last = 0 if "keeps_partial" in self._faults else len(self._pending) - _SHORTEST
        for start in range(last + 1):
            rest = self._pending[start:]
            if len(rest) < _SHORTEST:
                return None
            length = _SHORTEST if rest[1] in {READ_HOLDING, WRITE_SINGLE} else 0
            length = _HEAD_OF_WRITE + rest[6] + 2 if rest[1] == WRITE_MULTIPLE else length
            if 0 < length <= len(rest) and _check(rest[: length - 2]) == rest[length - 2 : length]:
                return start, rest[:length]
        return None


def _check(frame: bytes) -> bytes:
    return FramerRTU.compute_CRC(frame).to_bytes(2, "big")
