"""SunSpec models compiled from their published JSON definitions (SunSpec Device Information Model)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from gateway.wire.sunspec.point import Point, Value, exponent_for
from gateway.wire.sunspec.reader import Reader
from gateway.wire.sunspec.scale import Side
from gateway.wire.sunspec.writes import WRITE_MAX, Unwritable, Write, encode, group_writes, join

READ_MAX: Final = 125


class UnknownModelError(LookupError):
    """No definition is published for a model id (vendor models 64000 and up, mostly)."""


class Span(NamedTuple):
    """Registers to read in one request: the first, counted from the model's ID register, and how many."""

    offset: int
    quantity: int


class Model:
    """One SunSpec model: its fixed block, and its repeating groups where it was compiled with their counts.

    `length` is what the device states in L when it has all that is laid out. Points of nested groups are named with
    dots (`PFWInj.PF`), those of repeating groups with their number from 1 (`Crv.2.Pt.1.V`). A repeating group whose
    count is not given, and what follows it, are not laid out.
    """

    __slots__ = ("_reader", "_sync", "_writes", "id", "length", "name", "points")

    def __init__(self, model_id: int, name: str, points: Mapping[str, Point]) -> None:
        self.id = model_id
        self.name = name
        self.points = points
        self.length = max(point.end for point in points.values()) - 2
        self._sync = {point.name: point.sync for point in points.values() if point.sync}
        self._writes = lru_cache(maxsize=64)(self._group_writes)
        self._reader = lru_cache(maxsize=64)(self._build_reader)

    def reader(
        self,
        names: Sequence[str] | Mapping[str, int],
        *,
        length: int | None = None,
        limit: int = READ_MAX,
        side: Side = Side.NEAREST,
    ) -> Reader:
        """Prepare one read of `names` with all their scale factors; keep the reader, it is what makes decoding fast.

        A mapping gives each name the decimal exponent of its integers instead of the point's own. `length` is the
        device's own L: points past it are `Absent` and not asked for. `side` is the rounding. Raises KeyError for a
        name that the model lacks and ValueError when the read would take more than `limit` registers: ask for fewer
        points then, a value and its scale factor must come from one read.
        """
        wanted = names if isinstance(names, Mapping) else {name: self._point(name).exponent for name in names}
        reader = self._reader(tuple(wanted.items()), length, side)
        if reader.quantity > limit:
            raise ValueError(
                f"model {self.id}: {reader.quantity} registers for {', '.join(wanted)}, "
                f"one read takes {limit}; ask for fewer points"
            )
        return reader

    def span(self, names: Sequence[str], length: int | None = None) -> Span:
        """Give the registers that hold `names`, their scale factors and sync groups, cutting no point in two."""
        reader = self.reader(names, length=length, limit=0x10000)
        return Span(reader.offset, reader.quantity)

    def decode(self, registers: bytes, names: Sequence[str] | None = None) -> dict[str, Value]:
        """Decode registers that begin at `span(names).offset`; without names, all points from the ID register on.

        Numbers are integers in 10**exponent of the point's units, `Absent` where the device gives none.
        """
        return self.reader(list(self.points) if names is None else names, limit=0x10000).decode(registers)

    def encode(
        self,
        name: str,
        value: int | str,
        *,
        scale_factor: object = None,
        exponent: int | None = None,
        side: Side = Side.NEAREST,
    ) -> bytes | Unwritable:
        """Encode a value for writing; see `writes.encode`. Raises KeyError for a name that the model lacks."""
        return encode(self._point(name), value, scale_factor=scale_factor, exponent=exponent, side=side)

    def plan_writes(self, registers: Mapping[str, bytes], limit: int = WRITE_MAX) -> tuple[Write, ...]:
        """Merge encoded points into writes of at most `limit` registers that keep the order given: enables last.

        Points named one after another that fill a stretch without a gap become one write (an enable that touches its
        value then takes effect with it); nothing is written before what was named earlier. Raises KeyError for a
        name that the model lacks, ValueError for part of a sync group or octets of the wrong length.
        """
        return tuple(join(points, registers) for points in self._writes(tuple(registers), limit))

    def _point(self, name: str) -> Point:
        point = self.points.get(name)
        if point is None:
            raise KeyError(f"model {self.id} ({self.name}) has no point {name}")
        return point

    def _group_writes(self, names: tuple[str, ...], limit: int) -> tuple[tuple[Point, ...], ...]:
        return group_writes([self._point(name) for name in names], self._sync, limit)

    def _build_reader(self, wanted: tuple[tuple[str, int], ...], length: int | None, side: Side) -> Reader:
        return Reader([(self._point(name), exponent) for name, exponent in wanted], self.points, length, side)


