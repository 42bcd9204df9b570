"""The mutants that change nothing, each with the reason why, as equivalent.toml lists them."""

import tomllib
from pathlib import Path
from typing import NamedTuple

LIST = Path(__file__).with_name("equivalent.toml")


class Mutant(NamedTuple):
    """A change in one function (`module.name` or `module.Class.name`): what its lines were and what they became."""

    function: str
    was: str
    becomes: str

    @property
    def module(self) -> str:
        return self.function.split(".")[0]


def listed() -> dict[Mutant, str]:
    """Give the mutants that change nothing, each with the reason why."""
    rows = tomllib.loads(LIST.read_text(encoding="utf-8"))["equivalent"]
    return {Mutant(row["function"], was, becomes): row["why"] for row in rows for was, becomes in row["changes"]}
