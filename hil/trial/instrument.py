"""The device under test over Modbus TCP, spoken by pysunspec2, with every register transaction on record."""

import re
import select
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sunspec2 import device as sunspec_device
from sunspec2 import mdef
from sunspec2.modbus import client, modbus

Value = int | float | str | None
_MOST_LEFT = 4096
_EXCEPTION = re.compile(r"exception:? (\d+)")


class DeviceError(OSError):
    """The device did not answer as a SunSpec device must; the message says what it did."""


class Refused(DeviceError):  # noqa: N818 - a refusal is an answer, which some steps ask for
    """The device refused with a Modbus exception code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class NoPoint(Exception):  # noqa: N818 - not every device has every point
    """The map of the device lacks the point; the message is its name."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One request and its outcome: "ok", "exception 2", or what the link said."""

    at_ms: int
    wall_ms: float
    operation: str
    address: int
    count: int
    payload: str
    outcome: str


class _Recorded(client.SunSpecModbusClientDeviceTCP):  # type: ignore[misc] # pysunspec2 ships no types
    note: Callable[[str, int, int, bytes, Callable[[], bytes]], bytes]

    def read(self, addr: int, count: int, op: int = modbus.FUNC_READ_HOLDING) -> bytes:
        return self.note("read", addr, count, b"", lambda: bytes(super(_Recorded, self).read(addr, count, op)))

    def write(self, addr: int, data: bytes) -> None:
        def send() -> bytes:
            super(_Recorded, self).write(addr, data)
            return b""

        self.note("write", addr, len(data) // 2, data, send)


class Instrument:
    """Reads and writes points by name ("704.WMaxLimPct", "705.Crv.2.Pt.1.V") in their units; blocking.

    After an error the connection is made anew, so that no late answer is taken for the next one. `now_ms` stamps the
    record with the bench's time, `wall_s` tells how long an answer took.
    """

    def __init__(
        self,
        host: str,
        port: int,
        unit: int,
        *,
        timeout_s: float,
        now_ms: Callable[[], int],
        wall_s: Callable[[], float],
    ) -> None:
        self.where = (host, port, unit)
        self.transactions: list[Transaction] = []
        self.timeout_s = timeout_s
        self._now_ms = now_ms
        self._wall_s = wall_s
        self._device = _Recorded(slave_id=unit, ipaddr=host, ipport=port, timeout=timeout_s)
        self._device.note = self._noted
        self.scan_fault = ""

    def open(self) -> None:
        """Find all models; raises DeviceError where there is no SunSpec device.

        Where the walk breaks off after some models, they are there, and `scan_fault` says why it did.
        """
        try:
            self._device.scan()
        except (client.SunSpecModbusClientError, modbus.ModbusClientError, OSError, sunspec_device.ModelError) as fault:
            self.scan_fault = _flat(fault)
            if not self._device.model_list:
                host, port, unit = self.where
                raise DeviceError(f"no SunSpec device at {host}:{port} unit {unit}: {self.scan_fault}") from fault
        self._connected()

    def close(self) -> None:
        self._device.close()
        self._device.disconnect()

    def _noted(self, operation: str, address: int, count: int, payload: bytes, send: Callable[[], bytes]) -> bytes:
        at_ms, began_s, outcome, answer = self._now_ms(), self._wall_s(), "ok", b""
        try:
            self._demand_quiet()
            answer = send()
        except (modbus.ModbusClientError, client.SunSpecModbusClientError, OSError) as fault:
            found = _EXCEPTION.search(str(fault))
            outcome = f"exception {found[1]}" if found else _flat(fault)
            if found is None:
                self._device.disconnect()
                raise DeviceError(f"{operation} of {count} at {address}: {outcome}") from fault
            raise Refused(int(found[1]), f"{operation} of {count} at {address}: exception {found[1]}") from fault
        finally:
            wall_ms = 1000 * (self._wall_s() - began_s)
            content = (payload or answer).hex()
            self.transactions.append(Transaction(at_ms, wall_ms, operation, address, count, content, outcome))
        return answer

    def _demand_quiet(self) -> None:
        """See that nothing is left to be read, which would be taken for the next answer: pysunspec2 compares no ids."""
        link = self._device.client.socket
        if link is None or not select.select([link], [], [], 0)[0]:
            return
        left = link.recv(_MOST_LEFT)
        self._device.disconnect()
        if left:
            raise DeviceError(f"the device said {len(left)} bytes more than it was asked for")

    @property
    def base(self) -> int:
        """Address of the SunS marker."""
        return int(self._device.base_addr)

    @property
    def models(self) -> list[Any]:
        """All models in the order of the map, as pysunspec2 has them."""
        return list(self._device.model_list)

    def has(self, name: str) -> bool:
        """Whether the device has the point and implements it; raises DeviceError where it does not answer."""
        try:
            return self.read(name) is not None
        except (Refused, NoPoint):
            return False

    def read(self, name: str) -> Value:
        """Read a point; None where it is not implemented; raises NoPoint for one that the map lacks."""
        point = self.point(name)
        point.set_mb(self.raw(self.address(name), point.len), dirty=False)
        value: Value = point.cvalue
        return value

    def block(self, model: int) -> Any:  # noqa: ANN401 - pysunspec2 ships no types
        """Read a whole model at once."""
        block = self._model(model)
        self._connected()
        block.read()
        return block

    def write(self, name: str, value: Value) -> None:
        """Write one point by itself; raises Refused or DeviceError."""
        point = self.point(name)
        self._connected()
        point.cvalue = value
        point.dirty = False
        self._device.write(self.address(name), point.get_mb())

    def write_block(self, model: int, values: dict[str, Value]) -> None:
        """Write points of one model with as few requests as their places allow."""
        for name, value in values.items():
            self.point(name).cvalue = value
        self._connected()
        self._model(model).write()

    def raw(self, address: int, count: int) -> bytes:
        """Read registers as they are."""
        self._connected()
        return bytes(self._device.read(address, count))

    def raw_write(self, address: int, payload: bytes) -> None:
        """Write registers as they are; raises Refused or DeviceError."""
        self._connected()
        self._device.write(address, payload)

    def address(self, name: str) -> int:
        """Register address of a point."""
        point = self.point(name)
        return int(point.model.model_addr + point.offset)

    def implemented(self) -> dict[int, tuple[int, int]]:
        """Count implemented points and all points of each model; models that occur twice count once."""
        counts = {}
        for model in self.models:
            points = [point for _name, point in points_of(model, str(model.model_id))]
            counts[model.model_id] = (sum(point.value is not None for point in points), len(points))
        return counts

    def _connected(self) -> None:
        if not self._device.is_connected():
            try:
                self._device.connect()
            except modbus.ModbusClientError as fault:
                raise DeviceError(_flat(fault)) from fault

    def _model(self, model: int) -> Any:  # noqa: ANN401 - pysunspec2 ships no types
        if model not in self._device.models:
            raise NoPoint(f"model {model}")
        return self._device.models[model][0]

    def point(self, name: str) -> Any:  # noqa: ANN401 - pysunspec2 ships no types
        """Find a point; raises NoPoint where the map lacks it."""
        model, *path, last = name.split(".")
        group = self._model(int(model))
        try:
            for part in path:
                group = group[int(part) - 1] if isinstance(group, list) else group.groups[part]
            return group.points[last]
        except (KeyError, IndexError) as fault:
            raise NoPoint(name) from fault


def points_of(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - pysunspec2 ships no types
    """Give every point of a model with its name."""
    for name, point in group.points.items():
        yield f"{prefix}.{name}", point
    for name, inner in group.groups.items():
        if not isinstance(inner, list):
            yield from points_of(inner, f"{prefix}.{name}")
            continue
        for number, repeated in enumerate(inner, start=1):
            yield from points_of(repeated, f"{prefix}.{name}.{number}")


def is_adjustable(point: Any) -> bool:  # noqa: ANN401 - pysunspec2 ships no types
    """Whether the definition lets the point be written."""
    return bool(point.pdef.get(mdef.ACCESS) == mdef.ACCESS_RW)


def is_mandatory(point: Any) -> bool:  # noqa: ANN401 - pysunspec2 ships no types
    """Whether the definition demands the point."""
    return bool(point.pdef.get(mdef.MANDATORY) == mdef.MANDATORY_TRUE)


def listens(host: str, port: int, timeout_s: float) -> bool:
    """Whether something accepts a TCP connection there."""
    try:
        socket.create_connection((host, port), timeout_s).close()
    except OSError:
        return False
    return True


def _flat(fault: BaseException) -> str:
    return " ".join(str(fault).split()) or type(fault).__name__
