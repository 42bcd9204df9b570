"""The site file's table `device.sunspec_modbus`: where the device is, and how patient the gateway is with it."""

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
