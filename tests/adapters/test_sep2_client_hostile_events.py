"""Events and programs of the bad-input catalogue, over TLS: what is faulty is answered and passed over, alone."""

import logging
from pathlib import Path

import pytest
from sep2_world import HOUSES, LIMIT, PARTY, POLL_S, SEP2, World, lfdi, make_pki, program

from gateway.core.events import Contact, OrderUnreadable, Withdrawn
from hil.sep2.records import mrid_of

HOUR_S = 3600
CONTROLS = "/derp/1/derc"
FAULTY = {
    "multiplier outside -9..9": ("<multiplier>0<", "<multiplier>99<"),
    "multiplier below -9": ("<multiplier>0<", "<multiplier>-10<"),
    "value over its Int16": ("<value>1500<", "<value>32768<"),
    "value that is no whole number": ("<value>1500<", "<value>1.5e3<"),
    "value that is none": ("<value>1500<", "<value>NaN<"),
    "percent over 10000": ("<opModMaxLimW>5000<", "<opModMaxLimW>10001<"),
    "randomize outside 3600": ("<randomizeStart>10<", "<randomizeStart>3601<"),
    "randomize outside -3600": ("<randomizeDuration>10<", "<randomizeDuration>-3601<"),
    "negative duration": ("<duration>3600<", "<duration>-3600<"),
    "duration over its UInt32": ("<duration>3600<", "<duration>4294967296<"),
    "start in year 292e9": ("<start>1", "<start>999999999"),
    "start before 1970": ("<start>", "<start>-"),
    "start over its Int64": ("<start>1", "<start>99999999991"),
    "creationTime before 1970": ("<creationTime>", "<creationTime>-"),
    "unknown status": ("<currentStatus>1<", "<currentStatus>6<"),
    "duplicate singleton": ("<randomizeStart>10<", "<randomizeStart>10</randomizeStart><randomizeStart>10<"),
    "absent creationTime": ("<creationTime>", "<created>"),
    "boolean that is none": ("<opModConnect>true<", "<opModConnect>maybe<"),
}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.mark.parametrize("entry", FAULTY)
async def test_faulty_event_is_refused_among_good_ones(entry: str, pki: Path) -> None:
    old, new = FAULTY[entry]
    swaps = [(old, new)] if entry != "absent creationTime" else [(old, new), ("</creationTime>", "</created>")]
    world = World(pki)
    bad = world.server.issue(
        "street", "bad", LIMIT | {"opModMaxLimW": 50, "opModConnect": True}, 0, HOUR_S,
        randomize_start_s=10, randomize_duration_s=10,
    )  # fmt: skip
    good = world.server.issue("street", "good", {"opModGenLimW": 700}, 60, HOUR_S)
    world.edit(CONTROLS, *swaps)
    async with world:
        await world.rounds(3)
        assert [order.id for order in world.orders()] == [good.mrid]
        unreadable = world.heard(OrderUnreadable)
        assert [(one.issuer, one.id, one.group) for one in unreadable] == [
            (PARTY, bad.mrid, f"{PARTY}:{mrid_of('street')}")
        ]
        assert (unreadable[0].reply.to, unreadable[0].reply.receipt) == ("/rsps/1/rsp", True)
        assert len(world.lines) == 1
        assert bad.mrid in world.lines[0]
        world.server.issue("street", "another", {"opModGenLimW": 800}, 30, HOUR_S)
        world.edit(CONTROLS, *swaps)
        await world.until(lambda: len(world.orders()) == 2)
        await world.rounds()
        assert len(world.heard(OrderUnreadable)) == 1, "moved in the list, and still the same"
        assert len(world.lines) == 1


async def test_faulty_events_by_the_hundred_are_each_answered_and_told_of_in_few_lines(pki: Path) -> None:
    world = World(pki)
    good = world.server.issue("street", "good", LIMIT, 0, HOUR_S)
    item = world.body(CONTROLS).decode().partition("<DERControl ")[2].partition("</DERControl>")[0]
    faulty = [
        f"<DERControl {item.replace(good.mrid, f'{number:032X}').replace('<duration>', '<duration>-')}</DERControl>"
        for number in range(200)
    ]
    whole = f"<DERControl {item}</DERControl>"
    world.replace(CONTROLS, SEP2.format("DERControlList", 'all="201" results="201"', "".join([*faulty, whole])))
    async with world:
        await world.rounds(3)
        assert [order.id for order in world.orders()] == [good.mrid]
        assert len(world.heard(OrderUnreadable)) == 200
        assert len(world.lines) == 51
        assert world.lines[-1] == f"{PARTY}: 150 more things are amiss and not told one by one"
        world.mend(CONTROLS)
        await world.rounds()
        assert len(world.lines) == 51


async def test_duration_of_2_to_the_32_less_1_is_for_ever(pki: Path) -> None:
    world = World(pki)
    world.server.issue("street", "ever", LIMIT, 0, HOUR_S)
    world.edit(CONTROLS, ("<duration>3600<", "<duration>4294967295<"))
    async with world:
        await world.rounds()
        assert world.orders()[0].end_ms is None
        assert world.lines == []


