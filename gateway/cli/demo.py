"""`gateway demo`: the main job on loopback, with simulated inverters, feeder and head-ends, judged at its end.

It makes a test authority, starts `python -m hil` and `gateway run` beside it, and tells what both of them do.
"""

import argparse
import asyncio
import difflib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.cli.demo_site import site_devices, site_file
from gateway.core.answers import TERMINAL, Kind
from gateway.core.events import Topic
from gateway.pki import issue
from gateway.store import Reader

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

DONE, FAULT_FOUND, WRONG_USE, INTERRUPTED = 0, 1, 2, 143
RATE: Final = 20.0
BEGIN: Final = datetime(2026, 6, 21, 12, tzinfo=UTC)
PATIENCE_S: Final = 15.0
LINE_LIMIT: Final = 1 << 22
STATUS_WORDS: Final = (
    "1 received, 2 started, 3 completed, 6 cancelled, 7 superseded, 8 served in part, 10 never served, "
    "252 cannot, 253 refused, 254 came too late"
)
STATE: Final = "state"

Line = dict[str, Any]
Answers = dict[tuple[str, str], list[list[str]]]
"""The terminal answers of each order at each resource, version by version; each version is to have one."""


def register(subparsers: "Commands") -> None:
    """Add `demo` to the command line."""
    about = "show the main job end to end on simulated inverters, and judge it"
    parser = subparsers.add_parser("demo", help=about, description=about)
    parser.add_argument("--json", action="store_true", help="print a JSON record for each decision instead of text")
    played = f"what the simulators play: {', '.join(_names(_shipped()))}, or a file (default: lanes)"
    parser.add_argument("--scenario", default="lanes", metavar="NAME|FILE", help=played)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what the demo makes, the journal too, in DIR")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 only if every order got its right answer from every resource."""
    shipped = _shipped()
    if shipped is None:
        print('gateway demo: the simulators are missing; run "make demo" in a checkout', file=sys.stderr)
        return WRONG_USE
    try:
        scenario = _scenario(args.scenario, shipped)
        certificates = _certificates(scenario)
        folder = _folder(args.keep)
    except ValueError as fault:
        print(f"gateway demo: {fault}", file=sys.stderr)
        return WRONG_USE
    issue.init(folder / "pki", ("gateway", *certificates))
    try:
        return asyncio.run(_until_told(_Demo(folder, scenario, as_json=args.json, kept=args.keep is not None)))
    finally:
        if args.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


async def _until_told(demo: "_Demo") -> int:
    """Run the demo; told to terminate, it cleans up after itself as when it is interrupted."""
    running = asyncio.ensure_future(demo.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        return INTERRUPTED


def _shipped() -> Path | None:
    """Give the folder of the shipped scenarios; None where the simulators are not here."""
    hil = find_spec("hil")
    if hil is None or not hil.submodule_search_locations:
        return None
    return Path(hil.submodule_search_locations[0]) / "scenarios"


def _names(shipped: Path | None) -> list[str]:
    return sorted(file.stem for file in shipped.glob("*.toml")) if shipped else []


def _scenario(asked: str, shipped: Path) -> Path:
    """Find a scenario by the name of a shipped one, or as a file; raise ValueError where there is none."""
    names = _names(shipped)
    if asked in names:
        return shipped / f"{asked}.toml"
    if Path(asked).is_file():
        return Path(asked)
    near = difflib.get_close_matches(asked, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"give a file, or one of: {', '.join(names)}"
    raise ValueError(f"no scenario {asked!r}; {hint}")


def _folder(keep: Path | None) -> Path:
    """Give the folder to work in; raise ValueError where it holds the journal of another demo."""
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="gateway-demo-"))
    if (keep / STATE).exists():
        raise ValueError(f"{keep} keeps a demo already; give another folder")
    keep.mkdir(parents=True, exist_ok=True)
    return keep.resolve()


def _certificates(scenario: Path) -> tuple[str, ...]:
    """Name the certificates that head-ends and 2030.5 devices show; raise ValueError where it is no scenario."""
    try:
        given = tomllib.loads(scenario.read_text(encoding="utf-8"))
        shown = [str(head_end["certificate"]) for head_end in given.get("head_end", [])]
        shown += [str(device["name"]) for device in given.get("sep2_device", [])]
        return tuple(dict.fromkeys(shown))
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise ValueError(f"{scenario} is no scenario: {fault}; compare with the shipped street.toml") from fault


