"""Walks over a skeleton's flows: what reaches what, cycles drawn together, the longest chain (RULES D)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from gateway.coordination.skeleton import Flow


class Chain(NamedTuple):
    """The longest chain: its weight, whom it passes in order, and the flows that it runs over."""

    weight: int
    nodes: tuple[str, ...]
    flows: tuple[Flow, ...]


def downstream(flows: Iterable[Flow]) -> dict[str, list[str]]:
    """Give whom each entity sends to."""
    found: dict[str, list[str]] = {}
    for flow in flows:
        found.setdefault(flow.sender, []).append(flow.receiver)
    return found


def upstream(flows: Iterable[Flow]) -> dict[str, list[str]]:
    """Give from whom each entity receives."""
    found: dict[str, list[str]] = {}
    for flow in flows:
        found.setdefault(flow.receiver, []).append(flow.sender)
    return found


def hops(start: str, neighbours: Mapping[str, Sequence[str]], avoid: str | None = None) -> dict[str, int]:
    """Give everything that can be reached from `start`, itself with 0, with the fewest flows to it.

    A path that passes `avoid` does not count.
    """
    found = {start: 0}
    wave = [start]
    while wave:
        following = []
        for node in wave:
            for each in neighbours.get(node, ()):
                if each not in found and each != avoid:
                    found[each] = found[node] + 1
                    following.append(each)
        wave = following
    return found


def shortest(start: str, end: str, flows: Sequence[Flow], avoid: str | None = None) -> tuple[Flow, ...]:
    """Give the flows of a shortest path; none where there is no path."""
    came: dict[str, Flow] = {}
    leaving: dict[str, list[Flow]] = {}
    for flow in flows:
        leaving.setdefault(flow.sender, []).append(flow)
    wave = [start]
    while wave and end not in came:
        following = []
        for node in wave:
            for flow in leaving.get(node, ()):
                if flow.receiver not in (start, avoid) and flow.receiver not in came:
                    came[flow.receiver] = flow
                    following.append(flow.receiver)
        wave = following
    path: list[Flow] = []
    while end in came and end != start:
        path.append(came[end])
        end = came[end].sender
    return tuple(reversed(path))


def cycles(nodes: Iterable[str], flows: Iterable[Flow]) -> tuple[tuple[str, ...], ...]:
    """Draw together what can reach each other, and order the groups so that every flow between two runs forward."""
    members = dict.fromkeys(nodes)
    inner = tuple(flow for flow in flows if flow.sender in members and flow.receiver in members)
    down, up = downstream(inner), upstream(inner)
    taken: dict[str, None] = {}
    groups: list[tuple[str, ...]] = []
    for root in reversed(_finished(members, down)):
        if root in taken:
            continue
        group = [root]
        taken[root] = None
        for node in group:
            for each in up.get(node, ()):
                if each not in taken:
                    taken[each] = None
                    group.append(each)
        groups.append(tuple(group))
    return tuple(groups)


def _finished(members: Mapping[str, None], down: Mapping[str, Sequence[str]]) -> list[str]:
    """Give the nodes in the order in which a walk in depth leaves them."""
    seen: dict[str, None] = {}
    order: list[str] = []
    for root in members:
        if root in seen:
            continue
        seen[root] = None
        stack = [(root, iter(down.get(root, ())))]
        while stack:
            node, rest = stack[-1]
            fresh = next((each for each in rest if each not in seen), None)
            if fresh is None:
                order.append(node)
                stack.pop()
            else:
                seen[fresh] = None
                stack.append((fresh, iter(down.get(fresh, ()))))
    return order


def longest(
    nodes: Sequence[str], flows: Sequence[Flow], of_node: Callable[[str], int], of_flow: Callable[[Flow], int]
) -> Chain:
    """Give the heaviest chain; a cycle counts with everything in it, so that one more flow never makes it lighter."""
    groups = cycles(nodes, flows)
    group_of = {node: index for index, group in enumerate(groups) for node in group}
    inner: dict[int, list[Flow]] = {}
    outer: dict[int, list[Flow]] = {}
    for flow in flows:
        sender, receiver = group_of.get(flow.sender), group_of.get(flow.receiver)
        if sender is None or receiver is None:
            continue
        (inner if sender == receiver else outer).setdefault(receiver, []).append(flow)
    best: list[Chain] = []
    for index, group in enumerate(groups):
        before = Chain(0, (), ())
        step: tuple[Flow, ...] = ()
        for flow in outer.get(index, ()):
            chain = best[group_of[flow.sender]]
            if not step or chain.weight + of_flow(flow) > before.weight + sum(map(of_flow, step)):
                before, step = chain, (flow,)
        added = (*step, *inner.get(index, ()))
        weight = before.weight + sum(map(of_node, group)) + sum(map(of_flow, added))
        best.append(Chain(weight, (*before.nodes, *group), (*before.flows, *added)))
    return max(best, key=_length, default=Chain(0, (), ()))


def _length(chain: Chain) -> tuple[int, int]:
    return chain.weight, len(chain.nodes)
