"""`gateway coordination`: what it prints, and where, and how it ends."""

import argparse
import json
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from skeletons import FOUR, architecture, entity, file_text, flow, shipped

from gateway.cli import coordination
from gateway.coordination.draw import LETTER

GOOD = architecture(
    FOUR, [flow("tso", "dso"), flow("dso", "aggregator"), flow("aggregator", "der"), flow("tso", "aggregator")]
)

SITE = """\
[coordination]
serves = "dso"

[[party]]
name = "grid-co"
tier = "distribution"
limit_parent = true
entity = "dso"

[[party]]
name = "iso"
tier = "bulk"
entity = "tso"

[[party]]
name = "cloud"
tier = "customer"

[[group]]
name = "street"
resources = ["a"]
"""


def ended(*arguments: str) -> int:
    parser = argparse.ArgumentParser(prog="gateway")
    coordination.register(parser.add_subparsers())
    known = parser.parse_args(["coordination", *arguments])
    code: int = known.run(known)
    return code


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.toml"
    path.write_text(file_text([GOOD]))
    return path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    return path


def test_assess_prints_verdicts_with_their_flows(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("assess", str(good)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "tried"
    assert "  tier_bypassing     some; a layered path exists beside them" in lines
    assert lines[lines.index("  tier_bypassing     some; a layered path exists beside them") + 1].strip() == (
        "tso -> aggregator (control)"
    )
    assert "not judged" in lines[-1]


def test_assess_in_json_is_a_list(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("assess", str(good), "idso", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [each["id"] for each in rows] == ["tried", "idso"]
    assert rows[0]["verdict"]["layered"] == "partial"
    assert rows[0]["causes"]["layered"] == ["tso -> aggregator (control)"]
    assert rows[1]["verdict"]["coordination_gap"] is False
    assert rows[1]["verdict"]["observability"]["tso"] == {"hops": {"der": 3}, "unseen": []}


def test_a_fault_has_its_line_and_leaves_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.toml"
    faulty = GOOD | {"id": "faulty", "flow": [*GOOD["flow"], flow("dso", "dre"), flow("tso", "dso")]}
    bad.write_text(file_text([faulty, GOOD]))
    assert ended("assess", str(bad), "--json") == 2
    out, err = capsys.readouterr()
    assert [each["id"] for each in json.loads(out)] == ["tried"]
    assert err.splitlines() == [
        f'{bad}:14: architecture "faulty" flow 5: "to": no entity has the id "dre"; did you mean "der"?',
        f'{bad}:15: architecture "faulty" flow 6: tso -> dso (control) stands there already; take one out',
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"id = [", "{}:1: file: not TOML"),
        (b"\xff", "{}:1: file: not UTF-8"),
        (b"", "{}:1: file: no architecture"),
        (b"[[architecture]]\nid = 'x'\n", '{}:1: architecture "x": no entity'),
    ],
)
def test_a_file_that_cannot_be_used(
    content: bytes, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_bytes(content)
    for action in ("assess", "draw", "compare"):
        assert ended(action, str(bad)) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(line.format(bad))
        assert err.count("\n") == 1


def test_the_shipped_models_are_listed_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(coordination.shipped())
    [kept] = [line for line in lines if line.startswith("new-york-der-participation ")]
    assert [part.strip() for part in kept.split("  ") if part][1] == "New York"
    assert ended("list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["jurisdiction"] for row in rows if row["file"] == "models.toml"} == {"any"}
    assert all(row["jurisdiction"] != "any" for row in rows if row["file"] == "jurisdictions.toml")


def test_a_misspelt_model_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("assess", "dso-manged") == 2
    assert capsys.readouterr().err == (
        'gateway coordination: no model is named "dso-manged"; did you mean "dso-managed"?\n'
    )
    assert ended("assess", "nowhere/x.toml") == 2
    assert capsys.readouterr().err.startswith("nowhere/x.toml:1: file: cannot be read")


def test_compare_sets_alternatives_side_by_side(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("compare", str(good), "dso-managed", "--json") == 0
    compared = json.loads(capsys.readouterr().out)
    assert compared["alternatives"] == ["tried", "dso-managed"]
    assert compared["verdicts"]["layered"] == {"tried": "partial", "dso-managed": "yes"}
    dso = next(each for each in compared["entities"] if each["role"] == "dso")
    assert "instruct aggregator" in dso["in"]["tried"][0]["do"]
    assert "readings of aggregator" in dso["in"]["dso-managed"][0]["know"]
    assert ended("compare", str(good), "dso-managed") == 0
    assert "must know: " in capsys.readouterr().out


def test_grants_are_ready_for_the_site_file(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("grants", "hybrid-dso-buys", str(site)) == 0
    out = capsys.readouterr().out
    grants = tomllib.loads(out)["grant"]
    assert [(each["party"], each["service"], each["level"]) for each in grants] == [
        ("grid-co", "emergency", 2),
        ("grid-co", "envelope", 3),
        ("grid-co", "reliability", 4),
        ("grid-co", "flexibility", 6),
        ("iso", "bulk-reliability", 5),
    ]
    assert {each["group"] for each in grants} == {"street"}
    assert "# tso -> aggregator (control)\n[[grant]]" in out
    assert '# no grant for party "cloud": it names no entity' in out


def test_a_service_that_is_none_is_blamed_on_the_model(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.toml"
    flows = [flow("dso", "aggregator"), flow("aggregator", "der"), flow("dso", "der", services=["envelop"])]
    wrong.write_text(file_text([architecture(FOUR, flows)]))
    line = next(number for number, each in enumerate(wrong.read_text().splitlines(), 1) if "services" in each)
    assert ended("grants", str(wrong), str(site)) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{wrong}:{line}: architecture ")
    assert said.endswith('no service is named "envelop"; did you mean "envelope"?\n')


def test_grants_in_json(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("grants", "dso-managed", str(site), "--json") == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["model"] == "dso-managed"
    assert {each["party"] for each in told["grants"]} == {"grid-co"}
    assert [each["party"] for each in told["without"]] == ["iso", "cloud"]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            'entity = "tso"',
            'entity = "tos"',
            ':13: architecture "dso-managed": party "iso": no entity has the id "tos"',
        ),
        ('serves = "dso"', 'serves = "dos"', ':2: architecture "dso-managed": "serves": no entity has the id "dos"'),
        ('tier = "bulk"', 'tier = "top"', ":10: party 2: name and tier are needed"),
        ('name = "street"', 'nam = "street"', ":4: party 1: which group"),
        ("[[group]]", "[[group]", ":19: file: not TOML"),
    ],
)
def test_a_site_that_does_not_fit_the_model(
    old: str, new: str, line: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write_text(SITE.replace(old, new))
    assert ended("grants", "dso-managed", str(site)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{site}{line}")
    assert err.count("\n") == 1


def test_one_model_of_a_file_is_chosen_by_its_id(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    several = tmp_path / "several.toml"
    several.write_text(file_text([GOOD, GOOD | {"id": "other"}]))
    assert ended("grants", str(several), str(site)) == 2
    assert "name one as" in capsys.readouterr().err
    assert ended("grants", f"{several}#other", str(site), "--json") == 0
    assert json.loads(capsys.readouterr().out)["model"] == "other"
    assert ended("grants", f"{several}#othr", str(site)) == 2
    assert 'did you mean "other"?' in capsys.readouterr().err


def number(element: Any, key: str) -> int:
    return int(element.get(key))


def boxes(root: Any) -> list[tuple[int, int, int, int, str]]:
    """Give where each text of a picture stands, by its letters."""
    found = []
    for text in root.iter("{*}text"):
        group = text.getparent()
        shift = int(group.get("transform").split()[1].rstrip(")"))
        width = LETTER * len(text.text)
        left = int(text.get("x")) - (width // 2 if text.get("text-anchor") else 0)
        bottom = int(text.get("y")) + shift + 3
        found.append((left, bottom - 14, left + width, bottom, text.text))
    return found


def test_the_picture_is_xml_with_its_texts_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "all.svg"
    assert ended("draw", *[each["id"] for each in shipped()], "--out", str(path)) == 0
    assert capsys.readouterr().out == ""
    root = etree.fromstring(path.read_bytes())
    texts = boxes(root)
    assert len(texts) > 100
    for index, one in enumerate(texts):
        for other in texts[index + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one, other)
        assert one[0] >= 0
        assert one[2] <= number(root, "width"), one
        assert one[3] <= number(root, "height"), one


def test_no_flow_runs_through_an_entity(capsys: pytest.CaptureFixture[str]) -> None:
    for model in shipped():
        assert ended("draw", model["id"]) == 0
        root = etree.fromstring(capsys.readouterr().out.encode())
        entities = [
            [number(each, key) for key in ("x", "y", "width", "height")]
            for each in root.iter("{*}rect")
            if each.get("rx")
        ]
        for line in root.iter("{*}polyline"):
            points = [tuple(map(int, str(each).split(","))) for each in str(line.get("points")).split()]
            for (x1, y1), (x2, y2) in pairwise(points):
                assert x1 == x2 or y1 == y2
                for x, y, width, height in entities:
                    inside = max(x1, x2) > x and min(x1, x2) < x + width and max(y1, y2) > y
                    assert not (inside and min(y1, y2) < y + height)


def test_offending_flows_are_red_and_the_legend_names_the_verdicts(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended("draw", str(good)) == 0
    root = etree.fromstring(capsys.readouterr().out.encode())
    red = [each[0].text for each in root.iter("{*}polyline") if each.get("marker-end") == "url(#offending)"]
    assert "tso -> aggregator (control)" in red
    assert "aggregator -> der (control)" not in red
    texts = [each.text for each in root.iter("{*}text")]
    assert any(
        str(each).startswith("tso -> aggregator (control): layered: partial, tier bypassing: some") for each in texts
    )


def test_odd_names_stay_valid_xml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = entity('d<e>&"r', "customer", "der")
    path = tmp_path / "odd.toml"
    path.write_text(file_text([architecture([*FOUR[:2], odd], [flow("dso", odd["id"])])]))
    assert ended("draw", str(path)) == 0
    root = etree.fromstring(capsys.readouterr().out.encode())
    assert odd["id"] in [each.text for each in root.iter("{*}text")]
