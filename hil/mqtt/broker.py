"""A real MQTT 5 broker on loopback: mosquitto where there is one, else iotcore; to be started, killed, started again.

`python -m hil.mqtt.broker PORT` runs one without users or TLS until it is interrupted.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

Kind = Literal["mosquitto", "iotcore"]

_ROOT = Path(__file__).parents[2]
_PLACES = (Path("/usr/sbin/mosquitto"), _ROOT / "build/mosquitto/usr/sbin/mosquitto")
_UP_S = 10.0
_POLL_S = 0.02
_ITERATIONS = 101
_LARGEST = 262_144


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of a TLS listener; with `trust` mosquitto asks every client for a certificate that leads there."""

    certificate: Path
    key: Path
    trust: Path | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Who may connect, by password, and the file that says who may read and write what (mosquitto's form of it).

    Without users everybody may connect. iotcore has no access lists: it takes the users and lets them do all.
    """

    users: Mapping[str, str] = field(default_factory=dict)
    acl: Path | None = None


def mosquitto() -> Path | None:
    """Find mosquitto: on the path, where Debian puts it, or unpacked below build/."""
    found = shutil.which("mosquitto")
    places = ([Path(found)] if found else []) + [place for place in _PLACES if place.is_file()]
    return places[0] if places else None


class Broker:
    """One broker as a child process, which ends with this process at the latest; its port stays the same.

    Raises OSError where it does not come up, with what it said.
    """

    def __init__(
        self,
        folder: Path,
        access: Access | None = None,
        tls: Tls | None = None,
        kind: Kind | None = None,
        port: int = 0,
    ) -> None:
        self.kind: Kind = kind or ("mosquitto" if mosquitto() else "iotcore")
        self.port = port or free_port()
        self._folder, self._access, self._tls = folder, access or Access(), tls
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        await self.kill()

    @property
    def runs(self) -> bool:
        """Whether it was started and not killed since."""
        return self._process is not None

    async def start(self) -> None:
        """Start it and return once it listens."""
        self._folder.mkdir(parents=True, exist_ok=True)
        command, environment = self._mosquitto() if self.kind == "mosquitto" else self._iotcore()
        said = self._folder / "broker.log"
        with said.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, env=environment
            )
        try:
            async with asyncio.timeout(_UP_S):
                while not await self._listens():
                    if self._process.returncode is not None:
                        raise OSError(f"{self.kind} ended at once; read {said}")
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            await self.kill()
            raise OSError(f"{self.kind} does not listen on port {self.port} after {_UP_S:g} s; read {said}") from None

    async def kill(self) -> None:
        """Kill it (SIGKILL): nothing is said to anybody, and nothing is kept."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()

    async def _listens(self) -> bool:
        try:
            _reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    def _mosquitto(self) -> tuple[list[str], dict[str, str]]:
        program = mosquitto()
        if program is None:
            raise OSError("there is no mosquitto on this machine; use iotcore, or unpack it to build/mosquitto")
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", "set_tcp_nodelay true"]
        if os.geteuid() == 0:
            lines.append("user root")
        lines.append(f"allow_anonymous {'false' if self._access.users else 'true'}")
        if self._access.users:
            passwords = self._folder / "passwords"
            made = [f"{name}:{_hashed(password)}\n" for name, password in self._access.users.items()]
            passwords.write_text("".join(made), encoding="ascii")
            lines.append(f"password_file {passwords}")
        if self._access.acl is not None:
            lines.append(f"acl_file {self._access.acl}")
        if self._tls is not None:
            lines += [f"certfile {self._tls.certificate}", f"keyfile {self._tls.key}"]
            if self._tls.trust is not None:
                lines += [f"cafile {self._tls.trust}", "require_certificate true"]
        config = self._folder / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        beside = program.parents[1] / "lib"
        libraries = [str(path) for path in beside.glob("*-linux-gnu")] if program.is_relative_to(_ROOT) else []
        environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)} if libraries else dict(os.environ)
        setpriv = shutil.which("setpriv")
        ends_with_us = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        return [*ends_with_us, str(program), "-c", str(config)], environment

    def _iotcore(self) -> tuple[list[str], dict[str, str]]:
        config = self._folder / "iotcore.toml"
        config.write_text(_rumqttd(self.port, self._access.users, self._tls), encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        return [sys.executable, "-m", "hil.mqtt.broker", "0", "--config", str(config)], environment


def free_port() -> int:
    """Find a port on 127.0.0.1 that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _hashed(password: str) -> str:
    """Hash a password as mosquitto keeps it: PBKDF2 with SHA-512."""
    salt = os.urandom(12)
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, 64)
    return f"$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


def _rumqttd(port: int, users: Mapping[str, str], tls: Tls | None) -> str:
    """Write the configuration that iotcore's broker takes for MQTT 5."""
    lines = [
        "id = 0",
        "[router]",
        "id = 0",
        "max_connections = 2000",
        "max_outgoing_packet_count = 200",
        "max_segment_size = 104857600",
        "max_segment_count = 10",
        "[v5.1]",
        'name = "v5"',
        f'listen = "127.0.0.1:{port}"',
        "next_connection_delay_ms = 1",
    ]
    if tls is not None:
        lines += [
            "[v5.1.tls]",
            f"certpath = {json.dumps(str(tls.certificate))}",
            f"keypath = {json.dumps(str(tls.key))}",
        ]
    lines += [
        "[v5.1.connections]",
        "connection_timeout_ms = 60000",
        f"max_payload_size = {_LARGEST}",
        "max_inflight_count = 100",
        "dynamic_filters = true",
    ]
    if users:
        lines.append("[v5.1.connections.auth]")
        lines += [f"{json.dumps(name)} = {json.dumps(password)}" for name, password in users.items()]
    return "\n".join(lines) + "\n"


def _end_with_parent() -> None:
    """End once standard input does: the process that started this one is gone."""
    try:
        sys.stdin.buffer.read()
    finally:
        os._exit(0)


async def _serve(port: int) -> None:
    with tempfile.TemporaryDirectory(prefix="broker-") as folder:
        async with Broker(Path(folder), port=port) as broker:
            sys.stdout.write(f"{broker.kind} at 127.0.0.1:{broker.port}\n")
            sys.stdout.flush()
            stop = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            await stop.wait()


def main() -> None:
    """Run a broker; with --config, be the process of iotcore's."""
    parser = argparse.ArgumentParser(prog="python -m hil.mqtt.broker", description="An MQTT 5 broker on 127.0.0.1.")
    parser.add_argument("port", type=int, help="0 takes any free port")
    parser.add_argument("--config", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.config is None:
        asyncio.run(_serve(given.port))
        return
    from iotcore import IotCoreBroker  # noqa: PLC0415 - a library of the tests alone; nothing else here needs it

    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    IotCoreBroker(config_path=given.config).run_forever()


if __name__ == "__main__":
    main()
