"""The site file's tables `sep2_client`, one 2030.5 server above, and `resource.sep2`, how a resource is known there."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

Place = tuple[str | int, ...]
Lfdi = Annotated[str, re.compile(r"[0-9A-Fa-f]{40}"), "40 hexadecimal digits"]


Text32 = Annotated[str, re.compile(r"[!-~]([ -~]{0,30}[!-~])?"), "up to 32 characters of ASCII"]


Mrid = Annotated[str, re.compile(r"[0-9A-Fa-f]{1,32}"), "up to 32 hexadecimal digits"]


class Responses(StrEnum):
    """How much a server is told of an event: 1, 2, 3, 6 and 7 alone, what is common, or who took its place as well."""

    BASIC = "basic"
    COMMON = "common"
    FULL = "full"


class Version(StrEnum):
    """A version of CSIP-AUS that can be spoken; each is the end of the name of a profile."""

    CSIP_AUS_1_2 = "1.2"
    CSIP_AUS_1_3 = "1.3"


class Profile(StrEnum):
    """In which editions of IEEE 2030.5 and CSIP-AUS a server is written to; profiles/protocols/sep2.toml says how."""

    IEEE_2013 = "2013"
    IEEE_2018 = "2018"
    IEEE_2023 = "2023"
    CSIP_AUS_1_2 = "csip-aus-1.2"
    CSIP_AUS_1_3 = "csip-aus-1.3"


@dataclass(frozen=True, slots=True)
class ProgramService:
    """Which service a DERProgram of the server is for: known by its mRID, or else by its description."""

    service: str
    mrid: Mrid | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Sep2Client:
    """A 2030.5 server: where its DeviceCapability is, whom it must prove to be, and by what we prove ourselves.

    `poll_s` stands in for a poll rate that the server does not give (2018 schema: 900 s), `post_s` for a post rate;
    contact is lost after `contact_lost_s` without a complete read, by default twice the longest poll rate of a program
    and at least 300 s (RULES C14). Without `program` all programs of the server are one slot for each control function;
    with it those of one service are (RULES B). `server_lfdi_next` is that of the certificate that the server is to
    change to, believed beside the first.

    With `notify_port` (0 is any free one) we listen for notifications at `notify_host` and subscribe to what the server
    offers, to be told below `notify_url`, by default at that host and port. Without it the server is polled alone.
    `profile` is what we write in; what the server writes is read in every edition.
    `responses` is how much it is told of each event.

    With `versions`, those of CSIP-AUS that may be spoken, the best first, the server is asked which it speaks and where
    each begins (CSIP-AUS 1.3), and written to in that one; `url` then says where the server is, and where it begins if
    it knows of no versions.
    """

    party: str
    url: Annotated[str, re.compile(r"https://[^/]+/.*"), "https://host[:port]/path"]
    server_lfdi: Lfdi
    certificate: Path
    key: Path
    trust: tuple[Path, ...]
    poll_s: Annotated[int, (1, 86_400)] = 900
    post_s: Annotated[int, (1, 86_400)] = 300
    contact_lost_s: Annotated[int, (1, 86_400)] | None = None
    program: tuple[ProgramService, ...] = ()
    server_lfdi_next: Lfdi | None = None
    notify_host: Annotated[str, "host name or address"] = "127.0.0.1"
    notify_port: Annotated[int, (0, 65_535)] | None = None
    notify_url: Annotated[str, re.compile(r"https://[^/?#]+(/[^?#]*)?"), "https://host[:port][/path]"] | None = None
    responses: Responses = Responses.COMMON
    versions: tuple[Version, ...] = ()
    profile: Profile = Profile.CSIP_AUS_1_2


def client_faults(table: Sep2Client, granted: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[Place, str]]:
    """Give what is wrong with the table of a server, each with its place; `granted` are the parties' services."""
    if table.notify_url is not None and table.notify_port is None:
        yield ("notify_url",), '"notify_url": nobody listens there; give notify_port as well, or leave it out'
    if table.notify_url is None and table.notify_port is not None and re.fullmatch(r"[0.]+|::", table.notify_host):
        what = f'no server can find us at "{table.notify_host}"; give notify_url as well, or one address'
        yield ("notify_host",), f'"notify_host": {what}'
    yield from program_faults(table, granted)


def program_faults(table: Sep2Client, granted: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[Place, str]]:
    """Give what is wrong with the programs of a server, each with its place; `granted` are the parties' services."""
    services = granted.get(table.party, {})
    seen: dict[tuple[str, str], int] = {}
    for index, one in enumerate(table.program):
        if (one.mrid is None) == (one.description is None):
            yield ("program", index), f'"program" item {index + 1}: give either mrid or description, to know it by'
            continue
        key = "mrid" if one.mrid is not None else "description"
        first = seen.setdefault((key, (one.mrid or "").upper() or str(one.description)), index)
        if first != index:
            what = f"it stands as item {first + 1} already; a program is for one service"
            yield ("program", index, key), f'"program" item {index + 1}: {what}'
        if services and one.service not in services:
            known = ", ".join(f'"{each}"' for each in services)
            what = f'party "{table.party}" is granted no service "{one.service}"; known: {known}'
            yield ("program", index, "service"), f'"program" item {index + 1}: {what}'


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """Who made the DER of a resource, by its IANA enterprise number, and which one it is."""

    manufacturer_pen: Annotated[int, (0, 4_294_967_295)]
    model: Text32
    serial: Text32
    hardware: Text32 = "unknown"
    software: Text32 = "unknown"


@dataclass(frozen=True, slots=True)
class Sep2Resource:
    """How the servers above know a resource: its LFDI, and the PIN (with check digit) that its installer was given.

    With `register` an EndDevice is posted for it where a server lists none. `connection_point_id` (in Australia an NMI)
    is put to the server where it has none or another one, and so is `device_information`.
    """

    lfdi: Lfdi
    pin: Annotated[int, (0, 999_999)] | None = None
    register: bool = False
    connection_point_id: Text32 | None = None
    device_information: DeviceIdentity | None = None
