"""A gateway that registers its resources itself, with a server that expects one of them and not the other."""

import logging
from itertools import pairwise
from pathlib import Path

import pytest
from procedure_client import Gateway
from procedure_clock import Requests, SteppedClock
from procedure_play import NOON_MS
from procedure_server import ProcedureServer

from gateway.pki import issue

POLL_S = 60
ROUNDS = 5


async def test_what_is_refused_is_said_once_and_asked_again_at_the_poll_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "gateway.northbound.sep2_client")
    issue.init(tmp_path, ("gateway", "utility"))
    requests, clock = Requests(monkeypatch), SteppedClock(NOON_MS)
    server = ProcedureServer(clock, tmp_path, Gateway.own_lfdi(tmp_path), 1, lambda *_request: None)
    server.utility.registered = False
    server.act("set-comms-rate", {"dcap_poll_seconds": POLL_S, "edev_list_poll_seconds": POLL_S})
    await server.start()
    gateway = Gateway(clock, tmp_path, server.url, server.lfdi, houses=2, ders=1)
    gateway.registers = True
    gateway.start()
    try:
        end_ms = NOON_MS + 1000 * POLL_S * ROUNDS - 1
        while clock.now_ms() < end_ms:
            await requests.settle()
            due_ms = [gateway.next_ms(), clock.next_ms() or end_ms, end_ms]
            clock.advance(max(min(due_ms), clock.now_ms() + 1))
            gateway.turn()
        posts = [one for one in server.requests if (one[1], one[2]) == ("POST", "/edev")]
    finally:
        await gateway.stop()
        await server.stop()
    assert [post[3] for post in posts] == [201] + (len(posts) - 1) * [403]
    refused_s = [post[0] // 1000 for post in posts[1:]]
    gaps_s = [later - earlier for earlier, later in pairwise(refused_s)]
    assert len(gaps_s) >= ROUNDS - 1
    assert POLL_S / 4 <= gaps_s[0] <= POLL_S * 5 / 4, "each gateway takes a phase of its own first"
    assert all(abs(gap_s - POLL_S) <= 1 for gap_s in gaps_s[1:])
    told = [record.message for record in caplog.records if "is not registered" in record.message]
    assert told == ["utility: house-2 is not registered: status 403; ask for it to be"]
