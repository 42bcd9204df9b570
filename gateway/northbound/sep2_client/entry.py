"""Where a server's tree begins: at the address of the site file, or where the version that both speak does.

Source: CSIP-AUS 1.3, service discovery and version negotiation: the paths of other versions are never touched.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.northbound.sep2_client.exchange import Exchange, ServerDown, ServerFault
from gateway.northbound.sep2_client.said import Said
from gateway.ports.clock import Clock
from gateway.wire.sep2 import Dialect, WireFault
from gateway.wire.sep2.versions import NAMESPACE, WELL_KNOWN, beginnings

NO_SUCH_FILE: Final = (404, 410)
"""What a server of 1.2, which knows of no such file, says of it."""
AGAIN_MS: Final = 3_600_000
"""Our reading: what a server speaks is asked again every hour, and when it did not answer."""


class Entry:
    """Where one server's DeviceCapability is."""

    def __init__(self, exchange: Exchange, versions: Mapping[str, Dialect], clock: Clock, said: Said) -> None:
        """Begin at the address of the exchange; or, where versions are given, at the first of them that it speaks.

        It is written to in the dialect of that version.
        """
        self._exchange = exchange
        self._stated, self._plain = exchange.url, exchange.dialect
        self._versions = dict(versions)
        self._clock = clock
        self._said = said
        self._due_ms = 0
        self._version: str | None = None
        if self._versions:
            exchange.begin_at(WELL_KNOWN)

    def ask_again(self) -> None:
        """Ask for the versions in the next round."""
        self._due_ms = 0

    async def find(self) -> str:
        """Give the address of the DeviceCapability.

        Raises ServerDown where the server does not answer, or begins nowhere that we may look at.
        """
        if self._versions and self._clock.now_ms() >= self._due_ms:
            try:
                self._choose(await self._offered())
            except (ServerDown, ServerFault, WireFault) as fault:
                if self._version is None:
                    raise ServerDown(str(fault), getattr(fault, "retry_after_s", 0)) from fault
                self._said.amiss("versions", f"{fault}; it begins where it did")
            self._due_ms = self._clock.now_ms() + AGAIN_MS
        return self._exchange.url

    async def _offered(self) -> Mapping[str, Sequence[str]] | None:
        """Read which versions the server speaks and where they begin; None where it knows of no versions."""
        try:
            return beginnings(await self._exchange.document(WELL_KNOWN))
        except ServerFault as fault:
            if fault.status in NO_SUCH_FILE:
                return None
            raise

    def _choose(self, found: Mapping[str, Sequence[str]] | None) -> None:
        if found is None:
            self._take("", self._stated)
            return
        for version in self._versions:
            addresses = found.get(f"{NAMESPACE}{version}", ())
            if addresses:
                self._take(version, addresses[0])
                return
        self._version = None
        offered = ", ".join(ascii(name)[1:-1] for name, addresses in found.items() if addresses)[:300]
        wanted = ", ".join(self._versions)
        raise ServerDown(f"it speaks {offered or 'no version'} of CSIP-AUS, and we {wanted}; set versions, or ask it")

    def _take(self, version: str, href: str) -> None:
        self._exchange.begin_at(href)
        self._exchange.dialect = self._versions.get(version, self._plain)
        if version != self._version:
            spoken = f"CSIP-AUS {version}" if version else f"no {WELL_KNOWN}"
            self._said.say(f"speaks {spoken}; its DeviceCapability is at {href}")
            self._version = version
