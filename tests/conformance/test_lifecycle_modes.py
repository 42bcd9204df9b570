"""Every mode from its listing to its end, one life cycle after another: received, started, carried, ended, answered."""

from pathlib import Path

import pytest
from lifecycle_bench import Life, Said
from lifecycle_modes import CASES
from procedure_clock import Requests

from gateway.pki import issue
from hil.sep2.bodies import control_base

LISTED = [name for name in type(control_base({})).model_fields if name.startswith("opMod")]
"""The 25 modes of 2018 and the five of CSIP-AUS, as an independent library has them."""
UNNAMED = ("opModConnect", "opModEnergize", "opModImpLimW")
"""What bears on a command that does not name it: a command names whose its limit, its set-point and its modes are."""
NOT_CARRIED = ("opModLoadLimW", "opModStorageTargetW")
"""Modes that a house with nothing but a DER that generates has no use for."""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    issue.init(folder, ("gateway", "dso"))
    return folder


def test_no_mode_is_left_out() -> None:
    assert len(LISTED) == 30
    assert sorted([*CASES, *NOT_CARRIED]) == sorted(LISTED)


@pytest.mark.parametrize("mode", CASES)
async def test_a_mode_runs_through_its_life_cycle(
    mode: str, pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[mode]
    async with Life(pki, tmp_path, Requests(monkeypatch), case.default, case.curves, poll_s=20) as life:
        life.order("runs", case.ordered, 20, 20)
        await life.switch_on()

        def carries(name: str) -> bool:
            return case.look(life.command) == case.carries and (life.rests_on(name) or mode in UNNAMED)

        def falls_back() -> bool:
            return case.look(life.command) == case.falls_back_to

        await life.until(19.9)
        assert life.statuses("runs") == [1]
        assert falls_back()
        await life.until(22)
        assert life.said("runs")[1:] == [Said(2, 20)]
        assert carries("runs")
        await life.until(39.9)
        assert life.statuses("runs") == [1, 2]
        assert carries("runs")
        await life.until(42)
        assert life.said("runs")[1:] == [Said(2, 20), Said(3, 40)]
        assert falls_back()

        life.order("cancelled", case.ordered, 60, 60)
        await life.until(72)
        assert carries("cancelled")
        life.server.cancel("cancelled")
        life.order("older", case.ordered, 100, 40)
        await life.until(94)
        assert life.statuses("cancelled") == [1, 2, 6]
        assert 72 <= life.said("cancelled")[2].at_s <= 92
        assert falls_back()

        await life.until(95)
        life.order("newer", case.ordered, 115, 10)
        await life.until(114.9)
        assert carries("older")
        assert life.statuses("older") == [1, 2]
        await life.until(117)
        assert carries("newer")
        assert mode in UNNAMED or not life.rests_on("older")
        await life.until(127)
        assert falls_back()
        await life.until(145)
        assert falls_back()
        assert life.said("older")[1:] == [Said(2, 100), Said(7, 115)]
        assert life.said("newer")[1:] == [Said(2, 115), Said(3, 125)]


@pytest.mark.parametrize("mode", NOT_CARRIED)
async def test_a_mode_that_is_not_carried_is_answered_so_and_moves_nothing(
    mode: str, pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Life(pki, tmp_path, Requests(monkeypatch), {"opModExpLimW": 4_000}) as life:
        await life.switch_on()
        life.order("alone", {mode: 1_000}, 20, 20)
        life.order("beside", {mode: 1_000, "opModExpLimW": 1_500}, 20, 20)
        await life.until(22)
        assert life.statuses("alone") == [252]
        assert life.statuses("beside") == [1, 252, 2]
        assert (life.command.limit_w, life.command.target_w, life.rests_on("beside")) == (1_500, None, True)
        await life.until(45)
        assert life.statuses("alone") == [252]
        assert life.statuses("beside") == [1, 252, 2, 8]
        assert life.command.limit_w == 4_000


@pytest.mark.parametrize("mode", ["opModTargetVar", "opModVoltWatt", "opModFreqDroop", "opModHVRTMustTrip"])
async def test_a_mode_that_no_der_can_carry_is_answered_so_and_completes_nothing(
    mode: str, pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[mode]
    async with Life(pki, tmp_path, Requests(monkeypatch), {"opModExpLimW": 4_000}, case.curves) as life:
        assert case.function is not None
        life.der.cannot = {case.function: "it has no way to"}
        await life.switch_on()
        life.order("runs", case.ordered, 20, 20)
        await life.until(45)
        assert life.statuses("runs") == [1, 2, 252, 10]
