"""Somebody who writes to an inverter past the gateway: Modbus TCP over a connection of his own."""

import asyncio
import struct
from collections.abc import Mapping

from hil.sunspec.inverter import Inverter
from hil.sunspec.modbus_server import WRITE_MULTIPLE
from hil.sunspec.register_image import Value

_REPLY_S = 5.0


async def write(inverter: Inverter, points: Mapping[str, Value]) -> None:
    """Write points ("704.WMaxLimPct") in their units, in the order given, each by itself.

    Raises ValueError for a point that the map lacks or that the inverter refuses, and where it cannot be reached.
    """
    steps = [(name, *inverter.place(name, value)) for name, value in points.items()]
    try:
        async with asyncio.timeout(_REPLY_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", inverter.port)
            try:
                for transaction, (name, address, words) in enumerate(steps, 1):
                    writer.write(_request(transaction, inverter.spec.unit, address, words))
                    header = await reader.readexactly(7)
                    answer = await reader.readexactly(int.from_bytes(header[4:6]) - 1)
                    if answer[0] != WRITE_MULTIPLE:
                        raise ValueError(f"{inverter.spec.name} refuses {name} with exception {answer[1]}")
            finally:
                writer.close()
    except (OSError, EOFError) as fault:
        raise ValueError(f"{inverter.spec.name} cannot be reached: {fault}") from fault


def _request(transaction: int, unit: int, address: int, words: bytes) -> bytes:
    pdu = struct.pack(">BHHB", WRITE_MULTIPLE, address, len(words) // 2, len(words)) + words
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu
