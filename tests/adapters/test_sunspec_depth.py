"""Reads that go out ahead of their answers, to a device that is said to bear that, and to no other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from sunspec_bench import RATE, RATED_W, Bank, Ear, at, clock_at, desk, one_frame, until
from sunspec_peer import rtu_bridge

from gateway.core.events import Adopted, LinkDown, LinkUp
from gateway.ports.south import Lease
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import SunspecModbus, build, connection, link
from gateway.southbound.sunspec_modbus.config import Framing
from gateway.southbound.sunspec_modbus.profiles import Catalogue, ProfileFault, read
from gateway.wire.modbus import RtuExchange

ANSWER_S = 0.02
READ = 3
BUSY = 6
TRUE_W = 4_000
MEASURED = 115
JOINED = 73
"""The reads of a poll: what it measures, and across two models what it was told."""

Answer = Callable[[bytes], None]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "BACKOFF_S", (0.01, 0.05, 0.1))


class Overlapping:
    """A server that takes every request at once and answers it `ANSWER_S` later, or as `reply` has it.

    `depths` are how many were outstanding with each request that came, `beside_write` those beside any write.
    """

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self.waiting: list[bytes] = []
        self.depths: list[int] = []
        self.beside_write: list[int] = []
        self.asked: list[tuple[int, int]] = []
        self.connections = self.port = 0
        self.reply: Callable[[bytes, Answer], None] = self.later

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take requests until the client goes."""
        self.connections += 1
        self.waiting.clear()
        while frame := await one_frame(reader):
            self.waiting.append(frame)
            self.depths.append(len(self.waiting))
            self.asked.append((int.from_bytes(frame[8:10]), int.from_bytes(frame[10:12])))
            if any(each[7] != READ for each in self.waiting):
                self.beside_write.append(len(self.waiting) - 1)
            self.reply(frame, writer.write)
        writer.close()

    def later(self, frame: bytes, answer: Answer) -> None:
        """Answer after a while."""
        asyncio.get_running_loop().call_later(ANSWER_S, self.now, frame, answer)

    def now(self, frame: bytes, answer: Answer) -> None:
        """Answer by the registers as they are."""
        if frame in self.waiting:
            self.waiting.remove(frame)
            answer(self.good(frame))

    def swapped(self, _frame: bytes, answer: Answer) -> None:
        """Answer what came together in the reverse order, in two parts that end in the middle of a reply."""

        def answer_all() -> None:
            replies = b"".join(self.good(each) for each in reversed(self.waiting))
            self.waiting.clear()
            answer(replies[:20])
            asyncio.get_running_loop().call_later(ANSWER_S, answer, replies[20:])

        if len(self.waiting) == 1:
            asyncio.get_running_loop().call_later(ANSWER_S, answer_all)

    def good(self, frame: bytes) -> bytes:
        """Give the good reply."""
        address, count = int.from_bytes(frame[8:10]), int.from_bytes(frame[10:12])
        if frame[7] == READ:
            octets = self._bank.read(address, count)
            told = b"\x83\2" if octets is None else bytes((READ, len(octets))) + octets
        else:
            code = self._bank.write(frame[7], address, frame[13:])
            told = bytes((0x80 | frame[7], code)) if code else frame[7:12]
        return frame[:4] + (len(told) + 1).to_bytes(2) + frame[6:7] + told

    async def more(self, requests: int) -> list[int]:
        """Wait for so many more requests; give how many came together each time, but for the first and last time."""
        since = len(self.depths)
        await until(lambda: len(self.depths) >= since + requests)
        starts = [at for at in range(since, len(self.depths)) if self.depths[at] == 1]
        return [after - at for at, after in pairwise(starts)]


@asynccontextmanager
async def overlapping(bank: Bank) -> AsyncIterator[Overlapping]:
    """Serve a bank so until the end of the context."""
    made = Overlapping(bank)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def refusing_joins(server: Overlapping, reply: Callable[[bytes, Answer], None]) -> Callable[[bytes, Answer], None]:
    """Give a reply that refuses to read across models, so that a poll has three blocks."""

    def answered(frame: bytes, answer: Answer) -> None:
        if frame[7] == READ and int.from_bytes(frame[10:12]) == JOINED:
            server.waiting.remove(frame)
            answer(frame[:4] + b"\0\3" + frame[6:7] + b"\x83\2")
        else:
            reply(frame, answer)

    return answered


