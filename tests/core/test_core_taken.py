"""Who took the place of an order is told with its last answer: its own group, another of its issuer, another party."""

import pytest
from core_world import CORNER, MARKET, STREET, Player, adopt_all, export, order, target

from gateway.core.answers import Kind, TakenBy
from gateway.core.orders import Each


@pytest.mark.parametrize(("group", "taken_by"), [(STREET, TakenBy.OWN), (CORNER, TakenBy.GROUP)])
def test_superseded_by_an_order_of_this_group(group: str, taken_by: TakenBy) -> None:
    player = Player().start()
    player.hear(1, order("loser", export(3_000), 10, 50, precedence=2))
    player.hear(2, order("winner", export(2_000), 20, 30, precedence=1, scope=Each(group)))
    player.over(10, 20, 30)
    [last] = [one for one in player.answers("loser", "house-2") if one.kind is Kind.SUPERSEDED]
    assert last.taken_by is taken_by


@pytest.mark.parametrize(("rival_end_s", "taken_by"), [(30, TakenBy.OWN), (60, TakenBy.PARTY)])
def test_served_short_because_of_another_party_that_held_to_the_end(rival_end_s: int, taken_by: TakenBy) -> None:
    player = Player().start()
    player.hear(1, order("schedule", target(900), 10, 50, issuer=MARKET, scope=Each(CORNER)))
    player.hear(2, order("congestion", target(400), 20, rival_end_s))
    for now_s in (10, 20, 30):
        player.tick(now_s)
        adopt_all(player, now_s)
    player.tick(50)
    last = player.answers("schedule", "house-1")[-1]
    assert (last.kind, last.taken_by) == (Kind.PARTIAL, taken_by)
