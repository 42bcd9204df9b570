"""A site file is either built whole or answered with every fault, each on its line and with what to do next."""

import re
from pathlib import Path

import pytest
from example_site import SITE, TABLES, Parity, Sep2, Sep2Client, Serial, Sunspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import SiteFile, check, load
from gateway.core.functions import Function
from gateway.core.parties import Tier

ONE_LINE = re.compile(r"site\.toml:([1-9][0-9]*): \S.*: \S[^\n]*")


def faults_of(text: str) -> list[str]:
    return [str(fault) for fault in check(text, "site.toml", TABLES).faults]


def built(text: str, filename: str = "site.toml") -> SiteFile:
    checked = check(text, filename, TABLES)
    assert checked.faults == ()
    assert checked.site is not None
    return checked.site


def changed(*changes: tuple[str, str]) -> str:
    text = SITE
    for before, after in changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


def test_a_right_file_is_built_with_its_defaults_and_adapters() -> None:
    site = built(SITE, "/etc/gateway/site.toml")
    assert site.gateway.health_port == 9640
    assert site.gateway.planning_horizon_s == 604_800
    assert [(party.tier, party.limit_parent) for party in site.parties] == [
        (Tier.DISTRIBUTION, True),
        (Tier.BULK, False),
    ]
    assert site.grants[0].functions == (Function.EXPORT_LIMIT, Function.ACTIVE_POWER, Function.ENERGIZE)
    assert site.groups[0].resources == ("house-1", "house-2")
    assert site.resources[0].tables == {"sep2": Sep2("3E4F45AB31EDFE5B67E343E5E4562E31984E23E5", 111_115)}
    assert site.resources[1].tables == {}
    assert (site.devices[0].service_transformer, site.devices[0].segment) == ("t1", None)
    assert site.devices[1].tables["sunspec_modbus"] == Sunspec(
        "127.0.0.1", poll_s=2.0, serial=Serial("/dev/ttyUSB0", Parity.EVEN)
    )
    [client] = site.tables["sep2_client"]
    assert isinstance(client, Sep2Client)
    assert client.trust == (Path("/etc/gateway/pki/serca.pem"), Path("/etc/gateway/pki/mca.pem"))
    assert client.poll_s is None


