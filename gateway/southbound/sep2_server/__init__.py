"""IEEE 2030.5, south: the server that devices, aggregators and lower gateways connect to."""

import ssl
from collections.abc import Mapping

from gateway.listening import Limits
from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.ports.south import Cleared, Lease
from gateway.southbound.sep2_server.child import Child, Shared
from gateway.southbound.sep2_server.client import Client, told_poll_s
from gateway.southbound.sep2_server.config import LimitMode, Sep2Server, Sep2ServerDevice, TargetMode, device_faults
from gateway.southbound.sep2_server.link import Link

__all__ = ["LimitMode", "Links", "Sep2Server", "Sep2ServerDevice", "TargetMode", "build", "device_faults"]


class Links:
    """All devices below that connect here; one listener serves them all."""

    def __init__(self, children: Mapping[str, Child], link: Link, shared: Shared) -> None:
        """Take over these devices, and the link that listens for them."""
        self.shared = shared
        self.link = link
        self._children = children

    @property
    def writes(self) -> int:
        """How many times a device was told something."""
        return self.shared.writes

    def want(self, cleared: Cleared) -> None:
        """Want this of its device from now on."""
        self._children[cleared.command.device].want(cleared)

    async def run(self) -> None:
        """Listen, publish and meet deadlines until cancelled; it can be run again."""
        await self.link.run()


def build(
    table: Sep2Server,
    devices: Mapping[str, tuple[Sep2ServerDevice, int]],
    context: ssl.SSLContext,
    clock: Clock,
    hear: Hear,
    lease: Lease,
    *,
    may_write: bool,
    limits: Limits | None = None,
) -> Links:
    """Make the links; `devices` gives each device its table of the site file and its rating (W).

    `context` is that of a server that asks for the client's certificate; `limits` are by default those of the table.
    Raises ValueError where two devices have one
    LFDI.
    """
    for name, fault in device_faults({name: one for name, (one, _rated_w) in devices.items()}):
        raise ValueError(f"device {name!r}: {fault}")
    shared = Shared(clock, hear, lease, may_write, table.post_s)
    clients: dict[str, Client] = {}
    children: dict[str, Child] = {}
    for name, (one, rated_w) in devices.items():
        child = children[name] = Child(name, one, rated_w, told_poll_s(table.poll_s, one.revert_s), shared)
        clients.setdefault(one.client, Client(one.client, shared)).children[child.lfdi] = child
    return Links(children, Link(table, clients, context, shared, limits), shared)
