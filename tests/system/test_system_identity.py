"""`gateway run` through a field trial: certificates rotated and denied on disk are taken up by the running daemon."""

import http.client
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.pki import identity, issue, tls

PATIENCE_S = 60.0
CUT_WITHIN_S = 5.0
SITE = """
[gateway]
name = "street-7"
health_port = 0

[[party]]
name = "dso"
tier = "distribution"
limit_parent = true

[[group]]
name = "street"
resources = ["house-1"]

[[grant]]
party = "dso"
service = "operating-envelope"
level = 3
functions = ["export-limit", "generation-limit", "connect", "energize"]
group = "street"

[[resource]]
name = "house-1"
export_limit_w = 10000
last_resort_export_limit_w = 1500

[[device]]
name = "roof-1"
resource = "house-1"
rated_w = 5000

[device.sep2_server]
lfdi = "{roof}"

[sep2_server]
port = 0
certificate = "pki/gateway.pem"
key = "pki/gateway.key"
trust = ["pki/serca.pem", "pki/mca.pem", "pki/mica.pem"]
"""


class Daemon:
    """The running gateway: what it logs, where it listens."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._process = process
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def ended(self) -> None:
        self._reading.join(PATIENCE_S)
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line.rstrip())

    def said(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches."""
        found: list[re.Match[str]] = []

        def seen() -> bool:
            found.extend(match for line in self.lines if (match := re.search(pattern, line)))
            return bool(found)

        self.until(seen, pattern)
        return found[0]

    def until(self, true: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline_s, (what, self.lines[-10:])
            assert self._process.poll() is None, self.lines[-10:]
            time.sleep(0.05)


@contextmanager
def running(folder: Path) -> Iterator[Daemon]:
    arguments = [sys.executable, "-m", "gateway", "run", "site.toml", "--state", "state"]
    process = subprocess.Popen(arguments, cwd=folder, stderr=subprocess.PIPE, text=True)
    daemon = Daemon(process)
    try:
        yield daemon
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        daemon.ended()


def certs(*words: str) -> None:
    assert main(["certs", *words]) == 0


@contextmanager
def connection(port: int, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain,
        context.wrap_socket(plain) as secured,
    ):
        yield secured


def ask(secured: ssl.SSLSocket) -> bytes:
    """Ask for the time; give the head of the answer, and read all of it."""
    secured.sendall(b"GET /tm HTTP/1.1\r\nHost: gateway\r\n\r\n")
    got = b""
    while b"\r\n\r\n" not in got:
        part = secured.recv(4096)
        if not part:
            raise ConnectionResetError("cut off")
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    left = int(re.search(rb"Content-Length: (\d+)", head)[1]) - len(body)  # type: ignore[index] # or the test fails
    while left > 0:
        left -= len(secured.recv(left))
    return head.splitlines()[0]


def test_a_running_gateway_takes_up_what_is_replaced_and_cuts_off_who_is_denied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    issued = issue.init(tmp_path / "pki", ["gateway", "roof"])
    (tmp_path / "site.toml").write_text(SITE.format(roof=issued["roof"].lfdi))
    trust = [tmp_path / "pki" / name for name in (issue.SERCA, issue.MCA, issue.MICA)]
    roof = tls.client_context(issued["roof"].certificate, issued["roof"].key, trust)
    with running(tmp_path) as daemon:
        health = int(daemon.said(r"health and metrics at http://127\.0\.0\.1:(\d+)")[1])
        port = int(daemon.said(r"devices connect at 127\.0\.0\.1:(\d+)")[1])
        with connection(port, roof) as standing:
            assert ask(standing) == b"HTTP/1.1 200 OK"

            certs("csr", "pki/gateway")
            certs("issue", "pki", "new", "--csr", "pki/gateway.csr", "--days", "20")
            certs("import", "pki/gateway", "pki/new.pem", "--trust", "pki/serca.pem")
            lfdi = daemon.said(r"pki/gateway\.pem: a new certificate is taken up, LFDI ([0-9A-F]{40})")[1]
            with connection(port, roof) as fresh:
                assert identity.lfdi(fresh.getpeercert(binary_form=True) or b"") == lfdi != issued["gateway"].lfdi
                assert ask(fresh) == b"HTTP/1.1 200 OK"
            assert ask(standing) == b"HTTP/1.1 200 OK", "what was open goes on"
            daemon.said(r"WARNING .*pki/gateway\.pem: ends on .*, in 19 days; put a new one in its place before")
            assert left_s(health)["pki/gateway.pem"] == pytest.approx(20 * 86_400, abs=8_640)

            (tmp_path / "pki" / "gateway.key").write_text("nonsense")
            daemon.said(
                r"ERROR .*what was put in its place is refused, the old identity goes on: key file .*no readable"
            )
            with connection(port, roof) as fresh:
                assert identity.lfdi(fresh.getpeercert(binary_form=True) or b"") == lfdi

            certs("deny", "pki/roof.pem", "--why", "stolen", "--state", "state")
            began_s = time.monotonic()
            with suppress(ConnectionError, ssl.SSLError):
                assert standing.recv(4096) == b"", "it is cut"
            assert time.monotonic() - began_s < CUT_WITHIN_S
        daemon.said(r"its connection is cut, it is denied \(.*stolen\)")
        with pytest.raises((ConnectionError, ssl.SSLError)), connection(port, roof) as fresh:
            ask(fresh)
        certs("allow", issued["roof"].lfdi, "--state", "state")
        daemon.said("the deny-list names 0 now")
        with connection(port, roof) as fresh:
            assert ask(fresh) == b"HTTP/1.1 200 OK"


def left_s(port: int) -> dict[str, float]:
    wire = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        wire.request("GET", "/metrics")
        text = wire.getresponse().read().decode()
    finally:
        wire.close()
    found = re.findall(r'^gateway_certificate_left_seconds\{file="([^"]+)"\} (\S+)$', text, re.MULTILINE)
    return {name: float(seconds) for name, seconds in found}
