"""What the book tells: who is to know, what is reserved, and whom an outage hurts (RULES B, C7, C8, C11)."""

from commitment_world import BATTERY, DSO, HOUR_S, HUB, NOW_MS, OWNER, ROOF, TRADER, TSO, book_of, offer, promise

from gateway.core.capacity import CommitmentBook, CommitmentKey, Disclosure, Domain, Slice
from gateway.core.commitments import (
    commitments_at,
    contracted_w,
    disclosures,
    drop_ended,
    enter,
    reserved_w,
    shortfall,
    withdraw,
)
from gateway.core.parties import Direction

EXPORT, IMPORT = Direction.EXPORT, Direction.IMPORT


def at(second: int) -> int:
    return NOW_MS + second * 1000


def key(name: str) -> CommitmentKey:
    return CommitmentKey(OWNER, name)


def test_every_buyer_on_the_der_is_told_of_the_new_one_and_its_buyer_of_theirs() -> None:
    ours = promise("a", DSO, w=1_000)
    theirs = promise("b", TSO, HOUR_S, 2 * HOUR_S, w=1_000, level=5)
    elsewhere = promise("c", TSO, device=BATTERY, w=1_000, level=5)
    book = book_of([theirs, ours, elsewhere])
    new = promise("n", TRADER, w=1_000, level=7)
    expected = (
        Disclosure(DSO, ROOF, new),
        Disclosure(TRADER, ROOF, ours),
        Disclosure(TSO, ROOF, new),
        Disclosure(TRADER, ROOF, theirs),
    )
    assert disclosures(book, new, NOW_MS) == expected
    assert offer(book, new) is None
    assert disclosures(book, new, NOW_MS) == expected
    assert disclosures(book, new, at(HOUR_S)) == expected[2:]
    assert disclosures(book, promise("m", DSO, slices=(Slice(BATTERY, 1), Slice(ROOF, 1))), at(HOUR_S)) == (
        Disclosure(TSO, ROOF, promise("m", DSO, slices=(Slice(BATTERY, 1), Slice(ROOF, 1)))),
        Disclosure(DSO, ROOF, theirs),
    )


def test_what_is_reserved_and_what_is_contracted_at_an_instant() -> None:
    book = book_of(
        [
            promise("a", DSO, 0, 100, w=2_000),
            promise("b", TRADER, 50, 150, w=1_000, level=6, service="congestion"),
            promise("c", TRADER, 50, 150, w=3_000, level=6, interruptible=True),
            promise("d", DSO, 0, 100, device=HUB, direction=IMPORT, w=700),
        ]
    )
    assert [reserved_w(book, ROOF, EXPORT, at(s)) for s in (-1, 0, 49, 50, 99, 100, 149, 150)] == [
        *(0, 2_000, 2_000, 3_000, 3_000, 1_000, 1_000, 0)
    ]
    assert [reserved_w(book, ROOF, EXPORT, at(0) + ms) for ms in (-1, 0)] == [0, 2_000]
    assert reserved_w(book, ROOF, EXPORT, at(60), reliability_only=True) == 2_000
    assert reserved_w(book, ROOF, IMPORT, at(60)) == 0
    assert reserved_w(book, HUB, IMPORT, at(60)) == 700
    assert reserved_w(book, BATTERY, EXPORT, at(60)) == 0
    assert contracted_w(book, ROOF, EXPORT, at(60)) == 6_000
    assert contracted_w(book, ROOF, EXPORT, at(60), level=6) == 4_000
    assert contracted_w(book, ROOF, EXPORT, at(60), level=6, service="congestion") == 1_000
    assert contracted_w(book, ROOF, EXPORT, at(60), service="deferral") == 5_000
    assert contracted_w(book, ROOF, EXPORT, at(150), level=6) == 0
    assert [one.id for _part, one in commitments_at(book, ROOF, EXPORT, at(60))] == ["a", "b", "c"]


