"""Commands into register writes and read-back into verdicts, on the registers of both generations, without a wire."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sunspec_bench import RATED_W, Bank, chain_of, command

from gateway.core.alarms import Alarm
from gateway.core.known import Known, Unknown
from gateway.core.plan import Command
from gateway.southbound.sunspec_modbus.limits import hundredths
from gateway.southbound.sunspec_modbus.points import Step, Values, lasting
from gateway.southbound.sunspec_modbus.readings import Live, describe, measurement, settings
from gateway.southbound.sunspec_modbus.translate import Controls, Controls2018, ControlsLegacy, controls
from gateway.wire.sunspec import Chain, Unwritable

NOW_MS = 1_000


def told_by(bank: Bank, max_w: int = RATED_W) -> Controls:
    made = controls(chain_of(bank), max_w)
    assert made is not None
    return made


def read(bank: Bank, control: Controls) -> Values:
    return control.decode([bank.octets(*ask) or b"" for ask in control.reads])


def wrote(bank: Bank, control: Controls, told: Command, *, ours: bool = False) -> list[dict[str, int]]:
    """Write what a command asks for into the bank, and give the writes by point."""
    steps = control.steps(told, read(bank, control), ours=ours)
    assert not isinstance(steps, Unwritable), steps
    bank.writes.clear()
    for address, octets in steps:
        assert bank.write(16, address, octets) == 0
    return bank.writes


def differs(bank: Bank, control: Controls, told: Command, *, ours: bool = True) -> str:
    return control.differs(told, read(bank, control), ours=ours)


def seen(bank: Bank) -> Live:
    made = measurement(chain_of(bank))
    assert made is not None
    return made.observe([bank.octets(*ask) or b"" for ask in made.reads], NOW_MS)


def without(bank: Bank, *ids: int) -> Chain:
    chain = chain_of(bank)
    return Chain(chain.base, tuple(block for block in chain.models if block.id not in ids), chain.ended_by)


# -- which models


def test_704_tells_else_123_else_nothing_does() -> None:
    modern, legacy = Bank(), Bank("legacy")
    assert isinstance(controls(chain_of(modern), RATED_W), Controls2018)
    assert isinstance(controls(chain_of(legacy), RATED_W), ControlsLegacy)
    assert controls(without(modern, 704), RATED_W) is None
    assert controls(without(legacy, 123), RATED_W) is None


@pytest.mark.parametrize("model", [101, 102, 103])
def test_each_legacy_phase_model_measures(model: int) -> None:
    bank = Bank("legacy")
    at = 2 * (next(block.address for block in chain_of(bank).models if block.id == 103) - bank.spec.base)
    bank.words[at : at + 2] = model.to_bytes(2)
    assert seen(bank).power == Known(RATED_W, NOW_MS)


def test_a_device_without_a_live_model_is_not_measured() -> None:
    assert measurement(without(Bank(), 701)) is None


@pytest.mark.parametrize(("kind", "point"), [("2018", "m701_Alrm"), ("legacy", "m103_Evt1")])
def test_the_faults_that_a_device_says_it_has_are_named(kind: str, point: str) -> None:
    bank = Bank(kind)
    assert seen(bank).faults == (), "it says that it has none"
    bank.set(**{point: 1 << 6 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11})
    assert seen(bank).faults == (
        Alarm.EMERGENCY_LOCAL,
        Alarm.OVER_FREQUENCY,
        Alarm.UNDER_FREQUENCY,
        Alarm.OVER_VOLTAGE,
        Alarm.UNDER_VOLTAGE,
    )
    bank.set(**{point: 1 << 7 | 1 << 14})
    assert seen(bank).faults == (), "nobody above has a word for too hot, or for lost memory"
    bank.set(**{point: 0xFFFF_FFFF})
    assert seen(bank).faults is None, "it says nothing of any"


# -- what it is set to


@pytest.mark.parametrize("kind", ["2018", "legacy"])
def test_the_setting_counts_before_the_rating(kind: str) -> None:
    bank = Bank(kind)
    bank.set(**{"m702_WMax" if kind == "2018" else "m121_WMax": 4_000})
    said = describe(chain_of(bank))
    assert settings(said, [bank.octets(*ask) or b"" for ask in said.asks], NOW_MS)[0] == Known(4_000, NOW_MS)


def test_a_setting_of_nothing_is_no_setting() -> None:
    bank = Bank()
    said = describe(chain_of(bank))
    for raw, rating, expected in ((0, 5_000, Known(5_000, NOW_MS)), (0xFFFF, 5_000, Known(5_000, NOW_MS))):
        bank.set(m702_WMax=raw, m702_WMaxRtg=rating)
        assert settings(said, [bank.octets(*ask) or b"" for ask in said.asks], NOW_MS)[0] == expected
    bank.fill(702, 0)
    blank = settings(said, [bank.octets(*ask) or b"" for ask in said.asks], NOW_MS)
    assert blank.generation_max_w == Unknown("WMax: 0", NOW_MS)
    bank.fill(702, 0xFFFF)
    asleep = settings(said, [bank.octets(*ask) or b"" for ask in said.asks], NOW_MS)
    assert asleep.generation_max_w == Unknown("WMax: not implemented by the device", NOW_MS)


# -- the limit


def test_704_takes_the_limit_its_reversion_and_its_enables_in_one_write() -> None:
    bank = Bank()
    control = told_by(bank)
    steps = control.steps(command(limit_w=3_333), read(bank, control), ours=False)
    assert steps == (Step(bank.address("704.WMaxLimPctEna"), bytes.fromhex("0001 1a0a 0bb8 0001 0000003c")),)
    assert differs(bank, control, command(limit_w=3_333)) == "limit enable reads 0"
    assert len(wrote(bank, control, command(limit_w=3_333))) == 1
    assert differs(bank, control, command(limit_w=3_333)) == ""


def test_123_takes_the_value_first_and_the_enable_last() -> None:
    bank = Bank("legacy")
    control = told_by(bank)
    bank.set(m123_WMaxLimPct_RvrtTms=90)
    assert wrote(bank, control, command()) == [{"WMaxLimPct": 60}, {"WMaxLimPct_RvrtTms": 0}, {"WMaxLim_Ena": 1}]
    assert differs(bank, control, command()) == ""
    assert wrote(bank, control, command(limit_w=2_000)) == [{"WMaxLimPct": 40}]


def test_123_gets_a_timer_only_where_lifting_the_limit_is_harmless() -> None:
    bank = Bank("legacy")
    control = told_by(bank)
    harmful, harmless = command(), command(limit_w=RATED_W, target_w=2_000, revert_limit_w=RATED_W)
    assert not control.lapses(harmful, read(bank, control))
    assert control.lapses(harmless, read(bank, control))
    assert {"WMaxLimPct_RvrtTms": 60} in wrote(bank, control, harmless)
    assert differs(bank, control, harmless) == ""
    assert differs(bank, control, harmful) == "reversion timer reads 60000 ms"
    long = harmless._replace(revert_after_ms=86_400_000)
    assert {"WMaxLimPct_RvrtTms": 65_534} in wrote(bank, control, long)
    assert differs(bank, control, long) == ""
    assert not control.lapses(harmless._replace(energized=False), read(bank, control))


@pytest.mark.parametrize(("kind", "scale", "pct"), [("2018", -2, 66.66), ("2018", -1, 66.6), ("legacy", 0, 66)])
def test_a_limit_is_rounded_down_to_the_scale(kind: str, scale: int, pct: float) -> None:
    bank = Bank(kind)
    bank.set(**{"m704_WMaxLimPct_SF" if kind == "2018" else "m123_WMaxLimPct_SF": scale})
    control = told_by(bank)
    wrote(bank, control, command(limit_w=3_333))
    assert bank.limit_pct == pytest.approx(pct)


def test_a_limit_over_wmax_is_all_of_it() -> None:
    assert hundredths(7_000, 5_000) == 10_000
    assert hundredths(4_999, 5_000) == 9_998
    assert hundredths(1, 30_000) == 0


@pytest.mark.parametrize(("scale", "why"), [(-32768, "not implemented"), (11, "outside -10..10")])
def test_without_a_sane_scale_factor_no_limit_is_written(scale: int, why: str) -> None:
    for kind, point in (("2018", "m704_WMaxLimPct_SF"), ("legacy", "m123_WMaxLimPct_SF")):
        bank = Bank(kind)
        bank.set(**{point: scale})
        control = told_by(bank)
        steps = control.steps(command(), read(bank, control), ours=False)
        assert isinstance(steps, Unwritable)
        assert why in steps.why


def test_ceasing_does_not_wait_for_a_scale_factor() -> None:
    modern, legacy = Bank(), Bank("legacy")
    modern.set(m704_WMaxLimPct_SF=-32768)
    legacy.set(m123_WMaxLimPct_SF=-32768)
    assert wrote(modern, told_by(modern), command(energized=False)) == [{"ES": 0}]
    assert wrote(legacy, told_by(legacy), command(connected=False)) == [{"Conn": 0}]
    assert differs(modern, told_by(modern), command(energized=False)) != ""
    assert differs(legacy, told_by(legacy), command(connected=False)) != ""


def test_a_device_without_reversion_takes_the_limit_alone() -> None:
    bank = Bank()
    bank.lacks("704.WMaxLimPctRvrt")
    control = told_by(bank)
    assert wrote(bank, control, command()) == [{"WMaxLimPctEna": 1, "WMaxLimPct": 6_000}]
    assert differs(bank, control, command()) == ""
    assert not control.lapses(command(), read(bank, control))


@pytest.mark.parametrize(
    ("point", "why"),
    [
        ({"m704_WMaxLimPctEna": 0}, "limit enable reads 0"),
        ({"m704_WMaxLimPct": 6_001}, "WMaxLimPct reads 60.01 %, not 60 %"),
        ({"m704_WMaxLimPct": 5_999}, "WMaxLimPct reads 59.99 %, not 60 %"),
        ({"m704_WMaxLimPct": 0xFFFF}, "WMaxLimPct cannot be read back: not implemented by the device"),
        ({"m704_WMaxLimPctRvrt": 3_001}, "WMaxLimPctRvrt reads 30.01 %, not 30 %"),
        ({"m704_WMaxLimPctEnaRvrt": 0}, "reversion enable reads 0"),
        ({"m704_WMaxLimPctRvrtTms": 61}, "reversion timer reads 61000 ms"),
        ({"m704_WMaxLimPct_SF": -1}, "WMaxLimPct reads 600 %, not 60 %"),
        ({"m703_ES": 0}, "permit service reads 0, not 1"),
    ],
)
def test_whatever_reads_back_otherwise_differs(point: dict[str, int], why: str) -> None:
    bank = Bank()
    control = told_by(bank)
    told = command(energized=True)
    wrote(bank, control, told)
    assert differs(bank, control, told) == ""
    bank.set(**point)
    assert differs(bank, control, told) == why


@given(
    limit_w=st.integers(0, 30_000),
    max_w=st.integers(1, 30_000),
    scale=st.integers(-4, 0),
    revert=st.fractions(0, 1),
    after_ms=st.integers(1, 100_000_000),
    legacy=st.booleans(),
)
def test_what_is_written_never_exceeds_the_ceiling_and_is_what_reads_back(
    limit_w: int, max_w: int, scale: int, revert: Any, after_ms: int, *, legacy: bool
) -> None:
    bank = BANKS[legacy]
    model = "123" if legacy else "704"
    bank.set(**{f"m{model}_WMaxLimPct_SF": scale, f"m{model}_WMaxLimPct": 0})
    control = told_by(bank, max_w)
    told = command(limit_w=limit_w, revert_limit_w=int(limit_w * revert), revert_after_ms=after_ms)
    steps = control.steps(told, read(bank, control), ours=False)
    if isinstance(steps, Unwritable):
        assert hundredths(limit_w, max_w) * 10 ** (-2 - scale) > 0xFFFE
        return
    for address, octets in steps:
        bank.write(16, address, octets)
    assert differs(bank, control, told) == ""
    raw = bank.raw(f"{model}.WMaxLimPct")
    assert raw * max_w <= limit_w * 10 ** (2 - scale)
    assert (raw + 1) * max_w > min(limit_w, max_w) * 10 ** (2 - scale) - max_w * 10 ** max(0, -2 - scale)
    assert control.differs(told, {**read(bank, control), "WMaxLimPct": hundredths(limit_w, max_w) + 1}, ours=True)
    if not legacy:
        assert bank.raw("704.WMaxLimPctRvrt") * max_w <= told.revert_limit_w * 10 ** (2 - scale)
        assert 0 < bank.raw("704.WMaxLimPctRvrtTms") <= max(1, after_ms // 1000)


BANKS = {False: Bank(), True: Bank("legacy")}


# -- the set-point


def test_704_takes_a_set_point_in_watts_enabled_last() -> None:
    bank = Bank()
    control = told_by(bank)
    told = command(target_w=2_000)
    assert wrote(bank, control, told)[1:] == [
        {"WSetMod": 1, "WSet": 2_000},
        {"WSetRvrtTms": 60},
        {"WSetEna": 1},
    ]
    assert differs(bank, control, told) == ""
    bank.set(m704_WSet=2_001)
    assert differs(bank, control, told) == "set-point reads 2001 W, not 2000 W"
    bank.set(m704_WSetEna=0)
    assert differs(bank, control, told) == "set-point enable reads 0, mode 1"


@pytest.mark.parametrize(("target_w", "reads_w"), [(2_345, 2_340), (-2_345, -2_340)])
def test_a_set_point_never_asks_for_more_than_was_ordered(target_w: int, reads_w: int) -> None:
    bank = Bank()
    bank.set(m704_WSet_SF=1)
    control = told_by(bank)
    told = command(target_w=target_w)
    wrote(bank, control, told)
    assert bank.raw("704.WSet") == (reads_w // 10) % (1 << 32)
    assert differs(bank, control, told) == ""


def test_a_set_point_of_ours_is_switched_off_and_anothers_is_left() -> None:
    bank = Bank()
    control = told_by(bank)
    wrote(bank, control, command(target_w=2_000))
    assert differs(bank, control, command(), ours=True) == "its set-point is still on"
    assert differs(bank, control, command(), ours=False) == ""
    assert not any("WSetEna" in write for write in wrote(bank, control, command(), ours=False))
    assert wrote(bank, control, command(), ours=True)[-1] == {"WSetEna": 0}
    assert differs(bank, control, command(), ours=True) == ""


@pytest.mark.parametrize("lacking", ["WSet", "WSetEna", "WSet_SF"])
def test_without_a_set_point_in_watts_it_becomes_the_limit(lacking: str) -> None:
    modern, legacy = Bank(), Bank("legacy")
    modern.lacks(f"704.{lacking}")
    for bank in (modern, legacy):
        control = told_by(bank)
        wrote(bank, control, command(target_w=2_000))
        assert bank.limit_pct == 40
        assert differs(bank, control, command(target_w=2_000)) == ""
        wrote(bank, control, command(target_w=-2_000))
        assert bank.limit_pct == 0
        assert "charge" in differs(bank, control, command(target_w=-2_000))


# -- cease and connect


def test_704_ceases_before_and_permits_after_the_limit() -> None:
    bank = Bank()
    control = told_by(bank)
    for off in (command(energized=False), command(connected=False), command(connected=False, energized=True)):
        bank.set(m703_ES=1)
        assert [next(iter(write)) for write in wrote(bank, control, off)] == ["ES", "WMaxLimPctEna"]
        assert bank.raw("703.ES") == 0
        assert differs(bank, control, off) == ""
    on = command(connected=True, energized=True, target_w=1_000)
    assert differs(bank, control, on) == "permit service reads 0, not 1"
    assert list(wrote(bank, control, on)[-1].items()) == [("ES", 1)]
    assert [list(write) for write in wrote(bank, control, command())] == [[*LIMIT_2018]], "nobody says: left as it is"


LIMIT_2018 = ("WMaxLimPctEna", "WMaxLimPct", "WMaxLimPctRvrt", "WMaxLimPctEnaRvrt", "WMaxLimPctRvrtTms")


@pytest.mark.parametrize("lacking", ["model", "point"])
def test_without_permit_service_ceasing_is_a_limit_of_nothing(lacking: str) -> None:
    bank = Bank()
    bank.lacks("703.ES")
    made = controls(without(bank, 703), RATED_W) if lacking == "model" else told_by(bank)
    assert made is not None
    wrote(bank, made, command(energized=False))
    assert (bank.limit_pct, bank.raw("704.WMaxLimPctEna")) == (0, 1)
    assert differs(bank, made, command(energized=False)) == ""
    wrote(bank, made, command(energized=True))
    assert bank.limit_pct == 60


def test_123_disconnects_first_without_a_timer_and_connects_last() -> None:
    bank = Bank("legacy")
    bank.set(m123_Conn_RvrtTms=30)
    control = told_by(bank)
    assert wrote(bank, control, command(connected=False))[0] == {"Conn_RvrtTms": 0, "Conn": 0, "WMaxLimPct": 60}
    assert differs(bank, control, command(connected=False)) == ""
    assert differs(bank, control, command(connected=True)) == "connection reads 0"
    assert wrote(bank, control, command(connected=True))[-1] == {"Conn": 1}
    assert wrote(bank, control, command()) == [{"WMaxLimPct": 60}]


def test_123_without_points_of_its_own_is_told_by_those_it_has() -> None:
    bank = Bank("legacy")
    bank.lacks("123.Conn", "123.Conn_RvrtTms", "123.WMaxLimPct_RvrtTms")
    control = told_by(bank)
    assert wrote(bank, control, command(connected=False)) == [{"WMaxLimPct": 0}, {"WMaxLim_Ena": 1}]
    assert differs(bank, control, command(connected=False)) == ""


def test_123_ceases_by_a_limit_of_nothing() -> None:
    bank = Bank("legacy")
    control = told_by(bank)
    assert wrote(bank, control, command(energized=False))[0] == {"WMaxLimPct": 0}
    assert differs(bank, control, command(energized=False)) == ""


# -- falling back


def test_what_a_device_fell_back_to_is_known_from_what_it_lost() -> None:
    bank = Bank()
    control = told_by(bank)
    told = command(energized=False)
    wrote(bank, control, told)
    assert not control.reverted(told, read(bank, control))
    bank.set(m704_WMaxLimPct=3_000)
    assert control.reverted(told, read(bank, control))
    bank.set(m703_ES=1)
    assert not control.reverted(told, read(bank, control)), "permission does not lapse"
    bank.set(m703_ES=0, m704_WMaxLimPctEna=0)
    assert not control.reverted(told, read(bank, control)), "a limit that is off is no fallback"


def test_a_123_that_lifted_its_limit_fell_back_only_where_it_had_a_timer() -> None:
    bank = Bank("legacy")
    control = told_by(bank)
    assert not control.reverted(command(), read(bank, control))
    assert control.reverted(command(limit_w=RATED_W, revert_limit_w=RATED_W), read(bank, control))


def test_after_a_write_nothing_is_left_out_for_what_was_read_before() -> None:
    for kind in ("2018", "legacy"):
        bank = Bank(kind)
        bank.lacks("704.WSetEnaRvrt" if kind == "2018" else "123.Conn_RvrtTms")
        control = told_by(bank)
        told = command(connected=False, target_w=2_000)
        first = wrote(bank, control, told).copy()
        again = control.steps(told, lasting(read(bank, control)), ours=True)
        assert not isinstance(again, Unwritable)
        bank.writes.clear()
        for address, octets in again:
            bank.write(16, address, octets)
        assert points(bank.writes) >= points(first)
        assert "Conn_RvrtTms" not in points(bank.writes)
        assert "WSetEnaRvrt" not in points(bank.writes)


def points(written: Sequence[dict[str, int]]) -> set[str]:
    return {name for write in written for name in write}


# -- measuring


@pytest.mark.parametrize("kind", ["2018", "legacy"])
def test_a_measurement_is_scaled_by_the_factor_of_the_same_read(kind: str) -> None:
    bank = Bank(kind)
    model = "m701" if kind == "2018" else "m103"
    for raw, scale in ((2_500, 0), (250, 1), (25_000, -1)):
        bank.set(**{f"{model}_W": raw, f"{model}_W_SF": scale})
        assert seen(bank).power == Known(2_500, NOW_MS)
    bank.set(**{f"{model}_W": -300, f"{model}_W_SF": 0})
    assert seen(bank).power == Known(-300, NOW_MS)
    assert seen(bank).voltage == Known(240_000, NOW_MS)
    assert seen(bank).connected is True


@pytest.mark.parametrize("kind", ["2018", "legacy"])
def test_a_point_that_is_not_implemented_is_unknown_and_why(kind: str) -> None:
    bank = Bank(kind)
    bank.lacks(*(("701.W", "701.ConnSt") if kind == "2018" else ("103.W", "103.St")))
    live = seen(bank)
    assert live.power == Unknown("not implemented by the device", NOW_MS)
    assert live.reactive == Known(0, NOW_MS)
    assert live.connected is None
    bank.set(**{"m701_W" if kind == "2018" else "m103_W": 100})
    bank.lacks("701.W_SF" if kind == "2018" else "103.W_SF")
    assert isinstance(seen(bank).power, Unknown)


@pytest.mark.parametrize("kind", ["2018", "legacy"])
@pytest.mark.parametrize("register", [0xFFFF, 0, 0x8000])
def test_an_image_of_nothing_gives_no_reading_at_all(kind: str, register: int) -> None:
    bank = Bank(kind)
    bank.fill(701 if kind == "2018" else 103, register)
    if register == 0x8000:
        bank.lacks(*(("701.LNV", "701.LLV", "701.Hz") if kind == "2018" else ("103.PhVphA", "103.Hz")))
    live = seen(bank)
    assert [type(each) for each in live[:3]] == [Unknown] * 3
    assert live.connected is None


def test_one_of_voltage_and_frequency_is_enough_to_be_believed() -> None:
    bank = Bank()
    bank.lacks("701.LNV", "701.LLV")
    assert seen(bank).power == Known(RATED_W, NOW_MS)
    assert isinstance(seen(bank).voltage, Unknown)
    other = Bank()
    other.lacks("701.LNV", "701.Hz")
    assert seen(other).power == Known(RATED_W, NOW_MS)
