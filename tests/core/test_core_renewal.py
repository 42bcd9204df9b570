"""What lasts without anybody speaking: commands that are cleared anew in time, and orders given to a new link (C14)."""

from core_world import CORNER, DSO, MARKET, Player, adopt_all, export, order, target, value_of, writes

from gateway.core.events import Tick
from gateway.core.functions import Function
from gateway.core.machine import RENEW_MS
from gateway.core.orders import Each, Order

TEN_MINUTES_MS = 600_000


def test_a_command_that_nothing_changes_at_is_cleared_anew_ten_minutes_before_it_ends() -> None:
    player = Player().start()
    player.hear(1, order("limit", export(3_000), 1, None))
    adopt_all(player, 2)
    ends_ms: dict[str, int] = {}
    left_ms: list[int] = []
    for now_ms in range(60_000, 180 * 60_000, 60_000):
        for write in writes(player.feed_ms(now_ms, Tick())):
            device = write.cleared.command.device
            if device in ends_ms:
                left_ms.append(ends_ms[device] - now_ms)
            ends_ms[device] = write.cleared.valid_until_ms
        assert all(now_ms < end_ms for end_ms in ends_ms.values())
    assert len(left_ms) >= len(ends_ms) * (180 * 60_000 // (RENEW_MS + TEN_MINUTES_MS))
    assert min(left_ms) > TEN_MINUTES_MS - 60_000


def test_a_partys_orders_that_are_not_over_are_given_again_as_heard() -> None:
    def held(party: str) -> list[Order]:
        return [each.order for each in player.machine.held(party)]

    player = Player().start()
    running = order("running", export(3_000), 1, 100)
    short = order("short", value_of(Function.GENERATION_LIMIT, 2_000), 1, 5)
    later = order("later", export(1_000), 500, 600)
    sold = order("sold", target(500), 1, 100, issuer=MARKET, scope=Each(CORNER))
    for each in (running, short, later, sold):
        player.hear(1, each)
    assert held(DSO) == [running, short, later]
    player.tick(10)
    assert held(DSO) == [running, later]
    player.cancel(11, "later")
    assert held(DSO) == [running]
    assert held(MARKET) == [sold]
