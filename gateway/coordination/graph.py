"""Walks over a skeleton's flows: what reaches what, cycles drawn together, the longest chain (RULES D).

Each walk looks at a flow once, so that a skeleton of thousands of entities is assessed in seconds.
"""

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


def leaving(flows: Iterable[Flow]) -> dict[str, list[Flow]]:
    """Give the flows that each entity sends."""
    found: dict[str, list[Flow]] = {}
    for flow in flows:
        found.setdefault(flow.sender, []).append(flow)
    return found


def entering(flows: Iterable[Flow]) -> dict[str, list[Flow]]:
    """Give the flows that each entity receives."""
    found: dict[str, list[Flow]] = {}
    for flow in flows:
        found.setdefault(flow.receiver, []).append(flow)
    return found


def hops(start: str, neighbours: Mapping[str, Sequence[str]], avoid: str | None = None) -> dict[str, int]:
    """Give everything that can be reached from `start`, itself with 0, with the fewest flows to it.

    A path that passes `avoid` does not count.
    """
    return reach([start], neighbours, avoid)


def reach(starts: Iterable[str], neighbours: Mapping[str, Sequence[str]], avoid: str | None = None) -> dict[str, int]:
    """Give everything that can be reached from any of `starts`, themselves with 0, with the fewest flows to it."""
    found = dict.fromkeys(starts, 0)
    wave = list(found)
    while wave:
        following = []
        for node in wave:
            for each in neighbours.get(node, ()):
                if each not in found and each != avoid:
                    found[each] = found[node] + 1
                    following.append(each)
        wave = following
    return found


def first_flows(start: str, by_sender: Mapping[str, Sequence[Flow]]) -> dict[str, Flow]:
    """Give the last flow of a shortest path from `start` to each that it reaches."""
    came: dict[str, Flow] = {}
    wave = [start]
    while wave:
        following = []
        for node in wave:
            for flow in by_sender.get(node, ()):
                if flow.receiver != start and flow.receiver not in came:
                    came[flow.receiver] = flow
                    following.append(flow.receiver)
        wave = following
    return came


def next_flows(end: str, by_receiver: Mapping[str, Sequence[Flow]], avoid: str | None = None) -> dict[str, Flow]:
    """Give the first flow of a shortest path to `end` from each that reaches it, past `avoid`."""
    goes: dict[str, Flow] = {}
    wave = [end]
    while wave:
        following = []
        for node in wave:
            for flow in by_receiver.get(node, ()):
                if flow.sender not in (end, avoid) and flow.sender not in goes:
                    goes[flow.sender] = flow
                    following.append(flow.sender)
        wave = following
    return goes


def back(ends: Iterable[str], came: Mapping[str, Flow]) -> dict[Flow, None]:
    """Give the flows of the paths of `first_flows` to any of `ends`, each once."""
    found: dict[Flow, None] = {}
    for end in ends:
        while end in came and came[end] not in found:
            found[came[end]] = None
            end = came[end].sender  # noqa: PLW2901 - the walk goes on from there
    return found


def forth(starts: Iterable[str], goes: Mapping[str, Flow]) -> dict[Flow, None]:
    """Give the flows of the paths of `next_flows` from any of `starts`, each once."""
    found: dict[Flow, None] = {}
    for start in starts:
        while start in goes and goes[start] not in found:
            found[goes[start]] = None
            start = goes[start].receiver  # noqa: PLW2901 - the walk goes on from there
    return found


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


def gathered(nodes: Sequence[str], flows: Iterable[Flow], own: Mapping[str, int]) -> dict[str, int]:
    """Give for each node the bits of its own and of all that reach it, however far away."""
    members = dict.fromkeys(nodes)
    inner = [flow for flow in flows if flow.sender in members and flow.receiver in members]
    above = upstream(inner)
    found: dict[str, int] = {}
    for group in cycles(nodes, inner):
        whole = 0
        for name in group:
            whole |= own.get(name, 0)
            for each in above.get(name, ()):
                whole |= found.get(each, 0)
        found.update(dict.fromkeys(group, whole))
    return found


