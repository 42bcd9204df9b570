"""The machine against the naive reading of the rules, at every second and between, over random stories of one house."""

from hypothesis import strategies as st
from naive_story import HORIZON_S, HOUSE, PRECEDENCES, Both, Said, site, stories
from strategies import explored

from gateway.core.events import Tick

SITES = {(place, standing): site(each, standing) for place, each in enumerate(PRECEDENCES) for standing in (0, 1)}


@explored(story=stories(), where=st.sampled_from(sorted(SITES)))
def test_every_second_is_ruled_and_answered_as_the_rules_read(story: list[Said], where: tuple[int, int]) -> None:
    both = Both(SITES[where])
    waiting = list(story)
    for second in range(HORIZON_S + 2):
        while waiting and waiting[0].second == second:
            both.say(second, waiting.pop(0).what)
        both.player.feed(second, Tick())
        if second % 3 == 0 or any(said.second in (second, second - 1) for said in story):
            both.agree(second)
            both.agree_on_standing(second)
        held = both.player.machine.state.resources[HOUSE].rulings
        both.player.feed_ms(second * 1000 + 500, Tick())
        assert both.player.machine.state.resources[HOUSE].rulings == held
    both.agree_on_answers(HORIZON_S + 1)
    both.agree_on_shortfalls(HORIZON_S + 1)
