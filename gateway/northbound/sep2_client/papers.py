"""Tells a server what it is to know of each EndDevice itself: its connection point (CSIP-AUS) and DeviceInformation.

Each is put where the server has none or another one, at first and whenever the EndDevice says that it was changed.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.northbound.sep2_client.config import Sep2Resource
from gateway.northbound.sep2_client.exchange import Exchange, ServerFault
from gateway.northbound.sep2_client.said import Said
from gateway.northbound.sep2_client.sending import Fate, Sender
from gateway.northbound.sep2_client.walk import Found
from gateway.wire.sep2.devices import ConnectionPoint, DeviceInformation, EndDevice

log = logging.getLogger(__name__)

AGAIN_S: Final = 900
"""How long after a refusal the same is put again: somebody may have made it known there meanwhile."""
UNKNOWN_POWER: Final = 5
"""The PowerSourceType of what nobody said."""
FUNCTIONS: Final = sum(1 << bit for bit in (0, 2, 3, 4, 5, 6, 7, 10, 14, 20))
"""The function sets that are used as a client, by their bits: capability to time, information, log, metering, DER."""

Body = ConnectionPoint | DeviceInformation


class Paper(NamedTuple):
    """One document of one EndDevice: whose, which key of the site file says it, where it is put, and its content."""

    name: str
    key: str
    href: str
    body: Body


class Settled(NamedTuple):
    """Where a document was put, when its EndDevice was changed last then, and when it is put again (s) if refused."""

    href: str
    changed_s: int
    again_s: int | None

    def is_due(self, href: str, changed_s: int, now_s: int) -> bool:
        """Tell whether it is to be put again."""
        return (self.href, self.changed_s) != (href, changed_s) or (self.again_s is not None and now_s >= self.again_s)


class Papers:
    """What each EndDevice of one server was told to be."""

    def __init__(self, party: str, exchange: Exchange, resources: Mapping[str, Sep2Resource]) -> None:
        """Tell of those of these resources whose site file says something."""
        self._party = party
        self._exchange = exchange
        self._resources = resources
        self._said = Said(party)
        self._sender = Sender(exchange, self._said)
        self._settled: dict[tuple[str, str], Settled] = {}

    async def keep(self, found: Found, now_s: int) -> None:
        """Put what is lacking, or another, at an instant (s, the server's clock); raises ServerDown."""
        self._sender.begin()
        for name, device in found.end_devices.items():
            for paper in self._papers(name, device):
                held = self._settled.get((name, paper.key))
                if held is None or held.is_due(paper.href, device.changed_time_s, now_s):
                    fate = await self._tell(paper)
                    if fate is not Fate.LATER:
                        again_s = None if fate is Fate.TAKEN else now_s + AGAIN_S
                        self._settled[name, paper.key] = Settled(paper.href, device.changed_time_s, again_s)

    def _papers(self, name: str, device: EndDevice) -> Iterator[Paper]:
        """Give what the site file says of a resource and its EndDevice has a place for.

        Our reading: a connection point is put below an EndDevice that was registered in band and names no place for
        it, at "cp", as the public procedures and the open utility server have it.
        """
        said = self._resources[name]
        if said.connection_point_id is not None and not self._exchange.dialect.csip_aus:
            text = (
                f"its profile has no ConnectionPoint; that of {name} is not told, choose a profile of CSIP-AUS for it"
            )
            self._said.amiss(f"connection point of {name}", text)
        elif said.connection_point_id is not None:
            link, below = device.connection_point_link, device.href if said.register else None
            if link is not None or below is not None:
                href = f"{below}/cp" if link is None else link.href
                yield Paper(
                    name, "connection_point_id", href, ConnectionPoint(connection_point_id=said.connection_point_id)
                )
            else:
                text = f"the EndDevice of {name} has no ConnectionPointLink; its connection point is not told"
                self._said.amiss(f"connection point of {name}", text)
        if said.device_information is not None and device.device_information_link is not None:
            yield Paper(name, "device_information", device.device_information_link.href, information(said))

    async def _tell(self, paper: Paper) -> Fate:
        """Put a document where the server has another one; one that it has already counts as taken."""
        try:
            if _content(await self._exchange.get(paper.href, type(paper.body))) == paper.body:
                return Fate.TAKEN
        except ServerFault:
            log.debug("%s: %s has nothing yet for its %s", self._party, paper.name, paper.key)
        fate = (await self._sender.send("PUT", paper.href, paper.body, quiet=True)).fate
        if fate is Fate.TAKEN:
            log.info("%s: took the %s of %s", self._party, paper.key, paper.name)
        elif fate is not Fate.LATER:
            self._said.say(f"does not take what {paper.name} is: {fate.value}; check {paper.key}")
        return fate


def information(said: Sep2Resource) -> DeviceInformation:
    """Give the DeviceInformation of a resource; what nobody says of it (dates, sources of power) is 0 or unknown."""
    device = said.device_information
    if device is None:
        raise ValueError("the site file says nothing of the device; ask for no DeviceInformation of it")
    return DeviceInformation(
        functions_implemented=FUNCTIONS,
        lfdi=said.lfdi.upper(),
        mf_date_s=0,
        mf_hw_ver=device.hardware,
        mf_id=device.manufacturer_pen,
        mf_model=device.model,
        mf_ser_num=device.serial,
        primary_power=UNKNOWN_POWER,
        secondary_power=UNKNOWN_POWER,
        sw_act_time_s=0,
        sw_ver=device.software,
    )


def _content(known: Body) -> Body:
    """Give a document as it would be put: without where it is, and how often it is to be read."""
    if isinstance(known, DeviceInformation):
        return replace(known, href=None, poll_rate_s=None)
    return replace(known, href=None)
