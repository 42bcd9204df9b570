"""The site file's tables `device.sunspec_modbus` and `meter.sunspec_modbus`: where each is, how often it is read."""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True, slots=True)
class SunspecModbus:
    """One SunSpec device on Modbus TCP.

    `poll_s` is how often it is read; after `settle_s` its measurement is proof; it falls back after `revert_s` without
    the gateway.
    """

    host: Annotated[str, "host name or address"]
    port: Annotated[int, (1, 65535)] = 502
    unit: Annotated[int, (0, 255)] = 1
    poll_s: Annotated[int, (1, 3600)] = 5
    settle_s: Annotated[int, (1, 600)] = 10
    revert_s: Annotated[int, (5, 86_400)] = 60


@dataclass(frozen=True, slots=True)
class SunspecMeter:
    """One SunSpec meter of a connection point on Modbus TCP, which is read every `poll_s` and never written to.

    `export_positive` is for a meter that counts what goes out into the grid as positive; by the models that is import.
    """

    host: Annotated[str, "host name or address"]
    port: Annotated[int, (1, 65535)] = 502
    unit: Annotated[int, (0, 255)] = 1
    poll_s: Annotated[int, (1, 60)] = 1
    export_positive: bool = False
