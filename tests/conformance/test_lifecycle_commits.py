"""The power of the gateway fails around every commit of a story of all endings; what comes of it is as without that."""

import secrets
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from lifecycle_bench import HOUSE, Fuse, Life
from procedure_clock import Requests

from gateway.core.timeline import offset_ms
from gateway.pki import issue

DEFAULT_W, ORDERED_W, OTHER_W = 4_000, 1_500, 1_000
LIMIT, OTHER = {"opModExpLimW": ORDERED_W}, {"opModExpLimW": OTHER_W}
SPREAD_S = 20
OFF_S = 3.4
LATE_S = 6
"""How much later than without a failure anything may be: the power is off, the gateway starts, and its DER adopts."""
ENDINGS = {"drawn": [1, 2, 3], "older": [1, 2, 7], "newer": [1, 2, 3], "cancelled": [1, 2, 6], "late": [254]}
ACKNOWLEDGED_AT_ONCE = 2
"""How many answers are acknowledged before one commit here: they go out again, in the same words, where that fails."""
MOST_COMMITS, MOST_OF_ANSWERS = 110, 26


def _draws() -> Iterator[int]:
    """Give random numbers by which everything falls into the middle of its spread, each time elsewhere."""
    return (
        draw
        for draw in count()
        if all(8_000 < offset_ms(draw, each, HOUSE, 1000 * SPREAD_S) < 12_000 for each in ("start", "duration", "cut"))
    )


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    issue.init(folder, ("gateway", "dso"))
    return folder


@pytest.fixture
def life(pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    draws = _draws()
    monkeypatch.setattr(secrets, "randbits", lambda _bits: next(draws))
    made = Life(pki, tmp_path, Requests(monkeypatch), {"opModExpLimW": DEFAULT_W})
    made.fuse_off_s = OFF_S
    return made


async def _play(life: Life) -> None:
    life.order("drawn", LIMIT, 20, 40, SPREAD_S, SPREAD_S)
    await life.switch_on()
    await life.until(85)
    life.order("older", LIMIT, 100, 40)
    await life.until(95)
    life.order("newer", OTHER, 110, 15)
    await life.until(128)
    life.order("cancelled", LIMIT, 145, 60, SPREAD_S)
    await life.until(165)
    life.server.cancel("cancelled")
    life.order("late", OTHER, 150, 5)
    await life.until(200)


def _judge(life: Life, most_doubled: int = 0) -> None:
    drawn, cancelled = life.in_force("drawn"), life.in_force("cancelled")
    ran = {"drawn": drawn, "older": (100, 110), "newer": (110, 125), "cancelled": cancelled}
    doubled = 0
    for name, statuses in ENDINGS.items():
        said = life.said(name)
        once = list(dict.fromkeys(said))
        assert [one.status for one in once] == statuses, name
        doubled += len(said) - len(once)
        for one, due_s in zip(once[1:], ran.get(name, ()), strict=True):
            assert int(due_s + life.ahead_s) <= one.at_s <= due_s + LATE_S, (name, one, due_s)
    assert doubled <= most_doubled
    for name, (since_s, until_s) in ran.items():
        limits = {command.limit_w for command in life.told_between(since_s + LATE_S, until_s)}
        assert limits == {OTHER_W if name == "newer" else ORDERED_W}, (name, limits)
    assert max(told.command.limit_w for told in life.der.told) == DEFAULT_W
    assert life.command.limit_w == DEFAULT_W


async def test_the_story_without_a_failure(life: Life) -> None:
    async with life:
        await _play(life)
        _judge(life)
        assert MOST_COMMITS // 2 < life.fuse.commits <= MOST_COMMITS


async def test_the_story_has_so_many_commits_of_answers(life: Life) -> None:
    life.fuse = Fuse(of_answers=True)
    async with life:
        await _play(life)
        assert MOST_OF_ANSWERS // 2 < life.fuse.commits <= MOST_OF_ANSWERS


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("commit", range(1, MOST_OF_ANSWERS + 1, 3))
async def test_the_story_with_a_failure_around_a_commit_of_answers(life: Life, commit: int, before: bool) -> None:
    life.fuse = Fuse(commit, before, of_answers=True)
    async with life:
        await _play(life)
        _judge(life, ACKNOWLEDGED_AT_ONCE if before else 0)


@pytest.mark.soak
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("commit", range(1, MOST_COMMITS + 1))
async def test_the_story_with_a_failure_around_any_commit(life: Life, commit: int, before: bool) -> None:
    life.fuse = Fuse(commit, before)
    async with life:
        await _play(life)
        _judge(life, ACKNOWLEDGED_AT_ONCE if before else 0)
