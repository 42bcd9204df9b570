"""Which service each program of a server is for, where the site file tells them apart (RULES B)."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from gateway.northbound.sep2_client.config import ProgramService
from gateway.wire.sep2.resources import DERProgram


class Split:
    """The programs of one server as the site file splits them; those that it does not name are one slot together.

    Successive events of it are `joined`, or each starts as it drew.
    """

    def __init__(
        self, listed: Iterable[ProgramService] = (), levels: Mapping[str, int] | None = None, *, joined: bool = True
    ) -> None:
        """Split by these rows; `levels` is the level that the party stands at with each service."""
        self.joined = joined
        rows = tuple(listed)
        self._by_mrid = {row.mrid.upper(): row.service for row in rows if row.mrid is not None}
        self._by_description = {row.description: row.service for row in rows if row.description is not None}
        self._levels = levels or {}

    def service(self, program: DERProgram) -> str:
        """Give the service of a program, empty where the site file names none for it."""
        by_mrid = self._by_mrid.get(program.mrid.upper())
        return by_mrid or self._by_description.get(program.description or "", "")

    def contradictions(self, programs: Iterable[DERProgram]) -> Iterator[tuple[str, str]]:
        """Give each pair of programs that stand the other way round here than by their primacy, with a line on it.

        Our reading: of several such pairs those next to each other in the order of primacy say enough.
        """
        if not self._by_mrid and not self._by_description:
            return
        for first, second in pairwise(sorted(programs, key=lambda one: (one.primacy, self._level(one), one.mrid))):
            if first.primacy < second.primacy and self._level(first) > self._level(second):
                key = f"split of {first.mrid} and {second.mrid}"
                yield key, f"{self._named(second)} goes before {self._named(first)} here, against their primacies"

    def _level(self, program: DERProgram) -> int:
        strongest = min(self._levels.values(), default=0)
        service = self.service(program)
        return self._levels.get(service, strongest) if service else strongest

    def _named(self, program: DERProgram) -> str:
        name = program.description or program.mrid
        return f"{name} (primacy {program.primacy}, level {self._level(program)})"