def test_five_faults_print_five_lines() -> None:
    text = changed(
        ('functions = ["active-power"]', 'functions = ["generation-limit", "active-power"]'),
        ("pin = 111115", "pin = 1111150"),
        ("port = 5021", "prot = 5021"),
        ('resource = "house-2"', 'resource = "hose-2"'),
        ("trust = [", "trusts = ["),
    )
    assert faults_of(text) == [
        'site.toml:24: grant 2: A2: party "market" is not the limit parent; take "generation-limit" out of its grant',
        'site.toml:37: resource "house-1" sep2: "pin" is 1111150; it must be 0 to 999999',
        'site.toml:51: device "roof-1" sunspec_modbus: unknown key "prot"; did you mean "port"?',
        'site.toml:55: device "roof-2": "resource": no resource is named "hose-2"; did you mean "house-2"?',
        'site.toml:70: sep2_client 1: unknown key "trusts"; did you mean "trust"?',
    ]


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("[[group]]", "[[groop]]", '27: site: unknown table "groop"; did you mean "group"?'),
        ("[gateway]", "[[gateway]]", '1: site: "gateway" must be written as [gateway]'),
        ("[[sep2_client]]", "[sep2_client]", '64: site: "sep2_client" must be written as [[sep2_client]]'),
        ("[resource.sep2]", "[[resource.sep2]]", '35: resource "house-1": "sep2" must be written as [resource.sep2]'),
        (
            "pin = 111115",
            "pin = 111115\nexport_limit_w = 1",
            (
                '38: resource "house-1" sep2: unknown key "export_limit_w"; '
                "it belongs to [[resource]], above [resource.sep2]"
            ),
        ),
        (
            'service_transformer = "t1"',
            "poll_s = 3",
            '48: device "roof-1": unknown key "poll_s"; it belongs to [device.sunspec_modbus]',
        ),
        ('host = "127.0.0.1"\nport', "port", '49: device "roof-1" sunspec_modbus: missing key "host"'),
        ("port = 5021", "port = 0", '51: device "roof-1" sunspec_modbus: "port" is 0; it must be 1 to 65535'),
        (
            "port = 5021",
            'port = "5021"',
            '51: device "roof-1" sunspec_modbus: "port" must be a whole number, not the text "5021"',
        ),
        ("port = 5021", "port = true", '51: device "roof-1" sunspec_modbus: "port" must be a whole number, not true'),
        ("port = 5021", "port = 1.5", '51: device "roof-1" sunspec_modbus: "port" must be a whole number, not 1.5'),
        (
            "port = 5021",
            "port = 2026-01-01",
            '51: device "roof-1" sunspec_modbus: "port" must be a whole number, not a date or time',
        ),
        ("poll_s = 2", "poll_s = nan", '59: device "roof-2" sunspec_modbus: "poll_s" must be a number, not nan'),
        ("poll_s = 2", "poll_s = 0", '59: device "roof-2" sunspec_modbus: "poll_s" is 0; it must be at least 0.1'),
        (
            'parity = "even"',
            'parity = "evne"',
            '62: device "roof-2" sunspec_modbus serial: "parity" cannot be the text "evne"; did you mean "even"?',
        ),
        (
            'parity = "even"',
            "baud = 1",
            '62: device "roof-2" sunspec_modbus serial: unknown key "baud"; known: "parity"',
        ),
        (
            '[device.sunspec_modbus.serial]\nline = "/dev/ttyUSB0"\nparity = "even"\n',
            'serial = "/dev/ttyUSB0"\n',
            '60: device "roof-2" sunspec_modbus: "serial" must be a table, not the text "/dev/ttyUSB0"',
        ),
        (
            'tier = "bulk"',
            'tier = "tso"',
            '11: party "market": "tier" cannot be the text "tso"; known: "bulk", "distribution", "customer"',
        ),
        ("limit_parent = true", "limit_parent = 1", '7: party "dso": "limit_parent" must be true or false, not 1'),
        ('"house-1", "house-2"]', '"house-1", "house-2", "house-1"]', "29: group"),
        ('"house-1", "house-2"]', '"house-1", "house-2", 3]', '29: group "street": "resources" item 3 must be a text'),
        ('["house-1", "house-2"]', "[]", '29: group "street": "resources" must not be empty'),
        (
            '["house-1", "house-2"]',
            '"house-1"',
            '29: group "street": "resources" must be a list, not the text "house-1"',
        ),
        ("level = 7", "level = 9", '23: grant 2: "level" is 9; it must be 1 to 8'),
        (
            'party = "market"',
            'party = "markt"',
            '21: grant 2: "party": no party is named "markt"; did you mean "market"?',
        ),
        ('service = "schedule"', 'service = ""', '22: grant 2: "service" must not be empty'),
        (
            'url = "https:',
            'url = "http:',
            '66: sep2_client 1: "url" cannot be the text "http://127.0.0.1:8443/dcap"; it ',
        ),
        ('party = "dso"\nurl', 'party = "dos"\nurl', '65: sep2_client 1: "party": no party is named "dos"; did you '),
        ('name = "roof-2"', 'name = "roof-1"', '54: device "roof-1": this name stands on line 45 already'),
        (
            'name = "roof-2"',
            'name = "roof\\n2"',
            '54: device "roof\\n2": "name" cannot be the text "roof\\n2"; it must ',
        ),
        (
            'tier = "bulk"',
            'tier = "distribution"\nlimit_parent = true',
            '12: party "market": A2: there is one limit parent, and party "dso" is it already',
        ),
        (
            'tier = "distribution"',
            'tier = "customer"',
            '6: party "dso": A2: a limit parent stands on the tier "distribution", not "customer"',
        ),
        (
            '[[resource]]\nname = "house-2"\nexport_limit_w = 10000\nlast_resort_export_limit_w = 1500',
            '[[resource]]\nname = "house-2"\nexport_limit_w = 10000',
            '39: resource "house-2": missing key "last_resort_export_limit_w" (in W; what holds when',
        ),
        (
            '[[resource]]\nname = "house-2"\nexport_limit_w = 10000',
            '[[resource]]\nname = "house-2"\nexport_limit_w = 1000',
            (
                '42: resource "house-2": "last_resort_export_limit_w" is 1500; '
                'the agreement "export_limit_w" allows 1000 at most'
            ),
        ),
        (
            'resource = "house-2"',
            'resource = "house-1"',
            '39: resource "house-2": no device; add a [[device]] with resource = "house-2"',
        ),
        (
            '[device.sunspec_modbus]\nhost = "127.0.0.1"\nport = 5021\n',
            "",
            '44: device "roof-1": nothing says how to reach it; add [device.sunspec_modbus]',
        ),
        ("level = 7", "level = ", "23: site: not TOML: Invalid value (column 9)"),
    ],
)
def test_one_mistake_is_one_fault(before: str, after: str, fault: str) -> None:
    [line] = faults_of(changed((before, after)))
    assert line.startswith(f"site.toml:{fault}")


