"""`gateway coordination`: assess, draw and compare skeletons, and derive a site's grants from one (RULES D)."""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.cli import coordination_grants
from gateway.config import profiles
from gateway.config.faults import Fault, quoted, suggestion
from gateway.config.lines import Lines
from gateway.coordination import reading
from gateway.coordination.assess import NOT_JUDGED, Assessment, assess
from gateway.coordination.compare import Comparison, Needs, compare
from gateway.coordination.draw import draw
from gateway.coordination.skeleton import Skeleton, SkeletonFault

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

DONE, WRONG_USE = 0, 2
ANYWHERE = "any"
"""The jurisdiction of a model that describes none in particular."""


class Found(NamedTuple):
    """The skeletons that were asked for, and one line for each fault."""

    skeletons: tuple[Skeleton, ...]
    faults: tuple[str, ...]


def register(subparsers: "Commands") -> None:
    """Add `coordination` with its actions to the command line."""
    about = "coordination models: who may instruct whom, and what follows from it"
    actions = subparsers.add_parser("coordination", help=about, description=about).add_subparsers(
        dest="action", required=True, metavar="list|assess|grants|draw|compare"
    )
    told = "list the shipped models, one line each, with the jurisdiction that it describes"
    listing = actions.add_parser("list", help=told, description=told)
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=run, coordination_action=_list)
    what = "a file of [[architecture]], FILE#ID for one of it, or the id of a shipped model"
    for name, action, told in (
        ("assess", _assess, "judge skeletons: layering, bypassing, hidden coupling and the rest, with the flows"),
        ("draw", _draw, "draw skeletons as SVG with the offending flows marked"),
        ("compare", _compare, "set alternatives side by side"),
    ):
        parser = actions.add_parser(name, help=told, description=told)
        parser.add_argument("models", nargs="+", metavar="FILE", help=what)
        parser.set_defaults(run=run, coordination_action=action)
        if name == "draw":
            parser.add_argument("--out", type=Path, metavar="FILE", help="where to write; standard output if left out")
        else:
            parser.add_argument("--json", action="store_true", help="print JSON")
    told = "derive the grants of a site's parties from a model"
    grants = actions.add_parser("grants", help=told, description=told)
    grants.add_argument("model", metavar="MODEL", help=what)
    grants.add_argument("site", type=Path, metavar="SITE.toml", help="the site file, whose parties name their entity")
    grants.add_argument("--json", action="store_true", help="print JSON")
    grants.set_defaults(run=run, coordination_action=_grants)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for; 0, or 2 where a skeleton or a site cannot be used. What is sound is done all the same."""
    code: int = args.coordination_action(args)
    return code


def shipped() -> dict[str, Path]:
    """Give the shipped models by their ids, each with its file."""
    found: dict[str, Path] = {}
    for path in sorted((profiles() / "coordination").glob("*.toml")):
        for each in tomllib.loads(path.read_text(encoding="utf-8"))["architecture"]:
            found[each["id"]] = path
    return found


def _list(args: argparse.Namespace) -> int:
    rows: list[dict[str, str]] = []
    for path in sorted((profiles() / "coordination").glob("*.toml")):
        for each in tomllib.loads(path.read_text(encoding="utf-8"))["architecture"]:
            where = each.get("jurisdiction", ANYWHERE)
            rows.append({"id": each["id"], "jurisdiction": where, "title": each["title"], "file": path.name})
    rows.sort(key=lambda row: row["jurisdiction"] != ANYWHERE)
    if args.json:
        _print_json(rows)
        return DONE
    widths = {key: max(len(row[key]) for row in rows) for key in ("id", "jurisdiction")}
    for row in rows:
        title = row["title"].removeprefix(f"{row['jurisdiction']}: ")
        print(f"{row['id']:{widths['id']}}  {row['jurisdiction']:{widths['jurisdiction']}}  {title}")
    return DONE


def find(model: str) -> Found:
    """Find the skeletons of one argument: a file, one architecture of a file, or a shipped model."""
    if Path(model).exists():
        return read_file(Path(model))
    name, mark, wanted = model.rpartition("#")
    if mark and Path(name).exists():
        return _one_of(read_file(Path(name)), name, wanted)
    known = shipped()
    if model in known:
        return _one_of(read_file(known[model]), str(known[model]), model)
    if model.endswith(".toml") or "/" in model:
        return Found((), (f"{model}:1: file: cannot be read: there is no such file",))
    return Found((), (f"gateway coordination: no model is named {quoted(model)}; {suggestion(model, known)}",))


def _file_of(model: str) -> Path:
    """Give the file of a model that was found."""
    name = model if Path(model).exists() else model.rpartition("#")[0]
    return Path(name) if name else shipped()[model]


def _one_of(found: Found, name: str, wanted: str) -> Found:
    chosen = tuple(each for each in found.skeletons if each.id == wanted)
    if chosen or found.faults:
        return Found(chosen, found.faults)
    ids = [each.id for each in found.skeletons]
    return Found((), (f"{name}:1: file: no architecture has the id {quoted(wanted)}; {suggestion(wanted, ids)}",))


def read_file(path: Path) -> Found:
    """Read every architecture of a file; nothing is raised for a faulty one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        raw = tomllib.loads(text)
    except OSError as error:
        return Found((), (f"{path}:1: file: cannot be read: {error.strerror}",))
    except UnicodeDecodeError:
        return Found((), (f"{path}:1: file: not UTF-8; save it in that encoding",))
    except (ValueError, RecursionError) as error:
        return Found((), (coordination_grants.not_toml(path, error),))
    done = reading.read(raw)
    return Found(done.skeletons, _lines(path, text, done.faults))


