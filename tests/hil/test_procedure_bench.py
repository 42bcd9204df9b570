"""A real bench, and what a run leaves behind: prompts, foreign devices, the page, JUnit, CSV and JSON."""

import asyncio
import csv
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from lxml import etree, html
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from hil.__main__ import main
from hil.clock import Clock
from hil.street import Street
from hil.sunspec.inverter import Inverter, InverterSpec
from hil.trial.conformance import multiple_packets
from hil.trial.instrument import DeviceError, Instrument
from hil.trial.procedure import select
from hil.trial.report import Run, write
from hil.trial.run import perform
from hil.trial.testbed import BenchFile, DeviceTable, SimulatedTable, make_bench

ROOT = Path(__file__).parents[2]
START_MS = 1_767_225_600_000
BY_HAND = """
id = "X"
title = "one step by hand"
source = "none"
[[step]]
name = "light by hand"
set = { light_pct = 60 }
write = { "704.WMaxLimPct" = 40, "704.WMaxLimPctEna" = 1 }
follow = [{ quantity = "W", target_pct = 40, response_s = 0.2 }]
"""


async def at_once(*arguments: str, said: bytes = b"", module: str = "hil") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    out, err = await process.communicate(said)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@asynccontextmanager
async def real_bench(tmp_path: Path, by_hand: str) -> AsyncIterator[tuple[str, str]]:
    """A device on the real clock, a bench file that names it, and a procedure that is over in a second."""
    spec = InverterSpec(name="roof", kind="autonomous", time_constant_s=0.05)
    async with Street(Clock.parse("real"), [spec]) as street:
        bench, procedure = tmp_path / "bench.toml", tmp_path / "x.toml"
        bench.write_text(
            "title = 'table'\nevery_s = 0.2\nsettle_s = 0.2\n"
            f"[device]\nhost = '127.0.0.1'\nport = {street.ports['roof']}\n"
            f"by_hand = [{by_hand}]\n"
        )
        procedure.write_text(BY_HAND)
        yield str(procedure), str(bench)


async def simulated(name: str, *faults: str) -> Run:
    bench = make_bench(BenchFile(title="simulated", simulated=SimulatedTable(faults=faults)))
    title, procedures = select(name)
    return await perform(bench, title, procedures, 7)


@pytest.mark.soak
async def test_a_real_device_waits_for_the_settling_time() -> None:
    async with Street(Clock.parse("real"), [InverterSpec(name="roof", kind="autonomous")]) as street:
        file = BenchFile(title="table", device=DeviceTable(host="127.0.0.1", port=street.ports["roof"]))
        title, procedures = select("CRV-2")
        found = await perform(make_bench(file), title, procedures, 1)
        assert found.results[0].verdict == "pass"


async def test_a_person_moves_what_the_bench_says_that_a_person_can(tmp_path: Path) -> None:
    async with real_bench(tmp_path, "'light_pct'") as (procedure, bench):
        code, out, err = await at_once("run", procedure, "--bench", bench, "--out", str(tmp_path / "out"), said=b"\n\n")
    assert "set the available power, % of rated, to 60; then press Enter" in err
    assert (code, "pass     light by hand" in out) == (0, True)


async def test_what_nobody_can_move_is_not_run_and_no_pass(tmp_path: Path) -> None:
    async with real_bench(tmp_path, "") as (procedure, bench):
        code, out, _err = await at_once("run", procedure, "--bench", bench, "--out", str(tmp_path / "out"))
    assert code == 1
    assert 'not run  light by hand: nobody can set the available power, % of rated, to 60; name "light_pct"' in out
    assert "1 not run: " in out


async def test_on_a_real_bench_cycles_and_a_line_that_is_not_there_are_not_run() -> None:
    async with Street(Clock.parse("real"), [InverterSpec(name="roof", kind="autonomous")]) as street:
        device = DeviceTable(host="127.0.0.1", port=street.ports["roof"], by_hand=("volts_pct",))
        file = BenchFile(title="table", device=device, settle_s=0)
        procedures = select("LVRT")[1] + select("RTU-1")[1]
        found = (await perform(make_bench(file), "two", procedures, 1)).results
    assert [result.verdict for result in found] == ["not run", "not run"]
    assert "a grid simulator is needed" in found[0].note
    assert 'name it in "serial"' in found[1].note


