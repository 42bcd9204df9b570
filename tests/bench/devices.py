"""The devices of a benchmark, in a process of their own: registers as hil lays them out, and when they were written.

`python -m tests.bench.devices COUNT [monitored]` prints the ports and then answers one JSON line to each that it reads.
Every device has two units that share no register: 1 is for the gateway, 2 for the floor. Those that are only to be
monitored end their map after model 702. Times are CLOCK_MONOTONIC in ns.

N devices stand for N computers, each of which takes a request when it arrives. One process cannot, so it notes whatever
has arrived before it replies to any, and stays awake while a burst is under way; with hil's own servers, which judge
every register and reply at once, they would be what is measured.
"""

import errno
import gc
import json
import math
import os
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from hil.sunspec.generation_2018 import Generation2018
from hil.sunspec.personality import InverterSpec
from hil.sunspec.register_image import Image, Layout, layout_of

from .streams import Line, say

RATED_W: Final = 5_000
BASE: Final = 40_000
OURS, FLOOR = 1, 2
UNITS: Final = (OURS, FLOOR)
LOOK_S: Final = 0.005
REPLIES_AT_ONCE: Final = 8
READ, WRITE_MANY = 3, 16
SPEC: Final = InverterSpec(name="any", rated_w=RATED_W, light=True)
END_OF_MAP: Final = b"\xff\xff\0\0"
WOBBLE_W: Final = 10
STEP_W: Final = 100
_request = Struct(">HHHBBHH").unpack_from
_reply = Struct(">HHHBB").pack
REQUEST_SIZE: Final = 12


@dataclass(slots=True)
class Awaited:
    """A limit that is to come to every device, and what has come of it."""

    hundredths: int
    arrived_ns: list[int] = field(default_factory=list)
    told: bytes = b""


@dataclass(slots=True)
class Polls:
    """The polls of all devices since they were last told of, and how far each is from the one before of its device.

    Power moves by less than a dead band at every poll, and past it at every so many; where that is 0 it stays.
    """

    moves_every: int = 0
    count: int = 0
    gaps_ns: list[int] = field(default_factory=list)


