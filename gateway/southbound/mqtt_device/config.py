"""The site file's tables `mqtt_device`, the broker, and `device.mqtt_device`, what is expected of a device there."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
Place = tuple[str | int, ...]
Levels = Annotated[str, re.compile(r"[A-Za-z0-9_.:-]+(/[A-Za-z0-9_.:-]+)*"), "topic levels, parted by /"]


@dataclass(frozen=True, slots=True)
class MqttDevices:
    """The broker of the devices that speak MQTT 5, and how the gateway proves itself there.

    TLS where `trust` is given: the roots that the broker's certificate must lead to. `certificate` and `key` are the
    gateway's own, `password_file` holds the password of `username`. All topics begin with `topic_prefix`.
    """

    host: Annotated[str, "host name or address"]
    port: Annotated[int, (1, 65_535)] = 8883
    username: str | None = None
    password_file: Path | None = None
    trust: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    topic_prefix: Levels = "laminar"


@dataclass(frozen=True, slots=True)
class MqttDevice:
    """One device behind the broker; its topics are named as the device is.

    It reports at least every `report_s`, and what is three times as old is not believed; after `settle_s` its
    measurement is proof; it falls back after `revert_s` without the gateway.
    """

    settle_s: Annotated[int, (1, 600)] = 10
    revert_s: Annotated[int, (5, 86_400)] = 60
    report_s: Annotated[int, (1, 60)] = 5


def broker_faults(table: MqttDevices, _granted: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[Place, str]]:
    """Give what is wrong with a broker's table whose every key is right, each with its place."""
    if (table.certificate is None) != (table.key is None):
        given, other = ("certificate", "key") if table.key is None else ("key", "certificate")
        yield (given,), f'"{given}" is of no use without "{other}"; give both or none'
    if table.certificate is not None and table.trust is None:
        yield ("certificate",), '"certificate" needs TLS; give "trust", the roots of the broker\'s certificate'
    if (table.username is None) != (table.password_file is None):
        given, other = ("username", "password_file") if table.password_file is None else ("password_file", "username")
        yield (given,), f'"{given}" is of no use without "{other}"; give both or none'
    if table.password_file is not None and table.trust is None and table.host not in LOOPBACK:
        yield (
            ("password_file",),
            '"password_file" would cross the network in clear; give "trust", or a broker on 127.0.0.1',
        )
