"""What may be promised of a DER, and by which rule the rest is refused (RULES C7, C8, A5, A6)."""

import pytest
from commitment_world import BATTERY, DSO, FARM, HOUR_S, HUB, NOW_MS, OWNER, ROOF, TRADER, TSO, book_of, offer, promise

from gateway.core.capacity import Capability, Commitment, CommitmentBook, Committed, Domain, Slice, Terms
from gateway.core.commitments import admit, enter, serves
from gateway.core.parties import Direction

IMPORT = Direction.IMPORT
SOLD = "sold as a reliability service, and those are levels 4 and 5; offer it "


@pytest.mark.parametrize(
    ("commitment", "rule", "why"),
    [
        pytest.param(promise("x", slices=()), "C8", "at least one", id="no DER"),
        pytest.param(promise("x", slices=(Slice(ROOF, 1), Slice(ROOF, 2))), "C8", "once", id="one DER twice"),
        pytest.param(promise("x", start_s=9, end_s=9), "C8", "ends before it begins", id="empty window"),
        pytest.param(promise("x", start_s=-1), "A5", "begins 1 s in the past", id="past"),
        pytest.param(promise("x", level=3), "C8", "nothing is sold at level 3", id="level 3"),
        pytest.param(promise("x", level=9), "C8", "nothing is sold at level 9", id="level 9"),
        pytest.param(
            promise("x", level=6, reliability=True),
            "C7",
            f"level 6 is {SOLD}at level 4 or 5, or not as one",
            id="reliability at level 6",
        ),
        pytest.param(
            promise("x", level=5, reliability=False),
            "C7",
            f"level 5 is not {SOLD}as one, or at level 6 to 8",
            id="no reliability at level 5",
        ),
        pytest.param(promise("x", interruptible=True), "C7", "CPUC rule 5", id="interruptible reliability"),
        pytest.param(promise("x", w=0), "C8", "0 W is no capacity", id="no power"),
        pytest.param(promise("x", w=-5), "C8", "-5 W is no capacity", id="negative power"),
        pytest.param(promise("x", wh=0), "C8", "0 Wh", id="no energy"),
        pytest.param(promise("x", wh=5_001), "C8", "5001 Wh", id="energy beyond power times window"),
        pytest.param(promise("x", terms=None), "C8", "CPUC rule 8", id="no terms"),
        pytest.param(promise("x", terms=Terms(0, 1)), "C8", "CPUC rule 8", id="no availability"),
        pytest.param(promise("x", terms=Terms(1001, 1)), "C8", "CPUC rule 8", id="availability past all"),
        pytest.param(promise("x", terms=Terms(1000, 0)), "C8", "CPUC rule 8", id="no penalty"),
        pytest.param(promise("x", device="shed"), "A6", "shed is not aggregator's", id="unknown DER"),
        pytest.param(promise("x", device=FARM), "A6", "farm is not aggregator's", id="someone else's DER"),
        pytest.param(promise("x", slices=(Slice(ROOF, 1), Slice(FARM, 1))), "A6", "farm", id="one of two is another's"),
        pytest.param(
            promise("x", device=HUB, domain=Domain.CUSTOMER), "C8", "CPUC rule 2", id="distribution to customer"
        ),
        pytest.param(promise("x", device=FARM, party="farmer"), "C8", "CPUC rule 3", id="transmission to distribution"),
        pytest.param(promise("x", w=5_001), "C8", "CPUC rule 7: roof can export 5000 W", id="nameplate"),
        pytest.param(promise("x", w=1, direction=IMPORT), "C8", "roof can import 0 W", id="roof cannot import"),
        pytest.param(promise("x", device=BATTERY, end_s=2 * HOUR_S + 1), "C8", "battery stores 10000 Wh", id="store"),
    ],
)
def test_what_is_refused_by_itself(commitment: Commitment, rule: str, why: str) -> None:
    book = CommitmentBook()
    refused = offer(book, commitment)
    assert refused is not None
    assert (refused.rule, why in refused.why) == (rule, True), refused
    assert book == CommitmentBook()