def gates(end: str, above: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Give for each that reaches `end` the nearest node that all its ways lead through; `end` itself has `end`.

    `above` is whom each node receives from. These are the immediate dominators of the reversed flows, by the
    algorithm of Cooper, Harvey and Kennedy (2001).
    """
    order = _finished({end: None}, above)
    place = {node: index for index, node in enumerate(order)}
    below: dict[str, list[str]] = {}
    for node in order:
        for each in above.get(node, ()):
            below.setdefault(each, []).append(node)
    found = {end: end}
    moved = True
    while moved:
        moved = False
        for node in reversed(order):
            if node == end:
                continue
            nearest: str | None = None
            for one in below[node]:
                if one in found:
                    nearest = one if nearest is None else _meet(one, nearest, found, place)
            if nearest is not None and found.get(node) != nearest:
                found[node] = nearest
                moved = True
    return found


def _meet(one: str, other: str, found: Mapping[str, str], place: Mapping[str, int]) -> str:
    """Give the nearest node that the ways of two nodes lead through."""
    while one != other:
        if place[one] < place[other]:
            one = found[one]
        else:
            other = found[other]
    return one


class _Link(NamedTuple):
    """The heaviest chain that ends in a cycle: its weight and length, what it comes from, and by which flow."""

    weight: int
    length: int
    before: int | None
    step: tuple[Flow, ...]


class _Chains:
    """The heaviest chain into each cycle; a cycle counts with everything in it."""

    def __init__(
        self, nodes: Sequence[str], flows: Sequence[Flow], of_node: Callable[[str], int], of_flow: Callable[[Flow], int]
    ) -> None:
        self.groups = cycles(nodes, flows)
        group_of = {node: index for index, group in enumerate(self.groups) for node in group}
        self._inner: dict[int, list[Flow]] = {}
        outer: dict[int, list[Flow]] = {}
        for flow in flows:
            sender, receiver = group_of.get(flow.sender), group_of.get(flow.receiver)
            if sender is None or receiver is None:
                continue
            (self._inner if sender == receiver else outer).setdefault(receiver, []).append(flow)
        self.links: list[_Link] = []
        for index, group in enumerate(self.groups):
            before: int | None = None
            step: tuple[Flow, ...] = ()
            weight = length = 0
            for flow in outer.get(index, ()):
                link = self.links[group_of[flow.sender]]
                if not step or link.weight + of_flow(flow) > weight:
                    before, step = group_of[flow.sender], (flow,)
                    weight, length = link.weight + of_flow(flow), link.length
            weight += sum(map(of_node, group)) + sum(map(of_flow, self._inner.get(index, ())))
            self.links.append(_Link(weight, length + len(group), before, step))

    def heaviest(self) -> Chain:
        """Give the heaviest of all, and of equal ones the longest."""
        if not self.links:
            return Chain(0, (), ())
        at: int | None = max(range(len(self.links)), key=lambda index: self.links[index][:2])
        weight = self.links[at or 0].weight
        parts: list[tuple[tuple[str, ...], tuple[Flow, ...]]] = []
        while at is not None:
            link = self.links[at]
            parts.append((self.groups[at], (*link.step, *self._inner.get(at, ()))))
            at = link.before
        parts.reverse()
        nodes = tuple(node for group, _flows in parts for node in group)
        return Chain(weight, nodes, tuple(flow for _group, flows in parts for flow in flows))


def longest(
    nodes: Sequence[str], flows: Sequence[Flow], of_node: Callable[[str], int], of_flow: Callable[[Flow], int]
) -> Chain:
    """Give the heaviest chain; a cycle counts with everything in it, so that one more flow never makes it lighter."""
    return _Chains(nodes, flows, of_node, of_flow).heaviest()


def depths(nodes: Sequence[str], flows: Sequence[Flow]) -> dict[str, int]:
    """Give how many nodes the longest chain down to each has, itself and all of its cycle included."""
    chains = _Chains(nodes, flows, lambda _: 1, lambda _: 0)
    return {node: link.weight for group, link in zip(chains.groups, chains.links, strict=True) for node in group}
