"""`gateway scan` on a serial line: the units that are there, with the setting that they answer to."""

import asyncio
import io
import tomllib
from contextlib import redirect_stderr, redirect_stdout

import pytest
from sunspec_bench import RATED_W, Bank
from sunspec_peer import cable, serial_server

from gateway.cli import main
from gateway.southbound.sunspec_modbus import SunspecModbus, dial, survey
from gateway.southbound.sunspec_modbus.config import Endpoint


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "LINE_REPLY_S", 2.0)


async def scanned(*arguments: str) -> tuple[int, str, str]:
    """Scan beside the devices; give the exit code and what was printed."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = await asyncio.to_thread(main, ["scan", *arguments])
    return code, out.getvalue(), err.getvalue()


async def test_units_of_a_line_come_as_blocks_that_a_site_file_takes() -> None:
    with cable() as line:
        async with serial_server({3: Bank(), 5: Bank("legacy")}, line.theirs):
            code, out, err = await scanned(line.ours, "--units", "3-5", "--parity", "none", "--bauds", "9600")
    assert (code, err) == (0, "")
    devices = tomllib.loads(out)["device"]
    assert [each["rated_w"] for each in devices] == [RATED_W, RATED_W]
    made = [SunspecModbus(**each["sunspec_modbus"]) for each in devices]
    assert [(each.serial, each.unit, each.baud, each.parity) for each in made] == [
        (line.ours, 3, 9_600, "none"),
        (line.ours, 5, 9_600, "none"),
    ]


async def test_every_setting_is_tried_until_one_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    with cable() as line:

        async def opened(protocol: asyncio.BaseProtocol, to: Endpoint) -> asyncio.Transport:
            tried.append((to.baud, to.parity.value))
            line.cut = to.baud == 4_800
            return await dial.open_line(protocol, to)

        monkeypatch.setattr(survey, "open_line", opened)
        async with serial_server({3: Bank()}, line.theirs):
            code, out, _ = await scanned(line.ours, "--units", "3", "--parity", "none", "--bauds", "4800,9600,19200")
    assert (code, tried) == (0, [(4_800, "none"), (9_600, "none")])
    assert tomllib.loads(out)["device"][0]["sunspec_modbus"]["baud"] == 9_600


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("/dev/no-such-line",), 1, "cannot open /dev/no-such-line: "),
        (("/dev/no-such-line", "--bauds", "50"), 2, '"50" is no baud; give numbers from 4800'),
        (("/dev/no-such-line", "--parity", "mark"), 2, '"mark" is no parity; give even, odd, none'),
    ],
)
async def test_what_is_no_line_is_said(arguments: tuple[str, ...], code: int, said: str) -> None:
    assert (found := await scanned(*arguments))[0] == code
    assert said in found[2]
