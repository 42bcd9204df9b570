"""A site whose grants follow from its coordination model, and one whose programs are told apart."""

from pathlib import Path

import pytest

from gateway.config import SiteFile, check
from gateway.core.functions import Function
from gateway.northbound.sep2_client.config import ProgramService, Sep2Client
from gateway.runtime import wiring
from gateway.runtime.domain import core_site

SITE = """\
[gateway]
name = "street-7"

[coordination]
model = "hybrid-dso-buys"

[[party]]
name = "dso"
tier = "distribution"
limit_parent = true
entity = "dso"

[[party]]
name = "bulk"
tier = "bulk"
entity = "tso"

[[group]]
name = "street"
resources = ["house-1", "house-2"]

[[group]]
name = "one"
resources = ["house-1"]

[[resource]]
name = "house-1"
export_limit_w = 10000
last_resort_export_limit_w = 1500

[[resource]]
name = "house-2"
export_limit_w = 10000
last_resort_export_limit_w = 1500

[[device]]
name = "roof-1"
resource = "house-1"
rated_w = 5000
[device.sunspec_modbus]
host = "127.0.0.1"

[[device]]
name = "roof-2"
resource = "house-2"
rated_w = 5000
[device.sunspec_modbus]
host = "127.0.0.2"

[[sep2_client]]
party = "dso"
url = "https://127.0.0.1:8443/dcap"
server_lfdi = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"
certificate = "pki/gateway.pem"
key = "pki/gateway.key"
trust = ["pki/serca.pem"]
"""
GRANT = """
[[grant]]
party = "{party}"
service = "{service}"
level = {level}
functions = ["{function}"]
group = "{group}"
"""


def grant(party: str = "dso", service: str = "envelope", level: int = 3, function: str = "export-limit") -> str:
    return GRANT.format(party=party, service=service, level=level, function=function, group="street")


def faults_of(text: str, filename: str = "site.toml") -> list[str]:
    return [str(fault) for fault in check(text, filename, wiring.TABLES).faults]


def built(text: str) -> SiteFile:
    checked = check(text, "site.toml", wiring.TABLES)
    assert checked.faults == ()
    assert checked.site is not None
    return checked.site


def test_without_written_grants_those_of_the_model_hold_and_no_others() -> None:
    held = {(one.party, one.service, one.level) for one in built(SITE).grants}
    assert ("dso", "envelope", 3) in held
    assert ("bulk", "bulk-reliability", 5) in held
    assert {party for party, _service, _level in held} == {"dso", "bulk"}
    assert all(one.group == "street" for one in built(SITE).grants)
    total = {one.party for one in built(SITE.replace("hybrid-dso-buys", "dso-managed")).grants}
    assert total == {"dso"}


def test_the_core_is_given_what_follows_from_the_model() -> None:
    site = core_site(built(SITE))
    assert len(site.grants) == len(built(SITE).grants)
    bulk = [one for one in site.grants if one.party == "bulk"]
    assert [one.functions for one in bulk] == [(Function.ACTIVE_POWER,)]


def test_written_grants_within_the_model_hold_as_written() -> None:
    text = SITE + grant().replace('group = "street"', 'group = "one"')
    assert [(one.functions, one.group) for one in built(text).grants] == [((Function.EXPORT_LIMIT,), "one")]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (
            grant(service="market"),
            (
                'grant 1: A3: the model "hybrid-dso-buys" gives party "dso" no service "market"; known: "emergency", '
                '"envelope", "reliability", "flexibility"'
            ),
        ),
        (grant(level=2), 'grant 1: A3: the model "hybrid-dso-buys" gives party "dso" "envelope" at level 3'),
        (
            grant(function="active-power"),
            'grant 1: A3: the model "hybrid-dso-buys" gives party "dso" no "active-power" for "envelope"; take it out',
        ),
    ],
)
def test_a_written_grant_beyond_the_model_is_a_fault(more: str, fault: str) -> None:
    [line] = faults_of(SITE + more)
    assert line.partition(": ")[2] == fault


def test_a_party_without_a_flow_has_no_grant() -> None:
    text = SITE.replace("hybrid-dso-buys", "dso-managed") + grant("bulk", "bulk-reliability", 5, "active-power")
    [line] = faults_of(text)
    assert line.endswith('A3: the model "dso-managed" gives party "bulk" nothing; take the grant out')


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("hybrid-dso-buys", "hybrid-dso-buy", '5: coordination: "model": no model is named "hybrid-dso-buy"; did you'),
        ("hybrid-dso-buys", "m.toml", '5: coordination: "model": m.toml: cannot be read: No such file or directory'),
        (
            'entity = "tso"',
            'entity = "tos"',
            (
                '16: party "bulk": no entity has the id "tos"; did you mean "tso"? '
                'Or leave "entity" out: the party then holds no grant'
            ),
        ),
        (
            'entity = "tso"',
            'entity = "aggregator"',
            '16: party "bulk": is of tier "bulk", its entity "agg',
        ),
        (
            'limit_parent = true\nentity = "dso"',
            "limit_parent = true",
            '10: party "dso": A2: the limit parent is who the gateway serves; give it entity = "dso"',
        ),
        ('model = "hybrid-dso-buys"', 'model = "hybrid-dso-buys"\nserves = "dos"', '6: coordination: "serves": no ent'),
        ('"street"\nresources = ["house-1", "house-2"]', '"street"\nresources = ["house-2"]', "11: party"),
    ],
)
def test_what_is_wrong_with_the_choice_of_a_model(before: str, after: str, fault: str) -> None:
    assert SITE.count(before) == 1
    first = faults_of(SITE.replace(before, after))[0]
    assert first.startswith(f"site.toml:{fault}")


