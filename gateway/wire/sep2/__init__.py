"""IEEE 2030.5 XML to values and back (2018 edition with CSIP-AUS 1.2), without input or output."""

from gateway.wire.sep2.bodies import Resource
from gateway.wire.sep2.codec import MAX_BODY_OCTETS, MAX_DEPTH, MAX_ITEMS, decode, encode, peek
from gateway.wire.sep2.faults import Faulty, Glance, Peek, Unreadable, WireFault

__all__ = [
    "MAX_BODY_OCTETS",
    "MAX_DEPTH",
    "MAX_ITEMS",
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
