"""Modbus TCP server for simulated devices: functions 03, 06, 16 (MODBUS Messaging on TCP/IP Guide V1.0b)."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol, cast

from hil.port import asked_for

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
TARGET_FAILED_TO_RESPOND = 0x0B

READ_HOLDING = 0x03
WRITE_SINGLE = 0x06
WRITE_MULTIPLE = 0x10

_MOST_READ = 125
_MOST_WRITTEN = 123
_HEADER = struct.Struct(">HHHB")
_TWO_WORDS = struct.Struct(">HH")
_LONGEST_PDU_AND_UNIT = 254
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_REOPEN_TRIES = 50
_REOPEN_PAUSE_S = 0.02


class Registers(Protocol):
    """What one unit id answers with."""

    def read(self, address: int, count: int) -> bytes | int | None:
        """Return `count` registers from `address` in network byte order, or None where one of them does not exist.

        An integer is the exception to answer with.
        """

    def write(self, function: int, address: int, payload: bytes) -> int:
        """Take whole registers; return 0, or the exception code with nothing written."""


class ModbusServer:
    """One listening socket with any number of unit ids behind it, and the ways in which a device's link fails.

    silent: nothing is answered. most_clients: a connection past them is reset as it opens. replies: gives what goes
    onto the wire in place of a reply, each with the seconds by which it is late.
    deaf_ms: what comes sooner after connecting is never answered.
    """

    def __init__(self, units: Mapping[int, Registers], host: str = "127.0.0.1", port: int = 0) -> None:
        self.units = units
        self.host = host
        self.port = port
        self.silent = False
        self.most_clients: int | None = None
        self.replies: Callable[[bytes], Sequence[tuple[bytes, float]]] | None = None
        self.deaf_ms = 0
        self.connections: set[_Connection] = set()
        self._resets = False
        self._refuses = False
        self._server: asyncio.Server | None = None
        self._held: socket.socket | None = None
        self._reopening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; port 0 takes a free one, to be read from `port`. Raises OSError when the port is taken."""
        if self._held is None:
            self._held = _held(self.host, self.port)
            self.port = cast("int", self._held.getsockname()[1])
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self.host, self.port, reuse_address=True)

    async def stop(self) -> None:
        """Close the socket and every connection."""
        if self._reopening is not None:
            self._reopening.cancel()
            with suppress(asyncio.CancelledError):
                await self._reopening
        self._close()
        if self._held is not None:
            self._held.close()
            self._held = None
        await asyncio.sleep(0)

    @property
    def resets(self) -> bool:
        """Whether every connection is reset as soon as it says anything; the open ones are when this turns true."""
        return self._resets

    @resets.setter
    def resets(self, on: bool) -> None:
        self._resets = on
        if on:
            self._drop()

    @property
    def refuses(self) -> bool:
        """Whether new connections are refused; the open ones are reset when this turns true, the port is kept."""
        return self._refuses

    @refuses.setter
    def refuses(self, on: bool) -> None:
        if on == self._refuses:
            return
        self._refuses = on
        if on:
            self._close()
            return
        self._reopening = asyncio.get_running_loop().create_task(self._reopen())

    async def _reopen(self) -> None:
        for _ in range(_REOPEN_TRIES):
            if self._refuses or self._server is not None:
                return
            with suppress(OSError):
                await self.start()
                return
            await asyncio.sleep(_REOPEN_PAUSE_S)
        await self.start()

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._drop()

    def _drop(self) -> None:
        for connection in tuple(self.connections):
            connection.reset()


