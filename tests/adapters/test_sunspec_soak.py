"""Random faults of all kinds on many inverters: no wrong value, nobody stuck, nothing that grows."""

import logging
import os
import secrets
import sys
import time
from pathlib import Path

import pytest
from soak_bench import Findings, Plan, Soak, Weight, judge, soaking

from hil.sunspec.faults import FAULTS

HEALED_S = 600.0
"""Room for a machine that is late with every reply; two minutes where it is not."""
GROWN_MB = 8.0


def figures(soak: Soak, findings: Findings, plan: Plan) -> str:
    """Give the figures of a soak in a line."""
    worst = max(soak.spells, key=lambda spell: spell.healed_s)
    return (
        f"SOAK_SEED={plan.seed}: {len(soak.spells)} spells of faults, {findings.readings} readings and "
        f"{findings.adoptions} adoptions judged, {len(findings.wrong)} wrong; healed within {worst.healed_s:.0f} s "
        f"({worst.device}, {worst.faults}); {dict(soak.counts)}"
    )


def assert_true(soak: Soak, findings: Findings, plan: Plan) -> None:
    """Have all that was heard be true, through all faults that there are."""
    assert not findings.wrong, "\n".join([figures(soak, findings, plan), *findings.wrong[:5]])
    assert {fault for spell in soak.spells for fault in spell.faults} == set(FAULTS)
    assert min(findings.readings, findings.adoptions) > 0


async def test_twelve_inverters_are_true_and_heal_through_every_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(seed=7, holds_s=(15, 40), rests_s=(5, 20))
    async with soaking(tmp_path, monkeypatch, count=12, rate=25.0, reply_s=0.5) as soak:
        await soak.storm(plan, 150)
    assert_true(soak, judge(soak), plan)


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_two_hundred_inverters_for_an_hour(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = os.environ
    rate, seconds = float(given.get("SOAK_RATE", "15")), float(given.get("SOAK_SECONDS", "3600"))
    plan = Plan(int(given.get("SOAK_SEED") or secrets.randbelow(10**6)), holds_s=(20, 180), rests_s=(10, 90))
    caplog.set_level(logging.CRITICAL)
    async with soaking(tmp_path, monkeypatch, count=200, rate=rate, reply_s=1.0) as soak:
        await soak.storm(plan, seconds / 2)
        before, began_s, worked_s = Weight.now(), time.monotonic(), time.process_time()
        await soak.storm(plan, seconds / 2)
        after = Weight.now()
        share = (time.process_time() - worked_s) / (time.monotonic() - began_s)
    findings = judge(soak)
    with capsys.disabled():
        said = [figures(soak, findings, plan), *soak.foreign, f"{before} then {after}; {share:.0%} of a core; x{rate}"]
        sys.stdout.write("\n".join(["", *said, ""]))
    assert_true(soak, findings, plan)
    assert max(spell.healed_s for spell in soak.spells) <= HEALED_S
    assert after.resident_mb <= before.resident_mb + GROWN_MB
    assert after.descriptors == before.descriptors
