"""Any history of offers: nothing is promised twice, and the order in which offers come is of no account (RULES C8)."""

from itertools import pairwise

from commitment_world import BATTERY, CAPABILITIES, DSO, HUB, NOW_MS, ROOF, STATION, TRADER, TSO, offer, promise
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.capacity import GRID_DOMAINS, Capability, Commitment, CommitmentBook, Domain
from gateway.core.commitments import reserved_w, shortfall, withdraw
from gateway.core.parties import Direction

QUARTER_S = 900
LAST = 8
WMS_PER_WH = 3_600_000


@st.composite
def offers(draw: st.DrawFn) -> list[Commitment]:
    made = []
    for name in range(draw(st.integers(1, 9))):
        start = draw(st.integers(0, LAST - 1))
        end = draw(st.integers(start + 1, LAST))
        w = draw(st.sampled_from([1_000, 2_500, 4_000, 5_000]))
        level = draw(st.sampled_from([4, 5, 6, 7]))
        made.append(
            promise(
                str(name),
                draw(st.sampled_from([DSO, TSO, TRADER])),
                start * QUARTER_S,
                end * QUARTER_S,
                w=w,
                wh=draw(st.sampled_from([None, w * (end - start) // 4, w * (end - start) // 8])),
                device=draw(st.sampled_from([ROOF, BATTERY, HUB])),
                level=level,
                direction=draw(st.sampled_from(list(Direction))),
                domain=draw(st.sampled_from([Domain.DISTRIBUTION, Domain.WHOLESALE_MARKET])),
                interruptible=level > 5 and draw(st.booleans()),
                created_s=draw(st.integers(0, 3)),
            )
        )
    return made


def admitted(made: list[Commitment]) -> tuple[CommitmentBook, list[Commitment]]:
    book = CommitmentBook()
    return book, [one for one in made if offer(book, one) is None]


def may_all_be_kept(held: list[Commitment]) -> bool:
    """Judge a set of promises from the rule text alone, instant by instant and span by span."""
    firm = [one for one in held if not one.interruptible]
    for device, capability in CAPABILITIES.items():
        mine = [one for one in firm if one.slices[0].device == device]
        if not all(_at_once(mine, quarter, capability) for quarter in range(LAST)):
            return False
        for direction in Direction:
            if not _in_turn([one for one in mine if one.direction is direction], capability, direction):
                return False
    through = [one for one in firm if one.direction is Direction.EXPORT and one.domain in GRID_DOMAINS]
    assert STATION.export_w is not None
    return all(sum(one.slices[0].w for one in _live(through, q)) <= STATION.export_w for q in range(LAST)) and all(
        one.slices[0].w <= CAPABILITIES[one.slices[0].device].power_w(one.direction) for one in held
    )


def _live(held: list[Commitment], quarter: int) -> list[Commitment]:
    at_ms = NOW_MS + quarter * QUARTER_S * 1000
    return [one for one in held if one.start_ms <= at_ms < one.end_ms]


def _at_once(mine: list[Commitment], quarter: int, capability: Capability) -> bool:
    live = _live(mine, quarter)
    if any(a.direction is not b.direction and a.buyer != b.buyer for a in live for b in live):
        return False
    for direction in Direction:
        same = [one for one in live if one.direction is direction]
        if sum(one.slices[0].w for one in same) > capability.power_w(direction):
            return False
        energy_wms = sum(one.promised_wms(one.slices[0]) for one in same)
        if capability.energy_wh is not None and energy_wms > capability.energy_wh * WMS_PER_WH:
            return False
    return True


def _in_turn(same: list[Commitment], capability: Capability, direction: Direction) -> bool:
    back = capability.power_w(Direction.IMPORT if direction is Direction.EXPORT else Direction.EXPORT)
    if capability.energy_wh is None or back == 0:
        return True
    for first in {one.start_ms for one in same}:
        for last in {one.end_ms for one in same}:
            inside = [one for one in same if first <= one.start_ms and one.end_ms <= last]
            owed_wms = sum(one.promised_wms(one.slices[0]) for one in inside)
            idle_ms = last - first - owed_wms / capability.power_w(direction)
            if inside and owed_wms > capability.energy_wh * WMS_PER_WH + back * idle_ms:
                return False
    return True


@given(offers())
def test_an_offer_is_refused_exactly_when_not_all_could_be_kept(made: list[Commitment]) -> None:
    book = CommitmentBook()
    held: list[Commitment] = []
    for one in made:
        possible = may_all_be_kept([*held, one]) and _alone_possible(one)
        assert (offer(book, one) is None) == possible
        if possible:
            held.append(one)


def _alone_possible(one: Commitment) -> bool:
    stored_wh = CAPABILITIES[one.slices[0].device].energy_wh
    return stored_wh is None or one.promised_wms(one.slices[0]) <= stored_wh * WMS_PER_WH


@given(offers())
def test_no_instant_promises_more_than_the_der_can_do(made: list[Commitment]) -> None:
    book, _held = admitted(made)
    for device, capability in CAPABILITIES.items():
        for quarter in range(LAST):
            for direction in Direction:
                at_ms = NOW_MS + quarter * QUARTER_S * 1000
                most_w = capability.power_w(direction)
                assert reserved_w(book, device, direction, at_ms) <= most_w
                assert shortfall(book, device, most_w, direction, at_ms) == ()
                left_w = most_w // 2
                cut = {
                    one.key: one.promised_w - one.kept_w for one in shortfall(book, device, left_w, direction, at_ms)
                }
                firm_cut = sum(w for key, w in cut.items() if not book.held[key].commitment.interruptible)
                assert firm_cut == max(reserved_w(book, device, direction, at_ms) - left_w, 0)


@given(offers(), st.data())
def test_what_may_be_held_may_be_held_in_any_order(made: list[Commitment], data: st.DataObject) -> None:
    book, held = admitted(made)
    shuffled = data.draw(st.permutations(held))
    again, held_again = admitted(shuffled)
    assert held_again == shuffled
    assert again.by_device == book.by_device
    assert again.loads == book.loads
    assert sorted(again.held) == sorted(book.held)


@given(offers())
def test_a_book_that_is_emptied_is_as_new(made: list[Commitment]) -> None:
    book, held = admitted(made)
    for one in held[::2] + held[1::2]:
        assert withdraw(book, one.key) == one
    assert book == CommitmentBook()


@given(st.lists(st.integers(0, 10_000), min_size=3, max_size=8, unique=True).map(sorted))
def test_windows_may_touch_and_may_not_share_a_second(edges: list[int]) -> None:
    windows = list(pairwise(edges))
    book, held = admitted([promise(str(n), DSO if n % 2 else TSO, *one) for n, one in enumerate(windows)])
    assert len(held) == len(windows)
    for at_s in edges[1:-1]:
        refused = offer(book, promise("again", TRADER, at_s - 1, at_s, level=7))
        assert refused is not None
        assert refused.rule == "C8"
