"""What real inverters and the wires to them do wrong, each a switch of its own with one behaviour."""

import struct
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple, Protocol

from hil.sunspec.register_image import Register

FAULTS: Final = {
    "ignores_limit": "limits and set-points are taken and read back, power does not follow",
    "silent": "takes connections and never answers",
    "refuse_connections": "takes no connection",
    "reset": "every connection is reset as soon as it says anything",
    "asleep": "gives no power, and live points as not implemented",
    "sentinels": "runs, and gives live points as not implemented",
    "all_zero": "every register reads 0, but for the models' IDs and lengths",
    "moving_scale": "the scale factor of W is another in every other second, with the value to match",
    "no_end_marker": "the map ends in exception 2",
    "base_0": "the map starts at register 0",
    "base_50000": "the map starts at register 50000",
    "exception_4": "every request ends in server device failure",
    "exception_6": "every request ends in server device busy",
    "exception_0b": "every request ends in gateway target device failed to respond",
    "cap_60": "a read of more than 60 registers ends in exception 3",
    "no_write_multiple": "function 16 ends in exception 1",
    "slow_adoption": "a write is acknowledged, and shows and acts 3 s later",
    "failed_adoption": "a write is acknowledged, and nothing comes of it",
    "drifting_timer": "reversion timers run out after half their time",
    "reboot": "off while it lasts; comes back with the settings that it was made with",
    "one_client": "a second connection is closed as soon as it opens",
    "late_reply": "every reply comes late",
    "duplicate_reply": "every reply comes twice",
    "foreign_reply": "another unit's reply to another request comes before every reply",
}

FUNCTION_FAULTS: Final = {
    "keeps_timer": "a reversion timer that runs takes no new time",
    "never_reverts": "reversion timers run out without effect",
    "adopts_nothing": "curves are said to be adopted and are not",
    "slow_curves": "a curve is adopted 5 s after it was asked for, and in progress until then",
    "failed_curves": "no curve is adopted, and the device says so",
    "wrong_sign": "reactive power is turned round",
    "slow": "power moves a hundred times as slowly",
    "trips_early": "trips as soon as voltage or frequency are abnormal",
    "never_trips": "neither trips nor ceases, whatever voltage and frequency are",
    "no_serial": "is deaf on its serial line",
    "one_baud_rate": "has 19200 bit/s alone on its serial line",
    "keeps_partial": "waits for the rest of a broken frame on its serial line for ever",
    "takes_anything": "acknowledges every write, whether it can be taken or not",
}
"""What a device does wrong with what it was told well: for the procedures that have to find it."""

LATE_S = 2.5
"""Wall time by which a late reply is late."""
SWING_MS = 1_000
"""How long a moving scale factor stays where it is, by the clock that the device lives by."""
SLOW_MS: Final = 3_000
SLOW_CURVE_MS: Final = 5_000
TIMER_SHARE: Final = 0.5

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
_WRITE_MULTIPLE: Final = 16
_CAP: Final = 60
_EXCEPTIONS: Final = {"exception_4": 4, "exception_6": 6, "exception_0b": 11}
_BASES: Final = {"base_0": 0, "base_50000": 50_000}
_HEADER: Final = struct.Struct(">HHHBBB")
_READ: Final = 3


def demand_fault(fault: str) -> None:
    """Raise ValueError for a name that is in neither `FAULTS` nor `FUNCTION_FAULTS`."""
    known = FAULTS | FUNCTION_FAULTS
    if fault not in known:
        raise ValueError(f'fault "{fault}" is not known; use one of {", ".join(known)}')


