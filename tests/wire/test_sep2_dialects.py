"""What is written follows the editions of the peer, and what is read does not ask for them."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from sep2_examples import BODIES, OF_2023
from sep2_modes import MODES_OF_2023
from sep2_schemas import parts_of, schema
from sep2_strategies import values_of
from sep2_values import FULL_BASE, STORAGE_TARGET, control

from gateway.northbound.sep2_client import Profile
from gateway.wire.sep2 import Dialect, Resource, WireFault, decode, encode
from gateway.wire.sep2.devices import ConnectionPoint
from gateway.wire.sep2.quantities import ActivePower
from gateway.wire.sep2.resources import DERCapability, DERControlBase
from gateway.wire.sep2.responses import DefaultDERControlResponse
from gateway.wire.sep2.tables import ROOTS

PROFILES = tomllib.loads(Path("profiles/protocols/sep2.toml").read_text())["profile"]
DIALECTS = {name: Dialect(**words) for name, words in PROFILES.items()}
EVERYTHING = [*BODIES, *OF_2023]
V2018, V2023 = DIALECTS["2018"], DIALECTS["2023"]
V1_2, V1_3 = DIALECTS["csip-aus-1.2"], DIALECTS["csip-aus-1.3"]


def judged(dialect: Dialect, body: bytes) -> None:
    """Ask the schema of a dialect; that of 2013 is that of 2018 here, and that of CSIP-AUS 1.3 its draft."""
    text = body.decode().replace('"http://ieee.org/2030.5"', '"urn:ieee:std:2030.5:ns"')
    text = text.replace('"https://csipaus.org/ns/v1.3"', '"https://csipaus.org/ns/v1.3-beta/storage"')
    schema(max(dialect.edition, 2018), dialect.csip_aus).assertValid(etree.fromstring(text.encode()))


def written(resource: Resource, dialect: Dialect) -> bytes:
    """Write a resource; nothing where the dialect lacks it or a mode of it."""
    try:
        return encode(resource, dialect)
    except WireFault as fault:
        if re.search("is not of|where Response belongs", fault.why):
            return b""
        raise


def is_of(dialect: Dialect, resource: Resource) -> bool:
    return all(dialect.has(part) for part in parts_of(resource))


def test_every_profile_of_the_site_file_is_spoken() -> None:
    assert set(PROFILES) == set(Profile)
    levels = {2013: "+S0", 2018: "+S1", 2023: "+S2"}
    assert all(dialect.level == levels[dialect.edition] for dialect in DIALECTS.values())


@pytest.mark.parametrize("name", DIALECTS)
def test_a_body_of_each_profile_is_valid_and_holds_all_that_the_profile_has(name: str) -> None:
    dialect = DIALECTS[name]
    held = 0
    for resource in EVERYTHING:
        body = written(resource, dialect)
        if not body:
            assert not is_of(dialect, resource)
            continue
        if dialect.csip_aus and isinstance(resource, DERCapability) and resource.doe_modes_supported is None:
            continue
        judged(dialect, body)
        root = etree.fromstring(body)
        assert root.tag.startswith(("{https:", f"{{{dialect.namespace}}}"))
        assert root.get("schemaVer") == (dialect.schema_ver or None)
        if is_of(dialect, resource):
            held += 1
            assert decode(body) == resource
    assert held > len(EVERYTHING) / 3


@pytest.mark.parametrize("name", ROOTS)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(draws=st.data())
def test_whatever_is_written_to_a_peer_is_of_its_edition(name: str, draws: st.DataObject) -> None:
    resource = draws.draw(values_of(ROOTS[name], (2023, "1.3")))
    for dialect in (V2018, V2023):
        body = written(resource, dialect)
        if body:
            judged(dialect, body)


def test_a_mode_that_a_peer_lacks_is_never_left_out_unsaid() -> None:
    limit = {"op_mod_exp_lim_w": ActivePower(1500)}
    lacking: list[tuple[Dialect, dict[str, Any]]] = [(V2018, limit), (V2023, limit), (V1_2, STORAGE_TARGET)]
    lacking += [(V1_3, {field: value}) for field, value in MODES_OF_2023.items()]
    for dialect, mode in lacking:
        with pytest.raises(WireFault, match=rf"^DERControl/DERControlBase/opMod\w+: is not of {dialect}$"):
            encode(control(**mode), dialect)
    assert b"/ns/v1.3" in encode(control(**FULL_BASE, **STORAGE_TARGET), V1_3)


def test_what_a_device_says_of_itself_loses_what_its_server_does_not_know() -> None:
    rated = next(body for body in BODIES if isinstance(body, DERCapability))
    assert decode(encode(rated, V1_3)) == rated
    assert decode(encode(rated, V1_2)) == replace(rated, vpp_modes_supported=None)
    assert decode(encode(rated, V2018)) == replace(rated, vpp_modes_supported=None, doe_modes_supported=None)
    assert b"csipaus" not in encode(rated, V2018)


def test_a_body_that_a_peer_lacks_is_not_written() -> None:
    with pytest.raises(WireFault, match=r"^ConnectionPoint: is not of 2018$"):
        encode(ConnectionPoint(connection_point_id="410233"), V2018)
    answer = next(body for body in OF_2023 if isinstance(body, DefaultDERControlResponse))
    with pytest.raises(WireFault, match=re.escape("DefaultDERControlResponse: is not of 2018 with CSIP-AUS 1.2")):
        encode(answer, V1_2)
    assert decode(encode(answer, V2023)) == answer


def test_what_every_peer_writes_is_read_alike() -> None:
    said = control(op_mod_connect=True)
    assert said.base == DERControlBase(op_mod_connect=True)
    bodies = {encode(said, dialect) for dialect in DIALECTS.values()}
    assert len(bodies) == 3, "2013, 2018 and 2023 differ in what they declare"
    assert {repr(decode(body)) for body in bodies} == {repr(said)}
