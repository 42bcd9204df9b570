"""What set-points may do before and after the feeder's model has answered (DESIGN 3, RULES C12, C19)."""

from dataclasses import replace

from core_world import (
    CORNER,
    DSO,
    MARKET,
    STREET,
    Player,
    adopt_all,
    export,
    house,
    order,
    plain,
    site,
    target,
    told,
    writes,
)
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.answers import Kind
from gateway.core.events import Effect, NetworkChanged, Started, Topic
from gateway.core.feeder import Certificate, Certified, NotCertified, Span, Validate, Wish
from gateway.core.machine import Machine
from gateway.core.orders import Each, Order
from gateway.core.topology import Feeder, Group, Site

FEEDER = "north"
DEADLINE_MS = 2_000
BINDING = "voltage 1.061 pu at 671.3, at most 1.05"


def on_feeder() -> Site:
    return replace(site(), feeders=(Feeder(FEEDER, (house(1), house(2)), DEADLINE_MS),))


def player() -> Player:
    made = Player().start(on_feeder())
    made.default(0, "p1", export(9_000))
    adopt_all(made, 0)
    return made


def market(name: str, w: int, start_s: int, end_s: int = 1_000) -> Order:
    return order(name, target(w), start_s, end_s, issuer=MARKET, scope=Each(CORNER))


def wishes(effects: list[Effect]) -> list[Wish]:
    return [effect.wish for effect in effects if isinstance(effect, Validate)]


def answer(wish: Wish, now_s: int, *spans: Span, binding: str = "") -> Certified:
    found = Certificate(
        wish.feeder,
        wish.serial,
        spans or wish.asked,
        "abc",
        now_s * 1000,
        1_049,
        "671.3",
        730,
        "line.650632",
        binding,
        taps_settled=True,
    )
    return Certified(found)


def trimmed(wish: Wish, high_w: int) -> tuple[Span, ...]:
    return tuple(span._replace(high_w=high_w) for span in wish.asked)


def set_point(one: Player, device: str = "roof-10") -> int | None:
    command = one.machine.state.devices[device].command
    assert command is not None
    return command.target_w


def ask(one: Player, now_s: int, w: int, name: str = "m") -> Wish:
    (wish,) = wishes(one.hear(now_s, market(name, w, now_s)))
    return wish


def test_a_set_point_changes_nothing_before_the_model_has_answered_and_holds_once_it_has() -> None:
    one = player()
    wish = ask(one, 10, 3_000)
    assert set_point(one) is None
    assert wish.feeder == FEEDER
    assert wish.deadline_ms == 12_000
    assert wish.asked == (Span(house(1), 0, 3_000), Span(house(2), 0, 3_000))
    assert wish.standing == ()
    effects = one.feed(10, answer(wish, 10))
    assert set_point(one) == 3_000
    (record,) = told(effects, Topic.NETWORK)
    assert (record.rule, record.effect, record.names, record.values) == (
        "C12",
        "certified",
        (house(1), house(2)),
        (3_000, 3_000),
    )
    assert "1.049 pu at 671.3" in record.why
    assert one.kinds("m") == [(10, Kind.RECEIVED), (10, Kind.STARTED)]


def test_what_others_may_do_without_asking_is_part_of_the_question() -> None:
    one = player()
    (wish,) = wishes(one.hear(10, order("m", target(3_000), 10, 99, issuer=DSO, scope=Each(CORNER))))
    assert [span.resource for span in wish.asked] == [house(1), house(2)]
    alone = Player().start(
        replace(on_feeder(), groups=(*site().groups[:1], replace(site().groups[1], resources=(house(1),))))
    )
    alone.default(0, "p1", export(4_000))
    (wish,) = wishes(alone.hear(10, market("m", 3_000, 10)))
    assert wish.asked == (Span(house(1), 0, 3_000),)
    assert wish.standing == (Span(house(2), 0, 4_000),)


def test_a_trimmed_answer_clips_the_set_point_and_is_told_with_what_binds() -> None:
    one = player()
    wish = ask(one, 10, 3_000)
    effects = one.feed(11, answer(wish, 11, *trimmed(wish, 1_200), binding=BINDING))
    assert set_point(one) == 1_200
    (record,) = told(effects, Topic.NETWORK)
    assert record.effect == "trimmed"
    assert record.why.startswith(BINDING)
    suspended = one.answers("m", house(1))[-1]
    assert (suspended.kind, suspended.rule) == (Kind.SUSPENDED, "C12")
    assert suspended.why == f"what lies beyond 1200 W is suspended by the feeder: {BINDING}"
    adopt_all(one, 12)
    one.tick(1_001)
    last = one.answers("m", house(1))[-1]
    assert last.kind is Kind.PARTIAL
    assert BINDING in last.why


