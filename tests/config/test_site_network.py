"""Points, shares, prices, tokens and DSO profiles of a site file: each fault on its line, and what the core gets."""

from pathlib import Path

import pytest
from example_site import SITE

from gateway.config import check, profiles
from gateway.config.precedence import read
from gateway.core.capacity import Domain
from gateway.core.parties import USUAL_PRECEDENCE, Direction, Precedence, Preference
from gateway.core.sharing import Policy
from gateway.core.topology import Point, PointKind, PriceStep, Site
from gateway.runtime import wiring
from gateway.runtime.domain import core_site

PLAIN = SITE.replace('poll_s = 2\n[device.sunspec_modbus.serial]\nline = "/dev/ttyUSB0"\nparity = "even"\n', "")
NETWORK = """
[[service_transformer]]
name = "t1"
export_limit_w = 8000

[interface]
name = "street"
import_limit_w = 9000
share = "merit-order"
"""


def faults_of(text: str, filename: str = "site.toml") -> list[str]:
    return [str(fault) for fault in check(text, filename, wiring.TABLES).faults]


def changed(*changes: tuple[str, str]) -> str:
    text = PLAIN + NETWORK
    for before, after in changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


def core(text: str, filename: str = "site.toml") -> Site:
    checked = check(text, filename, wiring.TABLES)
    assert checked.faults == ()
    assert checked.site is not None
    return core_site(checked.site)


def test_points_are_what_devices_name_and_the_interface_is_all() -> None:
    site = core(changed(('name = "street"\nresources', 'name = "street"\nshare = "equal"\nresources')))
    assert site.points == (
        Point("t1", PointKind.SERVICE_TRANSFORMER, ("house-1",), 8000),
        Point("street", PointKind.INTERFACE, ("house-1", "house-2"), None, 9000, Policy.MERIT_ORDER),
    )
    assert [(group.name, group.policy) for group in site.groups] == [("street", Policy.EQUAL)]
    assert site.precedence == USUAL_PRECEDENCE


def test_an_interface_without_a_group_of_its_name_can_be_ordered_in_sum_all_the_same() -> None:
    site = core(changed(('[interface]\nname = "street"', '[interface]\nname = "td"')))
    assert (site.groups[1].name, site.groups[1].resources) == ("td", ("house-1", "house-2"))


def test_an_interface_may_be_that_of_one_group() -> None:
    text = changed(
        (
            '[[resource]]\nname = "house-1"',
            '[[group]]\nname = "one"\nresources = ["house-1"]\n\n[[resource]]\nname = "house-1"',
        ),
        ('[interface]\nname = "street"', '[interface]\nname = "td"\ngroup = "one"'),
    )
    assert core(text).points[1].resources == ("house-1",)


def test_a_resource_lies_where_any_of_its_devices_says() -> None:
    more = '\n[[device]]\nname = "shed"\nresource = "house-2"\nrated_w = 5\nservice_transformer = "t1"\n'
    site = core(changed(("\n[[sep2_client]]", f'{more}[device.sunspec_modbus]\nhost = "h"\n\n[[sep2_client]]')))
    assert site.points[0].resources == ("house-1", "house-2")


