"""The topics of MQTT devices: PREFIX/DEVICE/KIND. The topic is the identity, because MQTT carries no sender (RULES A1).

The gateway alone may write `command`, and a device alone what else lies below its name: the broker's access list
binds the users to that.
"""

from enum import StrEnum
from typing import Final

GATEWAY: Final = "gateway"
"""The name below which the gateway tells of itself; no device can have it."""


class Kind(StrEnum):
    """What a topic carries."""

    COMMAND = "command"
    ACK = "ack"
    STATE = "state"
    AVAILABILITY = "availability"


class Topics:
    """The topics below one prefix."""

    def __init__(self, prefix: str) -> None:
        """Take the prefix, without a slash at its end."""
        self._prefix = prefix

    def of(self, name: str, kind: Kind) -> str:
        """Give the topic of a device, or of the gateway."""
        return f"{self._prefix}/{name}/{kind}"

    @property
    def heard(self) -> tuple[str, ...]:
        """What the gateway subscribes to."""
        return tuple(self.of("+", kind) for kind in (Kind.ACK, Kind.STATE, Kind.AVAILABILITY))

    def read(self, topic: str) -> tuple[str, Kind] | None:
        """Give who wrote a topic and what it carries; None where it is not one of these."""
        before, _, last = topic.rpartition("/")
        prefix, _, name = before.rpartition("/")
        if prefix != self._prefix or not name or last not in _KINDS:
            return None
        return name, Kind(last)


_KINDS: Final = frozenset(kind.value for kind in Kind)
