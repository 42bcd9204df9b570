"""One device without a wire: what it is sent, when it is believed, and what is said of it."""

import logging
from typing import Any

import pytest
from mqtt_bench import RATED_W, cleared, command, power_w
from mqtt_device_bench import ALLOWED_S, Bench

from gateway.core.events import Adopted, ForeignHand, LinkDown, LinkUp, NotAdopted, Observed
from gateway.core.functions import Function
from gateway.core.known import Unknown
from gateway.core.modes import Droop, TargetVar


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


# -- sent


def test_a_command_says_what_was_cleared_and_until_when(bench: Bench) -> None:
    bench.say()
    bench.want(7, limit_w=3_000, target_w=-1_200, connected=True, ramp_ms=4_000)
    sending = bench.cell.take(bench.time.s)
    assert sending is not None
    sent = sending.command
    assert (sent.id, sent.issued_ms, sent.expires_ms) == (
        "1f-7",
        bench.time.now_ms(),
        bench.time.now_ms() + 1_800_000,
    )
    assert (sent.limit_w, sent.target_w, sent.connected, sent.energized) == (3_000, -1_200, True, None)
    assert (sent.ramp_ms, sent.reversion.limit_w, sent.reversion.after_ms) == (4_000, 1_500, 60_000)
    assert sending.expiry_s == 60


def test_it_is_sent_once_and_refreshed_at_a_third_of_the_reversion_time(bench: Bench) -> None:
    first = bench.adopted()
    assert bench.take() is None
    for _ in range(19):
        bench.pass_s(1)
        bench.say()
        assert bench.take() is None
    bench.pass_s(1)
    again = bench.sent()
    assert again.id == first.id
    assert again.issued_ms > first.issued_ms
    bench.ack(again)
    assert len(bench.ear.of(Adopted)) == 1


def test_nothing_is_refreshed_once_the_lease_has_lapsed(bench: Bench) -> None:
    bench.adopted()
    bench.lease.until_ms = 0
    for _ in range(50):
        bench.pass_s(1)
        bench.say()
        assert bench.take() is None


def test_a_command_that_expired_is_never_sent(bench: Bench) -> None:
    bench.say()
    bench.cell.want(cleared(command(), bench.time.now_ms(), 1, valid_ms=2_000))
    bench.pass_s(3)
    assert bench.take() is None


def test_a_command_of_another_device_is_refused(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    assert not bench.cell.want(cleared(command("other"), bench.time.now_ms()))
    assert bench.take() is None
    assert "not its own" in caplog.text


def test_the_same_serial_prolongs_and_sends_nothing(bench: Bench) -> None:
    bench.adopted()
    told = cleared(command(), bench.time.now_ms(), 1, valid_ms=3_000_000)
    assert not bench.cell.want(told)
    assert bench.take() is None
    bench.live_s(21)
    assert bench.sent().expires_ms == told.valid_until_ms


def test_what_failed_to_leave_is_sent_again(bench: Bench) -> None:
    bench.say()
    bench.want()
    first = bench.sent()
    bench.cell.unsent()
    assert bench.sent().issued_ms > first.issued_ms


def test_a_gateway_that_may_not_write_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, may_write=False)
    bench.say()
    bench.want()
    assert bench.take() is None
    assert (bench.shared.writes, bench.shared.suppressed) == (0, 1)
    bench.pass_s(30)
    bench.say(command_id="other-1")
    assert bench.ear.of(NotAdopted) + bench.ear.of(ForeignHand) == []


# -- acknowledged


def test_an_acknowledgement_that_reads_back_what_was_asked_adopts(bench: Bench) -> None:
    bench.adopted(4)
    assert [each.serial for each in bench.ear.of(Adopted)] == [4]


def test_a_state_that_reads_back_what_was_asked_adopts_without_an_acknowledgement(bench: Bench) -> None:
    bench.say()
    bench.want()
    bench.sent()
    bench.pass_s(1)
    bench.say()
    assert len(bench.ear.of(Adopted)) == 1