def test_what_devices_and_resources_are_beside_their_power() -> None:
    site = core(
        changed(
            (
                "rated_w = 5000\nservice",
                'energy_wh = 7000\nnominal_voltage_v = 0.4e3\ndomain = "distribution"\nrated_w = 5000\nservice',
            ),
            (
                'name = "house-2"\nexport',
                (
                    'name = "house-2"\ncost = 3\nnetwork_impact = 4\nprice_response = [\n'
                    "{ at_least_per_mwh = -10, target_w = -20 },\n{ at_least_per_mwh = 50.5, target_w = 4000 }]\nexport"
                ),
            ),
            ('tier = "bulk"', 'tier = "bulk"\nstanding = 2'),
        )
    )
    roof = site.devices[0]
    assert (roof.energy_wh, roof.nominal_voltage_mv, roof.domain) == (7000, 400_000, Domain.DISTRIBUTION)
    assert (site.devices[1].energy_wh, site.devices[1].nominal_voltage_mv) == (0, 0)
    house = site.resources[1]
    assert (house.cost, house.network_impact) == (3, 4)
    assert house.price_response == (PriceStep(-10_000, -20), PriceStep(50_500, 4000))
    assert [party.standing for party in site.parties] == [0, 2]


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        (
            'name = "t1"',
            'name = "t2"',
            'device "roof-1": "service_transformer": no [[service_transformer]] is named "t1"; known: "t2"',
        ),
        (
            "[interface]",
            '[[service_transformer]]\nname = "t2"\nexport_limit_w = 1\n[interface]',
            'service_transformer "t2": no device names it; known: "t1"',
        ),
        (
            '[[service_transformer]]\nname = "t1"',
            '[[segment]]\nname = "s"',
            'segment "s": no device names it; give one segment = "s"',
        ),
        (
            "export_limit_w = 8000",
            'share = "equal"',
            'service_transformer "t1": no rating; give export_limit_w or import_limit_w, or leave the table out',
        ),
        ("export_limit_w = 8000", "export_limit_w = -1", '"export_limit_w" is -1; it must be at least 0'),
        ('share = "merit-order"', 'share = "merit"', '"share" cannot be the text "merit"; did you mean "merit-order"?'),
        (
            "import_limit_w = 9000\n",
            'import_limit_w = 9000\ngroup = "stret"\n',
            'interface: "group": no group is named "stret"; did you mean "street"?',
        ),
        ("[interface]", "[[interface]]", 'site: "interface" must be written as [interface]'),
        (
            '[interface]\nname = "street"',
            '[interface]\nname = "t1"',
            "interface: service_transformer on line 72 has this name; give each point its own",
        ),
        (
            "\n[[sep2_client]]",
            (
                '\n[[device]]\nname = "shed"\nresource = "house-1"\nrated_w = 5\nservice_transformer = "t2"\n'
                '[device.sunspec_modbus]\nhost = "h"\n\n'
                '[[service_transformer]]\nname = "t2"\nexport_limit_w = 1\n\n[[sep2_client]]'
            ),
            'device "shed": "service_transformer": "house-1" lies on "t1" by device "roof-1"; give both the same',
        ),
        (
            'name = "house-2"\nexport',
            (
                'name = "house-2"\nprice_response = [\n{ at_least_per_mwh = 5, target_w = 1 },\n'
                "{ at_least_per_mwh = 5, target_w = 2 }]\nexport"
            ),
            'resource "house-2": "price_response" item 2 does not start above the one before it; give rising prices',
        ),
        (
            'name = "house-2"\nexport',
            'name = "house-2"\nprice_response = [{ at_least = 5, target_w = 1 }]\nexport',
            'resource "house-2" price_response 1: unknown key "at_least"; did you mean "at_least_per_mwh"?',
        ),
        (
            'tier = "bulk"',
            'tier = "bulk"\ntoken_file = "market.token"',
            'party "market": "token_file": nobody hears it; add [local_api] with a port',
        ),
        (
            "[interface]",
            "[local_api]\nport = 0\n[interface]",
            "local_api: no party has a token for it; give one token_file, or leave the table out",
        ),
        (
            'name = "street-7"',
            'name = "street-7"\ndso_profile = "defualt"',
            'gateway: "dso_profile": no profile is named "defualt"; did you mean "default"?',
        ),
        (
            'name = "street-7"',
            'name = "street-7"\ndso_profile = "own.toml"',
            'gateway: "dso_profile": own.toml: cannot be read: No such file or directory',
        ),
        ('energize"]', 'energise"]', '"functions" item 3 cannot be the text "energise"; did you mean "energize"?'),
    ],
)
def test_one_mistake_is_one_fault_with_its_line(before: str, after: str, fault: str) -> None:
    text = changed((before, after))
    [line] = faults_of(text)
    place, _, said = line.partition(": ")
    assert said.endswith(fault) or fault in said
    wrong = text.splitlines()[int(place.rpartition(":")[2]) - 1]
    assert wrong.strip(), line


def test_a_point_is_free_without_a_table_of_its_kind() -> None:
    named = ("rated_w = 5000\nservice", 'rated_w = 5000\nsegment = "main-9"\nservice')
    assert faults_of(changed(named)) == []
    rated = ("[interface]", '[[segment]]\nname = "main-1"\nexport_limit_w = 1\n[interface]')
    [line] = faults_of(changed(named, rated))
    assert line == (
        'site.toml:48: device "roof-1": "segment": no [[segment]] is named "main-9"; did you mean "main-1"?'
    )


