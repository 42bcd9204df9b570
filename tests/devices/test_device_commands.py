"""`gateway probe`, `scan` and `pics` over real sockets: what they print, and that they never write."""

import asyncio
import io
import json
import socket
import tomllib
from contextlib import AsyncExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from device_world import CAPTURES, played

from gateway.cli import main, parser
from gateway.runtime import wiring
from gateway.southbound.sunspec_modbus import SunspecModbus
from gateway.southbound.sunspec_modbus.profiles import SETTINGS, read
from gateway.southbound.sunspec_modbus.survey import Surveyed, survey
from hil.clock import Clock
from hil.street import Street
from hil.sunspec import replay
from hil.sunspec.captures import Family, draw
from hil.sunspec.inverter import InverterSpec, Kind
from hil.sunspec.modbus_server import ModbusServer


async def typed(*arguments: str) -> tuple[int, str, str]:
    """Type a command in, beside the devices; give its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()

    def type_in() -> int:
        with redirect_stdout(out), redirect_stderr(err):
            return main(arguments)

    return await asyncio.to_thread(type_in), out.getvalue(), err.getvalue()


def closed_port() -> int:
    """Give a port of loopback that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


async def test_probe_prints_a_profile_to_start_from_and_never_writes(tmp_path: Path) -> None:
    kept = tmp_path / "capture.toml"
    async with played("sma") as (server, registers):
        code, out, err = await typed("probe", f"127.0.0.1:{server.port}", "--save", str(kept))
    assert (code, err) == (0, "")
    assert set(registers.functions) == {3}
    made = tomllib.loads(out.replace('"https://"', '"https://example.org/issues/1"'))
    profile = read("mine", made)
    assert (profile.unit, profile.end_marker) == (126, False)
    assert made["match"] == [{"manufacturer": "SMA", "model": "STP X 20-50", "firmware": "3\\.02\\.08\\.R"}]
    assert "# profile that fits: sma (SMA Sunny Boy" in out
    assert "# map at 40000: models 1 701 702 704 714; ended by exception response" in out
    again = replay.load(kept)
    assert again.unit == 126
    given, first = replay.Replayed(again).words, replay.Replayed(CAPTURES["sma"]).words
    serial = range(40052, 40068)
    assert {at: word for at, word in first.items() if at not in serial} == {
        at: word for at, word in given.items() if at not in serial
    }
    assert not any(b"".join(given[at] for at in serial))


async def test_probe_says_all_in_json() -> None:
    async with played("kostal_plenticore") as (server, registers):
        code, out, _ = await typed("probe", f"127.0.0.1:{server.port}", "--unit", "71", "--json")
    said = json.loads(out)
    assert code == 0
    assert set(registers.functions) == {3}
    assert (said["profile"], said["rated_w"], said["base"]) == ("kostal_plenticore", 10_000, 40_000)
    live = next(model for model in said["models"] if model["model"] == 103)
    assert (live["points"]["W"], live["points"]["PhVphA"], live["points"]["St"]) == ("4700 W", "221 V", "4 (MPPT)")
    assert any("nothing falls back by itself" in danger for danger in said["dangers"])


async def test_scan_prints_blocks_that_a_site_file_takes() -> None:
    async with AsyncExitStack() as stack:
        ports = {}
        for name in ("goodwe", "solaredge", "opendtu"):
            server, _ = await stack.enter_async_context(played(name))
            ports[name] = server.port
        targets = [f"127.0.0.1:{port}" for port in ports.values()]
        code, out, err = await typed("scan", *targets, f"127.0.0.1:{closed_port()}", "--units", "1,247")
    assert (code, err) == (0, "")
    devices = {each["name"]: each for each in tomllib.loads(out)["device"]}
    assert set(devices) == {"goodwe-1", "solaredge-1", "opendtu-1"}
    assert devices["goodwe-1"]["rated_w"] == 15_000
    for each in devices.values():
        made = SunspecModbus(**each["sunspec_modbus"])
        assert made.port == ports[made.profile]
        assert made.unit == CAPTURES[made.profile].unit
    assert devices["solaredge-1"]["sunspec_modbus"]["settle_s"] == 75
    assert "# beware: One TCP connection at a time" in out


