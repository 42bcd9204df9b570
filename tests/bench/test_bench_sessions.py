"""The benchmarks of 2030.5 sessions and notifications work; nothing here says how fast anything is."""

import tempfile
from pathlib import Path

import pytest

from . import notification, sessions


def test_a_few_devices_are_cut_and_come_back_beside_the_least_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    results = {each.name: each for each in sessions.measure(tmp_path / "work", 5, sessions.Pace(0.2, 0.2))}
    assert results.keys() == {
        f"session-5-{name}"
        for name in (
            "memory",
            "memory-each",
            "idle-lag",
            "poll-lag",
            "poll-cpu",
            "storm",
            "storm-lag",
            "storm-event",
        )
    }
    for name, result in results.items():
        assert result.met is (result.ours <= result.goal)
        assert (result.floor is None) is name.endswith(("poll-lag", "poll-cpu", "storm-event"))
    assert results["session-5-storm"].ours > 0
    assert results["session-5-memory"].ours > 0


def test_notifications_are_counted_and_none_is_lost(tmp_path: Path) -> None:
    found = notification.measure(tmp_path / "work", notification.Pace(rounds=1, notifications=20))
    assert [result.name for result in found] == ["notification-cpu", "notification"]
    for result in found:
        assert result.floor is not None
        assert result.floor > 0
        assert result.ours > 0
        assert "all 4 controls heard by the end" in result.what
