"""Adoption on a device on paper: the spare slot, the device's word, the proof, timers, and what was there before."""

from dataclasses import replace

import pytest
from sunspec_paper import Paper, curve

from gateway.core.modes import (
    CurveBase,
    CurveKind,
    Displacement,
    Droop,
    FixedVar,
    Mode,
    PowerFactor,
    TargetVar,
    VarBase,
)
from gateway.southbound.sunspec_modbus.modes import adoption
from gateway.southbound.sunspec_modbus.modes.carriers import carriers
from gateway.southbound.sunspec_modbus.modes.effort import Stopped, Tenure
from gateway.southbound.sunspec_modbus.modes.wanted import Off
from gateway.southbound.sunspec_modbus.profiles import Habits
from gateway.wire.sunspec import Block, Chain, EndedBy, compile_model
from gateway.wire.sunspec.model import LAID_OUT_MAX
from hil.sunspec.inverter import Kind

VOLT_VAR = curve(CurveKind.VOLT_VAR, (9_000, 3_000), (11_000, -3_000), base=CurveBase.MAX_VAR)
OTHER = curve(CurveKind.VOLT_VAR, (9_500, 2_000), (10_500, -2_000), base=CurveBase.MAX_VAR)
LEGACY_OTHER = curve(CurveKind.VOLT_VAR, (9_400, 2_000), (10_600, -2_000), base=CurveBase.MAX_VAR)
MINUTE_MS = 60_000


def first_volts(paper: Paper, slot: int = 1) -> object:
    """Give the voltage of the first point of a slot of 705."""
    return paper.inverter.value(f"705.Crv.{slot}.Pt.1.V")


def tenure_of(paper: Paper, mode: Mode) -> Tenure:
    """Look at what carries a mode, before anything was written."""
    return Tenure(paper.play(paper.carrier(mode).look()))


def test_the_first_slot_is_never_written_and_its_number_is_never_asked_for() -> None:
    paper = Paper("autonomous")
    paper.put(VOLT_VAR)
    assert not any(name.startswith("705.Crv.1.") for name in paper.told)
    assert paper.told["705.AdptCrvReq"] == 2
    assert first_volts(paper) == 90
    paper = Paper("autonomous")
    paper.publish(**{"m705_Crv.1.ReadOnly": 0})
    paper.put(VOLT_VAR)
    assert paper.told["705.AdptCrvReq"] == 2, "whatever it says of the first slot"


def test_the_mode_goes_on_only_once_the_first_slot_shows_the_curve() -> None:
    paper = Paper("autonomous")
    paper.inverter.set_fault("slow_curves", on=True)
    paper.put(VOLT_VAR)
    assert paper.writes[-1] == {"705.Ena": 1}
    assert paper.rested_ms >= 5_000, "it waited for the device, which takes 5 s"


def test_a_slot_that_is_read_only_and_the_one_that_is_reverted_to_are_no_spare_ones() -> None:
    paper = Paper("ride-through")
    paper.publish(**{"m705_Crv.2.ReadOnly": 0, "m705_RvrtCrv": 2})
    paper.put(VOLT_VAR)
    assert paper.told["705.AdptCrvReq"] == 3
    paper = Paper("autonomous")
    paper.publish(**{"m705_Crv.2.ReadOnly": 1})
    paper.put(VOLT_VAR)
    assert paper.told["705.AdptCrvReq"] == 3


def test_without_a_spare_slot_nothing_is_written() -> None:
    paper = Paper("autonomous")
    paper.publish(**{"m705_Crv.2.ReadOnly": 1, "m705_Crv.3.ReadOnly": 1})
    with pytest.raises(Stopped, match="no spare slot among its 3"):
        paper.put(VOLT_VAR)
    assert paper.writes == []


def test_slots_that_its_length_does_not_hold_are_not_believed() -> None:
    paper = Paper("autonomous")
    paper.raw("705.NCrv", 4)
    with pytest.raises(Stopped, match="4 slots of 4 points do not fit"):
        paper.put(VOLT_VAR)
    paper.raw("705.NCrv", 60_000)
    with pytest.raises(Stopped, match="it counts 60000 slots"):
        paper.put(VOLT_VAR)
    assert paper.writes == []


@pytest.mark.parametrize(("kind", "count"), [("autonomous", "705.NCrv"), ("legacy-curves", "126.NCrv")])
def test_slots_beyond_all_reason_are_not_laid_out(kind: Kind, count: str) -> None:
    """Laying out what a lying device counts in a long model would hold up every other device for seconds."""
    paper = Paper(kind)
    honest = paper.carrier(VOLT_VAR)
    model = int(count.partition(".")[0])
    [block] = paper.chain.of(model)
    long = Chain(paper.chain.base, (Block(1, 2, 66), replace(block, length=50_000)), EndedBy.MARKER)
    [lied_to] = [each for each in carriers(long, Habits()) if each.key == honest.key]
    paper.raw(count, 4_000)
    laid_out = compile_model.cache_info().misses
    with pytest.raises(Stopped, match=r"counts 4000 .*at most 32 are laid out"):
        paper.play(lied_to.put(Tenure({}), paper.wanted(VOLT_VAR), None))
    assert compile_model.cache_info().misses == laid_out


