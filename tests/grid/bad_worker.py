"""`python bad_worker.py MODE FLAG`: a feeder's worker that fails once in some way, and is the real one from then on.

Once the file FLAG exists, it is replaced by the real worker; it leaves its process id there.
"""

import os
import runpy
import sys
import threading
import time
from pathlib import Path

READY = '{"type":"Ready","model_hash":"00","nodes":1}'
ANSWER = (
    '{{"type":"Answer","serial":{serial},"spans":[["roof",{low},{high},0]],"model_hash":"00",'
    '"worst_voltage_milli_pu":{voltage},"worst_voltage_at":"634.1","worst_loading_permille":500,'
    '"worst_loading_at":"line 1","binding":"","taps_settled":true}}'
)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def misbehave(mode: str) -> None:
    """Take the setup and one question, and fail."""
    sys.stdin.readline()
    if mode == "mute":
        time.sleep(60)
    if mode == "stillborn":
        sys.exit("cannot start today")
    say(READY)
    sys.stdin.readline()
    if mode == "hang":
        time.sleep(60)
    if mode == "crash":
        sys.stderr.write("something\nout of memory\n")
        sys.exit(3)
    figures = {"serial": 1, "low": 0, "high": 1000, "voltage": 1010}
    wrong: dict[str, dict[str, object]] = {
        "nan": {"voltage": "NaN"},
        "wider": {"high": 1001},
        "unexplained": {"high": 999},
    }
    say(ANSWER.format(**{**figures, **wrong[mode]}) if mode in wrong else "Job done! Waiting...")
    time.sleep(60)


def chatter() -> None:
    while True:
        os.write(1, b"Actor 1: Job done\n")
        time.sleep(0.001)


if __name__ == "__main__":
    mode, flag = sys.argv[1], Path(sys.argv[2])
    if mode not in ("sound", "chatter") and not flag.exists():
        flag.touch()
        misbehave(mode)
    flag.write_text(str(os.getpid()), encoding="ascii")
    if mode == "chatter":
        threading.Timer(0.5, chatter).start()
    runpy.run_module("gateway.grid.worker", run_name="__main__")
