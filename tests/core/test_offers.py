"""Offers at the T-D interface: who may offer what, and what is refused by which rule (RULES A4 to A6, C1, C8)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.authority import Refused
from gateway.core.offers import Block, Nameplate, Offer, OfferBook, OfferKey, judge_offer, split_capacity
from gateway.core.parties import Direction

EXPORT, IMPORT = Direction
HOUR_MS = 3_600_000
NOW_MS = 10 * HOUR_MS
PLATES = {
    "roof": Nameplate(("acme",), 5_000, 0),
    "barn": Nameplate(("acme", "bolt"), 10_000, 2_000),
    "cell": Nameplate(("acme",), 3_000, 3_000, energy_wh=6_000),
    "mill": Nameplate(("bolt",), 8_000, 8_000),
}
BASE = Offer("acme", "o1", 1, "reserve", EXPORT, ("barn",), (Block(4_000, 50),), 11 * HOUR_MS, 12 * HOUR_MS)


def test_an_offer_within_everything_stands() -> None:
    book = OfferBook()
    assert book.admit(BASE, PLATES, NOW_MS) is None
    assert book.offers == {OfferKey("acme", "o1"): BASE}


@pytest.mark.parametrize(
    ("offer", "rule", "why"),
    [
        pytest.param(replace(BASE, blocks=(Block(6_000, 1), Block(4_001, 2))), "C8", "beyond the nameplate", id="sum"),
        pytest.param(replace(BASE, direction=IMPORT), "C8", "beyond the nameplate of 2000 W", id="other direction"),
        pytest.param(replace(BASE, blocks=()), "C8", "no capacity", id="no blocks"),
        pytest.param(replace(BASE, blocks=(Block(0, 1),)), "C8", "0 W is no capacity", id="an empty block"),
        pytest.param(replace(BASE, blocks=(Block(9, 1), Block(-4, 2))), "C8", "-4 W is no capacity", id="negative"),
        pytest.param(replace(BASE, blocks=(Block(9, 2), Block(4, 1))), "C8", "rising price", id="falling price"),
        pytest.param(replace(BASE, resources=("barn", "barn")), "C8", "twice", id="twice the same"),
        pytest.param(replace(BASE, end_ms=BASE.start_ms), "A5", "window is empty", id="empty window"),
        pytest.param(replace(BASE, end_ms=BASE.start_ms - 1), "A5", "window is empty", id="turned window"),
        pytest.param(
            replace(BASE, start_ms=NOW_MS - 9_000, end_ms=NOW_MS - 8_000), "A5", "ended 8 s ago", id="in the past"
        ),
        pytest.param(replace(BASE, start_ms=1, end_ms=NOW_MS), "A5", "ended 0 s ago", id="just over"),
        pytest.param(replace(BASE, resources=("mill",)), "A6", "no grant to offer mill", id="someone else's"),
        pytest.param(replace(BASE, resources=("moon",)), "A6", "no grant to offer moon", id="nobody's"),
        pytest.param(replace(BASE, resources=()), "A6", "names no resource", id="of nothing"),
        pytest.param(replace(BASE, resources=("barn", "mill")), "A4", "reaches outside its grant", id="partly"),
        pytest.param(
            replace(BASE, resources=("cell",), blocks=(Block(3_000, 1),), end_ms=13 * HOUR_MS + 1),
            "C8",
            "needs 6001 Wh of cell, which stores 6000 Wh",
            id="beyond what is stored",
        ),
    ],
)
def test_an_offer_that_cannot_stand_is_refused_and_disturbs_nothing(offer: Offer, rule: str, why: str) -> None:
    book = OfferBook()
    other = replace(BASE, id="o0", resources=("roof",))
    book.admit(other, PLATES, NOW_MS)
    refused = book.admit(offer, PLATES, NOW_MS)
    assert refused is not None
    assert refused.rule == rule
    assert why in refused.why
    assert book.offers == {other.key: other}


@pytest.mark.parametrize(
    "offer",
    [
        pytest.param(replace(BASE, blocks=(Block(4_000, 5), Block(6_000, 5))), id="to the last watt, at one price"),
        pytest.param(replace(BASE, start_ms=1, end_ms=NOW_MS + 1), id="still running"),
        pytest.param(replace(BASE, blocks=(Block(1, -50),)), id="pays to be taken"),
        pytest.param(
            replace(BASE, resources=("cell",), blocks=(Block(3_000, 1),), end_ms=13 * HOUR_MS), id="all that is stored"
        ),
        pytest.param(replace(BASE, resources=("roof", "barn"), blocks=(Block(15_000, 1),)), id="two in sum"),
    ],
)
def test_an_offer_at_the_edge_stands(offer: Offer) -> None:
    assert judge_offer(offer, (), PLATES, NOW_MS) is None


@pytest.mark.parametrize(
    ("held", "why"),
    [
        pytest.param(replace(BASE, id="o0"), "overlaps offer o0 of barn", id="same service, DER and direction"),
        pytest.param(
            replace(BASE, id="o0", start_ms=BASE.end_ms - 1, end_ms=BASE.end_ms + 9), "overlaps", id="by an instant"
        ),
        pytest.param(replace(BASE, id="o0", start_ms=BASE.start_ms - 9), "overlaps", id="begun before"),
        pytest.param(replace(BASE, id="o0", start_ms=BASE.end_ms, end_ms=BASE.end_ms + 9), None, id="right after"),
        pytest.param(replace(BASE, id="o0", start_ms=0, end_ms=BASE.start_ms), None, id="right before"),
        pytest.param(replace(BASE, id="o0", service="energy"), None, id="another service, room for both"),
        pytest.param(
            replace(BASE, id="o0", service="energy", blocks=(Block(6_001, 1),)), "barn would promise 10001 W", id="full"
        ),
        pytest.param(
            replace(BASE, id="o0", party="bolt", blocks=(Block(6_001, 1),)), "barn would promise 10001 W", id="a rival"
        ),
        pytest.param(
            replace(BASE, id="o0", direction=IMPORT, service="energy", blocks=(Block(2_000, 1),)), None, id="other way"
        ),
        pytest.param(
            replace(BASE, id="o0", service="energy", resources=("barn", "roof"), blocks=(Block(15_000, 1),)),
            "barn would promise 14000 W",
            id="by way of a group",
        ),
    ],
)
def test_beside_an_offer_that_stands(held: Offer, why: str | None) -> None:
    refused = judge_offer(BASE, [held], PLATES, NOW_MS)
    if why is None:
        assert refused is None
        return
    assert refused is not None
    assert refused.rule == "C8"
    assert why in refused.why


def test_what_is_never_used_at_once_is_not_added_up() -> None:
    early = replace(BASE, id="e", service="energy", blocks=(Block(6_000, 1),), end_ms=BASE.start_ms + 10)
    late = replace(early, id="l", start_ms=BASE.start_ms + 10, end_ms=BASE.end_ms)
    assert judge_offer(BASE, [early, late], PLATES, NOW_MS) is None
    touching = replace(late, start_ms=BASE.start_ms + 9)
    refused = judge_offer(BASE, [early, touching], PLATES, NOW_MS)
    assert refused is not None
    assert "16000 W of its 10000 W" in refused.why


@pytest.mark.parametrize(
    ("again", "expected"),
    [
        pytest.param(BASE, None, id="the very same"),
        pytest.param(replace(BASE, version=2, blocks=(Block(9_000, 1),)), None, id="a newer version takes its place"),
        pytest.param(
            replace(BASE, blocks=(Block(1, 1),)),
            Refused("A5", "other content under version 1 already held; give changes a new version"),
            id="other content",
        ),
        pytest.param(
            replace(BASE, version=0), Refused("A5", "version 0 is older than version 1 already held"), id="old"
        ),
    ],
)
def test_versions_of_one_offer(again: Offer, expected: Refused | None) -> None:
    book = OfferBook()
    book.admit(BASE, PLATES, NOW_MS)
    assert book.admit(again, PLATES, NOW_MS) == expected
    assert book.offers == {BASE.key: BASE if expected else again}


def test_a_newer_version_that_cannot_stand_leaves_the_older() -> None:
    book = OfferBook()
    book.admit(BASE, PLATES, NOW_MS)
    assert book.admit(replace(BASE, version=2, blocks=(Block(10_001, 1),)), PLATES, NOW_MS) is not None
    assert book.offers[BASE.key] == BASE


def test_offers_leave_by_withdrawal_or_at_their_end() -> None:
    book = OfferBook()
    for name, resource, end in (("b", "barn", BASE.end_ms), ("a", "roof", BASE.end_ms), ("c", "cell", BASE.end_ms + 1)):
        offer = replace(BASE, id=name, resources=(resource,), blocks=(Block(9, 1),), end_ms=end)
        assert book.admit(offer, PLATES, NOW_MS) is None
    assert book.retire(BASE.end_ms - 1) == ()
    assert book.retire(BASE.end_ms) == (OfferKey("acme", "a"), OfferKey("acme", "b"))
    assert book.withdraw(OfferKey("acme", "c"))
    assert not book.withdraw(OfferKey("acme", "c"))
    assert book.offers == {}


def test_capacity_is_split_by_nameplate() -> None:
    offer = replace(BASE, resources=("roof", "barn", "gone"), blocks=(Block(3_000, 1), Block(6_000, 2)))
    assert split_capacity(offer, PLATES) == {"barn": 6_000, "roof": 3_000}


offers = st.builds(
    Offer,
    st.sampled_from(["acme", "bolt"]),
    st.sampled_from("abcdefgh"),
    st.just(1),
    st.sampled_from(["reserve", "energy"]),
    st.sampled_from(Direction),
    st.lists(st.sampled_from(["roof", "barn", "cell", "mill"]), max_size=3).map(tuple),
    st.lists(st.builds(Block, st.integers(-10, 6_000), st.integers(-5, 5)), max_size=3).map(
        lambda blocks: tuple(sorted(blocks, key=lambda block: block.milli_per_mwh))
    ),
    st.integers(0, 20).map(lambda hour: hour * HOUR_MS),
    st.integers(0, 20).map(lambda hour: hour * HOUR_MS),
)


@given(st.lists(offers, max_size=12))
def test_no_resource_ever_promises_more_than_its_nameplate_or_for_a_stranger(heard: list[Offer]) -> None:
    book = OfferBook()
    for offer in heard:
        before = dict(book.offers)
        if book.admit(offer, PLATES, NOW_MS) is not None:
            assert book.offers == before
    standing = list(book.offers.values())
    for offer in standing:
        assert all(offer.party in PLATES[name].parties for name in offer.resources)
        assert offer.end_ms > NOW_MS
        for direction in Direction:
            used = dict.fromkeys(PLATES, 0)
            for other in standing:
                if other.direction is direction and other.start_ms <= offer.start_ms < other.end_ms:
                    for name, w in split_capacity(other, PLATES).items():
                        used[name] += w
            assert all(used[name] <= PLATES[name].rated_w(direction) for name in used)
