"""Tells a server what it is to know of each EndDevice itself: its connection point (CSIP-AUS ConnectionPoint).

It is put where the server has none or another one, at first and whenever the EndDevice says that it was changed.
"""

import logging
from collections.abc import Mapping
from typing import Final

from gateway.northbound.sep2_client.config import Sep2Resource
from gateway.northbound.sep2_client.exchange import Exchange, ServerFault
from gateway.northbound.sep2_client.said import Said
from gateway.northbound.sep2_client.sending import Fate, Sender
from gateway.northbound.sep2_client.walk import Found
from gateway.wire.sep2.devices import ConnectionPoint, EndDevice

log = logging.getLogger(__name__)

AGAIN_S: Final = 900
"""How long after a refusal the same is put again: somebody may have made it known there meanwhile."""

Seen = tuple[str, int]
"""Where a document is put, and when its EndDevice was changed last (s, the server's clock)."""


class Papers:
    """What each EndDevice of one server was told to be."""

    def __init__(self, party: str, exchange: Exchange, resources: Mapping[str, Sep2Resource]) -> None:
        """Tell of those of these resources whose site file says something."""
        self._party = party
        self._exchange = exchange
        self._resources = {name: each for name, each in resources.items() if each.connection_point_id is not None}
        self._said = Said(party)
        self._sender = Sender(exchange, self._said)
        self._settled: dict[str, Seen] = {}
        self._refused: dict[str, tuple[Seen, int]] = {}

    async def keep(self, found: Found, now_s: int) -> None:
        """Put what is lacking, or another, at an instant (s, the server's clock); raises ServerDown."""
        due = [(name, device) for name, device in found.end_devices.items() if self._is_due(name, device, now_s)]
        if not due:
            return
        self._sender.begin()
        for name, device in due:
            href = self._href(name, device)
            if href is None:
                text = f"the EndDevice of {name} has no ConnectionPointLink; its connection point is not told"
                self._said.amiss(f"connection point of {name}", text)
                self._settled[name] = _seen(href, device)
            else:
                await self._tell(name, href, device, now_s)
        self._sender.close()

    def _is_due(self, name: str, device: EndDevice, now_s: int) -> bool:
        if name not in self._resources:
            return False
        seen = _seen(self._href(name, device), device)
        refused, again_s = self._refused.get(name, (None, 0))
        return self._settled.get(name) != seen and (refused != seen or now_s >= again_s)

    def _href(self, name: str, device: EndDevice) -> str | None:
        """Give where a connection point is put.

        Our reading: below an EndDevice that was registered in band and names no place for it, at "cp", as the public
        procedures and the open utility server have it.
        """
        if device.connection_point_link is not None:
            return device.connection_point_link.href
        return f"{device.href}/cp" if self._resources[name].register and device.href else None

    async def _tell(self, name: str, href: str, device: EndDevice, now_s: int) -> None:
        wanted, seen = self._resources[name].connection_point_id or "", _seen(href, device)
        try:
            if (await self._exchange.get(href, ConnectionPoint)).connection_point_id == wanted:
                self._settled[name] = seen
                return
        except ServerFault:
            log.debug("%s: %s has no connection point yet", self._party, name)
        outcome = await self._sender.send("PUT", href, ConnectionPoint(connection_point_id=wanted), quiet=True)
        if outcome.fate is Fate.TAKEN:
            self._settled[name] = seen
            log.info("%s: %s is at connection point %s", self._party, name, wanted)
        elif outcome.fate is not Fate.LATER:
            self._refused[name] = (seen, now_s + AGAIN_S)
            text = f"does not take connection point {wanted} of {name}: {outcome.fate.value}; check connection_point_id"
            self._said.say(text)


def _seen(href: str | None, device: EndDevice) -> Seen:
    return href or "", device.changed_time_s
