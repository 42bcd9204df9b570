"""One connection to the broker (MQTT 5.0), which lets go of its socket in whatever state it was left.

The library closes a socket only after a clean end: not where the broker never accepted the connection, nor where
reading from it broke.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Self

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.southbound.mqtt_device.config import MqttDevices
from gateway.wire.mqtt import GATEWAY, LONGEST_PAYLOAD

REPLY_S: Final = 5.0
KEEPALIVE_S: Final = 10
INBOX: Final = 2_000
LARGEST_PACKET: Final = 4 * LONGEST_PAYLOAD
THREAD_LOOK_S: Final = 0.02

UNANSWERED: Final = "it answers nothing; its log says whether it wants another password, a certificate, or no MQTT 5"

_QUIET: Final = logging.getLogger(f"{__name__}.library")
_QUIET.setLevel(logging.CRITICAL)


class Connection(aiomqtt.Client):
    """A client of the broker, made for one connection."""

    async def open(self) -> None:
        """Connect; raises MqttError where the broker does not accept it, or the connection ends before that."""
        opening = asyncio.ensure_future(self.__aenter__())
        try:
            await self._accepted(opening)
        except aiomqtt.MqttError as error:
            if str(error) == "Operation timed out":
                raise aiomqtt.MqttError(UNANSWERED) from error
            raise
        finally:
            while not opening.done() and self._misc_task is None:  # noqa: ASYNC110 - a thread connects and tells nobody
                await asyncio.sleep(THREAD_LOOK_S)
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)

    async def _accepted(self, opening: asyncio.Future[Self]) -> None:
        await asyncio.wait((opening, self._disconnected), return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            raise aiomqtt.MqttError(f"it ended the connection: {self._disconnected.exception()}")
        opening.result()

    async def leave(self) -> None:
        """Say goodbye where the broker still listens, and close the socket."""
        accepted = self._connected.done() and not self._connected.cancelled() and self._connected.exception() is None
        if accepted and not self._disconnected.done():
            with suppress(aiomqtt.MqttError):
                await self.__aexit__(None, None, None)
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()
        self._client.disconnect()
        wire = self._client.socket()
        if isinstance(wire, socket.socket):
            self._loop.remove_reader(wire)
            self._loop.remove_writer(wire)
            wire.close()
        if self._misc_task is not None:
            self._misc_task.cancel()
            await asyncio.gather(self._misc_task, return_exceptions=True)


@asynccontextmanager
async def connected(
    table: MqttDevices, context: ssl.SSLContext | None, password: str | None, will: aiomqtt.Will | None
) -> AsyncIterator[Connection]:
    """Connect until the end of the context; nothing is kept at the broker from the last time."""
    asked = properties(PacketTypes.CONNECT)
    asked.MaximumPacketSize = LARGEST_PACKET
    client = Connection(
        table.host,
        table.port,
        identifier=f"{table.topic_prefix}-{GATEWAY}".replace("/", "-"),
        protocol=aiomqtt.ProtocolVersion.V5,
        username=table.username,
        password=password,
        will=will,
        timeout=REPLY_S,
        keepalive=KEEPALIVE_S,
        max_queued_incoming_messages=INBOX,
        properties=asked,
        tls_context=context,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        logger=_QUIET,
    )
    try:
        await client.open()
        yield client
    finally:
        await client.leave()


def properties(packet: int) -> Properties:
    """Make the MQTT 5 properties of a packet, still empty."""
    return Properties(packet)  # type: ignore[no-untyped-call] # the library leaves its constructor untyped
