"""Finds 2030.5 servers of the local network by multicast DNS (IEEE 2030.5, DNS-SD; RFC 6762, RFC 6763).

What is found is a hint and no more: who answers at the address still has to prove its LFDI. One question is asked from
a port of our own, so that answers come back to it alone, and again for what an answer names and does not bear.
"""

import asyncio
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gateway.wire.dns import ADDRESS, ADDRESS_6, POINTER, SERVICE, TEXT, DnsFault, Record, Service, query, records

KIND: Final = "_smartenergy._tcp.local"
GROUP: Final = ("224.0.0.251", 5353)
AGAIN_S: Final = 1.0
FOUND_MAX: Final = 100
MESSAGES_MAX: Final = 1_000
HTTPS_PORT: Final = 443
PATH: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/?%-]{0,200}")


PORT: Final = re.compile(r"[0-9]{0,5}")


class Server(NamedTuple):
    """A server that says that it is there: its name, its DeviceCapability, and the level of the schema it speaks.

    `url` is empty where it does not say where that is, or does not speak HTTPS.
    """

    name: str
    url: str
    level: str


class Network:
    """What was heard of the servers on a network so far."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._names: dict[str, None] = {}
        self._services: dict[str, Service] = {}
        self._texts: dict[str, Mapping[str, str]] = {}
        self._addresses: dict[str, list[str]] = {}

    def take(self, heard: Sequence[Record]) -> None:
        """Take what an answer bears; what has nothing to do with our kind of service is passed over."""
        pointers = (each.value for each in heard if each.kind == POINTER and each.name == KIND)
        for name in pointers:
            if isinstance(name, str) and name.endswith(f".{KIND}") and len(self._names) < FOUND_MAX:
                self._names[name] = None
        for record in heard:
            if record.name not in self._names:
                continue
            if isinstance(record.value, Service):
                self._services[record.name] = record.value
            elif not isinstance(record.value, str):
                self._texts[record.name] = _pairs(record.value)
        hosts = {service.host for service in self._services.values()}
        for record in heard:
            if record.kind in {ADDRESS, ADDRESS_6} and record.name in hosts and isinstance(record.value, str):
                listed = self._addresses.setdefault(record.name, [])
                if record.value not in listed and len(listed) < FOUND_MAX:
                    listed.append(record.value)

    def lacking(self) -> list[tuple[str, int]]:
        """Give what is to be asked for next."""
        asked: list[tuple[str, int]] = [] if self._names else [(KIND, POINTER)]
        asked += [(name, SERVICE) for name in self._names if name not in self._services]
        asked += [(name, TEXT) for name in self._names if name not in self._texts]
        hosts = {service.host for service in self._services.values()}
        asked += [(host, ADDRESS) for host in sorted(hosts - self._addresses.keys())]
        return asked

    def servers(self) -> list[Server]:
        """Give the servers that were heard of, by their names."""
        return [self._server(name) for name in sorted(self._names)]

    def _server(self, name: str) -> Server:
        said, service = self._texts.get(name, {}), self._services.get(name)
        plain = name.removesuffix(f".{KIND}")
        level, path, port = said.get("level", ""), said.get("dcap", ""), said.get("https")
        host = "" if service is None else _best(self._addresses.get(service.host, ()))
        if not host or port is None or not PORT.fullmatch(port) or not PATH.fullmatch(path):
            return Server(plain, "", level)
        return Server(plain, f"https://{host}:{port or HTTPS_PORT}{path}", level)


async def discover(seconds: float, at: tuple[str, int] = GROUP) -> list[Server]:
    """Ask for so long and give the servers that were heard of; raises OSError where the network cannot be reached."""
    network = Network()
    heard = _Heard(network)
    loop = asyncio.get_running_loop()
    transport, _protocol = await loop.create_datagram_endpoint(lambda: heard, family=socket.AF_INET)
    try:
        until_s = loop.time() + seconds
        while (left_s := until_s - loop.time()) > 0:
            asked = network.lacking()
            if asked:
                transport.sendto(query(asked[:FOUND_MAX]), at)
            heard.news.clear()
            try:
                async with asyncio.timeout(min(AGAIN_S, left_s)):
                    await heard.news.wait()
            except TimeoutError:
                continue
    finally:
        transport.close()
    return network.servers()


class _Heard(asyncio.DatagramProtocol):
    """Reads answers; `news` is set when one was taken."""

    def __init__(self, network: Network) -> None:
        self.news = asyncio.Event()
        self._network = network
        self._left = MESSAGES_MAX

    def datagram_received(self, message: bytes, _sender: tuple[object, ...]) -> None:
        """Take an answer; what cannot be read is passed over."""
        self._left -= 1
        if self._left < 0:
            return
        before = self._network.lacking()
        try:
            self._network.take(records(message))
        except DnsFault:
            return
        if self._network.lacking() != before:
            self.news.set()


def _pairs(strings: Sequence[bytes]) -> dict[str, str]:
    """Read the pairs of a TXT record; of two of one key the first counts, and a key is of any case (RFC 6763 6)."""
    found: dict[str, str] = {}
    for each in strings:
        key, _, value = each.decode(errors="replace").partition("=")
        if key:
            found.setdefault(key.lower(), value)
    return found


def _best(addresses: Sequence[str]) -> str:
    """Choose an address that can be written into a URL: IPv4 first, and none of IPv6 that is of a link alone."""
    plain = [each for each in addresses if ":" not in each]
    if plain:
        return plain[0]
    return next((f"[{each}]" for each in addresses if not each.startswith("fe80:")), "")
