"""The file at /.well-known/csipaus: which versions of CSIP-AUS a server speaks, and where each begins (1.3)."""

import json
from typing import Final

from gateway.wire.sep2.faults import WireFault

WELL_KNOWN: Final = "/.well-known/csipaus"
VERSIONS_MAX: Final = 100
NAMESPACE: Final = "https://csipaus.org/ns/v"
"""What a version is named by, before its number."""


def beginnings(body: bytes) -> dict[str, tuple[str, ...]]:
    """Give the addresses of the DeviceCapability of each version that is named; a version without any has none.

    Raises WireFault, in one line, where the file is not what it should be.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as fault:
        raise WireFault(f"{WELL_KNOWN} is not JSON") from fault
    versions = said.get("supportedSchemaVersions") if isinstance(said, dict) else None
    if not isinstance(versions, dict) or len(versions) > VERSIONS_MAX:
        raise WireFault(f"{WELL_KNOWN} bears no supportedSchemaVersions, or more than {VERSIONS_MAX}")
    return {name: _addresses(name, entry) for name, entry in versions.items()}


def _addresses(name: str, entry: object) -> tuple[str, ...]:
    listed = entry.get("dcap") if isinstance(entry, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise WireFault(f"{WELL_KNOWN} lists no addresses for version {ascii(name)[1:-1][:80]}")
    return tuple(each for each in listed if each)
