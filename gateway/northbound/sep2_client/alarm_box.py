"""Posts each LogEvent until the server takes it in, to the LogEventList of the EndDevice that it is about."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from gateway.core.alarms import NOTICES_MOST
from gateway.core.events import Reported
from gateway.northbound.sep2_client.config import Sep2Resource
from gateway.northbound.sep2_client.exchange import OK, Exchange, ServerDown, ServerFault
from gateway.northbound.sep2_client.log_event import log_event
from gateway.northbound.sep2_client.said import Said
from gateway.northbound.sep2_client.walk import Found
from gateway.ports.clock import Clock
from gateway.ports.north import Hear, Notice

log = logging.getLogger(__name__)

FORBIDDEN: Final = (401, 403)
AGAIN_S: Final = (1, 5, 15, 60)


class NotLetIn(ServerDown):
    """The server lets nobody in at one LogEventList, or not yet; it may at others."""


class AlarmBox:
    """The notices for one server; they live in the machine's state, so nothing is lost with this."""

    def __init__(
        self,
        party: str,
        exchange: Exchange,
        resources: Mapping[str, Sep2Resource],
        clock: Clock,
        hear: Hear,
        server_ms: Callable[[int], int],
        found: Callable[[], Found],
    ) -> None:
        """Tell of these resources; `found` gives their EndDevices, `server_ms` an instant on the server's clock."""
        self._exchange = exchange
        self._resources = resources
        self._clock = clock
        self._hear = hear
        self._server_ms = server_ms
        self._found = found
        self._said = Said(party)
        self._owed: dict[int, Notice] = {}
        self._wake = asyncio.Event()

    def owe(self, notice: Notice) -> None:
        """Take a notice to tell; the oldest is dropped where they are too many, as in the machine's state."""
        self._owed[notice.serial] = notice
        if len(self._owed) > NOTICES_MOST:
            del self._owed[next(iter(self._owed))]
        self._wake.set()

    def look_again(self) -> None:
        """Note that the EndDevices were read: those that were not there may be now."""
        if self._owed:
            self._wake.set()

    async def run(self) -> None:
        """Post until cancelled; where this gateway may not write, what is owed stays owed."""
        tries = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            barred: dict[str, NotLetIn] = {}
            try:
                for notice in list(self._owed.values()):
                    if not self._exchange.may_write or notice.resource in barred:
                        continue
                    try:
                        if not await self._tell(notice):
                            continue
                    except NotLetIn as fault:
                        barred[notice.resource] = fault
                        continue
                    tries = 0
                    self._owed.pop(notice.serial, None)
                    self._hear(Reported(notice.serial))
                for each in barred.values():
                    raise each
            except ServerDown as fault:
                log.debug("alarms wait: %s", fault)
                await self._clock.sleep_until_ms(self._clock.now_ms() + 1000 * AGAIN_S[min(tries, len(AGAIN_S) - 1)])
                tries += 1
                self._wake.set()

    async def _tell(self, notice: Notice) -> bool:
        """Post a notice; tell whether it is done with. Raises ServerDown where it is to be tried again."""
        name = notice.resource
        if name not in self._resources:
            return True
        device = self._found().end_devices.get(name)
        if device is None:
            return False
        if device.log_event_list_link is None:
            self._said.amiss(name, f"the EndDevice of {name} has no LogEventList; its alarms are not told")
            return True
        href, body = device.log_event_list_link.href, log_event(notice, self._server_ms(notice.at_ms) // 1000)
        try:
            sent = await self._exchange.send("POST", href, body)
        except ServerFault as fault:
            self._said.say(f"the alarm {notice.alarm.value} of {name} is not told: {fault}")
            return True
        if sent is None or sent.status in FORBIDDEN:
            raise NotLetIn("it does not know this certificate, or not yet")
        if sent.status not in OK:
            text = f"the alarm {notice.alarm.value} of {name} is not told: {href} refuses it with status {sent.status}"
            self._said.say(text)
        return True
