"""What happens to the machine (events) and what it wants done (effects); both are journalled as values."""

from enum import StrEnum
from typing import NamedTuple

from gateway.core.alarms import Alarm, Notice
from gateway.core.answers import Answer
from gateway.core.capacity import Commitment
from gateway.core.feeder import Certified, NotCertified, Validate
from gateway.core.functions import Function
from gateway.core.guard import Cleared
from gateway.core.known import Reading, Unknown
from gateway.core.offers import Offer
from gateway.core.orders import Default, Order, Reply
from gateway.core.parties import Colour, Direction
from gateway.core.topology import Site


class Started(NamedTuple):
    """The process started on this site; contact with every party is unproven until it is read again (C14)."""

    site: Site


class Assigned(NamedTuple):
    """A party said which resources a group of its own stands for."""

    issuer: str
    group: str
    resources: tuple[str, ...]


class OrderHeard(NamedTuple):
    """A party sent an order."""

    order: Order


class OrderUnreadable(NamedTuple):
    """A party sent something that names itself an order and cannot be read; it is answered all the same."""

    issuer: str
    id: str
    group: str
    why: str
    reply: Reply


class Withdrawal(StrEnum):
    """How a party ends an order before its time."""

    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


class Withdrawn(NamedTuple):
    """A party ended its order, within `spread_ms` at random where it asked for that."""

    issuer: str
    id: str
    how: Withdrawal
    spread_ms: int


class DefaultHeard(NamedTuple):
    """A party sent what holds while none of its orders does."""

    default: Default


class Contact(NamedTuple):
    """A complete read of a party's orders succeeded; without another one within `window_ms` contact is lost (C14)."""

    issuer: str
    window_ms: int


class Offset(NamedTuple):
    """A party's clock minus ours, in ms (C17); `clock` names one that it has beside its own, empty is its own."""

    issuer: str
    offset_ms: int
    clock: str = ""


class Coloured(NamedTuple):
    """The limit parent set the colour of a segment until an instant (ms); red bars one direction (C11)."""

    issuer: str
    segment: str
    colour: Colour
    constrained: Direction | None
    until_ms: int


class CommitmentHeard(NamedTuple):
    """A party promises capacity of its DER to a buyer (C8)."""

    commitment: Commitment


class CommitmentEnded(NamedTuple):
    """A party takes its promise back."""

    party: str
    id: str


class OfferHeard(NamedTuple):
    """A party offers capacity at the T-D interface."""

    offer: Offer


class OfferWithdrawn(NamedTuple):
    """A party takes its offer back."""

    party: str
    id: str


class NetworkChanged(NamedTuple):
    """A switch, tap mode or model changed at these points; `validated` once they were looked at again (C19)."""

    issuer: str
    points: tuple[str, ...]
    validated: bool
    why: str


class LinkUp(NamedTuple):
    """A device was found and its settings read: the most it generates and charges now (W), where it says."""

    device: str
    generation_max_w: Reading
    charge_max_w: Reading


class LinkDown(NamedTuple):
    """A device is out of reach."""

    device: str
    why: str


class Adopted(NamedTuple):
    """A device reads back what the command of this serial asked for.

    `cannot` gives the functions of the command's modes that it has no way to carry, or that it refused, and why: there
    it is left as it was.
    """

    device: str
    serial: int
    cannot: tuple[tuple[Function, str], ...] = ()


class NotAdopted(NamedTuple):
    """A device refused the command of this serial, or reads back something else."""

    device: str
    serial: int
    why: str


class ForeignHand(NamedTuple):
    """A device reads back what neither it nor this gateway put there (A7)."""

    device: str
    why: str


NOT_STORED = Unknown("the device says nothing of what it has stored", 0)


class Observed(NamedTuple):
    """A reading past its dead band: power (W), reactive power (var) and voltage (mV), and whether it is connected.

    `stored` is the energy that can be taken out (Wh), where the device stores any.
    """

    device: str
    power: Reading
    reactive: Reading
    voltage: Reading
    connected: bool | None
    stored: Reading = NOT_STORED


NOT_METERED = Unknown("the meter says nothing of it", 0)


class MeterRead(NamedTuple):
    """A reading of the meter at a resource's connection point (W); positive goes out into the grid.

    `reactive` (var, positive out as well) and `voltage` (mV) are for the tier above alone.
    """

    resource: str
    power: Reading
    reactive: Reading = NOT_METERED
    voltage: Reading = NOT_METERED


class Alarmed(NamedTuple):
    """A device says which faults it has now, all of them; any other that it had is over."""

    device: str
    faults: tuple[Alarm, ...]


class Reported(NamedTuple):
    """The notice of this serial was taken in, or never can be."""

    serial: int


class Delivered(NamedTuple):
    """The issuer has acknowledged the answer of this serial."""

    serial: int


class Tick(NamedTuple):
    """Time has passed."""


Event = (
    Started
    | Assigned
    | OrderHeard
    | OrderUnreadable
    | Withdrawn
    | DefaultHeard
    | Contact
    | Offset
    | Coloured
    | NetworkChanged
    | Certified
    | NotCertified
    | CommitmentHeard
    | CommitmentEnded
    | OfferHeard
    | OfferWithdrawn
    | LinkUp
    | LinkDown
    | Adopted
    | NotAdopted
    | ForeignHand
    | Observed
    | MeterRead
    | Alarmed
    | Reported
    | Delivered
    | Tick
)


class Write(NamedTuple):
    """Tell a device; its link keeps wanting this until it is given another."""

    cleared: Cleared


class Owe(NamedTuple):
    """Send this answer until it is acknowledged."""

    answer: Answer


class Topic(StrEnum):
    """What a record tells of."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    RULED = "ruled"
    COMMANDED = "commanded"
    BLOCKED = "blocked"
    ANSWERED = "answered"
    VERIFIED = "verified"
    NOT_ADOPTED = "not-adopted"
    CONTACT = "contact"
    LINK = "link"
    DEFAULT = "default"
    CLIPPED = "clipped"
    SHARED = "shared"
    UNMET = "unmet"
    CURTAILED = "curtailed"
    METERED = "metered"
    COLOUR = "colour"
    NETWORK = "network"
    BYPASS = "bypass"
    COMMITTED = "committed"
    DISCLOSED = "disclosed"
    OUTAGE = "outage"
    OFFERED = "offered"
    AWARDED = "awarded"
    ACCOUNTED = "accounted"
    ALARM = "alarm"


class Report(NamedTuple):
    """Send this notice until it is taken in; then `Reported` is heard."""

    notice: Notice


class Tell(NamedTuple):
    """One record of a decision, in columns: `names` (resources or devices) and, where it has them, their `values`."""

    topic: Topic
    at_ms: int
    order: str
    function: str
    rule: str
    effect: str
    names: tuple[str, ...]
    values: tuple[int, ...]
    why: str


class Pause(NamedTuple):
    """Nothing: much is being decided, and whoever performs may look at other things before asking for what follows."""


Effect = Write | Validate | Owe | Report | Tell | Pause
