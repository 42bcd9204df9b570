"""RTU frames over TCP against pymodbus, and that no reply is taken that RTU does not vouch for."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sunspec_bench import Bank, at, desk, until
from sunspec_peer import held, rtu_bridge

from gateway.core.events import Adopted, LinkDown, LinkUp
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import connection, link
from gateway.southbound.sunspec_modbus.config import Framing
from gateway.wire.modbus import Broken, Refused, Registers, RtuExchange, Written
from gateway.wire.modbus.rtu import crc

# unit 17 reads 107..109 and writes 0x000A, 0x0102 to registers 2 and 3; CRCs by pymodbus' framer, see below
READ = bytes.fromhex("1103006b00037687")
REPLY = bytes.fromhex("110306022b00640057")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "READ_BACK_S", 0.0)
    monkeypatch.setattr(connection, "REPLY_S", 0.4)
    monkeypatch.setattr(link, "BACKOFF_S", (0.01, 0.05, 0.1, 0.2, 0.4))


def test_frames_are_as_another_library_makes_them() -> None:
    from pymodbus.framer import FramerRTU  # noqa: PLC0415 - the judge of this test alone

    theirs: Any = FramerRTU
    for octets in (b"\x11\x03\x00\x6b\x00\x03", bytes(range(200)), b""):
        assert crc(octets) == theirs.compute_CRC(octets).to_bytes(2)
    made = RtuExchange()
    assert made.read(17, 107, 3) == READ
    [reply] = made.feed(REPLY + crc(REPLY))
    assert reply == Registers(1, REPLY[3:])


def test_a_write_and_a_refusal_are_settled() -> None:
    made = RtuExchange()
    frame = made.write(17, 2, bytes.fromhex("000a0102"))
    assert frame[:-2] == bytes.fromhex("11100002000204000a0102")
    echo = bytes.fromhex("111000020002")
    assert made.feed(echo + crc(echo)) == [Written(1, 2, 2)]
    frame = made.write_one(17, 2, 7)
    assert made.feed(frame) == [Written(2, 2, 1)]
    made.read(17, 0, 1)
    refusal = b"\x11\x83\x02"
    assert made.feed(refusal + crc(refusal)) == [Refused(3, 2)]


@pytest.mark.parametrize("cut", range(1, len(REPLY) + 2))
def test_a_reply_may_come_in_two_pieces(cut: int) -> None:
    made = RtuExchange()
    made.read(17, 107, 3)
    whole = REPLY + crc(REPLY)
    assert made.feed(whole[:cut]) == []
    assert made.feed(whole[cut:]) == [Registers(1, REPLY[3:])]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"\x12" + REPLY[1:], "unit 18 answers for unit 17"),
        (b"\x11\x04" + REPLY[2:], "function 4 answers function 3"),
        (b"\x11\x03\x04\x02\x2b\x00\x64", "byte count 4, not 6"),
        (REPLY[:5] + b"\xff" + REPLY[6:], ""),
        (b"\x00" + REPLY, "unit 0 answers for unit 17"),
    ],
)
def test_a_reply_that_does_not_fit_breaks_the_stream(reply: bytes, why: str) -> None:
    made = RtuExchange()
    made.read(17, 107, 3)
    frame = reply + (crc(reply) if why else crc(REPLY))
    [outcome] = made.feed(frame)
    assert outcome == Broken(why or "a reply of unit 17 whose CRC is wrong")
    assert made.feed(REPLY) == []
    with pytest.raises(RuntimeError, match="broken"):
        made.read(17, 107, 3)


def test_what_answers_nothing_breaks_the_stream() -> None:
    made = RtuExchange()
    assert made.feed(b"\x11") == [Broken("1 octets that answer nothing")]
    made = RtuExchange()
    made.read(17, 107, 3)
    assert made.feed(REPLY + crc(REPLY) + b"\0")[-1] == Broken("1 octets that answer nothing")


@given(pieces=st.lists(st.one_of(st.binary(max_size=12), st.sampled_from([REPLY + crc(REPLY), REPLY[:4]])), max_size=6))
def test_no_octets_are_taken_for_registers_unless_they_are_the_reply(pieces: list[bytes]) -> None:
    made = RtuExchange()
    made.read(17, 107, 3)
    outcomes = [outcome for piece in pieces for outcome in made.feed(piece)]
    whole = b"".join(pieces)
    good = whole.startswith(REPLY + crc(REPLY))
    assert [each for each in outcomes if isinstance(each, Registers)] == [Registers(1, REPLY[3:])] * good
    assert all(isinstance(each, Broken) for each in outcomes[1:])
    assert made.outstanding == (() if good or made.broken else (1,))


@pytest.mark.parametrize("unit", [0, 248])
def test_nothing_is_broadcast(unit: int) -> None:
    with pytest.raises(ValueError, match="is one device"):
        RtuExchange().read(unit, 0, 1)


async def test_a_bridge_of_serial_frames_is_found_told_and_read_back() -> None:
    banks = {7: Bank(), 9: Bank("legacy")}
    async with rtu_bridge(banks) as (server, port):
        tables = {"roof": at(port, unit=7, framing=Framing.RTU), "shed": at(port, unit=9, framing=Framing.RTU)}
        async with desk(tables) as made:
            await made.ear.until(LinkUp)
            await made.ear.until(LinkUp, device="shed")
            made.want()
            made.want(serial=2, device="shed")
            await made.ear.until(Adopted)
            await made.ear.until(Adopted, device="shed")
            assert await held(server, 7, banks[7], "704.WMaxLimPct") == 6_000
            assert await held(server, 9, banks[9], "123.WMaxLim_Ena") == 1
            assert not made.ear.of(LinkDown)


async def test_a_corrupt_frame_is_not_believed_and_the_unit_is_found_again() -> None:
    banks = {7: Bank()}
    corrupt = [0]

    async with rtu_bridge(banks) as (_server, port):

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while request := await reader.read(300):
                    far_writer.write(request)
                    reply = await far_reader.read(300)
                    if corrupt[0] and len(reply) > 100:
                        corrupt[0] -= 1
                        reply = reply[:20] + bytes((reply[20] ^ 1,)) + reply[21:]
                    writer.write(reply)
            finally:
                far_writer.close()
                writer.close()

        between = await asyncio.start_server(relay, "127.0.0.1", 0)
        near = at(between.sockets[0].getsockname()[1], unit=7, framing=Framing.RTU)
        async with between, desk({"roof": near}) as made:
            await made.ear.until(LinkUp)
            corrupt[0] = 1
            down = await made.ear.until(LinkDown)
            assert down.why == "a reply of unit 7 whose CRC is wrong"
            await made.ear.until(LinkUp, 2)
            await until(lambda: not corrupt[0])
