"""The site file's tables `sep2_server`, where devices connect to, and `device.sep2_server`, one device that does."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

Lfdi = Annotated[str, re.compile(r"[0-9A-Fa-f]{40}"), "40 hexadecimal digits"]


class LimitMode(StrEnum):
    """How a limit is put: a share of the device's setMaxW, or W at its connection point, or W of the device itself."""

    RATING = "rating"
    EXPORT = "export"
    GENERATION = "generation"


class TargetMode(StrEnum):
    """How a set-point is put: in W, or as a share of what the device generates or charges at most."""

    WATTS = "watts"
    PERCENT = "percent"


@dataclass(frozen=True, slots=True)
class Sep2Server:
    """The 2030.5 server that devices below connect to.

    Clients are told to poll every `poll_s`, or oftener where a device's `revert_s` asks for it, and to post readings
    every `post_s`. Port 0 is any free one.

    At most so many `connections` are open in all, and `connections_per_client` of one certificate: where one more
    comes, the one that was idle longest is closed. So many bodies of one client are read at a time; more wait.
    """

    port: Annotated[int, (0, 65_535)]
    certificate: Path
    key: Path
    trust: tuple[Path, ...]
    host: Annotated[str, "host name or address"] = "127.0.0.1"
    poll_s: Annotated[int, (1, 3_600)] = 30
    post_s: Annotated[int, (1, 3_600)] = 30
    connections: Annotated[int, (8, 20_000)] = 2_048
    connections_per_client: Annotated[int, (1, 64)] = 4
    bodies_per_client: Annotated[int, (1, 64)] = 2


@dataclass(frozen=True, slots=True)
class Sep2ServerDevice:
    """One device that is a 2030.5 client, or stands behind one.

    `client_lfdi` is who connects for it: the device itself, an aggregator, a lower gateway. `pin` (with check digit) is
    what its installer was given. After `settle_s` its measurement is proof: that takes a poll and two posts. It falls
    back after `revert_s` without the gateway.
    """

    lfdi: Lfdi
    pin: Annotated[int, (0, 999_999)] | None = None
    client_lfdi: Lfdi | None = None
    limit_mode: LimitMode = LimitMode.RATING
    target_mode: TargetMode = TargetMode.WATTS
    settle_s: Annotated[int, (1, 3_600)] = 120
    revert_s: Annotated[int, (20, 86_400)] = 300

    @property
    def client(self) -> str:
        """Who connects for it, in upper case."""
        return (self.client_lfdi or self.lfdi).upper()


def device_faults(devices: Mapping[str, Sep2ServerDevice]) -> Iterator[tuple[str, str]]:
    """Give what is wrong with the devices of a site together: the name of one, and the fault in one line."""
    first: dict[str, str] = {}
    for name, table in devices.items():
        lfdi = table.lfdi.upper()
        if lfdi in first:
            yield name, f'"lfdi": it is that of device "{first[lfdi]}" already; every EndDevice has its own'
        first.setdefault(lfdi, name)
