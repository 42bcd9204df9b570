"""2030.5 inverters of a scenario: their table, and the server that they connect to, which is the gateway's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hil.clock import Clock
from hil.feeder import bus_of
from hil.head_end import Certificate
from hil.mqtt.broker import free_port
from hil.sep2.device import Device, DeviceSpec
from hil.trial.tables import Strict

SERVER = "gateway"
PIN = 111115


class Sep2DevicePlan(Strict):
    """One inverter that is a 2030.5 client; its certificate is NAME.pem of the folder, unless it names another."""

    name: str
    resource: str = ""
    certificate: str = ""
    pin: int = PIN
    rated_w: int = 5_000
    irradiance: float = 1.0
    time_constant_s: float = 1.0
    bus: str = ""
    phases: tuple[int, ...] = (1, 2, 3)
    nominal_v: float = 240.0


class Sep2Stage:
    """The inverters of a running scenario; they try the server's port, free when the scenario starts, until it is up.

    `port` 0 is any free one. The server has the certificate of the gateway in gateway.pem.
    """

    def __init__(self, plans: Sequence[Sep2DevicePlan], clock: Clock, folder: Path, port: int = 0) -> None:
        self._plans = plans
        self.port = port or free_port()
        server_lfdi = Certificate.of(folder, SERVER).lfdi
        self.devices = [
            Device(_spec(plan, folder, server_lfdi), clock, f"https://127.0.0.1:{self.port}/dcap") for plan in plans
        ]

    def ready(self) -> dict[str, Any]:
        """Where the server has to listen, and who will connect."""
        return {
            "port": self.port,
            "devices": {
                plan.name: {
                    "resource": plan.resource,
                    "rated_w": plan.rated_w,
                    "lfdi": device.spec.own_lfdi(),
                    "pin": plan.pin,
                    "bus": bus_of(plan.bus, plan.phases),
                }
                for plan, device in zip(self._plans, self.devices, strict=True)
            },
        }


def _spec(plan: Sep2DevicePlan, folder: Path, server_lfdi: str) -> DeviceSpec:
    identity = Certificate.of(folder, plan.certificate or plan.name)
    return DeviceSpec(
        name=plan.name,
        chain=identity.chain,
        key=identity.key,
        trust=identity.trust,
        server_lfdi=server_lfdi,
        pin=plan.pin,
        rated_w=plan.rated_w,
        bus=plan.bus,
        phases=plan.phases,
        nominal_v=plan.nominal_v,
        irradiance=plan.irradiance,
        time_constant_s=plan.time_constant_s,
    )
