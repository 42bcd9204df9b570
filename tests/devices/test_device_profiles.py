"""Profiles: what is wrong with one is said on one line, and a device is of its most particular match."""

import dataclasses
import tomllib
from typing import Any

import pytest

from gateway.config import check, profiles
from gateway.runtime import wiring
from gateway.southbound.sunspec_modbus import SunspecModbus
from gateway.southbound.sunspec_modbus.family import Family
from gateway.southbound.sunspec_modbus.profiles import (
    PLAIN,
    SETTINGS,
    Catalogue,
    Identity,
    Profile,
    ProfileFault,
    catalogue,
    read,
)
from gateway.wire.sunspec import Block, Chain, EndedBy

WHOLE: dict[str, Any] = {
    "about": "a family",
    "match": [{"manufacturer": "ACME.*"}],
    "quirk": [{"what": "it is odd", "source": ["https://example.org/1"], "sets": {"unit": 3}}],
}


def quirk(**fields: Any) -> dict[str, Any]:
    return {**WHOLE, "quirk": [{**WHOLE["quirk"][0], **fields}]}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({**WHOLE, "abuot": 1}, 'unknown key "abuot"; known: about, match, quirk'),
        ({**WHOLE, "about": ""}, 'give "about", one line on the family'),
        ({**WHOLE, "match": []}, "give at least one [[match]]"),
        ({**WHOLE, "match": [{}]}, "give a manufacturer, a model or a firmware"),
        ({**WHOLE, "match": [{"manufacturer": "("}]}, "not a pattern"),
        ({**WHOLE, "match": [{"maker": "x"}]}, 'unknown key "maker"'),
        ({**WHOLE, "quirk": "odd"}, "give at least one [[quirk]]"),
        (quirk(what=""), 'give "what", one line'),
        (quirk(source=[]), 'needs a "source"'),
        (quirk(source=["somebody said so"]), 'needs a "source"'),
        (quirk(danger="yes"), '"danger" is true or false'),
        (quirk(sets={"uint": 3}), 'sets "uint"; known: bases, block_max,'),
        (quirk(sets={"unit": 300}), '"unit" cannot be 300; it is a whole number from 0 to 255'),
        (quirk(sets={"unit": True}), '"unit" cannot be True'),
        (quirk(sets={"write_function": 5}), '"write_function" cannot be 5; it is one of 6, 16'),
        (quirk(sets={"persistence": "some"}), "\"persistence\" cannot be 'some'; it is one of volatile"),
        (quirk(sets={"bases": []}), '"bases" cannot be []'),
        (quirk(sets={"bases": [70_000]}), '"bases" cannot be [70000]; it is a list of addresses'),
        ({**WHOLE, "quirk": WHOLE["quirk"] * 2}, '"unit" is set by two quirks; keep one'),
    ],
)
def test_a_wrong_profile_is_refused_on_one_line(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ProfileFault) as fault:
        read("acme", table)
    assert str(fault.value).startswith("profile acme")
    assert said in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_profile_says_what_its_quirks_set() -> None:
    profile = read("acme", WHOLE)
    assert (profile.name, profile.unit, profile.bases) == ("acme", 3, PLAIN.bases)
    assert {each.name for each in dataclasses.fields(Profile)} >= set(SETTINGS)


def test_the_most_particular_match_wins() -> None:
    made = catalogue(
        {
            "any": {**WHOLE, "match": [{"manufacturer": "acme"}]},
            "old": {**WHOLE, "match": [{"manufacturer": "acme", "model": "One.*", "firmware": "1\\..*"}]},
            "one": {**WHOLE, "match": [{"manufacturer": "acme", "model": "One.*"}]},
        }
    )
    assert made.of(Identity("ACME", "One 5", "", "1.2")).name == "old"
    assert made.of(Identity("ACME", "One 5", "", "2.0")).name == "one"
    assert made.of(Identity("ACME", "Two", "", "1.2")).name == "any"
    assert made.of(Identity("ACME Solar", "One")) is PLAIN
    assert made.of(Identity()) is PLAIN


def test_what_the_site_file_says_outweighs_the_profile() -> None:
    profile = Profile(poll_min_s=10, block_max=60, gap_ms=50)
    assert profile.on(SunspecModbus("h")).poll_s == 10
    assert profile.on(SunspecModbus("h", poll_s=30)).poll_s == 30
    assert profile.on(SunspecModbus("h", unit=9)).unit == 9


@pytest.mark.parametrize(
    ("documented", "measured", "persistence", "timer"),
    [
        ("unknown", "unknown", "volatile", True),
        ("lifts", "unknown", "volatile", True),
        ("lifts", "none", "volatile", False),
        ("none", "unknown", "volatile", False),
        ("none", "value", "volatile", True),
        ("value", "value", "flash", False),
    ],
)
def test_what_was_measured_outweighs_what_was_documented(
    documented: str, measured: str, persistence: str, timer: bool
) -> None:
    profile = Profile(reversion_documented=documented, reversion_measured=measured, persistence=persistence)
    assert profile.habits.timer is timer


def test_every_shipped_quirk_names_a_public_issue() -> None:
    for profile in wiring.device_profiles().profiles:
        assert profile.quirks
        for each in profile.quirks:
            assert all(source.startswith("https://github.com/") for source in each.sources), each
            assert len(each.what) <= 160, each


def test_a_profile_more_is_a_file_more() -> None:
    tables = {path.stem: tomllib.loads(path.read_text()) for path in (profiles() / "devices").glob("*.toml")}
    more = catalogue({**tables, "acme": WHOLE})
    assert more.of(Identity("ACME Inc.")).name == "acme"
    assert isinstance(more, Catalogue)
    assert set(more.names) == {*wiring.device_profiles().names, "acme"}


def test_a_site_file_that_names_no_profile_there_is_is_told_so() -> None:
    site = """
[[device]]
name = "roof"
resource = "house"
rated_w = 5000
[device.sunspec_modbus]
host = "127.0.0.1"
profile = "kostal"
"""
    told = [str(fault) for fault in check(site, "site.toml", wiring.TABLES).faults]
    assert any(
        'there is no device profile "kostal"; leave it out, or take one of: abb_uno, abb_vsn' in each for each in told
    )


def test_a_device_that_does_not_say_what_it_is_keeps_its_family() -> None:
    made = Family("roof", SunspecModbus("h"), catalogue({"acme": WHOLE}))
    chain = Chain(40_000, (Block(1, 40_002, 66),), EndedBy.MARKER)
    asked = made.ask(chain)
    assert asked is not None
    assert asked.quantity == 48
    made.recognize(b"ACME".ljust(2 * asked.quantity, b"\0"))
    assert made.profile.name == "acme"
    for nothing in (bytes(2 * asked.quantity), b"", None):
        made.recognize(nothing)
        assert made.profile.name == "acme"
    made.recognize(b"Other".ljust(2 * asked.quantity, b"\0"))
    assert made.profile is PLAIN