class Device:
    """Registers without rules and without time: a write is noted with its instant, and power follows the limit."""

    __slots__ = ("_limit_at", "_most_w", "_polls", "_power", "_power_at", "awaited", "control", "polled_ns", "words")

    def __init__(self, words: bytes, layout: Layout) -> None:
        self.words = bytearray(words)
        self._limit_at = 2 * layout.registers["704.WMaxLimPct"].offset
        self._power_at = 2 * layout.registers["701.W"].offset
        self._power = BASE + layout.registers["701.W"].offset
        self._most_w = RATED_W
        self._polls = 0
        self.polled_ns = 0
        self.control = BASE + layout.registers["704.WMaxLimPctEna"].offset
        self.awaited: Awaited | None = None

    def write(self, address: int, payload: bytes, now_ns: int) -> None:
        """Take these registers, and note when a limit came that is waited for."""
        start = 2 * (address - BASE)
        self.words[start : start + len(payload)] = payload
        if address != self.control:
            return
        hundredths = int.from_bytes(self.words[self._limit_at : self._limit_at + 2], "big")
        self._most_w = RATED_W * hundredths // 10_000
        self._show(self._most_w)
        awaited = self.awaited
        if awaited is not None and awaited.hundredths == hundredths:
            awaited.arrived_ns.append(now_ns)
            self.awaited, awaited.told = None, payload

    def _show(self, power_w: int) -> None:
        self.words[self._power_at : self._power_at + 2] = power_w.to_bytes(2, "big")

    def read(self, address: int, quantity: int, polls: Polls, now_ns: int) -> None:
        """Count a read as a poll where it holds the power, which then moves."""
        if not address <= self._power < address + quantity:
            return
        polls.count += 1
        if self.polled_ns:
            polls.gaps_ns.append(now_ns - self.polled_ns)
        self.polled_ns = now_ns
        if polls.moves_every:
            self._polls += 1
            step_w = STEP_W * (self._polls // polls.moves_every % 2)
            self._show(max(0, self._most_w - self._polls % WOBBLE_W - step_w))

    def answer(self, request: bytes) -> bytes:
        """Build the reply to a read or a write."""
        transaction, _protocol, _length, unit, function, address, quantity = _request(request)
        if function == WRITE_MANY:
            return _reply(transaction, 0, 6, unit, function) + request[8:12]
        start = 2 * (address - BASE)
        octets = self.words[start : start + 2 * quantity]
        return _reply(transaction, 0, 3 + len(octets), unit, function) + bytes((len(octets),)) + octets


def make(count: int, *, monitored: bool = False) -> list[dict[int, Device]]:
    """Make the units of so many devices, all alike and as hil's own inverters are at their start."""
    generation = Generation2018()
    layout = layout_of(generation.models, generation.scale_factors(SPEC))
    start = generation.at_start(SPEC) | {"701.W": RATED_W, "701.LNV": SPEC.nominal_v, "701.ConnSt": 1, "701.Var": 0}
    words = Image(layout, BASE, start, {}).read(BASE, len(layout.template) // 2 + 2) or b""
    if monitored:
        end = 2 * layout.registers["703.ID"].offset
        words = words[:end] + END_OF_MAP
    return [{unit: Device(words, layout) for unit in UNITS} for _ in range(count)]


class Street:
    """All devices behind one loop; each listens on a port of its own."""

    def __init__(self, count: int, *, monitored: bool = False) -> None:
        self._devices = make(count, monitored=monitored)
        self._polls = Polls()
        self._epoll = select.epoll()
        self._listening: dict[int, tuple[socket.socket, dict[int, Device]]] = {}
        self._talking: dict[int, tuple[socket.socket, dict[int, Device]]] = {}
        self._waiting: deque[tuple[int, Device, bytes]] = deque()
        self._awaited = Awaited(-1)
        self._collecting = self._awake = False
        self._until_s = 0.0
        self._ended = False
        self._orders = b""
        for units in self._devices:
            listening = socket.create_server(("127.0.0.1", 0))
            listening.setblocking(False)
            self._listening[listening.fileno()] = (listening, units)
            self._epoll.register(listening.fileno(), select.EPOLLIN)
        self._epoll.register(sys.stdin.fileno(), select.EPOLLIN)

    @property
    def ports(self) -> list[int]:
        """Where the devices listen."""
        return [listening.getsockname()[1] for listening, _units in self._listening.values()]

    def run(self) -> None:
        """Serve until standard input ends."""
        while not self._ended:
            patience_s = 0.0 if self._waiting or self._awake else LOOK_S if self._collecting else -1
            for number, _what in self._epoll.poll(patience_s, 4096):
                if number in self._talking:
                    self._take(number)
                elif number in self._listening:
                    self._accept(number)
                else:
                    self._obey()
            for _ in range(min(REPLIES_AT_ONCE, len(self._waiting))):
                self._reply()
            if self._collecting:
                self._collect()

    def _accept(self, number: int) -> None:
        listening, units = self._listening[number]
        opened, _address = listening.accept()
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._talking[opened.fileno()] = (opened, units)
        self._epoll.register(opened.fileno(), select.EPOLLIN)

    def _take(self, number: int) -> None:
        opened, units = self._talking[number]
        try:
            request = opened.recv(1024)
        except OSError:
            request = b""
        now_ns = time.monotonic_ns()
        if len(request) < REQUEST_SIZE or request[6] not in units:
            self._epoll.unregister(number)
            del self._talking[number]
            opened.close()
            return
        device = units[request[6]]
        if request[7] == WRITE_MANY:
            device.write(int.from_bytes(request[8:10], "big"), request[13:], now_ns)
        else:
            device.read(
                int.from_bytes(request[8:10], "big"), int.from_bytes(request[10:12], "big"), self._polls, now_ns
            )
        self._waiting.append((number, device, request))

    def _reply(self) -> None:
        number, device, request = self._waiting.popleft()
        if number not in self._talking:
            return
        try:
            self._talking[number][0].send(device.answer(request))
        except OSError as fault:
            if fault.errno not in {errno.EPIPE, errno.ECONNRESET}:
                raise

    def _obey(self) -> None:
        received = os.read(sys.stdin.fileno(), 1 << 16)
        self._ended = not received
        *orders, self._orders = (self._orders + received).split(b"\n")
        for order in orders:
            self._do(json.loads(order))

    def _do(self, order: Line) -> None:
        if "watch" in order:
            self._awaited = Awaited(order["watch"])
            for units in self._devices:
                units[order["unit"]].awaited = self._awaited
            say({"control": self._devices[0][order["unit"]].control})
        elif "moves_every" in order:
            say(self._counted(time.monotonic_ns(), order["late_s"]))
            self._polls = Polls(order["moves_every"])
        else:
            self._collecting, self._awake = True, order["awake"]
            self._until_s = time.monotonic() + order["patience_s"]

    def _counted(self, now_ns: int, late_s: float) -> Line:
        """Give the polls so far: how many, 99 % of the gaps between them and the longest; one overdue is a gap, too."""
        waiting_ns = [now_ns - device.polled_ns for units in self._devices for device in [units[OURS]]]
        gaps_ns = sorted(self._polls.gaps_ns + [gap_ns for gap_ns in waiting_ns if gap_ns > late_s * 1e9])
        ranked = gaps_ns[math.ceil(0.99 * len(gaps_ns)) - 1] if gaps_ns else 0
        return {"polls": self._polls.count, "p99_s": ranked / 1e9, "most_s": max(gaps_ns, default=0) / 1e9}

    def _collect(self) -> None:
        """Once all devices were told, say when; what has not come in time does not come."""
        told = len(self._awaited.arrived_ns) == len(self._devices)
        if not told and time.monotonic() < self._until_s:
            return
        self._collecting = self._awake = False
        say({"arrived_ns": self._awaited.arrived_ns, "all": told, "told": self._awaited.told.hex()})


def main() -> None:
    street = Street(int(sys.argv[1]), monitored="monitored" in sys.argv[2:])
    gc.collect()
    gc.disable()
    say({"ports": street.ports})
    street.run()


if __name__ == "__main__":
    main()
