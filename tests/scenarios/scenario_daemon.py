"""A scenario on the real daemon: simulated inverters, a 2030.5 server per party over mutual TLS, and `gateway run`."""

import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from scenario_core import NOON_MS, mrid, plain_id
from scenario_file import Case, Effects, OrderStep, Program, Shape, Step, Timeline, Value
from scenario_modes import curves, modes, toml

from gateway.core.events import Tell
from gateway.core.meter import QUARTER_MS
from gateway.pki import issue
from gateway.store import Reader

IDENTITIES = ("gateway", "dso", "tso", "market", "rival", "ems", "owner", "second", "stranger")
PATIENCE_S = 40.0
START_S = 12.0
"""Wall time in which everything is up and calm, where the timeline is to begin at a certain time of day."""
STATUS_LAG_S = 10
"""So that an order is beaten by its rule, and not first said to be superseded by a server whose clock is ahead."""
FOR_EVER_S = 2**32 - 1
Line = dict[str, Any]


class NotReadyError(Exception):
    """A process did not come to where the scenario needs it; the message holds what it said."""


def make_certificates(folder: Path) -> Path:
    """Make one identity for every party that any scenario has."""
    issue.init(folder, IDENTITIES)
    return folder


def ask(address: str, method: str, path: str, body: object = None, token: str = "") -> tuple[int, Any]:
    """Send one request and give the status and the JSON that came back."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, headers | ({"Content-Type": "application/json"} if text else {}))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


class Process:
    """A child with its output in files; it does not outlive the scenario."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("ab") as out, self._err.open("ab") as err:
            self.popen = subprocess.Popen([sys.executable, "-m", *arguments], stdout=out, stderr=err)

    def lines(self) -> list[str]:
        """Give the whole lines of standard output so far."""
        return [line for line in self._out.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def said(self) -> str:
        """Give standard error so far."""
        return self._err.read_text()

    def end(self, signum: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        if self.popen.poll() is None:
            self.popen.send_signal(signum)
        self.popen.wait(20)

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Return as soon as it holds; raise NotReadyError when the process ends before or the patience does."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not holds():
            if self.popen.poll() is not None or time.monotonic() > deadline_s:
                raise NotReadyError(f"{what}\n{self.said()}")
            time.sleep(0.05)


class DaemonPlayer:
    """Plays a timeline to a gateway process; a context in whose end all processes end."""

    def __init__(self, case: Case, folder: Path, pki: Path) -> None:
        """Be ready to play in this folder with these certificates."""
        self.timeline: Timeline = case.timeline()
        self.begin_ms = 0
        self._case, self._folder, self._pki = case, folder, pki
        self._shape = Shape(case.site_text())
        self._programs = {f"{each.party}/{each.name}": each for each in self.timeline.program}
        self._rate = self.timeline.rate
        early_s = 0 if self.timeline.quarter_s is None else self.timeline.quarter_s + START_S * self._rate
        self._origin_s = NOON_MS / 1000 - early_s - self._rate * time.monotonic()
        self._processes: list[Process] = []
        self._offset_s: dict[str, int] = {}
        self._admin = ""
        self._gateway: Process | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.end(signal.SIGKILL)

    def run(self) -> list[Tell]:
        """Play the timeline to its end and give every record of the journal, with the names of the timeline."""
        shutil.copytree(self._pki, self._folder / "pki")
        self._start_simulators()
        for speaker in self._shape.speakers:
            (self._folder / f"{speaker}.token").write_text(_token(speaker))
            (self._folder / f"{speaker}.token").chmod(0o600)
        self._start_gateway()
        self._wait_for_calm()
        self.begin_ms = (self._now_ms() // 1000 + 3) * 1000
        if self.timeline.quarter_s is not None:
            self.begin_ms += -(self.begin_ms + 1000 * self.timeline.quarter_s) % QUARTER_MS
        happenings = [(step.at_s, self._act_of(step)) for step in self.timeline.step]
        happenings += [
            (step.at_s + step.restart.down_s, self._start_gateway)
            for step in self.timeline.step
            if step.restart is not None
        ]
        for at_s, act in sorted(happenings, key=lambda each: each[0]):
            self._sleep_until(at_s)
            act()
        self._sleep_until(self.timeline.end_s)
        for process in reversed(self._processes):
            process.end(signal.SIGTERM)
        return self._journal()

    # -- time

    def _now_ms(self) -> int:
        return int(1000 * (self._origin_s + self._rate * time.monotonic()))

    def _sleep_until(self, at_s: int) -> None:
        left_ms = self.begin_ms + 1000 * at_s - self._now_ms()
        time.sleep(max(0.0, left_ms / 1000 / self._rate))

    # -- processes

    def _clock(self) -> str:
        return f"x{self._rate}@{self._origin_s:.6f}"

    def _start(self, name: str, *arguments: str) -> Process:
        started = Process(self._folder, f"{name}-{len(self._processes)}", *arguments)
        self._processes.append(started)
        return started

    def _start_simulators(self) -> None:
        file = self._folder / "simulators.toml"
        file.write_text(self._simulators_text())
        pki = str(self._folder / "pki")
        started = self._start("hil", "hil", "serve", str(file), "--pki", pki, "--clock", self._clock(), "--admin", "0")
        started.until(lambda: bool(started.lines()), "simulators ready")
        ready = json.loads(started.lines()[0])["ready"]
        self._admin = ready["admin"]
        places = {name: str(each["port"]) for name, each in ready["inverters"].items()}
        for name, each in ready["head_ends"].items():
            pinned = self._lfdi_of(name) if name in self.timeline.impostors else each["lfdi"]
            places |= {f"{name}.url": each["url"], f"{name}.lfdi": pinned}
        (self._folder / "site.toml").write_text(self._case.fill(places))

    def _lfdi_of(self, name: str) -> str:
        from hil.head_end import Certificate  # noqa: PLC0415 - only impostors need it, and it is slow to load

        return Certificate.of(self._folder / "pki", name).lfdi

    def _simulators_text(self) -> str:
        """Write the scenario file of the simulators: what the site file has below and above the gateway."""
        parts = [f'name = "{self._case.name}"\nmeasure_s = 60\n']
        for name, device in self._shape.devices.items():
            rated_w = self._shape.rated_w[name]
            light = self.timeline.available_w.get(name, rated_w) / rated_w
            parts.append(
                f'[[inverter]]\nname = "{name}"\nresource = "{device["resource"]}"\nrated_w = {rated_w}\n'
                f'kind = "{self.timeline.kinds.get(name, "2018")}"\n'
                f"irradiance = {light}\ntime_constant_s = 0.1\n"
            )
        for name, resource in self._shape.resources.items():
            known = resource["sep2"]
            parts.append(f'[[resource]]\nname = "{name}"\nlfdi = "{known["lfdi"]}"\npin = {known["pin"]}\n')
        for party, server in self._shape.servers.items():
            shows = "stranger" if party in self.timeline.impostors else party
            parts.append(
                f'[[head_end]]\nname = "{party}"\ncertificate = "{shows}"\npoll_rate_s = {server["poll_s"]}\n'
                f"post_rate_s = 300\nstatus_lag_s = {STATUS_LAG_S}\n"
            )
            parts += [_program_text(each) for each in self.timeline.program if each.party == party]
        return "\n".join(parts)

    def _start_gateway(self) -> None:
        site, state = str(self._folder / "site.toml"), str(self._folder / "state")
        self._gateway = self._start("gateway", "gateway", "run", site, "--state", state, "--clock", self._clock())
        if self._shape.speakers:
            self._gateway.until(lambda: self._address("local API") is not None, "local API ready")
            for speaker in self._shape.speakers:
                self._speak(speaker, "GET", "/v1/overrides")

    def _address(self, what: str) -> str | None:
        said = "" if self._gateway is None else self._gateway.said()
        found = re.search(rf"{what} at (http://127\.0\.0\.1:\d+)", said)
        return None if found is None else found[1]

    def _wait_for_calm(self) -> None:
        """Wait until every party that can be is in contact and every device does what it is told."""
        assert self._gateway is not None
        self._gateway.until(lambda: self._address("health and metrics") is not None, "gateway ready")
        self._gateway.until(self._is_calm, "contact with every party, and every device obeys")

    def _is_calm(self) -> bool:
        _status, health = ask(self._address("health and metrics") or "", "GET", "/health")
        parties = (each for name, each in health["parties"].items() if name not in self.timeline.impostors)
        devices = health["devices"].values()
        speaks = {*self._shape.servers, *self._shape.speakers}
        heard = all(each["contact"] for name, each in health["parties"].items() if name in speaks and each in parties)
        return heard and all(each["reachable"] and each["adopted"] and each["verdict"] for each in devices)

    # -- what happens

    def _act_of(self, step: Step) -> Callable[[], None]:
        def act() -> None:
            if step.order is not None:
                self._issue(step.at_s, step.order)
            elif step.restart is not None:
                assert self._gateway is not None
                self._gateway.end(signal.SIGKILL)
            elif step.colour is not None or step.network is not None:
                self._tell_network(step)
            elif step.commitment is not None or step.offer is not None or step.dispatch is not None:
                self._trade(step)
            else:
                for action in self._actions(step):
                    self._bring_about(**action)

        return act

    def _bring_about(self, **action: object) -> None:
        status, said = ask(self._admin, "POST", "/act", action)
        assert status == 200, said

    def _actions(self, step: Step) -> list[Line]:
        if step.cancel is not None:
            return [{"cancel": {"head_end": step.cancel.party, "control": step.cancel.id}}]
        if step.unlist is not None:
            return [{"cancel": {"head_end": step.unlist.party, "control": step.unlist.id, "silently": True}}]
        if step.default is not None:
            program = self._programs[step.default.program]
            becomes = step.default.effects
            default = {"head_end": program.party, "program": program.name, "modes": modes(becomes)}
            return [*_listings(program, becomes), {"default": default}]
        if step.contact is not None:
            how = "refuse" if step.contact.link == "lost" else "none"
            return [{"outage": {"head_end": step.contact.party, "how": how}}]
        if step.offset is not None:
            self._offset_s[step.offset.party] = step.offset.offset_s
            return [{"time_offset": {"head_end": step.offset.party, "offset_ms": 1000 * step.offset.offset_s}}]
        if step.foreign is not None:
            percent = 100 * step.foreign.limit_w / self._shape.rated_w[step.foreign.device]
            return [{"foreign": {"inverter": step.foreign.device, "points": {"704.WMaxLimPct": percent}}}]
        actions: list[Line] = []
        given = step.device
        if given is not None and given.link is not None:
            on = given.link == "lost"
            actions.append({"fault": {"inverter": given.name, "fault": "refuse_connections", "on": on}})
        if given is not None and given.ignores is not None:
            actions.append({"fault": {"inverter": given.name, "fault": "ignores_limit", "on": given.ignores}})
        if given is not None and given.available_w is not None:
            fraction = given.available_w / self._shape.rated_w[given.name]
            actions.append({"irradiance": {"fraction": fraction, "inverters": [given.name]}})
        return actions

    def _issue(self, at_s: int, given: OrderStep) -> None:
        program = self._programs.get(given.program)
        if program is None:
            self._speak_order(given)
            return
        for listing in _listings(program, given.effects):
            self._bring_about(**listing)
        wanted = modes(given.effects) | ({"rampTms": 100 * given.ramp_s} if given.ramp_s else {})
        created_s = at_s if given.created_s is None else given.created_s
        issued = {
            "head_end": program.party,
            "program": program.name,
            "name": given.id,
            "mrid": mrid(given.id),
            "modes": wanted,
            "since_ms": self.begin_ms,
            "start_s": given.start_s,
            "duration_s": FOR_EVER_S if given.end_s is None else given.end_s - given.start_s,
            "creation_offset_s": created_s,
        }
        if given.version:
            issued["version"] = given.version
        self._bring_about(issue=issued)

    # -- the local API

    def _speak(self, party: str, method: str, path: str, body: object = None) -> Any:
        status, said = ask(self._address("local API") or "", method, path, body, _token(party))
        assert status < 400, said
        return said

    def _ms(self, at_s: int) -> int:
        return self.begin_ms + 1000 * at_s

    def _speak_order(self, given: OrderStep) -> None:
        body = {
            "id": given.id,
            "version": given.version,
            "scope": given.scope,
            "group": given.group,
            "effects": [one for function, value in given.effects.items() for one in _effects(function, value)],
            "start_ms": self._ms(given.start_s),
            "end_ms": None if given.end_s is None else self._ms(given.end_s),
            "priority": given.rank,
            "service": given.service,
        }
        self._speak(given.party, "POST", "/v1/orders", body)

    def _tell_network(self, step: Step) -> None:
        if step.colour is not None:
            says = step.colour
            body = {"segment": says.segment, "colour": says.colour, "until_ms": self._ms(says.until_s)}
            self._speak(
                says.party,
                "POST",
                "/v1/colours",
                body | ({"constrained": says.constrained} if says.constrained else {}),
            )
        if step.network is not None:
            changed = step.network
            body = {"points": list(changed.points), "validated": changed.validated, "why": changed.why}
            self._speak(changed.party, "POST", "/v1/network", body)

    def _trade(self, step: Step) -> None:
        given, path = (step.offer, "/v1/offers") if step.offer is not None else (step.commitment, "/v1/commitments")
        if given is None:
            return
        times = {f"{key[:-2]}_ms": self._ms(value) for key, value in given.says.items() if key.endswith("_s")}
        body = {key: value for key, value in given.says.items() if not key.endswith("_s")} | times
        self._speak(given.party, "POST", path, body)

    # -- what came out

    def _journal(self) -> list[Tell]:
        journal = Reader.open(self._folder / "state")
        try:
            told = [tell for _number, tell in journal.tells()]
        finally:
            journal.close()
        end_ms = self.begin_ms + 1000 * self.timeline.end_s
        return [tell._replace(order=plain_id(tell.order)) for tell in told if tell.at_ms < end_ms]


def _effects(function: str, value: Value) -> list[Line]:
    """Give one effect as the local API takes it, or the release of several functions."""
    if isinstance(value, list):
        return [{"function": each, "release": True} for each in value]
    if isinstance(value, dict):
        return [{"function": function, **value}]
    if isinstance(value, bool):
        return [{"function": function, "on": value}]
    if isinstance(value, str):
        return [{"function": function, "percent": float(value.removesuffix("%"))}]
    return [{"function": function, "per_mwh" if function == "price" else "w": value}]


def _listings(program: Program, given: Effects) -> list[Line]:
    """Give the actions that list the curves of an order or default."""
    return [{"curve": {"head_end": program.party, "program": program.name, "curve": one}} for one in curves(given)]


def _token(party: str) -> str:
    return f"{party}-speaks-for-itself-in-this-scenario"


def _program_text(program: Program) -> str:
    given = program.default or {}
    default = f"default = {toml(modes(given))}\n" if given else ""
    listed = "".join(f"[[head_end.program.curve]]\n{_lines(one)}" for one in curves(given))
    resources = f"resources = {json.dumps(program.resources)}\n" if program.resources else ""
    return (
        f'[[head_end.program]]\nname = "{program.name}"\nmrid = "{mrid(program.name)}"\n'
        f"primacy = {program.primacy}\n{default}{resources}{listed}"
    )


def _lines(table: Line) -> str:
    return "".join(f"{key} = {toml(value)}\n" for key, value in table.items())
