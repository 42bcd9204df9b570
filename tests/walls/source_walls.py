"""The walls of the house that no import contract can say. Each gives the places that break it, as `path:line: what`."""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

Wall = Callable[[Path], list[str]]

DECIDING = ("gateway/core", "gateway/coordination")
GUARD = "gateway/core/guard.py"
ADAPTERS = ("gateway/northbound", "gateway/southbound")
FIVE_FILES = ("__init__.py", "link.py", "translate.py", "config.py", "README.md")
LONGEST_FILE = 500
TRANSLATING = (
    "translate.py",
    "carriers.py",
    "charging.py",
    "curves.py",
    "legacy_curves.py",
    "modes.py",
    "reactive.py",
    "log_event.py",
    "telemetry.py",
)
DOING = ("asyncio", "socket", "ssl", "time", "threading", "logging")
NAMED_VALUES = ("gateway.core.alarms", "gateway.core.events", "gateway.core.known", "gateway.core.units")

OUTSIDE = {"open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint", "hash"}
CLOCK_OR_CHANCE = {
    "now",
    "utcnow",
    "today",
    "monotonic",
    "perf_counter",
    "time_ns",
    "getrandbits",
    "randint",
    "urandom",
}
ORDERED_BY_CALLER = {
    "list",
    "tuple",
    "iter",
    "enumerate",
    "map",
    "filter",
    "zip",
    "reversed",
    "dict",
    "fromkeys",
    "join",
}

PRIVATE_KEY = re.compile(
    r"""-----BEGIN\ [A-Z ]*PRIVATE\ KEY-----    # then, in a file or in the literals of a program:
    (?:\s|\\[nr]|[bf]?["'])*                   # ends of line and of literals
    (?:[A-Za-z0-9+/]{32}|Proc-Type)            # a key in plain or in cipher""",
    re.VERBOSE,
)
STRANGE_WORDS = re.compile(r"(?<![A-Za-z0-9_.])/(?:work|tmp/bash_jobs|root/\.)(?:/|\b)|\bsub-?agents?\b", re.IGNORECASE)


PROTOCOL = re.compile(r"sep_?2|2030|openadr|mqtt|sunspec|modbus|opendss", re.IGNORECASE)


def only_the_guard_clears(root: Path) -> list[str]:
    """Nothing but the guard builds `Cleared`, by whatever name or back door (DESIGN 2)."""
    return [
        _at(root, path, node, "only gateway/core/guard.py builds Cleared")
        for path, tree in _trees(root, "gateway")
        if path.relative_to(root).as_posix() != GUARD
        for node in ast.walk(tree)
        if _builds_cleared(node)
    ]


def _builds_cleared(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="Cleared") | ast.Attribute(attr="Cleared" | "__new__")):
            return True
        case ast.ImportFrom(names=names):
            return any(
                each.name == "_KEY" or (each.name == "Cleared" and each.asname not in (None, "Cleared"))
                for each in names
            )
        case ast.Call(func=ast.Name(id="cast"), args=[wanted, *_]):
            return "Cleared" in ast.unparse(wanted)
        case ast.Assign(value=ast.Name(id="Cleared") | ast.Attribute(attr="Cleared")):
            return True
        case ast.ClassDef(bases=bases):
            return any("Cleared" in ast.unparse(base) for base in bases)
        case _:
            return False


def decisions_see_no_clock(root: Path) -> list[str]:
    """A decision is a function of its arguments: no clock, no chance, nothing that differs from process to process."""
    return [
        _at(root, path, node, f"{name} in a decision; hand the value in as an argument")
        for path, tree in _deciding(root)
        for node in ast.walk(tree)
        if (name := _world_read(node))
    ]