async def test_a_foreign_device_that_drops_joined_requests_fails_that() -> None:
    inverter = Inverter(InverterSpec(name="roof"), Clock.starting(1, START_MS))
    await inverter.start()
    place = inverter.place("1.ID", 1)[0] - 2
    words: list[int] = []
    reader, writer = await asyncio.open_connection("127.0.0.1", inverter.port)
    for at in range(place, place + 68, 34):
        writer.write(bytes.fromhex("000100000006") + bytes((1, 3)) + at.to_bytes(2, "big") + (34).to_bytes(2, "big"))
        answer = await reader.readexactly(9 + 68)
        words += [int.from_bytes(answer[n : n + 2], "big") for n in range(9, len(answer), 2)]
    writer.close()
    await writer.wait_closed()
    await inverter.stop()
    device = SimDevice(id=1, simdata=[SimData(40000, values=[*words, 0xFFFF, 0], datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.listen()
    port = cast("asyncio.Server", server.transport).sockets[0].getsockname()[1]
    try:
        file = BenchFile(title="pymodbus", device=DeviceTable(host="127.0.0.1", port=port, timeout_s=0.5))
        bench = make_bench(file)
        async with bench:
            await asyncio.to_thread(bench.instrument.open)
            findings = await asyncio.to_thread(multiple_packets, bench.instrument)
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call] # pymodbus types it in part
    assert [kept for kept, _text in findings] == [False]


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(12):
            writer.write((bytes(5) + b"\x05\x01\x03\x02" + request[8:10]) * 2)
        writer.close()

    server = await asyncio.start_server(twice, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    device = Instrument("127.0.0.1", port, 1, timeout_s=2, now_ms=lambda: 0, wall_s=time.monotonic)
    try:
        assert await asyncio.to_thread(read_register, device, 7) == b"\x00\x07"
        with pytest.raises(DeviceError, match="11 bytes more than it was asked for"):
            await asyncio.to_thread(read_register, device, 8)
        assert await asyncio.to_thread(read_register, device, 9) == b"\x00\x09"
    finally:
        device.close()
        server.close()


def read_register(device: Instrument, address: int) -> bytes:
    return device.raw(address, 1)


async def test_the_page_needs_no_other_file_and_tells_every_criterion_and_band(tmp_path: Path) -> None:
    run = await simulated("LAP", "ignores_limit")
    page = write(run, tmp_path / "out").read_text()
    tree = html.document_fromstring(page)

    def found(path: str) -> list[str]:
        return cast("list[str]", tree.xpath(path))

    assert found("//@src | //link | //script") == []
    assert [link for link in found("//@href") if not link.startswith("#")] == []
    assert len(found("//svg")) == 1
    assert len(found("//*[contains(@class, 'band')]")) == 4 * 6
    assert len(found("//*[@class='band broken']")) == 3 * 4
    criteria = [judged.text for step in run.results[0].steps for judged in step.judged]
    assert all(text in page for text in criteria)
    assert "66 %" in page
    assert "pysunspec2" in page


async def test_what_a_device_is_called_cannot_break_the_page(tmp_path: Path) -> None:
    run = await simulated("DEV-2")
    run.device["maker"] = "<script>alert(1)</script>"
    assert "<script>" not in write(run, tmp_path / "out").read_text()


async def test_junit_counts_failures_and_what_was_not_run(tmp_path: Path) -> None:
    write(await simulated("LAP", "ignores_limit"), tmp_path / "out")
    root = etree.parse(str(tmp_path / "out" / "junit.xml")).getroot()
    suite = root.find("testsuite")
    assert suite is not None
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("LAP", "6", "3")
    assert {case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None} == {
        "66 %",
        "33 %",
        "0 %",
    }


async def test_every_transaction_sample_and_act_is_on_record_with_seed_and_versions(tmp_path: Path) -> None:
    run = await simulated("VV-2")
    write(run, tmp_path / "out")
    wire = rows(tmp_path / "out" / "transactions.csv")
    assert len(wire) == len(run.transactions)
    curve = [row for row in wire if row["operation"] == "write" and int(row["count"]) > 4]
    assert [row["procedure"] for row in curve] == ["VV-2"]
    samples = rows(tmp_path / "out" / "samples.csv")
    assert {"100.00", "103.00", "106.00"} <= {row["volts_pct"] for row in samples}
    messages = [row["message"] for row in rows(tmp_path / "out" / "messages.csv")]
    assert "write 705.Ena = 1" in messages
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (record["seed"], record["passed"], record["procedures"][0]["verdict"]) == (7, True, "pass")
    assert set(record["versions"]) >= {"python", "pysunspec2", "pymodbus"}


async def test_gateway_hil_runs_a_suite_in_a_process_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said, _err = await at_once("hil", "run", "DEV-2", "--out", str(out), module="gateway")
    assert (code, (out / "report.html").exists()) == (0, True)
    assert "DEV-2  pass" in said
    wrong = await at_once("hil", "run", "DEV-2", "--out", str(out), module="gateway")
    assert (wrong[0], "holds a report already; give another folder" in wrong[2]) == (2, True)


def test_a_failed_procedure_is_told_by_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = tmp_path / "faulty.toml"
    bench.write_text("title = 'faulty'\n[simulated]\nfaults = ['failed_adoption']\n")
    assert main(["run", "MOD-3", "--bench", str(bench), "--out", str(tmp_path / "out")]) == 1
    assert "1 fail: " in capsys.readouterr().out


def test_all_that_can_be_run_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    told = capsys.readouterr().out
    assert "LAP        Limit active power" in told
    assert "benches: example-real, opender, simulated" in told


NOBODY = "title = 'nobody'\n[device]\nhost = '127.0.0.1'\nport = 1\n"
UNKNOWN = "title = 'x'\n[simulated]\nfaults = ['lazy']\n"


@pytest.mark.parametrize(
    ("asked", "bench", "why"),
    [
        ("LPA", None, 'hil: no procedure or suite "LPA"; did you mean LAP?'),
        ("LAP", None, "; give a file, or one of: example-real, opender, simulated"),
        ("LAP", NOBODY, "no SunSpec device at 127.0.0.1:1 unit 1"),
        ("LAP", UNKNOWN, 'fault "lazy" is not known; use one of ignores_limit'),
        ("LAP", "title = 'x'", "give either [simulated] or [device]"),
        ("LAP", "title = 'x'\n[simulated]\nrated = 1", "unknown field `rated`"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    asked: str, bench: str | None, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.toml"
    if bench is not None:
        file.write_text(bench)
    assert main(["run", asked, "--bench", str(file), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert why in told
    assert told.count("\n") == 1
