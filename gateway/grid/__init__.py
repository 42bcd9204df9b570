"""The feeder: its model is asked before power moves away from zero, and lives in a process of its own."""

from collections.abc import Mapping

from gateway.grid.client import Hear, Model
from gateway.grid.config import Feeder, feeder_faults
from gateway.grid.probe import faults
from gateway.grid.talk import Place
from gateway.ports.clock import Clock

__all__ = ["Feeder", "Model", "Place", "build", "faults", "feeder_faults"]


def build(table: Feeder, places: Mapping[str, tuple[Place, ...]], clock: Clock, hear: Hear) -> Model:
    """Make the feeder's model; `places` gives each resource its devices, which share its power by rating."""
    return Model(table, places, clock, hear)
