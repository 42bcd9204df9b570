"""DNS messages to values and back, as far as finding services takes (RFC 1035, 6762, 6763), without input or output."""

from gateway.wire.dns.messages import (
    ADDRESS,
    ADDRESS_6,
    MESSAGE_MAX,
    POINTER,
    SERVICE,
    TEXT,
    DnsFault,
    Record,
    Service,
    query,
    records,
)

__all__ = [
    "ADDRESS",
    "ADDRESS_6",
    "MESSAGE_MAX",
    "POINTER",
    "SERVICE",
    "TEXT",
    "DnsFault",
    "Record",
    "Service",
    "query",
    "records",
]
