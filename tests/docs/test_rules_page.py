"""docs/rules.md is what the scenarios say, and says all of it."""

import json
import tomllib

import pytest
from rules_page import PAGE, RULES, SCENARIOS, cell, main, outcomes, page, situation


def test_the_page_is_what_the_scenarios_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_scenario_is_on_the_page_with_every_outcome() -> None:
    written = page()
    files = sorted(SCENARIOS.rglob("timeline.toml"))
    assert files
    for file in files:
        assert file.relative_to(SCENARIOS).parts[0] in RULES, file
        assert f"**{file.parent.name}**: " in written
        lines = [json.loads(line) for line in (file.parent / "expected.jsonl").read_text().splitlines() if line]
        for at_s, said in outcomes(lines).items():
            row = f"| {at_s} s | "
            wanted = cell(said)
            assert any(line.startswith(row) and line.endswith(f"| {wanted} |") for line in written.splitlines()), file


def test_every_situation_is_said_in_words() -> None:
    for file in sorted(SCENARIOS.rglob("timeline.toml")):
        for step in tomllib.loads(file.read_text()).get("step", ()):
            said = situation(step)
            assert said
            assert "{" not in said, (file, said)


def test_a_rule_without_a_case_says_so() -> None:
    for section in page().split("\n## ")[1:]:
        assert "**" in section or "No case of its own yet." in section, section[:40]
