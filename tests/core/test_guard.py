"""The last look: every reason to block, at its edge, and nothing else blocks; nobody but the guard clears."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.core.guard import LONGEST_MS, Blocked, Bounds, Cleared, Draw, clear
from gateway.core.modes import Droop, FixedVar, TargetVar, VarBase
from gateway.core.orders import OrderKey
from gateway.core.plan import Command

NOW_MS = 1_000_000
RIGHT = Command("roof", 3_000, None, None, None, 1_500, 60_000, (OrderKey("dso", "a"),), "C2")
BOUNDS: dict[str, Any] = {
    "device": "roof",
    "rated_w": 5_000,
    "upper_w": 6_000,
    "held_w": 1_000,
    "others_w": 2_000,
    "fallback_w": 2_000,
    "held_fallback_w": 0,
    "others_fallback_w": 500,
    "may_connect": True,
    "may_energize": True,
    "valid_until_ms": NOW_MS + 1,
}


def looked_at(command: dict[str, Any], bounds: dict[str, Any]) -> Cleared | Blocked:
    return clear(RIGHT._replace(**command), Bounds(**{**BOUNDS, **bounds}), 7, NOW_MS)


@pytest.mark.parametrize(
    ("command", "bounds"),
    [
        ({}, {}),
        ({"limit_w": 0, "revert_limit_w": 0}, {}),
        ({"limit_w": 5_000}, {"others_w": 0}),
        ({"limit_w": 4_000}, {}),
        ({"limit_w": 5_000}, {"held_w": 5_000}),
        ({"limit_w": 3_000}, {"upper_w": 3_000, "held_w": 3_000}),
        ({"target_w": 3_000}, {}),
        ({"target_w": 0}, {}),
        ({"target_w": -5_000}, {}),
        ({"revert_limit_w": 0}, {}),
        ({"limit_w": 1_500}, {}),
        ({"revert_limit_w": 2_000}, {"others_fallback_w": 0}),
        ({"revert_limit_w": 2_000}, {"held_fallback_w": 2_000}),
        ({"revert_after_ms": 1}, {}),
        ({"connected": True, "energized": True}, {}),
        ({"connected": False, "energized": False}, {"may_connect": False, "may_energize": False}),
        ({}, {"may_connect": False, "may_energize": False}),
        ({"modes": (TargetVar(1), Droop(36, 36, 50, 50))}, {}),
        ({}, {"valid_until_ms": NOW_MS + LONGEST_MS}),
    ],
)
def test_what_is_right_is_cleared(command: dict[str, Any], bounds: dict[str, Any]) -> None:
    cleared = looked_at(command, bounds)
    assert isinstance(cleared, Cleared)
    assert cleared.command == RIGHT._replace(**command)
    assert cleared.serial == 7
    assert cleared.valid_until_ms == {**BOUNDS, **bounds}["valid_until_ms"]


@pytest.mark.parametrize(
    ("command", "bounds", "why"),
    [
        ({"device": "barn"}, {}, "against the bounds of roof"),
        ({"limit_w": -1, "revert_limit_w": -1}, {}, "the rating"),
        ({"limit_w": 5_001}, {"held_w": 9_999}, "the rating"),
        ({"limit_w": 3_001}, {"upper_w": 3_000, "held_w": 9_999}, "exceeds the envelope"),
        ({"limit_w": 4_001}, {}, "of the others"),
        ({"limit_w": 1_001, "revert_limit_w": 0}, {"others_w": 5_000}, "of the others"),
        ({"target_w": 3_001}, {}, "set-point"),
        ({"target_w": -5_001}, {}, "set-point"),
        ({"revert_limit_w": -1}, {}, "would loosen"),
        ({"revert_limit_w": 3_001}, {"fallback_w": 9_999}, "would loosen"),
        ({"revert_limit_w": 2_001}, {"others_fallback_w": 0}, "exceeds the fallback"),
        ({"revert_limit_w": 1_501}, {}, "with the others'"),
        ({"revert_limit_w": 1}, {"others_fallback_w": 2_000}, "with the others'"),
        ({"revert_after_ms": 0}, {}, "never comes"),
        ({"revert_after_ms": -1}, {}, "never comes"),
        ({"modes": (TargetVar(1), FixedVar(VarBase.MAX_W, 1))}, {}, "two modes of one function"),
        ({"modes": (FixedVar(VarBase.MAX_W, 10_001),)}, {}, "fixed var of 10001"),
        ({"modes": (TargetVar(1), Droop(-1, 36, 50, 50))}, {}, "dead band"),
        ({"connected": True}, {"may_connect": False}, "disconnects"),
        ({"energized": True}, {"may_energize": False}, "ceases to energize"),
        ({}, {"valid_until_ms": NOW_MS}, "within an hour"),
        ({}, {"valid_until_ms": NOW_MS - 1}, "within an hour"),
        ({}, {"valid_until_ms": NOW_MS + LONGEST_MS + 1}, "within an hour"),
    ],
)
def test_what_is_wrong_is_blocked_whole_and_says_why(command: dict[str, Any], bounds: dict[str, Any], why: str) -> None:
    blocked = looked_at(command, bounds)
    assert isinstance(blocked, Blocked)
    assert blocked.command == RIGHT._replace(**command)
    assert why in blocked.why


DRAW: dict[str, int] = {
    "rated_w": 5_000,
    "most_w": 6_000,
    "held_w": 1_000,
    "others_w": 2_000,
    "fallback_w": 2_000,
    "held_fallback_w": 0,
    "others_fallback_w": 500,
}
FLOORED = {"floor_w": -3_000, "revert_floor_w": -1_500}


@pytest.mark.parametrize(
    ("command", "draw"),
    [
        ({}, {}),
        ({"floor_w": 0, "revert_floor_w": 0}, {}),
        ({"floor_w": -4_000}, {}),
        ({"floor_w": None}, {"held_w": 5_000}),
        ({"floor_w": None}, {"others_w": 1_000}),
        ({"floor_w": None, "revert_floor_w": None}, {"others_w": 0, "fallback_w": 5_000, "held_fallback_w": 5_000}),
        ({"target_w": -3_000}, {}),
        ({"revert_floor_w": -2_000}, {"others_fallback_w": 0}),
        ({"revert_floor_w": -2_000}, {"held_fallback_w": 2_000}),
    ],
)
def test_a_floor_that_is_right_is_cleared(command: dict[str, Any], draw: dict[str, int]) -> None:
    assert isinstance(looked_at({**FLOORED, **command}, {"draw": Draw(**{**DRAW, **draw})}), Cleared)


@pytest.mark.parametrize(
    ("command", "draw", "why"),
    [
        ({"floor_w": 1, "revert_floor_w": 1}, {}, "the rating"),
        ({"floor_w": -5_001}, {"held_w": 9_999}, "the rating"),
        ({"floor_w": -3_001}, {"most_w": 3_000, "held_w": 9_999}, "exceeds the envelope"),
        ({"floor_w": None}, {"most_w": 4_999, "held_w": 9_999}, "exceeds the envelope"),
        ({"floor_w": -4_001}, {}, "of the others"),
        ({"floor_w": -1_001, "revert_floor_w": 0}, {"others_w": 5_000}, "of the others"),
        ({"target_w": -3_001}, {}, "below the floor"),
        ({"revert_floor_w": 1}, {}, "would loosen"),
        ({"revert_floor_w": None}, {"fallback_w": 9_999}, "would loosen"),
        ({"revert_floor_w": -2_001}, {"others_fallback_w": 0}, "exceeds the fallback"),
        ({"revert_floor_w": -1_501}, {}, "with the others'"),
        ({"revert_floor_w": -1}, {"others_fallback_w": 2_000}, "with the others'"),
    ],
)
def test_a_floor_that_is_wrong_is_blocked_and_says_why(command: dict[str, Any], draw: dict[str, int], why: str) -> None:
    blocked = looked_at({**FLOORED, **command}, {"draw": Draw(**{**DRAW, **draw})})
    assert isinstance(blocked, Blocked)
    assert why in blocked.why


@pytest.mark.parametrize("floor", [{"floor_w": 0}, {"revert_floor_w": 0}])
def test_a_floor_that_nothing_asks_for_is_blocked(floor: dict[str, int]) -> None:
    blocked = looked_at(floor, {})
    assert isinstance(blocked, Blocked)
    assert "nothing limits" in blocked.why


def genuine() -> Cleared:
    cleared = looked_at({}, {})
    assert isinstance(cleared, Cleared)
    return cleared


def passes(cleared: Cleared, device: str = "roof", now_ms: int = NOW_MS) -> bool:
    """Ask as a link does; what breaks under the question does not pass."""
    try:
        return cleared.holds_for(device, now_ms)
    except AttributeError:
        return False


def test_a_cleared_command_holds_for_its_own_device_until_it_expires() -> None:
    cleared = genuine()
    assert passes(cleared)
    assert not passes(cleared, device="barn")
    assert not passes(cleared, now_ms=NOW_MS + 1)


@pytest.mark.parametrize("key", [object(), None, True, "key", Cleared])
def test_nobody_else_builds_a_cleared_command(key: Any) -> None:
    with pytest.raises(PermissionError, match="ask it"):
        Cleared(key, RIGHT, 1, NOW_MS + 1)


def test_a_cleared_command_made_past_its_constructor_holds_for_nobody() -> None:
    empty = object.__new__(Cleared)
    assert not passes(empty)
    forged = cast("Any", object.__new__(Cleared))
    forged._key, forged.command, forged.serial, forged.valid_until_ms = object(), RIGHT, 1, NOW_MS + 1
    assert not passes(forged)


@pytest.mark.parametrize("bare", [RIGHT, None, Blocked(RIGHT, "")])
def test_a_cast_clears_nothing(bare: Any) -> None:
    assert not passes(cast("Cleared", bare))


def test_a_subclass_builds_nothing_either() -> None:
    loose = cast("Any", type)("Loose", (Cleared,), {})
    with pytest.raises(PermissionError, match="ask it"):
        loose(object(), RIGHT, 1, NOW_MS + 1)
    assert not passes(loose.__new__(loose))


def test_a_copy_through_a_snapshot_is_not_a_clearance() -> None:
    assert not passes(copy.deepcopy(genuine()))


WRONG_USES = """
from gateway.core.guard import Blocked, Bounds, Cleared, clear
from gateway.core.plan import Command

