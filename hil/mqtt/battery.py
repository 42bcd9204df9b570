"""A battery controller that speaks MQTT 5, with physics, a reversion timer of its own and settable faults.

It knows the published payloads and nothing of the gateway: what a device maker would write from the schemas.
"""

import asyncio
import json
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, Self, get_args

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from hil.clock import Clock
from hil.physics.plant import Plant, Wish
from hil.standing import Standing

Fault = Literal["ignores", "silent", "stale", "refuses"]
FAULTS: tuple[str, ...] = get_args(Fault)

_KEEPALIVE_S: Final = 5
_STEP_MS: Final = 100
_SHORTEST_WALL_MS: Final = 20
_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BatterySpec:
    """One battery: where its broker is, what it stores, and what it does when nobody sets it a point (`own_w`).

    `limits_draw`: it knows the key `floor_w`, by which it is told how much it may draw.

    Power is in W and positive out of it. bus, phases, nominal_v: as of an inverter on a feeder.
    """

    name: str
    port: int
    host: str = "127.0.0.1"
    prefix: str = "laminar"
    username: str | None = None
    password: str | None = None
    context: ssl.SSLContext | None = None
    rated_w: int = 5_000
    energy_wh: int = 10_000
    charge_pct: float = 50.0
    own_w: int = 0
    limits_draw: bool = True
    report_s: float = 1.0
    time_constant_s: float = 0.5
    bus: str = ""
    phases: tuple[int, ...] = (1, 2, 3)
    nominal_v: float = 240.0


