"""Command line of the bench: `python -m hil serve SCENARIO --pki DIR --clock xN@T0`, `run`, and `list`."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aiohttp import web
from lxml import etree

from hil.bench import Bench, Line
from hil.clock import Clock
from hil.feeder import FeederError
from hil.port import asked_for
from hil.record import Record
from hil.scenario import Scenario, ScenarioError, action_of, load
from hil.trial import run

DONE, FAULT_FOUND, BAD_INPUT = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0 done, 1 an expectation failed, 2 wrong use or bad input."""
    parser = argparse.ArgumentParser(prog="python -m hil", description="Simulated inverters, feeder and head-ends.")
    commands = parser.add_subparsers(required=True, metavar="serve|run|list")
    run.register(commands)
    serve = commands.add_parser("serve", help="run a scenario file on loopback sockets")
    serve.set_defaults(act=_serve_scenario)
    serve.add_argument("scenario", type=Path)
    serve.add_argument("--pki", type=Path, required=True, help="folder of NAME.pem, NAME.key and the authorities")
    serve.add_argument("--clock", default="real", help='"real" or "xN@T0" (default real)')
    serve.add_argument("--out", type=Path, help="write every JSON line to this file too")
    serve.add_argument("--csv", type=Path, metavar="DIR", help="write what is measured and what happens as tables too")
    serve.add_argument("--admin", type=int, metavar="PORT", help="HTTP on 127.0.0.1: POST /act, GET /state; 0 any port")
    serve.add_argument("--schema", type=Path, metavar="XSD", help="judge every body received by this schema too")
    given = parser.parse_args(arguments)
    act: Callable[[argparse.Namespace], int] = given.act
    return act(given)


def _serve_scenario(given: argparse.Namespace) -> int:
    try:
        scenario, clock = load(given.scenario), Clock.parse(given.clock)
        schema = etree.XMLSchema(file=str(given.schema)) if given.schema else None
        with ExitStack() as stack:
            write = _writer(given.out, given.csv, stack)
            return asyncio.run(_serve(scenario, clock, given.pki, write, given.admin, schema))
    except (OSError, ScenarioError, FeederError, etree.XMLSchemaParseError, ValueError) as fault:
        sys.stderr.write(f"hil: {fault}\n")
        return BAD_INPUT


async def _serve(
    scenario: Scenario,
    clock: Clock,
    pki: Path,
    write: Callable[[Line], None],
    admin_port: int | None,
    schema: etree.XMLSchema | None,
) -> int:
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    held: list[Line] = []
    listening = False

    def tell(line: Line) -> None:
        if listening:
            write(line)
        else:
            held.append(line)

    async with Bench(scenario, clock, pki, tell, schema) as bench:
        admin = await _start_admin(bench, admin_port) if admin_port is not None else None
        where = {} if admin is None else {"admin": f"http://127.0.0.1:{admin.addresses[0][1]}"}
        write({"ready": bench.ready() | where})
        listening = True
        for line in held:
            write(line)
        bench.begin()
        interrupted = await _run(bench, stopped)
        summary = bench.summary()
        write({"t_ms": clock.now_ms(), "kind": "summary", "interrupted": interrupted, **summary})
        if admin is not None:
            await admin.cleanup()
    return DONE if interrupted or summary["ok"] else FAULT_FOUND


async def _run(bench: Bench, stopped: asyncio.Event) -> bool:
    """Wait for the end of the timeline or a signal; tells whether it was a signal."""
    finished = asyncio.create_task(bench.finished())
    signalled = asyncio.create_task(stopped.wait())
    done, waiting = await asyncio.wait({finished, signalled}, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for task in done:
        task.result()
    return finished not in done


async def _start_admin(bench: Bench, port: int) -> web.AppRunner:
    async def act(request: web.Request) -> web.Response:
        try:
            await bench.act(action_of(await request.json()))
        except ValueError as fault:
            return web.json_response({"error": str(fault)}, status=400)
        return web.json_response({"t_ms": bench.clock.now_ms()})

    async def state(_request: web.Request) -> web.Response:
        return web.json_response(bench.state())

    app = web.Application()
    app.add_routes([web.post("/act", act), web.get("/state", state)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    with asked_for("127.0.0.1", port):
        await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


def _writer(out: Path | None, tables: Path | None, stack: ExitStack) -> Callable[[Line], None]:
    record = stack.enter_context(Record(tables)) if tables is not None else None
    kept = stack.enter_context(out.open("w", encoding="utf-8")) if out is not None else None

    def write(line: dict[str, Any]) -> None:
        text = json.dumps(line) + "\n"
        sys.stdout.write(text)
        sys.stdout.flush()
        if kept is not None:
            kept.write(text)
            kept.flush()
        if record is not None:
            record.take(line)

    return write


if __name__ == "__main__":
    sys.exit(main())
