"""A process that is killed while it commits: every acknowledged entry is there, in order, and replays (DESIGN 3)."""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import SystemRandom

from gateway.cli import replay
from gateway.core.machine import Machine
from gateway.store import Journal

KILLS = 20
SHORTEST_S, LONGEST_S = 0.02, 0.15
CHILD = """
import pathlib, sys
sys.path.insert(0, sys.argv[2])
from store_world import T0_MS, handled, limit, start
from gateway.core.events import Tick
from gateway.core.machine import Machine
from gateway.store import Journal
journal = Journal.open(pathlib.Path(sys.argv[1]), reserve_bytes=1 << 20)
recovered = journal.recover()
machine = Machine(recovered.state)
for entry in recovered.tail:
    handled(machine, entry.event, entry.now_ms)
def commit(events):
    entries = [handled(machine, event, max(T0_MS, machine.state.now_ms) + 1_000) for event in events]
    journal.commit(entries)
    print(journal.last_number, flush=True)
commit(start())
while True:
    number = journal.last_number
    commit([limit(number, number % 5_000)] if number % 40 == 0 else [Tick()] * (number % 3 + 1))
    if number % 97 == 0:
        journal.snapshot(machine.state)
"""


def committed_until_killed(folder: Path, after_s: float) -> int:
    """Let a child commit, kill it that long after its first acknowledgement, and give the last number it told."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    told = [child.stdout.readline()]
    time.sleep(after_s)
    child.send_signal(signal.SIGKILL)
    told += child.stdout.readlines()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL, told
    return int([line for line in told if line.endswith("\n")][-1])


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    chance = SystemRandom()
    before = 0
    for _ in range(KILLS):
        acknowledged = committed_until_killed(tmp_path, chance.uniform(SHORTEST_S, LONGEST_S))
        assert acknowledged > before
        journal = Journal.open(tmp_path, reserve_bytes=1 << 20)
        numbers = [number for number, _ in journal.entries()]
        recovered = journal.recover()
        journal.close()
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= acknowledged
        before = len(numbers)
    machine = Machine(recovered.state)
    for entry in recovered.tail:
        list(machine.handle(entry.event, entry.now_ms))
    assert machine.state.now_ms > 0
    assert replay.run(argparse.Namespace(state=tmp_path, json=False)) == replay.AGREED
