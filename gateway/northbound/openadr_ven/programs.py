"""The programs of a VTN, and those of them whose events are obeyed."""

from collections.abc import Iterable

from gateway.northbound.openadr_ven.exchange import VtnFault
from gateway.northbound.openadr_ven.reader import Lister
from gateway.northbound.openadr_ven.said import Said
from gateway.wire.openadr3 import Program, WireFault, decode_one


class Programs:
    """The programs as they were read last."""

    def __init__(self, named: Iterable[str], lister: Lister, said: Said) -> None:
        """Obey the events of these programs (names or ids), of all where none is named."""
        self.listed: dict[str, Program] = {}
        self.whole = False
        self._named = tuple(named)
        self._lister = lister
        self._said = said
        self._chosen: frozenset[str] = frozenset()

    def chosen(self, program: str) -> bool:
        """Tell whether the events of a program are obeyed."""
        return not self._named or program in self._chosen

    async def read(self, targets: Iterable[str]) -> None:
        """Read the programs, by these targets too; those that cannot be read stay as they were.

        Raises VtnDown, and VtnFault where none was ever read.
        """
        self.whole = False
        try:
            pages = await self._lister.read("/programs", targets)
        except VtnFault as fault:
            if not self.listed:
                raise
            self._said.amiss("programs", f"{fault}; programs are taken as they were", "programs are read again")
            return
        self.whole = not pages.lacking
        if pages.lacking:
            self._said.amiss("programs", f"the list of programs {pages.lacking}; it is taken as it is")
        found: dict[str, Program] = {}
        for name, item in pages.items:
            try:
                program = decode_one(item, Program)
            except WireFault as fault:
                self._said.amiss(f"program {name}", f"program {name[:40]!a} is passed over: {fault}")
                self.whole = False
                if name in self.listed:
                    found[name] = self.listed[name]
                continue
            found[program.id] = program
        self.listed = found
        self._choose()

    def _choose(self) -> None:
        by_name = {program.program_name: program.id for program in self.listed.values()}
        self._chosen = frozenset(by_name.get(name, name) for name in self._named)
        for name in self._named:
            if name not in by_name and name not in self.listed:
                self._said.amiss(f"named {name}", f'program "{name}" is not listed', f'program "{name}" is listed')
