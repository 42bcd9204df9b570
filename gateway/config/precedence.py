"""A DSO's profile: the order of levels 4 to 7 in each network state, and services that go before others (RULES B)."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

from gateway.config.faults import Faults, quoted, suggestion
from gateway.config.lines import Lines
from gateway.config.shipped import profiles
from gateway.config.tables import Entry, Reader
from gateway.core.parties import Colour, Direction, Precedence, Preference

SERVICES: Final = "services"
"""The one file beside the shipped profiles that is none."""
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")

Strength = Annotated[int, (4, 7)]


@dataclass(frozen=True, slots=True)
class Strengths:
    """How strong each level is in one network state: the smaller goes first, equal ones stand side by side."""

    dso_reliability: Strength
    bulk_reliability: Strength
    dso_flexibility: Strength
    market: Strength

    def in_order(self) -> tuple[int, int, int, int]:
        """Give them by level, 4 to 7."""
        return (self.dso_reliability, self.bulk_reliability, self.dso_flexibility, self.market)


@dataclass(frozen=True, slots=True)
class Prefer:
    """A service that goes before another whatever their levels; without direction or state it does so in any."""

    winner: str
    loser: str
    direction: Direction | None = None
    state: Colour | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile as its file has it."""

    green: Strengths
    amber: Strengths
    red: Strengths
    prefer: tuple[Prefer, ...] = field(default=())


def find(name: str, folder: Path) -> Precedence | str:
    """Find a profile: a shipped one by its name, or a file relative to `folder`; a text says what is wrong with it."""
    if name.endswith(".toml") or "/" in name:
        return read(folder / name)
    known = {path.stem: path for path in sorted((profiles() / "dso").glob("*.toml")) if path.stem != SERVICES}
    if name not in known:
        return f"no profile is named {quoted(name)}; {suggestion(name, known)}"
    return read(known[name])


def read(path: Path) -> Precedence | str:
    """Read a profile; a text is the one line that says what is wrong with it, and where."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return f"{path}: not UTF-8; save it in that encoding"
    except (ValueError, RecursionError) as error:
        place = _PLACE.search(str(error))
        line = place[1] if place and place[1] else 1
        return f"{path}:{line}: not TOML: {_PLACE.sub('', str(error)) or 'too deeply nested'}"
    faults = Faults(str(path), Lines(text))
    entry = Entry((), "profile", raw)
    Reader(faults, path.parent).entry(Profile, entry, {})
    found = faults.in_order()
    return str(found[0]) if found else _built(Profile(**entry.values))


def _built(profile: Profile) -> Precedence:
    return Precedence(
        profile.green.in_order(),
        profile.amber.in_order(),
        profile.red.in_order(),
        tuple(Preference(row.winner, row.loser, row.direction or "", row.state or "") for row in profile.prefer),
    )
