"""What `/health` says of a gateway that is not ready."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import check
from gateway.core.events import Adopted, Contact, Event, LinkUp, Observed, Started
from gateway.core.known import Known, Unknown
from gateway.core.machine import Machine
from gateway.ports.south import Lease
from gateway.runtime import wiring
from gateway.runtime.clock import RealClock
from gateway.runtime.decider import Decider
from gateway.runtime.domain import core_site
from gateway.runtime.health import picture
from gateway.store import Journal

EXAMPLE = (Path(__file__).parents[2] / "docs" / "getting-started.md").read_text(encoding="utf-8")
SITE = EXAMPLE.partition("```toml\n")[2].partition("```")[0]


class Wire:
    """A wire to a party: all that health asks of it is that it is there."""


@pytest.fixture
def decider(tmp_path: Path) -> Iterator[Decider]:
    clock = RealClock()
    journal = Journal.open(tmp_path / "state", reserve_bytes=4096)
    made = Decider(Machine(), journal, clock, Lease(clock))
    made.north = {"dso": Wire()}  # type: ignore[dict-item] # nothing is said over it here
    site = check(SITE, "site.toml", wiring.TABLES).site
    assert site is not None
    hear(made, Started(core_site(site)), 0)
    yield made
    journal.close()


def hear(decider: Decider, event: Event, after_ms: int) -> None:
    for _effect in decider.machine.handle(event, RealClock().now_ms() + after_ms):
        pass


def test_what_keeps_it_from_ready_is_said(decider: Decider) -> None:
    clock = RealClock()
    lease = Lease(clock)
    dead = picture(decider, lease, clock)
    assert dead["status"] == "not deciding"
    assert dead["why"] == [
        "the deciding loop has stopped renewing its lease; restart the gateway and see its log",
        "no contact with dso yet: nothing was read completely since the start",
        "out of reach: roof-1",
    ]
    lease.until_ms = clock.now_ms() + 600_000
    assert picture(decider, lease, clock)["status"] == "degraded"
    hear(decider, Contact("dso", 300_000), 0)
    hear(decider, LinkUp("roof-1", Known(5000, 0), Known(0, 0)), 0)
    ready = picture(decider, lease, clock)
    assert (ready["status"], ready["why"]) == ("ok", [])
    hear(decider, Adopted("roof-1", decider.machine.state.devices["roof-1"].serial), 0)
    unknown = Unknown("nobody asked", 0)
    hear(decider, Observed("roof-1", Known(5000, 0), unknown, unknown, True), 60_000)
    assert picture(decider, lease, clock)["why"] == ["disobeying: roof-1; ask gateway explain"]
    hear(decider, Contact("dso", 1_000), 60_000)
    hear(decider, Observed("roof-1", Known(1, 0), unknown, unknown, True), 400_000)
    assert picture(decider, lease, clock)["why"] == ["no contact with dso: not proven for 1 s"]
