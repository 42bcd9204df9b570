"""Procedures on the simulated bench: a sound device passes every one, and each finds the device that it is about."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hil.trial.procedure import PROCEDURES, SUITES, Grid, ProcedureError, Suite, load, names, select
from hil.trial.report import Run
from hil.trial.run import perform
from hil.trial.testbed import BenchFile, SimulatedBench, SimulatedTable, make_bench

SEED = 1
KEPT = ("702.WMax", "704.WMaxLimPct", "704.WMaxLimPctEna", "704.VarSetMod", "704.VarSetPct", "704.VarSetEna")


async def run(name: str, seed: int = SEED, **device: Any) -> Run:
    bench = make_bench(BenchFile(title="simulated", simulated=SimulatedTable(**device)))
    title, procedures = select(name)
    return await perform(bench, title, procedures, seed)


@pytest.mark.parametrize("name", names(PROCEDURES))
async def test_a_sound_device_passes(name: str) -> None:
    result = (await run(name)).results[0]
    assert [(step.name, step.note) for step in result.steps if step.verdict != "pass"] == []
    assert (result.verdict, len(result.steps)) == ("pass", len(result.procedure.steps))
    assert all(step.judged for step in result.steps if not step.name.startswith("half power by"))


FAULTY = [
    ("LAP", "ignores_limit", "66 %", "W at 1 Tr (30.0 s): 5000 W; needs"),
    ("LAP", "slow", "33 %", "W at "),
    ("LAP", "failed_adoption", "66 %", "704.WMaxLimPct reads 100; must be 66"),
    ("REV-1", "never_reverts", "after 60 s the reversion value holds", "704.WMaxLimPct reads 20; must be 60"),
    ("REV-2", "keeps_timer", "60 s more, told after 40 s", "704.WMaxLimPct reads 60; must be 20"),
    ("REV-3", "keeps_timer", "a time of 0 cancels: the limit stays", "704.WMaxLimPct reads 60; must be 20"),
    ("CPF", "wrong_sign", "0.9 absorbing", "Var at 1 Tr"),
    ("CRP", "wrong_sign", "full absorption", "Var at 1 Tr"),
    ("CRP", "slow", "full absorption", "Var at 1 Tr (10.0 s)"),
    ("VV-1", "wrong_sign", "between V3 and V4, absorbing", "Var at "),
    ("VV-1", "slow", "beyond V4", "Var at "),
    ("VV-3", "adopts_nothing", "adopt and enable", "705.Crv.1.ActPt|705.Crv.1.RspTms reads 5; must be 30"),
    ("VW-1", "ignores_limit", "half way down", "W at "),
    ("VW-1", "slow", "at V2", "W at "),
    ("WV", "wrong_sign", "80 % light", "Var at "),
    ("FW", "ignores_limit", "60.6 Hz", "W at "),
    ("FW", "slow", "61.2 Hz", "W at "),
    ("PRI", "ignores_limit", "a limit of 50 % beside volt-watt and droop", "W at "),
    ("IOP", "asleep", "monitoring tells what is at the terminals", "701.W reads None"),
    ("CRV-2", "adopts_nothing", "a curve in slot 2 is adopted, and curve 1 shows it", "705.Crv.1"),
    ("CRV-3", "adopts_nothing", "first a good one", "705.Crv.1"),
    ("RTU-1", "no_serial", "RTU interface", "no answer; needs the SunS marker"),
    ("RTU-2", "one_baud_rate", "Baud rate", "at 9600 bit/s: no answer"),
    ("RTU-3", "keeps_partial", "Partial request on a serial line", "the request after a request that breaks off"),
    ("SF", "moving_scale", "factors do not move", "701.W_SF reads 0, 1; must be there and stay"),
    (
        "REJ",
        "takes_anything",
        "values that points cannot mean, and points that are read-only",
        "= another is taken",
    ),
    ("REJ", "takes_anything", "addresses that are not there", "beyond the map is taken; it must be refused"),
    ("LVRT", "trips_early", "75 % for 20 s: four fifths of the current stay", "W from 0.25 s to 19.9 s: 0 to 0"),
    ("LVRT", "never_trips", "45 %: off within 2 s", "W from 0.13 s to 3 s: 5000 to 5000; needs -375 to 375"),
    ("LVRT", "slow", "back at nominal: the delay first, then in service", "W from 71.05 s"),
    ("HVRT", "trips_early", "back at nominal: the power of before within 0.4 s", "W from 0.45 s to 10 s: 0 to 0"),
    ("HVRT", "never_trips", "115 % for 12 s: it ceases for as long", "W from 0.13 s"),
    ("LFRT", "trips_early", "57.1 Hz for a minute: stays", "W from 0.25 s to 60 s: 0 to 0"),
    ("LFRT", "never_trips", "58 Hz: stays for 299 s, off within 300 s", "W from 304.50 s to 310 s: 5000"),
    ("HFRT", "trips_early", "61.7 Hz for a minute: stays", "W from 0.25 s to 60 s: 0 to 0"),
    ("HFRT", "never_trips", "62.5 Hz: off within 0.16 s", "W from 0.21 s to 1 s: 5000"),
    ("MOD-3", "failed_adoption", "a changed value reads back at once, and after a while", "704.WMaxLimPct reads 100"),
]


@pytest.mark.parametrize(("name", "fault", "step", "why"), FAULTY, ids=lambda value: value if len(value) < 15 else "")
async def test_a_device_that_misbehaves_fails_where_it_does(name: str, fault: str, step: str, why: str) -> None:
    result = (await run(name, faults=(fault,))).results[0]
    assert result.verdict == "fail"
    failed = {each.name: [one.text for one in each.judged if not one.kept] for each in result.steps}
    assert any(reason in text for reason in why.split("|") for text in failed[step]), failed


async def test_too_slow_by_a_setting_is_found_and_faster_than_a_setting_is_too() -> None:
    settable = (await run("VW-1", time_constant_s=0)).results[0]
    assert settable.verdict == "fail"
    assert {step.name for step in settable.steps if step.verdict == "fail"} == {"back to nominal"}
    assert (await run("LAP", time_constant_s=0)).results[0].verdict == "pass"
    assert (await run("LAP", time_constant_s=25)).results[0].verdict == "fail"


async def test_without_an_end_marker_discovery_fails_and_the_rest_still_runs() -> None:
    found = await run("sunspec", end_marker=False)
    verdicts = {result.procedure.id: result.verdict for result in found.results}
    assert verdicts.pop("DEV-1") == "fail"
    assert set(verdicts.values()) == {"pass"}


async def test_what_a_device_does_not_have_is_not_applicable_and_no_pass() -> None:
    found = await run("LAP", kind="legacy")
    assert found.results[0].verdict == "not applicable"
    assert "704.WMaxLimPct" in found.results[0].note
    assert not found.passed


async def test_a_device_of_another_category_is_not_what_ride_through_is_about() -> None:
    bench = SimulatedBench(BenchFile(title="simulated"), SimulatedTable())
    bench.inverter._image.publish({"702.AbnOpCatRtg": 1})
    found = (await perform(bench, "two", select("LVRT")[1], SEED)).results[0]
    assert (found.verdict, found.note) == ("not applicable", "the device says 702.AbnOpCatRtg = 1; this is about 2")


async def test_the_same_seed_measures_at_the_same_moments_and_another_at_others() -> None:
    moments = [[sample for _step, sample in (await run("CPF", seed)).results[0].samples] for seed in (1, 1, 2)]
    assert moments[0] == moments[1] != moments[2]


async def test_a_device_is_left_at_rest_with_the_settings_that_it_had() -> None:
    bench = SimulatedBench(BenchFile(title="simulated"), SimulatedTable())
    cut = [
        msgspec.structs.replace(procedure, steps=procedure.steps[:2])
        for name in ("IOP", "LAP", "CRP")
        for procedure in select(name)[1]
    ]
    before = {name: bench.inverter.value(name) for name in KEPT}
    found = await perform(bench, "cut", cut, SEED)
    assert [result.verdict for result in found.results] == ["pass"] * 3
    assert {name: bench.inverter.value(name) for name in KEPT} == before


async def test_a_device_that_goes_away_fails_and_is_not_taken_for_one_that_lacks_a_function() -> None:
    class Leaving(SimulatedBench):
        async def set(self, grid: Grid) -> None:
            await super().set(grid)
            if grid.light_pct == 50:
                self.inverter.set_fault("refuse_connections", on=True)

    found = await perform(
        Leaving(BenchFile(title="simulated"), SimulatedTable()), "two", select("LAP")[1] + select("CRP")[1], SEED
    )
    assert [result.verdict for result in found.results] == ["fail", "fail"]
    assert [step.verdict for step in found.results[0].steps] == ["pass"] * 4 + ["fail"] * 2
    assert "Connection refused" in found.results[1].note


async def test_procedures_hold_for_a_device_of_another_size_and_place() -> None:
    for name in ("IOP", "CRP", "VW-2", "FW"):
        found = await run(name, rated_w=50_000, base=0, unit=7)
        assert [(r.procedure.id, r.note) for r in found.results if r.verdict != "pass"] == []


def test_every_shipped_procedure_is_in_the_suite_of_all_and_every_suite_can_be_read() -> None:
    assert sorted(procedure.id for procedure in select("all")[1]) == names(PROCEDURES)
    for suite in names(SUITES):
        kind = msgspec.toml.decode((SUITES / f"{suite}.toml").read_text(), type=Suite)
        assert set(kind.procedures) <= set(names(PROCEDURES))
    assert all(load(PROCEDURES / f"{name}.toml").id == name for name in names(PROCEDURES))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("id = 1", "Expected `str`, got `int` - at `$.id`"),
        ("id = 'X'\ntitle = 'x'\nsource = 'x'", "it has no [[step]]"),
        ("id = 'X'\ntitle = 'x'\nsource = 'x'\n[[step]]\nname = 'a'\nadopt = 'c'", 'step[0] names curve "c"'),
        (
            "id = 'X'\ntitle = 'x'\nsource = 'x'\n[[step]]\nname = 'a'\nwriet = 1",
            "unknown field `wriet` - at `$.step[0]`",
        ),
        (
            "id = 'X'\ntitle = 'x'\nsource = 'x'\n[[step]]\nname = 'a'\nfollow = [{ quantity = 'W' }]",
            "needs one of target_pct, curve, power_factor",
        ),
        ("id = ", "is not TOML"),
    ],
)
def test_a_procedure_that_cannot_be_read_is_refused_with_its_place(text: str, fault: str, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(ProcedureError) as found:
        select(str(file))
    assert str(file) in str(found.value)
    assert fault in str(found.value)
