"""MQTT devices: the payloads of commands, acknowledgements and states, and the topics that they travel on."""

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
    "Ack",
    "Command",
    "Kind",
    "Reversion",
    "Settings",
    "State",
    "Topics",
    "Unreadable",
    "decode_ack",
    "decode_state",
    "encode",
]