def swings(now_ms: int) -> bool:
    """Tell whether a moving scale factor is away from where it was at this time."""
    return bool(now_ms // SWING_MS % 2)


class Reply(NamedTuple):
    """What goes onto the wire, and how late."""

    frame: bytes
    late_s: float = 0.0


def replies(frame: bytes, faults: Collection[str]) -> list[Reply]:
    """Turn a good reply into what the wire makes of it."""
    told = [Reply(frame, LATE_S if "late_reply" in faults else 0.0)]
    if "duplicate_reply" in faults:
        told *= 2
    if "foreign_reply" in faults:
        told.insert(0, Reply(_foreign(frame)))
    return told


def _foreign(frame: bytes) -> bytes:
    """Give what another unit says to somebody else: as long, and of other registers."""
    transaction, protocol, length, unit, function, octets = _HEADER.unpack_from(frame)
    rest = b"\x01" * octets if function == _READ else frame[_HEADER.size :]
    return _HEADER.pack((transaction + 1) % 0x10000, protocol, length, (unit + 1) % 0x100, function, octets) + rest


class Mapped(Protocol):
    """Registers whose points are known."""

    @property
    def base(self) -> int: ...
    @property
    def end(self) -> int: ...
    def read(self, address: int, count: int) -> bytes | None: ...
    def write(self, function: int, address: int, payload: bytes) -> int: ...
    def refusal(self, address: int, payload: bytes) -> int: ...
    def within(self, address: int, count: int) -> Iterator[tuple[int, Register]]: ...


class FaultyRegisters:
    """A device's registers as its faults make them look; without a fault they are as they are.

    `now_ms` tells the time of the clock that the device lives by; `faults` is looked at on every request.
    """

    def __init__(self, image: Mapped, faults: Collection[str], now_ms: Callable[[], int]) -> None:
        self._image = image
        self._faults = faults
        self._now_ms = now_ms
        self._coming: deque[tuple[int, int, int, bytes]] = deque()

    def read(self, address: int, count: int) -> bytes | int | None:
        """See `hil.sunspec.modbus_server.Registers`."""
        if not self._faults and not self._coming:
            return self._image.read(address, count)
        self.settle()
        code = self._exception()
        if code:
            return code
        if count > _CAP and "cap_60" in self._faults:
            return ILLEGAL_VALUE
        address = self._moved(address)
        if "no_end_marker" in self._faults and address + count > self._image.end:
            return ILLEGAL_ADDRESS
        words = self._image.read(address, count)
        return None if words is None else self._shown(address, words)

    def write(self, function: int, address: int, payload: bytes) -> int:
        """See `hil.sunspec.modbus_server.Registers`."""
        self.settle()
        code = self._exception()
        if code:
            return code
        if function == _WRITE_MULTIPLE and "no_write_multiple" in self._faults:
            return ILLEGAL_FUNCTION
        address = self._moved(address)
        if "failed_adoption" in self._faults:
            return self._image.refusal(address, payload)
        if "takes_anything" in self._faults:
            self._image.write(function, address, payload)
            return 0
        if "slow_adoption" in self._faults:
            self._coming.append((self._now_ms() + SLOW_MS, function, address, payload))
            return self._image.refusal(address, payload)
        return self._image.write(function, address, payload)

    def settle(self) -> None:
        """Let slow writes through whose time has come."""
        while self._coming and self._coming[0][0] <= self._now_ms():
            self._image.write(*self._coming.popleft()[1:])

    def forget(self) -> None:
        """Lose what was still on its way, as a reboot does."""
        self._coming.clear()

    def _exception(self) -> int:
        return next((code for name, code in _EXCEPTIONS.items() if name in self._faults), 0)

    def _moved(self, address: int) -> int:
        for name, base in _BASES.items():
            if name in self._faults:
                return address - base + self._image.base
        return address

    def _shown(self, address: int, words: bytes) -> bytes:
        swinging = "moving_scale" in self._faults and swings(self._now_ms())
        blank = "all_zero" in self._faults
        if not swinging and not blank:
            return words
        shown = bytearray(words)
        for place, register in self._image.within(address, len(words) // 2):
            start, end = 2 * (place - address), 2 * (place - address + register.words)
            if blank:
                if not register.name.endswith((".ID", ".L")):
                    shown[start:end] = bytes(end - start)
            elif _swings(register):
                shown[start:end] = _coarser(register, shown[start:end])
        return bytes(shown)


def _swings(register: Register) -> bool:
    return register.name.endswith(".W_SF") or register.codec.pdef.get("sf") == "W_SF"


def _coarser(register: Register, words: bytes | bytearray) -> bytes:
    """Move a scale factor up by one, or make a value ten times smaller to match."""
    raw = int.from_bytes(words, signed=True)
    if not register.codec.info.is_impl(register.codec.info.data_to(bytes(words))):
        return bytes(words)
    moved = raw + 1 if register.name.endswith(".W_SF") else int(raw / 10)
    return moved.to_bytes(len(words), signed=True)