def test_a_trimmed_answer_is_final_until_what_is_wanted_changes() -> None:
    one = player()
    wish = ask(one, 10, 3_000)
    one.feed(11, answer(wish, 11, *trimmed(wish, 1_200), binding=BINDING))
    assert not wishes(one.tick(60))
    assert not wishes(one.hear(61, market("less", 1_000, 61)))
    one.cancel(62, "m", issuer=MARKET)
    assert set_point(one) == 1_000


def test_what_lies_inside_the_last_box_acts_at_once_and_what_lies_beyond_waits() -> None:
    one = player()
    one.feed(10, answer(ask(one, 10, 3_000), 10))
    one.cancel(20, "m", issuer=MARKET)
    inside = one.hear(30, market("n", 2_000, 30))
    assert not wishes(inside)
    assert set_point(one) == 2_000
    one.cancel(40, "n", issuer=MARKET)
    (wish,) = wishes(one.hear(50, market("o", 4_000, 50)))
    assert set_point(one) == 3_000
    one.feed(51, answer(wish, 51))
    assert set_point(one) == 4_000


def test_a_set_point_of_zero_acts_at_once_and_asks_nothing() -> None:
    one = player()
    assert not wishes(one.hear(10, market("stop", 0, 10)))
    assert set_point(one) == 0


def test_one_question_is_in_flight_and_later_wishes_join_the_next() -> None:
    one = player()
    first = ask(one, 10, 1_000)
    one.cancel(10, "m", issuer=MARKET)
    assert not wishes(one.hear(10, market("n", 2_000, 10)))
    (second,) = wishes(one.feed(11, answer(first, 11)))
    assert second.serial == first.serial + 1
    assert second.asked[0].high_w == 2_000
    assert set_point(one) == 1_000


def test_an_answer_to_another_question_or_beyond_what_was_asked_takes_nothing() -> None:
    one = player()
    wish = ask(one, 10, 1_000)
    one.feed(11, answer(wish._replace(serial=99), 11))
    assert set_point(one) is None
    one.feed(11, answer(wish, 11, *(Span(span.resource, -9_000, 9_000) for span in wish.asked)))
    box = one.machine.state.feeders[FEEDER].box
    assert box[house(1)] == Span(house(1), 0, 1_000)
    one.feed(13, Certified(answer(wish, 13).certificate._replace(feeder="unheard")))


def test_without_an_answer_the_last_box_holds_and_the_model_is_asked_again() -> None:
    one = player()
    one.feed(10, answer(ask(one, 10, 3_000), 10))
    one.cancel(11, "m", issuer=MARKET)
    wish = ask(one, 20, 4_000, "n")
    late = one.tick(23)
    assert [record.effect for record in told(late, Topic.NETWORK)] == ["not certified"]
    assert set_point(one) == 3_000
    assert not wishes(one.feed(24, answer(wish, 24)))
    assert set_point(one) == 3_000
    (again,) = wishes(one.tick(34))
    assert again.serial == wish.serial + 1
    quiet = one.feed(35, NotCertified(FEEDER, again.serial, "hung"))
    assert not told(quiet, Topic.NETWORK)
    (third,) = wishes(one.tick(46))
    one.feed(47, answer(third, 47))
    assert set_point(one) == 4_000


def test_a_model_that_never_answered_leaves_set_points_at_zero() -> None:
    one = player()
    wish = ask(one, 10, 3_000)
    one.feed(11, NotCertified(FEEDER, wish.serial, "the process ended"))
    assert set_point(one) == 0
    assert "its model does not answer" in one.answers("m", house(1))[-1].why


def test_an_old_certificate_and_a_changed_network_are_asked_anew() -> None:
    one = player()
    one.feed(10, answer(ask(one, 10, 3_000), 10))
    (fresh,) = wishes(one.tick(311))
    one.feed(312, answer(fresh, 312))
    (changed,) = wishes(one.feed(320, NetworkChanged(DSO, (FEEDER,), False, "a switch opened")))
    assert changed.serial == fresh.serial + 1


def test_the_parents_limit_takes_effect_without_a_question_and_a_wider_one_is_asked_for() -> None:
    one = player()
    one.feed(10, answer(ask(one, 10, 3_000), 10))
    lower = one.hear(20, order("limit", export(1_000), 20, 60, scope=Each(STREET)))
    assert [write.cleared.command.limit_w for write in writes(lower) if write.cleared.command.device == "roof-10"] == [
        1_000
    ]
    assert not wishes(lower)
    assert not wishes(one.tick(60))
    assert set_point(one) == 3_000


