"""`python -m tests.mutants [--only MODULE]`: mutate the rules and run their tests against each mutant.

Everything happens in a copy, so that neither a mutant nor a cache is left behind here.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .listed import LIST, Mutant, listed

ROOT = Path(__file__).parents[2]
MODULES = ("authority", "slots", "arbitrate", "commitments", "guard")
TESTS = (
    *(f"test_core_{name}.py" for name in ("authority", "standing", "arbitrate", "situations", "modes", "exact")),
    "test_guard.py",
    *(f"test_commitments_{name}.py" for name in ("admission", "book", "performance")),
)
WORKERS = "2"
NOTICED = ("killed", "timeout", "segfault")
ALIKE, FAULT_FOUND, WRONG_USE = 0, 1, 2


def configuration(modules: Sequence[str]) -> str:
    """Give what mutmut is to mutate, and the tests that are to notice it without help from any other test."""
    rows = {
        "source_paths": ["gateway"],
        "only_mutate": [f"gateway/core/{name}.py" for name in modules],
        "pytest_add_cli_args_test_selection": [f"tests/core/{name}" for name in TESTS],
        "pytest_add_cli_args": ["-q", "-p", "no:cacheprovider", "-k", "not type_check"],
        "also_copy": ["profiles"],
    }
    lines = [f"{key} =\n" + "".join(f"    {value}\n" for value in values) for key, values in rows.items()]
    return "[mutmut]\n" + "".join(lines)


def copy_into(folder: Path, modules: Sequence[str]) -> None:
    """Copy what is mutated and what is run."""
    for name in ("gateway", "profiles", "tests/core"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "setup.cfg").write_text(configuration(modules), encoding="utf-8")


def mutmut(folder: Path, *arguments: str, quiet: bool = True) -> str:
    """Run mutmut there; unless it is quiet, what it says goes to standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE if quiet else sys.stderr,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"mutants: mutmut {arguments[0]} ended with {done.returncode}; run the tests of core/ first")
    return done.stdout or ""


def survivors(folder: Path) -> list[Mutant]:
    """Give what no test has noticed, or was never put to one."""
    rows = [line.split(": ") for line in mutmut(folder, "results").splitlines() if ": " in line]
    return [shown(name.strip(), mutmut(folder, "show", name.strip())) for name, state in rows if state not in NOTICED]


def shown(name: str, difference: str) -> Mutant:
    """Read a mutant from its name and its difference."""
    module, mangled = name.removeprefix("gateway.core.").split("__mutmut")[0].split(".")
    function = mangled.removeprefix("xǁ").replace("ǁ", ".") if "ǁ" in mangled else mangled.removeprefix("x_")
    lines = [line for line in difference.splitlines() if line[:1] in {"-", "+"} and line[:3] not in {"---", "+++"}]
    was, becomes = (" ".join(line[1:].strip() for line in lines if line[0] == side) for side in "-+")
    return Mutant(f"{module}.{function}", was, becomes)


def compared(found: Iterable[Mutant], known: Mapping[Mutant, str]) -> tuple[list[str], bool]:
    """Give the survivors with their reasons, then the faults; and whether there are none of these."""
    ordered = sorted(set(found))
    lines = [f"alike: {change(one)}\n  {known[one]}" for one in ordered if one in known]
    faults = [f"survived: {change(one)}\n  test it, or list it in {LIST.name}" for one in ordered if one not in known]
    faults += [f"noticed: {change(one)}\n  take it off {LIST.name}" for one in sorted(known.keys() - set(ordered))]
    lines += [*faults, f"{len(ordered)} mutants survived, {len(faults)} faults"]
    return lines, not faults


def change(mutant: Mutant) -> str:
    return f"{mutant.function}\n  - {mutant.was}\n  + {mutant.becomes}"


def main(arguments: list[str] | None = None) -> int:
    """Give 1 where a survivor is not listed, or where what is listed is noticed after all."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Mutation of the rules.")
    parser.add_argument("--only", metavar="MODULE", default="", help=f"one of {', '.join(MODULES)}")
    given = parser.parse_args(arguments)
    modules = [name for name in MODULES if given.only in {"", name}]
    if not modules:
        sys.stderr.write(f"mutants: {given.only!r} is not mutated; choose one of {', '.join(MODULES)}\n")
        return WRONG_USE
    with tempfile.TemporaryDirectory() as made:
        copy_into(Path(made), modules)
        mutmut(Path(made), "run", "--max-children", WORKERS, quiet=False)
        found = survivors(Path(made))
    lines, alike = compared(found, {one: why for one, why in listed().items() if one.module in modules})
    sys.stdout.write("\n".join(lines) + "\n")
    return ALIKE if alike else FAULT_FOUND


if __name__ == "__main__":
    sys.exit(main())
