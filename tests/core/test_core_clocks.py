"""An issuer with several clocks: each order runs on its own, and a correction of one moves nothing on the others."""

from dataclasses import replace

from core_world import DSO, Player, export, order

from gateway.core.answers import Kind
from gateway.core.events import Offset


def test_each_order_runs_on_its_own_clock() -> None:
    player = Player().start()
    player.feed(0, Offset(DSO, 1_000_000, "/tm/2"))
    plain, ahead = order("plain", export(3_000), 10, 20), order("ahead", export(2_000), 1_030, 1_040, created_s=1_000)
    player.hear(1, plain)
    player.hear(1, replace(ahead, clock="/tm/2"))
    assert player.over(9, 10, 20, 30, 40) == [1_500, 3_000, 1_500, 2_000, 1_500]
    assert {one.order.id: one.clock for one in player.answers()} == {"plain": "", "ahead": "/tm/2"}
    assert [at_s for at_s, _kind in player.terminal("ahead")] == [40]


def test_a_correction_moves_the_orders_of_its_clock_alone() -> None:
    player = Player().start()
    player.feed(0, Offset(DSO, 0, "/tm/2"))
    player.hear(1, order("plain", export(3_000), 50, 60))
    player.hear(1, replace(order("other", export(2_000), 30, 40), clock="/tm/2"))
    player.feed(2, Offset(DSO, 10_000, "/tm/2"))
    assert player.over(19, 20, 30, 50, 60) == [1_500, 2_000, 1_500, 3_000, 1_500]
    player.feed(61, Offset(DSO, 5_000))
    assert player.machine.state.parties[DSO].ahead_ms("/tm/2") == 10_000


def test_an_order_on_a_clock_that_says_that_it_is_over_is_expired() -> None:
    player = Player().start()
    player.feed(0, Offset(DSO, 100_000, "/tm/2"))
    player.hear(1, replace(order("late", export(2_000), 30, 40), clock="/tm/2"))
    assert player.kinds("late") == [(1, Kind.EXPIRED)]


def test_a_clock_that_is_not_known_goes_as_the_issuers_own() -> None:
    player = Player().start()
    player.feed(0, Offset(DSO, 20_000))
    player.hear(1, replace(order("far", export(2_000), 30, 40), clock="/tm/9"))
    assert player.over(9, 10, 20) == [1_500, 2_000, 1_500]
