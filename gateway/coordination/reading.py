"""Skeletons out of a parsed file: either what it says, or every fault in it with its place (RULES D)."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeVar

from gateway.coordination.skeleton import (
    Count,
    Entity,
    Flow,
    Kind,
    Overlap,
    Place,
    Skeleton,
    SkeletonFault,
    der_ids,
)
from gateway.core.parties import Tier

TEXTS = ("says", "title", "name", "note", "notes", "description", "comment", "jurisdiction")
"""Keys that hold words for people alone and may stand anywhere."""

ARCHITECTURE = ("id", "entity", "flow", "serves", "source", "verdict", "inferred", *TEXTS)
ENTITY = ("id", "tier", "role", "count", "source", *TEXTS)
FLOW = ("from", "to", "kind", "both", "joint", "overlap", "services", "cycle_s", "source", *TEXTS)

Note = Callable[[SkeletonFault], None]
_Choice = TypeVar("_Choice", bound=StrEnum)


class Read(NamedTuple):
    """The skeletons without fault, and every fault of the others."""

    skeletons: tuple[Skeleton, ...]
    faults: tuple[SkeletonFault, ...]


def read(raw: Mapping[str, object]) -> Read:
    """Read the architectures of one parsed file; one with a fault leaves the others as they are."""
    faults: list[SkeletonFault] = []
    _unknown_keys(raw, ("architecture",), (), "file", faults.append)
    listed = raw.get("architecture")
    if not isinstance(listed, list) or not listed:
        faults.append(SkeletonFault((), "file", "no architecture; write one as [[architecture]]"))
        return Read((), tuple(faults))
    made: list[Skeleton] = []
    first: dict[str, int] = {}
    for index, each in enumerate(listed):
        reader = _Architecture(index)
        skeleton = reader.read(each)
        if skeleton is not None and first.setdefault(skeleton.id, index) != index:
            reader.fault("another architecture of this file has this id; give it its own", "id")
        elif skeleton is not None:
            made.append(skeleton)
        faults += reader.faults
    return Read(tuple(made), tuple(faults))


def place_of_service(raw: Mapping[str, object], architecture: str, fault: SkeletonFault) -> Place:
    """Give where in a parsed file the flow stands whose service `fault.wrong` is none; the file's own place if nowhere.

    `fault.place` names the two ends of that flow, which may be written as one for both directions.
    """
    listed = raw.get("architecture")
    for index, each in enumerate(listed if isinstance(listed, list) else ()):
        if each.get("id") != architecture:
            continue
        for number, flow in enumerate(each.get("flow", ())):
            ends = {flow.get("from"), flow.get("to")} == set(fault.place)
            if ends and fault.wrong in flow.get("services", ()):
                return ("architecture", index, "flow", number, "services")
    return ()


def _unknown_keys(raw: Mapping[str, object], known: tuple[str, ...], place: Place, where: str, note: Note) -> None:
    for key in raw:
        if key not in known:
            absent = tuple(each for each in known if each not in raw)
            note(SkeletonFault((*place, key), where, f'unknown key "{_line(key)}"', key, absent))


def _line(text: str) -> str:
    """Give a text on one line."""
    return " ".join(text.split())


class _Architecture:
    """Reads one [[architecture]] and gathers its faults."""

    def __init__(self, index: int) -> None:
        self.faults: list[SkeletonFault] = []
        self._place: Place = ("architecture", index)
        self._where = f"architecture {index + 1}"

    def fault(self, what: str, *below: str | int, wrong: str = "", known: tuple[str, ...] = ()) -> None:
        """Note a fault at the key `below` the architecture."""
        where = self._where
        if len(below) > 1 and isinstance(below[1], int):
            where = f"{where} {below[0]} {below[1] + 1}"
        self.faults.append(SkeletonFault((*self._place, *below), where, what, wrong, known))

    def read(self, raw: object) -> Skeleton | None:
        """Read the architecture; None where it has a fault."""
        if not isinstance(raw, Mapping):
            self.fault("must be a table; write it as [[architecture]]")
            return None
        name = self._text(raw, "id")
        if name:
            self._where = f'architecture "{_line(name)}"'
        _unknown_keys(raw, ARCHITECTURE, self._place, self._where, self.faults.append)
        entities = self._entities(raw)
        flows = self._flows(raw, tuple(each.id for each in entities))
        serves = self._serves(raw, tuple(each.id for each in entities))
        if not self.faults:
            self._path_to_der(entities, flows)
        if self.faults:
            return None
        title = raw.get("title")
        return Skeleton(
            name, entities, flows, serves, _line(title) if isinstance(title, str) else "", self._sources(raw)
        )

    def _tables(self, raw: Mapping[str, object], key: str) -> list[tuple[int, Mapping[str, object]]]:
        listed = raw.get(key, [])
        if not isinstance(listed, list):
            self.fault(f'"{key}" must be a list of tables', key)
            return []
        found: list[tuple[int, Mapping[str, object]]] = []
        for index, each in enumerate(listed):
            if isinstance(each, Mapping):
                found.append((index, each))
            else:
                self.fault("must be a table", key, index)
        return found

    def _entities(self, raw: Mapping[str, object]) -> tuple[Entity, ...]:
        made: dict[str, Entity] = {}
        for index, each in self._tables(raw, "entity"):
            below = ("entity", index)
            self._keys(each, ENTITY, *below)
            name = self._text(each, "id", *below)
            tier = self._choice(Tier, each, "tier", *below)
            count = self._choice(Count, each, "count", *below)
            role = self._text(each, "role", *below).lower().replace("_", "-")
            if name in made:
                self.fault(f'the id "{_line(name)}" stands there already; give each entity its own', *below, "id")
            elif name:
                made[name] = Entity(name, tier or Tier.CUSTOMER, role, count or Count.ONE)
        if not made and not self.faults:
            self.fault("no entity; list them as entity = [{ id, tier, role, count }, ...]", "entity")
        return tuple(made.values())

    def _flows(self, raw: Mapping[str, object], names: tuple[str, ...]) -> tuple[Flow, ...]:
        made: dict[tuple[str, str, Kind], list[Flow]] = {}
        declared = dict.fromkeys(names)
        for index, each in self._tables(raw, "flow"):
            below = ("flow", index)
            self._keys(each, FLOW, *below)
            ends = [self._end(each, key, declared, *below) for key in ("from", "to")]
            kind = self._choice(Kind, each, "kind", *below)
            both, joint = (self._flag(each, key, *below) for key in ("both", "joint"))
            overlap = self._choice(Overlap, each, "overlap", *below) if "overlap" in each else None
            services, cycle_s = self._services(each, *below), self._cycle(each, *below)
            flow = Flow(ends[0], ends[1], kind or Kind.DATA, joint, overlap, services, cycle_s)
            if all(ends) and ends[0] == ends[1]:
                self.fault(f'goes from "{_line(ends[0])}" to itself; take it out', *below)
            elif all(ends) and kind:
                self._add(made, flow, index)
                if both:
                    back = Flow(ends[1], ends[0], kind, joint, overlap, services, cycle_s)
                    self._add(made, back, index)
        return tuple(flow for alike in made.values() for flow in alike)

    def _add(self, made: dict[tuple[str, str, Kind], list[Flow]], flow: Flow, index: int) -> None:
        alike = made.setdefault((flow.sender, flow.receiver, flow.kind), [])
        if any(_same(flow, other) for other in alike):
            self.fault(f"{_line(str(flow))} stands there already; take one out", "flow", index)
        else:
            alike.append(flow)

    def _end(self, raw: Mapping[str, object], key: str, declared: Mapping[str, None], *below: str | int) -> str:
        name = self._text(raw, key, *below)
        if name and name not in declared:
            self.fault(f'"{key}": no entity has the id "{_line(name)}"', *below, key, wrong=name, known=tuple(declared))
            return ""
        return name

    def _serves(self, raw: Mapping[str, object], names: tuple[str, ...]) -> str | None:
        return (self._end(raw, "serves", dict.fromkeys(names)) or None) if "serves" in raw else None

    def _path_to_der(self, entities: tuple[Entity, ...], flows: tuple[Flow, ...]) -> None:
        ders = der_ids(entities, flows)
        if not ders:
            self.fault('no path to a DER: no entity of tier "customer" has the role "der"; add one', "entity")
        elif not any(flow.kind is Kind.CONTROL and flow.receiver in ders for flow in flows):
            names = ", ".join(f'"{_line(each)}"' for each in ders)
            self.fault(f"no path to a DER: no control flow reaches {names}; add one", "flow")

    def _keys(self, raw: Mapping[str, object], known: tuple[str, ...], *below: str | int) -> None:
        kind, index = below
        where = f"{self._where} {kind} {int(index) + 1}"
        _unknown_keys(raw, known, (*self._place, *below), where, self.faults.append)

    def _text(self, raw: Mapping[str, object], key: str, *below: str | int) -> str:
        value = raw.get(key)
        if value is None:
            self.fault(f'missing key "{key}"', *below)
        elif not isinstance(value, str) or not value.strip():
            self.fault(f'"{key}" must be a text that is not empty', *below, key)
        elif not value.isprintable():
            self.fault(f'"{key}" must stand on one line, without control characters', *below, key)
        else:
            return value
        return ""

    def _choice(self, kind: type[_Choice], raw: Mapping[str, object], key: str, *below: str | int) -> _Choice | None:
        choices = {str(each): each for each in kind}
        value = raw.get(key)
        if isinstance(value, str) and value in choices:
            return choices[value]
        if value is None:
            self.fault(f'missing key "{key}"; one of {", ".join(choices)}', *below)
        elif isinstance(value, str):
            self.fault(f'"{key}" cannot be "{_line(value)}"', *below, key, wrong=value, known=tuple(choices))
        else:
            self.fault(f'"{key}" must be one of {", ".join(choices)}', *below, key)
        return None

    def _flag(self, raw: Mapping[str, object], key: str, *below: str | int) -> bool:
        value = raw.get(key, False)
        if not isinstance(value, bool):
            self.fault(f'"{key}" must be true or false', *below, key)
        return value is True

    def _services(self, raw: Mapping[str, object], *below: str | int) -> tuple[str, ...] | None:
        value = raw.get("services")
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            self.fault('"services" must be a list of names of services', *below, "services")
            return None
        return tuple(str(each) for each in value)

    def _cycle(self, raw: Mapping[str, object], *below: str | int) -> int | None:
        value = raw.get("cycle_s")
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self.fault('"cycle_s" must be a whole number of seconds, at least 1', *below, "cycle_s")
            return None
        return value

    def _sources(self, raw: Mapping[str, object]) -> tuple[str, ...]:
        value = raw.get("source")
        listed = value if isinstance(value, list) else [value]
        return tuple(_line(each) for each in listed if isinstance(each, str))


def _same(one: Flow, other: Flow) -> bool:
    """Say whether two flows of one kind between the same ends carry the same; those for different services do not."""
    if one.services is None or other.services is None:
        return True
    return not one.services or not other.services or any(each in other.services for each in one.services)