def test_a_party_must_be_the_limit_parent() -> None:
    text = changed(("limit_parent = true\n", ""), ('"export-limit", "active-power", "energize"', '"active-power"'))
    assert faults_of(text) == [
        'site.toml:4: party "dso": A2: no party is the limit parent; set limit_parent = true on the DSO\'s'
    ]


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        (
            'wire_of = "dso"',
            'A2: say limit_parent = true where its limits count beside those of "dso", or false where not',
        ),
        ('wire_of = "second"\nlimit_parent = true', '"second" is a wire itself; name the party whose wires both are'),
        ('wire_of = "market"\nlimit_parent = true', 'A2: "market" is not the limit parent, and so no wire of it is'),
        ('wire_of = "dzo"\nlimit_parent = true', '"wire_of": no party is named "dzo"; did you mean "dso"?'),
    ],
)
def test_a_wire_says_whose_it_is_and_whether_its_limits_count(wire: str, fault: str) -> None:
    party = f'[[party]]\nname = "second"\ntier = "distribution"\n{wire}\n'
    faults = [str(one) for one in check(party + SITE, "site.toml", TABLES).faults]
    assert any(fault in one for one in faults), faults


def test_a_wire_stands_beside_the_limit_parent() -> None:
    party = '[[party]]\nname = "second"\ntier = "distribution"\nwire_of = "dso"\nlimit_parent = true\n'
    site = check(SITE + party, "site.toml", TABLES).site
    assert site is not None
    assert [one.wire_of for one in site.parties][-1] == "dso"


def test_a_device_has_one_adapter() -> None:
    tables = {**TABLES, "device.other": TABLES["resource.sep2"]}
    text = changed(("port = 5021", 'port = 5021\n[device.other]\nlfdi = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"'))
    [fault] = check(text, "site.toml", tables).faults
    assert str(fault) == (
        'site.toml:52: device "roof-1": two adapters; keep one of [device.sunspec_modbus] and [device.other]'
    )


def test_an_empty_file_names_every_missing_table() -> None:
    names = ("[gateway]", "[[party]]", "[[grant]]", "[[group]]", "[[resource]]", "[[device]]")
    assert faults_of("") == [f"site.toml:1: site: missing table {name}" for name in names]


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    absent = tmp_path / "site.toml"
    assert [str(fault) for fault in load(absent, TABLES).faults] == [
        f"{absent}:1: site: cannot be read: No such file or directory"
    ]
    absent.write_bytes(b"[gateway]\nname = '\xff'\n")
    assert [str(fault) for fault in load(absent, TABLES).faults] == [
        f"{absent}:2: site: not UTF-8; save it in that encoding"
    ]


LINES = SITE.splitlines()
KEY_LINES = [number for number, line in enumerate(LINES) if re.match(r"[a-z0-9_]+ = [^\[]|[a-z]+ = \[.*\]", line)]
HEADERS = [number for number, line in enumerate(LINES) if line.startswith("[")]
OPTIONAL = ("limit_parent", "service_transformer", "port", "pin", "poll_s", "parity")


@settings(deadline=None)
@given(st.sampled_from(KEY_LINES), st.data())
def test_a_misspelt_key_is_named_on_its_line(number: int, data: st.DataObject) -> None:
    key, _, rest = LINES[number].partition(" = ")
    at = data.draw(st.integers(0, len(key) - 1))
    misspelt = f"{key[:at]}x{key[at:]}"
    text = "\n".join([*LINES[:number], f"{misspelt} = {rest}", *LINES[number + 1 :]])
    named = [fault for fault in faults_of(text) if fault.startswith(f"site.toml:{number + 1}: ")]
    assert len(named) == 1
    assert f'unknown key "{misspelt}"; did you mean "{key}"?' in named[0]


@settings(deadline=None)
@given(st.sampled_from([number for number in KEY_LINES if not LINES[number].startswith(OPTIONAL)]))
def test_a_missing_key_is_named_at_its_table(number: int) -> None:
    key = LINES[number].partition(" = ")[0]
    header = max(other for other in HEADERS if other < number) + 1
    text = "\n".join([*LINES[:number], "", *LINES[number + 1 :]])
    named = [fault for fault in faults_of(text) if fault.startswith(f"site.toml:{header}: ")]
    assert any(f'missing key "{key}"' in fault for fault in named)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.sampled_from(["", "x", "[", "= 1", '"'])), max_size=6))
def test_no_damage_is_a_crash_and_every_fault_has_a_line(damage: list[tuple[int, str]]) -> None:
    lines = list(LINES)
    for number, by in damage:
        lines[number] = by + lines[number] if by else ""
    checked = check("\n".join(lines), "site.toml", TABLES)
    assert (checked.site is None) == bool(checked.faults)
    for fault in checked.faults:
        assert ONE_LINE.fullmatch(str(fault))
        assert 1 <= fault.line <= len(lines)
    assert list(checked.faults) == sorted(checked.faults, key=lambda fault: fault.line)