@pytest.mark.parametrize(("health", "api", "same"), [(None, 9640, True), (7, 7, True), (0, 0, False), (7, 8, False)])
def test_the_two_ports_of_the_daemon_differ(health: int | None, api: int, same: bool) -> None:
    text = changed(
        ('tier = "bulk"', 'tier = "bulk"\ntoken_file = "market.token"'),
        ("[interface]", f"[local_api]\nport = {api}\n[interface]"),
        ('name = "street-7"', 'name = "street-7"' + ("" if health is None else f"\nhealth_port = {health}")),
    )
    what = f'"port" is {api}, and so is "health_port" of [gateway]; give each its own, or 0 for any free one'
    assert [line.partition(": ")[2] for line in faults_of(text)] == ([f"local_api: {what}"] if same else [])


LIMITS = (
    '\n[[grant]]\nparty = "{party}"\nservice = "x"\nlevel = {level}\nfunctions = ["{function}"]\ngroup = "street"\n'
)
OTHERS = '\n[[party]]\nname = "ems"\ntier = "customer"\n[[party]]\nname = "owner"\ntier = "distribution"\n'


@pytest.mark.parametrize(
    ("party", "level", "function", "hint"),
    [
        ("dso", 5, "energize", None),
        ("owner", 1, "energize", None),
        ("owner", 2, "export-limit", None),
        ("owner", 3, "export-limit", ", or grant it at level 1 or 2"),
        ("owner", 7, "export-limit", ", or grant it at level 1 or 2"),
        ("ems", 8, "load-limit", None),
        ("ems", 7, "export-limit", None),
        ("ems", 6, "export-limit", ", or grant it at level 7 or 8 for its own DER"),
        ("ems", 8, "energize", ", or grant it at level 1 or 2"),
        ("ems", 2, "energize", None),
        ("market", 2, "energize", ""),
        ("market", 1, "export-limit", ""),
        ("market", 8, "export-limit", ""),
        ("ems", 6, "connect", None),
        ("ems", 8, "ride-through", ", or grant it at level 1 or 2"),
        ("owner", 2, "ride-through", None),
        ("market", 2, "ride-through", ""),
        ("market", 8, "reactive-power", None),
    ],
)
def test_who_may_be_granted_limits(party: str, level: int, function: str, hint: str | None) -> None:
    found = faults_of(PLAIN + OTHERS + LIMITS.format(party=party, level=level, function=function))
    if hint is None:
        assert found == []
        return
    [line] = found
    take = f'A2: party "{party}" is not the limit parent; take "{function}" out of its grant{hint}'
    assert line.endswith(f": grant 3: {take}")


def test_a_profile_says_who_goes_before_whom(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    row = "dso_reliability = 5\nbulk_reliability = 4\ndso_flexibility = 6\nmarket = 7\n"
    own.write_text(
        f"[green]\n{row}[amber]\n{row}[red]\n{row}"
        '[[prefer]]\nwinner = "a"\nloser = "b"\n[[prefer]]\nwinner = "b"\nloser = "c"\n'
        'direction = "import"\nstate = "red"\n'
    )
    text = changed(('name = "street-7"', 'name = "street-7"\ndso_profile = "own.toml"'))
    order = (5, 4, 6, 7)
    site = core(text, str(tmp_path / "site.toml"))
    assert site.precedence == Precedence(
        order, order, order, (Preference("a", "b"), Preference("b", "c", Direction.IMPORT.value, "red"))
    )


def test_the_shipped_profile_is_the_default_order() -> None:
    assert read(profiles() / "dso" / "default.toml") == USUAL_PRECEDENCE


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[green]\n", ':1: profile green: missing key "dso_reliability"'),
        ("[green\n", ":1: not TOML: "),
        (
            "green = {dso_reliability = 3, bulk_reliability = 5, dso_flexibility = 7, market = 7}\n",
            ':1: profile green: "dso_reliability" is 3; it must be 4 to 7',
        ),
        ("[[prefer]]\nwinner = 'a'\nlooser = 'b'\n", ""),
    ],
)
def test_a_bad_profile_is_one_line(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(text)
    site = changed(('name = "street-7"', 'name = "street-7"\ndso_profile = "own.toml"'))
    [line] = faults_of(site, str(tmp_path / "site.toml"))
    assert f'site.toml:3: gateway: "dso_profile": {tmp_path / "own.toml"}{fault}' in line
    assert "\n" not in line
