"""Writes docs/rules.md, situation beside outcome for every rule, from the scenarios that the tests play.

`python tests/docs/rules_page.py` writes the page; `--check` ends with 1 where it is not what it would write.
"""

import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "tests" / "scenarios"
PAGE = ROOT / "docs" / "rules.md"
COMMAND = "python tests/docs/rules_page.py"
RULES = {
    "A1": "Identity is proven",
    "A2": "One limit parent, no bypass",
    "A3": "Grants",
    "A4": "Outside its grant",
    "A5": "Freshness",
    "A6": "Default deny",
    "A7": "Foreign hand",
    "B": "Levels",
    "C1": "One version per order",
    "C2": "Limits",
    "C3": "Level, then rank",
    "C4": "Ties",
    "C5": "Per control function",
    "C6": "Effective time",
    "C7": "Reliability first",
    "C8": "No double promise",
    "C9": "One payer",
    "C10": "Override is loud",
    "C11": "Traffic light",
    "C12": "No hidden coupling",
    "C13": "Absence is not release",
    "C14": "Silence falls to the default",
    "C15": "Proof",
    "C16": "Ramp",
    "C17": "Time",
    "C18": "Lease",
    "C19": "Topology",
    "E": "Disaggregation",
}
SWITCHES = ("connect", "energize")
UNITS = {
    "curtailed": "Wh",
    "metered": "Wh",
    "accounted": "Wh",
    "unmet": "W",
    "shared": "W",
    "awarded": "W",
    "commanded": "W",
    "committed": "W",
    "outage": "W",
}
Table = Mapping[str, Any]
Line = tuple[int, str, str]


# -- situations


def effects(given: Table) -> str:
    """Say what an order or default asks for."""
    return ", ".join(f"{name} {power(name, value)}" for name, value in given.items()) or "nothing"


