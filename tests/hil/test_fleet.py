"""Many light inverters in one process, as another library's clients find them."""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from pymodbus.client import AsyncModbusTcpClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from hil.clock import Clock
from hil.sunspec.fleet import Fleet, Plants, main

COUNT, UNITS = 50, 10


def device(port: int, unit: int) -> SunSpecModbusClientDeviceTCP:
    found = SunSpecModbusClientDeviceTCP(slave_id=unit, ipaddr="127.0.0.1", ipport=port, timeout=5)
    found.scan()
    return found


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hil.sunspec.fleet", *arguments, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    assert made.stdout is not None
    try:
        yield made, json.loads(await asyncio.wait_for(made.stdout.readline(), 20))["ready"]
    finally:
        if made.returncode is None:
            made.send_signal(signal.SIGTERM)
        await made.communicate()


async def test_fifty_are_found_at_the_ports_it_prints_and_counted_at_its_end() -> None:
    async with process("--count", str(COUNT), "--units", str(UNITS)) as (made, ready):
        assert (len(ready["ports"]), ready["units"], ready["count"]) == (COUNT // UNITS, UNITS, COUNT)
        found = await asyncio.to_thread(device, ready["ports"][3], 7)
        models = [key for key in found.models if isinstance(key, int)]
        assert models == [1, 701, 702, 703, 704]
        assert found.models[1][0].SN.cvalue == "SIM-36"
        assert found.models[701][0].W.cvalue == 5_000
        assert found.models[702][0].WMax.cvalue == 5_000
        found.close()
        serials = set()
        for port in ready["ports"]:
            client = AsyncModbusTcpClient("127.0.0.1", port=port)
            await client.connect()
            for unit in range(1, UNITS + 1):
                reply = await client.read_holding_registers(40_002 + 50, count=16, device_id=unit)
                serials.add(client.convert_from_registers(reply.registers, client.DATATYPE.STRING))
            client.close()
        assert serials == {f"SIM-{index}" for index in range(COUNT)}
        made.send_signal(signal.SIGTERM)
        assert made.stdout is not None
        counted = json.loads(await asyncio.wait_for(made.stdout.readline(), 5))
        assert counted["reads"] >= COUNT
        assert (counted["writes"], counted["w"]) == (0, COUNT * 5_000)
        assert await made.wait() == 0


async def test_a_limit_moves_the_one_that_was_told_and_its_timer_takes_it_back() -> None:
    plants = Plants(3, tau_s=0.0)
    clock = Clock.starting(100, 1_767_225_600_000)
    async with Fleet(plants, clock) as fleet:

        def limit() -> None:
            one = device(fleet.ports[1], 1)
            control = one.models[704][0]
            control.WMaxLimPct.cvalue, control.WMaxLimPctRvrt.cvalue = 40, 20
            control.WMaxLimPctEnaRvrt.value, control.WMaxLimPctRvrtTms.value, control.WMaxLimPctEna.value = 1, 60, 1
            control.write()
            one.close()

        await asyncio.to_thread(limit)
        fleet.step()
        assert list(plants.w) == [5_000, 2_000, 5_000]
        assert 0 < plants.column("704.WMaxLimPctRvrtRem")[1] <= 60
        await asyncio.sleep(0.7)
        fleet.step()
        assert list(plants.w) == [5_000, 1_000, 5_000]
        assert list(plants.column("701.W")) == [5_000, 1_000, 5_000]
        assert list(plants.column("704.WMaxLimPct")) == [10_000, 2_000, 10_000]
        assert fleet.report()["written"] == 1


def write(plants: Plants, index: int, name: str, value: int) -> int:
    register = plants._layout.registers[name]
    return plants.write(index, plants.base + register.offset, value.to_bytes(2 * register.words, signed=value < 0))


def test_each_function_moves_power_with_its_time_constant() -> None:
    plants = Plants(4, tau_s=1.0)
    plants.step(1_000.0)
    assert write(plants, 0, "703.ES", 0) == write(plants, 2, "704.WSet", 1_500) == 0
    assert write(plants, 2, "704.WSetMod", 1) == write(plants, 2, "704.WSetEna", 1) == 0
    plants.irradiance = np.array([1.0, 1.0, 1.0, 0.1])
    plants.step(1_001.0)
    left = np.exp(-1)
    assert plants.w == pytest.approx([0, 5_000, 1_500 + 3_500 * left, 500 + 4_500 * left])
    plants.step(1_020.0)
    assert plants.w == pytest.approx([0, 5_000, 1_500, 500], abs=1)
    assert list(plants.column("701.ConnSt")) == [0, 1, 1, 1]
    assert list(plants.column("701.W")) == [0, 5_000, 1_500, 500]


def test_what_is_not_there_or_may_not_be_written_is_refused() -> None:
    plants = Plants(2)
    before = bytes(plants._octets)
    assert write(plants, 0, "701.W", 1) == write(plants, 0, "702.WMaxRtg", 1) == 2
    assert plants.write(0, plants.base - 1, bytes(2)) == plants.write(0, 41_000, bytes(2)) == 2
    assert plants.read(0, plants.base - 1, 2) is plants.read(0, 41_000, 1) is None
    assert bytes(plants._octets) == before


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--count", "0"], "1 to 100000 fit"),
        (["--count", "2", "--units", "300"], "1 to 247"),
        (["--count", "2", "--clock", "soon"], 'write "real"'),
        (["--count", "9"], "91 open files are needed and 40 allowed; put more --units behind each port"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = (40, 40) if arguments[-1] == "9" else (1_000, 1_000)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: allowed)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