class _Demo:
    """Two processes and what they say, merged by time."""

    def __init__(self, folder: Path, scenario: Path, *, as_json: bool, kept: bool) -> None:
        self._folder = folder
        self._kept = kept
        self._scenario = scenario
        self._as_json = as_json
        origin_s = BEGIN.timestamp() - RATE * time.monotonic()
        self._clock = f"x{RATE}@{origin_s:.6f}"
        self._names: dict[str, str] = {}
        self._summary: Line = {}
        self._device = ""
        self._over = self._daemon_lost = False

    async def run(self) -> int:
        """Run both processes until the simulators have judged, and judge."""
        out = str(self._folder / "simulators.jsonl")
        pki = str(self._folder / "pki")
        simulators = await self._start(
            "hil", "serve", str(self._scenario), "--pki", pki, "--clock", self._clock, "--out", out
        )
        daemon = None
        try:
            lines = _lines(simulators)
            first = await _first(lines)
            if first is None:
                return WRONG_USE
            ready = first["ready"]
            self._device = site_devices(ready)[-1]
            site = self._folder / "site.toml"
            site.write_text(site_file(ready), encoding="utf-8")
            above = len(ready["head_ends"]) + len(ready["vtns"])
            self._say(f"{len(site_devices(ready))} devices and {above} servers above; x{RATE:g}")
            state = str(self._folder / STATE)
            told = "json" if self._as_json else "text"
            daemon = await self._start(
                "gateway", "run", str(site), "--state", state, "--clock", self._clock, "--tell", told
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch_simulators(lines, daemon))
                tasks.create_task(self._watch_daemon(daemon, simulators))
        finally:
            for process in (daemon, simulators):
                if process is not None:
                    _terminate(process)
                    await process.wait()
        return FAULT_FOUND if self._daemon_lost else self._judge()

    async def _start(self, module: str, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE, limit=LINE_LIMIT
        )

    async def _watch_simulators(self, lines: AsyncIterator[Line], daemon: asyncio.subprocess.Process) -> None:
        async for line in lines:
            if line["kind"] == "summary":
                self._summary = line
                break
            if line["kind"] == "issued":
                self._names[line["mrid"].upper()] = line["control"]
            if line["kind"] == "vtn_issued":
                self._names[line["id"]] = line["event"]
            if not self._as_json:
                self._tell_happening(line)
        self._over = True
        if not self._summary:
            print("gateway demo: the simulators ended before their time", file=sys.stderr)
        _terminate(daemon)

    async def _watch_daemon(self, daemon: asyncio.subprocess.Process, simulators: asyncio.subprocess.Process) -> None:
        if daemon.stdout is None:
            return
        async for raw in daemon.stdout:
            text = raw.decode().rstrip()
            if self._over:
                continue
            if self._as_json:
                print(text, flush=True)
            else:
                at, _, said = text.partition(" ")
                self._say(self._named(f"gateway    {said}"), at)
        if not self._over:
            self._daemon_lost = True
            code = await daemon.wait()
            print(f"gateway demo: the gateway ended before its time with exit code {code}", file=sys.stderr)
            _terminate(simulators)

    def _tell_happening(self, line: Line) -> None:
        kind = line["kind"]
        at = datetime.fromtimestamp(line["t_ms"] / 1000, UTC).isoformat(timespec="milliseconds")
        if kind == "measured":
            powers = " ".join(f"{round(power):>5}" for power in line["w"].values())
            self._say(f"feeder     measured {powers} W", at)
        elif kind == "proof":
            self._say(f"feeder     {'check ok' if line['ok'] else 'CHECK FAILED'}: {line['name']}", at)
        elif kind == "reading" and line["of"] == "whole domain":
            self._say(f"head-end   is shown {line['w']} W for the whole domain, {line['coverage']}", at)
        elif kind in {"issued", "cancelled", "outage", "fault"}:
            said = " ".join(str(value) for key, value in line.items() if key not in {"t_ms", "kind", "mrid"})
            self._say(f"head-end   {kind} {said}", at)
        elif kind in {"vtn_issued", "vtn_modified", "vtn_deleted"}:
            self._say(f"VTN        {kind.removeprefix('vtn_')} {line['event']}", at)
        elif kind == "load":
            self._say(f"feeder     {line['w']:g} W are used behind {line['meter']}", at)

    def _named(self, text: str) -> str:
        """Put the names of the controls where their identifiers stand."""
        for mrid, name in self._names.items():
            text = text.replace(mrid, name)
        return text

    def _say(self, text: str, at: str = "") -> None:
        if not self._as_json:
            print(f"{at[11:21]:10}  {text}" if at else text, flush=True)

    def _judge(self) -> int:
        """Hold what the head-ends were answered, and what the journal says was answered, against what is right."""
        proofs = self._summary.get("proofs", [])
        answered = terminal_answers(self._folder / STATE)
        verdicts = [*self._summary.get("verdicts", []), *_of_events(self._summary.get("events", []), answered)]
        unanswered = {key: each for key, each in answered.items() if any(len(kinds) != 1 for kinds in each)}
        self._summarize(verdicts, proofs, answered)
        for (order, resource), versions in unanswered.items():
            said = "; ".join(", ".join(kinds) or "none" for kinds in versions)
            print(f"gateway demo: {self._named(order)} at {resource} has terminal answers {said}", file=sys.stderr)
        if self._kept:
            state = self._folder / STATE
            self._end_with(f"journal: {state}; try: gateway explain {self._device} --state {state}")
        right = bool(verdicts) and self._summary["ok"] and all(each["ok"] for each in verdicts) and not unanswered
        return DONE if right else FAULT_FOUND

    def _summarize(self, verdicts: list[Line], proofs: list[Line], answered: Answers) -> None:
        self._say("\nanswers that the head-ends got, by control:")
        for control in dict.fromkeys(verdict["control"] for verdict in verdicts):
            of = [verdict for verdict in verdicts if verdict["control"] == control]
            got = ", ".join(f"{verdict['resource']} {'-'.join(map(str, verdict['got']))}" for verdict in of)
            self._say(f"  {'right' if all(verdict['ok'] for verdict in of) else 'WRONG':5}  {control:18} {got}")
        self._say(f"  ({STATUS_WORDS})")
        asked = next(((key, name) for key, name in self._names.items() if _is_in(key, answered)), None)
        if self._kept and asked is not None:
            key, name = asked
            self._say(f"{name} is {key}; ask: gateway explain {key} --state {self._folder / STATE}")
        right = sum(verdict["ok"] for verdict in verdicts)
        shown = sum(proof["ok"] for proof in proofs)
        self._end_with(
            f"{right} of {len(verdicts)} answers right, {shown} of {len(proofs)} measurements as they must be, "
            f"{sum(map(len, answered.values()))} terminal answers in the journal"
        )

    def _end_with(self, text: str) -> None:
        """Say it as text also where the records are JSON: beside them, on standard error."""
        print(text, file=sys.stderr if self._as_json else sys.stdout)


