"""The connection to the broker (MQTT 5.0): one for all devices, found again by itself, with a last will of its own.

Nothing is kept at the broker for the gateway: every connection starts clean, and each device's next state tells what
was missed.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes

from gateway.ports.south import Cleared
from gateway.southbound.mqtt_device.config import MqttDevices
from gateway.southbound.mqtt_device.connection import Connection, connected, properties
from gateway.southbound.mqtt_device.device import OFFLINE, ONLINE, Device, Sending, Shared
from gateway.wire.mqtt import GATEWAY, Kind, Topics, encode

log = logging.getLogger(__name__)

SWEEP_S: Final = 0.05
BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
AT_ONCE: Final = 16
"""How many commands wait for the broker's word at the same time: fewer than the library keeps in flight."""

REFUSED: Final = 0x80
"""The first of the reason codes that refuse (MQTT 5.0, 2.4)."""


class Links:
    """Speaks with the broker for all devices."""

    def __init__(
        self,
        table: MqttDevices,
        devices: Mapping[str, Device],
        context: ssl.SSLContext | None,
        password: str | None,
        shared: Shared,
    ) -> None:
        """Be ready to run."""
        self.shared = shared
        self._table, self._devices = table, devices
        self._context, self._password = context, password
        self._topics = Topics(table.topic_prefix)
        self._where = f"MQTT broker {table.host}:{table.port}"
        self._wake = asyncio.Event()
        self._told_down = False
        self._failures = 0

    @property
    def writes(self) -> int:
        """How many times a device was told something."""
        return self.shared.writes

    def want(self, cleared: Cleared) -> None:
        """Want this of its device from now on."""
        if self._devices[cleared.command.device].want(cleared):
            self._wake.set()

    async def run(self) -> None:
        """Connect, listen and tell until cancelled; it can be run again."""
        try:
            while True:
                why = await self._once()
                if not self._told_down:
                    log.warning("%s is down: %s", self._where, why)
                    self._told_down = True
                for device in self._devices.values():
                    device.unreachable(f"{self._where} is down: {why}")
                await asyncio.sleep(BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)])
                self._failures += 1
        finally:
            self._told_down = False
            for device in self._devices.values():
                device.unreachable("closed by the gateway")

    async def _once(self) -> str:
        """Keep one connection for as long as it lasts, and say why it ended."""
        try:
            async with connected(self._table, self._context, self._password, self._will()) as client:
                await self._subscribe(client)
                await self._announce(client, ONLINE)
                log.info("%s is up", self._where)
                self._told_down, self._failures = False, 0
                await self._serve(client)
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            return str(error) or type(error).__name__
        return "the connection ended"

    def _will(self) -> aiomqtt.Will | None:
        """What the broker tells of the gateway once it is gone; one that may not write leaves none."""
        if not self.shared.may_write:
            return None
        return aiomqtt.Will(self._topics.of(GATEWAY, Kind.AVAILABILITY), OFFLINE, qos=1, retain=True)

    async def _subscribe(self, client: Connection) -> None:
        granted = await client.subscribe([(topic, 1) for topic in self._topics.heard])
        if any((each if isinstance(each, int) else each.value) >= REFUSED for each in granted):
            raise aiomqtt.MqttError(f"it lets us not read {', '.join(self._topics.heard)}; see its access list")

    async def _announce(self, client: Connection, word: bytes) -> None:
        """Tell all who listen whether the gateway is there; one that may not write tells nothing."""
        if self.shared.may_write:
            await client.publish(self._topics.of(GATEWAY, Kind.AVAILABILITY), word, qos=1, retain=True)

    async def _serve(self, client: Connection) -> None:
        """Listen, and send what is due, until the connection breaks or the gateway ends."""
        for device in self._devices.values():
            device.reachable()
        listening = asyncio.create_task(self._listen(client))
        try:
            while not listening.done():
                self._wake.clear()
                await self._send(client)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), SWEEP_S)
            listening.result()
        except asyncio.CancelledError:
            with suppress(aiomqtt.MqttError):
                await self._announce(client, OFFLINE)
            raise
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    # -- telling

    async def _send(self, client: Connection) -> None:
        """Send what is due, some at a time; what fails to leave is due again."""
        wall_s = time.monotonic()
        due: list[tuple[Device, Sending]] = []
        for device in self._devices.values():
            device.sweep(wall_s)
            sending = device.take(wall_s)
            if sending is not None:
                due.append((device, sending))
        for first in range(0, len(due), AT_ONCE):
            some = due[first : first + AT_ONCE]
            results = await asyncio.gather(*(self._publish(client, *each) for each in some), return_exceptions=True)
            for (device, _sending), result in zip(some, results, strict=True):
                if isinstance(result, BaseException):
                    device.unsent()
            wrong = next((result for result in results if isinstance(result, BaseException)), None)
            if wrong is not None:
                for device, _sending in due[first + AT_ONCE :]:
                    device.unsent()
                raise wrong

    async def _publish(self, client: Connection, device: Device, sending: Sending) -> None:
        asked = properties(PacketTypes.PUBLISH)
        asked.MessageExpiryInterval = sending.expiry_s
        topic = self._topics.of(device.name, Kind.COMMAND)
        await client.publish(topic, encode(sending.command), qos=1, properties=asked)

    # -- listening

    async def _listen(self, client: Connection) -> None:
        """Hand each message to the device whose topic it came on; a fault of ours with one is never another's."""
        async for message in client.messages:
            who = self._topics.read(message.topic.value)
            device = None if who is None else self._devices.get(who[0])
            if who is None or device is None or not isinstance(message.payload, bytes):
                continue
            try:
                self._hand(device, who[1], message.payload, retained=message.retain)
            except Exception:
                log.exception("%s: what it said broke something", device.name)
            if device.due:
                self._wake.set()

    def _hand(self, device: Device, kind: Kind, payload: bytes, *, retained: bool) -> None:
        match kind:
            case Kind.STATE:
                device.state(payload, retained=retained)
            case Kind.ACK:
                device.ack(payload, retained=retained)
            case Kind.AVAILABILITY:
                device.availability(payload)
            case Kind.COMMAND:
                return
