"""Who connects: one identity, the devices that it speaks for, and the bodies that it was given lately."""

import logging
from typing import Final, NamedTuple

from gateway.southbound.sep2_server import mirror
from gateway.southbound.sep2_server.child import SWEEP_S, Child, Owner, Shared

log = logging.getLogger(__name__)

BODIES_MAX: Final = 4_096
OCTETS_MAX: Final = 8 << 20
"""Of the bodies that are kept for one client: its queries may be many, and each is another body."""
POLLS_A_REVERT: Final = 4
"""Of a device's time to revert: what is published next is to be seen twice before what holds now ends."""


def told_poll_s(server_s: int, revert_s: int) -> int:
    """Give how often a device is to look (s): as the server has it, but four times in its time to revert."""
    return max(1, min(server_s, revert_s // POLLS_A_REVERT))


class Body(NamedTuple):
    """One body, whose state it shows, and the version of that."""

    content: bytes
    owner: Owner
    version: int


class Client(Owner):
    """One identity (LFDI) and its devices; what belongs to others does not exist for it."""

    def __init__(self, lfdi: str, shared: Shared) -> None:
        """Begin without devices."""
        super().__init__()
        self.lfdi = lfdi
        self.shared = shared
        self.children: dict[str, Child] = {}
        self.points: dict[str, mirror.Point] = {}
        self.bodies: dict[str, Body] = {}
        self.born_s = shared.clock.now_ms() // 1000
        self.up = False
        self.due_s = 0.0
        """When (ticks, s) it is to be swept again."""
        self._last_s = 0.0
        self._octets = 0

    @property
    def poll_s(self) -> int:
        """How often it is told to look: as the most impatient of its devices needs it."""
        return min(child.poll_s for child in self.children.values())

    def contact(self, ticks_s: float) -> None:
        """Note that it asked for something."""
        self._last_s = ticks_s
        if not self.up:
            self.up = True
            for child in self.children.values():
                child.come_up()

    def sweep(self, ticks_s: float) -> None:
        """Note a silence that has lasted too long, and let every device do what time asks for; due once a second."""
        self.due_s = ticks_s + SWEEP_S
        patience_s = max(child.patience_s for child in self.children.values())
        if self.up and ticks_s - self._last_s > patience_s:
            self.go_down(f"no request of its client for {patience_s} s")
        for child in self.children.values():
            child.sweep(ticks_s)

    def go_down(self, why: str) -> None:
        """Note that it is gone."""
        self.up = False
        for child in self.children.values():
            child.go_down(why)

    def kept(self, address: str, now_ms: int) -> bytes | None:
        """Give the body of an address as it was given before, where it still holds."""
        body = self.bodies.get(address)
        if body is None or body.owner.at(now_ms) != body.version:
            return None
        return body.content

    def keep(self, address: str, content: bytes, owner: Owner) -> None:
        """Keep a body until what it shows changes."""
        if len(self.bodies) >= BODIES_MAX or self._octets >= OCTETS_MAX:
            self.bodies.clear()
            self._octets = 0
        self._octets += len(content)
        self.bodies[address] = Body(content, owner, owner.version)
