"""Registers in band what a server does not know, where the site file asks for it (IEEE 2030.5-2018 6.3, CSIP-AUS)."""

from collections.abc import Iterable, Mapping

from gateway.northbound.sep2_client import translate
from gateway.northbound.sep2_client.config import Sep2Resource
from gateway.northbound.sep2_client.exchange import OK, Exchange, ServerFault
from gateway.northbound.sep2_client.said import Said
from gateway.wire.sep2.devices import EndDevice


class Registrar:
    """Posts an EndDevice for each resource that is to register itself and is not listed."""

    def __init__(self, exchange: Exchange, resources: Mapping[str, Sep2Resource], said: Said) -> None:
        """Register those of these resources that are to be."""
        self._exchange = exchange
        self._resources = {name: resource for name, resource in resources.items() if resource.register}
        self._said = said

    async def register(self, href: str, listed: Iterable[object], now_s: int) -> bool:
        """Post what is missing from an EndDeviceList at an instant (s, the server's clock); tell whether any was taken.

        Raises ServerDown where the server does not answer.
        """
        known = {device.lfdi for device in listed if isinstance(device, EndDevice)}
        taken = False
        for name, resource in self._resources.items():
            if resource.lfdi.upper() in known:
                continue
            try:
                sent = await self._exchange.send("POST", href, translate.end_device(resource.lfdi, now_s))
            except ServerFault as fault:
                self._said.amiss(f"registering {name}", str(fault))
                continue
            if sent is not None and sent.status in OK:
                taken = True
            elif sent is not None:
                text = f"{name} is not registered: status {sent.status}; ask for it to be"
                self._said.amiss(f"registering {name}", text, f"{name} is registered")
        return taken