def want(cleared: Cleared) -> None: ...

def right(command: Command, bounds: Bounds) -> None:
    cleared = clear(command, bounds, 1, 0)
    if isinstance(cleared, Cleared):
        want(cleared)

def wrong(command: Command, bounds: Bounds, cleared: Cleared) -> None:
    want(command)  # wrong: arg-type
    want(None)  # wrong: arg-type
    want(clear(command, bounds, 1, 0))  # wrong: arg-type
    want(Cleared(object(), command, 1, 0))  # wrong: arg-type
    want(Cleared(None, command, 1, 0))  # wrong: arg-type
    want(Blocked(command, ""))  # wrong: arg-type
    cleared.command = command  # wrong: misc
    cleared.valid_until_ms = 0  # wrong: misc

class Loose(Cleared):  # wrong: misc
    pass
"""


def test_what_the_guard_has_not_cleared_does_not_type_check(tmp_path: Path) -> None:
    snippet = tmp_path / "wrong_uses.py"
    snippet.write_text(WRONG_USES)
    root = Path(__file__).parents[2]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", snippet],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    wanted = {
        (number, line.rpartition("# wrong: ")[2])
        for number, line in enumerate(WRONG_USES.splitlines(), 1)
        if "# wrong: " in line
    }
    errors = [line for line in checked.stdout.splitlines() if ": error: " in line]
    found = {(int(line.split(":")[1]), line.rpartition("[")[2].rstrip("]")) for line in errors}
    assert found == wanted, checked.stdout + checked.stderr
