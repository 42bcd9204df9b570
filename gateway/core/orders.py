"""Orders: who asks for what, from whom, when and at what rank (DESIGN 1)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gateway.core.functions import Function
from gateway.core.modes import Mode
from gateway.core.units import Power


@dataclass(frozen=True, slots=True)
class Ceiling:
    """No more power than this at the function's point; never an order to run the other way (C2)."""

    function: Function
    power: Power


@dataclass(frozen=True, slots=True)
class Floor:
    """No less power than this (an import or load limit is a negative floor)."""

    function: Function
    power: Power


@dataclass(frozen=True, slots=True)
class Target:
    """Run at this active power, inside all limits."""

    power: Power
    function: Function = Function.ACTIVE_POWER


@dataclass(frozen=True, slots=True)
class Connect:
    """Be connected, or galvanically not."""

    on: bool
    function: Function = Function.CONNECT


@dataclass(frozen=True, slots=True)
class Energize:
    """Be allowed to energize the point of connection, or cease to."""

    on: bool
    function: Function = Function.ENERGIZE


@dataclass(frozen=True, slots=True)
class Release:
    """Empty the slot of this function: its default holds again. A value of 100 % is a value, not a release (C13)."""

    function: Function


@dataclass(frozen=True, slots=True)
class Price:
    """What energy costs or pays now, in thousandths of the currency per MWh; it moves the customer's own preference."""

    milli_per_mwh: int
    function: Function = Function.PRICE


Effect = Ceiling | Floor | Target | Connect | Energize | Release | Price | Mode


@dataclass(frozen=True, slots=True)
class Each:
    """Every resource of the group obeys."""

    group: str


@dataclass(frozen=True, slots=True)
class Total:
    """The group obeys in sum."""

    group: str


Scope = Each | Total


class Tie(StrEnum):
    """What decides between equal precedences of one server before the smaller id does (C4)."""

    LATER_CREATION = "later-creation"
    TIGHTER_LIMIT = "tighter-limit"


NO_PRIORITY = 1 << 62
"""The precedence of what bears no priority: weaker than every number that a protocol can carry."""


class Rank(NamedTuple):
    """Strength inside one slot (C3, C4): the smaller precedence, then what `tie` says, then the smaller id.

    `created_ms` is on the order's clock; where `tie` prefers the tighter limit it decides between set-points.
    """

    precedence: int
    created_ms: int
    tie: Tie = Tie.LATER_CREATION


@dataclass(frozen=True, slots=True)
class Reply:
    """Where an issuer wants its answers, and which of them it asked for.

    `at` gives the resources whose answers go elsewhere than `to`, each with where.
    """

    to: str = ""
    receipt: bool = False
    progress: bool = False
    at: tuple[tuple[str, str], ...] = ()


class OrderKey(NamedTuple):
    """What names an order: its issuer and the issuer's id."""

    issuer: str
    id: str


@dataclass(frozen=True, slots=True)
class Order:
    """One instruction from a party.

    `start_ms` and `end_ms` are on the issuer's clock, or on that of its clocks which `clock` names; the end is
    exclusive and None means for ever. `received_ms` is ours. `draw` is the one 64-bit random number of the order, from
    which each resource's offsets are hashed. `uncarried` names what the issuer asked for beside the effects and this
    gateway cannot carry. `service` is what it is for, where the issuer's programs are told apart; empty, it stands at
    the strongest level that its issuer has.
    It `joins` where it starts at the end of another one, whatever the two draw.
    """

    issuer: str
    id: str
    version: int
    scope: Scope
    effects: tuple[Effect, ...]
    start_ms: int
    end_ms: int | None
    rank: Rank
    received_ms: int
    draw: int = 0
    randomize_start_ms: int = 0
    randomize_duration_ms: int = 0
    ramp_ms: int = 0
    reply: Reply = Reply()
    uncarried: tuple[str, ...] = ()
    service: str = ""
    clock: str = ""
    joins: bool = False

    @property
    def key(self) -> OrderKey:
        """The order's name."""
        return OrderKey(self.issuer, self.id)


@dataclass(frozen=True, slots=True)
class Default:
    """What holds in a party's slots while none of its orders is in force there (C5, C14).

    `gradient_hundredths_per_s` (hundredths of a percent of the rating a second) is how fast power may move (C16).
    """

    issuer: str
    id: str
    group: str
    precedence: int
    effects: tuple[Effect, ...]
    gradient_hundredths_per_s: int | None = None
    service: str = ""