def _world_read(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in OUTSIDE:
            return name
        case ast.Attribute(attr=name) if name in CLOCK_OR_CHANCE:
            return name
        case ast.Import(names=names):
            return next((each.name for each in names if each.name in ("time", "random", "datetime", "secrets")), None)
        case ast.ImportFrom(module="time" | "random" | "datetime" | "secrets" as name):
            return name
        case _:
            return None


def decisions_name_no_protocol(root: Path) -> list[str]:
    """A name or text in a decision is a general word; only a docstring may name a standard, as its source."""
    return [
        _at(root, path, node, f"{word} in a decision; use the general word, and turn the meaning in translate.py")
        for path, tree in _deciding(root)
        for docstrings in [_docstrings(tree)]
        for node in ast.walk(tree)
        for word in _words_of(node, docstrings)
        if PROTOCOL.search(word)
    ]


def _docstrings(tree: ast.Module) -> set[int]:
    """Give the texts that stand alone, which are there to be read."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def _words_of(node: ast.AST, docstrings: set[int]) -> list[str]:
    match node:
        case ast.Constant(value=str(text)) if id(node) not in docstrings:
            return [text]
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            return [name]
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.ImportFrom(module=str(module), names=names):
            return [module, *(each.name for each in names)]
        case _:
            return []


def decisions_use_whole_numbers(root: Path) -> list[str]:
    """No float, true division or power, so that a replay is exact to the bit on every machine (DESIGN 1)."""
    return [
        _at(root, path, node, f"{what} in a decision; count in whole W, var and ms")
        for path, tree in _deciding(root)
        for node in ast.walk(tree)
        if (what := _inexact(node))
    ]


def _inexact(node: ast.AST) -> str | None:
    match node:
        case ast.Constant(value=float() | complex()):
            return "a float"
        case ast.Name(id="float" | "complex" | "pow" | "round" as name):
            return name
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            return "true division"
        case ast.BinOp(op=ast.Pow()) | ast.AugAssign(op=ast.Pow()):
            return "a power"
        case _:
            return None


def decisions_walk_no_set(root: Path) -> list[str]:
    """Nothing takes its order from a set: a name is one where it is annotated or bound so, anywhere in its module."""
    found = []
    for path, tree in _deciding(root):
        sets = _set_names(tree)
        for node in ast.walk(tree):
            found += [
                _at(root, path, node, f"takes its order from a set: {ast.unparse(walked)}")
                for walked in _walked(node)
                if _is_set(walked, sets)
            ]
    return found


def _walked(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.For(iter=walked) | ast.comprehension(iter=walked) | ast.Starred(value=walked):
            return [walked]
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args) if name in ORDERED_BY_CALLER:
            return args
        case ast.Call(func=ast.Attribute(value=popped, attr="pop"), args=[]):
            return [popped]
        case _:
            return []


def _set_names(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(target=target, annotation=annotation) if _is_set_type(annotation):
                names.add(_last_name(target))
            case ast.arg(arg=name, annotation=ast.expr() as annotation) if _is_set_type(annotation):
                names.add(name)
            case ast.Assign(targets=targets, value=value) if _is_set(value, names):
                names.update(_last_name(target) for target in targets)
            case _:
                pass
    return names - {""}


def _is_set_type(annotation: ast.expr) -> bool:
    return re.match(r"(?:Final\[)?(?:set|frozenset|Set|AbstractSet|MutableSet)\b", ast.unparse(annotation)) is not None


def _is_set(node: ast.expr, names: set[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.Call(func=ast.Attribute(attr="union" | "intersection" | "difference" | "symmetric_difference")):
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in names
        case ast.BinOp(left=left, right=right, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
            return _is_set(left, names) or _is_set(right, names)
        case ast.IfExp(body=body, orelse=orelse):
            return _is_set(body, names) or _is_set(orelse, names)
        case _:
            return False


def _last_name(target: ast.expr) -> str:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def adapters_look_alike(root: Path) -> list[str]:
    """Every adapter folder has the same five files, so that reading one is reading all."""
    return [
        f"{folder.relative_to(root).as_posix()}:1: an adapter without {name}"
        for folder in _adapters(root)
        for name in FIVE_FILES
        if not (folder / name).is_file()
    ]


def meaning_turns_in_translate(root: Path) -> list[str]:
    """Only translate.py, or a file beside it that does nothing else, sees both a protocol's values and the core's.

    An adapter's link sees no core at all.
    Left out are the core's readings, units and events: a link has to name what it passes on.
    """
    found = []
    for folder in _adapters(root):
        for path in sorted(folder.rglob("*.py")):
            imports = list(_imports(ast.parse(path.read_text())))
            if path.name in TRANSLATING:
                found += [
                    _at(root, path, node, f"{name} in a file that only translates; do it in another")
                    for name, node in imports
                    if any(_within(name, doing) for doing in DOING)
                ]
                continue
            core = [
                (name, node) for name, node in imports if _within(name, "gateway.core") and name not in NAMED_VALUES
            ]
            wire = any(_within(name, "gateway.wire") for name, _ in imports)
            for name, node in core if wire or path.name == "link.py" else []:
                found.append(_at(root, path, node, f"{name} beside the wire; turn its meaning in translate.py"))
    return found


def _imports(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.name, node) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = node.module in ("gateway", "gateway.core")
            yield from ((f"{node.module}.{each.name}" if whole else node.module, node) for each in node.names)


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def files_are_short(root: Path) -> list[str]:
    """Every module can be read in one go."""
    return [
        f"{path.relative_to(root).as_posix()}:{LONGEST_FILE}: {length} lines; split it by what it is about"
        for path in _files(root)
        if path.suffix == ".py" and (length := len(path.read_text().splitlines())) >= LONGEST_FILE
    ]


def no_key_is_published(root: Path) -> list[str]:
    """No private key in the repository."""
    return _lines_with(root, PRIVATE_KEY, "a private key; make it at run time")


def words_belong(root: Path) -> list[str]:
    """No path of a developer's machine, nor a word of his workshop."""
    return _lines_with(root, STRANGE_WORDS, "a word that does not belong here")


def _lines_with(root: Path, pattern: re.Pattern[str], what: str) -> list[str]:
    return [
        f"{path.relative_to(root).as_posix()}:{number}: {what}"
        for path in _files(root)
        if b"\0" not in (content := path.read_bytes())
        for number in _line_numbers(pattern, content.decode(errors="replace"))
    ]


def _line_numbers(pattern: re.Pattern[str], text: str) -> list[int]:
    return [text.count("\n", 0, found.start()) + 1 for found in pattern.finditer(text)]


def _files(root: Path) -> list[Path]:
    """Every file that is in git or would be with the next commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git as the developer has it
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    return [root / name for name in sorted(set(listed)) if name and (root / name).is_file()]


def _trees(root: Path, *folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text(), str(path))


def _deciding(root: Path) -> Iterator[tuple[Path, ast.Module]]:
    return _trees(root, *DECIDING)


def _adapters(root: Path) -> list[Path]:
    return [
        folder
        for side in ADAPTERS
        for folder in sorted((root / side).glob("*"))
        if folder.is_dir() and not folder.name.startswith("__") and any(path.is_file() for path in folder.iterdir())
    ]


def _at(root: Path, path: Path, node: ast.AST, what: str) -> str:
    return f"{path.relative_to(root).as_posix()}:{getattr(node, 'lineno', 1)}: {what}"
