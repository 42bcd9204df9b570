"""`python -m hil run PROCEDURE|SUITE --bench B --out DIR` and `list`: procedures on a bench, with a report."""

import argparse
import asyncio
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hil.trial.instrument import DeviceError
from hil.trial.procedure import BENCHES, PROCEDURES, SUITES, Procedure, ProcedureError, load, names, select
from hil.trial.report import PAGE, Run, write
from hil.trial.runner import Runner
from hil.trial.testbed import Testbed, described, open_bench

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

DONE, FAULT_FOUND, BAD_INPUT = 0, 1, 2


def register(commands: "Commands") -> None:
    """Add `run` and `list` to the command line of the bench."""
    run = commands.add_parser("run", help="run a procedure or a suite on a bench, and write a report")
    run.add_argument("asked", metavar="PROCEDURE|SUITE", help="a shipped name (see list) or a file")
    run.add_argument(
        "--bench", default="simulated", metavar="BENCH", help="a shipped name or a file (default simulated)"
    )
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder for the report; made if missing")
    run.add_argument("--seed", type=int, default=1, help="moves the moments of measuring (default 1)")
    run.set_defaults(act=_run)
    shown = commands.add_parser("list", help="list procedures, suites and benches")
    shown.set_defaults(act=_list)


def _list(_given: argparse.Namespace) -> int:
    for name in names(PROCEDURES):
        _say(f"{name:10} {load(PROCEDURES / f'{name}.toml').title}")
    for title, folder in (("suites", SUITES), ("benches", BENCHES)):
        _say(f"{title}: {', '.join(names(folder))}")
    return DONE


def _run(given: argparse.Namespace) -> int:
    if (given.out / PAGE).exists():
        sys.stderr.write(f"hil: {given.out} holds a report already; give another folder\n")
        return BAD_INPUT
    try:
        title, procedures = select(given.asked)
        bench = open_bench(given.bench)
        run = asyncio.run(perform(bench, title, procedures, given.seed))
        page = write(run, given.out)
    except (ProcedureError, DeviceError, OSError) as fault:
        sys.stderr.write(f"hil: {fault}\n")
        return BAD_INPUT
    _say(f"{run.summary}: {page}")
    return DONE if run.passed else FAULT_FOUND


async def perform(bench: Testbed, title: str, procedures: list[Procedure], seed: int) -> Run:
    """Run procedures on a bench; raises DeviceError where there is no device at all."""
    chance = random.Random(seed)  # noqa: S311 - moments of measuring, no secret
    async with bench:
        runner = Runner(bench, chance, _say)
        await runner.open()
        device = await asyncio.to_thread(runner.identity)
        results = [await runner.run(procedure) for procedure in procedures]
        return Run(
            title=title,
            seed=seed,
            bench=described(bench.file),
            device=device,
            results=results,
            transactions=bench.instrument.transactions,
            models=bench.instrument.implemented(),
        )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
