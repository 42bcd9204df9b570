"""Answers wait for their issuer for a day and no longer; contact is the link's to tell where there is one."""

from pathlib import Path

import pytest
from web_world import World, limit, order

from gateway.core.answers import Answer, Kind
from gateway.core.events import Delivered, Event, Tick
from gateway.core.orders import OrderKey
from gateway.ports.north import LOCAL
from gateway.web import inbox
from gateway.web.inbox import FETCHED_ORDERS, UNFETCHED_MS, Inbox


def answer(serial: int, at_ms: int, name: str = "a") -> Answer:
    return Answer(serial, OrderKey("dso", name), 0, "house-1", Kind.RECEIVED, at_ms, "A3", "granted", LOCAL)


def test_what_nobody_fetches_is_delivered_after_a_day() -> None:
    heard: list[Event] = []
    now_ms = UNFETCHED_MS + 10
    box = Inbox(heard.append, lambda: now_ms)
    box.owe(answer(1, 9))
    assert heard == [Delivered(1)], "one as old as that can come only from before a restart"
    box.owe(answer(2, 10, "b"))
    box.owe(answer(3, now_ms, "c"))
    assert heard == [Delivered(1)]
    now_ms += 1
    box.owe(answer(4, now_ms, "c"))
    assert heard == [Delivered(1), Delivered(2)]
    assert [one.serial for one in box.answers(OrderKey("dso", "b"))] == [2]


def test_of_what_was_fetched_only_so_much_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "FETCHED_ORDERS", 2)
    assert FETCHED_ORDERS > 2
    heard: list[Event] = []
    box = Inbox(heard.append, lambda: 0)
    for serial, name in enumerate("abc", 1):
        box.owe(answer(serial, 0, name))
        box.fetched(OrderKey("dso", name))
        box.fetched(OrderKey("dso", name))
    assert heard == [Delivered(1), Delivered(2), Delivered(3)], "each once"
    assert [len(box.answers(OrderKey("dso", name))) for name in "abc"] == [0, 1, 1]


class Silent:
    """A link to a party above, of which only its name is asked."""

    party = "dso"

    async def run(self) -> None:
        return

    def owe(self, answer: Answer) -> None:
        raise AssertionError(f"{answer} is for the local API")


async def test_a_request_is_no_contact_where_a_link_reads_the_orders(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.decider.north = {"dso": Silent()}
        for party in ("dso", "market"):
            await world.told(party, "GET", "/v1/overrides")
        await world.hear(Tick())
        proven = {name: party.proven for name, party in world.machine.state.parties.items()}
        assert proven == {"dso": False, "market": True}
        await world.told("dso", "POST", "/v1/orders", order("a", limit(1)))
