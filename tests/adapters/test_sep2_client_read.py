"""What is read of a server and what is heard of it: discovery, time, registration, programs, orders, contact."""

from itertools import pairwise
from pathlib import Path

import pytest
from sep2_world import HOUSES, LIMIT, PARTY, PIN, POLL_S, World, lfdi, make_pki, program

from gateway.core.events import Assigned, Contact, DefaultHeard, Offset, OrderHeard, Withdrawal, Withdrawn
from gateway.core.functions import Function
from gateway.core.orders import Ceiling
from gateway.core.units import Watts
from hil.sep2.records import mrid_of
from hil.sep2.tree import Rates

HOUR_S = 3600
POLLED = ("/dcap", "/tm", "/edev", "/edev/2/rg", "/edev/3/fsa", "/edev/2/fsa/1/derp", "/derp/1/dderc", "/derp/1/derc")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


def group(name: str) -> str:
    return f"{PARTY}:{mrid_of(name)}"


async def test_one_program_of_two_resources_is_one_order_for_both(pki: Path) -> None:
    async with World(pki, program("street", default={"opModExpLimW": 3000})) as world:
        control = world.server.issue("street", "limit", LIMIT, 60, 300)
        await world.until(world.orders)
        await world.rounds(2)
        assert isinstance(world.events[0], Offset)
        assert [type(event) for event in world.events if not isinstance(event, Contact | Offset)] == [
            Assigned,
            DefaultHeard,
            OrderHeard,
        ]
        assert world.heard(Assigned) == [Assigned(PARTY, group("street"), HOUSES)]
        assert world.heard(DefaultHeard)[0].default.effects == (Ceiling(Function.EXPORT_LIMIT, Watts(3000)),)
        order = world.orders()[0]
        assert (order.id, order.scope.group) == (control.mrid, group("street"))
        assert (order.start_ms, order.end_ms) == (1000 * control.start_s, 1000 * (control.start_s + 300))
        assert order.reply.to == "/rsps/1/rsp"
        assert world.lines == []


async def test_lists_are_read_page_by_page(pki: Path) -> None:
    rates = Rates(page_limit=2, poll_rate_s=POLL_S)
    async with World(pki, *(program(f"p{n}", primacy=n) for n in range(5)), rates=rates) as world:
        for number in range(5):
            world.server.issue("p0", f"limit {number}", LIMIT, 60 + number, 300)
        await world.until(lambda: len(world.orders()) == 5)
        assert {event.group for event in world.heard(Assigned)} == {group(f"p{n}") for n in range(5)}
        assert world.lines == []


async def test_only_what_is_due_is_read(pki: Path) -> None:
    async with World(pki) as world:
        await world.rounds(3)
        rounds = len(world.heard(Contact))
        for path in POLLED:
            assert path == "/derp/1/dderc" or 3 <= world.asked()[path] <= rounds + 1, path


# -- the clock


async def test_the_servers_clock_is_an_offset_that_is_heard_when_it_moves(pki: Path) -> None:
    async with World(pki, rates=Rates(page_limit=50, poll_rate_s=1), clock_rate=5) as world:
        world.server.tree.time_offset_ms = 90_000
        await world.rounds(2)
        assert world.heard(Offset)[0].issuer == PARTY
        assert abs(world.heard(Offset)[-1].offset_ms - 90_000) <= 1_000
        before = len(world.heard(Offset))
        await world.rounds(3)
        assert len(world.heard(Offset)) == before
        world.server.tree.time_offset_ms = -30_000
        await world.until(lambda: world.heard(Offset)[-1].offset_ms < 0)
        assert abs(world.heard(Offset)[-1].offset_ms + 30_000) <= 1_000
        control = world.server.issue("street", "limit", LIMIT, 60, 300)
        await world.until(world.orders)
        assert world.orders()[0].start_ms == 1000 * control.start_s, "orders stay on the server's clock"
        assert abs(world.orders()[0].received_ms - world.clock.now_ms()) < 5_000, "their receipt is on ours"


async def test_a_clock_that_no_clock_shows_is_not_followed(pki: Path) -> None:
    async with World(pki) as world:
        await world.rounds()
        now_s = world.server.tree.now_s() // 1000
        world.edit("/tm", (f"<currentTime>{now_s}", f"<currentTime>99999999{now_s}"))
        await world.polled("/tm", 3)
        assert all(abs(event.offset_ms) < 60_000 for event in world.heard(Offset))
        assert len(world.told("between the years 1970 and 9999")) == 1


