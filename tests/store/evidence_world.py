"""A day of trade on a small street, journalled: commitments, a reserve call, an override, a colour, a foreign hand."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import evidence, explain
from gateway.core.capacity import Commitment, Domain, Slice, Terms
from gateway.core.events import (
    Adopted,
    Coloured,
    CommitmentEnded,
    CommitmentHeard,
    Contact,
    Event,
    ForeignHand,
    LinkDown,
    LinkUp,
    Observed,
    OfferHeard,
    OrderHeard,
    Started,
    Tell,
    Tick,
    Write,
)
from gateway.core.functions import LIMITS, Function
from gateway.core.known import Known
from gateway.core.machine import Machine
from gateway.core.offers import Block, Offer
from gateway.core.orders import Ceiling, Each, Order, Rank, Reply, Scope, Target, Total
from gateway.core.orders import Effect as OrderEffect
from gateway.core.parties import Colour, Direction, Grant, Level, Party, Tier
from gateway.core.topology import Device, Group, Point, PointKind, Resource, Site
from gateway.core.units import Watts
from gateway.store import Entry, Journal

NOON_MS = 1_782_043_200_000
"""Noon of the longest day of 2026, UTC."""
HOUR_S = 3_600
DEVICES = {"roof": "house", "wall": "farm", "barn": "farm"}
TERMS = Terms(900, 300)
STREET = Site(
    "street",
    (
        Party("dso", Tier.DISTRIBUTION, limit_parent=True, rank=0),
        Party("tso", Tier.BULK, limit_parent=False, rank=1),
        Party("agg", Tier.CUSTOMER, limit_parent=False, rank=2),
    ),
    (
        Grant("dso", "envelope", Level.CONNECTION, LIMITS, "all"),
        Grant("tso", "reserve", Level.BULK_RELIABILITY, (Function.ACTIVE_POWER,), "all"),
        Grant("agg", "schedule", Level.MARKET, (Function.ACTIVE_POWER,), "all"),
    ),
    (Group("all", ("house", "farm")), Group("station", ("house", "farm"))),
    (
        Resource("house", ("roof",), 9_000, 1_500),
        Resource("farm", ("wall", "barn"), 9_000, 1_500),
    ),
    tuple(Device(name, own, 4_000, 10_000, 20_000, segment="west") for name, own in DEVICES.items()),
    points=(Point("station", PointKind.INTERFACE, ("house", "farm"), export_limit_w=20_000),),
)


def call(
    name: str,
    issuer: str,
    effect: OrderEffect,
    start_s: int,
    end_s: int,
    scope: Scope | None = None,
    service: str = "",
) -> OrderHeard:
    """Give an order, by seconds from noon, with every answer asked for."""
    times = (NOON_MS + start_s * 1000, NOON_MS + end_s * 1000)
    scope, rank = scope or Each("all"), Rank(1, NOON_MS)
    reply = Reply("/rsp", receipt=True, progress=True)
    return OrderHeard(
        Order(issuer, name, 0, scope, (effect,), *times, rank, NOON_MS, reply=reply, service=service),
    )


def target(w: int) -> Target:
    return Target(Watts(w))


def promise(name: str, start_s: int, end_s: int, *parts: Slice, buyer: str = "tso", created_s: int = 0) -> Commitment:
    """Give a promise of reserve by the aggregator, by seconds from noon."""
    return Commitment(
        "agg",
        name,
        buyer,
        "reserve",
        Level.BULK_RELIABILITY,
        reliability=True,
        slices=parts,
        direction=Direction.EXPORT,
        start_ms=NOON_MS + start_s * 1000,
        end_ms=NOON_MS + end_s * 1000,
        domain=Domain.CUSTOMER,
        terms=TERMS,
        created_ms=NOON_MS + created_s * 1000,
    )


class Street:
    """A machine whose devices do at once what they are told, up to what there is, and its journal."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal.open(folder, version="1", reserve_bytes=1 << 16)
        self.machine = Machine()
        self.entries: list[Entry] = []
        self.available_w = dict.fromkeys(DEVICES, 4_000)
        self.now_ms = NOON_MS - 60_000
        self.feed(Started(STREET))
        for name in DEVICES:
            self.feed(LinkUp(name, Known(4_000, self.now_ms), Known(4_000, self.now_ms)))
        for party in ("dso", "tso", "agg"):
            self.feed(Contact(party, 24 * HOUR_S * 1000))

    def feed(self, event: Event) -> None:
        """Handle an event; the devices do what comes of it and are read."""
        effects = list(self.machine.handle(event, self.now_ms))
        tells = tuple(effect for effect in effects if isinstance(effect, Tell))
        self.entries.append(Entry(self.now_ms, event, tells))
        for effect in effects:
            if isinstance(effect, Write):
                device = effect.cleared.command.device
                self.feed(Adopted(device, effect.cleared.serial))
                self.feed(self.read(device))

    def read(self, device: str) -> Observed:
        """Read what a device feeds now."""
        command = self.machine.state.devices[device].command
        w = self.available_w[device]
        if command is not None:
            w = min(w, command.limit_w, w if command.target_w is None else command.target_w)
        power, reactive, voltage = (Known(each, self.now_ms) for each in (w, 0, 230_000))
        return Observed(device, power, reactive, voltage, connected=True)

    def until(self, second: int, *events: Event) -> None:
        """Let time pass until so many seconds after noon, then feed these."""
        to_ms = NOON_MS + second * 1000
        while self.machine.next_change() <= to_ms:
            self.now_ms = max(self.now_ms, self.machine.next_change())
            self.feed(Tick())
        self.now_ms = to_ms
        for event in events:
            self.feed(event)

    def close(self) -> None:
        """Write everything down."""
        self.journal.commit(self.entries)
        self.journal.close()