def _of_events(events: list[Line], answered: Answers) -> list[Line]:
    """Judge each event of a VTN, which is not told how it ended, by what the journal says of all its intervals."""
    found: list[Line] = []
    for event in events:
        begins = f"{event['vtn']}/{event['id']}/"
        ended = {key: versions for key, versions in answered.items() if key[0].startswith(begins)}
        found += [
            {
                "control": event["event"],
                "resource": resource,
                "got": [kind for kinds in versions for kind in kinds],
                "ok": versions[-1] == [event["expect"]],
            }
            for (_order, resource), versions in ended.items()
        ]
        if not ended:
            found.append({"control": event["event"], "resource": "nobody", "got": [], "ok": False})
    return found


def _is_in(name: str, answered: Answers) -> bool:
    """Tell whether a control, or an interval of an event, was answered: what became a default was not."""
    return any(order.split("/")[1:2] == [name] for order, _resource in answered)


def terminal_answers(state: Path) -> Answers:
    """Give the terminal answers that a journal holds for each order at each resource that it was answered for.

    A version ends where a newer one takes its place (C1), and the newer one begins where it is answered received.
    """
    found: Answers = {}
    replaced: set[tuple[str, str]] = set()
    journal = Reader.open(state)
    try:
        for _number, tell in journal.tells():
            for name in tell.names if tell.topic is Topic.ANSWERED else ():
                key = (tell.order, name)
                versions = found.setdefault(key, [[]])
                if tell.effect == Kind.RECEIVED and key in replaced:
                    versions.append([])
                    replaced.remove(key)
                if tell.effect in TERMINAL:
                    versions[-1].append(tell.effect)
                if (tell.rule, tell.effect) == ("C1", Kind.SUPERSEDED):
                    replaced.add(key)
    finally:
        journal.close()
    return found


def _terminate(process: asyncio.subprocess.Process) -> None:
    """Ask a process to end, unless it has; its own method would take its exit code from whoever waits for it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)


async def _first(lines: AsyncIterator[Line]) -> Line | None:
    """Give the simulators' first line; None, and a line on standard error, where there is none in time."""
    try:
        return await asyncio.wait_for(anext(lines), PATIENCE_S)
    except StopAsyncIteration:
        print("gateway demo: the simulators did not start; the line above says why", file=sys.stderr)
    except TimeoutError:
        print(f"gateway demo: the simulators are not ready after {PATIENCE_S:g} s; try again", file=sys.stderr)
    return None


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[Line]:
    """Give the JSON lines that a process prints."""
    if process.stdout is None:
        return
    async for line in process.stdout:
        yield json.loads(line)
