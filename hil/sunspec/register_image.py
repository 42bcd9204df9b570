"""Register image of a simulated SunSpec device, laid out, encoded and decoded by pysunspec2's own model classes."""

import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sunspec2 import device, mdef

from hil.sunspec.modbus_server import ILLEGAL_ADDRESS, ILLEGAL_VALUE

MARKER = b"SunS"
END_OF_MAP = b"\xff\xff\x00\x00"
_KEPT_WRITES = 256

Value = int | float | str | None


class Write(NamedTuple):
    """One accepted write: CLOCK_MONOTONIC in ns at its arrival, function code, register address, payload."""

    at_ns: int
    function: int
    address: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Register:
    """One point's place in the image, in registers from the base address, and pysunspec2's codec of it."""

    name: str
    offset: int
    words: int
    writable: bool
    choices: frozenset[int]
    codec: Any

    def encode(self, value: Value) -> bytes:
        """Encode a value in the point's unit, its scale factor applied; None gives the unimplemented sentinel."""
        if value is None or isinstance(value, str):
            self.codec.value = value
        else:
            self.codec.cvalue = value
        words: bytes = self.codec.get_mb()
        return words

    def decode(self, words: bytes) -> Value:
        """Decode registers to a value in the point's unit; the sentinel gives None."""
        self.codec.set_mb(words)
        value: Value = self.codec.cvalue
        return value

    def number(self, words: bytes) -> float:
        """Decode registers that are known to hold a number."""
        self.codec.set_mb(words)
        return float(self.codec.cvalue)


class Layout:
    """The models of one kind of device in order, with scale factors and counts of groups fixed in their template.

    Points are named "model.point", for example "704.WMaxLimPct" or "705.Crv.2.Pt.1.V". One layout serves all
    devices of its kind: its pysunspec2 points hold no device's state, they encode and decode.
    """

    def __init__(self, models: tuple[int, ...], scale_factors: tuple[tuple[str, int], ...]) -> None:
        self.registers: dict[str, Register] = {}
        offset = len(MARKER) // 2
        blocks = []
        exponents = dict(scale_factors)
        for model_id in models:
            fixed: dict[str, Any] = {
                name.partition(".")[2]: n for name, n in scale_factors if name.startswith(f"{model_id}.")
            }
            if "curve" in fixed:
                fixed["curve"] = [{} for _ in range(fixed["curve"])]
            model = device.Model(model_id, data=fixed)
            if model.error_info:
                raise ValueError(f"model {model_id} cannot be built: {model.error_info.strip()}")
            for name, point in _points(model, str(model_id)):
                if name in exponents:
                    point.value = exponents[name]
                self.registers[name] = _register(name, offset + point.offset, point)
            block = model.get_mb()
            blocks.append(block)
            offset += len(block) // 2
        self.template = MARKER + b"".join(blocks)
        self._at = {place: r for r in self.registers.values() for place in range(r.offset, r.offset + r.words)}

    def covering(self, offset: int, words: int) -> list[Register] | None:
        """Return the points that fill exactly this span, or None where it leaves the map or cuts a point."""
        found = []
        place = offset
        while place < offset + words:
            register = self._at.get(place)
            if register is None or register.offset != place:
                return None
            found.append(register)
            place += register.words
        return found if place == offset + words else None