def _lines(path: Path, text: str, faults: Iterable[SkeletonFault]) -> tuple[str, ...]:
    lines = Lines(text)
    found = [Fault(str(path), lines.of(each.place), each.where, coordination_grants.said(each)) for each in faults]
    return tuple(str(each) for each in sorted(found, key=lambda fault: fault.line))


def _found(models: Iterable[str]) -> Found:
    found = [find(model) for model in models]
    faults = tuple(line for each in found for line in each.faults)
    _complain(faults)
    return Found(tuple(skeleton for each in found for skeleton in each.skeletons), faults)


def _complain(faults: Iterable[str]) -> None:
    for line in dict.fromkeys(faults):
        print(line, file=sys.stderr)


def _assess(args: argparse.Namespace) -> int:
    found = _found(args.models)
    assessed = [assess(each) for each in found.skeletons]
    if args.json:
        _print_json([_assessment_row(each) for each in assessed])
    else:
        for each in assessed:
            _print_assessment(each)
        if assessed:
            print(f"not judged, since no graph can say it: {'; '.join(NOT_JUDGED)}")
    return WRONG_USE if found.faults else DONE


def _assessment_row(assessed: Assessment) -> dict[str, Any]:
    seen = {each.operator: {"hops": each.hops, "unseen": each.unseen} for each in assessed.seen}
    verdict: dict[str, Any] = {each.name: each.value for each in assessed.verdicts}
    causes = {each.name: [str(flow) for flow in each.causes] for each in assessed.verdicts}
    return {
        "id": assessed.id,
        "verdict": verdict | {"observability": seen},
        "causes": causes | {"observability": [str(flow) for flow in assessed.seeing]},
        "notes": {each.name: each.note for each in assessed.verdicts if each.note},
        "organisations_in_series": assessed.series,
        "control_cycle_s": assessed.cycle_s,
        "not_judged": NOT_JUDGED,
    }


def _print_assessment(assessed: Assessment) -> None:
    print(assessed.id)
    for each in assessed.verdicts:
        print(f"  {each.name:18} {_word(each.value)}{f'; {each.note}' if each.note else ''}")
        for flow in each.causes:
            print(f"  {'':18}   {flow}")
    if not assessed.seeing:
        print(f"  {'observability':18} no flow of readings from a DER to an operator is declared")
    for seen in assessed.seen if assessed.seeing else ():
        known = [f"{der} over {hops} hop{'s' if hops != 1 else ''}" for der, hops in seen.hops.items()]
        known += [f"{der} not at all" for der in seen.unseen]
        print(f"  {'observability':18} {seen.operator} sees {', '.join(known)}")
    print()


def _word(value: str | bool) -> str:
    return json.dumps(value) if isinstance(value, bool) else value


def _draw(args: argparse.Namespace) -> int:
    found = _found(args.models)
    if found.skeletons:
        picture = draw(found.skeletons)
        if args.out is None:
            print(picture, end="")
        else:
            try:
                args.out.write_text(picture, encoding="utf-8")
            except OSError as error:
                _complain([f"gateway coordination: {args.out}: cannot be written: {error.strerror}"])
                return WRONG_USE
    return WRONG_USE if found.faults else DONE


def _compare(args: argparse.Namespace) -> int:
    found = _found(args.models)
    compared = compare(found.skeletons)
    if args.json:
        _print_json(_comparison(compared))
    elif found.skeletons:
        _print_comparison(compared)
    return WRONG_USE if found.faults else DONE


def _comparison(compared: Comparison) -> dict[str, Any]:
    def each_place(needs: tuple[Needs, ...]) -> list[dict[str, Any]]:
        return [each._asdict() for each in needs]

    return {
        "alternatives": compared.ids,
        "verdicts": {name: dict(zip(compared.ids, values, strict=True)) for name, values in compared.verdicts},
        "entities": [
            {
                "tier": row.tier,
                "role": row.role,
                "in": {name: each_place(needs) for name, needs in zip(compared.ids, row.needs, strict=True)},
            }
            for row in compared.rows
        ],
        "not_judged": NOT_JUDGED,
    }


def _print_comparison(compared: Comparison) -> None:
    width = max(18, *(len(name) + 2 for name in compared.ids))
    print(f"{'':18}" + "".join(f"{name:{width}}" for name in compared.ids).rstrip())
    for name, values in compared.verdicts:
        print(f"{name:18}" + "".join(f"{_word(value):{width}}" for value in values).rstrip())
    for row in compared.rows:
        print(f"\n{row.role} ({row.tier})")
        for name, needs in zip(compared.ids, row.needs, strict=True):
            for each in needs:
                print(f"  {name}: {each.entity}")
                print(f"    must do:   {'; '.join(each.do) or 'nothing'}")
                print(f"    must know: {'; '.join(each.know) or 'nothing'}")
            if not needs:
                print(f"  {name}: none")
    print(f"\nnot judged, since no graph can say it: {'; '.join(NOT_JUDGED)}")


def _grants(args: argparse.Namespace) -> int:
    found = _found([args.model])
    if found.faults:
        return WRONG_USE
    if len(found.skeletons) != 1:
        ids = ", ".join(each.id for each in found.skeletons)
        _complain([f"gateway coordination: {args.model} holds several models; name one as {args.model}#ID: {ids}"])
        return WRONG_USE
    done = coordination_grants.derived(
        found.skeletons[0], _file_of(args.model), args.site, profiles() / "dso" / "services.toml"
    )
    if isinstance(done, str):
        _complain([done])
        return WRONG_USE
    if args.json:
        _print_json(coordination_grants.rows(found.skeletons[0], done))
    else:
        print(coordination_grants.blocks(found.skeletons[0], args.site, done))
    return DONE


def _print_json(content: Mapping[str, Any] | list[Any]) -> None:
    print(json.dumps(content, indent=2))
