"""docs/local-api.md and `GET /` name every field that the local API reads, and whether it is needed."""

import pytest
from local_api_page import PAGE, main

from gateway.web.body import Body
from gateway.web.contents import BODIES, fields


def test_the_page_is_what_the_gateway_reads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", BODIES)
def test_every_field_of_a_body_stands_on_the_page(name: str) -> None:
    section = PAGE.read_text(encoding="utf-8").partition(f"### {name}\n")[2].partition("###")[0]
    assert [field for field in BODIES[name].__struct_fields__ if f"| `{field}` |" not in section] == []


def test_every_body_is_there() -> None:
    assert set(BODIES.values()) == {kind for kind in Body.__subclasses__() if kind.__module__.startswith("gateway.web")}


def test_what_is_needed_says_so() -> None:
    needed = {each.field: each.required for each in fields("commitment")}
    assert needed["id"] == needed["terms"] == "yes"
    assert (needed["start"], needed["start_ms"]) == ("this or start_ms", "this or start")
    assert (needed["created"], needed["interruptible"]) == ("no", "no; false")
    assert {each.field: each.unit for each in fields("slice")} == {
        "device": "",
        "w": "W, a size",
        "energy_wh": "Wh, a size",
    }
