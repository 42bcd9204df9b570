"""The grants of a site's parties, read out of the site file and derived from a coordination model (RULES A3, D)."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.config.faults import quoted, suggestion
from gateway.config.lines import Lines
from gateway.coordination import reading
from gateway.coordination.grants import Member, Standing, services, standings
from gateway.coordination.skeleton import Skeleton, SkeletonFault
from gateway.core.parties import Tier

_PLACE = re.compile(r" \(at line (\d+), column \d+\)$")


class _SiteFaulty(Exception):  # noqa: N818 - it carries the one line that is printed
    """The site file cannot be used for this; its text is the line to print."""


def not_toml(path: Path, error: Exception) -> str:
    """Give the one line that says where a file is not TOML."""
    message = str(error) or "too deeply nested"
    place = _PLACE.search(message)
    return f"{path}:{place[1] if place else 1}: file: not TOML: {_PLACE.sub('', message)}"


def said(fault: SkeletonFault) -> str:
    """Give a fault's words, with what was probably meant."""
    return f"{fault.what}; {suggestion(fault.wrong, fault.known)}" if fault.known else fault.what


def derived(skeleton: Skeleton, model: Path, site: Path, table: Path) -> tuple[Standing, ...] | str:
    """Derive what each party of the site may do; a text is the one line that says why it cannot be."""
    try:
        raw, lines = _read(site)
        serves, members, without = _members(skeleton, raw, lines, site)
    except _SiteFaulty as fault:
        return str(fault)
    offered = services(tomllib.loads(table.read_text(encoding="utf-8")))
    served = skeleton if serves is None else _serving(skeleton, serves)
    found = standings(served, members, offered)
    if isinstance(found, SkeletonFault) and found.place:
        text = model.read_text(encoding="utf-8-sig")
        place = reading.place_of_service(tomllib.loads(text), skeleton.id, found)
        return f"{model}:{Lines(text).of(place)}: {found.where}: {said(found)}"
    if isinstance(found, SkeletonFault):
        return f"{site}:{_line_of(found, raw, lines)}: {found.where}: {said(found)}"
    by_name = {each.party: each for each in (*found, *without)}
    return tuple(by_name[str(each["name"])] for each in raw["party"])


def _serving(skeleton: Skeleton, serves: str) -> Skeleton:
    return Skeleton(skeleton.id, skeleton.entities, skeleton.flows, serves, skeleton.title, skeleton.sources)


def _read(site: Path) -> tuple[Mapping[str, Any], Lines]:
    try:
        text = site.read_text(encoding="utf-8")
        return tomllib.loads(text), Lines(text)
    except OSError as error:
        raise _SiteFaulty(f"{site}:1: site: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _SiteFaulty(f"{site}:1: site: not UTF-8; save it in that encoding") from error
    except (ValueError, RecursionError) as error:
        raise _SiteFaulty(not_toml(site, error)) from error


def _members(
    skeleton: Skeleton, raw: Mapping[str, Any], lines: Lines, site: Path
) -> tuple[str | None, list[Member], list[Standing]]:
    parties = raw.get("party")
    if not isinstance(parties, list) or not parties or not all(isinstance(each, dict) for each in parties):
        raise _SiteFaulty(f"{site}:1: site: no party; write each as [[party]] with its entity")
    group = _group(raw)
    members: list[Member] = []
    without: list[Standing] = []
    for index, party in enumerate(parties):
        where = f"{site}:{lines.of(('party', index))}: party {index + 1}"
        name, tier, entity = (party.get(key) for key in ("name", "tier", "entity"))
        if not isinstance(name, str) or tier not in list(Tier):
            raise _SiteFaulty(f'{where}: name and tier are needed; run "gateway check {site}"')
        own = party.get("group", group)
        if entity is None:
            without.append(Standing(name, (), f'it names no entity of {skeleton.id}; add entity = "..." to it'))
        elif not isinstance(entity, str) or not isinstance(own, str):
            raise _SiteFaulty(f'{where}: which group it may act on is not clear; add group = "..." to it')
        else:
            members.append(Member(name, entity, Tier(tier), own))
    serves = raw.get("coordination", {}).get("serves") if isinstance(raw.get("coordination"), dict) else None
    return serves if isinstance(serves, str) else None, members, without


def _group(raw: Mapping[str, Any]) -> str | None:
    """Give the group of the whole site: the only one, or the only one that holds every resource."""
    groups = [each for each in raw.get("group", []) if isinstance(each, dict) and isinstance(each.get("name"), str)]
    if len(groups) > 1:
        names = sorted(str(each.get("name")) for each in raw.get("resource", []) if isinstance(each, dict))
        groups = [each for each in groups if sorted(map(str, each.get("resources", ()))) == names]
    return str(groups[0]["name"]) if len(groups) == 1 else None


def _line_of(fault: SkeletonFault, raw: Mapping[str, Any], lines: Lines) -> int:
    """Give the line of the party that a fault names, else that of the choice of the model."""
    for index, party in enumerate(raw["party"]):
        if fault.what.startswith(f'party "{party["name"]}"'):
            return lines.of(("party", index, "entity"))
    return lines.of(("coordination", "serves"))


def rows(skeleton: Skeleton, found: Sequence[Standing]) -> dict[str, Any]:
    """Give the grants, and the parties without one, as JSON has them."""
    return {
        "model": skeleton.id,
        "grants": [
            {
                "party": each.grant.party,
                "service": each.grant.service,
                "level": int(each.grant.level),
                "functions": [str(function) for function in each.grant.functions],
                "group": each.grant.group,
                "flow": str(each.flow) if each.flow else None,
            }
            for standing in found
            for each in standing.derived
        ],
        "without": [{"party": each.party, "why": each.why} for each in found if not each.derived],
    }


def blocks(skeleton: Skeleton, site: Path, found: Sequence[Standing]) -> str:
    """Give the grants as tables that can stand in the site file, each with the flow that it follows from."""
    parts = [f"# grants at {site}, derived from the coordination model {quoted(skeleton.id)}"]
    for standing in found:
        if not standing.derived:
            parts.append(f"# no grant for party {quoted(standing.party)}: {standing.why}")
        for each in standing.derived:
            grant = each.grant
            parts.append(
                f"# {each.flow or 'the limit parent: its limits hold as the connection agreement does'}\n"
                "[[grant]]\n"
                f"party = {quoted(grant.party)}\n"
                f"service = {quoted(grant.service)}\n"
                f"level = {int(grant.level)}\n"
                f"functions = {json.dumps([str(function) for function in grant.functions])}\n"
                f"group = {quoted(grant.group)}"
            )
    return "\n\n".join(parts)
