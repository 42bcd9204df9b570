"""Modbus TCP framing for a client, without sockets (MODBUS Messaging on TCP/IP V1.0b; Application Protocol V1.1b3)."""

from gateway.wire.modbus.exchange import READ_MAX, WRITE_MAX, Exchange
from gateway.wire.modbus.outcome import Broken, Outcome, Refused, Registers, Stray, Written

__all__ = ["READ_MAX", "WRITE_MAX", "Broken", "Exchange", "Outcome", "Refused", "Registers", "Stray", "Written"]
