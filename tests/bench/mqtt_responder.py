"""The device of the MQTT benchmark, in a process of its own: it answers every command at once, ours and the floor's.

`python -m tests.bench.mqtt_responder PORT` says when it listens, and ends with its standard input.
"""

import json
import socket
import sys

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from .streams import say

DEVICE = "cell"
SETTINGS = ("limit_w", "target_w", "connected", "energized", "ramp_ms", "reversion")


def answer(client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
    """Acknowledge a command on the topic beside it."""
    command = json.loads(message.payload)
    said = {
        "id": command["id"],
        "issued_ms": command["issued_ms"],
        "at_ms": command["issued_ms"],
        "accepted": True,
        "applied": {name: command[name] for name in SETTINGS},
    }
    client.publish(message.topic.removesuffix("command") + "ack", json.dumps(said).encode(), qos=1)


def at_once(_client: paho.Client, _userdata: object, wire: object) -> None:
    """Have small packets leave at once."""
    if isinstance(wire, socket.socket):
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def main(port: int) -> None:
    """Answer until standard input ends."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=DEVICE, protocol=paho.MQTTv5)
    client.on_message, client.on_socket_open = answer, at_once
    client.on_subscribe = lambda *_said: say({"listens": True})
    client.on_connect = lambda client, *_said: client.subscribe("+/+/command", qos=1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sys.stdin.read()
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main(int(sys.argv[1]))
