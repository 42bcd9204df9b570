"""The MQTT benchmark works; nothing here says how fast anything is."""

from pathlib import Path

from . import mqtt


def test_a_command_is_measured_beside_a_bare_publish(tmp_path: Path) -> None:
    result = mqtt.measure(tmp_path / "mqtt", rounds=5, warm_up=1)
    assert (result.name, result.unit) == ("mqtt-command", "ms")
    assert result.floor is not None
    assert 0 < result.floor < 1_000
    assert 0 < result.ours < 1_000
    assert "median of 5" in result.what
