"""Shows the server each registered resource and the whole domain: ratings, settings, status and meter readings."""

import logging
from collections.abc import Mapping

from gateway.core.aggregate import Picture, Total
from gateway.northbound.sep2_client import translate
from gateway.northbound.sep2_client.config import Sep2Resource
from gateway.northbound.sep2_client.exchange import OK, Exchange
from gateway.northbound.sep2_client.walk import Found
from gateway.wire.sep2 import Resource
from gateway.wire.sep2.resources import DER, DERList, EndDevice

log = logging.getLogger(__name__)


class Mirror:
    """What the server was last shown, so that ratings and settings are sent only when they change."""

    def __init__(self, exchange: Exchange, resources: Mapping[str, Sep2Resource], own_lfdi: str) -> None:
        """Show these resources, and the whole under the gateway's own LFDI."""
        self._exchange = exchange
        self._resources = resources
        self._own_lfdi = own_lfdi
        self._ders: dict[str, DER] = {}
        self._points: dict[str, str] = {}
        self._contents: dict[str, tuple[int, ...]] = {}

    async def show(self, found: Found, picture: Picture, since_s: int, now_s: int) -> None:
        """Send what changed, and one reading of every series; raise ServerFault where nobody answers."""
        for name, device in found.end_devices.items():
            total = picture.resources.get(name)
            if total is not None:
                await self._show_der(name, device, total, now_s)
        link = found.capability.mirror_usage_point_list_link if found.capability is not None else None
        if link is None:
            return
        if found.own is not None:
            await self._post_readings(link.href, self._own_lfdi, picture.whole, since_s, now_s, whole=True)
        for name in found.end_devices:
            if name in picture.resources:
                lfdi = self._resources[name].lfdi
                await self._post_readings(link.href, lfdi, picture.resources[name], since_s, now_s, whole=False)

    async def _show_der(self, name: str, device: EndDevice, total: Total, now_s: int) -> None:
        if device.der_list_link is None:
            return
        if name not in self._ders:
            page = await self._exchange.get(device.der_list_link.href, DERList)
            first = next((item for item in page.items if isinstance(item, DER)), None)
            if first is None:
                return
            self._ders[name] = first
        der = self._ders[name]
        if der.der_capability_link is not None:
            await self._put(der.der_capability_link.href, translate.capability(total), (total.rated_w,))
        if der.der_settings_link is not None:
            body = translate.settings(total, now_s)
            await self._put(der.der_settings_link.href, body, (total.generation_max_w,))
        if der.der_status_link is not None:
            await self._exchange.send("PUT", der.der_status_link.href, translate.status(total, now_s))

    async def _put(self, href: str, body: Resource, content: tuple[int, ...]) -> None:
        if self._contents.get(href) == content:
            return
        sent = await self._exchange.send("PUT", href, body)
        if sent is not None and sent.status in OK:
            self._contents[href] = content

    async def _post_readings(
        self, mup_list: str, lfdi: str, total: Total, since_s: int, now_s: int, *, whole: bool
    ) -> None:
        if lfdi not in self._points:
            sent = await self._exchange.send("POST", mup_list, translate.usage_point(lfdi, whole=whole))
            if sent is None or sent.status not in OK or not sent.location:
                return
            self._points[lfdi] = sent.location
        for reading in translate.readings(total, lfdi, since_s, now_s - since_s):
            sent = await self._exchange.send("POST", self._points[lfdi], reading)
            if sent is not None and sent.status == 404:
                del self._points[lfdi]
                return
