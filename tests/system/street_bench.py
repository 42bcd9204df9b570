"""A street of real processes: simulators and the gateway as children on one clock, and what they printed so far."""

import http.client
import json
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.cli.demo_site import site_file
from gateway.pki import files, issue
from hil.head_end import Certificate, server_tls

BEGIN = datetime(2026, 6, 21, 12, tzinfo=UTC)
REPO = Path(__file__).parents[2]
STREET = REPO / "hil" / "scenarios" / "street.toml"
LIGHT_W = 4500
DEFAULT_W = 1500
Line = dict[str, Any]

_INVERTER = """
[[inverter]]
name = "roof-{n}"
resource = "house-{n}"
kind = "{kind}"
rated_w = 5000
irradiance = 0.9
"""
_RESOURCE = """
[[resource]]
name = "house-{n}"
lfdi = "{n:030X}0000009D6C"
"""
_HEAD_ENDS = """
[[head_end]]
name = "dso"
certificate = "dso"
poll_rate_s = 20
port = {port}
[[head_end.program]]
name = "envelope"
primacy = 3
default = {{ opModExpLimW = 1500 }}

[[head_end]]
name = "market"
certificate = "market"
poll_rate_s = 20
[[head_end.program]]
name = "day-ahead"
primacy = 1
"""
KINDS = ("2018", "legacy", "2018", "legacy")
ROOFS_2018 = ("roof-1", "roof-3")
ROOFS_LEGACY = ("roof-2", "roof-4")


def scenario(*, inverters: bool = True, head_ends: bool = True, port: int = 0, more: str = "") -> str:
    """Four roofs of 5 kW, two of each generation, below a DSO with a default of 1500 W and a market; no timeline."""
    numbered = list(enumerate(KINDS, 1))
    parts = ['name = "small"\nmeasure_s = 2\n']
    if inverters:
        parts += [_INVERTER.format(n=n, kind=kind) for n, kind in numbered]
    parts += [_RESOURCE.format(n=n) for n, _kind in numbered]
    if head_ends:
        parts.append(_HEAD_ENDS.format(port=port))
    return "".join(parts) + more


def until(holds: Callable[[], bool], patience_s: float, what: str, tell: Callable[[], object] = str) -> None:
    """Return as soon as it holds; fail after `patience_s` of wall time, with what `tell` has to say."""
    deadline_s = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {patience_s:g} s: {what}\n{tell()}"
        time.sleep(0.05)


class Child:
    """A process with its output in files; `lines` and `said` are the whole lines of standard output and error."""

    def __init__(self, module: str, arguments: Sequence[str], folder: Path, name: str) -> None:
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("ab") as out, self._err.open("ab") as err:
            self.process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=out, stderr=err)

    def lines(self) -> list[str]:
        return _whole_lines(self._out)

    def said(self) -> list[str]:
        return _whole_lines(self._err)

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end and give the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.process.wait(20)


class Simulators(Child):
    """One `python -m hil serve` with its admin interface."""

    def __init__(self, bench: "Bench", scenario_file: Path, name: str) -> None:
        arguments = ("serve", str(scenario_file), "--pki", str(bench.pki), "--clock", bench.clock, "--admin", "0")
        super().__init__("hil", arguments, bench.folder, name)
        until(lambda: bool(self.lines()) or self.process.poll() is not None, 20, "simulators ready", self.said)
        assert self.process.poll() is None, self.said()
        self.ready: Line = json.loads(self.lines()[0])["ready"]

    def act(self, **action: object) -> int:
        """Bring about one action of a scenario; give the simulated time (ms)."""
        return int(self._ask("POST", "/act", action)["t_ms"])

    def issue(self, control: str, limit_w: int, *, start_s: int = 0, duration_s: int = 3600) -> None:
        """Let the DSO issue a limit to all four houses."""
        self.act(
            issue={
                "head_end": "dso",
                "program": "envelope",
                "name": control,
                "modes": {"opModExpLimW": limit_w},
                "start_s": start_s,
                "duration_s": duration_s,
            }
        )

    def state(self) -> Line:
        """Give everything received and measured so far."""
        return self._ask("GET", "/state")

    def happened(self, *kinds: str) -> list[Line]:
        """Give what it told so far of these kinds."""
        told = (json.loads(line) for line in self.lines()[1:])
        return [line for line in told if line["kind"] in kinds]

    def limits(self) -> dict[str, int | None]:
        """Give the limit that each inverter holds in force (W)."""
        return {name: inverter["limit_w"] for name, inverter in self.state()["inverters"].items()}

    def statuses(self) -> dict[tuple[str, str], list[int]]:
        """Give all that the head-ends were answered, by control and resource, in order of arrival."""
        answers = [answer for head_end in self.state()["head_ends"].values() for answer in head_end["answers"]]
        return by_control(answers)

    def _ask(self, method: str, path: str, body: object = None) -> Line:
        connection = http.client.HTTPConnection(urlsplit(self.ready["admin"]).netloc, timeout=20)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            content: Line = json.loads(answer.read())
            assert answer.status == 200, content
            return content
        finally:
            connection.close()