def test_the_edges_of_what_may_be_promised() -> None:
    assert offer(CommitmentBook(), promise("x", start_s=0, terms=Terms(1000, 1))) is None
    assert offer(CommitmentBook(), promise("x", wh=5_000, terms=Terms(1, 1))) is None
    assert offer(CommitmentBook(), promise("x", level=8)) is None
    assert offer(CommitmentBook(), promise("x", device=BATTERY, end_s=2 * HOUR_S)) is None
    assert offer(CommitmentBook(), promise("x", w=1, wh=1)) is None
    # one ms in the past is told as one second, never as none
    for late_ms, told in ((1, "begins 1 s"), (1_000, "begins 1 s"), (2_000_001, "begins 2001 s")):
        assert told in str(admit(CommitmentBook(), promise("x"), {}, NOW_MS + late_ms))


def test_where_a_connection_lets_a_der_serve() -> None:
    may = {(here, there): serves(here, there) for here in list(Domain)[:3] for there in Domain}
    assert {pair: rule for pair, rule in may.items() if rule} == {
        (Domain.DISTRIBUTION, Domain.CUSTOMER): 2,
        (Domain.TRANSMISSION, Domain.CUSTOMER): 3,
        (Domain.TRANSMISSION, Domain.DISTRIBUTION): 3,
    }
    assert offer(CommitmentBook(), promise("x", device=FARM, party="farmer", domain=Domain.TRANSMISSION)) is None


def test_the_same_kw_to_two_buyers_is_refused_though_they_share_one_second_only() -> None:
    book = book_of([promise("a", DSO, 0, 100)])
    refused = offer(book, promise("b", TSO, 99, 200, level=5))
    assert refused is not None
    assert refused.rule == "C8"
    assert "CPUC rule 6: roof has 0 W free beside what dso bought, not 5000 W" in refused.why
    assert offer(book, promise("c", TSO, 100, 200, level=5)) is None
    assert offer(book, promise("d", TSO, 199, 300, level=5)) is not None


def test_distinct_parts_of_one_der_may_be_sold_apart() -> None:
    book = book_of([promise("a", DSO, w=3_000), promise("b", TSO, w=1_500, level=5)])
    refused = offer(book, promise("c", TRADER, w=501, level=7))
    assert refused is not None
    assert "500 W free beside what dso, tso bought" in refused.why
    assert offer(book, promise("c", TRADER, w=500, level=7)) is None


def test_what_is_free_is_judged_at_each_instant_and_not_over_the_window() -> None:
    book = book_of([promise("a", DSO, 0, 50, w=4_000), promise("b", TSO, 50, 100, w=4_000, level=5)])
    assert offer(book, promise("c", TRADER, 0, 100, w=1_000, level=7)) is None
    assert offer(book, promise("d", TRADER, 49, 50, w=1, level=7)) is not None


def test_one_buyer_is_not_sold_the_same_kw_twice_either() -> None:
    assert offer(book_of([promise("a")]), promise("b", w=1)) is not None


def test_only_what_is_interruptible_shares_its_kw() -> None:
    book = book_of([promise("a")])
    assert offer(book, promise("b", TRADER, level=7, interruptible=True)) is None
    assert offer(book, promise("c", TSO, level=7, interruptible=True)) is None
    too_much = offer(book, promise("d", TSO, level=7, interruptible=True, w=5_001))
    assert too_much is not None
    assert "CPUC rule 7" in too_much.why
    assert offer(book_of([promise("b", TRADER, level=7, interruptible=True)]), promise("a")) is None


def test_a_der_is_not_firmly_sold_both_ways_at_once() -> None:
    book = book_of([promise("a", TSO, level=5, device=HUB, w=100)])
    refused = offer(book, promise("b", DSO, device=HUB, direction=IMPORT, w=100))
    assert refused is not None
    assert "CPUC rule 6: hub is promised to tso for export" in refused.why
    assert offer(book, promise("c", TSO, level=5, device=HUB, direction=IMPORT, w=100)) is None
    assert offer(book, promise("d", DSO, HOUR_S, 2 * HOUR_S, device=HUB, direction=IMPORT, w=100)) is None
    loose = promise("e", TRADER, device=HUB, direction=IMPORT, w=100, level=7, interruptible=True)
    assert offer(book, loose) is None
    assert offer(book, promise("f", TSO, 0, 10, level=5, device=HUB, w=100)) is None