@pytest.mark.parametrize(("depth", "together"), [(None, 1), (1, 1), (4, 3), (16, 3)])
async def test_a_poll_waits_for_as_many_answers_as_the_depth_leaves(depth: int | None, together: int) -> None:
    async with overlapping(Bank()) as server:
        server.reply = refusing_joins(server, server.later)
        async with desk({"roof": SunspecModbus("127.0.0.1", server.port, poll_s=1, depth=depth)}) as made:
            await made.ear.until(LinkUp)
            await server.more(12)
            waits = await server.more(30)
            assert max(server.depths) == min(depth or 1, 3)
            assert waits.count(together) > len(waits) / 2
            assert made.ear.of(LinkDown) == []


@pytest.mark.parametrize("block_max", [125, 60, 20])
async def test_replies_in_another_order_are_each_taken_for_their_own_request(block_max: int) -> None:
    bank = Bank()
    bank.set(m701_W=TRUE_W)
    async with overlapping(bank) as server:
        server.reply = server.swapped
        async with desk({"roof": at(server.port, depth=8, block_max=block_max)}) as made:
            made.want()
            await made.ear.until(Adopted)
            await server.more(30)
            assert max(server.depths) > 1
            assert set(made.ear.powers()) == {TRUE_W}
            assert made.ear.of(LinkDown) == []


async def test_no_more_are_on_their_way_than_the_depth_says() -> None:
    async with overlapping(Bank()) as server, desk({"roof": at(server.port, depth=3, block_max=20)}) as made:
        await made.ear.until(LinkUp)
        await server.more(40)
        assert (max(server.depths), server.connections) == (3, 1)


async def test_nothing_ever_goes_ahead_of_an_answer_unless_somebody_says_so() -> None:
    async with overlapping(Bank()) as server, desk({"roof": at(server.port, block_max=20)}) as made:
        for serial in range(1, 4):
            made.want(serial, limit_w=4_000 - 100 * serial)
            await made.ear.until(Adopted, serial)
        await server.more(40)
        assert (set(server.depths), set(server.beside_write)) == ({1}, {0})


async def test_a_write_waits_until_every_read_is_answered() -> None:
    async with overlapping(Bank()) as server, desk({"roof": at(server.port, depth=8, block_max=20)}) as made:
        await made.ear.until(LinkUp)
        for serial in range(1, 9):
            await until(lambda: server.depths[-1] > 2)
            made.want(serial, limit_w=4_000 - 100 * serial)
            await made.ear.until(Adopted, serial)
        assert len(server.beside_write) >= 8
        assert set(server.beside_write) == {0}


