"""Programs of one server that the site file tells apart: which service each is for, and what primacy says of it."""

from pathlib import Path

import pytest
from sep2_world import World, make_pki, program

from gateway.core.events import DefaultHeard
from gateway.northbound.sep2_client.config import ProgramService
from gateway.northbound.sep2_client.programs import Split
from gateway.wire.sep2.resources import DERProgram
from hil.sep2.records import mrid_of

LEVELS = {"envelope": 3, "flexibility": 6}
ROWS = (ProgramService("envelope", "0A01"), ProgramService("flexibility", description="flex"))


def der_program(mrid: str, description: str, primacy: int) -> DERProgram:
    return DERProgram(mrid=mrid, description=description, primacy=primacy)


def test_a_program_is_known_by_its_mrid_before_its_description() -> None:
    split = Split(ROWS, LEVELS)
    assert split.service(der_program("0a01", "flex", 1)) == "envelope"
    assert split.service(der_program("0B", "flex", 1)) == "flexibility"
    assert split.service(der_program("0B", "other", 1)) == ""
    assert Split().service(der_program("0A01", "flex", 1)) == ""


def test_a_split_against_the_primacies_is_told() -> None:
    split = Split(ROWS, LEVELS)
    strong, weak = der_program("0A01", "env", 5), der_program("0B", "flex", 2)
    [(key, line)] = split.contradictions([strong, weak])
    assert key == "split of 0B and 0A01"
    assert line == "env (primacy 5, level 3) goes before flex (primacy 2, level 6) here, against their primacies"
    assert list(split.contradictions([der_program("0A01", "env", 1), weak])) == []
    assert list(split.contradictions([der_program("0A01", "env", 2), weak])) == [], "equals are not contradicted"
    assert list(Split((), LEVELS).contradictions([strong, weak])) == []
    other = der_program("0C", "other", 9)
    assert list(split.contradictions([weak, other])) != [], "what is not named stands at the strongest level"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


async def test_orders_and_defaults_bear_the_service_of_their_program(pki: Path) -> None:
    programs = (program("strong", primacy=5, default={"opModExpLimW": 1500}), program("flex", primacy=2))
    split = (ProgramService("envelope", mrid_of("strong")), ProgramService("flexibility", mrid_of("flex")))
    async with World(pki, *programs, split=split, levels=LEVELS) as world:
        world.server.issue("flex", "more", {"opModTargetW": 1000}, 60, 300)
        await world.until(world.orders)
        assert [order.service for order in world.orders()] == ["flexibility"]
        await world.until(lambda: world.heard(DefaultHeard))
        assert world.heard(DefaultHeard)[0].default.service == "envelope"
        await world.rounds(2)
        assert len(world.told("here, against their primacies")) == 1, "said once, not in every round"