def test_stored_energy_is_not_promised_twice() -> None:
    book = book_of([promise("a", DSO, 0, 4 * HOUR_S, device=BATTERY, w=2_000, wh=6_000)])
    refused = offer(book, promise("b", TSO, 3 * HOUR_S, 5 * HOUR_S, device=BATTERY, w=3_000, wh=4_001, level=5))
    assert refused is not None
    assert "CPUC rule 6: battery has 4000 Wh free beside what dso bought" in refused.why
    assert offer(book, promise("b", TSO, 3 * HOUR_S, 5 * HOUR_S, device=BATTERY, w=3_000, wh=4_000, level=5)) is None


def test_a_store_must_have_time_to_refill_between_windows() -> None:
    first = promise("a", DSO, 0, 2 * HOUR_S, device=BATTERY)

    def after(gap_s: int) -> Commitment:
        return promise("b", TSO, 2 * HOUR_S + gap_s, 4 * HOUR_S + gap_s, device=BATTERY, level=5)

    refused = offer(book_of([first]), after(2 * HOUR_S - 1))
    assert refused is not None
    assert "CPUC rule 6: battery cannot refill its 10000 Wh" in refused.why
    assert offer(book_of([first]), after(2 * HOUR_S)) is None
    assert offer(book_of([after(2 * HOUR_S)]), first) is None
    assert offer(book_of([after(2 * HOUR_S - 1)]), first) is not None
    # what is over no longer counts, what flows the other way and what is interruptible does not either
    assert offer(book_of([first]), after(0), now_s=2 * HOUR_S) is None
    loose = promise("a", DSO, 0, 2 * HOUR_S, device=BATTERY, level=6, interruptible=True)
    assert offer(book_of([loose]), after(0)) is None
    charging = promise("a", DSO, 0, 2 * HOUR_S, device=BATTERY, direction=IMPORT)
    assert offer(book_of([charging]), after(0)) is None


def test_a_window_inside_another_is_not_held_to_refill_what_both_can_have() -> None:
    book = book_of([promise("a", DSO, 0, 20 * HOUR_S, device=BATTERY, w=4_000, wh=9_000)])
    inside = promise("b", TSO, 19 * HOUR_S, 20 * HOUR_S, device=BATTERY, w=1_000, wh=1_000, level=5)
    assert offer(book, inside) is None


def test_refilling_is_judged_to_the_second_where_windows_lie_inside_others() -> None:
    outer = promise("a", DSO, 0, 2 * HOUR_S, device=BATTERY, w=4_500)
    inner = promise("b", TSO, HOUR_S, 2 * HOUR_S, device=BATTERY, w=500, level=5)

    def last(start_s: int) -> Commitment:
        return promise("c", TRADER, start_s, start_s + HOUR_S, device=BATTERY, level=7)

    # 9.5 kWh and 5 kWh of a 10 kWh store: 4.5 kWh refilled at 5 kW, 0.9 h, and 2.9 h of giving
    assert offer(book_of([outer, inner]), last(10_080)) is None
    assert offer(book_of([outer, inner]), last(10_079)) is not None
    assert offer(book_of([last(10_080), inner]), outer) is None
    assert offer(book_of([last(10_079), inner]), outer) is not None


def test_a_window_inside_a_longer_one_owes_nothing_of_what_is_given_after_its_own_end() -> None:
    slow = {BATTERY: Capability(BATTERY, OWNER, Domain.CUSTOMER, 1_000, 1_000, 8_000)}
    book = CommitmentBook()
    for one in (
        promise("a", DSO, 0, 14 * HOUR_S, device=BATTERY, w=500),
        promise("b", TSO, HOUR_S, 3 * HOUR_S, device=BATTERY, w=500, level=5),
    ):
        admitted = admit(book, one, slow, NOW_MS)
        assert isinstance(admitted, Committed)
        enter(book, admitted)


