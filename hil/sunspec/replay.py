"""A device that is a capture of registers: it shows what was captured, in the way that its family behaves.

A capture is a TOML file: `unit`, `base`, `[registers]` with an address and hexadecimal words under each key, and
`[behaves]` with what is peculiar to it.
"""

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from hil.sunspec.modbus_server import ILLEGAL_ADDRESS, READ_HOLDING, ModbusServer
from hil.trial.tables import Strict


class Behaves(Strict):
    """What is peculiar to a device.

    block_max: registers of one read, more get exception 2. uncut: (address, words) that a read may not cut in two.
    refuses: functions that get exception 2 although the registers may be written. writable: (address, words).
    zero_alone: an address past the end that reads 0 when asked for alone. clients_max: further connections are reset.
    deaf_ms: what comes sooner after connecting is never answered. turns: registers that take turns at each read that
    touches the first of them, and so move together. zeros: (address, words, n), all zeros at every nth such read.
    """

    block_max: int = 125
    uncut: tuple[tuple[int, int], ...] = ()
    refuses: tuple[int, ...] = ()
    writable: tuple[tuple[int, int], ...] = ()
    zero_alone: int | None = None
    clients_max: int | None = None
    deaf_ms: int = 0
    turns: tuple[dict[str, int], ...] = ()
    zeros: tuple[int, int, int] | None = None


class Capture(Strict):
    """A capture file. `expects` is what whoever reads the device has to find, and no business of the device."""

    unit: int
    base: int
    registers: dict[str, str]
    behaves: Behaves = msgspec.field(default_factory=Behaves)
    expects: dict[str, Any] = msgspec.field(default_factory=dict)


def load(path: Path) -> Capture:
    """Read a capture; raises OSError, or ValueError for what is none."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Capture)
    except msgspec.ValidationError as fault:
        raise ValueError(f"{path}: {fault}") from fault


class Replayed:
    """The registers of a capture. `functions` are the function codes that were asked of it, in order."""

    def __init__(self, capture: Capture) -> None:
        self.behaves = capture.behaves
        self.words: dict[int, bytes] = {}
        for start, text in capture.registers.items():
            octets = bytes.fromhex(text)
            if len(octets) % 2:
                raise ValueError(f"registers at {start}: half a register is left over; give whole ones")
            self.words |= {int(start) + at // 2: octets[at : at + 2] for at in range(0, len(octets), 2)}
        self._writable = {at + more for at, words in self.behaves.writable for more in range(words)}
        self._reads = self._turn = 0
        self.functions: list[int] = []
        self.told: list[tuple[int, int, bytes]] = []

    def read(self, address: int, count: int) -> bytes | None:
        """See `hil.sunspec.modbus_server.Registers`."""
        self.functions.append(READ_HOLDING)
        behaves = self.behaves
        if (address, count) == (behaves.zero_alone, 1):
            return bytes(2)
        if count > behaves.block_max or any(self._cuts(address, count, *whole) for whole in behaves.uncut):
            return None
        self._move(address, count)
        words = [self.words.get(at) for at in range(address, address + count)]
        if any(each is None for each in words):
            return None
        return self._zeroed(address, count) or b"".join(each for each in words if each is not None)

    @staticmethod
    def _cuts(address: int, count: int, first: int, words: int) -> bool:
        begins_inside = first < address < first + words
        ends_inside = first < address + count < first + words
        return begins_inside or ends_inside

    def _move(self, address: int, count: int) -> None:
        turns = self.behaves.turns
        if turns and int(next(iter(turns[0]))) in range(address, address + count):
            for at, word in turns[self._turn % len(turns)].items():
                self.words[int(at)] = word.to_bytes(2)
            self._turn += 1

    def _zeroed(self, address: int, count: int) -> bytes | None:
        if self.behaves.zeros is None:
            return None
        first, words, nth = self.behaves.zeros
        if not (first <= address and address + count <= first + words):
            return None
        self._reads += 1
        return bytes(2 * count) if self._reads % nth == 0 else None

    def write(self, function: int, address: int, payload: bytes) -> int:
        """See `hil.sunspec.modbus_server.Registers`."""
        self.functions.append(function)
        touched = range(address, address + len(payload) // 2)
        if function in self.behaves.refuses or not self._writable.issuperset(touched):
            return ILLEGAL_ADDRESS
        self.told.append((function, address, payload))
        self.words |= {at: payload[2 * place : 2 * place + 2] for place, at in enumerate(touched)}
        return 0


def server(capture: Capture) -> tuple[ModbusServer, Replayed]:
    """Make the server of a capture, which behaves on its connections as its family does."""
    registers = Replayed(capture)
    made = ModbusServer({capture.unit: registers})
    made.most_clients, made.deaf_ms = capture.behaves.clients_max, capture.behaves.deaf_ms
    return made, registers
