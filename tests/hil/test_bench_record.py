"""What a bench leaves as tables: feeder voltages, power and messages, with both physics on one feeder."""

import asyncio
import csv
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from hil.clock import Clock
from hil.record import HAPPENED, MEASURED

SCENARIO = """
name = "two"
feeder = "ieee13"
measure_s = 5

[[inverter]]
name = "three"
kind = "autonomous"
physics = "opender"
bus = "671"
nominal_v = 2401.8
rated_w = 400000
irradiance = 0.5

[[inverter]]
name = "one"
bus = "611"
phases = [3]
nominal_v = 2401.8
rated_w = 50000

[[step]]
at_s = 20
irradiance = { fraction = 0.9, inverters = ["three"] }
[[step]]
at_s = 100
proof = { name = "light", devices = ["three"], at_least_w = 359000, at_most_w = 361000 }
[[step]]
at_s = 101
end = true
"""


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


async def test_a_bench_with_a_feeder_leaves_its_voltages_power_and_messages_as_tables(tmp_path: Path) -> None:
    scenario, out = tmp_path / "two.toml", tmp_path / "out" / "tables"
    scenario.write_text(SCENARIO)
    arguments = ("serve", str(scenario), "--pki", str(tmp_path), "--clock", str(Clock.starting(25, 1_800_000_000_000)))
    bench = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hil", *arguments, "--csv", str(out)), stdout=PIPE, stderr=PIPE
    )
    said, errors = await bench.communicate()
    assert (bench.returncode, errors) == (0, b""), said

    measured = table(out / MEASURED)
    told = [json.loads(line) for line in said.splitlines()]
    lines = [line for line in told if line.get("kind") == "measured"]
    assert {row["device"] for row in measured} == {"three", "one"}
    assert len(measured) == 2 * len(lines) > 2
    assert all(0.9 < float(row["v1_pu"]) < 1.1 for row in measured)
    assert all((row["v2_pu"], row["v3_pu"]) == ("", "") for row in measured if row["device"] == "one")
    assert all(0.9 < float(row["v3_pu"]) < 1.1 for row in measured if row["device"] == "three")
    of_three = [(float(row["w"]), float(row["v1_pu"])) for row in measured if row["device"] == "three"]
    assert of_three[0][0] < of_three[-1][0] == 360_000
    assert of_three[0][1] < of_three[-1][1]

    happened = table(out / HAPPENED)
    assert [row["kind"] for row in happened] == [line["kind"] for line in told[1:] if line["kind"] != "measured"]
    proof = json.loads(next(row["particulars"] for row in happened if row["kind"] == "proof"))
    assert (proof["ok"], proof["w"]) == (True, {"three": 360_000})