async def test_nothing_is_heard_before_the_clock_is_known(pki: Path) -> None:
    world = World(pki)
    world.replace("/tm", status=404)
    async with world:
        world.server.issue("street", "limit", LIMIT, 60, 300)
        await world.until(lambda: world.told("GET /tm: status 404"))
        await world.polled("/tm")
        assert world.events == []
        world.mend("/tm")
        await world.until(world.orders)
        assert isinstance(world.events[0], Offset)


# -- registration


@pytest.mark.parametrize(
    ("asked", "registered", "amiss"),
    [
        pytest.param(PIN, PIN, "", id="the right PIN"),
        pytest.param(None, 123455, "", id="no PIN given to the installer"),
        pytest.param(PIN, 123455, "house-2 is registered with another PIN; nothing is done for it", id="another PIN"),
    ],
)
async def test_a_resource_is_served_only_with_its_pin(
    pki: Path, asked: int | None, registered: int, amiss: str
) -> None:
    pins = {"house-1": PIN, "house-2": asked}
    async with World(pki, pins=pins, server_pins={"house-2": registered}) as world:
        world.server.issue("street", "limit", LIMIT, 60, 300)
        await world.until(world.orders)
        await world.rounds(2)
        assert world.heard(Assigned)[-1].resources == (HOUSES[:1] if amiss else HOUSES)
        assert world.asked()["/edev/3/fsa"] == 0 if amiss else world.asked()["/edev/3/fsa"]
        assert len(world.lines) == bool(amiss)
        assert not amiss or amiss in world.lines[0]


async def test_a_resource_whose_pin_is_set_right_is_served(pki: Path) -> None:
    async with World(pki, server_pins={"house-2": 123455}) as world:
        await world.rounds(2)
        world.edit("/edev/3/rg", ("123455", str(PIN)))
        await world.until(lambda: world.heard(Assigned)[-1].resources == HOUSES)
        await world.rounds()
        assert [line.partition("; ")[0] for line in world.lines] == [
            "dso: house-2 is registered with another PIN",
            "dso: house-2 is registered with its PIN",
        ]


async def test_a_resource_without_registration_is_not_served(pki: Path) -> None:
    world = World(pki)
    world.edit("/edev", ('<RegistrationLink href="/edev/2/rg"/>', ""))
    async with world:
        await world.rounds(2)
        assert world.heard(Assigned) == [Assigned(PARTY, group("street"), HOUSES[1:])]
        assert world.lines == ["dso: house-1 has no registration; nothing is done for it until that is set right"]


async def test_a_registration_that_cannot_be_read_stops_nobody_else(pki: Path) -> None:
    world = World(pki)
    world.replace("/edev/2/rg", status=403)
    async with world:
        await world.until(lambda: world.heard(Assigned))
        await world.polled("/edev/2/rg", 2)
        assert world.heard(Assigned) == [Assigned(PARTY, group("street"), HOUSES[1:])]
        assert world.lines == ["dso: GET /edev/2/rg: status 403; what is in force holds"]


async def test_a_resource_that_the_server_does_not_know(pki: Path) -> None:
    world = World(pki)
    world.edit("/edev", (lfdi("house-2"), lfdi("house-9")))
    async with world:
        await world.rounds(2)
        assert world.heard(Assigned)[-1].resources == HOUSES[:1]
        assert world.lines == ["dso: no EndDevice for house-2; what is in force holds, then its default"]


# -- programs


async def test_a_resource_that_moves_to_another_program(pki: Path) -> None:
    street, corner = program("street"), program("corner", "house-2", primacy=2)
    async with World(pki, street, corner) as world:
        await world.rounds()
        street.resources, corner.resources = ("house-1",), HOUSES
        await world.until(lambda: len(world.heard(Assigned)) == 4)
        assert world.heard(Assigned)[2:] == [
            Assigned(PARTY, group("street"), ("house-1",)),
            Assigned(PARTY, group("corner"), HOUSES),
        ]


async def test_a_resource_whose_programs_vanish_keeps_them(pki: Path) -> None:
    street = program("street")
    async with World(pki, street) as world:
        await world.rounds()
        street.resources = ()
        await world.rounds(3)
        assert len(world.heard(Assigned)) == 1
        assert sorted(world.lines) == [
            f"dso: no program is listed for {house} any more; what is in force holds" for house in HOUSES
        ]


async def test_an_empty_list_of_assignments_is_a_complete_read(pki: Path) -> None:
    street = program("street")
    street.resources = ()
    async with World(pki, street) as world:
        await world.rounds(2)
        assert world.heard(Assigned) == []
        street.resources = HOUSES
        await world.until(lambda: world.heard(Assigned))


