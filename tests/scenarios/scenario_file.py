"""A scenario as its folder states it: a site file with open places, a timeline, and what the rules demand."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

HOME = Path(__file__).parent
_PLACE = re.compile(r"@([A-Za-z0-9_.-]+)@")
Value = int | float | bool | str | list[str] | dict[str, Any]
Effects = dict[str, Value]


class Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A table of the timeline; a key that it does not know is an error."""


class Program(Strict):
    """A program of a party's 2030.5 server; no resources means all of the site."""

    party: str
    name: str
    primacy: int = 1
    resources: tuple[str, ...] = ()
    default: Effects | None = None


class OrderStep(Strict):
    """An order: of a program over the party's 2030.5 server, or of a party on a group over the local API."""

    id: str
    effects: Effects
    start_s: int
    end_s: int | None = None
    program: str = ""
    party: str = ""
    group: str = ""
    scope: Literal["each", "total"] = "each"
    rank: int = 1
    version: int = 0
    created_s: int | None = None
    service: str = ""
    ramp_s: int = 0

    @property
    def issuer(self) -> str:
        return self.party or self.program.partition("/")[0]


class CancelStep(Strict):
    id: str
    party: str


class DefaultStep(Strict):
    program: str
    effects: Effects


class ContactStep(Strict):
    party: str
    link: Literal["lost", "back"]


class DeviceStep(Strict):
    name: str
    link: Literal["lost", "back"] | None = None
    available_w: int | None = None
    ignores: bool | None = None


class ForeignStep(Strict):
    """Somebody writes a device's limit (W) past the gateway."""

    device: str
    limit_w: int


class ColourStep(Strict):
    party: str
    segment: str
    colour: Literal["green", "amber", "red"]
    until_s: int
    constrained: Literal["export", "import"] | None = None


class NetworkStep(Strict):
    party: str
    points: tuple[str, ...]
    validated: bool
    why: str


class RestartStep(Strict):
    """The gateway is killed, and started again after so many seconds."""

    down_s: int = 0


class OffsetStep(Strict):
    """How far a party's clock is ahead from now on (s)."""

    party: str
    offset_s: int


class TradeStep(Strict):
    """A commitment or an offer as the local API takes it; instants end in `_s` and count as the timeline does."""

    party: str
    says: dict[str, Any]


class Step(Strict):
    """One happening at a second of the timeline."""

    at_s: int
    order: OrderStep | None = None
    cancel: CancelStep | None = None
    unlist: CancelStep | None = None
    default: DefaultStep | None = None
    contact: ContactStep | None = None
    device: DeviceStep | None = None
    foreign: ForeignStep | None = None
    colour: ColourStep | None = None
    network: NetworkStep | None = None
    restart: RestartStep | None = None
    offset: OffsetStep | None = None
    commitment: TradeStep | None = None
    offer: TradeStep | None = None
    dispatch: TradeStep | None = None

    def __post_init__(self) -> None:
        given = [name for name in Step.__struct_fields__[1:] if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one happening; got {', '.join(given) or 'none'}")


class Timeline(Strict):
    """What happens: `also` names the topics of records that count beside rulings and answers.

    `impostors` are parties whose server shows another certificate than the one that the site file pins, `differs` is
    why a run is known not to do what the rules say, by "core", "daemon" or "both"; `core_only` is why the daemon does
    not play it. `cannot` is which modes a device has no way to carry, and why. `quarter_s` is where on the timeline
    a quarter of an hour is full. `kinds` is the kind of simulated inverter that a device is on the daemon.
    """

    says: str
    end_s: int
    also: tuple[str, ...] = ()
    impostors: tuple[str, ...] = ()
    available_w: dict[str, int] = {}
    kinds: dict[str, str] = {}
    rate: float = 15.0
    late_s: int = 45
    quarter_s: int | None = None
    differs: dict[str, str] = {}
    core_only: str = ""
    cannot: dict[str, dict[str, str]] = {}
    program: tuple[Program, ...] = ()
    step: tuple[Step, ...] = ()


class Expected(Strict):
    """One line of what must come out: a ruling, an answer, or a record of another topic."""

    at_s: int
    rule: str
    resource: str = ""
    function: str = ""
    value: int | None = None
    binding: str = ""
    order: str = ""
    answer: str = ""
    told: str = ""
    name: str = ""
    effect: str = ""


class Case(NamedTuple):
    """One scenario and its folder."""

    name: str
    folder: Path

    def timeline(self) -> Timeline:
        """Give the timeline; raises msgspec.ValidationError where it is not one."""
        return msgspec.convert(tomllib.loads((self.folder / "timeline.toml").read_text()), Timeline)

    def expected(self) -> list[Expected]:
        """Give what must come out."""
        lines = (self.folder / "expected.jsonl").read_text().splitlines()
        return [msgspec.convert(json.loads(line), Expected) for line in lines if line.strip()]

    def site_text(self) -> str:
        """Give the site file as written, of this folder or of the one around it."""
        own = self.folder / "site.toml"
        return (own if own.exists() else self.folder.parent / "site.toml").read_text()

    def fill(self, places: Mapping[str, str]) -> str:
        """Give the site file with its open places filled."""
        return _PLACE.sub(lambda found: places[found[1]], self.site_text())


class Shape:
    """What the runners need of a site file before its places are filled."""

    def __init__(self, text: str) -> None:
        raw = tomllib.loads(_PLACE.sub("1", text))
        self.places = frozenset(_PLACE.findall(text))
        self.devices: dict[str, dict[str, Any]] = {each["name"]: each for each in raw["device"]}
        self.resources: dict[str, dict[str, Any]] = {each["name"]: each for each in raw["resource"]}
        self.servers: dict[str, dict[str, Any]] = {each["party"]: each for each in raw.get("sep2_client", [])}
        self.parties: tuple[str, ...] = tuple(each["name"] for each in raw["party"])
        self.speakers: tuple[str, ...] = tuple(each["name"] for each in raw["party"] if "token_file" in each)

    @cached_property
    def rated_w(self) -> dict[str, int]:
        return {name: int(each["rated_w"]) for name, each in self.devices.items()}


def cases() -> Iterator[Case]:
    """Give every scenario by folder: A1 to A7, B, C1 to C19, E."""
    for file in sorted(HOME.rglob("timeline.toml"), key=lambda found: _in_order(found.parent)):
        yield Case(file.parent.relative_to(HOME).as_posix(), file.parent)


def _in_order(folder: Path) -> tuple[str, int, str]:
    name = folder.relative_to(HOME).as_posix()
    rule = re.match(r"([A-Z])(\d*)", name)
    return (name, 0, "") if rule is None else (rule[1], int(rule[2] or 0), name)
