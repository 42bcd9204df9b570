"""One MQTT device without a wire: its time is moved by hand, and what it says is counted and dated by itself."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from mqtt_bench import RATED_W, START_S, Ear, cleared, command, told_state

from gateway.core.events import Adopted
from gateway.ports.south import Lease
from gateway.southbound.mqtt_device import MqttDevice, device
from gateway.southbound.mqtt_device.device import Device, Shared
from gateway.wire.mqtt import Command, encode

REPORT_S = 5
ALLOWED_S = 3 * REPORT_S


class Time:
    """A clock and monotonic time that move together, by hand."""

    rate = 1.0

    def __init__(self) -> None:
        self.s = 0.0

    def now_ms(self) -> int:
        return 1000 * START_S + round(1000 * self.s)

    def monotonic(self) -> float:
        return self.s

    async def sleep_until_ms(self, at_ms: int) -> None:
        raise NotImplementedError(at_ms)


class Bench:
    """A device, its time and an ear; what it says is counted and dated by itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, may_write: bool = True) -> None:
        self.time, self.ear = Time(), Ear()
        monkeypatch.setattr(device, "time", self.time)
        self.lease = Lease(self.time, 1 << 60)
        self.shared = Shared(self.time, self.ear, self.lease, may_write, "1f")
        self.cell = Device("cell", MqttDevice(report_s=REPORT_S), RATED_W, self.shared)
        self.cell.reachable()
        self.sequence = 0
        self.holds: dict[str, Any] = {}

    def pass_s(self, seconds: float) -> None:
        """Let time pass, a second at a time."""
        until_s = self.time.s + seconds
        while self.time.s < until_s:
            self.time.s = min(until_s, self.time.s + 1)
            self.cell.sweep(self.time.s)

    def say(self, *, retained: bool = False, **fields: Any) -> None:
        """Have it say a state, by default of what it holds, now."""
        self.sequence += 1
        plain: Mapping[str, Any] = {"now_ms": self.time.now_ms(), "sequence": self.sequence, **self.holds}
        self.cell.state(told_state(**{**plain, **fields}), retained=retained)

    def live_s(self, seconds: int) -> None:
        """Let time pass in which it says a state every second."""
        for _ in range(seconds):
            self.pass_s(1)
            self.say()

    def want(self, serial: int = 1, **fields: Any) -> None:
        self.cell.want(cleared(command(**fields), self.time.now_ms(), serial))

    def take(self) -> Command | None:
        """Take what is to be sent, and have it held by the device from now on."""
        sending = self.cell.take(self.time.s)
        if sending is None:
            return None
        said = json.loads(encode(sending.command))
        names = ("limit_w", "target_w", "floor_w", "connected", "energized", "ramp_ms", "reversion")
        self.holds = {"command_id": said["id"], "settings": {name: said[name] for name in names}}
        return sending.command

    def sent(self) -> Command:
        """Take what is to be sent; there has to be something."""
        sent = self.take()
        assert sent is not None
        return sent

    def ack(self, sent: Command, *, retained: bool = False, **fields: Any) -> None:
        said = {
            "id": sent.id,
            "issued_ms": sent.issued_ms,
            "at_ms": self.time.now_ms(),
            "accepted": True,
            "applied": self.holds["settings"],
        }
        self.cell.ack(json.dumps({**said, **fields}).encode(), retained=retained)

    def adopted(self, serial: int = 1, **fields: Any) -> Command:
        """Bring it to where it holds a command."""
        self.say()
        self.want(serial, **fields)
        sent = self.sent()
        self.ack(sent)
        assert self.ear.of(Adopted)[-1].serial == serial
        return sent