@pytest.mark.parametrize("every", [5, 7])
async def test_a_scale_factor_that_moves_among_reads_sent_ahead_moves_no_reading(every: int) -> None:
    bank, reads = Bank(), [0]

    def move(_address: int, _count: int) -> None:
        reads[0] += 1
        scale = reads[0] // every % 2
        bank.set(m701_W_SF=scale, m701_W=TRUE_W // 10**scale)

    bank.before_read = move
    async with overlapping(bank) as server:
        server.reply = server.swapped
        async with desk({"roof": at(server.port, depth=8, block_max=60)}) as made:
            await until(lambda: reads[0] > 15 * every)
            assert set(made.ear.powers()) == {TRUE_W}
            assert max(server.depths) > 1


def silent(server: Overlapping, frame: bytes, answer: Answer) -> None:
    """Answer nothing."""


def doubled(server: Overlapping, frame: bytes, answer: Answer) -> None:
    """Answer twice."""
    reply = server.good(frame)
    answer(reply + reply)


def foreign(server: Overlapping, frame: bytes, answer: Answer) -> None:
    """Answer a request that nobody made, with zeros, before the right one."""
    reply = server.good(frame)
    answer(b"\xfe\xdc" + reply[2:9] + bytes(len(reply) - 9) + reply)


def exchanged(server: Overlapping, frame: bytes, answer: Answer) -> None:
    """Answer with the transaction of the request before, of another length."""
    before = int.from_bytes(frame[:2]) - 1
    answer(before.to_bytes(2) + server.good(frame)[2:])


def beside(server: Overlapping, frame: bytes, answer: Answer) -> None:
    """Answer for another unit."""
    reply = server.good(frame)
    answer(reply[:6] + b"\x09" + reply[7:9] + bytes(len(reply) - 9))


@pytest.mark.parametrize("fault", [silent, doubled, foreign, exchanged, beside])
async def test_one_reply_that_is_not_right_loses_the_device_and_is_not_believed(
    fault: Callable[[Overlapping, bytes, Answer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REPLY_S", 1.0)
    bank = Bank()
    bank.set(m701_W=TRUE_W)
    async with overlapping(bank) as server:
        faults = [False]

        def reply(frame: bytes, answer: Answer) -> None:
            if faults[0] and len(server.waiting) == 2:
                faults[0] = False
                fault(server, frame, answer)
            else:
                server.later(frame, answer)

        server.reply = reply
        async with desk({"roof": at(server.port, depth=4)}) as made:
            made.want()
            await made.ear.until(Adopted)
            await server.more(8)
            faults[0] = True
            down = await made.ear.until(LinkDown)
            assert ("no reply within" in down.why) == (fault is silent)
            await made.ear.until(LinkUp, 2)
            assert max(await server.more(12)) == 2
            assert set(made.ear.powers()) == {TRUE_W}
            assert (server.connections, len(made.ear.of(LinkDown))) == (2, 1)


async def test_a_device_that_answers_only_the_last_of_several_is_lost_once_and_then_asked_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "REPLY_S", 1.0)
    async with overlapping(Bank()) as server:

        def only_the_last(frame: bytes, answer: Answer) -> None:
            del server.waiting[:-1]
            server.later(frame, answer)

        server.reply = only_the_last
        async with desk({"roof": at(server.port, depth=4)}) as made:
            await made.ear.until(LinkUp)
            assert set(await server.more(20)) == {1}
            assert server.connections == 2


async def test_a_device_that_is_busy_with_the_first_of_several_is_asked_in_turn() -> None:
    async with overlapping(Bank()) as server:

        def busy(frame: bytes, answer: Answer) -> None:
            if len(server.waiting) == 1:
                server.later(frame, answer)
            else:
                server.waiting.remove(frame)
                answer(frame[:4] + b"\0\3" + frame[6:7] + bytes((0x83, BUSY)))

        server.reply = busy
        async with desk({"roof": at(server.port, depth=4)}) as made:
            await made.ear.until(LinkUp)
            assert set(await server.more(20)) == {1}
            assert max(server.depths) == 2
            assert (server.connections, made.ear.of(LinkDown)) == (1, [])


@pytest.mark.parametrize("rest", [{"gap_ms": 1}, {"connect_pause_ms": 1}])
async def test_a_line_with_rests_takes_one_request_at_a_time_whatever_the_depth(rest: dict[str, int]) -> None:
    async with overlapping(Bank()) as server, desk({"roof": at(server.port, depth=8, block_max=20, **rest)}) as made:
        await made.ear.until(LinkUp)
        await server.more(20)
        assert set(server.depths) == {1}


async def test_units_that_share_a_line_are_asked_one_request_at_a_time_whatever_the_depth() -> None:
    async with overlapping(Bank()) as server:
        tables = {name: at(server.port, unit=unit, depth=8, block_max=20) for name, unit in (("roof", 1), ("shed", 2))}
        async with desk(tables) as made:
            await made.ear.until(LinkUp)
            await made.ear.until(LinkUp, device="shed")
            await server.more(20)
            assert set(server.depths) == {1}


async def test_frames_without_transactions_go_one_at_a_time_whatever_the_depth() -> None:
    bank = Bank()
    async with rtu_bridge({1: bank}) as (_, port), desk({"roof": at(port, framing=Framing.RTU, depth=8)}) as made:
        made.want()
        await made.ear.until(Adopted)
        assert made.ear.of(LinkDown) == []
    door = connection.Connection(1, made.links.shared, RtuExchange(), lambda: None, lambda _why: None)
    door.deepen(8)
    assert door.depth == 1


FAMILY = {
    "about": "one that bears four",
    "match": [{"manufacturer": ".*"}],
    "quirk": [{"what": "it bears four", "source": ["https://example.org/1"], "sets": {"depth": 4}}],
}


@pytest.mark.parametrize(("said", "most"), [(None, 3), (1, 1), (2, 2)])
async def test_the_depth_of_the_family_holds_unless_the_table_says_another(said: int | None, most: int) -> None:
    clock, ear = clock_at(RATE), Ear()
    async with overlapping(Bank()) as server:
        table = SunspecModbus("127.0.0.1", server.port, poll_s=1, block_max=50, depth=said)
        profiles = Catalogue((read("four", FAMILY),))
        links = build({"roof": (table, RATED_W)}, clock, ear, Lease(clock), may_write=False, profiles=profiles)
        running = asyncio.create_task(links.run())
        try:
            await ear.until(LinkUp)
            await server.more(20)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert max(server.depths) == most


@pytest.mark.parametrize("depth", [0, 17, True, "4"])
def test_a_profile_cannot_say_a_depth_beyond_16(depth: object) -> None:
    quirk = {**FAMILY["quirk"][0], "sets": {"depth": depth}}  # type: ignore[dict-item] # a table of mixed values
    with pytest.raises(ProfileFault, match="a whole number from 1 to 16"):
        read("four", {**FAMILY, "quirk": [quirk]})
