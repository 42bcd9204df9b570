"""How Modbus units are reached, in a site file: host or serial line, shared lines alike, and what secures them."""

from pathlib import Path

import pytest
from example_site import SITE

from gateway.config import SiteFile, check
from gateway.config.present import missing
from gateway.pki import PkiFault
from gateway.runtime import wiring
from gateway.southbound.sunspec_modbus import ModbusTls

PLAIN = SITE.replace('[device.sunspec_modbus.serial]\nline = "/dev/ttyUSB0"\nparity = "even"\n', "")
FIRST = 'host = "127.0.0.1"\nport = 5021\n'
SECOND = 'host = "127.0.0.1"\npoll_s = 2\n'
LINE = 'serial = "/dev/ttyUSB0"\n'
TLS = '[device.sunspec_modbus.tls]\ncertificate = "own.pem"\nkey = "own.key"\ntrust = ["root.pem"]\n'


def faults_of(first: str, second: str = SECOND) -> list[str]:
    text = PLAIN.replace(FIRST, first).replace(SECOND, second)
    return [fault.what for fault in check(text, "site.toml", wiring.TABLES).faults]


def built(first: str, second: str = SECOND, folder: Path = Path()) -> SiteFile:
    text = PLAIN.replace(FIRST, first).replace(SECOND, second)
    (folder / "site.toml").write_text(text)
    checked = check(text, str(folder / "site.toml"), wiring.TABLES)
    assert checked.site is not None, checked.faults
    return checked.site


@pytest.mark.parametrize(
    ("first", "fault"),
    [
        ("poll_s = 2\n", 'missing key "host" (host name or address), or "serial" (device file of a serial line)'),
        (FIRST + LINE, '"serial": it has the host 127.0.0.1 too; keep one of them'),
        (LINE + TLS, '"tls": a serial line cannot be secured; take it out'),
        (FIRST + 'framing = "rtu"\n' + TLS, '"tls": Modbus Security has the framing "tcp"; take one of them out'),
        (LINE + "unit = 0\n", '"unit" is 0; on a serial line it must be 1 to 247'),
        (FIRST + 'framing = "rtu"\nunit = 248\n', '"unit" is 248; on a serial line it must be 1 to 247'),
        (LINE + "baud = 300\n", '"baud" is 300; it must be 4800 to 1000000'),
    ],
)
def test_how_a_unit_is_reached_is_said_once_and_soundly(first: str, fault: str) -> None:
    assert faults_of(first) == [fault]


@pytest.mark.parametrize("first", [FIRST, LINE, FIRST + 'framing = "rtu"\n', FIRST + "unit = 0\ngap_ms = 25\n"])
def test_what_is_sound_has_no_fault(first: str) -> None:
    assert faults_of(first) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (LINE + "unit = 2\nbaud = 9600\n", LINE),
        (LINE + 'unit = 2\nparity = "none"\n', LINE),
        (FIRST + 'unit = 2\nframing = "rtu"\n', FIRST),
        (FIRST + "unit = 2\n" + TLS, FIRST),
    ],
)
def test_units_of_one_line_are_reached_alike(first: str, second: str) -> None:
    at = "/dev/ttyUSB0" if LINE in first else "127.0.0.1:5021"
    same = "the same framing, tls, baud, parity and stop_bits"
    assert faults_of(first, second) == [f'it shares {at} with "roof-1"; give both {same}']


def test_two_devices_at_one_unit_of_a_serial_line_are_a_fault(tmp_path: Path) -> None:
    site = built(LINE, LINE, tmp_path)
    whats = [fault.what for fault in missing(site, lambda _files: {})]
    assert any("has this address already (/dev/ttyUSB0, unit 1); give each device its own" in what for what in whats)
    other = built(LINE, LINE + "unit = 2\n", tmp_path)
    assert not any("already" in fault.what for fault in missing(other, lambda _files: {}))


def test_what_secures_a_unit_is_looked_for(tmp_path: Path) -> None:
    site = built(FIRST + TLS, folder=tmp_path)
    assert site.devices[0].tables["sunspec_modbus"].tls == ModbusTls(
        tmp_path / "own.pem", tmp_path / "own.key", (tmp_path / "root.pem",)
    )
    said = [fault.what for fault in missing(site, lambda _files: {})]
    assert sum("cannot be read" in what and ("own." in what or "root.pem" in what) for what in said) == 3
    with pytest.raises(PkiFault, match=r"root\.pem"):
        wiring.lines(site)
