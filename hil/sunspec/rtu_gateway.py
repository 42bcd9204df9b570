"""Many units on one slow serial line behind one TCP socket, as a Modbus gateway or a serial server has them.

On the line: MODBUS over Serial Line V1.02, RTU, 11 bits a character, 3.5 characters of silence around a frame.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, NamedTuple, cast

from hil.port import asked_for
from hil.sunspec.modbus_server import (
    READ_HOLDING,
    TARGET_FAILED_TO_RESPOND,
    WRITE_MULTIPLE,
    WRITE_SINGLE,
    Registers,
    answer,
)

Framing = Literal["mbap", "rtu"]

_HEADER: Final = struct.Struct(">HHHB")
_BITS_A_CHARACTER: Final = 11
_SILENT_CHARACTERS: Final = 7
_UNIT_AND_CRC: Final = 3
_LONGEST: Final = 254
_POLYNOMIAL: Final = 0xA001


class _Request(NamedTuple):
    """One request as it came: its transaction is None in RTU framing."""

    transaction: int | None
    unit: int
    pdu: bytes


class RtuGateway:
    """One socket with any number of units behind it, of which one is spoken to at a time.

    framing: "mbap" is a gateway that turns Modbus TCP into RTU, "rtu" a serial server that hands octets through. baud:
    how fast the line is, and so how long every request occupies it, in wall time. A unit that is in `dead` or does not
    exist occupies it for `timeout_s`, and is then told of by exception 0x0B in MBAP and by nothing in RTU. What is not
    Modbus, or fails its check, is dropped in RTU and ends the connection in MBAP.
    """

    def __init__(
        self,
        units: Mapping[int, Registers],
        framing: Framing = "mbap",
        *,
        baud: int = 19_200,
        timeout_s: float = 0.5,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if baud < 1 or timeout_s < 0:
            raise ValueError(f"baud {baud}, timeout_s {timeout_s}: give a speed from 1 and a time from 0")
        self.units = units
        self.framing = framing
        self.baud = baud
        self.timeout_s = timeout_s
        self.host = host
        self.port = port
        self.dead: set[int] = set()
        self.busy_s = 0.0
        self._line = asyncio.Lock()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; port 0 takes a free one, to be read from `port`. Raises OSError when the port is taken."""
        with asked_for(self.host, self.port):
            self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = cast("int", self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the socket and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._serving.add(task)
        take: Callable[[asyncio.StreamReader], Awaitable[_Request | None]]
        take = _take_mbap if self.framing == "mbap" else _take_rtu
        try:
            while (request := await take(reader)) is not None:
                pdu = await self._over_the_line(request)
                if pdu is not None:
                    writer.write(_framed(request, pdu))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._serving.discard(task)
            writer.close()

    async def _over_the_line(self, request: _Request) -> bytes | None:
        """Have the line to itself for as long as the request and its reply take on it; None is no reply."""
        async with self._line:
            there = request.unit in self.units and request.unit not in self.dead
            pdu = answer(self.units, request.unit, request.pdu) if there else b""
            takes_s = self._takes_s(request.pdu) + (self._takes_s(pdu) if there else self.timeout_s)
            self.busy_s += takes_s
            await asyncio.sleep(takes_s)
        if there:
            return pdu
        return None if request.transaction is None else bytes((request.pdu[0] | 0x80, TARGET_FAILED_TO_RESPOND))

    def _takes_s(self, pdu: bytes) -> float:
        return (len(pdu) + _UNIT_AND_CRC + _SILENT_CHARACTERS) * _BITS_A_CHARACTER / self.baud


async def _take_mbap(reader: asyncio.StreamReader) -> _Request | None:
    transaction, protocol, length, unit = _HEADER.unpack(await reader.readexactly(_HEADER.size))
    if protocol != 0 or not 2 <= length <= _LONGEST:
        return None
    return _Request(transaction, unit, await reader.readexactly(length - 1))


async def _take_rtu(reader: asyncio.StreamReader) -> _Request | None:
    """Take the next frame whose check is right; after a function of unknown length, all that has come is dropped."""
    while True:
        frame = await reader.readexactly(2)
        if frame[1] in (READ_HOLDING, WRITE_SINGLE):
            frame += await reader.readexactly(6)
        elif frame[1] == WRITE_MULTIPLE:
            frame += await reader.readexactly(5)
            frame += await reader.readexactly(frame[6] + 2)
        else:
            await reader.read(_LONGEST)
            continue
        if frame[-2:] == _check(frame[:-2]):
            return _Request(None, frame[0], frame[1:-2])


def _framed(request: _Request, pdu: bytes) -> bytes:
    if request.transaction is not None:
        return _HEADER.pack(request.transaction, 0, len(pdu) + 1, request.unit) + pdu
    frame = bytes((request.unit,)) + pdu
    return frame + _check(frame)


def _check(frame: bytes) -> bytes:
    """Give the two octets of a frame's CRC, low octet first (V1.02, 6.2.2)."""
    crc = 0xFFFF
    for octet in frame:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc.to_bytes(2, "little")
