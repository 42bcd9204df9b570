"""SunSpec models as integers: compiled definitions, decoding, encoding and discovery, without a connection."""

from gateway.wire.sunspec.discovery import Ask, Block, Chain, EndedBy, NotSunSpec, Walk
from gateway.wire.sunspec.model import Counts, Model, Span, UnknownModelError, compile_model
from gateway.wire.sunspec.point import Absent, Point, Value
from gateway.wire.sunspec.reader import Reader
from gateway.wire.sunspec.scale import Side, rescale
from gateway.wire.sunspec.writes import Unwritable, Write

__all__ = [
    "Absent",
    "Ask",
    "Block",
    "Chain",
    "Counts",
    "EndedBy",
    "Model",
    "NotSunSpec",
    "Point",
    "Reader",
    "Side",
    "Span",
    "UnknownModelError",
    "Unwritable",
    "Value",
    "Walk",
    "Write",
    "compile_model",
    "rescale",
]
