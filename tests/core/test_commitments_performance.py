"""How a commitment was kept, and each Wh tagged once (RULES C8, C9)."""

import pytest
from commitment_world import BATTERY, DSO, HOUR_S, NOW_MS, OWNER, ROOF, TRADER, TSO, promise
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.capacity import Commitment, CommitmentKey, Slice, Terms
from gateway.core.parties import Direction
from gateway.core.performance import (
    EnergyTag,
    Evidence,
    Performance,
    Remainder,
    Reported,
    ServiceClaim,
    Stretch,
    Tagged,
    evidence,
    measure,
    report,
    tag_energy,
)

EXPORT, IMPORT = Direction.EXPORT, Direction.IMPORT
WMS_PER_WH = 3_600_000
TWO_HOURS = promise("a", start_s=0, end_s=2 * HOUR_S, w=3_000)


def stretch(from_s: int, to_s: int, asked_w: int, delivered_w: int | None, able_w: int | None = None) -> Stretch:
    return Stretch(NOW_MS + from_s * 1000, NOW_MS + to_s * 1000, asked_w, delivered_w, able_w)


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        pytest.param([stretch(0, 7200, 3000, 3000)], (6000, 6000, 0, 0, 1000, 0, True), id="kept"),
        pytest.param([stretch(-99, 9999, 3000, 9000)], (6000, 6000, 0, 0, 1000, 0, True), id="cut to the window"),
        pytest.param(
            [stretch(-99, 0, 3000, 0), stretch(7200, 7300, 3000, 0)], (0, 0, 0, 6000, 0, 1800, False), id="out"
        ),
        pytest.param([stretch(0, 7200, 0, 0, 3000)], (0, 0, 0, 0, 1000, 0, True), id="ready and never asked"),
        pytest.param([stretch(0, 7200, 0, 0, 2999)], (0, 0, 0, 2, 0, 0, False), id="1 W short of ready"),
        pytest.param([stretch(0, 7200, 0, 3000)], (0, 0, 0, 0, 1000, 0, True), id="its own running shows it able"),
        pytest.param([stretch(0, 7200, 0, 0)], (0, 0, 0, 6000, 0, 1800, False), id="unknown is not ready"),
        pytest.param([], (0, 0, 0, 6000, 0, 1800, False), id="nothing known"),
        pytest.param([stretch(0, 7200, 3000, None, 3000)], (6000, 0, 6000, 0, 0, 1800, False), id="unmeasured"),
        pytest.param([stretch(0, 7200, 9000, 3000)], (6000, 6000, 0, 0, 1000, 0, True), id="asked beyond the promise"),
        pytest.param([stretch(0, 7200, 1000, 1000, 3000)], (2000, 2000, 0, 0, 1000, 0, True), id="asked for a part"),
        pytest.param([stretch(0, 7200, 1000, 1000)], (2000, 2000, 0, 4000, 0, 1200, False), id="only the part shown"),
        pytest.param(
            [stretch(0, 0, 9, 0), stretch(0, 7200, 3000, 3000)], (6000, 6000, 0, 0, 1000, 0, True), id="no time"
        ),
        pytest.param(
            [stretch(0, 6840, 3000, 3000), stretch(6840, 7200, 3000, 0)],
            (6000, 5700, 300, 0, 950, 0, True),
            id="short, and yet as available as agreed",
        ),
        pytest.param(
            [stretch(0, 6839, 3000, 3000), stretch(6839, 7200, 3000, 0)],
            (6000, 5699, 300, 0, 949, 90, False),
            id="one second less than agreed",
        ),
        pytest.param(
            [stretch(0, 3600, 3000, 9000), stretch(3600, 7200, 3000, 0)],
            (6000, 3000, 3000, 0, 500, 900, False),
            id="more makes up for nothing",
        ),
        pytest.param(
            [stretch(0, 3600, 3000, 3000), stretch(5400, 7200, 3000, 3000)],
            (4500, 4500, 0, 1500, 750, 450, False),
            id="a gap counts as unavailable",
        ),
    ],
)
def test_a_commitment_is_measured_by_its_own_terms(
    stretches: list[Stretch], expected: tuple[int, int, int, int, int, int, bool]
) -> None:
    assert measure(TWO_HOURS, stretches) == Performance(*expected)


def test_no_more_energy_is_owed_than_was_promised() -> None:
    little = promise("a", device=BATTERY, end_s=2 * HOUR_S, w=3_000, wh=2_000)
    emptied = [stretch(0, 2400, 3000, 3000), stretch(2400, 7200, 3000, 0, 0)]
    assert measure(little, emptied) == Performance(2000, 2000, 0, 0, 1000, 0, met=True)
    assert measure(little, emptied[:1]) == Performance(2000, 2000, 0, 0, 333, 0, met=False)
    across = [stretch(0, 2000, 3000, 3000), stretch(2000, 7200, 3000, 1000)]
    assert measure(little, across) == Performance(2000, 2000, 0, 0, 1000, 0, met=True)
    assert measure(little, []).unavailable_wh == 2_000


def test_slices_are_measured_in_sum() -> None:
    both = promise("a", slices=(Slice(ROOF, 1_000), Slice(BATTERY, 2_000, 1_000)))
    kept = measure(both, [stretch(0, 3600, 3000, 2000)])
    assert (kept.asked_wh, kept.delivered_wh) == (2000, 2000)