def _points(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - pysunspec2 ships no types
    for name, point in group.points.items():
        yield f"{prefix}.{name}", point
    for name, inner in group.groups.items():
        if not isinstance(inner, list):
            yield from _points(inner, f"{prefix}.{name}")
            continue
        for number, repeated in enumerate(inner, start=1):
            yield from _points(repeated, f"{prefix}.{name}.{number}")


def _register(name: str, offset: int, point: Any) -> Register:  # noqa: ANN401 - pysunspec2 ships no types
    symbols = point.pdef.get(mdef.SYMBOLS, ()) if point.pdef[mdef.TYPE] == mdef.TYPE_ENUM16 else ()
    return Register(
        name=name,
        offset=offset,
        words=point.len,
        writable=point.pdef.get(mdef.ACCESS) == mdef.ACCESS_RW,
        choices=frozenset(symbol[mdef.VALUE] for symbol in symbols),
        codec=point,
    )


@cache
def layout_of(models: tuple[int, ...], scale_factors: tuple[tuple[str, int], ...]) -> Layout:
    """Return the one layout that all devices with these models and scale factors share."""
    return Layout(models, scale_factors)


class Image:
    """One device's registers behind a base address, with the rules by which a device takes or refuses a write.

    Refused with nothing written: what lies outside the map, is read-only, `locked`, not implemented or cuts a point
    (exception 2), and what the point cannot mean: another enumeration value, the sentinel, out of its range
    (exception 3). A read right after a write returns what was written (SunSpec Device Information Model 1.1, 6.5).
    """

    def __init__(
        self,
        layout: Layout,
        base: int,
        values: Mapping[str, Value],
        ranges: Mapping[str, tuple[float, float]],
        *,
        end_marker: bool = True,
        locked: frozenset[str] = frozenset(),
    ) -> None:
        self._layout = layout
        self.base = base
        self._ranges = ranges
        self._implemented = values.keys() - locked
        self._words = bytearray(layout.template + (END_OF_MAP if end_marker else b""))
        self.publish(values)
        self.write_count = 0
        self.writes: deque[Write] = deque(maxlen=_KEPT_WRITES)
        self.on_write: Callable[[tuple[str, ...]], None] | None = None

    def publish(self, values: Mapping[str, Value]) -> None:
        """Encode all these points and swap the image once, so that no reader sees some of them."""
        fresh = bytearray(self._words)
        for name, value in values.items():
            register = self._layout.registers[name]
            fresh[2 * register.offset : 2 * (register.offset + register.words)] = register.encode(value)
        self._words = fresh

    def place(self, name: str, value: Value) -> tuple[int, bytes]:
        """Return a point's address and a value as its registers.

        Raises ValueError for a name that the map lacks or a value that its registers cannot hold.
        """
        address = self.address(name)
        try:
            return address, self._layout.registers[name].encode(value)
        except (device.ModelError, struct.error) as fault:
            raise ValueError(f"{name} cannot hold {value}: {fault}") from fault

    def address(self, name: str) -> int:
        """Return a point's address; raises ValueError for a name that the map lacks."""
        register = self._layout.registers.get(name)
        if register is None:
            raise ValueError(f'the map has no point "{name}"; name it as "704.WMaxLimPct"')
        return self.base + register.offset

    def value(self, name: str) -> Value:
        """Decode one point; None where it is not implemented."""
        return self._decode(self._layout.registers[name])

    def number(self, name: str) -> float:
        """Decode one point as a number; 0 where it is not implemented."""
        value = self._decode(self._layout.registers[name])
        return float(value) if isinstance(value, int | float) else 0.0

    def _decode(self, register: Register) -> Value:
        return register.decode(bytes(self._words[2 * register.offset : 2 * (register.offset + register.words)]))

    def read(self, address: int, count: int) -> bytes | None:
        """See `hil.sunspec.modbus_server.Registers`."""
        start = 2 * (address - self.base)
        if start < 0 or start + 2 * count > len(self._words):
            return None
        return bytes(self._words[start : start + 2 * count])

    def write(self, function: int, address: int, payload: bytes) -> int:
        """See `hil.sunspec.modbus_server.Registers`."""
        at_ns = time.monotonic_ns()
        code = self.refusal(address, payload)
        if code:
            return code
        offset = address - self.base
        touched = self._layout.covering(offset, len(payload) // 2) or []
        self._words[2 * offset : 2 * offset + len(payload)] = payload
        self.write_count += 1
        self.writes.append(Write(at_ns, function, address, payload))
        if self.on_write is not None:
            self.on_write(tuple(register.name for register in touched))
        return 0

    def refusal(self, address: int, payload: bytes) -> int:
        """Return 0 where a write would be taken, else the exception code that it would get."""
        offset = address - self.base
        touched = self._layout.covering(offset, len(payload) // 2)
        if touched is None:
            return ILLEGAL_ADDRESS
        for register in touched:
            start = 2 * (register.offset - offset)
            code = self._refusal(register, payload[start : start + 2 * register.words])
            if code:
                return code
        return 0

    def within(self, address: int, count: int) -> Iterator[tuple[int, Register]]:
        """Give the points that lie whole in a span of registers, each with its address."""
        for register in self._layout.registers.values():
            place = self.base + register.offset
            if address <= place and place + register.words <= address + count:
                yield place, register

    @property
    def end(self) -> int:
        """The address after the last model."""
        return self.base + len(self._layout.template) // 2

    def _refusal(self, register: Register, words: bytes) -> int:
        if not register.writable or register.name not in self._implemented:
            return ILLEGAL_ADDRESS
        raw = register.codec.info.data_to(words)
        if not register.codec.info.is_impl(raw) or (register.choices and raw not in register.choices):
            return ILLEGAL_VALUE
        if register.name not in self._ranges:
            return 0
        low, high = self._ranges[register.name]
        return 0 if low <= register.number(words) <= high else ILLEGAL_VALUE

    def told(self, write: Write) -> dict[str, Value]:
        """Return what a recorded write said, by point name."""
        offset = write.address - self.base
        touched = self._layout.covering(offset, len(write.payload) // 2) or []
        return {
            r.name: r.decode(write.payload[2 * (r.offset - offset) : 2 * (r.offset - offset + r.words)])
            for r in touched
        }