Counts = tuple[tuple[str, int], ...]
"""How often each repeating group of a device comes, by the group's name."""
LAID_OUT_MAX: Final = 256
"""How many models are kept: a device that counts its groups otherwise each time must not fill the memory."""


@lru_cache(maxsize=LAID_OUT_MAX)
def compile_model(model_id: int, counts: Counts = ()) -> Model:
    """Compile a model from the definitions that ship in the installed pysunspec2 package; raise UnknownModelError.

    `counts` gives the repeating groups that are laid out too (1..1000 each).
    """
    definition = _definition(model_id)
    root = definition["group"]
    scale_factors = {point["name"] for point in root["points"]}
    points: dict[str, Point] = {}
    for placed in _lay_out(root, _Group("", "", dict(counts)), 0):
        points[placed.prefix + placed.raw["name"]] = _compile(placed, scale_factors)
    return Model(model_id, str(root["name"]), MappingProxyType(points))


def _definition(model_id: int) -> dict[str, Any]:
    package = find_spec("sunspec2")
    if package is None or not package.submodule_search_locations:
        raise UnknownModelError("the SunSpec definitions are missing: install pysunspec2")
    path = Path(package.submodule_search_locations[0]) / "models" / "json" / f"model_{model_id}.json"
    if not path.is_file():
        raise UnknownModelError(f"no definition of SunSpec model {model_id}: leave it out of what is read")
    definition: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return definition


class _Placed(NamedTuple):
    """A point's definition, where it lies, and what of its group it needs."""

    raw: dict[str, Any]
    offset: int
    prefix: str
    sync: str
    own: frozenset[str]

    @property
    def end(self) -> int:
        return self.offset + int(self.raw["size"])


class _Group(NamedTuple):
    """Where a group is: what its points' names begin with, its sync group, and the counts of those that repeat."""

    prefix: str
    sync: str
    counts: Mapping[str, int]


def _lay_out(group: dict[str, Any], here: _Group, offset: int) -> Iterator[_Placed]:
    """Place a group's points, then its groups in turn, up to the first that repeats nobody knows how often."""
    points = group.get("points", [])
    own = frozenset(point["name"] for point in points)
    for raw in points:
        yield _Placed(raw, offset, here.prefix, here.sync, own)
        offset += int(raw["size"])
    for inner in group.get("groups", []):
        name = f"{here.prefix}{inner['name']}"
        if inner.get("count") is not None:
            if inner["name"] not in here.counts:
                return
            names = [f"{name}.{number}" for number in range(1, here.counts[inner["name"]] + 1)]
        elif _repeats(inner, here.counts):
            return
        else:
            names = [name]
        for each in names:
            sync = each if inner.get("type") == "sync" else here.sync
            for placed in _lay_out(inner, _Group(f"{each}.", sync, here.counts), offset):
                yield placed
                offset = placed.end


def _repeats(group: dict[str, Any], counts: Mapping[str, int]) -> bool:
    """Tell whether a group that comes once holds one that repeats nobody knows how often."""
    inner = group.get("groups", [])
    return any(
        (each.get("count") is not None and each["name"] not in counts) or _repeats(each, counts) for each in inner
    )


def _compile(placed: _Placed, root: set[str]) -> Point:
    raw, prefix = placed.raw, placed.prefix
    scale_factor = raw.get("sf")
    if isinstance(scale_factor, str):
        if scale_factor in placed.own:
            scale_factor = prefix + scale_factor
        elif scale_factor not in root:
            raise ValueError(f"{prefix}{raw['name']}: the definition lacks its scale factor {scale_factor}")
    units = str(raw.get("units", ""))
    return Point(
        name=prefix + raw["name"],
        offset=placed.offset,
        size=int(raw["size"]),
        type=raw["type"],
        exponent=exponent_for(units, raw["type"], scale_factor),
        scale_factor=scale_factor,
        units=units,
        symbols=MappingProxyType({int(symbol["value"]): symbol["name"] for symbol in raw.get("symbols", [])}),
        writable=raw.get("access") == "RW",
        mandatory=raw.get("mandatory") == "M",
        sync=placed.sync,
    )