async def test_unknown_critical_element_is_answered_as_not_carried(pki: Path) -> None:
    world = World(pki)
    world.server.issue("street", "new", LIMIT, 0, HOUR_S)
    mode = "<opModTomorrow><value>1</value></opModTomorrow></DERControlBase>"
    world.edit(CONTROLS, ("</DERControlBase>", mode))
    async with world:
        await world.rounds()
        assert world.orders()[0].uncarried == ("opModTomorrow",)
        assert len(world.orders()[0].effects) == 1


async def test_cancelled_unknown_event_is_no_order(pki: Path) -> None:
    world = World(pki)
    world.server.issue("street", "never", LIMIT, 0, HOUR_S)
    world.server.cancel("never")
    async with world:
        await world.rounds(2)
        assert world.orders() == []
        assert len(world.heard(Withdrawn)) == 1
        assert world.lines == []


async def test_status_going_backwards_is_not_heard_again(pki: Path) -> None:
    async with World(pki) as world:
        held = world.server.issue("street", "undead", LIMIT, 0, HOUR_S)
        await world.until(world.orders)
        world.server.cancel("undead")
        await world.until(lambda: world.heard(Withdrawn))
        for status in (0, 1):
            world.edit(CONTROLS, ("<currentStatus>2<", f"<currentStatus>{status}<"))
            await world.polled(CONTROLS, 2)
            await world.rounds()
        assert [one.id for one in world.orders()] == [held.mrid]
        assert len(world.heard(Withdrawn)) == 1


async def test_creation_time_in_the_future_is_heard_as_it_is_and_left_to_the_core(pki: Path) -> None:
    world = World(pki)
    world.server.issue("street", "ahead", LIMIT, 0, HOUR_S, creation_offset_s=86_400)
    async with world:
        await world.rounds()
        order = world.orders()[0]
        assert order.rank.created_ms - order.start_ms == 86_400_000


@pytest.mark.parametrize("primacy", [3, 64, 192, 255])
async def test_unknown_primacy_is_told_of_once_and_counts_as_it_is(
    primacy: int, pki: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.northbound.sep2_client")
    world = World(pki, program("street", primacy=primacy), program("corner", primacy=2))
    world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
    async with world:
        await world.rounds(3)
        assert world.orders()[0].rank.precedence == primacy
        told = f"{PARTY}: programs of primacy {primacy}, which the standard reserves; they compete as such"
        assert [line for line in caplog.messages if "primacy" in line] == [told]
        assert world.lines == []


@pytest.mark.parametrize("primacy", ["256", "-1", "high", ""])
async def test_unknown_primacy_that_is_no_number_of_its_kind_passes_the_program_over(primacy: str, pki: Path) -> None:
    world = World(pki, program("street"), program("corner", primacy=2))
    for house in (2, 3):
        world.edit(f"/edev/{house}/fsa/1/derp", ("<primacy>1<", f"<primacy>{primacy}<"))
    world.server.issue("street", "unheard", LIMIT, 0, HOUR_S)
    world.server.issue("corner", "heard", {"opModGenLimW": 700}, 0, HOUR_S)
    async with world:
        await world.until(world.orders)
        await world.polled("/derp/2/derc", 2)
        assert [len(order.effects) for order in world.orders()] == [1]
        assert len(world.lines) == 1
        assert "it is passed over" in world.lines[0]
        assert world.heard(Contact) == []


@pytest.mark.parametrize("written", ["not hex", "", "0x3E4F"])
async def test_lfdi_as_non_hex_is_nobody_and_takes_no_other_with_it(written: str, pki: Path) -> None:
    async with World(pki) as world:
        world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
        await world.until(world.orders)
        world.edit("/edev", (f"<lFDI>{lfdi(HOUSES[0])}<", f"<lFDI>{written}<"))
        await world.until(lambda: world.lines)
        await world.seconds(2 * POLL_S)
        assert world.lines == [f"{PARTY}: no EndDevice for {HOUSES[0]}; what is in force holds, then its default"]
        assert world.heard(Withdrawn) == []


async def test_lfdi_in_body_of_somebody_else_is_nobody_of_ours(pki: Path) -> None:
    async with World(pki) as world:
        world.edit("/edev", (lfdi(HOUSES[0]), "AB" * 20))
        await world.rounds()
        assert list(world.link._walker.found.end_devices) == [HOUSES[1]]


async def test_list_all_and_results_lie_in_mid_event_and_nothing_is_withdrawn(pki: Path) -> None:
    async with World(pki) as world:
        world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
        await world.until(world.orders)
        for count, results in ((0, 1), (4294967295, 1), (1, 0), (2, 2)):
            world.lines.clear()
            item = world.body(CONTROLS).decode().partition("<DERControl ")[2].rpartition("</DERControlList>")[0]
            attributes = f'all="{count}" results="{results}"'
            world.replace(CONTROLS, SEP2.format("DERControlList", attributes, f"<DERControl {item}"))
            await world.polled(CONTROLS, 3)
            assert len(world.lines) == (count != 1), "how many there are is seen, whatever results says"
            assert all(line.startswith(f"{PARTY}: GET {CONTROLS}: the list ") for line in world.lines)
            world.mend(CONTROLS)
            await world.rounds()
        assert world.heard(Withdrawn) == []
        assert len(world.orders()) == 1
