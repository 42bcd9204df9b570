"""Random skeletons, ways to write the same skeleton otherwise, and the verdicts that the source report gives."""

import copy
import tomllib
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from gateway.coordination.assess import SCALES, assess
from gateway.coordination.reading import read
from gateway.coordination.skeleton import Skeleton

Raw = dict[str, Any]

TIERS = ("bulk", "distribution", "customer")
ROLES = {
    "bulk": ("tso", "iso", "to", "market"),
    "distribution": ("dso", "dso", "asset-owner", "market-platform"),
    "customer": ("aggregator", "lse", "building", "der", "der", "something-new"),
}
COUNTS = ("one", "few", "many", "very-many")


def skeleton(raw: Raw) -> Skeleton:
    done = read({"architecture": [raw]})
    assert not done.faults, done.faults
    return done.skeletons[0]


def verdicts(raw: Raw) -> dict[str, str | bool]:
    return {each.name: each.value for each in assess(skeleton(raw)).verdicts}


def improved(after: dict[str, str | bool], before: dict[str, str | bool]) -> list[str]:
    """Name the verdicts that have improved."""
    return [name for name, scale in SCALES.items() if scale.index(after[name]) < scale.index(before[name])]


def entity(name: str, tier: str, role: str, count: str = "many") -> Raw:
    return {"id": name, "tier": tier, "role": role, "count": count}


def flow(sender: str, receiver: str, kind: str = "control", **more: Any) -> Raw:
    return {"from": sender, "to": receiver, "kind": kind, **more}


def architecture(entities: list[Raw], flows: list[Raw], **more: Any) -> Raw:
    return {"id": "tried", "entity": entities, "flow": flows, **more}


TSO = entity("tso", "bulk", "tso", "one")
DSO = entity("dso", "distribution", "dso", "few")
AGGREGATOR = entity("aggregator", "customer", "aggregator")
DER = entity("der", "customer", "der", "very-many")
FOUR = [TSO, DSO, AGGREGATOR, DER]


def renamed(raw: Raw) -> Raw:
    """Give the same skeleton under other names."""
    new = {each["id"]: f"x{index}" for index, each in enumerate(reversed(raw["entity"]))}
    other = copy.deepcopy(raw)
    for each in other["entity"]:
        each["id"] = new[each["id"]]
    for each in other["flow"]:
        each["from"], each["to"] = new[each["from"]], new[each["to"]]
    return other


def one_way(raw: Raw) -> Raw:
    """Give the same skeleton with every two-way flow written as two."""
    other = copy.deepcopy(raw)
    other["flow"] = []
    for each in raw["flow"]:
        there = {key: value for key, value in each.items() if key != "both"}
        other["flow"].append(there)
        if each.get("both"):
            other["flow"].append({**there, "from": each["to"], "to": each["from"]})
    return other


@st.composite
def random_skeletons(draw: st.DrawFn) -> Raw:
    """Give any skeleton that reads without fault: cycles, several of each tier, deep customers, joint flows."""
    entities = [entity("d0", "customer", "der", draw(st.sampled_from(COUNTS)))]
    for index in range(draw(st.integers(1, 6))):
        tier = draw(st.sampled_from(TIERS))
        role, count = draw(st.sampled_from(ROLES[tier])), draw(st.sampled_from(COUNTS))
        entities.append(entity(f"{tier[0]}{index + 1}", tier, role, count))
    names = [each["id"] for each in entities]
    flows: dict[tuple[str, str, str], Raw] = {}
    chosen = draw(st.lists(st.tuples(*[st.sampled_from(names)] * 2, st.sampled_from(("control", "market", "data")))))
    for sender, receiver, kind in [(names[1], "d0", "control"), *chosen]:
        if sender != receiver and (sender, receiver, kind) not in flows:
            made = flow(sender, receiver, kind)
            if draw(st.integers(0, 5)) == 0:
                made["joint"] = True
            overlap = draw(st.sampled_from((None, None, None, "same-der", "same-network", "none")))
            if overlap is not None:
                made["overlap"] = overlap
            if draw(st.integers(0, 5)) == 0:
                made["cycle_s"] = draw(st.integers(1, 900))
            flows[sender, receiver, kind] = made
    return architecture(entities, list(flows.values()))


def file_text(raws: list[Raw]) -> str:
    """Write architectures as TOML."""
    return "\n".join(f"[[architecture]]\n{_keys(raw)}" for raw in raws)


def _keys(raw: Raw) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in raw.items())


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case list():
            return "[\n" + "".join(f"  {_value(each)},\n" for each in value) + "]"
        case dict():
            return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
        case _:
            raise TypeError(value)


SHIPPED = Path(__file__).parents[2] / "profiles" / "coordination"


def shipped() -> list[Raw]:
    return [
        each
        for path in sorted(SHIPPED.glob("*.toml"))
        for each in tomllib.loads(path.read_text(encoding="utf-8"))["architecture"]
    ]
