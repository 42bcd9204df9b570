"""What `make mutants` reads and what it calls a fault; the mutants themselves run there and not here."""

import ast

import pytest

from .__main__ import MODULES, ROOT, compared, configuration, main, shown
from .listed import Mutant, listed

ONE = Mutant("guard.clear", "a < b", "a <= b")


def source_of(function: str) -> str:
    """Give the lines of a function or method of the core, without their indentation."""
    module, *names = function.split(".")
    text = (ROOT / "gateway" / "core" / f"{module}.py").read_text(encoding="utf-8")
    nodes: list[ast.stmt] = ast.parse(text).body
    for name in names:
        found = next(node for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name)
        nodes = found.body
    return " ".join(line.strip() for line in (ast.get_source_segment(text, found) or "").splitlines())


@pytest.mark.parametrize("mutant", listed(), ids=lambda mutant: mutant.function)
def test_what_is_listed_is_still_there_and_has_a_reason(mutant: Mutant) -> None:
    assert mutant.was in source_of(mutant.function)
    assert mutant.was != mutant.becomes
    assert mutant.module in MODULES
    assert listed()[mutant]


def test_a_survivor_that_is_not_listed_and_a_listed_one_that_is_noticed_are_faults() -> None:
    lines, alike = compared([ONE, ONE], {ONE: "nothing differs"})
    assert alike
    assert lines == ["alike: guard.clear\n  - a < b\n  + a <= b\n  nothing differs", "1 mutants survived, 0 faults"]
    lines, alike = compared([ONE], {})
    assert not alike
    assert lines[0].startswith("survived: guard.clear")
    lines, alike = compared([], {ONE: "nothing differs"})
    assert not alike
    assert lines[0].startswith("noticed: guard.clear")


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("slots.xǁFallbacksǁ__init____mutmut_23", "slots.Fallbacks.__init__"),
        ("guard.x__fault__mutmut_3", "guard._fault"),
    ],
)
def test_a_mutant_is_named_by_its_function_and_its_lines(name: str, function: str) -> None:
    difference = "--- a.py\n+++ a.py\n@@ -1,3 +1,2 @@\n before\n-    case _:\n-        return 0\n+    return 1\n after"
    assert shown(f"gateway.core.{name}", difference) == Mutant(function, "case _: return 0", "return 1")


def test_only_what_is_asked_for_is_mutated() -> None:
    assert "gateway/core/guard.py" in configuration(["guard"])
    assert "gateway/core/slots.py" not in configuration(["guard"])


def test_a_module_that_is_not_mutated_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "wire"]) == 2
    assert capsys.readouterr().err == f"mutants: 'wire' is not mutated; choose one of {', '.join(MODULES)}\n"
