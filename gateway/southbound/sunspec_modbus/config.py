"""The site file's tables `device.sunspec_modbus` and `meter.sunspec_modbus`: where each is, how often it is read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

RTU_UNITS: Final = range(1, 248)


class Framing(StrEnum):
    """How requests lie in a TCP stream: with a header of Modbus TCP, or as on a serial line behind it."""

    TCP = "tcp"
    RTU = "rtu"


class Parity(StrEnum):
    """The parity bit of a serial line."""

    EVEN = "even"
    ODD = "odd"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ModbusTls:
    """What secures a connection (Modbus/TCP Security): our certificate, which bears our role, its key, whom we trust.

    The device's certificate has to lead to `trust`, and to bear `server_name`, or else the host.
    """

    certificate: Path
    key: Path
    trust: tuple[Path, ...]
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a Modbus unit is: at a host and port, or on the serial line of a device file.

    All units with one host and port, or one device file, share one connection. `gap_ms` is kept between a reply and
    the next request, `connect_pause_ms` between connecting and the first; `block_max` is the most registers of a read.
    """

    host: Annotated[str, "host name or address"] = ""
    port: Annotated[int, (1, 65535)] = 502
    unit: Annotated[int, (0, 255)] = 1
    framing: Framing = Framing.TCP
    serial: Annotated[str | None, "device file of a serial line"] = None
    baud: Annotated[int, (4_800, 1_000_000)] = 19_200
    parity: Parity = Parity.EVEN
    stop_bits: Annotated[int, (1, 2)] = 1
    gap_ms: Annotated[int, (0, 5_000)] = 0
    connect_pause_ms: Annotated[int, (0, 60_000)] = 0
    block_max: Annotated[int, (4, 125)] = 125
    tls: ModbusTls | None = None


@dataclass(frozen=True, slots=True)
class SunspecModbus(Reach):
    """One SunSpec device on Modbus.

    `poll_s` is how often it is read; after `settle_s` its measurement is proof; it falls back after `revert_s` without
    the gateway. `profile` names the family that it is taken to be of before it says so itself. `depth` is how many
    reads may be on their way at once on a Modbus TCP connection of its own; None is as the profile says, else 1.
    """

    poll_s: Annotated[int, (1, 3600)] = 5
    settle_s: Annotated[int, (1, 600)] = 10
    revert_s: Annotated[int, (5, 86_400)] = 60
    profile: Annotated[str, "the name of a device profile"] = ""
    depth: Annotated[int | None, (1, 16)] = None


@dataclass(frozen=True, slots=True)
class SunspecMeter(Reach):
    """One SunSpec meter of a connection point on Modbus, which is read every `poll_s` and never written to.

    `export_positive` is for a meter that counts what goes out into the grid as positive; by the models that is import.
    """

    poll_s: Annotated[int, (1, 60)] = 1
    export_positive: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is one connection: all units for which this is the same share it."""

    host: str
    port: int
    framing: Framing
    serial: str | None
    baud: int
    parity: Parity
    stop_bits: int
    tls: ModbusTls | None

    @property
    def name(self) -> str:
        """What it is called in a message."""
        return self.serial or f"{self.host}:{self.port}"

    @property
    def silence_s(self) -> float:
        """The silence that parts two frames on a serial line: 3.5 characters, at least 1.75 ms (V1.02, 2.5.1.1)."""
        return 0.0 if self.serial is None else max(0.00175, 3.5 * 11 / self.baud)


def endpoint(at: Reach) -> Endpoint:
    """Give what connection a unit is on."""
    if at.serial is not None:
        return Endpoint("", 0, Framing.RTU, at.serial, at.baud, at.parity, at.stop_bits, None)
    return Endpoint(at.host.lower(), at.port, at.framing, None, 0, Parity.NONE, 0, at.tls)


def reach_faults(at: Reach, _levels: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give what is wrong with where a unit is, each with the key."""
    if at.serial is None and not at.host:
        yield (), 'missing key "host" (host name or address), or "serial" (device file of a serial line)'
    elif at.serial is not None and at.host:
        yield ("serial",), f'"serial": it has the host {at.host} too; keep one of them'
    elif at.serial is not None and at.tls is not None:
        yield ("tls",), '"tls": a serial line cannot be secured; take it out'
    elif at.framing is Framing.RTU and at.tls is not None:
        yield ("tls",), '"tls": Modbus Security has the framing "tcp"; take one of them out'
    if endpoint(at).framing is Framing.RTU and at.unit not in RTU_UNITS:
        yield ("unit",), f'"unit" is {at.unit}; on a serial line it must be {RTU_UNITS[0]} to {RTU_UNITS[-1]}'


def line_faults(tables: Mapping[str, Reach]) -> Iterator[tuple[str, str]]:
    """Give what is wrong between tables of one address, each with who has it: their connection has to be the same."""
    first: dict[tuple[str | None, str, int], tuple[str, Endpoint]] = {}
    for name, at in tables.items():
        own = endpoint(at)
        other, there = first.setdefault((own.serial, own.host, own.port), (name, own))
        if there != own:
            what = "framing, tls, baud, parity and stop_bits"
            yield name, f'it shares {own.name} with "{other}"; give both the same {what}'
