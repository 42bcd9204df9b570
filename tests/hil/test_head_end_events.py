import pytest

from hil.sep2.events import Control, Status, marking


def control(name: str, created_s: int, start_s: int, duration_s: int, **more: object) -> Control:
    modes = more.pop("modes", {"opModExpLimW": 1})
    assert isinstance(modes, dict)
    made = Control(name, f"{created_s:02X}", modes, created_s, created_s, start_s, duration_s)
    for attribute, value in more.items():
        setattr(made, attribute, value)
    return made


def status(one: Control, program: list[Control], now_s: int) -> tuple[Status, int]:
    mark = marking(one, program, now_s)
    return mark.status, mark.since_s


def test_an_event_is_scheduled_then_active_from_its_earliest_start_and_listed_five_minutes_longer() -> None:
    one = control("one", 0, 100, 50)
    early = control("early", 0, 100, 50, randomize_start_s=-30, randomize_duration_s=20)
    assert status(one, [one], 99) == (Status.SCHEDULED, 0)
    assert status(one, [one], 100) == (Status.ACTIVE, 100)
    assert status(early, [early], 70) == (Status.ACTIVE, 70)
    assert one.listed(449)
    assert not one.listed(450)
    assert early.listed(469)


def test_a_started_event_is_never_shown_scheduled() -> None:
    late = control("late", 200, 100, 500)
    assert status(late, [late], 200) == (Status.ACTIVE, 200)


def test_the_older_is_superseded_at_the_newers_start_not_before_and_stays_so() -> None:
    older, newer = control("older", 0, 100, 400), control("newer", 10, 200, 100)
    both = [older, newer]
    assert status(older, both, 199) == (Status.ACTIVE, 100)
    assert status(older, both, 200) == (Status.SUPERSEDED, 200)
    assert status(older, both, 450) == (Status.SUPERSEDED, 200)
    assert status(newer, both, 200) == (Status.ACTIVE, 200)


def test_back_to_back_events_do_not_overlap() -> None:
    older, newer = control("older", 0, 100, 100), control("newer", 10, 200, 100)
    assert status(older, [older, newer], 250) == (Status.ACTIVE, 100)


def test_other_modes_do_not_supersede_and_some_modes_only_flag_it() -> None:
    older = control("older", 0, 100, 400, modes={"opModExpLimW": 1, "opModConnect": True, "rampTms": 5})
    other = control("other", 10, 200, 100, modes={"opModFixedVar": 1, "rampTms": 7})
    partly = control("partly", 20, 200, 100, modes={"opModExpLimW": 1})
    wholly = control("wholly", 30, 300, 100, modes={"opModExpLimW": 1, "opModConnect": True})
    assert marking(older, [older, other], 250).partly_superseded_s is None
    assert marking(older, [older, partly], 250).partly_superseded_s == 20
    assert status(older, [older, partly], 250) == (Status.ACTIVE, 100)
    assert status(older, [older, wholly], 300) == (Status.SUPERSEDED, 300)


@pytest.mark.parametrize(("cancelled_s", "expected"), [(150, Status.ACTIVE), (250, Status.SUPERSEDED)])
def test_a_superseder_counts_only_if_it_began(cancelled_s: int, expected: Status) -> None:
    older, newer = control("older", 0, 100, 400), control("newer", 10, 200, 100, cancelled_s=cancelled_s)
    assert status(older, [older, newer], 260)[0] is expected


def test_a_superseder_that_was_itself_superseded_before_it_began_does_not_count() -> None:
    first = control("first", 0, 100, 50)
    second = control("second", 10, 140, 100)
    third = control("third", 20, 130, 5, modes={"opModExpLimW": 1})
    second.start_s = 134
    assert status(second, [first, second, third], 200) == (Status.SUPERSEDED, 130)
    assert status(first, [first, second, third], 200) == (Status.SUPERSEDED, 130)


def test_cancelling_is_told_from_its_moment_and_with_randomization_where_randomized() -> None:
    one = control("one", 0, 100, 400, cancelled_s=150)
    spread = control("spread", 0, 100, 400, cancelled_s=150, randomize_start_s=60)
    assert status(one, [one], 149) == (Status.ACTIVE, 100)
    assert status(one, [one], 150) == (Status.CANCELLED, 150)
    assert status(spread, [spread], 150) == (Status.CANCELLED_WITH_RANDOMIZATION, 150)
    assert one.listed(799)
