"""Colours, changes of the network, defaults, promises and overrides over the local API."""

import time
from pathlib import Path

import pytest
from web_world import SITE, Json, World, limit, order, power, site_in

from gateway.core.functions import Function
from gateway.core.orders import Ceiling, Default, OrderKey
from gateway.core.parties import Colour, Direction
from gateway.core.state import SegmentColour
from gateway.core.units import Watts

LATER_MS = 4_102_444_800_000
NO_SUCH_WORD = "the body cannot be read: Invalid enum value"
RED: Json = {"segment": "s1", "colour": "red", "constrained": "export", "until_ms": LATER_MS}


async def test_the_limit_parent_colours_a_segment(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        said = await world.told("dso", "POST", "/v1/colours", RED)
        assert said == {"admitted": True, "rule": "C11", "why": "set by dso", "refused": {}}
        red = SegmentColour(Colour.RED, Direction.EXPORT, LATER_MS, "dso")
        assert world.machine.state.colours == {"s1": red}
        said = await world.told("market", "POST", "/v1/colours", {**RED, "colour": "green", "constrained": None})
        assert (said["admitted"], said["rule"]) == (False, "A2")
        said = await world.told("dso", "POST", "/v1/colours", {**RED, "segment": "s2"})
        assert (said["admitted"], said["rule"]) == (False, "C11")
        assert world.machine.state.colours == {"s1": red}


async def test_colours_and_the_network_can_be_read_by_every_party(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        [green] = (await world.told("market", "GET", "/v1/colours"))["colours"]
        assert green == {"segment": "s1", "colour": "green", "constrained": None, "until": None, "set_by": None}
        await world.told("dso", "POST", "/v1/colours", RED)
        [red] = (await world.told("market", "GET", "/v1/colours"))["colours"]
        until = "2100-01-01T00:00:00.000Z"
        assert red == {"segment": "s1", "colour": "red", "constrained": "export", "until": until, "set_by": "dso"}
        points = (await world.told("market", "GET", "/v1/network"))["points"]
        assert points == [{"point": name, "validated": True, "why": ""} for name in ("s1", "street")]
        await world.told("dso", "POST", "/v1/network", {"points": ["s1"], "validated": False, "why": "switch 7"})
        points = (await world.told("market", "GET", "/v1/network"))["points"]
        assert points[0] == {"point": "s1", "validated": False, "why": "switch 7"}
        [void] = (await world.told("dso", "GET", "/v1/colours"))["colours"]
        assert (void["colour"], void["until"]) == ("amber", None)


async def test_a_default_is_listed_and_taken_back(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        body: Json = {"group": "street", "effects": [limit(2000), {"function": "import-limit", "percent": -50}]}
        await world.told("dso", "POST", "/v1/defaults", {**body, "gradient_percent_per_s": 0.5, "priority": 3})
        [row] = (await world.told("dso", "GET", "/v1/defaults"))["defaults"]
        assert row == {**body, "id": "default", "priority": 3, "gradient_percent_per_s": 0.5, "service": ""}
        assert (await world.told("market", "GET", "/v1/defaults"))["defaults"] == []
        await world.refused("market", "DELETE", "/v1/defaults/default", status=404)
        assert world.south.wanted["roof-2"].command.limit_w == 2000
        said = await world.told("dso", "DELETE", "/v1/defaults/default")
        assert (said["admitted"], said["rule"]) == (True, "C5")
        assert world.south.wanted["roof-2"].command.limit_w == 1500, "the last resort of the site file"
        assert (await world.told("dso", "GET", "/v1/defaults"))["defaults"] == []
        await world.refused("dso", "DELETE", "/v1/defaults/default", status=404)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ({**RED, "constrained": None}, 'constrained: give "export" or "import" with red, and nothing otherwise'),
        ({**RED, "colour": "amber"}, 'constrained: give "export" or "import" with red, and nothing otherwise'),
        ({**RED, "until_ms": None}, "until: it is missing; give until or until_ms"),
        (
            {**RED, "colour": "blue"},
            f"{NO_SUCH_WORD} 'blue' - at `$.colour`; give one of green,",
        ),
        ({**RED, "segment": "a\nb"}, "the body cannot be read: Expected `str` matching regex"),
    ],
)
async def test_a_colour_that_cannot_be_understood(body: Json, line: str, tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        assert (await world.refused("dso", "POST", "/v1/colours", body)).startswith(line)
        assert world.machine.state.colours == {}


async def test_a_change_of_the_network_holds_until_it_is_validated(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        change: Json = {"points": ["s1"], "validated": False, "why": "switch 7 opened"}
        assert (await world.told("dso", "POST", "/v1/network", change))["rule"] == "C19"
        assert world.machine.state.unvalidated == {"s1": "switch 7 opened"}
        assert not (await world.told("market", "POST", "/v1/network", {**change, "validated": True}))["admitted"]
        assert world.machine.state.unvalidated == {"s1": "switch 7 opened"}
        assert (await world.told("dso", "POST", "/v1/network", {**change, "validated": True}))["admitted"]
        assert world.machine.state.unvalidated == {}
        line = await world.refused("dso", "POST", "/v1/network", {**change, "points": ["s2"]})
        assert line == "points: name at least one, and each as the site file does; known: s1, street"
        await world.refused("dso", "POST", "/v1/network", {**change, "points": []})


async def test_a_default_holds_without_orders(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        body: Json = {"group": "street", "effects": [limit(2000)], "gradient_percent_per_s": 0.5, "priority": 3}
        said = await world.told("dso", "POST", "/v1/defaults", body)
        assert (said["admitted"], said["rule"]) == (True, "C5")
        held = world.machine.state.defaults["street"][OrderKey("dso", "default")]
        assert held == Default("dso", "default", "street", 3, (Ceiling(Function.EXPORT_LIMIT, Watts(2000)),), 50)
        assert world.south.wanted["roof-2"].command.limit_w == 2000
        assert (await world.told("dso", "POST", "/v1/defaults", body))["why"] == "it stands already as it was sent"
        line = await world.refused("dso", "POST", "/v1/defaults", {**body, "group": "rue"})
        assert line == "group: none is named 'rue'; name one of the site file"
        line = await world.refused("dso", "POST", "/v1/defaults", {**body, "effects": [limit(-2000)]})
        assert line == "effects: export-limit takes w of 0 or more (generation is positive): write 2000"


def promise(name: str, w: int, buyer: str = "dso", **more: object) -> Json:
    now_s = int(time.time())
    return {
        "id": name,
        "buyer": buyer,
        "service": "reserve",
        "level": 7,
        "reliability": False,
        "slices": [{"device": "roof-1", "w": w}],
        "direction": "export",
        "domain": "distribution",
        "terms": {"availability_permille": 900, "penalty_per_kwh_milli": 100},
        "start_ms": 1000 * (now_s + 600),
        "end_ms": 1000 * (now_s + 1200),
        **more,
    }


async def test_a_promise_is_kept_once_and_shown_to_both_sides(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        said = await world.told("market", "POST", "/v1/commitments", promise("a", 3000))
        assert (said["admitted"], said["rule"]) == (True, "C8")
        said = await world.told("market", "POST", "/v1/commitments", promise("b", 3000, "lse"))
        assert (said["admitted"], said["rule"]) == (False, "C8")
        said = await world.told("dso", "POST", "/v1/commitments", {**promise("c", 1), "slices": []})
        assert said["admitted"] is False
        assert "roof-1" in str((await world.told("dso", "GET", "/v1/commitments"))["commitments"])
        [row] = (await world.told("market", "GET", "/v1/commitments"))["commitments"]
        assert (row["id"], row["buyer"], row["slices"]) == ("a", "dso", [{"device": "roof-1", "w": 3000}])
        await world.refused("dso", "DELETE", "/v1/commitments/a", status=404)
        assert (await world.told("market", "DELETE", "/v1/commitments/a"))["why"] == "withdrawn"
        assert (await world.told("market", "GET", "/v1/commitments"))["commitments"] == []
        line = await world.refused("market", "POST", "/v1/commitments", {**promise("d", 1), "start_ms": None})
        assert line == "start: it is missing; give start or start_ms"


async def test_an_offer_is_of_ones_own_and_within_the_nameplate(tmp_path: Path) -> None:
    now_s = int(time.time())
    body: Json = {
        "id": "a",
        "service": "energy",
        "direction": "export",
        "resources": ["house-1"],
        "blocks": [{"w": 2000, "per_mwh": 20.5}, {"w": 1000, "per_mwh": 30}],
        "start_ms": 1000 * now_s,
        "end_ms": 1000 * (now_s + 600),
    }
    async with World(tmp_path) as world:
        assert (await world.told("market", "POST", "/v1/offers", body))["admitted"]
        [row] = (await world.told("market", "GET", "/v1/offers"))["offers"]
        assert row["blocks"] == [{"w": 2000, "per_mwh": 20.5}, {"w": 1000, "per_mwh": 30.0}]
        assert (await world.told("dso", "GET", "/v1/offers"))["offers"] == []
        other = await world.told("market", "POST", "/v1/offers", {**body, "id": "b", "resources": ["house-2"]})
        assert (other["admitted"], other["rule"]) == (False, "A6")
        larger = {**body, "version": 1, "blocks": [{"w": 6000, "per_mwh": 1}]}
        more = await world.told("market", "POST", "/v1/offers", larger)
        assert (more["admitted"], more["rule"]) == (False, "C8")
        await world.refused("dso", "DELETE", "/v1/offers/a", status=404)
        assert (await world.told("market", "DELETE", "/v1/offers/a"))["admitted"]
        assert (await world.told("market", "GET", "/v1/offers"))["offers"] == []


async def test_the_limit_parent_sees_all_offers_as_one_curve(tmp_path: Path) -> None:
    assert SITE.endswith('[interface]\nname = "street"\n')
    text = f"{SITE}export_limit_w = 2500\n"
    body: Json = {
        "service": "energy",
        "direction": "export",
        "start_ms": LATER_MS,
        "end_ms": LATER_MS + 3_600_000,
    }
    dear: Json = {"id": "dear", "resources": ["house-2"], "blocks": [{"w": 2000, "per_mwh": 30}]}
    cheap: Json = {"id": "cheap", "resources": ["house-1"], "blocks": [{"w": 1000, "per_mwh": 20.5}]}
    window = "?at=2100-01-01T00:00:00Z&until=2100-01-01T01:00:00Z"
    async with World(tmp_path, site_in(tmp_path, text)) as world:
        await world.told("dso", "POST", "/v1/offers", {**body, **dear})
        await world.told("market", "POST", "/v1/offers", {**body, **cheap})
        found = await world.told("dso", "GET", f"/v1/offers/curve{window}")
        steps = found["export"]["steps"]
        assert [(one["per_mwh"], one["cumulative_w"]) for one in steps] == [(20.5, 1000), (30.0, 2500)]
        assert [bid["offer"] for one in steps for bid in one["bids"]] == ["market/cheap", "dso/dear"]
        assert found["export"]["left_out"] == [{"offer": "dso/dear", "block": 0, "w": 500, "limit": "street"}]
        assert found["import"] == {"total_w": 0, "steps": [], "left_out": []}
        assert (await world.told("dso", "GET", "/v1/offers/curve"))["export"]["total_w"] == 0, "nothing is offered now"
        line = await world.refused("market", "GET", "/v1/offers/curve", status=403)
        assert line.startswith("A2: the curve of all offers is for the limit parent")
        line = await world.refused("dso", "GET", "/v1/offers/curve?from=1")
        assert line == "from: unknown; give at, and until for a window, or neither for now"
        await world.refused("dso", "GET", f"/v1/offers/curve{window.replace('01:00', '00:00')}")


async def test_an_override_is_told_to_the_parent_and_to_whose_order_it_was(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.told("market", "POST", "/v1/orders", order("bid", power(3000), group="one"))
        await world.told("dso", "POST", "/v1/orders", order("need", power(1000)))
        for party in ("dso", "market"):
            [row] = (await world.told(party, "GET", "/v1/overrides"))["overrides"]
            assert (row["order"], row["what"], row["rule"]) == ("market/bid", "suspended", "C10")
            assert row["resources"] == ["house-1"]
            assert "dso/need" in row["why"]
        await world.told("market", "POST", "/v1/orders", order("other", power(1), group="one"))
        await world.told("market", "DELETE", "/v1/orders/bid")
        rows = (await world.told("market", "GET", "/v1/overrides"))["overrides"]
        assert {row["order"] for row in rows} <= {"market/bid", "market/other"}