@pytest.mark.parametrize(("terms", "penalty_milli", "met"), [(None, 0, True), (Terms(1, 7), 42, False)])
def test_a_penalty_is_the_contracts_own(terms: Terms | None, penalty_milli: int, met: bool) -> None:
    one = measure(promise("a", end_s=2 * HOUR_S, w=3_000, terms=terms), [])
    assert (one.penalty_milli, one.met) == (penalty_milli, met)


@pytest.mark.parametrize("wrong", [[stretch(0, 10, 1, 1), stretch(9, 20, 1, 1)], [stretch(10, 9, 1, 1)]])
def test_stretches_that_overlap_or_run_backwards_are_no_measurement(wrong: list[Stretch]) -> None:
    with pytest.raises(ValueError, match="give them in order"):
        measure(TWO_HOURS, wrong)


def claim(one: Commitment, wh: int) -> ServiceClaim:
    return ServiceClaim(one, wh * WMS_PER_WH)


def test_energy_is_paid_to_the_strongest_first_and_once() -> None:
    market = promise("m", TRADER, level=7, created_s=0)
    relief = promise("r", DSO, created_s=5)
    reserve = promise("s", TSO, level=5, created_s=9)
    claims = [claim(market, 4), claim(reserve, 3), claim(relief, 2), claim(reserve, 1)]
    charging = claim(promise("i", DSO, direction=IMPORT), 50)

    def shares(measured_wh: int, direction: Direction = EXPORT) -> list[tuple[str, int]]:
        tagged = tag_energy(measured_wh * WMS_PER_WH, direction, [*claims, charging])
        return [(one.tag[1] if isinstance(one.tag, tuple) else one.tag, one.wms // WMS_PER_WH) for one in tagged]

    assert shares(12) == [("r", 2), ("s", 4), ("m", 4), ("untagged-export", 2)]
    assert shares(5) == [("r", 2), ("s", 3), ("m", 0), ("untagged-export", 0)]
    assert shares(60, IMPORT) == [("i", 50), ("own-use", 10)]
    assert tag_energy(7, IMPORT, []) == (Tagged(Remainder.OWN_USE, 7),)
    with pytest.raises(ValueError, match="-1 W ms"):
        tag_energy(-1, EXPORT, [])


@st.composite
def metered(draw: st.DrawFn) -> tuple[int, list[ServiceClaim]]:
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True))
    claims = [
        ServiceClaim(promise(name, level=draw(st.integers(4, 8))), draw(st.integers(0, 20_000_000))) for name in names
    ]
    return draw(st.integers(0, 50_000_000)), claims


@given(st.lists(metered(), max_size=8))
def test_every_watt_hour_is_tagged_once(intervals: list[tuple[int, list[ServiceClaim]]]) -> None:
    carried: Reported = Reported({}, {})
    reported_wh = tagged_wms = 0
    for measured_wms, claims in intervals:
        tagged = tag_energy(measured_wms, EXPORT, claims)
        assert sum(one.wms for one in tagged) == measured_wms
        assert len({one.tag for one in tagged}) == len(tagged)
        asked_wms = {one.commitment.key: one.wms for one in claims}
        assert all(one.wms <= asked_wms[one.tag] for one in tagged if isinstance(one.tag, CommitmentKey))
        assert tag_energy(measured_wms, EXPORT, claims[::-1]) == tagged
        carried = report(tagged, carried.carried_wms)
        reported_wh += sum(carried.wh.values())
        tagged_wms += measured_wms
        assert all(0 <= rest < WMS_PER_WH for rest in carried.carried_wms.values())
    assert reported_wh * WMS_PER_WH + sum(carried.carried_wms.values()) == tagged_wms


def test_evidence_has_one_line_for_each_service_and_one_for_the_rest() -> None:
    one = promise("a", DSO, 0, HOUR_S, w=3_000)
    two = promise("b", TSO, 0, 2 * HOUR_S, device=BATTERY, w=4_000, wh=1_000, level=5, service="reserve")
    start_ms, end_ms = NOW_MS + 1800 * 1000, NOW_MS + 5400 * 1000
    delivered: dict[EnergyTag, int] = {Remainder.UNTAGGED_EXPORT: 7, two.key: 900, one.key: 1_500}
    commitments = {one.key: one, two.key: two}
    assert evidence(BATTERY, EXPORT, start_ms, end_ms, delivered, commitments) == (
        Evidence("deferral", DSO, OWNER, "a", BATTERY, EXPORT, start_ms, end_ms, 0, 1_500, "aggregator/a"),
        Evidence("reserve", TSO, OWNER, "b", BATTERY, EXPORT, start_ms, end_ms, 1_000, 900, "aggregator/b"),
        Evidence("", "", "", "", BATTERY, EXPORT, start_ms, end_ms, 0, 7, "untagged-export"),
    )
    assert evidence(ROOF, EXPORT, start_ms, end_ms, delivered, commitments)[0].promised_wh == 1_500
    later = end_ms + HOUR_S * 1000
    assert evidence(ROOF, EXPORT, end_ms, later, {one.key: 0}, commitments)[0].promised_wh == 0
    with pytest.raises(KeyError):
        evidence(ROOF, EXPORT, start_ms, end_ms, {CommitmentKey("x", "y"): 1}, commitments)