def test_an_open_question_is_asked_again_after_a_restart_and_the_box_outlives_it() -> None:
    one = player()
    one.feed(10, answer(ask(one, 10, 3_000), 10))
    one.cancel(11, "m", issuer=MARKET)
    ask(one, 20, 4_000, "n")
    restarted = Machine(one.machine.state)
    assert wishes(list(restarted.handle(Started(on_feeder()), 21_000)))
    assert restarted.state.feeders[FEEDER].box[house(1)].high_w == 3_000
    (open_again,) = wishes(list(restarted.outstanding(21_000)))
    assert open_again.asked[0].high_w == 4_000


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("order", "cancel", "answer", "trim", "fail", "tick", "limit")), st.integers(-4_000, 4_500)
        ),
        max_size=25,
    )
)
def test_no_set_point_ever_runs_beyond_what_was_certified(story: list[tuple[str, int]]) -> None:
    one, now_s, waiting = player(), 10, None
    for number, (what, w) in enumerate(story):
        now_s += 1
        match what:
            case "order":
                effects = one.hear(now_s, market(f"m{number}", w, now_s, now_s + 30))
            case "cancel":
                effects = one.cancel(now_s, f"m{number - 1}", issuer=MARKET)
            case "answer" if waiting:
                effects = one.feed(now_s, answer(waiting, now_s))
            case "trim" if waiting:
                spans = tuple(span._replace(low_w=span.low_w // 2, high_w=span.high_w // 2) for span in waiting.asked)
                effects = one.feed(now_s, answer(waiting, now_s, *spans, binding=BINDING))
            case "fail" if waiting:
                effects = one.feed(now_s, NotCertified(FEEDER, waiting.serial, "hung"))
            case "limit":
                effects = one.hear(now_s, order(f"l{number}", export(abs(w)), now_s, now_s + 10, scope=Each(STREET)))
            case _:
                effects = one.tick(now_s)
        assert len(wishes(effects)) <= 1
        waiting = one.machine.state.feeders[FEEDER].question
        for name in (house(1), house(2)):
            box = one.machine.state.feeders[FEEDER].box.get(name, Span(name, 0, 0))
            told_w = [set_point(one, each) or 0 for each in one.machine.state.resources[name].resource.devices]
            assert box.low_w <= sum(told_w) <= box.high_w


def test_an_answer_from_before_a_change_of_the_network_is_not_taken() -> None:
    for validated in (False, True):
        one = player()
        wish = ask(one, 10, 3_000)
        (again,) = wishes(one.feed(11, NetworkChanged(DSO, (FEEDER,), validated, "a switch")))
        assert not wishes(one.feed(11, answer(wish, 10)))
        assert set_point(one) is None
        one.feed(11, answer(again, 11))
        assert set_point(one) == 3_000


def test_one_more_house_on_the_feeder_lifts_nothing_that_was_trimmed() -> None:
    one = player()
    wish = ask(one, 10, 3_000)
    one.feed(11, answer(wish, 11, *trimmed(wish, 1_200), binding=BINDING))
    adopt_all(one, 12)
    more = (Feeder(FEEDER, (house(1), house(2), house(3)), DEADLINE_MS),)
    one.feed(20, Started(replace(on_feeder(), feeders=more)))
    assert set_point(one) == 1_200


def test_an_answer_leaves_in_force_what_it_was_told_may_stand() -> None:
    groups = (*site().groups, Group("one", (house(1),)), Group("two", (house(2),)))
    one = Player().start(replace(on_feeder(), groups=groups))
    one.default(0, "p1", export(9_000))
    adopt_all(one, 0)

    def hear(name: str, w: int, group: str) -> list[Wish]:
        return wishes(one.hear(10, order(name, target(w), 10, 99, scope=Each(group))))

    (first,) = hear("a1", 1_000, "one")
    one.feed(10, answer(first, 10))
    one.cancel(10, "a1")
    (second,) = hear("b1", 2_000, "two")
    assert not hear("a2", 800, "one")
    one.feed(11, answer(second, 11))
    assert (set_point(one), set_point(one, "roof-20")) == (800, 1_052)


def test_a_site_without_a_feeder_asks_nothing_and_decides_the_same() -> None:
    plain_site, with_feeder = Player().start(site()), Player().start(on_feeder())
    for one in (plain_site, with_feeder):
        one.default(0, "p1", export(2_000))
        one.hear(5, order("limit", export(500), 10, 20, scope=Each(STREET)))
        one.tick(10)
        one.tick(20)
    assert plain(plain_site.effects) == plain(with_feeder.effects)