def test_modes_are_told_to_be_left_out_and_the_rest_is_adopted(bench: Bench) -> None:
    sent = bench.adopted(4, modes=(TargetVar(100), Droop(36, 36, 50, 50)))
    assert sent.limit_w == 3_000
    why = "the commands of MQTT devices bear no modes"
    assert bench.ear.of(Adopted)[0].cannot == ((Function.REACTIVE_POWER, why), (Function.FREQUENCY_WATT, why))
    bench.adopted(5)
    assert bench.ear.of(Adopted)[1].cannot == ()


def test_a_floor_travels_with_its_reversion_and_is_read_back(bench: Bench) -> None:
    sent = bench.adopted(4, floor_w=-2_000, revert_floor_w=-500)
    assert (sent.floor_w, sent.reversion.floor_w) == (-2_000, -500)
    assert bench.ear.of(Adopted)[0].cannot == ()
    bench.say(settings={**bench.holds["settings"], "floor_w": -2_500})
    assert bench.ear.of(ForeignHand)


def test_a_floor_that_a_device_does_not_read_back_is_told_and_the_rest_is_adopted(bench: Bench) -> None:
    bench.say()
    bench.want(4, floor_w=-2_000, revert_floor_w=-500)
    sent = bench.sent()
    applied = {name: value for name, value in bench.holds["settings"].items() if name != "floor_w"}
    applied["reversion"] = {"limit_w": 1_500, "after_ms": 60_000}
    bench.ack(sent, applied=applied)
    (adopted,) = bench.ear.of(Adopted)
    assert [function for function, _why in adopted.cannot] == [Function.LOAD_LIMIT]
    assert bench.ear.of(NotAdopted) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"floor_w": None}, "floor reads off, not -2000 W"),
        ({"reversion": {"limit_w": 1_500, "after_ms": 60_000}}, "reversion reads a floor of off, not -2000 W"),
    ],
)
def test_a_floor_that_reads_back_otherwise_adopts_not(bench: Bench, change: dict[str, Any], said: str) -> None:
    bench.say()
    bench.want(floor_w=-2_000, revert_floor_w=-2_000)
    sent = bench.sent()
    bench.ack(sent, applied={**bench.holds["settings"], **change})
    assert bench.ear.of(NotAdopted)[-1].why == said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"limit_w": 3_001}, "limit reads 3001 W, not 3000 W"),
        ({"limit_w": 2_999}, "limit reads 2999 W, not 3000 W"),
        ({"target_w": None}, "set-point reads off, not 1000 W"),
        ({"connected": False}, "connected reads False, not True"),
        ({"energized": None}, "energized reads None, not True"),
        ({"ramp_ms": 0}, "ramp_ms reads 0, not 4000"),
        ({"reversion": {"limit_w": 1_500, "after_ms": 61_000}}, "reversion reads 1500 W after 61000 ms"),
        ({"reversion": {"limit_w": 1_501, "after_ms": 60_000}}, "reversion reads 1501 W after 60000 ms"),
    ],
)
def test_an_acknowledgement_that_reads_back_something_else_adopts_not(
    bench: Bench, change: dict[str, Any], said: str
) -> None:
    bench.say()
    bench.want(target_w=1_000, connected=True, energized=True, ramp_ms=4_000)
    sent = bench.sent()
    bench.ack(sent, applied={**bench.holds["settings"], **change})
    assert bench.ear.of(Adopted) == []
    assert said in bench.ear.of(NotAdopted)[0].why


def test_what_a_command_leaves_to_the_device_is_not_compared(bench: Bench) -> None:
    bench.say()
    bench.want()
    sent = bench.sent()
    bench.ack(sent, applied={**bench.holds["settings"], "connected": False, "energized": True, "ramp_ms": 9})
    assert len(bench.ear.of(Adopted)) == 1