def test_a_ceiling_of_zero_by_the_customer_is_the_buyers_outage() -> None:
    book = book_of([promise("reserve", TSO, level=5, w=4_000)])
    (cut,) = shortfall(book, ROOF, 0, EXPORT, at(10))
    assert cut == (key("reserve"), TSO, ROOF, 4_000, 0)
    assert shortfall(book, ROOF, -3_000, EXPORT, at(10)) == (cut,)
    assert shortfall(book, ROOF, 3_999, EXPORT, at(10)) == (cut._replace(kept_w=3_999),)
    assert shortfall(book, ROOF, 4_000, EXPORT, at(10)) == ()
    assert shortfall(book, ROOF, 0, IMPORT, at(10)) == ()
    assert shortfall(book, ROOF, 0, EXPORT, at(HOUR_S)) == ()


def test_an_outage_cuts_the_weakest_first() -> None:
    book = book_of(
        [
            promise("firm", TRADER, w=1_000, level=7, created_s=0),
            promise("late", DSO, w=1_000, created_s=9),
            promise("early", TSO, w=1_000, level=5, created_s=5),
            promise("b", TSO, w=1_000, level=5, created_s=7),
            promise("a", TSO, w=1_000, level=5, created_s=7),
            promise("loose", TRADER, w=2_000, level=7, interruptible=True),
        ]
    )

    def cut(available_w: int) -> list[tuple[str, int]]:
        return [(one.key.id, one.kept_w) for one in shortfall(book, ROOF, available_w, EXPORT, at(0))]

    assert cut(5_000) == []
    assert cut(4_500) == [("firm", 500)]
    assert cut(3_200) == [("firm", 0), ("late", 200)]
    assert cut(1_500) == [("loose", 1_500), ("firm", 0), ("late", 0), ("b", 0), ("a", 500)]
    assert cut(0) == [("loose", 0), ("firm", 0), ("late", 0), ("b", 0), ("a", 0), ("early", 0)]


def test_what_is_withdrawn_or_over_is_free_again() -> None:
    bulk = Domain.RESOURCE_ADEQUACY
    slices = (Slice(ROOF, 2_000), Slice(HUB, 9_000))
    first = promise("a", TSO, 0, 100, slices=slices, level=5, domain=bulk)
    second = promise("b", TSO, 50, 150, w=1_000, level=5, domain=bulk)
    third = promise("c", TRADER, 200, 300, w=1_000, level=7, domain=bulk)
    book = book_of([first, second, third])
    load = book.loads["station", EXPORT]
    assert load.times_ms == [at(0), at(50), at(100), at(150), at(200), at(300)]
    assert load.watts == [11_000, 12_000, 1_000, 0, 1_000, 0]
    assert offer(book, promise("d", DSO, 90, 110, w=2_001)) is not None
    assert withdraw(book, key("nothing")) is None
    assert withdraw(book, first.key) == first
    assert HUB not in book.by_device
    assert load.watts == [1_000, 0, 1_000, 0]
    assert offer(book, promise("d", DSO, 90, 110, w=2_001)) is None
    assert drop_ended(book, at(149)) == (promise("d", DSO, 90, 110, w=2_001),)
    assert drop_ended(book, at(150)) == (second,)
    assert drop_ended(book, at(300)) == (third,)
    assert book == CommitmentBook()


def test_touching_windows_through_the_interface_make_no_step() -> None:
    bulk = Domain.WHOLESALE_MARKET
    touching = [promise(str(n), TSO, n * 10, n * 10 + 10, w=1_000, level=5, domain=bulk) for n in (1, 0, 2)]
    book = book_of(touching)
    assert book.loads["station", EXPORT].watts == [1_000, 0]
    withdraw(book, key("1"))
    assert book.loads["station", EXPORT].watts == [1_000, 0, 1_000, 0]


def test_entering_needs_no_interface() -> None:
    book = CommitmentBook()
    assert offer(book, promise("a", "iso", party="farmer", device="farm", domain=Domain.TRANSMISSION)) is None
    assert book.loads == {}
    other = CommitmentBook()
    for committed in book.held.values():
        enter(other, committed)
    assert other == book
