"""`gateway discover` against a responder of multicast DNS that shares no code with it."""

import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from gateway.cli import main

KIND = "_smartenergy._tcp.local"
PTR, TXT, SRV, A, AAAA = 12, 16, 33, 1, 28
Zone = Mapping[tuple[str, int], list[bytes]]


def written(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def text(*pairs: str) -> bytes:
    return b"".join(bytes([len(pair)]) + pair.encode() for pair in pairs)


def place(host: str, port: int) -> bytes:
    return struct.pack("!3H", 0, 0, port) + written(host)


def zone(*pairs: str, name: str = "dso", address: bytes = bytes([127, 0, 0, 1])) -> dict[tuple[str, int], list[bytes]]:
    instance = f"{name}.{KIND}"
    return {
        (KIND, PTR): [written(instance)],
        (instance, SRV): [place("head.local", 8080)],
        (instance, TXT): [text(*pairs)],
        ("head.local", A if len(address) == 4 else AAAA): [address],
    }


def asked(message: bytes) -> list[tuple[str, int]]:
    (count,) = struct.unpack_from("!H", message, 4)
    questions, at = [], 12
    for _each in range(count):
        parts = []
        while message[at]:
            parts.append(message[at + 1 : at + 1 + message[at]].decode())
            at += 1 + message[at]
        (kind,) = struct.unpack_from("!H", message, at + 1)
        questions.append((".".join(parts).lower(), kind))
        at += 5
    return questions


def answer(found: list[tuple[str, int, bytes]]) -> bytes:
    rows = (written(name) + struct.pack("!HHIH", kind, 1, 120, len(value)) + value for name, kind, value in found)
    return struct.pack("!6H", 0, 0x8400, 0, len(found), 0, 0) + b"".join(rows)


@contextmanager
def responder(known: Zone, *, tells_all: bool = False, first: bytes = b"") -> Iterator[str]:
    """Answer questions out of what is known, or, where it tells all, with all of it at once; give its address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                message, sender = server.recvfrom(9_000)
                if not message:
                    return
                if first:
                    server.sendto(first, sender)
                wanted = known if tells_all else [each for each in asked(message) if each in known]
                found = [(name, kind, value) for name, kind in wanted for value in known[name, kind]]
                if found:
                    server.sendto(answer(found), sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ending:
                ending.sendto(b"", server.getsockname())
            thread.join()


def found_at(at: str, capsys: pytest.CaptureFixture[str], seconds: str = "1") -> list[dict[str, str]]:
    assert main(["discover", "--at", at, "--seconds", seconds, "--json"]) == 0
    servers: list[dict[str, str]] = json.loads(capsys.readouterr().out)
    return servers


@pytest.mark.parametrize("tells_all", [True, False], ids=["in one answer", "question by question"])
def test_a_server_is_found_with_its_address_path_and_level(
    capsys: pytest.CaptureFixture[str], *, tells_all: bool
) -> None:
    known = zone("txtvers=1", "dcap=/sep2/dcap", "HTTPS=8443", "level=-S1", "level=+S2")
    with responder(known, tells_all=tells_all) as at:
        assert found_at(at, capsys) == [{"name": "dso", "url": "https://127.0.0.1:8443/sep2/dcap", "level": "-S1"}]


@pytest.mark.parametrize(
    ("pairs", "address", "url"),
    [
        (("dcap=/d", "https"), bytes([10, 0, 0, 7]), "https://10.0.0.7:443/d"),
        (("dcap=/d", "https=1"), bytes(15) + b"\1", "https://[::1]:1/d"),
        (("dcap=/d",), bytes([10, 0, 0, 7]), ""),
        (("https=443",), bytes([10, 0, 0, 7]), ""),
        (('dcap=//evil.example/d"', "https=443"), bytes([10, 0, 0, 7]), ""),
        (("dcap=/d", "https=443/x"), bytes([10, 0, 0, 7]), ""),
        (("dcap=/d", "https=443"), bytes([0xFE, 0x80]) + bytes(14), ""),
    ],
)
def test_an_address_is_made_of_what_says_all_that_it_takes(
    capsys: pytest.CaptureFixture[str], pairs: tuple[str, ...], address: bytes, url: str
) -> None:
    with responder(zone(*pairs, address=address), tells_all=True) as at:
        assert [server["url"] for server in found_at(at, capsys)] == [url]


def test_noise_and_strangers_are_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    known = zone("dcap=/d", "https=443") | {("printer.local", A): [bytes([10, 0, 0, 9])]}
    with responder(known, tells_all=True, first=b"\x84noise") as at:
        assert len(found_at(at, capsys)) == 1


def test_what_is_found_is_printed_as_a_site_file_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    with responder(zone("dcap=/d", "https=443", "level=-S1"), tells_all=True) as at:
        assert main(["discover", "--at", at, "--seconds", "0.5"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith('# dso, level -S1\n[[sep2_client]]\nurl = "https://127.0.0.1:443/d"\n')


def test_nobody_there_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with responder({}) as at:
        assert main(["discover", "--at", at, "--seconds", "0.2"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("wrong", [["--at", "here"], ["--at", "127.0.0.1:0"], ["--seconds", "0"], ["--seconds", "61"]])
def test_wrong_use_is_said(capsys: pytest.CaptureFixture[str], wrong: list[str]) -> None:
    assert main(["discover", *wrong]) == 2
    assert "give --at as ADDRESS:PORT" in capsys.readouterr().err