class Gateway(Child):
    """One `gateway run`."""

    def __init__(self, bench: "Bench", site: Path, name: str, *more: str) -> None:
        arguments = ("run", str(site), "--state", str(bench.state), "--clock", bench.clock, "--tell", "json", *more)
        super().__init__("gateway", arguments, bench.folder, name)

    def records(self) -> list[Line]:
        """Give the records that it told so far."""
        return [json.loads(line) for line in self.lines()]

    def complaints(self) -> list[str]:
        """Give its lines on standard error that are more than information."""
        return [line for line in self.said() if not line.startswith("INFO ")]

    def health(self) -> Line:
        """Give its health."""
        content: Line = json.loads(self._get("/health"))
        return content

    def metrics(self) -> str:
        """Give its metrics as Prometheus scrapes them."""
        return self._get("/metrics").decode()

    def is_ok(self) -> bool:
        """Tell whether its health is "ok"; not before it says where it listens."""
        return self._port() is not None and self.health()["status"] == "ok"

    def _port(self) -> int | None:
        found = re.search(r"health and metrics at http://127\.0\.0\.1:(\d+)", "\n".join(self.said()))
        return None if found is None else int(found[1])

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port(), timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


class Bench:
    """A folder with certificates, one clock for all, and every process that was started; none outlives the context."""

    def __init__(self, folder: Path, rate: float = 20.0, names: Sequence[str] = ("dso", "market")) -> None:
        self.folder, self.rate = folder, rate
        self.pki, self.state = folder / "pki", folder / "state"
        self._origin_s = BEGIN.timestamp() - rate * time.monotonic()
        self.clock = f"x{rate}@{self._origin_s:.6f}"
        self._children: list[Child] = []
        self.issued = issue.init(self.pki, ("gateway", *names))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.stop(signal.SIGKILL)

    def now_ms(self) -> float:
        """Give the simulated time (ms since the UNIX epoch)."""
        return 1000 * (self._origin_s + self.rate * time.monotonic())

    def sleep_until_ms(self, at_ms: float) -> None:
        """Return when the simulated clock shows this."""
        time.sleep(max(0.0, (at_ms - self.now_ms()) / 1000 / self.rate))

    def simulators(self, played: str | Path) -> Simulators:
        """Start simulators on a scenario, given as a file or as its text."""
        name = f"hil-{len(self._children)}"
        if isinstance(played, str):
            file = self.folder / f"{name}.toml"
            file.write_text(played)
        else:
            file = played
        started = Simulators(self, file, name)
        self._children.append(started)
        return started

    def admit(self, child: Child) -> None:
        """Let a process that was started elsewhere end with this context."""
        self._children.append(child)

    def gateway(self, *simulators: Simulators, more: Sequence[str] = ()) -> Gateway:
        """Start the gateway on what these simulators say that they are."""
        site = self.folder / "site.toml"
        site.write_text(site_file(_merged([each.ready for each in simulators])))
        started = Gateway(self, site, f"gateway-{len(self._children)}", *more)
        self._children.append(started)
        return started


def _merged(said: Sequence[Line]) -> Line:
    """Give what several simulators say that they are as if they were one."""
    merged: Line = {}
    for ready in said:
        for part, value in ready.items():
            held = merged.get(part)
            merged[part] = {**held, **value} if isinstance(held, dict) and isinstance(value, dict) else held or value
    return merged


def ask(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the gateway to its end."""
    told = [sys.executable, "-m", "gateway", *map(str, arguments)]
    return subprocess.run(told, capture_output=True, text=True, timeout=60, check=False)


def p384_server(pki: Path) -> ssl.SSLContext:
    """Give the context of a server whose leaf is right in all but its curve, P-384, below the authorities in `pki`."""
    mica = x509.load_pem_x509_certificates((pki / "mica.pem").read_bytes())[0]
    mica_key = files.read_key(pki / "authority" / "mica.key")
    right = x509.load_pem_x509_certificates((pki / "dso.pem").read_bytes())[0]
    key = ec.generate_private_key(ec.SECP384R1())
    builder = x509.CertificateBuilder(
        mica.subject,
        right.subject,
        key.public_key(),
        x509.random_serial_number(),
        right.not_valid_before_utc,
        right.not_valid_after_utc,
    )
    for extension in right.extensions:
        if not isinstance(extension.value, x509.SubjectKeyIdentifier):
            builder = builder.add_extension(extension.value, extension.critical)
    chain, secret = pki / "p384.pem", pki / "p384.key"
    leaf = builder.sign(mica_key, hashes.SHA256())
    chain.write_bytes(leaf.public_bytes(Encoding.PEM) + mica.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return server_tls(Certificate(chain, secret, (pki / "serca.pem", pki / "mca.pem", pki / "mica.pem")))


def by_control(answers: Sequence[Line]) -> dict[tuple[str, str], list[int]]:
    """Give the statuses of answers by control and resource, in order of arrival."""
    found: dict[tuple[str, str], list[int]] = {}
    for answer in answers:
        found.setdefault((answer["control"], answer["resource"]), []).append(answer["status"])
    return found


def established(child: Child) -> dict[int, str]:
    """Give the established TCP connections of a process: the port at the far end, by inode (Linux)."""
    folder = Path("/proc") / str(child.process.pid)
    inodes = {match[1] for link in (folder / "fd").iterdir() if (match := re.match(r"socket:\[(\d+)\]", _read(link)))}
    rows = [line.split() for line in (folder / "net" / "tcp").read_text().splitlines()[1:]]
    return {int(row[2].rpartition(":")[2], 16): row[9] for row in rows if row[3] == "01" and row[9] in inodes}


def _read(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def _whole_lines(file: Path) -> list[str]:
    return [line.rstrip("\n") for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
