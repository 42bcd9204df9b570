"""Who else told a device (A7): what is held for a foreign hand, and what is not."""

import pytest
from mqtt_device_bench import Bench

from gateway.core.events import Adopted, ForeignHand


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_a_command_that_is_not_ours_is_a_foreign_hand_and_put_right(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    first = bench.adopted()
    for _ in range(3):
        bench.pass_s(1)
        bench.say(command_id="cloud-1", settings={**bench.holds["settings"], "limit_w": 5_000})
    assert len(bench.ear.of(ForeignHand)) == 1
    assert "cloud-1" in bench.ear.of(ForeignHand)[0].why
    assert caplog.text.count("another hand") == 1
    again = bench.sent()
    assert (again.id, again.limit_w) == (first.id, 3_000)
    bench.ack(again)
    assert len(bench.ear.of(Adopted)) == 2


@pytest.mark.parametrize("change", [{"limit_w": 5_000}, {"target_w": 4_000}])
def test_settings_changed_below_our_command_are_a_foreign_hand(bench: Bench, change: dict[str, int]) -> None:
    bench.adopted()
    bench.pass_s(1)
    bench.say(settings={**bench.holds["settings"], **change})
    assert len(bench.ear.of(ForeignHand)) == 1
    bench.sent()


def test_a_command_taken_away_is_a_foreign_hand(bench: Bench) -> None:
    bench.adopted()
    bench.pass_s(1)
    bench.say(command_id=None, settings=None)
    assert len(bench.ear.of(ForeignHand)) == 1


def test_a_command_of_an_earlier_start_is_no_foreign_hand(bench: Bench) -> None:
    earlier = {"limit_w": 5_000, "target_w": None, "connected": None, "energized": None, "ramp_ms": None}
    bench.say(command_id="9c-3", settings={**earlier, "reversion": {"limit_w": 0, "after_ms": 1}})
    bench.want()
    sent = bench.sent()
    bench.say(command_id="9c-3", settings={**earlier, "reversion": {"limit_w": 0, "after_ms": 1}})
    assert bench.ear.of(ForeignHand) == []
    bench.ack(sent)
    assert len(bench.ear.of(Adopted)) == 1


def test_a_foreign_command_while_it_was_out_of_reach_is_found_too(bench: Bench) -> None:
    bench.adopted()
    bench.cell.unreachable("the broker is down")
    bench.cell.reachable()
    bench.sent()
    bench.say(command_id="cloud-1")
    bench.sent()
    bench.pass_s(1)
    bench.say(command_id="cloud-1")
    assert len(bench.ear.of(ForeignHand)) == 1


def test_one_foreign_command_is_told_of_once(bench: Bench) -> None:
    bench.adopted()
    bench.lease.until_ms = 0
    for _ in range(3):
        bench.pass_s(1)
        bench.say(command_id="cloud-1")
    assert len(bench.ear.of(ForeignHand)) == 1


def test_each_foreign_hand_is_told_of(bench: Bench) -> None:
    for number in (1, 2):
        bench.adopted(number)
        bench.pass_s(1)
        bench.say(command_id="cloud-1")
    bench.say(command_id="cloud-2")
    assert len(bench.ear.of(ForeignHand)) == 2