async def test_scan_looks_at_a_range_of_ports_and_gives_json() -> None:
    async with played("e3dc") as (server, registers):
        code, out, _ = await typed("scan", f"127.0.0.1:{server.port}-{server.port}", "--units", "1-2", "--json")
    (said,) = json.loads(out)
    assert code == 0
    assert (said["name"], said["rated_w"], said["sunspec_modbus"]["profile"]) == ("e3dc-1", 12_000, "e3dc")
    assert set(registers.functions) == {3}


async def test_pics_tells_models_points_and_modes() -> None:
    async with played("solplanet") as (server, registers):
        code, out, _ = await typed("pics", f"127.0.0.1:{server.port}")
        _, as_json, _ = await typed("pics", f"127.0.0.1:{server.port}", "--json")
    assert code == 0
    assert set(registers.functions) == {3}
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines() if line.startswith("|")]
    models = {row[0]: row for row in rows if len(row) == 6}
    assert models["123"][4].startswith("7 of 24: Conn_RvrtTms, Conn, WMaxLimPct")
    assert models["103"][5] != "none" or "W" in models["103"][4]
    modes = {row[0]: row[1:] for row in rows if len(row) == 3}
    assert modes["limit"] == ["123", "percent of WMax"]
    assert modes["set-point"] == ["no", ""]
    assert modes["meter"] == ["203", ""]
    assert modes["battery"] == ["802", "not used by the gateway"]
    assert {mode["mode"]: mode["model"] for mode in json.loads(as_json)["modes"]}["limit"] == 123


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "ride-through",
            {
                "fixed var": ["704", "percent"],
                "target var": ["704", "var"],
                "power factor": ["704", "while injecting"],
                "power factor while absorbing": ["no", ""],
                "volt-var": ["705", "3 slots of 4 points, adopted"],
                "frequency droop": ["711", "3 slots, adopted"],
                "watt-power-factor": ["no", ""],
                "low-voltage momentary cessation": ["707", "3 slots of 5 points, adopted"],
            },
        ),
        (
            "legacy-curves",
            {
                "target var": ["no", ""],
                "volt-watt": ["132", "3 curves of 10 points"],
                "watt-var": ["no", ""],
                "watt-power-factor": ["131", "3 curves of 10 points"],
                "high-voltage may trip": ["138", "3 curves of 10 points"],
            },
        ),
    ],
)
async def test_pics_tells_which_modes_a_device_can_carry(kind: Kind, expected: dict[str, list[str]]) -> None:
    async with Street(Clock.parse("real"), [InverterSpec(name="roof", kind=kind)], stepping=False) as street:
        code, out, _ = await typed("pics", f"127.0.0.1:{street.ports['roof']}")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines() if line.startswith("|")]
    modes = {row[0]: row[1:] for row in rows if len(row) == 3}
    assert code == 0
    assert {name: modes[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("probe", "a:b:c"), 2, '"a:b:c" is no target; give HOST, HOST:PORT or HOST:PORT-PORT'),
        (("probe", "127.0.0.1:0"), 2, '"0" is no port; give numbers from 1 to 65535'),
        (("probe", "127.0.0.1:5000-5001"), 2, "one device at a time; use scan for many"),
        (("pics", "127.0.0.1", "--unit", "300"), 2, "a unit id is 0 to 255"),
        (("scan", "10.0.0.0/8"), 2, '"10.0.0.0/8" is 16777216 addresses; look at 4096 at most'),
        (("scan", "127.0.0.1:1-60000"), 2, "is 60000 places; look at 4096 at most in one go"),
        (("scan", "127.0.0.1", "--units", "5-1"), 2, '"5-1" is no unit id; give numbers from 0 to 255'),
        (("scan", "10.0.0/99"), 2, '"10.0.0/99" is no network; write it as 192.0.2.0/28'),
    ],
)
def test_what_cannot_be_understood_is_said_on_one_line(
    arguments: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


async def test_where_there_is_nothing_it_says_what_to_do() -> None:
    port = closed_port()
    code, _, err = await typed("probe", f"127.0.0.1:{port}")
    assert code == 1
    assert err == (
        f"gateway probe: 127.0.0.1:{port} unit 1: cannot connect to 127.0.0.1:{port}: Connection refused; "
        "check the address, and that Modbus TCP is enabled in the device\n"
    )


class Other:
    """A device that speaks Modbus and has no SunSpec map."""

    def read(self, _address: int, count: int) -> bytes | None:
        """See `hil.sunspec.modbus_server.Registers`."""
        return b"\xe3\xdc" * count

    def write(self, _function: int, _address: int, _payload: bytes) -> int:
        """See `hil.sunspec.modbus_server.Registers`."""
        raise AssertionError


async def test_a_device_without_a_map_is_told_from_none() -> None:
    server = ModbusServer({1: Other()})
    await server.start()
    code, _, err = await typed("probe", f"127.0.0.1:{server.port}", "--unit", "1")
    await server.stop()
    assert code == 1
    assert "no SunSpec map (40000: no SunS; 0: no SunS; 50000: no SunS)" in err
    assert err.endswith("check the unit id (--unit), and that SunSpec is chosen in the device\n")


def _changed(name: str, **behaves: Any) -> replay.Capture:
    capture = replay.load(Path(__file__).parent / "captures" / f"{name}.toml")
    for key, value in behaves.items():
        setattr(capture.behaves, key, value)
    return capture


@pytest.mark.parametrize("block_max", [125, 60, 20])
async def test_a_survey_learns_how_much_a_device_gives_at_once(block_max: int) -> None:
    server, registers = replay.server(_changed("e3dc", block_max=block_max))
    await server.start()
    found = await survey("127.0.0.1", server.port, 1, wiring.device_profiles())
    await server.stop()
    assert isinstance(found, Surveyed)
    assert block_max // 2 < found.block_max <= block_max
    assert all(len(octets) == 2 * (block.length + 2) for block, octets in found.registers.items())
    assert found.identity.serial == "0"
    assert set(registers.functions) == {3}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (203, '[[meter]]\nname = "sunspec-1"\nresource = "sunspec-1" # the resource of the site file'),
        (802, "nothing to measure by in 1 802"),
    ],
)
async def test_scan_tells_a_meter_and_a_device_that_measures_nothing(model: int, said: str, tmp_path: Path) -> None:
    drawn = Family(
        profile="meter",
        identity=("Maker", "Thing", "", "1"),
        values={},
        scales={},
        models=(1, model),
        power_w=0,
        voltage_mv=0,
        w_max=None,
    )
    path = tmp_path / "capture.toml"
    path.write_text(draw(drawn), encoding="utf-8")
    server, _ = replay.server(replay.load(path))
    await server.start()
    code, out, _ = await typed("scan", f"127.0.0.1:{server.port}", "--units", "1")
    await server.stop()
    assert code == 0
    assert said in out
    assert "[[device]]" not in out