def test_a_refusal_is_told_once_and_asked_again_with_the_next_refresh_only(bench: Bench) -> None:
    bench.say()
    bench.want()
    sent = bench.sent()
    bench.ack(sent, accepted=False, why="serviced", applied=None)
    bench.holds = {}
    assert bench.ear.of(NotAdopted)[0].why == "it refused: serviced"
    for _ in range(19):
        bench.pass_s(1)
        bench.say()
        assert bench.take() is None
    bench.pass_s(1)
    again = bench.sent()
    bench.ack(again, accepted=False, why="serviced", applied=None)
    assert len(bench.ear.of(NotAdopted)) == 1
    bench.live_s(20)
    bench.ack(bench.sent())
    bench.pass_s(1)
    bench.say()
    assert len(bench.ear.of(Adopted)) == 1


def test_an_acknowledgement_that_was_kept_or_is_of_an_earlier_sending_proves_nothing(bench: Bench) -> None:
    bench.say()
    bench.want()
    sent = bench.sent()
    bench.ack(sent, retained=True)
    bench.ack(sent, issued_ms=sent.issued_ms - 1)
    bench.ack(sent, id="1f-2")
    assert bench.ear.of(Adopted) == []


def test_no_acknowledgement_is_told_once(bench: Bench) -> None:
    bench.say()
    bench.want()
    bench.sent()
    bench.pass_s(4)
    assert bench.ear.of(NotAdopted) == []
    bench.pass_s(2)
    assert bench.ear.of(NotAdopted)[0].why == "no acknowledgement within 5 s"


def test_an_acknowledgement_that_cannot_be_read_is_told_with_why(bench: Bench) -> None:
    bench.say()
    bench.want()
    bench.sent()
    bench.cell.ack(b"{", retained=False)
    assert "cannot be read" in bench.ear.of(NotAdopted)[0].why


# -- believed


def test_a_state_brings_it_up_and_is_observed_with_the_time_of_the_device(bench: Bench) -> None:
    bench.say(now_ms=bench.time.now_ms() - 300, stored_wh=4_000, voltage_mv=240_000, reactive_var=-7)
    assert bench.ear.of(LinkUp)[0].generation_max_w.value == RATED_W
    assert isinstance(bench.ear.of(LinkUp)[0].charge_max_w, Unknown)
    seen = bench.ear.of(Observed)[0]
    assert (seen.power.value, seen.power.at_ms) == (1_000, bench.time.now_ms() - 300)
    assert (seen.reactive.value, seen.voltage.value, seen.stored.value) == (-7, 240_000, 4_000)


def test_a_state_from_the_future_is_observed_as_of_now(bench: Bench) -> None:
    bench.say(now_ms=bench.time.now_ms() + 900)
    assert bench.ear.of(Observed)[0].power.at_ms == bench.time.now_ms()


@pytest.mark.parametrize("age_s", [ALLOWED_S + 1, 3_600, -ALLOWED_S - 1])
@pytest.mark.parametrize("retained", [True, False])
def test_a_state_that_is_not_of_now_is_not_believed(bench: Bench, age_s: int, *, retained: bool) -> None:
    bench.say(now_ms=bench.time.now_ms() - 1000 * age_s, retained=retained)
    assert bench.ear.events == []


def test_a_kept_state_of_now_is_believed(bench: Bench) -> None:
    bench.say(retained=True)
    assert power_w(bench.ear.of(Observed)[0]) == 1_000


