"""What changes of an order while it runs: its program's primacy, and where it is answered."""

from dataclasses import replace

from core_world import DSO, Player, export, order, told

from gateway.core.answers import Kind
from gateway.core.events import Effect, Topic
from gateway.core.orders import Order


def reranked(held: Order, precedence: int) -> Order:
    """Give an order as it is heard again: another precedence, and another draw and receipt, which are ours."""
    return replace(held, rank=held.rank._replace(precedence=precedence), received_ms=99_000, draw=12345)


def ranks(effects: list[Effect]) -> list[tuple[str, str, str]]:
    return [(tell.order, tell.rule, tell.effect) for tell in told(effects, Topic.ADMITTED)]


def test_a_stronger_rank_lets_a_waiting_order_start_first() -> None:
    player = Player().start()
    strong = order("strong", export(3_000), 10, 100, precedence=1)
    weak = order("weak", export(2_000), 10, 100, precedence=2)
    player.hear(1, strong)
    player.hear(2, weak)
    effects = player.hear(5, reranked(weak, 0))
    assert ranks(effects) == [(f"{DSO}/weak", "C3", "at precedence 0")]
    assert player.over(20) == [2_000]
    assert player.kinds("weak") == [(2, Kind.RECEIVED), (20, Kind.STARTED)]
    assert player.terminal("strong") == [(20, Kind.SUPERSEDED)]


def test_a_running_order_gives_way_at_once_when_another_becomes_stronger() -> None:
    player = Player().start()
    first = order("first", export(3_000), 10, 100, precedence=1)
    player.hear(1, first)
    player.hear(2, order("second", export(2_000), 50, 100, precedence=2))
    assert player.over(20) == [3_000]
    player.hear(30, reranked(first, 5))
    assert player.over(40, 60) == [3_000, 2_000]
    assert player.terminal("first") == [(60, Kind.SUPERSEDED)]


def test_what_was_superseded_does_not_come_back() -> None:
    player = Player().start()
    loser = order("loser", export(2_000), 10, 100, precedence=2)
    player.hear(1, loser)
    player.hear(1, order("winner", export(3_000), 20, 50, precedence=1))
    assert player.over(15, 30) == [2_000, 3_000]
    player.hear(35, reranked(loser, 0))
    assert player.over(40) == [3_000]
    assert player.terminal("loser") == [(30, Kind.SUPERSEDED)]


def test_the_same_rank_again_changes_and_says_nothing() -> None:
    player = Player().start()
    heard = order("only", export(2_000), 10, 100, precedence=2)
    player.hear(1, heard)
    player.over(20)
    assert player.hear(30, reranked(heard, 2)) == []


def test_other_content_beside_another_rank_is_refused() -> None:
    player = Player().start()
    heard = order("only", export(2_000), 10, 100, precedence=2)
    player.hear(1, heard)
    for other in (
        replace(heard, effects=(export(4_000),)),
        replace(heard, rank=heard.rank._replace(created_ms=1)),
    ):
        effects = player.hear(5, reranked(other, 1))
        assert [tell.rule for tell in told(effects, Topic.REFUSED)] == ["A5"]
        assert ranks(effects) == []
    assert player.over(20) == [2_000]


def test_an_order_that_is_over_takes_its_rank_in_silence() -> None:
    player = Player().start()
    heard = order("only", export(2_000), 10, 20, precedence=2)
    player.hear(1, heard)
    player.over(15, 30)
    assert player.hear(40, reranked(heard, 1)) == []
    assert len(player.terminal("only")) == 1


def test_resources_answer_where_the_order_says_from_its_next_hearing_on() -> None:
    player = Player().start()
    heard = order("only", export(2_000), 10, 100, precedence=2)
    shared = replace(heard, reply=replace(heard.reply, at=(("house-2", "/2/rsp"),)))
    player.hear(1, shared)
    assert {one.resource: one.reply_to for one in player.answers("only")} == {
        "house-1": "/rsp",
        "house-2": "/2/rsp",
        "house-3": "/rsp",
    }
    moved = replace(heard, reply=replace(heard.reply, at=(("house-2", "/2/rsp"), ("house-3", "/3/rsp"))))
    assert player.hear(5, reranked(moved, 2)) == []
    player.over(20)
    started = [one for one in player.answers("only") if one.kind is Kind.STARTED]
    assert [one.reply_to for one in started] == ["/rsp", "/2/rsp", "/3/rsp"]
    assert len(player.answers("only")) == 6, "none is said twice"