class MqttBattery(Standing):
    """One battery. An async context manager that connects, and steps itself unless `stepping` is False.

    Faults: "ignores": takes commands and shows them, power does not follow; "silent": is connected and says nothing;
    "stale": says again and again, retained, what it said when the fault began; "refuses": refuses every command.
    """

    def __init__(self, spec: BatterySpec, clock: Clock, *, stepping: bool = True) -> None:
        self.spec: BatterySpec = spec
        self.commands: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self.said: deque[tuple[str, bytes]] = deque(maxlen=_KEPT)
        self.command_id: str | None = None
        self.settings: dict[str, Any] | None = None
        self.reverted = False
        self.connections = 0
        self._issued_ms = 0
        self._revert_at_ms: int | None = None
        self._clock, self._stepping = clock, stepping
        self._faults: set[str] = set()
        self._frozen: bytes | None = None
        self._plant = Plant(spec.rated_w, spec.time_constant_s)
        self._stored_wh = spec.energy_wh * spec.charge_pct / 100
        self._volts: float | None = spec.nominal_v
        self._stepped_ms = clock.now_ms()
        self._report_at_ms = 0
        self._sequence = 0
        self._client: paho.Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._steps: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        if self._stepping:
            self._steps = asyncio.create_task(self._run(), name=f"battery {self.spec.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        if self._steps is not None:
            self._steps.cancel()
            await asyncio.gather(self._steps, return_exceptions=True)
        await self.stop()

    # -- what a bench sees

    @property
    def port(self) -> int:
        """TCP port of its broker."""
        return self.spec.port

    @property
    def w(self) -> float:
        """True active power, W; negative where it charges."""
        return self._plant.w

    @property
    def var(self) -> float:
        """True reactive power, var."""
        return self._plant.var

    @property
    def stored_wh(self) -> float:
        """What it has stored."""
        return self._stored_wh

    @property
    def limit_w(self) -> int | None:
        """The limit that it is set to, W; None where it was told none."""
        return None if self.settings is None else int(self.settings["limit_w"])

    @property
    def faults(self) -> frozenset[str]:
        """The faults that are on."""
        return frozenset(self._faults)

    def set_fault(self, fault: str, on: bool) -> None:
        """Turn a fault on or off; raises ValueError for a name that is not in `FAULTS`."""
        if fault not in FAULTS:
            raise ValueError(f'fault "{fault}" is not known; use one of {", ".join(FAULTS)}')
        (self._faults.add if on else self._faults.discard)(fault)
        self._frozen = self._state() if "stale" in self._faults else None
        self._report_at_ms = 0

    def change_by_hand(self, **settings: int | bool | None) -> None:
        """Change what it is set to at its panel; the command it was given stays on show."""
        self.settings = {**(self.settings or {}), **settings}
        self._report_at_ms = 0

    def power_cycle(self) -> None:
        """Start anew: no command, no settings, and it counts its states from the first."""
        self._forget_command()
        self._sequence, self._report_at_ms = 0, 0

    def step(self, now_ms: int, volts: tuple[float, ...] | None = None, hz: float = 60.0) -> None:
        """Advance to `now_ms`: its timer runs, power moves, and what is due is said."""
        del hz
        dt_s = max(0, now_ms - self._stepped_ms) / 1000
        self._stepped_ms = now_ms
        self._volts = sum(volts) / len(volts) if volts else self.spec.nominal_v
        if self._revert_at_ms is not None and now_ms >= self._revert_at_ms:
            self._revert()
        self._stored_wh = max(0.0, min(float(self.spec.energy_wh), self._stored_wh - self._plant.w * dt_s / 3600))
        self._plant.absorbs_w = float(self.spec.rated_w) if self._stored_wh < self.spec.energy_wh else 0.0
        available_w = float(self.spec.rated_w) if self._stored_wh > 0 else 0.0
        self._plant.step(now_ms, dt_s, available_w, self.spec.rated_w, self._wish())
        if now_ms >= self._report_at_ms:
            self._report()

    async def _run(self) -> None:
        pace_ms = max(_STEP_MS, round(_SHORTEST_WALL_MS * self._clock.rate))
        while True:
            self.step(self._clock.now_ms())
            await self._clock.sleep_until_ms(self._clock.now_ms() + pace_ms)

    # -- what it does

    def _wish(self) -> Wish:
        told = None if "ignores" in self._faults else self.settings
        if told is None:
            return Wish(limit_w=float(self.spec.own_w))
        asked_w = self.spec.own_w if told["target_w"] is None else told["target_w"]
        asked_w = asked_w if told.get("floor_w") is None else max(asked_w, told["floor_w"])
        runs = told["connected"] is not False and told["energized"] is not False
        return Wish(energize=runs, limit_w=float(min(told["limit_w"], asked_w)), ramp_s=(told["ramp_ms"] or 0) / 1000)

    def _revert(self) -> None:
        """Fall back: nobody refreshed the command in time. What was switched off stays off."""
        assert self.settings is not None
        falls = self.settings["reversion"]
        self.settings = {**self.settings, "limit_w": falls["limit_w"], "target_w": None, "ramp_ms": None}
        if "floor_w" in self.settings:
            self.settings["floor_w"] = falls.get("floor_w")
        self.reverted, self._revert_at_ms, self._report_at_ms = True, None, 0

    def _forget_command(self) -> None:
        self.command_id = self.settings = self._revert_at_ms = None
        self.reverted, self._issued_ms = False, 0

    def _told(self, payload: bytes, retained: bool) -> None:
        """Take a command, or say why not; one without an id cannot be answered, a retained one is never looked at."""
        try:
            command = json.loads(payload)
            issued_ms, expires_ms = int(command["issued_ms"]), int(command["expires_ms"])
            said = {"id": str(command["id"]), "issued_ms": issued_ms}
        except (ValueError, TypeError, KeyError):
            return
        if retained:
            return
        self.commands.append(command)
        if "silent" in self._faults:
            return
        now_ms = self._clock.now_ms()
        why = self._fault_of(command, issued_ms, expires_ms, now_ms)
        if why:
            self._say("ack", {**said, "at_ms": now_ms, "accepted": False, "why": why})
            return
        if (command["id"], issued_ms) != (self.command_id, self._issued_ms):
            names = ("limit_w", "target_w", "connected", "energized", "ramp_ms", "reversion")
            self.settings = {name: command[name] for name in names}
            if self.spec.limits_draw:
                self.settings["floor_w"] = command.get("floor_w")
            self.command_id, self._issued_ms, self.reverted = command["id"], issued_ms, False
            self._revert_at_ms = now_ms + command["reversion"]["after_ms"]
        self._say("ack", {**said, "at_ms": now_ms, "accepted": True, "applied": self.settings})
        self._report()

    def _fault_of(self, command: dict[str, Any], issued_ms: int, expires_ms: int, now_ms: int) -> str:
        if "refuses" in self._faults:
            return "it is being serviced"
        if expires_ms <= now_ms:
            return f"it expired {now_ms - expires_ms} ms ago"
        if issued_ms < self._issued_ms and not self.reverted:
            return "it was issued before the one in force"
        limit_w, target_w = command.get("limit_w"), command.get("target_w")
        if not isinstance(limit_w, int) or not 0 <= limit_w <= self.spec.rated_w:
            return f"limit {limit_w} W is not within 0..{self.spec.rated_w} W"
        if target_w is not None and not -self.spec.rated_w <= target_w <= limit_w:
            return f"set-point {target_w} W is not within {-self.spec.rated_w}..{limit_w} W"
        return ""

    # -- what it says

    def _report(self) -> None:
        self._report_at_ms = self._clock.now_ms() + round(1000 * self.spec.report_s)
        self._sequence += 1
        self._put("state", self._frozen or self._state(), retain=True)

    def _state(self) -> bytes:
        volts = self._volts or 0.0
        connected = self.settings is None or self.settings["connected"] is not False
        return json.dumps(
            {
                "at_ms": self._clock.now_ms(),
                "sequence": self._sequence,
                "power_w": round(self._plant.w),
                "reactive_var": round(self._plant.var),
                "voltage_mv": round(1000 * volts),
                "stored_wh": round(self._stored_wh),
                "capacity_wh": self.spec.energy_wh,
                "connected": connected,
                "generation_max_w": self.spec.rated_w,
                "charge_max_w": self.spec.rated_w,
                "command_id": self.command_id,
                "reverted": self.reverted,
                "settings": self.settings,
            }
        ).encode()

    def _say(self, kind: str, said: dict[str, Any]) -> None:
        self._put(kind, json.dumps(said).encode(), retain=False)

    def _put(self, kind: str, payload: bytes, *, retain: bool) -> None:
        """Publish, where it is connected: what it could not say in time it does not say later."""
        if self._client is None or not self._client.is_connected() or "silent" in self._faults:
            return
        self.said.append((kind, payload))
        self._client.publish(self._topic(kind), payload, qos=1, retain=retain)

    def _topic(self, kind: str) -> str:
        return f"{self.spec.prefix}/{self.spec.name}/{kind}"

    # -- the connection: the library's own thread, which connects again by itself

    async def start(self) -> None:
        """Connect in the background; a broker that is not there is tried again and again."""
        self._loop = asyncio.get_running_loop()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self.spec.name, protocol=paho.MQTTv5)
        if self.spec.username is not None:
            client.username_pw_set(self.spec.username, self.spec.password)
        if self.spec.context is not None:
            client.tls_set_context(self.spec.context)
        client.will_set(self._topic("availability"), b"offline", qos=1, retain=True)
        client.reconnect_delay_set(1, 1)
        client.on_connect = self._on_connect
        client.on_socket_open = _at_once
        client.on_message = self._on_message
        self._client = client
        client.connect_async(self.spec.host, self.spec.port, _KEEPALIVE_S)
        client.loop_start()

    async def stop(self) -> None:
        """Say that it goes, and disconnect."""
        client, self._client = self._client, None
        if client is None:
            return
        if client.is_connected():
            client.publish(self._topic("availability"), b"offline", qos=1, retain=True)
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)

    async def crash(self) -> None:
        """Lose power: the connection is cut without a word, and the broker has its last will to tell."""
        client, self._client = self._client, None
        if client is None:
            return
        await asyncio.to_thread(client.loop_stop)
        wire = client.socket()
        if wire is not None:
            wire.close()

    def _on_connect(
        self, client: paho.Client, _userdata: object, _flags: object, code: ReasonCode, _rest: object
    ) -> None:
        if code.is_failure or self._loop is None:
            return
        client.subscribe(self._topic("command"), qos=1)
        client.publish(self._topic("availability"), b"online", qos=1, retain=True)
        self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self.connections += 1
        self._report()

    def _on_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(partial(self._told, bytes(message.payload), message.retain))


def _at_once(_client: paho.Client, _userdata: object, wire: object) -> None:
    """Have small packets leave at once, one behind the other."""
    if isinstance(wire, socket.socket):
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
