"""Shows the server each registered resource and the whole domain: ratings, settings, status and meter readings.

Ratings and settings are sent once and when they change; status and mean readings once in every post rate, which is the
shortest that the server names. Documents that cannot be sent are not kept: the next round shows what is then.
Source: IEEE 2030.5-2018, DER and Metering Mirror function sets; CSIP-AUS telemetry.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.northbound.sep2_client import translate
from gateway.northbound.sep2_client.config import Sep2Resource
from gateway.northbound.sep2_client.exchange import Exchange, ServerFault
from gateway.northbound.sep2_client.metering import Metering
from gateway.northbound.sep2_client.reader import RATE_MAX_S, pages
from gateway.northbound.sep2_client.said import Said
from gateway.northbound.sep2_client.sending import Fate, Sender
from gateway.northbound.sep2_client.spread import next_due
from gateway.northbound.sep2_client.telemetry import WHOLE
from gateway.northbound.sep2_client.walk import Found
from gateway.ports.north import Picture, Total
from gateway.wire.sep2 import Resource
from gateway.wire.sep2.devices import EndDevice
from gateway.wire.sep2.resources import DER, DERList

SPREAD: Final = 4
"""Posts of many gateways are spread over this part of a post rate after its end, by each one's own phase."""


class _Shown(NamedTuple):
    """The DER that a resource is shown as, when its list was read (s, the server's clock), and its poll rate (s)."""

    der: DER
    read_s: int
    rate_s: int | None


class Mirror:
    """What the server was last shown, so that ratings and settings are sent only when they change."""

    def __init__(
        self,
        party: str,
        exchange: Exchange,
        resources: Mapping[str, Sep2Resource],
        own_lfdi: str,
        post_s: int,
        gradient: Callable[[str], int],
        phase_s: int = 0,
    ) -> None:
        """Show these resources, and the whole under the gateway's own LFDI, every `post_s` unless the server says.

        `gradient` gives the gradient set for a resource (hundredths of a percent a second, 0 for none). `phase_s` is
        this gateway's own number, by which it posts at another second than its neighbours.
        """
        self._gradient = gradient
        self._exchange = exchange
        self._lfdis = {name: resource.lfdi for name, resource in resources.items()} | {WHOLE: own_lfdi}
        self._lfdi_to_be = own_lfdi
        self._phase_s = phase_s
        self._said = Said(party)
        self._sender = Sender(exchange, self._said)
        self._metering = Metering(party, exchange, self._sender, self._said, self._lfdis, post_s, phase_s)
        self._due_s: int | None = 0
        self._ders: dict[str, _Shown] = {}
        self._contents: dict[str, Resource] = {}

    def known_as(self, own_lfdi: str) -> None:
        """Show the whole under another LFDI, and everything anew, from the next time on; what is under way ends."""
        self._lfdi_to_be = own_lfdi

    def _be_known(self) -> None:
        if self._lfdi_to_be == self._lfdis[WHOLE]:
            return
        self._lfdis[WHOLE] = self._lfdi_to_be
        self._ders.pop(WHOLE, None)
        self._metering.forget(WHOLE)
        self._contents.clear()

    def next_s(self) -> int:
        """Give when there is something to do besides sampling (s, the server's clock)."""
        ends_s = self._metering.ends_s()
        return ends_s if self._due_s is None else min(ends_s, self._due_s)

    async def turn(self, found: Found, picture: Picture, now_s: int) -> None:
        """Sample the picture at an instant (s, the server's clock), and send what that instant asks for.

        Raises ServerDown where the server does not answer.
        """
        devices = dict(found.end_devices) | ({} if found.own is None else {WHOLE: found.own})
        self._metering.obey(device.post_rate_s or 0 for device in devices.values())
        if self._metering.sample(picture, now_s) and self._due_s is None:
            self._due_s = now_s + self._phase_s % max(1, self._metering.post_s // SPREAD)
        link = found.capability.mirror_usage_point_list_link if found.capability is not None else None
        mup_list = None if link is None else link.href
        posts = self._due_s is not None and now_s >= self._due_s
        if not posts and (mup_list is None or not self._metering.is_due(now_s)):
            return
        self._be_known()
        if not posts:
            await self._metering.keep_points(str(mup_list), devices, picture, now_s)
            return
        self._due_s = None
        self._sender.begin()
        await self._show_ders(devices, picture, now_s)
        if mup_list is not None:
            await self._metering.keep_points(mup_list, devices, picture, now_s)
            await self._metering.post(devices)
        self._sender.close()

    # -- ratings, settings and status

    async def _show_ders(self, devices: Mapping[str, EndDevice], picture: Picture, now_s: int) -> None:
        totals = dict(picture.resources) | {WHOLE: picture.whole}
        for name, device in devices.items():
            if name in totals and device.der_list_link is not None:
                der = await self._der(name, device.der_list_link.href, now_s)
                if der is not None:
                    await self._show_der(name, der, totals[name], now_s)

    async def _show_der(self, name: str, der: DER, total: Total, now_s: int) -> None:
        capability, settings = translate.capability(total), translate.settings(total, now_s)
        settings = replace(settings, set_grad_w_hundredths=self._gradient(name))
        if der.der_capability_link is not None:
            await self._put_change(name, der.der_capability_link.href, capability, capability)
        if der.der_settings_link is not None:
            content = replace(settings, updated_time_s=0)
            await self._put_change(name, der.der_settings_link.href, settings, content)
        if der.der_status_link is not None:
            await self._put(name, der.der_status_link.href, translate.status(total, now_s))
        reserve = translate.availability(total, now_s)
        if reserve is not None and der.der_availability_link is not None:
            await self._put(name, der.der_availability_link.href, reserve)

    async def _der(self, name: str, der_list: str, now_s: int) -> DER | None:
        """Give the DER of a resource, its list read anew where its poll rate asks for that."""
        kept = self._ders.get(name)
        if kept is not None and now_s < next_due(kept.read_s, kept.rate_s or RATE_MAX_S, self._phase_s):
            return kept.der
        try:
            listed = await pages(self._exchange, der_list, DERList)
        except ServerFault as fault:
            self._said.amiss(der_list, str(fault))
            return None if kept is None else kept.der
        der = next((item for item in listed.items if isinstance(item, DER)), None)
        if der is not None:
            self._ders[name] = _Shown(der, now_s, listed.poll_rate_s)
        return der

    async def _put_change(self, name: str, href: str, body: Resource, content: Resource) -> None:
        if self._contents.get(href) != content and await self._put(name, href, body):
            self._contents[href] = content

    async def _put(self, name: str, href: str, body: Resource) -> bool:
        """Put a body; True where the server took it, or would refuse the same again."""
        outcome = await self._sender.send("PUT", href, body)
        if outcome.fate is Fate.GONE:
            self._ders.pop(name, None)
            return False
        return outcome.fate is not Fate.LATER