async def test_a_new_default_and_a_default_that_vanishes(pki: Path) -> None:
    async with World(pki, program("street", default={"opModExpLimW": 3000})) as world:
        await world.rounds()
        world.server.set_default("street", {"opModGenLimW": 2000}, 27)
        await world.until(lambda: len(world.heard(DefaultHeard)) == 2)
        assert world.heard(DefaultHeard)[1].default.effects == (Ceiling(Function.GENERATION_LIMIT, Watts(2000)),)
        world.server.set_default("street", None)
        await world.rounds(2)
        assert len(world.heard(DefaultHeard)) == 2
        assert world.heard(DefaultHeard)[1].default.gradient_hundredths_per_s == 27
        assert len(world.told("offers no default any more; its last one holds")) == 1


async def test_another_primacy_is_heard_of_orders_and_default(pki: Path) -> None:
    street = program("street", primacy=5, default={"opModExpLimW": 3000})
    async with World(pki, street) as world:
        world.server.issue("street", "limit", LIMIT, 60, 300)
        await world.until(world.orders)
        street.primacy = 2
        await world.until(lambda: len(world.orders()) == 2)
        first, second = world.orders()
        assert (first.rank.precedence, second.rank.precedence) == (5, 2)
        assert (first.id, first.received_ms, first.draw) == (second.id, second.received_ms, second.draw)
        assert [event.default.precedence for event in world.heard(DefaultHeard)] == [5, 2]


# -- the lives of orders


async def test_a_cancelled_order_is_withdrawn_once(pki: Path) -> None:
    async with World(pki) as world:
        control = world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
        await world.until(world.orders)
        world.server.cancel("limit")
        await world.until(lambda: world.heard(Withdrawn))
        await world.rounds(2)
        assert world.heard(Withdrawn) == [Withdrawn(PARTY, control.mrid, Withdrawal.CANCELLED, 0)]
        assert len(world.orders()) == 1


async def test_a_randomized_order_is_withdrawn_over_its_spread(pki: Path) -> None:
    async with World(pki) as world:
        world.server.issue("street", "limit", LIMIT, 0, HOUR_S, randomize_start_s=-30, randomize_duration_s=60)
        await world.until(world.orders)
        assert (world.orders()[0].randomize_start_ms, world.orders()[0].randomize_duration_ms) == (-30_000, 60_000)
        world.server.cancel("limit")
        await world.until(lambda: world.heard(Withdrawn))
        assert world.heard(Withdrawn)[0].spread_ms == 60_000


async def test_a_superseded_order_is_withdrawn_and_the_next_one_heard(pki: Path) -> None:
    async with World(pki) as world:
        older = world.server.issue("street", "older", LIMIT, 0, HOUR_S)
        await world.until(world.orders)
        newer = world.server.issue("street", "newer", {"opModExpLimW": 900}, 0, HOUR_S, creation_offset_s=1)
        await world.until(lambda: world.heard(Withdrawn))
        await world.rounds(2)
        assert world.heard(Withdrawn) == [Withdrawn(PARTY, older.mrid, Withdrawal.SUPERSEDED, 0)]
        assert [order.id for order in world.orders()] == [older.mrid, newer.mrid]


async def test_an_order_first_seen_cancelled_is_not_heard(pki: Path) -> None:
    world = World(pki)
    world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
    world.server.cancel("limit")
    async with world:
        await world.rounds(3)
        assert world.orders() == []
        assert len(world.heard(Withdrawn)) <= 1


async def test_an_order_first_seen_completed_is_not_heard(pki: Path) -> None:
    world = World(pki)
    world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
    world.edit("/derp/1/derc", ("<currentStatus>1", "<currentStatus>5"))
    async with world:
        await world.rounds(2)
        assert world.orders() == []


async def test_an_order_that_comes_back_from_its_cancellation_stays_cancelled(pki: Path) -> None:
    async with World(pki) as world:
        world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
        await world.until(world.orders)
        active = world.body("/derp/1/derc")
        world.server.cancel("limit")
        await world.until(lambda: world.heard(Withdrawn))
        world.replace("/derp/1/derc", active)
        await world.rounds(3)
        assert (len(world.orders()), len(world.heard(Withdrawn))) == (1, 1)


async def test_an_order_that_vanishes_is_not_withdrawn(pki: Path) -> None:
    street = program("street")
    async with World(pki, street) as world:
        control = world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
        await world.until(world.orders)
        street.controls.clear()
        await world.rounds(3)
        assert world.heard(Withdrawn) == []
        assert world.lines == [f"dso: event {control.mrid} is no longer listed; it runs to its end (RULES C13)"]
        street.controls[control.mrid] = control
        await world.rounds(2)
        assert len(world.orders()) == 1


