"""IEEE 2030.5 XML to values and back (editions 2013 to 2023, with CSIP-AUS), without input or output."""

from gateway.wire.sep2.bodies import Resource
from gateway.wire.sep2.codec import ANY, MAX_BODY_OCTETS, MAX_DEPTH, MAX_ITEMS, decode, encode, peek
from gateway.wire.sep2.dialects import Dialect
from gateway.wire.sep2.faults import Faulty, Glance, Peek, Unreadable, WireFault

__all__ = [
    "ANY",
    "MAX_BODY_OCTETS",
    "MAX_DEPTH",
    "MAX_ITEMS",
    "Dialect",
    "Faulty",
    "Glance",
    "Peek",
    "Resource",
    "Unreadable",
    "WireFault",
    "decode",
    "encode",
    "peek",
]