def tells(street: Street) -> Iterator[Tell]:
    """Give every record."""
    return (tell for entry in street.entries for tell in entry.tells)


def day(folder: Path) -> Street:
    """Play the day and close its journal."""
    street = Street(folder)
    street.until(0)
    street.until(60, CommitmentHeard(promise("c1", 1800, 5400, Slice("roof", 2_000), Slice("wall", 1_000))))
    street.until(61, CommitmentHeard(promise("c2", 1800, 3600, Slice("roof", 1_000), buyer="dso", created_s=1)))
    street.until(62, CommitmentHeard(promise("c3", 7200, 9000, Slice("roof", 9_000))))
    street.until(63, CommitmentHeard(promise("c4", 7200, 9000, Slice("barn", 500))))
    street.until(64, CommitmentEnded("agg", "c4"))
    limit = Ceiling(Function.EXPORT_LIMIT, Watts(8_000))
    street.until(100, call("limit-8", "dso", limit, 120, 10_000), call("bid-1", "agg", target(1_500), 600, 5_000))
    street.until(1_700, call("reserve-1", "tso", target(2_500), 1_800, 3_600))
    until_ms = NOON_MS + 3_000_000
    street.until(2_400, Coloured("dso", "west", Colour.AMBER, None, until_ms), ForeignHand("barn", "its limit is 0 W"))
    street.until(2_700, LinkDown("wall", "no reply within 3 s"))
    street.until(2_900, LinkUp("wall", Known(4_000, 0), Known(4_000, 0)), street.read("wall"))
    rest = 2_000
    blocks = (Block(1_000, 20_000), Block(rest, 40_000))
    times = (NOON_MS + 7_200_000, NOON_MS + 9_000_000)
    street.until(5_500, OfferHeard(Offer("agg", "o1", 0, "reserve", Direction.EXPORT, ("house",), blocks, *times)))
    street.until(7_100, call("aggregate", "tso", target(2_000), 7_200, 8_100, Total("station")))
    street.until(9_100)
    street.close()
    return street


def command(*words: str | Path) -> int:
    """Run a command as the command line would."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    explain.register(commands)
    evidence.register(commands)
    args = parser.parse_args([str(word) for word in words])
    code: int = args.run(args)
    return code


def shown(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Any:
    """Give what a command prints as JSON."""
    assert command(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)