PAGE = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", [line for line in PAGE.splitlines() if line.startswith("gateway ")])
def test_every_command_of_the_page_is_one(line: str) -> None:
    arguments = parser().parse_args(line.partition("#")[0].split()[1:])
    assert arguments.command == line.split()[1]


def test_the_page_names_every_setting_of_a_profile() -> None:
    assert [name for name in SETTINGS if f"`{name}" not in PAGE] == []


async def test_a_device_cannot_write_into_what_is_printed_of_it() -> None:
    text = 'A"\n[[device]]\x1b[2J|x'
    capture = CAPTURES["e3dc"]
    server, registers = replay.server(capture)
    for at, word in enumerate(text.encode().ljust(32, b"\0")[place : place + 2] for place in range(0, 32, 2)):
        registers.words[40_020 + at] = word
    await server.start()
    target = f"127.0.0.1:{server.port}"
    printed = [
        await typed(*command, "--units" if command[0] == "scan" else "--unit", "1") for command in _three(target)
    ]
    await server.stop()
    for code, out, err in printed:
        assert (code, err) == (0, "")
        assert "\x1b" not in out
        assert out.count("\n[[device]]") == (1 if "[device.sunspec_modbus]" in out else 0)
    assert tomllib.loads(printed[0][1])["match"][0]["model"] == 'A\\"\\[\\[device\\]\\]\\[2J\\|x'


def _three(target: str) -> tuple[tuple[str, str], ...]:
    return ("probe", target), ("scan", target), ("pics", target)
