"""Batteries of a scenario that speak MQTT, and their broker: tables, where it listens, and whose passwords it takes."""

import shutil
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from hil.clock import Clock
from hil.feeder import bus_of
from hil.identity import ServerIdentity, secret_in, server_identity
from hil.mqtt.battery import BatterySpec, MqttBattery
from hil.mqtt.broker import Access, Broker, Tls
from hil.trial.tables import Strict

USER = "gateway"
PREFIX = "laminar"

BrokerAct = Literal["kill", "start"]


class MqttBatteryPlan(Strict):
    """One battery controller behind the broker; `resource` only tells the reader of the file whose it is."""

    name: str
    resource: str = ""
    rated_w: int = 5_000
    energy_wh: int = 10_000
    charge_pct: float = 50.0
    own_w: int = 0
    report_s: float = 2.0
    bus: str = ""
    phases: tuple[int, ...] = (1, 2, 3)
    nominal_v: float = 240.0


class MqttStage:
    """The broker of a running scenario and its batteries; TLS, and a password for each in a file of `folder`."""

    def __init__(self, plans: Sequence[MqttBatteryPlan], clock: Clock, folder: Path) -> None:
        self._plans = plans
        self._identity: ServerIdentity = server_identity(folder, "broker")
        self.password_file = folder / f"{USER}.secret"
        users = {USER: secret_in(self.password_file)}
        users |= {plan.name: secret_in(folder / f"{plan.name}.secret") for plan in plans}
        self._work = Path(tempfile.mkdtemp(prefix="broker-"))
        acl = self._work / "acl"
        acl.write_text(_access([plan.name for plan in plans]), encoding="utf-8")
        tls = Tls(self._identity.chain, self._identity.key)
        self.broker = Broker(self._work, Access(users, acl), tls)
        context = ssl.create_default_context(cafile=str(self._identity.trust))
        self.batteries = [
            MqttBattery(_spec(plan, self.broker.port, users[plan.name], context), clock, stepping=False)
            for plan in plans
        ]

    async def start(self) -> None:
        """Listen."""
        await self.broker.start()

    async def stop(self) -> None:
        """Listen no longer."""
        await self.broker.kill()
        shutil.rmtree(self._work, ignore_errors=True)

    async def act(self, act: BrokerAct) -> None:
        """Kill the broker, which then keeps nothing, or start it again on its port; raises ValueError out of turn."""
        if (act == "start") is self.broker.runs:
            raise ValueError(f"the broker {'runs' if self.broker.runs else 'is down'} already")
        await (self.broker.start() if act == "start" else self.broker.kill())

    def ready(self) -> dict[str, Any]:
        """Where the broker listens, for whom, and the files with the password and the authority to trust."""
        return {
            "host": "127.0.0.1",
            "port": self.broker.port,
            "kind": self.broker.kind,
            "username": USER,
            "password_file": str(self.password_file),
            "trust": str(self._identity.trust),
            "topic_prefix": PREFIX,
            "batteries": {
                plan.name: {
                    "resource": plan.resource,
                    "rated_w": plan.rated_w,
                    "energy_wh": plan.energy_wh,
                    "bus": bus_of(plan.bus, plan.phases),
                }
                for plan in self._plans
            },
        }


def _spec(plan: MqttBatteryPlan, port: int, password: str, context: ssl.SSLContext) -> BatterySpec:
    return BatterySpec(
        name=plan.name,
        port=port,
        prefix=PREFIX,
        username=plan.name,
        password=password,
        context=context,
        rated_w=plan.rated_w,
        energy_wh=plan.energy_wh,
        charge_pct=plan.charge_pct,
        own_w=plan.own_w,
        report_s=plan.report_s,
        bus=plan.bus,
        phases=plan.phases,
        nominal_v=plan.nominal_v,
    )


def _access(names: Sequence[str]) -> str:
    """Bind each user to its own tree; the gateway writes commands alone."""
    lines = [f"user {USER}", f"topic write {PREFIX}/+/command", f"topic write {PREFIX}/{USER}/availability"]
    lines += [f"topic read {PREFIX}/+/{kind}" for kind in ("ack", "state", "availability")]
    for name in names:
        lines += [f"user {name}", f"topic read {PREFIX}/{name}/command", f"topic read {PREFIX}/{USER}/availability"]
        lines += [f"topic write {PREFIX}/{name}/{kind}" for kind in ("ack", "state", "availability")]
    return "\n".join(lines) + "\n"
