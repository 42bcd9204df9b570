"""The site file's tables `openadr_ven`, one OpenADR 3.1 VTN above, and `resource.openadr`, a resource's name there."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

VtnUrl = Annotated[str, re.compile(r"https://[^/\s]+(?:/\S*)?"), "https://host[:port][/path]"]
VtnName = Annotated[str, re.compile(r"\S(?:.{0,126}\S)?"), "1 to 128 characters"]


@dataclass(frozen=True, slots=True)
class OpenadrVen:
    """A VTN: where it is, whom it must prove to be, and by what this gateway proves itself.

    `url` is the base path of its API; `token_url` is asked of the VTN where it is not given. `client_secret_file`
    holds the secret alone. `trust` names what signs the VTN's certificate. Without `programs` (names or ids) the events
    of all are obeyed; `service` is what they are for. Contact is lost after `contact_lost_s` without a complete read,
    by default twice `poll_s` and at least 300 s (RULES C14).
    """

    party: str
    url: VtnUrl
    client_id: str
    client_secret_file: Path
    ven_name: VtnName
    trust: tuple[Path, ...]
    token_url: VtnUrl | None = None
    programs: tuple[str, ...] = ()
    service: str = ""
    poll_s: Annotated[int, (1, 86_400)] = 60
    report_s: Annotated[int, (1, 86_400)] = 60
    contact_lost_s: Annotated[int, (1, 86_400)] | None = None


@dataclass(frozen=True, slots=True)
class OpenadrResource:
    """How the VTN knows a resource: its resourceName, by default the resource's own name."""

    name: VtnName | None = None
