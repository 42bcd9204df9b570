"""Whole histories of a small domain, every invariant held after every event of them (DESIGN 3): many in every run."""

import pytest
from history_rules import live_through
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

CHUNKS, CHUNK = 20, 500
SOAKED_CHUNKS, SOAKED_CHUNK = 200, 5_000
SHORT, LONG = st.binary(min_size=8, max_size=40), st.binary(min_size=20, max_size=120)
"""Histories as bytes, of about eight to an event, so that a failing one is shrunk byte by byte."""


def explore(histories: st.SearchStrategy[bytes], examples: int, number: int | None = None) -> None:
    """Live through so many histories: those of a number, which are the same in every run, or ones never seen."""

    def tried(history: bytes) -> None:
        live_through(history)

    check = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )(given(history=histories)(tried))
    (check if number is None else seed(number)(check))()


@pytest.mark.parametrize("number", range(CHUNKS))
def test_ten_thousand_histories_keep_every_invariant(number: int) -> None:
    explore(SHORT, CHUNK, number)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("number", range(SOAKED_CHUNKS))
def test_a_million_histories_keep_every_invariant(number: int) -> None:
    assert number < SOAKED_CHUNKS
    explore(LONG, SOAKED_CHUNK)
