"""A whole site file without fault, and adapters' tables of the shapes that it uses."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from gateway.config import TableSpec

Lfdi = Annotated[str, re.compile(r"[0-9A-Fa-f]{40}"), "40 hex digits"]
Seconds = Annotated[int, (1, None)]


class Parity(StrEnum):
    NONE = "none"
    EVEN = "even"


@dataclass(frozen=True, slots=True)
class Serial:
    line: str
    parity: Parity = Parity.NONE


@dataclass(frozen=True, slots=True)
class Sunspec:
    host: str
    port: Annotated[int, (1, 65_535)] = 502
    unit: Annotated[int, (1, 247)] = 1
    poll_s: Annotated[float, (0.1, None)] = 5.0
    serial: Serial | None = None


@dataclass(frozen=True, slots=True)
class Sep2:
    lfdi: Lfdi
    pin: Annotated[int, (0, 999_999)] | None = None


@dataclass(frozen=True, slots=True)
class Sep2Client:
    party: str
    url: Annotated[str, re.compile(r"https://.+"), "an https URL"]
    server_lfdi: Lfdi
    certificate: Path
    key: Path
    trust: tuple[Path, ...]
    poll_s: Seconds | None = None


TABLES = {
    "sep2_client": TableSpec(Sep2Client, many=True, references={"party": "party"}),
    "resource.sep2": TableSpec(Sep2),
    "device.sunspec_modbus": TableSpec(Sunspec),
}

SITE = """\
[gateway]
name = "street-7"

[[party]]
name = "dso"
tier = "distribution"
limit_parent = true

[[party]]
name = "market"
tier = "bulk"

[[grant]]
party = "dso"
service = "operating-envelope"
level = 3
functions = ["export-limit", "active-power", "energize"]
group = "street"

[[grant]]
party = "market"
service = "schedule"
level = 7
functions = ["active-power"]
group = "street"

[[group]]
name = "street"
resources = ["house-1", "house-2"]

[[resource]]
name = "house-1"
export_limit_w = 10000
last_resort_export_limit_w = 1500
[resource.sep2]
lfdi = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"
pin = 111115

[[resource]]
name = "house-2"
export_limit_w = 10000
last_resort_export_limit_w = 1500

[[device]]
name = "roof-1"
resource = "house-1"
rated_w = 5000
service_transformer = "t1"
[device.sunspec_modbus]
host = "127.0.0.1"
port = 5021

[[device]]
name = "roof-2"
resource = "house-2"
rated_w = 5000
[device.sunspec_modbus]
host = "127.0.0.1"
poll_s = 2
[device.sunspec_modbus.serial]
line = "/dev/ttyUSB0"
parity = "even"

[[sep2_client]]
party = "dso"
url = "https://127.0.0.1:8443/dcap"
server_lfdi = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"
certificate = "pki/gateway.pem"
key = "pki/gateway.key"
trust = [
    "pki/serca.pem",
    "pki/mca.pem",
]
"""
