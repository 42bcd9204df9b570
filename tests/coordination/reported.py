"""What De Martini, Kristov and Taft (2019, chapter 3) find of seven architectures, in short form.

A flow is `a>b`, or `a=b` for both directions, under the kind that goes before it; `alone` names who has no flow.
"""

from typing import Any

from skeletons import Raw, architecture, entity, flow

COUNT = {"tso": "one", "to": "few", "dso": "few", "der": "very-many"}
TIER = {"tso": "bulk", "to": "bulk", "dso": "distribution"}

REPORTED: dict[str, tuple[str, dict[str, tuple[Any, ...]]]] = {
    "uk-1": (
        "control tso>dso dso>aggregator aggregator>supplier supplier>der market dso>tso aggregator>dso",
        {
            "layered": ("yes",),
            "tier_bypassing": ("none", "some"),
            "hidden_coupling": ("none", "low"),
            "latency_cascading": ("some",),
            "scalability": ("good",),
            "bulk_exposure": ("low",),
        },
    ),
    "uk-2": (
        "joint tso=dso control tso>aggregator dso>aggregator aggregator>der",
        {
            "layered": ("partial",),
            "tier_bypassing": ("some",),
            "hidden_coupling": ("none",),
            "coordination_gap": (False,),
        },
    ),
    "california-now": (
        "alone dso control tso>to to>der tso>aggregator aggregator>der market aggregator>tso",
        {"layered": ("no",), "tier_bypassing": ("extensive",), "coordination_gap": (True,)},
    ),
    "california-hybrid": (
        "control tso>dso tso>aggregator dso>aggregator dso>der aggregator>der lse>der market dso>tso aggregator>tso",
        {
            "tier_bypassing": ("some",),
            "hidden_coupling": ("some",),
            "latency_cascading": ("none", "limited"),
            "scalability": ("good",),
            "bulk_exposure": ("moderate",),
        },
    ),
    "new-york-1": (
        (
            "control tso>aggregator tso>der dso>aggregator dso>der aggregator>der "
            "market aggregator>tso der>tso data tso=dso"
        ),
        {
            "layered": ("no",),
            "tier_bypassing": ("extensive",),
            "hidden_coupling": ("large",),
            "scalability": ("poor",),
            "bulk_exposure": ("high",),
        },
    ),
    "australia-layered": (
        "control tso>dso dso>aggregator aggregator>der market dso>tso aggregator>dso",
        {
            "layered": ("yes",),
            "tier_bypassing": ("none",),
            "hidden_coupling": ("none",),
            "scalability": ("good",),
            "bulk_exposure": ("low",),
        },
    ),
    "australia-central": (
        "control tso>aggregator aggregator>der market aggregator>tso data dso>tso",
        {"layered": ("no",), "tier_bypassing": ("extensive",), "scalability": ("poor",)},
    ),
}


def reported(name: str) -> Raw:
    """Give the skeleton of one of them."""
    kind, names, flows = "control", [], []
    for word in REPORTED[name][0].split():
        if word in ("control", "market", "data", "joint", "alone"):
            kind = word
            continue
        both = "=" in word
        sender, _, receiver = word.replace("=", ">").partition(">")
        names += [each for each in (sender, receiver) if each and each not in names]
        if kind == "joint":
            flows.append(flow(sender, receiver, joint=True, both=both))
        elif kind != "alone":
            flows.append(flow(sender, receiver, kind, both=both))
    made = [entity(each, TIER.get(each, "customer"), each, COUNT.get(each, "many")) for each in names]
    return architecture(made, flows) | {"id": name}