def test_a_device_that_counts_otherwise_each_time_does_not_fill_the_memory() -> None:
    for points in range(1, LAID_OUT_MAX + 9):
        compile_model(705, (("Crv", 1), ("Pt", points)))
    assert compile_model.cache_info().currsize <= LAID_OUT_MAX


def test_what_a_device_says_it_could_not_adopt_is_not_switched_on() -> None:
    paper = Paper("autonomous")
    paper.inverter.set_fault("failed_curves", on=True)
    with pytest.raises(Stopped, match="the device says that it could not adopt it"):
        paper.put(VOLT_VAR)
    assert paper.inverter.value("705.Ena") == 0
    assert first_volts(paper) == 92, "what is in force stayed"


def test_an_earlier_failure_that_still_stands_there_is_not_taken_for_this_one() -> None:
    paper = Paper("autonomous")
    paper.publish(m705_AdptCrvRslt=2)
    step = paper.inverter.step
    late: list[int] = []

    def slowly(now_ms: int) -> None:
        late.append(now_ms)
        if len(late) > 1:
            step(now_ms)

    paper.inverter.step = slowly  # type: ignore[method-assign, assignment] # a device that begins a second late
    paper.put(VOLT_VAR)
    assert first_volts(paper) == 90


def test_a_device_that_says_it_has_adopted_and_has_not_is_not_believed() -> None:
    paper = Paper("autonomous")
    paper.inverter.set_fault("adopts_nothing", on=True)
    with pytest.raises(Stopped, match="after 30 s it says it has adopted it, but ActPt reads 4, not 2"):
        paper.put(VOLT_VAR)
    assert paper.inverter.value("705.Ena") == 0
    assert paper.rested_ms == adoption.ADOPT_WITHIN_MS


def test_an_adoption_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.sunspec.faults.SLOW_CURVE_MS", 40_000)
    paper = Paper("autonomous")
    paper.inverter.set_fault("slow_curves", on=True)
    with pytest.raises(Stopped, match="after 30 s it is still at it"):
        paper.put(VOLT_VAR)


def test_points_that_one_register_cannot_tell_apart_are_refused() -> None:
    paper = Paper("autonomous")
    paper.raw("705.V_SF", 0)
    with pytest.raises(Stopped, match="cannot tell two points"):
        paper.put(curve(CurveKind.VOLT_VAR, (9_000, 0), (9_010, 100), base=CurveBase.MAX_VAR))
    assert paper.writes == []


def test_a_droop_goes_by_its_own_words() -> None:
    paper = Paper("autonomous")
    paper.inverter.set_fault("failed_curves", on=True)
    with pytest.raises(Stopped, match=r"frequency droop \(711\): the device says"):
        paper.put(Droop(40, 40, 50, 50))
    assert paper.told["711.AdptCtlReq"] == 2


# -- before, and back


def test_a_curve_that_was_off_goes_off_again() -> None:
    paper = Paper("autonomous")
    carrier, tenure = paper.carrier(VOLT_VAR), tenure_of(paper, VOLT_VAR)
    paper.put(VOLT_VAR)
    paper.play(carrier.restore(tenure))
    assert paper.writes[-1] == {"705.Ena": 0}


def test_a_curve_that_was_in_force_is_adopted_again() -> None:
    paper = Paper("autonomous")
    paper.put(OTHER)
    carrier, tenure = paper.carrier(VOLT_VAR), tenure_of(paper, VOLT_VAR)
    paper.put(VOLT_VAR)
    assert first_volts(paper) == 90
    paper.play(carrier.restore(tenure))
    assert (first_volts(paper), paper.inverter.value("705.Ena")) == (95, 1)


def test_what_is_given_up_while_it_is_being_adopted_is_waited_for_before_it_is_taken_back() -> None:
    paper = Paper("autonomous")
    paper.publish(m705_Ena=1)
    carrier, tenure = paper.carrier(VOLT_VAR), tenure_of(paper, VOLT_VAR)
    paper.inverter.set_fault("slow_curves", on=True)
    effort = carrier.put(tenure, paper.wanted(VOLT_VAR), None)
    paper.play_until(effort, lambda: "705.AdptCrvReq" in paper.told)
    effort.close()
    paper.step_ms(100)
    assert first_volts(paper) == 92
    paper.play(carrier.restore(tenure))
    assert first_volts(paper) == 92
    assert paper.inverter.value("705.AdptCrvRslt") == 1
    paper.step_ms(60_000)
    assert first_volts(paper) == 92, "nothing comes after it"


