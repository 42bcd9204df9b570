"""Shows the server each registered resource and the whole domain: ratings, settings, status and meter readings.

Ratings and settings are sent once and when they change; status and mean readings once in every post rate, which is the
shortest that the server gives our usage points. What cannot be sent is not kept: the next round shows what is then.
Source: IEEE 2030.5-2018, DER and Metering Mirror function sets; CSIP-AUS telemetry.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from gateway.northbound.sep2_client import translate
from gateway.northbound.sep2_client.config import Sep2Resource
from gateway.northbound.sep2_client.exchange import OK, Exchange, Sent, ServerDown, ServerFault
from gateway.northbound.sep2_client.reader import RATE_MAX_S, pages
from gateway.northbound.sep2_client.said import Said
from gateway.northbound.sep2_client.walk import Found
from gateway.ports.north import Picture
from gateway.wire.sep2 import Resource
from gateway.wire.sep2.metering import MirrorMeterReading, MirrorUsagePoint, MirrorUsagePointList
from gateway.wire.sep2.resources import DER, DERCapability, DERList, DERSettings, DERStatus

NOT_FOUND: Final = 404
TROUBLES_MAX: Final = 3
"""After so many bodies that the server was too busy or too broken for, a round is given up."""
WHOLE: Final = ""
"""The name of the whole domain beside those of the resources."""


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
    ) -> None:
        """Show these resources, and the whole under the gateway's own LFDI, every `post_s` unless the server says.

        `gradient` gives the gradient set for a resource (hundredths of a percent a second, 0 for none).
        """
        self.post_s = post_s
        self._stand_in_s = post_s
        self._gradient = gradient
        self._exchange = exchange
        self._lfdis = {name: resource.lfdi for name, resource in resources.items()} | {WHOLE: own_lfdi}
        self._lfdi_to_be = own_lfdi
        self._said = Said(party)
        self._means: dict[str, translate.Mean] = {}
        self._ders: dict[str, DER] = {}
        self._points: dict[str, str] = {}
        self._contents: dict[str, Resource] = {}
        self._troubles: dict[str, str] = {}

    def known_as(self, own_lfdi: str) -> None:
        """Show the whole under another LFDI, and everything anew, from the next time on; what is under way ends."""
        self._lfdi_to_be = own_lfdi

    def _be_known(self) -> None:
        if self._lfdi_to_be == self._lfdis[WHOLE]:
            return
        self._lfdis[WHOLE] = self._lfdi_to_be
        self._ders.pop(WHOLE, None)
        self._points.pop(WHOLE, None)
        self._contents.clear()

    def sample(self, picture: Picture) -> None:
        """Take the picture as it is now into the means that are posted next."""
        for name, total in (*picture.resources.items(), (WHOLE, picture.whole)):
            self._means.setdefault(name, translate.Mean()).add(total)

    async def show(self, found: Found, picture: Picture, since_s: int, now_s: int) -> None:
        """Send what changed, and the mean of every series since `since_s` (s, the server's clock).

        Raises ServerDown where the server does not answer.
        """
        self._be_known()
        means, self._means = self._means, {}
        before, self._troubles = self._troubles, {}
        devices = dict(found.end_devices) | ({} if found.own is None else {WHOLE: found.own})
        totals = dict(picture.resources) | {WHOLE: picture.whole}
        for name, device in devices.items():
            if name in totals and device.der_list_link is not None:
                total = totals[name]
                status, settings = translate.status(total, now_s), translate.settings(total, now_s)
                settings = replace(settings, set_grad_w_hundredths=self._gradient(name))
                await self._show_der(name, device.der_list_link.href, translate.capability(total), settings, status)
        link = found.capability.mirror_usage_point_list_link if found.capability is not None else None
        if link is not None:
            await self._find_points(link.href)
            made = [await self._make_point(link.href, name) for name in devices if name not in self._points]
            if any(made):
                await self._find_points(link.href)
            for name in devices:
                if now_s > since_s and name in means and name in totals and name in self._points:
                    mean = means[name].of(totals[name])
                    series = translate.readings(mean, self._lfdis[name], since_s, now_s - since_s)
                    await self._post(name, series)
        for href, trouble in self._troubles.items():
            if href in before:
                self._said.amiss(href, trouble)
        self._said.close()

    # -- ratings, settings and status

    async def _show_der(
        self, name: str, der_list: str, capability: DERCapability, settings: DERSettings, status: DERStatus
    ) -> None:
        der = self._ders.get(name) or await self._find_der(der_list)
        if der is None:
            return
        self._ders[name] = der
        if der.der_capability_link is not None:
            await self._put_change(name, der.der_capability_link.href, capability, capability)
        if der.der_settings_link is not None:
            content = replace(settings, updated_time_s=0)
            await self._put_change(name, der.der_settings_link.href, settings, content)
        if der.der_status_link is not None:
            await self._put(name, der.der_status_link.href, status)

    async def _find_der(self, der_list: str) -> DER | None:
        try:
            listed = await pages(self._exchange, der_list, DERList)
        except ServerFault as fault:
            self._said.amiss(der_list, str(fault))
            return None
        return next((item for item in listed.items if isinstance(item, DER)), None)

    async def _put_change(self, name: str, href: str, body: Resource, content: Resource) -> None:
        if self._contents.get(href) != content and await self._put(name, href, body):
            self._contents[href] = content

    async def _put(self, name: str, href: str, body: Resource) -> bool:
        """Put a body; True where the server took it, or would refuse the same again."""
        sent = await self._send("PUT", href, body)
        if sent is not None and sent.status == NOT_FOUND:
            self._ders.pop(name, None)
            return False
        return href not in self._troubles

    # -- readings

    async def _find_points(self, mup_list: str) -> None:
        """Learn where our usage points are, and the shortest post rate that the server gives them."""
        try:
            listed = await pages(self._exchange, mup_list, MirrorUsagePointList)
        except ServerFault as fault:
            self._said.amiss(mup_list, str(fault))
            return
        names = {translate.usage_point_mrid(lfdi).upper(): name for name, lfdi in self._lfdis.items()}
        if not listed.lacking:
            self._points.clear()
        rates_s: list[int] = []
        for point in listed.items:
            name = names.get(point.mrid.upper()) if isinstance(point, MirrorUsagePoint) else None
            if name is None or not isinstance(point, MirrorUsagePoint) or point.href is None:
                continue
            self._points[name] = point.href
            if point.post_rate_s:
                rates_s.append(min(point.post_rate_s, RATE_MAX_S))
        self.post_s = min(rates_s, default=self._stand_in_s)

    async def _make_point(self, mup_list: str, name: str) -> bool:
        sent = await self._send("POST", mup_list, translate.usage_point(self._lfdis[name], whole=name == WHOLE))
        if sent is None or sent.status not in OK or not sent.location:
            return False
        self._points[name] = sent.location
        return True

    async def _post(self, name: str, series: Iterable[MirrorMeterReading]) -> None:
        for reading in series:
            sent = await self._send("POST", self._points[name], reading)
            if sent is not None and sent.status == NOT_FOUND:
                del self._points[name]
                return

    async def _send(self, method: str, href: str, body: Resource) -> Sent | None:
        """Send a body; None where the server did not take it in. Raises ServerDown where that is so again and again."""
        try:
            sent = await self._exchange.send(method, href, body)
        except ServerFault as fault:
            self._said.amiss(href, str(fault))
            return None
        except ServerDown as fault:
            self._troubles[href] = str(fault)
            if len(self._troubles) > TROUBLES_MAX:
                raise
            return None
        if sent is not None and sent.status not in OK:
            self._said.amiss(href, f"{method} {href}: status {sent.status}; the server refuses what it is shown")
        return sent
