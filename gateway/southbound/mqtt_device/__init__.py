"""MQTT 5, south: the link to all devices of the site that are reached over a broker."""

import secrets
import ssl
from collections.abc import Mapping

from gateway.ports.clock import Clock
from gateway.ports.north import Hear
from gateway.ports.south import Lease
from gateway.southbound.mqtt_device.config import MqttDevice, MqttDevices, broker_faults
from gateway.southbound.mqtt_device.device import Device, Shared
from gateway.southbound.mqtt_device.link import Links
from gateway.wire.mqtt import GATEWAY

__all__ = ["Links", "MqttDevice", "MqttDevices", "broker_faults", "build"]


def build(
    table: MqttDevices,
    devices: Mapping[str, tuple[MqttDevice, int]],
    context: ssl.SSLContext | None,
    password: str | None,
    clock: Clock,
    hear: Hear,
    lease: Lease,
    *,
    may_write: bool,
) -> Links:
    """Make the link; `devices` gives each device its table of the site file and its rating (W).

    `context` is None for a broker without TLS. Raises ValueError where a device has the name that the gateway's own
    topics have.
    """
    if GATEWAY in devices:
        raise ValueError(f'device "{GATEWAY}": over MQTT that name is the gateway\'s own; give the device another')
    shared = Shared(clock, hear, lease, may_write, secrets.token_hex(4))
    named = {name: Device(name, one, rated_w, shared) for name, (one, rated_w) in devices.items()}
    return Links(table, named, context, password, shared)
