"""The port to the feeder's model: it is asked before power moves away from zero, and answers by an event."""

from typing import Protocol

from gateway.core.feeder import Certificate, Certified, NotCertified, Span, Wish

__all__ = ["Certificate", "Certified", "FeederModel", "NotCertified", "Span", "Wish"]


class FeederModel(Protocol):
    """The model of one feeder, in a process of its own."""

    async def run(self) -> None:
        """Keep the model's process alive until cancelled; trouble with it is survived, logged once and recovered."""

    def validate(self, wish: Wish) -> None:
        """Ask this; one question is in flight, a later one takes the place of one that waits.

        `Certified` or `NotCertified` of its serial is heard by its deadline.
        """

    def measure(self, resource: str, power_w: int | None, reactive_var: int | None, at_ms: int) -> None:
        """Take what a resource was measured at last; None is unknown and takes what was known away."""
