"""Orders over the local API: decided and on disk before they are answered, followed to their end, withdrawn."""

import time
from pathlib import Path

import pytest
from web_world import Json, World, limit, order, power

from gateway.core.events import LinkUp, Topic
from gateway.core.functions import Function
from gateway.core.known import Known
from gateway.core.orders import NO_PRIORITY, Ceiling, Connect, Effect, Floor, OrderKey, Price, Release, Target, Total
from gateway.core.units import Share, Watts
from gateway.store import Reader


async def test_an_order_is_answered_with_its_ruling_and_reaches_the_devices(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        said = await world.told("dso", "POST", "/v1/orders", order("a", limit(3000)))
        assert said == {"admitted": True, "rule": "A3", "why": "granted", "refused": {}}
        assert {name: one.command.limit_w for name, one in world.south.wanted.items()} == {
            "roof-1": 3000,
            "roof-2": 3000,
        }


async def test_it_is_on_disk_when_it_is_answered(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.told("dso", "POST", "/v1/orders", order("a", limit(3000)))
        reader = Reader.open(tmp_path / "state")
        try:
            told = [tell for _number, tell in reader.tells()]
        finally:
            reader.close()
        assert any(tell.order == "dso/a" and tell.topic is Topic.ANSWERED for tell in told)


async def test_who_speaks_is_who_the_token_names_and_what_it_may_do_its_grants(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        said = await world.told("market", "POST", "/v1/orders", order("a", limit(3000), group="one"))
        assert (said["admitted"], said["rule"]) == (False, "A2")
        said = await world.told("market", "POST", "/v1/orders", order("b", power(3000)))
        assert (said["admitted"], said["rule"]) == (False, "A4")
        said = await world.told("market", "POST", "/v1/orders", order("c", power(3000), group="one"))
        assert said["admitted"]
        assert OrderKey("market", "c") in world.machine.state.lives
        line = await world.refused(
            "market", "POST", "/v1/orders", {**order("d", power(1), group="one"), "issuer": "dso"}
        )
        assert "unknown field `issuer`" in line


async def test_a_part_of_an_order_that_is_refused_is_named(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        said = await world.told("dso", "POST", "/v1/orders", order("a", {"function": "connect", "on": False}))
        assert said["refused"] == {}
        site = world.site
        assert site.grants[0].group == "street"
        more = order("b", {"function": "connect", "on": False}, service="reliability")
        said = await world.told("dso", "POST", "/v1/orders", more)
        assert (said["admitted"], said["rule"]) == (False, "A6")


async def test_an_order_that_is_refused_whole_says_where_by_which_rule_and_why(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        beyond = await world.told("market", "POST", "/v1/orders", order("a", limit(3000), group="one"))
        assert beyond["refused"] == {"house-1": f"A2: {beyond['why']}"}
        wider = await world.told("market", "POST", "/v1/orders", order("b", power(3000)))
        assert wider["why"].startswith("asks for more and reaches outside its grant")
        assert wider["refused"] == dict.fromkeys(("house-1", "house-2"), f"A4: {wider['why']}")
        more = order("c", {"function": "connect", "on": False}, service="reliability")
        without = await world.told("dso", "POST", "/v1/orders", more)
        assert without["refused"] == dict.fromkeys(("house-1", "house-2"), f"A6: {without['why']}")


async def test_what_of_an_order_in_sum_cannot_be_met_is_told_at_once(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.told("dso", "POST", "/v1/orders", order("a", power(2500), scope="total"))
        met = await world.told("dso", "GET", "/v1/orders/a")
        assert (met["unmet_w"], met["unmet"]) == ({}, "")
        await world.told("dso", "PUT", "/v1/orders/a", order("a", power(9000), scope="total", version=1))
        short = await world.told("dso", "GET", "/v1/orders/a")
        assert short["unmet_w"] == {"active-power": 6000}, "the last resort is 1500 W for each of two"
        assert short["unmet"] == "E: 6000 W of 9000 W of active-power in sum cannot be met at street"
        await world.told("dso", "DELETE", "/v1/orders/a")
        assert (await world.told("dso", "GET", "/v1/orders/a"))["unmet_w"] == {}


async def test_versions(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.told("dso", "POST", "/v1/orders", order("a", limit(3000), version=1))
        again = await world.told("dso", "POST", "/v1/orders", order("a", limit(3000), version=1))
        assert (again["admitted"], again["rule"]) == (True, "C1")
        other = await world.told("dso", "POST", "/v1/orders", order("a", limit(4000), version=1))
        assert (other["admitted"], other["rule"]) == (False, "A5")
        newer = await world.told("dso", "PUT", "/v1/orders/a", order("a", limit(4000), version=2))
        assert newer["admitted"]
        assert world.south.wanted["roof-1"].command.limit_w == 4000
        older = await world.told("dso", "PUT", "/v1/orders/a", order("a", limit(3000), version=1))
        assert (older["admitted"], older["rule"]) == (False, "A5")
        line = await world.refused("dso", "PUT", "/v1/orders/b", order("a", limit(1)))
        assert line == "id: the address names 'b'; give the same id in both"


async def test_an_order_is_followed_to_its_end_and_its_answers_can_be_fetched(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.told("dso", "POST", "/v1/orders", order("a", limit(3000), group="one"))
        standing = await world.told("dso", "GET", "/v1/orders/a")
        assert (standing["held"], standing["version"], standing["group"]) == (True, 0, "one")
        assert standing["resources"] == {"house-1": {"status": "in-force", "over": False, "short_wh": 0, "short": ""}}
        assert [(one["resource"], one["answer"], one["rule"]) for one in standing["answers"]] == [
            ("house-1", "received", "A3"),
            ("house-1", "started", "C2"),
        ]
        assert len(world.machine.state.owed) == 2, "answers of an order that runs are kept over a restart"
        assert (await world.told("dso", "GET", "/v1/orders"))["orders"] == [{"id": "a", "version": 0, "over": False}]
        assert (await world.told("market", "GET", "/v1/orders"))["orders"] == []
        await world.refused("market", "GET", "/v1/orders/a", status=404)
        await world.refused("market", "DELETE", "/v1/orders/a", status=404)

        said = await world.told("dso", "DELETE", "/v1/orders/a")
        assert (said["admitted"], said["rule"]) == (True, "C13")
        assert (await world.told("dso", "DELETE", "/v1/orders/a"))["admitted"] is False
        standing = await world.told("dso", "GET", "/v1/orders/a")
        assert standing["resources"]["house-1"] == {"status": "cancelled", "over": True, "short_wh": 0, "short": ""}
        assert [one["answer"] for one in standing["answers"]][-1] == "cancelled"
        await world.hear(LinkUp("roof-1", Known(5000, 0), Known(0, 0)))
        assert world.machine.state.owed == {}, "fetched to the last, they are delivered"
        assert len((await world.told("dso", "GET", "/v1/orders/a"))["answers"]) == 3


async def test_why_an_order_is_served_short_stands_beside_by_how_much(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.told("market", "POST", "/v1/orders", order("a", power(3000), group="one"))
        await world.told("dso", "POST", "/v1/orders", order("b", limit(1000)))
        course = (await world.told("market", "GET", "/v1/orders/a"))["resources"]["house-1"]
        assert course["short"].startswith("set-point of 3000 W clipped to 1000 W by ")
        assert "dso/b" in course["short"]


async def test_answers_not_fetched_are_there_after_a_restart(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.told("dso", "POST", "/v1/orders", order("a", limit(3000), group="one"))
    async with World(tmp_path) as world:
        standing = await world.told("dso", "GET", "/v1/orders/a")
        assert [one["answer"] for one in standing["answers"]] == ["received", "started"]


async def test_a_request_is_contact(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        assert not world.machine.state.parties["market"].proven
        await world.told("market", "GET", "/v1/overrides")
        await world.hear(LinkUp("roof-1", Known(5000, 0), Known(0, 0)))
        party = world.machine.state.parties["market"]
        assert (party.proven, party.window_ms) == (True, 300_000)
        assert not world.machine.state.parties["dso"].proven
        read_at_ms = party.read_at_ms
        await world.told("market", "GET", "/v1/overrides")
        await world.hear(LinkUp("roof-1", Known(5000, 0), Known(0, 0)))
        assert party.read_at_ms == read_at_ms, "not every request is an event"


@pytest.mark.parametrize(
    ("body", "effect"),
    [
        ({"function": "export-limit", "w": 1}, Ceiling(Function.EXPORT_LIMIT, Watts(1))),
        ({"function": "export-limit", "percent": 12.345}, Ceiling(Function.EXPORT_LIMIT, Share(1234))),
        ({"function": "import-limit", "w": -3000}, Floor(Function.IMPORT_LIMIT, Watts(-3000))),
        ({"function": "import-limit", "w": 0}, Floor(Function.IMPORT_LIMIT, Watts(0))),
        ({"function": "export-limit", "w": 0}, Ceiling(Function.EXPORT_LIMIT, Watts(0))),
        ({"function": "active-power", "percent": -100}, Target(Share(-10_000))),
        ({"function": "connect", "on": True}, Connect(True)),
        ({"function": "price", "per_mwh": -12.5}, Price(-12_500)),
        ({"function": "export-limit", "release": True}, Release(Function.EXPORT_LIMIT)),
    ],
)
async def test_effects_are_what_they_say(body: Json, effect: Effect, tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.told("dso", "POST", "/v1/orders", order("a", body))
        assert world.machine.state.lives[OrderKey("dso", "a")].order.effects == (effect,)


async def test_times_rank_and_scope_are_what_they_say(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        end_ms = 1000 * (int(time.time()) + 600)
        later = "2100-01-01T01:00:00+01:00"
        more: Json = {"priority": 4, "ramp_s": 1.5, "scope": "total", "service": "envelope", "end_ms": end_ms}
        await world.told("dso", "POST", "/v1/orders", order("a", limit(3000), created_ms=5, **more))
        await world.told("dso", "POST", "/v1/orders", order("b", limit(3000), start=later))
        one = world.machine.state.lives[OrderKey("dso", "a")].order
        assert (one.rank.precedence, one.rank.created_ms, one.ramp_ms, one.end_ms) == (4, 5, 1500, end_ms)
        assert (one.scope, one.service) == (Total("street"), "envelope")
        other = world.machine.state.lives[OrderKey("dso", "b")].order
        assert (other.start_ms, other.end_ms, other.rank.precedence) == (4_102_444_800_000, None, NO_PRIORITY)
        over = await world.told("dso", "POST", "/v1/orders", order("c", limit(1), start_ms=1, end_ms=2))
        assert (over["admitted"], over["rule"]) == (False, "A5")


NO_SUCH_WORD = "the body cannot be read: Invalid enum value"
LESS, MORE = "0 or less", "0 or more (generation is positive)"


def each(function: str, **value: float) -> Json:
    """Give an effect."""
    return {"function": function, **value}


NOBODY = "group: none is named 'rue'; name one of the site file"


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (order("a", limit(1), group="rue"), NOBODY),
        (order("a"), "effects: there is none; give at least one"),
        (order("a", limit(1), limit(2)), "effects: export-limit stands there twice; give one value for it"),
        (order("a", {"function": "connect", "w": 1}), "effects: give connect exactly one of on, release"),
        (order("a", {"function": "price", "on": True}), "effects: give price exactly one of per_mwh, release"),
        (order("a", {"function": "active-power"}), "effects: give active-power exactly one of w, percent, release"),
        (order("a", {**limit(1), "percent": 1}), "effects: give export-limit exactly one of w, percent, release"),
        (
            order("a", each("import-limit", w=3000)),
            f"effects: import-limit takes w of {LESS} (import is negative): write -3000",
        ),
        (order("a", each("load-limit", w=1)), f"effects: load-limit takes w of {LESS} (load is negative): write -1"),
        (
            order("a", each("import-limit", percent=12.5)),
            f"effects: import-limit takes percent of {LESS} (import is negative): write -12.5",
        ),
        (order("a", limit(-3000)), f"effects: export-limit takes w of {MORE}: write 3000"),
        (order("a", each("generation-limit", w=-1)), f"effects: generation-limit takes w of {MORE}: write 1"),
        (order("a", each("rating-limit", percent=-50)), f"effects: rating-limit takes percent of {MORE}: write 50"),
        (order("a", limit(1), start="noon"), "start: no instant; write it as 2026-06-21T12:00:00Z"),
        (order("a", limit(1), start="2026-06-21T12:00:00"), "start: it has no offset from UTC; write it as 2026"),
        (order("a", limit(1), end="1969-01-01T00:00:00Z"), "end: it lies before 1970"),
        (order("a", limit(1), end="2026-01-01T00:00:00Z", end_ms=1), "end: give either end or end_ms"),
        (order("a", limit(1), start_ms=5, end_ms=5), "end: it is not after the start; let it end later, or leave it"),
        (order("a b", limit(1)), "the body cannot be read: Expected `str` matching regex"),
        (order("a", limit(1), version=-1), "the body cannot be read: Expected `int` >= 0 - at `$.version`"),
        (order("a", {"function": "export-limit", "w": 1.5}), "the body cannot be read: Expected `int | null`, got"),
        (
            order("a", {"function": "export"}),
            f"{NO_SUCH_WORD} 'export' - at `$.effects[0].function`; give one of export-limit, import-limit, ",
        ),
        (
            order("a", {"function": "volt-var"}),
            f"{NO_SUCH_WORD} 'volt-var' - at `$.effects[0].function`; volt-var is a curve of reactive-power: give that",
        ),
        (
            order("a", {"function": "volt-watt", "curve": {"kind": "volt-wat", "points": []}}),
            f"{NO_SUCH_WORD} 'volt-wat' - at `$.effects[0].curve.kind`; give one of volt-var, volt-watt, ",
        ),
        ({"id": "a"}, "the body cannot be read: Object missing required field `effects`"),
        ([], "the body cannot be read: Expected `object`, got `array`"),
    ],
)
async def test_what_cannot_be_understood_changes_nothing(body: object, line: str, tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        assert (await world.refused("dso", "POST", "/v1/orders", body)).startswith(line)
        assert world.machine.state.lives == {}