def test_a_wrong_clock_is_named_once_it_counts_as_silent(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(40):
        bench.pass_s(1)
        bench.say(now_ms=bench.time.now_ms() - 90_000)
    assert [each.why for each in bench.ear.of(LinkDown)] == ["its clock is 90 s behind"]
    assert caplog.text.count("cell is down") == 1


def test_states_that_come_twice_or_late_are_passed_over(bench: Bench) -> None:
    bench.say(power_w=1_000)
    at_ms = bench.time.now_ms()
    bench.pass_s(2)
    bench.say(power_w=2_000)
    bench.say(now_ms=at_ms, sequence=1, power_w=1_000)
    bench.say(sequence=2, power_w=3_000)
    assert [power_w(each) for each in bench.ear.of(Observed)] == [1_000, 2_000]


def test_silence_makes_it_unknown_and_takes_it_down_with_one_line(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.say()
    bench.pass_s(ALLOWED_S - 1)
    assert bench.ear.of(LinkDown) == []
    bench.pass_s(40)
    unknown, down = bench.ear.events[-2:]
    assert isinstance(unknown, Observed)
    assert isinstance(unknown.power, Unknown)
    assert down == LinkDown("cell", f"no state within {ALLOWED_S} s")
    bench.say()
    assert len(bench.ear.of(LinkUp)) == 2
    assert [line.message for line in caplog.records] == [f"cell is down: no state within {ALLOWED_S} s", "cell is up"]


def test_a_state_that_is_old_already_counts_for_the_rest_of_its_time_only(bench: Bench) -> None:
    bench.say(now_ms=bench.time.now_ms() - 10_000)
    bench.pass_s(ALLOWED_S - 10)
    assert len(bench.ear.of(LinkDown)) == 1


def test_the_last_will_takes_it_down_and_only_a_live_state_brings_it_up(bench: Bench) -> None:
    bench.say()
    bench.cell.availability(b"offline")
    assert bench.ear.of(LinkDown)[0].why == "it went offline"
    bench.say(retained=True)
    assert len(bench.ear.of(LinkUp)) == 1
    bench.say()
    assert len(bench.ear.of(LinkUp)) == 2


def test_a_word_of_being_online_proves_nothing(bench: Bench) -> None:
    bench.cell.availability(b"online")
    bench.cell.availability(b"\xff" * 100)
    assert bench.ear.events == []


def test_small_changes_are_told_once_a_minute(bench: Bench) -> None:
    for second in range(59):
        bench.say(power_w=1_000 + second % 20)
        bench.pass_s(1)
    assert len(bench.ear.of(Observed)) == 1
    bench.pass_s(1)
    bench.say(power_w=1_001)
    assert len(bench.ear.of(Observed)) == 2


def test_a_change_of_what_it_can_do_is_told(bench: Bench) -> None:
    bench.say()
    bench.say(charge_max_w=2_000)
    bench.say(charge_max_w=2_000)
    assert len(bench.ear.of(LinkUp)) == 2
    assert bench.ear.of(LinkUp)[1].charge_max_w.value == 2_000


# -- told again


def test_a_device_that_comes_back_is_sent_its_command_again(bench: Bench) -> None:
    bench.adopted()
    bench.cell.availability(b"offline")
    assert bench.take() is None
    bench.pass_s(3)
    bench.say(command_id=None, settings=None)
    bench.ack(bench.sent())
    assert len(bench.ear.of(Adopted)) == 2
    assert bench.ear.of(NotAdopted) == []


def test_a_device_that_starts_anew_is_sent_its_command_again_and_is_no_foreign_hand(bench: Bench) -> None:
    bench.adopted()
    bench.pass_s(1)
    bench.say()
    bench.pass_s(1)
    bench.say(command_id=None, settings=None, sequence=1)
    bench.pass_s(1)
    bench.say(command_id=None, settings=None, sequence=2)
    bench.sent()
    bench.pass_s(1)
    bench.say(command_id=None, settings=None)
    assert bench.ear.of(ForeignHand) == []


def test_a_device_that_lost_its_command_is_told_once_more_after_the_lease_has_lapsed(bench: Bench) -> None:
    bench.adopted()
    bench.lease.until_ms = 0
    bench.pass_s(6)
    bench.say(sequence=1, command_id=None, settings=None)
    assert bench.take() is not None
    bench.holds = {}
    for _ in range(3):
        bench.live_s(6)
        assert bench.take() is None


def test_a_device_that_holds_something_else_is_told_every_five_seconds_at_most(bench: Bench) -> None:
    bench.say()
    bench.want()
    sent = [bench.sent()]
    bench.ack(sent[0])
    bench.holds["command_id"] = "1f-0"
    for _ in range(16):
        bench.live_s(1)
        again = bench.cell.take(bench.time.s)
        if again is not None:
            sent.append(again.command)
            bench.ack(again.command)
    assert len(sent) == 4


def test_an_acknowledgement_of_a_device_that_is_out_of_reach_adopts_nothing(bench: Bench) -> None:
    bench.want()
    bench.ack(bench.sent())
    assert bench.ear.of(Adopted) == []


def test_each_command_that_is_refused_is_told_of(bench: Bench) -> None:
    bench.say()
    for serial in (1, 2):
        bench.want(serial, limit_w=3_000 - serial)
        bench.ack(bench.sent(), accepted=False, applied=None)
    assert [each.serial for each in bench.ear.of(NotAdopted)] == [1, 2]


def test_a_device_that_puts_its_own_value_in_place_of_a_new_command_is_no_foreign_hand(bench: Bench) -> None:
    bench.adopted(1)
    bench.want(2, limit_w=2_001)
    sent = bench.sent()
    bench.ack(sent, applied={**bench.holds["settings"], "limit_w": 2_000})
    bench.pass_s(1)
    bench.say(settings={**bench.holds["settings"], "limit_w": 2_000})
    assert bench.ear.of(ForeignHand) == []
    assert [each.serial for each in bench.ear.of(NotAdopted)] == [2]


def test_a_device_that_fell_back_is_told_again_while_the_lease_lives(bench: Bench) -> None:
    bench.adopted()
    bench.pass_s(6)
    bench.say(reverted=True, settings={**bench.holds["settings"], "limit_w": 1_500})
    assert bench.ear.of(NotAdopted)[0].why == "it fell back by its own timer"
    assert bench.ear.of(ForeignHand) == []
    bench.sent()


def test_a_device_that_fell_back_is_left_there_once_the_lease_has_lapsed(bench: Bench) -> None:
    bench.adopted()
    bench.lease.until_ms = 0
    for _ in range(3):
        bench.pass_s(6)
        bench.say(reverted=True, settings={**bench.holds["settings"], "limit_w": 1_500})
        assert bench.take() is None
    assert len(bench.ear.of(NotAdopted)) == 1


def test_a_state_from_before_the_acknowledgement_says_nothing_against_it(bench: Bench) -> None:
    bench.adopted(1)
    old, before_ms = dict(bench.holds), bench.time.now_ms()
    bench.pass_s(2)
    bench.want(2, limit_w=2_000)
    bench.ack(bench.sent())
    bench.say(now_ms=before_ms + 1_000, **old)
    assert [each.serial for each in bench.ear.of(Adopted)] == [1, 2]
    assert bench.ear.of(NotAdopted) == []


def test_one_that_acknowledges_and_then_holds_something_else_is_not_believed_again(bench: Bench) -> None:
    bench.say()
    bench.want()
    for _ in range(4):
        bench.ack(bench.sent())
        bench.pass_s(6)
        bench.say(command_id="1f-0", settings=bench.holds["settings"])
    assert len(bench.ear.of(Adopted)) == 1
    assert len(bench.ear.of(NotAdopted)) == 1


def test_an_acknowledgement_from_far_ahead_blinds_nobody(bench: Bench) -> None:
    bench.say()
    bench.want(1, limit_w=2_000)
    bench.ack(bench.sent(), at_ms=(1 << 53) - 1)
    assert bench.ear.of(Adopted)
    assert bench.holds is not None
    bench.holds = {"command_id": "somebody", "settings": {**bench.holds["settings"], "limit_w": 5_000}}
    bench.live_s(200)
    assert bench.ear.of(ForeignHand) or bench.ear.of(NotAdopted)