async def test_ended_orders_that_stay_listed_cause_nothing(pki: Path) -> None:
    async with World(pki) as world:
        world.server.issue("street", "limit", LIMIT, 0, 10)
        await world.until(world.orders)
        await world.seconds(30)
        await world.rounds(3)
        assert len(world.orders()) == 1
        assert world.heard(Withdrawn) == []
        world.edit("/derp/1/derc", ("<currentStatus>1", "<currentStatus>5"))
        await world.rounds(2)
        assert len(world.orders()) == 1


async def test_one_event_in_two_programs_belongs_to_the_first(pki: Path) -> None:
    street, corner = program("street"), program("corner", "house-2", primacy=2)
    async with World(pki, street, corner) as world:
        control = world.server.issue("street", "limit", LIMIT, 0, HOUR_S)
        corner.controls[control.mrid] = control
        await world.until(world.orders)
        await world.rounds(3)
        assert [order.scope.group for order in world.orders()] == [group("street")]
        assert len(world.told("is listed by two programs; the first one holds")) == 1


async def test_the_responses_that_are_asked_for(pki: Path) -> None:
    world = World(pki)
    for bits in ("00", "01", "02", "03", "04"):
        world.server.issue("street", bits, LIMIT, 60 * int(bits), HOUR_S, response_required=bits)
    async with world:
        await world.until(lambda: len(world.orders()) == 5)
        replies = [order.reply for order in sorted(world.orders(), key=lambda order: order.start_ms)]
        assert [(reply.receipt, reply.progress) for reply in replies] == [
            (False, False),
            (True, False),
            (False, True),
            (True, True),
            (False, False),
        ]


# -- poll rates and contact


def gaps_s(world: World, path: str, since_ms: int = 0) -> list[float]:
    """Give the time between one request of an address and the next."""
    times_ms = [at for at, _method, asked, _status in world.server.requests if asked.partition("?")[0] == path]
    return [(later - at) / 1000 for at, later in pairwise(times_ms) if at >= since_ms]


def most_in(world: World, path: str, span_s: int) -> int:
    """Count the most requests of one address within any span of so many seconds."""
    times_ms = [at for at, _method, asked, _status in world.server.requests if asked.partition("?")[0] == path]
    return max(sum(at <= other < at + 1000 * span_s for other in times_ms) for at in times_ms)


async def test_poll_rates_are_obeyed_as_soon_as_they_are_read(pki: Path) -> None:
    slow_s = 4 * POLL_S
    async with World(pki, program("street", default=LIMIT), clock_rate=60) as world:
        await world.rounds()
        world.rates.poll_rate_s = slow_s
        for _in_step in range(3):
            await world.polled("/dcap")
            await world.rounds()
        for path in POLLED:
            assert gaps_s(world, path, 0)[-1] > 0.7 * slow_s, path
        world.rates.poll_rate_s = POLL_S
        await world.polled("/dcap")
        await world.rounds()
        since_ms = world.clock.now_ms() - 1000 * POLL_S
        await world.rounds(3)
        for path in POLLED:
            assert min(gaps_s(world, path, since_ms)) < 0.7 * slow_s, path
            assert most_in(world, path, 3 * POLL_S) <= 6, path


async def test_a_shorter_rate_holds_for_what_was_read_before(pki: Path) -> None:
    slow_s = 4 * POLL_S
    async with World(pki, clock_rate=60) as world:
        world.rates.poll_rate_s = slow_s
        await world.rounds(2)
        for house in (2, 3):
            world.edit(f"/edev/{house}/fsa/1/derp", (f'pollRate="{slow_s}"', f'pollRate="{POLL_S}"'))
        await world.polled("/edev/2/fsa/1/derp")
        since_ms = world.clock.now_ms()
        await world.polled("/derp/1/derc", 3)
        assert min(gaps_s(world, "/derp/1/derc", since_ms)) < 0.7 * slow_s, "controls follow their program's list"


async def test_a_poll_rate_of_nothing_is_none(pki: Path) -> None:
    rates = Rates(page_limit=50, poll_rate_s=0)
    async with World(pki, rates=rates) as world:
        await world.rounds(4)
        for path in POLLED:
            assert path == "/derp/1/dderc" or most_in(world, path, 3 * POLL_S) <= 5


@pytest.mark.parametrize(
    ("poll_rate_s", "stated_s", "window_s"),
    [(POLL_S, None, 300), (400, None, 800), (POLL_S, 77, 77)],
)
async def test_the_contact_window(pki: Path, poll_rate_s: int, stated_s: int | None, window_s: int) -> None:
    rates = Rates(page_limit=50, poll_rate_s=poll_rate_s)
    async with World(pki, rates=rates, contact_lost_s=stated_s) as world:
        await world.rounds()
        assert world.heard(Contact) == [Contact(PARTY, 1000 * window_s)]
