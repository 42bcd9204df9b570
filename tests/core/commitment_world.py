"""A few DER and commitments on them, with windows in whole seconds from a start that lies ahead."""

from collections.abc import Iterable

from gateway.core.authority import Refused
from gateway.core.capacity import (
    Capability,
    Commitment,
    CommitmentBook,
    Committed,
    Domain,
    InterfaceRoom,
    Slice,
    Terms,
)
from gateway.core.commitments import admit, enter
from gateway.core.parties import Direction

NOW_MS = 1_700_000_000_000
OWNER, DSO, TSO, TRADER = "aggregator", "dso", "tso", "trader"
ROOF, BATTERY, HUB, FARM = "roof", "battery", "hub", "farm"
HOUR_S = 3_600
TERMS = Terms(950, 300)
STATION = InterfaceRoom("station", export_w=12_000, import_w=None)

CAPABILITIES = {
    one.device: one
    for one in (
        Capability(ROOF, OWNER, Domain.CUSTOMER, 5_000, interface=STATION),
        Capability(BATTERY, OWNER, Domain.CUSTOMER, 5_000, 5_000, 10_000, STATION),
        Capability(HUB, OWNER, Domain.DISTRIBUTION, 10_000, 4_000, interface=STATION),
        Capability(FARM, "farmer", Domain.TRANSMISSION, 50_000),
    )
}


def promise(
    name: str,
    buyer: str = DSO,
    start_s: int = 0,
    end_s: int = HOUR_S,
    *,
    w: int = 5_000,
    wh: int | None = None,
    device: str = ROOF,
    party: str = OWNER,
    level: int = 4,
    reliability: bool | None = None,
    slices: tuple[Slice, ...] | None = None,
    direction: Direction = Direction.EXPORT,
    domain: Domain = Domain.DISTRIBUTION,
    terms: Terms | None = TERMS,
    interruptible: bool = False,
    created_s: int = 0,
    service: str = "deferral",
) -> Commitment:
    return Commitment(
        party=party,
        id=name,
        buyer=buyer,
        service=service,
        level=level,
        reliability=level <= 5 if reliability is None else reliability,
        slices=(Slice(device, w, wh),) if slices is None else slices,
        direction=direction,
        start_ms=NOW_MS + start_s * 1000,
        end_ms=NOW_MS + end_s * 1000,
        domain=domain,
        terms=terms,
        created_ms=NOW_MS + created_s * 1000,
        interruptible=interruptible,
    )


def offer(book: CommitmentBook, commitment: Commitment, now_s: int = 0) -> Refused | None:
    """Admit and enter; give the refusal, and see that it disturbed nothing."""
    before = repr(book)
    answer = admit(book, commitment, CAPABILITIES, NOW_MS + now_s * 1000)
    assert repr(book) == before
    if isinstance(answer, Committed):
        enter(book, answer)
        return None
    return answer


def book_of(commitments: Iterable[Commitment]) -> CommitmentBook:
    book = CommitmentBook()
    for one in commitments:
        assert offer(book, one) is None
    return book
