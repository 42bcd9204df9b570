"""Modbus framing for a client, TCP and RTU, without sockets (Messaging on TCP/IP V1.0b; over Serial Line V1.02)."""

from gateway.wire.modbus.exchange import READ_MAX, WRITE_MAX, Exchange
from gateway.wire.modbus.outcome import Broken, Outcome, Refused, Registers, Stray, Written
from gateway.wire.modbus.rtu import RtuExchange

__all__ = [
    "READ_MAX",
    "WRITE_MAX",
    "Broken",
    "Exchange",
    "Outcome",
    "Refused",
    "Registers",
    "RtuExchange",
    "Stray",
    "Written",
]
