"""Every frame built is read by pymodbus as it was meant, and every reply that pymodbus builds settles its request."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from gateway.wire.modbus import Broken, Exchange, Refused, Registers, Written

units = st.integers(0, 255)
transactions = st.integers(0, 0xFFFF)
words = st.integers(0, 0xFFFF)


def as_server(frame: bytes) -> ModbusPDU:
    used, pdu = FramerSocket(DecodePDU(is_server=True)).handleFrame(frame, 0, 0)
    assert used == len(frame)
    assert pdu is not None
    return pdu


def from_server(reply: ModbusPDU, request: ModbusPDU) -> bytes:
    reply.transaction_id, reply.dev_id = request.transaction_id, request.dev_id
    return FramerSocket(DecodePDU(is_server=True)).buildFrame(reply)


def octets(registers: list[int]) -> bytes:
    return struct.pack(f">{len(registers)}H", *registers)


@given(unit=units, first=transactions, registers=st.lists(words, min_size=1, max_size=125), data=st.data())
def test_a_read_and_its_reply(unit: int, first: int, registers: list[int], data: st.DataObject) -> None:
    address = data.draw(st.integers(0, 0x10000 - len(registers)))
    exchange = Exchange(first_transaction=first)
    request = as_server(exchange.read(unit, address, len(registers)))
    assert isinstance(request, ReadHoldingRegistersRequest)
    assert (request.transaction_id, request.dev_id) == (first, unit)
    assert (request.address, request.count) == (address, len(registers))
    reply = from_server(ReadHoldingRegistersResponse(registers=registers), request)
    assert exchange.feed(reply) == [Registers(first, octets(registers))]
    assert exchange.outstanding == ()


@given(unit=units, first=transactions, registers=st.lists(words, min_size=1, max_size=123), data=st.data())
def test_a_write_and_its_echo(unit: int, first: int, registers: list[int], data: st.DataObject) -> None:
    address = data.draw(st.integers(0, 0x10000 - len(registers)))
    exchange = Exchange(first_transaction=first)
    request = as_server(exchange.write(unit, address, octets(registers)))
    assert isinstance(request, WriteMultipleRegistersRequest)
    assert (request.transaction_id, request.dev_id) == (first, unit)
    assert (request.address, request.count, request.registers) == (address, len(registers), registers)
    assert request.byte_count == 2 * len(registers)
    reply = from_server(WriteMultipleRegistersResponse(address=address, count=len(registers)), request)
    assert exchange.feed(reply) == [Written(first, address, len(registers))]


@given(unit=units, first=transactions, address=words, register=words)
def test_a_single_write_and_its_echo(unit: int, first: int, address: int, register: int) -> None:
    exchange = Exchange(first_transaction=first)
    request = as_server(exchange.write_one(unit, address, register))
    assert isinstance(request, WriteSingleRegisterRequest)
    assert (request.dev_id, request.address, request.registers) == (unit, address, [register])
    reply = from_server(WriteSingleRegisterResponse(address=address, registers=[register]), request)
    assert exchange.feed(reply) == [Written(first, address, 1)]


@pytest.mark.parametrize("function", [3, 16, 6])
@given(code=st.integers(0, 255))
def test_an_exception_is_a_value(function: int, code: int) -> None:
    exchange = Exchange()
    frames = {3: lambda: exchange.read(1, 0, 2), 16: lambda: exchange.write(1, 0, b"abcd")}
    request = as_server(frames.get(function, lambda: exchange.write_one(1, 0, 7))())
    [outcome] = exchange.feed(from_server(ExceptionResponse(function, code), request))
    assert isinstance(outcome, Refused)
    assert (outcome.transaction, outcome.code) == (1, code)
    assert exchange.outstanding == ()
    assert exchange.broken is None


def test_codes_are_named_and_sorted_into_permanent_and_transient() -> None:
    assert {code for code in range(256) if Refused(1, code).transient} == {5, 6, 8, 10, 11}
    assert Refused(1, 2).name == "illegal data address"
    assert Refused(1, 11).name == "gateway target device failed to respond"
    assert Refused(1, 99).name == "exception code 99"


def test_transactions_advance_and_wrap() -> None:
    exchange = Exchange(first_transaction=0xFFFE)
    seen = []
    for _ in range(4):
        frame = exchange.write_one(1, 5, 6)
        seen.append(exchange.transaction)
        assert exchange.outstanding == (exchange.transaction,)
        assert exchange.feed(frame) == [Written(exchange.transaction, 5, 1)]
    assert seen == [0xFFFE, 0xFFFF, 0, 1]


def test_one_request_at_a_time() -> None:
    exchange = Exchange()
    exchange.read(1, 0, 1)
    with pytest.raises(RuntimeError, match="outstanding"):
        exchange.read(1, 0, 1)
    exchange.abandon(exchange.transaction)
    exchange.read(1, 0, 1)


def test_a_deeper_exchange_settles_in_any_order() -> None:
    exchange = Exchange(depth=2)
    first, second = exchange.write_one(1, 5, 6), exchange.write_one(1, 7, 8)
    assert exchange.feed(second + first) == [Written(2, 7, 1), Written(1, 5, 1)]


def test_a_transaction_that_still_waits_is_not_given_again() -> None:
    exchange = Exchange(depth=2)
    oldest = exchange.write_one(1, 5, 6)
    for _ in range(0xFFFF):
        exchange.write_one(1, 7, 8)
        exchange.abandon(exchange.transaction)
    exchange.write_one(1, 7, 8)
    assert exchange.outstanding == (1, 2)
    assert exchange.feed(oldest) == [Written(1, 5, 1)]


def test_what_modbus_cannot_carry_is_refused_before_it_is_sent() -> None:
    exchange = Exchange()
    builds: list[Callable[[], bytes]] = [
        lambda: exchange.read(1, 0, 0),
        lambda: exchange.read(1, 0, 126),
        lambda: exchange.read(256, 0, 1),
        lambda: exchange.read(1, 0xFFFF, 2),
        lambda: exchange.read(1, -1, 2),
        lambda: exchange.write(1, 0, b""),
        lambda: exchange.write(1, 0, b"abc"),
        lambda: exchange.write(1, 0, bytes(248)),
        lambda: exchange.write_one(1, 0, 0x10000),
        lambda: Exchange(depth=0).read(1, 0, 1),
    ]
    for build in builds:
        with pytest.raises(ValueError, match=r"\d"):
            build()
    assert exchange.outstanding == ()


def test_nothing_is_sent_on_a_broken_stream() -> None:
    exchange = Exchange()
    exchange.read(1, 0, 1)
    assert isinstance(exchange.feed(b"HTTP/1.1 400")[-1], Broken)
    with pytest.raises(RuntimeError, match="new connection"):
        exchange.read(1, 0, 1)
