"""Priorities of three protocols in one order, and what their numbers may be (RULES C3, C4)."""

from collections.abc import Callable

import pytest
from core_world import export, target

from gateway.core.orders import NO_PRIORITY, Effect, OrderKey, Rank, Tie
from gateway.core.timeline import Entry, Interval, standing
from gateway.ports.ranks import openadr2_rank, openadr3_rank, sep2_rank

ALL_DAY = Interval(0, 86_400_000)
Said = tuple[Rank, str, Effect]


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        pytest.param((sep2_rank(0, 0), "b", export(9)), (sep2_rank(1, 5), "a", export(1)), id="2030.5 smaller primacy"),
        pytest.param((sep2_rank(9, 0), "b", export(9)), (sep2_rank(10, 5), "a", export(1)), id="2030.5 as numbers"),
        pytest.param((sep2_rank(254, 0), "b", export(9)), (sep2_rank(255, 5), "a", export(1)), id="2030.5 weakest"),
        pytest.param((sep2_rank(1, 6), "b", export(9)), (sep2_rank(1, 5), "a", export(1)), id="2030.5 later creation"),
        pytest.param((sep2_rank(1, 5), "a", export(9)), (sep2_rank(1, 5), "b", export(1)), id="2030.5 smaller id"),
        pytest.param((openadr2_rank(1, 0), "b", export(9)), (openadr2_rank(2, 5), "a", export(1)), id="2.0b 1 over 2"),
        pytest.param((openadr2_rank(1, 0), "b", export(9)), (openadr2_rank(0, 5), "a", export(1)), id="2.0b 1 over 0"),
        pytest.param(
            (openadr2_rank(4_294_967_295, 0), "b", export(9)),
            (openadr2_rank(0, 5), "a", export(1)),
            id="2.0b any number over 0",
        ),
        pytest.param(
            (openadr2_rank(None, 6), "b", export(9)), (openadr2_rank(0, 5), "a", export(1)), id="2.0b none is 0"
        ),
        pytest.param(
            (openadr2_rank(1, 6), "b", export(9)), (openadr2_rank(1, 5), "a", export(1)), id="2.0b later creation"
        ),
        pytest.param(
            (openadr2_rank(1, 5), "a", export(9)), (openadr2_rank(1, 5), "b", export(1)), id="2.0b smaller id"
        ),
        pytest.param((openadr3_rank(0, 0), "b", export(9)), (openadr3_rank(1, 5), "a", export(1)), id="3 0 over 1"),
        pytest.param(
            (openadr3_rank(2**31 - 1, 0), "b", export(9)),
            (openadr3_rank(None, 5), "a", export(1)),
            id="3 any over none",
        ),
        pytest.param(
            (openadr3_rank(1, 5), "b", export(1)), (openadr3_rank(1, 6), "a", export(9)), id="3 the tighter limit"
        ),
        pytest.param((openadr3_rank(1, 5), "a", export(1)), (openadr3_rank(1, 6), "b", export(1)), id="3 smaller id"),
        pytest.param(
            (openadr3_rank(None, 5), "b", export(1)), (openadr3_rank(None, 6), "a", export(9)), id="3 none, tighter"
        ),
        pytest.param(
            (openadr3_rank(1, 6), "b", target(9)), (openadr3_rank(1, 5), "a", target(1)), id="3 later modification"
        ),
        pytest.param(
            (openadr3_rank(1, 5), "a", target(9)), (openadr3_rank(1, 5), "b", target(1)), id="3 set-point, smaller id"
        ),
    ],
)
def test_who_is_stronger_inside_one_server(stronger: Said, weaker: Said) -> None:
    entries = [Entry(OrderKey("server", name), rank, ALL_DAY, effect) for rank, name, effect in (weaker, stronger)]
    assert standing(entries, 1).winner == entries[1]
    assert standing(entries[::-1], 1).winner == entries[1]


@pytest.mark.parametrize(
    ("rank", "precedence", "tie"),
    [
        (sep2_rank(0, 7), 0, Tie.LATER_CREATION),
        (sep2_rank(255, 7), 255, Tie.LATER_CREATION),
        (openadr2_rank(None, 7), NO_PRIORITY, Tie.LATER_CREATION),
        (openadr2_rank(0, 7), NO_PRIORITY, Tie.LATER_CREATION),
        (openadr2_rank(1, 7), 1, Tie.LATER_CREATION),
        (openadr3_rank(0, 7), 0, Tie.TIGHTER_LIMIT),
        (openadr3_rank(1, 7), 1, Tie.TIGHTER_LIMIT),
        (openadr3_rank(None, 7), NO_PRIORITY, Tie.TIGHTER_LIMIT),
    ],
)
def test_one_internal_rank_for_every_protocol(rank: Rank, precedence: int, tie: Tie) -> None:
    assert rank == Rank(precedence, 7, tie)


@pytest.mark.parametrize(
    ("make", "number"),
    [(sep2_rank, -1), (sep2_rank, 256), (openadr2_rank, -1), (openadr3_rank, -1), (openadr3_rank, NO_PRIORITY)],
)
def test_a_number_that_its_protocol_does_not_have_is_refused(make: Callable[[int, int], Rank], number: int) -> None:
    with pytest.raises(ValueError, match=f"{number} is not within 0..[0-9]+; refuse the"):
        make(number, 0)
