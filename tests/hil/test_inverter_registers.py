"""Simulated inverters discovered, read and written by libraries that are not ours: pysunspec2 and pymodbus."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from hil.clock import Clock
from hil.sunspec.inverter import Inverter, InverterSpec, Kind

START_MS = 1_767_225_600_000
MODELS: dict[Kind, list[int]] = {"2018": [1, 701, 702, 703, 704], "legacy": [1, 103, 120, 121, 122, 123]}
NO_SUCH_ADDRESS, NO_SUCH_VALUE, NO_SUCH_UNIT = 2, 3, 0x0B


@asynccontextmanager
async def running(spec: InverterSpec) -> AsyncIterator[Inverter]:
    inverter = Inverter(spec, Clock.starting(1, START_MS))
    await inverter.start()
    try:
        yield inverter
    finally:
        await inverter.stop()


async def with_sunspec(inverter: Inverter, use: Callable[[Any], Any]) -> Any:
    def work() -> Any:
        device = SunSpecModbusClientDeviceTCP(
            slave_id=inverter.spec.unit, ipaddr="127.0.0.1", ipport=inverter.port, timeout=5
        )
        try:
            device.scan()
            return use(device)
        finally:
            device.close()

    return await asyncio.to_thread(work)


@asynccontextmanager
async def pymodbus(inverter: Inverter) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=inverter.port, timeout=2, retries=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


async def address_of(inverter: Inverter, model: int, point: str) -> int:
    def find(device: Any) -> int:
        found = device.models[model][0]
        return int(found.model_addr + found.points[point].offset)

    return int(await with_sunspec(inverter, find))


@pytest.mark.parametrize("base", [40000, 0, 50000])
@pytest.mark.parametrize("kind", ["2018", "legacy"])
async def test_sunspec_client_discovers_every_model_at_every_base(kind: Kind, base: int) -> None:
    async with running(InverterSpec(name="roof", kind=kind, base=base, unit=7)) as inverter:

        def chain(device: Any) -> tuple[int, list[int], list[str]]:
            return (
                device.base_addr,
                [model.model_id for model in device.model_list],
                [model.error_info for model in device.model_list if model.error_info],
            )

        assert await with_sunspec(inverter, chain) == (base, MODELS[kind], [])


async def test_2018_ratings_settings_and_measurements_read_back_in_their_units() -> None:
    async with running(InverterSpec(name="roof", rated_w=50_000, irradiance=0.5, phases=(1, 2, 3))) as inverter:

        def read(device: Any) -> list[Any]:
            measured, capacity = device.DERMeasureAC[0], device.DERCapacity[0]
            control = device.DERCtlAC[0]
            return [
                measured.W.cvalue,
                measured.LNV.cvalue,
                measured.Hz.cvalue,
                measured.ConnSt.value,
                capacity.WMaxRtg.cvalue,
                capacity.WMax.cvalue,
                device.DEREnterService[0].ES.value,
                control.WMaxLimPctEna.value,
                control.WMaxLimPct.cvalue,
            ]

        assert await with_sunspec(inverter, read) == [25_000, 240.0, 60.0, 1, 50_000, 50_000, 1, 0, 100.0]


async def test_legacy_ratings_settings_and_measurements_read_back_in_their_units() -> None:
    async with running(InverterSpec(name="barn", kind="legacy", rated_w=8000, irradiance=0.25)) as inverter:

        def read(device: Any) -> list[Any]:
            measured, control = device.inverter_three_phase[0], device.controls[0]
            return [
                measured.W.cvalue,
                measured.PhVphA.cvalue,
                measured.Hz.cvalue,
                measured.St.value,
                device.nameplate[0].WRtg.cvalue,
                device.settings[0].WMax.cvalue,
                control.Conn.value,
                control.WMaxLimPct.cvalue,
                control.WMaxLim_Ena.value,
            ]

        assert await with_sunspec(inverter, read) == [2000, 240.0, 60.0, 4, 8000, 8000, 1, 100, 0]


async def test_single_phase_inverter_leaves_the_other_phases_unimplemented() -> None:
    async with running(InverterSpec(name="roof", phases=(2,))) as inverter:

        def phases(device: Any) -> list[Any]:
            measured = device.DERMeasureAC[0]
            return [measured.ACType.value, measured.VL1.cvalue, measured.VL2.value, measured.LLV.value]

        assert await with_sunspec(inverter, phases) == [0, 240.0, None, None]


async def test_asleep_inverter_shows_sentinels_on_live_points_and_keeps_its_settings() -> None:
    async with running(InverterSpec(name="roof")) as inverter:
        inverter.set_fault("asleep", True)
        inverter.step(START_MS + 1000)

        def live(device: Any) -> list[Any]:
            measured = device.DERMeasureAC[0]
            return [measured.W.value, measured.LNV.value, measured.Hz.value, measured.InvSt.value]

        assert await with_sunspec(inverter, live) == [None, None, None, 1]
        async with pymodbus(inverter) as client:
            at = await address_of(inverter, 701, "W")
            assert (await client.read_holding_registers(at, count=1, device_id=1)).registers == [0x8000]
        assert inverter.value("702.WMax") == 5000


async def test_asleep_legacy_inverter_shows_the_same() -> None:
    async with running(InverterSpec(name="barn", kind="legacy")) as inverter:
        inverter.set_fault("asleep", True)
        inverter.step(START_MS + 1000)

        def live(device: Any) -> list[Any]:
            measured = device.inverter_three_phase[0]
            return [measured.W.value, measured.PhVphA.value, measured.Hz.value, measured.St.value]

        assert await with_sunspec(inverter, live) == [None, None, None, 2]


@pytest.mark.parametrize(("end_marker", "answered"), [(True, [0xFFFF, 0]), (False, None)])
async def test_map_ends_with_its_marker_or_with_an_exception(end_marker: bool, answered: list[int] | None) -> None:
    after_last_model = 40002 + 68 + 155 + 52 + 19 + 67
    async with running(InverterSpec(name="roof", end_marker=end_marker)) as inverter, pymodbus(inverter) as client:
        answer = await client.read_holding_registers(after_last_model, count=2, device_id=1)
        assert (None if answer.isError() else answer.registers) == answered


@pytest.mark.parametrize(
    ("model", "point", "words", "code"),
    [
        (704, "WMaxLimPct", [10_001], NO_SUCH_VALUE),
        (704, "WMaxLimPct", [0xFFFF], NO_SUCH_VALUE),
        (704, "WMaxLimPctEna", [2], NO_SUCH_VALUE),
        (704, "WMaxLimPctRvrtTms", [0], NO_SUCH_ADDRESS),
        (704, "WMaxLimPctRvrtRem", [0, 5], NO_SUCH_ADDRESS),
        (704, "WRmp", [10], NO_SUCH_ADDRESS),
        (701, "W", [1], NO_SUCH_ADDRESS),
        (702, "WMax", [5001], NO_SUCH_VALUE),
    ],
)
async def test_refused_write_answers_its_exception_and_writes_nothing(
    model: int, point: str, words: list[int], code: int
) -> None:
    async with running(InverterSpec(name="roof")) as inverter, pymodbus(inverter) as client:
        at = await address_of(inverter, model, point)
        before = (await client.read_holding_registers(at, count=len(words), device_id=1)).registers
        answer = await client.write_registers(at, words, device_id=1)
        assert (answer.isError(), answer.exception_code) == (True, code)
        assert (await client.read_holding_registers(at, count=len(words), device_id=1)).registers == before
        assert inverter.write_count == 0


async def test_write_that_cuts_two_points_in_half_is_refused() -> None:
    async with running(InverterSpec(name="roof")) as inverter, pymodbus(inverter) as client:
        at = await address_of(inverter, 704, "WMaxLimPctRvrtTms")
        assert (await client.write_registers(at + 1, [30, 0], device_id=1)).exception_code == NO_SUCH_ADDRESS
        assert inverter.value("704.WMaxLimPctRvrtTms") == 0


async def test_unknown_function_and_unit_and_address_answer_their_exceptions() -> None:
    async with running(InverterSpec(name="roof", unit=3)) as inverter, pymodbus(inverter) as client:
        assert (await client.read_input_registers(40000, count=1, device_id=3)).exception_code == 1
        assert (await client.read_holding_registers(39999, count=2, device_id=3)).exception_code == NO_SUCH_ADDRESS
        assert (await client.read_holding_registers(40000, count=1, device_id=4)).exception_code == NO_SUCH_UNIT


async def test_writes_are_recorded_with_what_they_said_and_in_order() -> None:
    async with running(InverterSpec(name="roof")) as inverter, pymodbus(inverter) as client:
        at = await address_of(inverter, 704, "WMaxLimPctEna")
        await client.write_registers(at, [1, 4000, 10_000, 0, 0, 30], device_id=1)
        await client.write_register(at, 0, device_id=1)
        first, second = inverter.writes
        assert first.at_ns < second.at_ns
        assert [inverter.write_count, first.function, second.function] == [2, 16, 6]
        assert inverter.told(first) == {
            "704.WMaxLimPctEna": 1,
            "704.WMaxLimPct": 40.0,
            "704.WMaxLimPctRvrt": 100.0,
            "704.WMaxLimPctEnaRvrt": 0,
            "704.WMaxLimPctRvrtTms": 30,
        }
        assert inverter.told(second) == {"704.WMaxLimPctEna": 0}


async def test_two_inverters_of_one_kind_share_no_register() -> None:
    async with running(InverterSpec(name="a")) as one, running(InverterSpec(name="b")) as other:

        def limit(device: Any) -> None:
            device.DERCtlAC[0].WMaxLimPct.cvalue = 10
            device.DERCtlAC[0].WMaxLimPct.write()

        await with_sunspec(one, limit)
        assert (one.value("704.WMaxLimPct"), other.value("704.WMaxLimPct")) == (10.0, 100.0)