def _held(host: str, port: int) -> socket.socket:
    """Give a socket that has the port and never listens, so that nobody else gets it while connections are refused."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    held = socket.socket(family, kind, protocol)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        with asked_for(host, port):
            held.bind(address)
    except OSError:
        held.close()
        raise
    return held


class _Connection(asyncio.Protocol):
    """Answers requests in the order of their arrival, however the stream was cut into segments."""

    def __init__(self, server: ModbusServer) -> None:
        self._server = server
        self._units = server.units
        self._pending = b""
        self._transport: asyncio.Transport | None = None
        self._opened_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._opened_s = time.monotonic()
        most = self._server.most_clients
        if most is not None and len(self._server.connections) >= most:
            self.reset()
            return
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._server.connections.discard(self)
        self._transport = None

    def reset(self) -> None:
        """Abort with a TCP reset, as a device does that loses power or reboots."""
        if self._transport is None:
            return
        opened = self._transport.get_extra_info("socket")
        if opened is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._server.resets:
            self.reset()
            return
        deaf = time.monotonic() - self._opened_s < self._server.deaf_ms / 1000
        if self._server.silent or deaf or self._transport is None:
            return
        stream = self._pending + data if self._pending else data
        answers = []
        start = 0
        while len(stream) - start >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(stream, start)
            if protocol != 0 or not 2 <= length <= _LONGEST_PDU_AND_UNIT:
                self._transport.abort()
                return
            end = start + 6 + length
            if len(stream) < end:
                break
            pdu = answer(self._units, unit, stream[start + _HEADER.size : end])
            answers.append(_HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu)
            start = end
        self._pending = stream[start:]
        if not answers:
            return
        if self._server.replies is None:
            self._transport.write(b"".join(answers))
            return
        for frame, late_s in (each for one in answers for each in self._server.replies(one)):
            if late_s > 0:
                asyncio.get_running_loop().call_later(late_s, self._write, frame)
            else:
                self._write(frame)

    def _write(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame)


def answer(units: Mapping[int, Registers], unit: int, request: bytes) -> bytes:
    """Return the PDU with which a unit answers a request's PDU; a unit that is not there is told by exception 0x0B."""
    function = request[0]
    registers = units.get(unit)
    if registers is None:
        return bytes((function | 0x80, TARGET_FAILED_TO_RESPOND))
    if function == READ_HOLDING:
        return _read(registers, request)
    if function == WRITE_SINGLE:
        return _write_single(registers, request)
    if function == WRITE_MULTIPLE:
        return _write_multiple(registers, request)
    return bytes((function | 0x80, ILLEGAL_FUNCTION))


def _read(registers: Registers, request: bytes) -> bytes:
    if len(request) != 5:
        return bytes((READ_HOLDING | 0x80, ILLEGAL_VALUE))
    address, count = _TWO_WORDS.unpack_from(request, 1)
    if not 1 <= count <= _MOST_READ:
        return bytes((READ_HOLDING | 0x80, ILLEGAL_VALUE))
    words = registers.read(address, count)
    if not isinstance(words, bytes):
        return bytes((READ_HOLDING | 0x80, words or ILLEGAL_ADDRESS))
    return bytes((READ_HOLDING, len(words))) + words


def _write_single(registers: Registers, request: bytes) -> bytes:
    if len(request) != 5:
        return bytes((WRITE_SINGLE | 0x80, ILLEGAL_VALUE))
    code = registers.write(WRITE_SINGLE, _TWO_WORDS.unpack_from(request, 1)[0], request[3:])
    return bytes((WRITE_SINGLE | 0x80, code)) if code else request


def _write_multiple(registers: Registers, request: bytes) -> bytes:
    if len(request) < 6:
        return bytes((WRITE_MULTIPLE | 0x80, ILLEGAL_VALUE))
    address, count = _TWO_WORDS.unpack_from(request, 1)
    if not 1 <= count <= _MOST_WRITTEN or request[5] != 2 * count or len(request) != 6 + 2 * count:
        return bytes((WRITE_MULTIPLE | 0x80, ILLEGAL_VALUE))
    code = registers.write(WRITE_MULTIPLE, address, request[6:])
    return bytes((WRITE_MULTIPLE | 0x80, code)) if code else request[:5]
