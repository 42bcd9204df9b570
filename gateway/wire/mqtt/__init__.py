"""MQTT devices: the payloads of commands, acknowledgements and states, and the topics that they travel on."""

from msgspec import UNSET, UnsetType

from gateway.wire.mqtt.payloads import (
    LONGEST_PAYLOAD,
    Ack,
    Command,
    Reversion,
    Settings,
    State,
    Unreadable,
    decode_ack,
    decode_state,
    encode,
)
from gateway.wire.mqtt.topics import GATEWAY, Kind, Topics

__all__ = [
    "GATEWAY",
    "LONGEST_PAYLOAD",
    "UNSET",
    "Ack",
    "Command",
    "Kind",
    "Reversion",
    "Settings",
    "State",
    "Topics",
    "Unreadable",
    "UnsetType",
    "decode_ack",
    "decode_state",
    "encode",
]
