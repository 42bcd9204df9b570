"""Serial lines by pymodbus on both ends of a pty cable: two units, a unit that is missing, and a cable that is cut."""

import asyncio
import sys

import pytest
from sunspec_bench import Bank, desk
from sunspec_peer import cable, held, serial_server

from gateway.core.events import Adopted, LinkDown, LinkUp
from gateway.southbound import sunspec_modbus
from gateway.southbound.sunspec_modbus import SunspecModbus, connection, link
from gateway.southbound.sunspec_modbus.config import Parity


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_modbus, "SWEEP_S", 0.01)
    monkeypatch.setattr(link, "READ_BACK_S", 0.0)
    monkeypatch.setattr(connection, "REPLY_S", 0.4)
    monkeypatch.setattr(link, "BACKOFF_S", (0.1, 0.2, 0.4))


def on(path: str, unit: int) -> SunspecModbus:
    return SunspecModbus(serial=path, unit=unit, parity=Parity.NONE, poll_s=5)


async def test_two_units_of_a_line_are_told_while_a_third_is_missing() -> None:
    banks = {3: Bank(), 4: Bank("legacy")}
    with cable() as line:
        tables = {"roof": on(line.ours, 3), "shed": on(line.ours, 4), "gone": on(line.ours, 5)}
        async with serial_server(banks, line.theirs) as server, desk(tables) as made:
            await made.ear.until(LinkUp)
            await made.ear.until(LinkUp, device="shed")
            down = await made.ear.until(LinkDown, device="gone")
            made.want()
            made.want(serial=2, device="shed")
            await made.ear.until(Adopted)
            await made.ear.until(Adopted, device="shed")
            assert await held(server, 3, banks[3], "704.WMaxLimPct") == 6_000
            assert await held(server, 4, banks[4], "123.WMaxLim_Ena") == 1
            assert not made.ear.of(LinkDown)
            assert not made.ear.of(LinkDown, "shed")
            assert "gone" not in {each.device for each in made.ear.events if isinstance(each, LinkUp)}
            assert down.why


async def test_noise_on_a_shared_line_costs_nobody_its_link() -> None:
    with cable() as line:
        tables = {"roof": on(line.ours, 3), "shed": on(line.ours, 4)}
        async with serial_server({3: Bank(), 4: Bank()}, line.theirs), desk(tables) as made:
            await made.ear.until(LinkUp)
            await made.ear.until(LinkUp, device="shed")
            for round_ in range(1, 6):
                line.disturb(b"\x00\xff")
                await asyncio.sleep(0.13)
                made.want(serial=round_, device="shed", limit_w=2_000 + round_)
                await made.ear.until(Adopted, round_, device="shed")
            assert not made.ear.of(LinkDown)
            assert not made.ear.of(LinkDown, "shed")


async def test_a_cut_cable_is_heard_and_healed() -> None:
    with cable() as line:
        async with serial_server({3: Bank()}, line.theirs), desk({"roof": on(line.ours, 3)}) as made:
            await made.ear.until(LinkUp)
            line.cut = True
            down = await made.ear.until(LinkDown)
            assert down.why == "no reply within 0.4 s"
            line.cut = False
            await made.ear.until(LinkUp, 2)


async def test_a_device_file_that_is_not_there_is_said() -> None:
    async with desk({"roof": on("/dev/no-such-line", 3)}) as made:
        down = await made.ear.until(LinkDown)
        assert down.why.startswith("cannot connect to /dev/no-such-line: ")


@pytest.mark.parametrize("library", ["serial", "pymodbus.transport.serialtransport"])
async def test_a_missing_library_is_said_with_what_to_install(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    async with desk({"roof": on("/dev/ttyS0", 3)}) as made:
        down = await made.ear.until(LinkDown)
        assert down.why == (
            "cannot open /dev/ttyS0: serial lines need pymodbus and pyserial; install laminar-gateway[serial]"
        )