@pytest.mark.parametrize(("start_s", "taken"), [(0, True), (1, False)])
def test_a_store_may_be_emptied_to_the_last_watt_second(start_s: int, taken: bool) -> None:
    """8 kWh in 8 hours of a 4 kWh store, which gives at 2 kW and refills at 1 kW while it does not give."""
    small = {BATTERY: Capability(BATTERY, OWNER, Domain.CUSTOMER, 2_000, 1_000, 4_000)}
    book = CommitmentBook()
    for one in (
        promise("a", DSO, HOUR_S, 3 * HOUR_S, device=BATTERY, w=500, wh=1_000),
        promise("b", TSO, 4 * HOUR_S, 8 * HOUR_S, device=BATTERY, w=1_000, level=5),
    ):
        admitted = admit(book, one, small, NOW_MS)
        assert isinstance(admitted, Committed)
        enter(book, admitted)
    last = promise("c", DSO, start_s, 4 * HOUR_S, device=BATTERY, w=1_000, wh=3_000)
    assert isinstance(admit(book, last, small, NOW_MS), Committed) is taken


def test_a_store_that_cannot_run_the_other_way_is_taken_at_its_word() -> None:
    fed_by_sun = {BATTERY: Capability(BATTERY, OWNER, Domain.CUSTOMER, 5_000, 0, 10_000)}
    book = book_of([promise("a", DSO, 0, 2 * HOUR_S, device=BATTERY)])
    follow_on = promise("b", TSO, 2 * HOUR_S, 4 * HOUR_S, device=BATTERY, level=5)
    assert "Refused" not in repr(admit(book, follow_on, fed_by_sun, NOW_MS))


def test_what_the_network_cannot_carry_through_the_interface_is_refused() -> None:
    bulk = Domain.WHOLESALE_MARKET
    book = book_of(
        [
            promise("a", TSO, 0, 100, device=HUB, w=8_000, level=5, domain=bulk),
            promise("b", DSO, 0, 100, device=BATTERY),
        ]
    )
    refused = offer(book, promise("c", TRADER, 99, 200, w=4_001, level=7, domain=bulk))
    assert refused is not None
    assert refused.rule == "C8"
    assert "the network can export 4000 W more at station, not 4001 W" in refused.why
    assert offer(book, promise("c", TRADER, 99, 200, w=4_000, level=7, domain=bulk)) is None
    loose = promise("d", TRADER, 0, 100, w=5_000, level=7, domain=bulk, interruptible=True)
    assert offer(book, loose) is None
    both = (Slice(HUB, 8_000), Slice(ROOF, 4_001))
    refused = offer(CommitmentBook(), promise("e", TRADER, level=7, domain=bulk, slices=both, interruptible=True))
    assert refused is not None
    assert "12000 W more" in refused.why
    assert (
        offer(CommitmentBook(), promise("f", TSO, device=HUB, w=4_000, level=5, domain=bulk, direction=IMPORT)) is None
    )


def test_windows_through_the_interface_may_touch() -> None:
    bulk = Domain.TRANSMISSION
    slices = (Slice(HUB, 8_000), Slice(ROOF, 4_000))

    def through(name: str, start_s: int, end_s: int) -> Commitment:
        return promise(name, TSO, start_s, end_s, slices=slices, level=5, domain=bulk)

    book = book_of([through("a", 0, 100), through("c", 200, 300)])
    narrow = promise("x", TSO, 99, 101, w=1, level=5, domain=bulk)
    assert "network" in str(offer(book, narrow))
    assert "network" in str(offer(book, promise("x", TSO, 150, 201, w=1, level=5, domain=bulk)))
    assert offer(book, through("b", 100, 200)) is None
    ahead = book_of([through("c", 200, 300)])
    assert "network" in str(offer(ahead, promise("x", TSO, 199, 201, w=1, level=5, domain=bulk)))
    assert offer(ahead, through("b", 100, 200)) is None


def test_an_interface_that_shrank_has_nothing_more_to_give() -> None:
    bulk = Domain.WHOLESALE_MARKET
    book = book_of([promise("a", TSO, device=HUB, w=10_000, level=5, domain=bulk)])
    offered = promise("b", TRADER, w=2_001, level=7, domain=bulk)
    assert "export 2000 W more" in str(offer(book, offered))
    book.loads["station", Direction.EXPORT].watts[0] = 13_000
    assert "export 0 W more" in str(offer(book, offered))


def test_a_name_is_held_once_by_each_party() -> None:
    book = book_of([promise("a", w=1)])
    refused = offer(book, promise("a", w=2))
    assert refused is not None
    assert refused.rule == "C1"
    assert offer(book, promise("a", device=FARM, party="farmer", domain=Domain.TRANSMISSION)) is None