def test_a_model_of_ones_own_is_read_with_its_line(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[[architecture]]\nid = "x"\nserves = "dso"\nentity = [{ id = "dso", tier = "distributon" }]\n')
    text = SITE.replace("hybrid-dso-buys", "own.toml")
    line = faults_of(text, str(tmp_path / "site.toml"))[0]
    assert line.startswith(f'{own}:4: architecture "x" entity 1: "tier" cannot be "distributon"')
    own.write_text(
        '[[architecture]]\nid = "x"\nserves = "dso"\nentity = [\n'
        '{ id = "dso", tier = "distribution", role = "dso", count = "one" },\n'
        '{ id = "tso", tier = "bulk", role = "tso", count = "one" },\n'
        '{ id = "der", tier = "customer", role = "der", count = "many" }]\n'
        'flow = [{ from = "dso", to = "der", kind = "control", services = ["envelope"] }]\n'
    )
    checked = check(text, str(tmp_path / "site.toml"), wiring.TABLES)
    assert checked.site is not None, checked.faults
    assert {(one.party, one.service) for one in checked.site.grants} == {("dso", "envelope")}
    own.write_text(own.read_text().replace('["envelope"]', '["envelop"]'))
    assert faults_of(text, str(tmp_path / "site.toml")) == [
        f'{own}:8: architecture "x": dso -> der (control): no service is named "envelop"; did you mean "envelope"?'
    ]


def test_a_party_that_is_nobody_in_the_model_is_warned_of() -> None:
    text = SITE.replace('entity = "tso"\n', "")
    checked = check(text, "site.toml", wiring.TABLES)
    assert checked.site is not None
    line = text.splitlines().index('name = "bulk"') + 1
    [warning] = checked.warnings
    assert (warning.line, warning.where) == (line, 'party "bulk"')
    nobody = 'it names no entity of the model "hybrid-dso-buys", so it holds no grant; add entity = "..."'
    assert warning.what == nobody
    assert check(SITE, "site.toml", wiring.TABLES).warnings == ()


def test_grants_are_missed_only_without_a_model() -> None:
    [line] = faults_of(SITE.replace('[coordination]\nmodel = "hybrid-dso-buys"\n', ""))
    assert line == "site.toml:1: site: missing table [[grant]]"


PROGRAMS = """
[[sep2_client.program]]
mrid = "0A01"
service = "envelope"
[[sep2_client.program]]
description = "flex"
service = "flexibility"
"""


def test_an_address_for_notifications_needs_a_port_to_listen_at() -> None:
    told = SITE + PROGRAMS.replace(
        "[[sep2_client.program]]", 'notify_url = "https://us.example"\n[[sep2_client.program]]', 1
    )
    [line] = faults_of(told)
    assert '"notify_url": nobody listens there; give notify_port as well' in line
    [client] = built(told.replace("notify_url", "notify_port = 8444\nnotify_url", 1)).tables["sep2_client"]
    assert isinstance(client, Sep2Client)
    assert (client.notify_port, client.notify_url) == (8444, "https://us.example")


def test_who_listens_at_every_address_has_to_say_where_a_server_finds_it() -> None:
    everywhere = ".".join("0000")
    keys = f'notify_port = 8444\nnotify_host = "{everywhere}"\n'
    told = SITE + PROGRAMS.replace("[[sep2_client.program]]", f"{keys}[[sep2_client.program]]", 1)
    [line] = faults_of(told)
    assert f'no server can find us at "{everywhere}"; give notify_url as well, or one address' in line
    assert built(told.replace("notify_port", 'notify_url = "https://us.example"\nnotify_port', 1))


def test_programs_are_told_apart_by_mrid_or_description() -> None:
    [client] = built(SITE + PROGRAMS).tables["sep2_client"]
    assert isinstance(client, Sep2Client)
    assert client.program == (ProgramService("envelope", "0A01"), ProgramService("flexibility", description="flex"))


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('mrid = "0A01"\n', "", '"program" item 1: give either mrid or description, to know it by'),
        ('mrid = "0A01"', 'mrid = "0A01"\ndescription = "x"', '"program" item 1: give either mrid or description'),
        (
            'description = "flex"',
            'mrid = "0a01"',
            '"program" item 2: it stands as item 1 already; a program is for one',
        ),
        (
            'service = "envelope"',
            'service = "market"',
            '"program" item 1: party "dso" is granted no service "market"; kn',
        ),
        ('mrid = "0A01"', 'mrid = "0Z01"', '"mrid" cannot be the text "0Z01"; it must be up to 32 hexadecimal digits'),
    ],
)
def test_what_is_wrong_with_programs(before: str, after: str, fault: str) -> None:
    assert PROGRAMS.count(before) == 1
    [line] = faults_of(SITE + PROGRAMS.replace(before, after))
    assert fault in line
