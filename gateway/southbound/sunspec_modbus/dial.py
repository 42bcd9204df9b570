"""Opening a connection: TCP, TLS as in Modbus/TCP Security, or a serial line."""

import asyncio
import importlib
import ssl
import termios
from typing import Any, Final, cast

from gateway.southbound.sunspec_modbus.config import Endpoint, Framing
from gateway.southbound.sunspec_modbus.connection import Connection
from gateway.wire.modbus import Exchange, RtuExchange

CONNECT_S: Final = 3.0
NEEDED: Final = "serial lines need pymodbus and pyserial; install laminar-gateway[serial]"
_OPENING_TURNS: Final = 10


def exchange(to: Endpoint, transaction: int) -> Exchange | RtuExchange:
    """Give the framing of a connection, whose transactions follow on the last one of the connection before."""
    kind = RtuExchange if to.framing is Framing.RTU else Exchange
    return kind(first_transaction=transaction + 1)


async def dial(connection: Connection, to: Endpoint, context: ssl.SSLContext | None) -> str:
    """Open a connection; give why that cannot be, nothing where it is open."""
    try:
        async with asyncio.timeout(CONNECT_S):
            if to.serial is not None:
                await _open_serial(connection, to)
            elif context is not None and to.tls is not None:
                named = to.tls.server_name or to.host
                await _loop().create_connection(
                    lambda: connection, to.host, to.port, ssl=context, server_hostname=named
                )
            else:
                await _loop().create_connection(lambda: connection, to.host, to.port)
    except TimeoutError:
        return f"cannot connect to {to.name}: no answer within {CONNECT_S:g} s"
    except (OSError, UnicodeError) as error:
        return f"cannot connect to {to.name}: {_said(error)}"
    except ImportError:
        return f"cannot open {to.name}: {NEEDED}"
    return "" if connection.open else "the device closed the connection"


async def open_line(protocol: asyncio.BaseProtocol, to: Endpoint) -> asyncio.Transport:
    """Open a serial line by pymodbus' transport; opening discards what came in before.

    Raises OSError where it cannot be opened or set so, ImportError where a library is missing.
    """
    importlib.import_module("serial")
    transports: Any = importlib.import_module("pymodbus.transport.serialtransport")
    try:
        transport, _ = await transports.create_serial_connection(
            _loop(),
            lambda: protocol,
            to.serial,
            baudrate=to.baud,
            bytesize=8,
            parity=to.parity.name[0],
            stopbits=to.stop_bits,
            timeout=0,
        )
    except termios.error as error:
        raise OSError(f"it cannot be set to {to.baud} baud and {to.parity} parity ({error})") from error
    return cast("asyncio.Transport", transport)


async def _open_serial(connection: Connection, to: Endpoint) -> None:
    await open_line(connection, to)
    for _ in range(_OPENING_TURNS):
        if connection.open:
            return
        await asyncio.sleep(0)


def _said(error: OSError | UnicodeError) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()