def power(function: str, value: object) -> str:
    """Say a value as its function has it."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return "; ".join(f"{name.replace('_', ' ')} {mode(each)}" for name, each in value.items())
    if isinstance(value, bool) or function in SWITCHES:
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    return f"{value} per MWh" if function == "price" else f"{value} W"


def mode(value: object) -> str:
    """Say a mode as the local API has it; the points of a curve as pairs."""
    if not isinstance(value, dict):
        return str(value)
    said = {key: each for key, each in value.items() if key != "points"}
    points = [" ".join(f"({x}, {y})" for x, y in value["points"])] if "points" in value else []
    return ", ".join([*(f"{key} {mode(each)}" for key, each in said.items()), *points])


def order(step: Table) -> str:
    issuer = step.get("party") or step["program"].partition("/")[0]
    until = f" until {step['end_s']} s" if step.get("end_s") is not None else " on"
    over = step.get("program") or step.get("group", "")
    scope = ", in sum" if step.get("scope") == "total" else ""
    more = [f"{name} {step[key]}" for key, name in (("version", "version"), ("service", "for")) if step.get(key)]
    more += [f"ramp {step['ramp_s']} s"] if step.get("ramp_s") else []
    extra = f" ({', '.join(more)})" if more else ""
    return f"{issuer}/{step['id']} on {over}{scope}{extra}: {effects(step['effects'])} from {step['start_s']} s{until}"


def device(step: Table) -> str:
    said = []
    if "link" in step:
        said.append("is out of reach" if step["link"] == "lost" else "is back in reach")
    if "ignores" in step:
        said.append("ignores what it is told" if step["ignores"] else "obeys again")
    if "available_w" in step:
        said.append(f"has {step['available_w']} W to give")
    return f"{step['name']} {', '.join(said)}"


def commitment(step: Table) -> str:
    said = step["says"]
    if "slices" not in said:
        return trade(step)
    parts = " and ".join(f"{part['w']} W of {part['device']}" for part in said["slices"])
    more = [
        name
        for name, given in (("interruptible", said.get("interruptible")), ("no terms", "terms" not in said))
        if given
    ]
    return (
        f"{step['party']}/{said['id']} promises {parts} in {said['direction']} for {said['service']}"
        f" (level {said['level']}{''.join(f', {each}' for each in more)}) to {said['buyer']}"
        f" from {said['start_s']} s until {said['end_s']} s"
    )


def offer(step: Table) -> str:
    said = step["says"]
    if "blocks" not in said:
        return trade(step)
    blocks = " and ".join(f"{block['w']} W at {block['per_mwh']} per MWh" for block in said["blocks"])
    return (
        f"{step['party']}/{said['id']} offers {blocks} in {said['direction']} of {', '.join(said['resources'])}"
        f" for {said['service']} from {said['start_s']} s until {said['end_s']} s"
    )


def trade(step: Table) -> str:
    return f"{step['party']} says {plain(step['says'])}"


def plain(value: object) -> str:
    """Say a value of the local API."""
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {plain(each)}" for name, each in value.items())
    if isinstance(value, list):
        return " and ".join(f"({plain(each)})" if isinstance(each, dict) else plain(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


SITUATIONS: Mapping[str, Callable[[Table], str]] = {
    "order": order,
    "cancel": lambda step: f"{step['party']} cancels {step['id']}",
    "unlist": lambda step: f"{step['id']} vanishes from the list of {step['party']}",
    "default": lambda step: f"the default of {step['program']} becomes {effects(step['effects'])}",
    "contact": lambda step: f"contact with {step['party']} is {step['link']}",
    "device": device,
    "foreign": lambda step: f"somebody else sets the limit of {step['device']} to {step['limit_w']} W",
    "colour": lambda step: (
        f"{step['party']} colours segment {step['segment']} {step['colour']}"
        f"{' for ' + step['constrained'] if 'constrained' in step else ''} until {step['until_s']} s"
    ),
    "network": lambda step: (
        f"{step['party']} says that the network at {', '.join(step['points'])} is"
        f" {'validated' if step['validated'] else 'changed'}: {step['why']}"
    ),
    "restart": lambda step: f"the gateway is killed and started again after {step.get('down_s', 0)} s",
    "offset": lambda step: f"the clock of {step['party']} is {step['offset_s']} s ahead",
    "commitment": commitment,
    "offer": offer,
    "dispatch": trade,
}


def situation(step: Table) -> str:
    """Say one happening of a timeline."""
    ((kind, given),) = ((name, value) for name, value in step.items() if name != "at_s")
    say = SITUATIONS.get(kind)
    return f"{kind}: {plain(given)}" if say is None else say(given)


def programs(timeline: Table) -> str:
    """Say which programs there are, and their defaults."""
    said = []
    for each in timeline.get("program", ()):
        default = f", default {effects(each['default'])}" if each.get("default") else ""
        reach = f", for {', '.join(each['resources'])}" if each.get("resources") else ""
        said.append(f"{each['party']}/{each['name']} (primacy {each.get('primacy', 1)}{default}{reach})")
    return "; ".join(said)


# -- outcomes


def outcome(line: Table) -> Line:
    """Say one line of what must come out: when, at which name, and what with its rule."""
    value, rule, at_s = line.get("value"), f"({line['rule']})", int(line["at_s"])
    if line.get("answer"):
        return at_s, line["resource"], f"{line['order']} is answered {line['answer']} {rule} for"
    if line.get("told"):
        unit = UNITS.get(line["told"], "")
        size = "" if value is None or not unit else f" {value} {unit}"
        effect = f": {line['effect']}" if line.get("effect") else ""
        return at_s, line["name"], f"{line['told']}{size}{effect} {rule} at"
    held = line.get("effect", "nothing") if value is None else power(line["function"], value)
    binding = f" by {line['binding']}" if line.get("binding") else ""
    return at_s, line["resource"], f"{line['function']} {held}{binding} {rule} at"


def outcomes(lines: Iterable[Table]) -> dict[int, list[str]]:
    """Say what must come out by second; what is alike at several names is said once."""
    names: dict[tuple[int, str], list[str]] = {}
    for at_s, name, said in map(outcome, lines):
        names.setdefault((at_s, said), []).append(name)
    found: dict[int, list[str]] = {}
    for (at_s, said), own in names.items():
        found.setdefault(at_s, []).append(f"{said} {', '.join(own)}")
    return found


# -- the page


def scenario(folder: Path) -> Iterator[str]:
    """Write one scenario: what it is about, what is given, and a row for each second at which something happens."""
    timeline = tomllib.loads((folder / "timeline.toml").read_text(encoding="utf-8"))
    expected = [
        json.loads(line) for line in (folder / "expected.jsonl").read_text(encoding="utf-8").splitlines() if line
    ]
    about = re.sub(r"^SCENARIOS [^:]*: ", "", timeline["says"])
    yield f"**{folder.name}**: {about[0].upper()}{about[1:]}"
    yield ""
    given = programs(timeline)
    if given:
        yield f"Given: {given}."
        yield ""
    if timeline.get("impostors"):
        yield f"Not who they say they are: {', '.join(timeline['impostors'])}."
        yield ""
    for where, why in timeline.get("differs", {}).items():
        yield f"Not so yet ({where}): {why}."
        yield ""
    for name, lacks in timeline.get("cannot", {}).items():
        yield f"{name} cannot carry {', '.join(f'{function} ({why})' for function, why in lacks.items())}."
        yield ""
    if timeline.get("core_only"):
        yield f"Played to the pure core alone: {timeline['core_only']}."
        yield ""
    yield "| at | situation | outcome |"
    yield "|---|---|---|"
    steps: dict[int, list[str]] = {}
    for step in timeline.get("step", ()):
        steps.setdefault(int(step["at_s"]), []).append(situation(step))
    came = outcomes(expected)
    for at_s in sorted({*steps, *came}):
        yield f"| {at_s} s | {cell(steps.get(at_s, ()))} | {cell(came.get(at_s, ()))} |"
    yield ""


def cell(said: Iterable[str]) -> str:
    """Put lines into one cell of a table."""
    return "<br>".join(said).replace("|", "\\|")


def page() -> str:
    """Give the whole page."""
    lines = [
        "# The rules, case by case",
        "",
        f"Written by `{COMMAND}` from the folders of `tests/scenarios`, which the tests play to the",
        "pure core and to the daemon over real sockets: what stands here is what they demand. Seconds count from the",
        "beginning of a case; export is positive; in brackets is the rule that decided.",
        "",
        "A ruling holds until the next one of its function. What the rules are in one line each is in",
        "[what it does when](what-it-does-when.md).",
        "",
    ]
    for rule, title in RULES.items():
        folders = sorted(file.parent for file in (SCENARIOS / rule).rglob("timeline.toml"))
        lines += [f"## {rule}: {title}", ""]
        for folder in folders:
            lines += scenario(folder)
        if not folders:
            lines += ["No case of its own yet.", ""]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Write the page, or tell whether it is as it would be written."""
    written = page()
    if "--check" not in arguments:
        PAGE.write_text(written, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == written:
        return 0
    sys.stderr.write(f"docs/rules.md is not what the scenarios say; write it again: {COMMAND}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