def test_a_legacy_curve_that_was_active_is_again_and_was_never_overwritten() -> None:
    paper = Paper("legacy-curves")
    paper.put(LEGACY_OTHER)
    assert paper.inverter.value("126.ActCrv") == 2
    carrier, tenure = paper.carrier(VOLT_VAR), tenure_of(paper, VOLT_VAR)
    paper.put(VOLT_VAR)
    assert (paper.inverter.value("126.ActCrv"), paper.inverter.value("126.curve.2.V1")) == (3, 94)
    paper.play(carrier.restore(tenure))
    assert (paper.inverter.value("126.ActCrv"), paper.inverter.value("126.ModEna")) == (2, 1)


def test_a_var_set_point_that_was_on_comes_back_with_its_base() -> None:
    paper = Paper("2018")
    paper.put(FixedVar(VarBase.MAX_VAR, 2_000))
    carrier, tenure = paper.carrier(TargetVar(500)), tenure_of(paper, TargetVar(500))
    paper.put(TargetVar(500))
    assert {"704.VarSetEna": 0} in paper.writes, "off before its value means another thing"
    paper.play(carrier.restore(tenure))
    shown = [paper.inverter.value(f"704.{name}") for name in ("VarSetEna", "VarSetMod", "VarSetPct")]
    assert shown == [1, 1, 20]


def test_what_is_in_the_way_is_switched_off_and_on_again() -> None:
    paper = Paper("autonomous")
    paper.put(VOLT_VAR)
    carrier, tenure = paper.carrier(VOLT_VAR), tenure_of(paper, VOLT_VAR)
    paper.play(carrier.put(tenure, Off(), None))
    assert paper.inverter.value("705.Ena") == 0
    paper.play(carrier.restore(tenure))
    assert (paper.inverter.value("705.Ena"), first_volts(paper)) == (1, 90)


# -- what it falls back to by its timer


def test_a_power_factor_reverts_to_what_it_was() -> None:
    paper = Paper("autonomous")
    paper.put(PowerFactor(Displacement(9_800, absorbs=False), None))
    told = PowerFactor(Displacement(9_000, absorbs=True), None)
    held = paper.put(told, MINUTE_MS)
    assert held[0].timed
    assert paper.told["704.PFWInjRvrtTms"] == 60
    paper.clock.ms += MINUTE_MS + 1_000
    paper.inverter.step(paper.clock.ms)
    shown = [paper.inverter.value(f"704.{name}") for name in ("PFWInjEna", "PFWInj.PF", "PFWInj.Ext")]
    assert shown == [1, 0.98, 0]


@pytest.mark.parametrize(
    ("kind", "enable"), [("2018", "704.VarSetEna"), ("legacy-curves", "123.VArPct_Ena")], ids=["704", "123"]
)
def test_fixed_var_that_was_off_reverts_to_off_unless_refreshed(kind: str, enable: str) -> None:
    paper = Paper(kind)  # type: ignore[arg-type] # one of the kinds
    told = FixedVar(VarBase.MAX_VAR, 2_000)
    assert paper.put(told, MINUTE_MS)[0].timed
    paper.clock.ms += MINUTE_MS - 1_000
    paper.inverter.step(paper.clock.ms)
    paper.play(paper.carrier(told).refresh(MINUTE_MS))
    paper.clock.ms += MINUTE_MS - 1_000
    paper.inverter.step(paper.clock.ms)
    assert paper.inverter.value(enable) == 1, "refreshed"
    paper.clock.ms += 2_000
    paper.inverter.step(paper.clock.ms)
    assert paper.inverter.value(enable) == 0


def test_a_curve_reverts_to_the_one_before_it_which_is_kept_in_a_slot() -> None:
    paper = Paper("ride-through")
    paper.publish(m705_RvrtCrv=0)
    paper.put(OTHER)
    held = paper.put(VOLT_VAR, MINUTE_MS)
    assert held[0].timed
    adopted, kept = paper.told["705.AdptCrvReq"], paper.told["705.RvrtCrv"]
    assert adopted != kept
    assert (first_volts(paper, kept), first_volts(paper)) == (95, 90)
    paper.clock.ms += MINUTE_MS + 1_000
    paper.inverter.step(paper.clock.ms)
    assert first_volts(paper) == 95


def test_a_curve_that_was_off_gets_no_timer_since_no_model_reverts_to_off() -> None:
    paper = Paper("ride-through")
    assert not paper.put(VOLT_VAR, MINUTE_MS)[0].timed
    assert "705.RvrtTms" not in paper.told


def test_a_family_whose_timer_is_of_no_use_gets_none() -> None:
    paper = Paper("2018", Habits(timer=False))
    assert not paper.put(FixedVar(VarBase.MAX_VAR, 2_000), MINUTE_MS)[0].timed
    assert "704.VarSetRvrtTms" not in paper.told
