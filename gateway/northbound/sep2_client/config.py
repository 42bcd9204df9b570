"""The site file's tables `sep2_client`, one 2030.5 server above, and `resource.sep2`, how a resource is known there."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

Lfdi = Annotated[str, re.compile(r"[0-9A-Fa-f]{40}"), "40 hexadecimal digits"]


@dataclass(frozen=True, slots=True)
class Sep2Client:
    """A 2030.5 server: where its DeviceCapability is, whom it must prove to be, and by what we prove ourselves.

    `poll_s` stands in for a poll rate that the server does not give (2018 schema: 900 s), `post_s` for a post rate;
    contact is lost after `contact_lost_s` without a complete read, by default twice the longest poll rate of a program
    and at least 300 s (RULES C14).
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


@dataclass(frozen=True, slots=True)
class Sep2Resource:
    """How the servers above know a resource: its LFDI, and the PIN (with check digit) that its installer was given."""

    lfdi: Lfdi
    pin: Annotated[int, (0, 999_999)] | None = None
