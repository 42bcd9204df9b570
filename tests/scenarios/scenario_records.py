"""What came out beside what must: streams of rulings, answers and other records, each compared in content and order."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scenario_file import Expected

from gateway.core.events import Tell, Topic
from gateway.core.functions import MODES
from gateway.core.meter import NOT_READ

Stream = tuple[str, ...]
ABOUT = ("curtailed", "metered")
"""Topics whose values are energies: over real sockets they are so exact as the instants are."""


class Came(NamedTuple):
    """One record: when (ms on the timeline), and what it says."""

    at_ms: int
    says: tuple[str, ...]
    value: int | None


Streams = dict[Stream, list[Came]]


def came(tells: Iterable[Tell], begin_ms: int, also: Sequence[str]) -> Streams:
    """Sort records into streams; what was ruled before the timeline begins is what holds at its beginning."""
    streams: Streams = {}
    for tell in tells:
        at_ms = tell.at_ms - begin_ms
        if tell.effect == NOT_READ:
            continue  # how long a start takes to read its meters is the machine's time, not the timeline's
        for place, name in enumerate(tell.names):
            value = None if not tell.values else tell.values[place if len(tell.values) == len(tell.names) else 0]
            if tell.topic is Topic.RULED:
                mode = tell.function in MODES
                says = (tell.order, tell.rule, *((tell.effect,) if mode else ()))
                one = Came(max(0, at_ms), says, None if mode else value)
                _rule(streams.setdefault(("ruled", name, tell.function), []), one)
            elif tell.topic is Topic.ANSWERED:
                streams.setdefault(("answered", tell.order, name), []).append(
                    Came(at_ms, (tell.effect, tell.rule), None)
                )
            elif tell.topic.value in also and at_ms >= 0:
                one = Came(at_ms, (f"{tell.function} {tell.effect}", tell.rule, tell.why), value)
                streams.setdefault((tell.topic.value, name), []).append(one)
    return streams


def _rule(stream: list[Came], one: Came) -> None:
    """Take a ruling that says something else than the one before it."""
    if stream and stream[-1][1:] == one[1:]:
        return
    if stream and stream[-1].at_ms == one.at_ms == 0:
        stream.pop()
        if stream and stream[-1][1:] == one[1:]:
            return
    stream.append(one)


def differences(expected: Sequence[Expected], streams: Streams, *, early_ms: int = 0, late_ms: int = 0) -> list[str]:
    """Give a line for each stream that is not as expected; empty where all is right."""
    wanted: dict[Stream, list[Expected]] = {}
    for one in expected:
        wanted.setdefault(_stream(one), []).append(one)
    found = []
    for stream in dict.fromkeys((*wanted, *streams)):
        want, got = wanted.get(stream, []), streams.get(stream, [])
        same = len(want) == len(got) and all(
            _alike(one, other, early_ms, late_ms) for one, other in zip(want, got, strict=True)
        )
        if not same:
            wishes = "\n".join(f"    {_wish(one)}" for one in want) or "    nothing"
            gotten = "\n".join(f"    {_gotten(one)}" for one in got) or "    nothing"
            found.append(f"{' '.join(stream)}\n  must be\n{wishes}\n  is\n{gotten}")
    return found


def _stream(one: Expected) -> Stream:
    if one.answer:
        return ("answered", one.order, one.resource)
    if one.told:
        return (one.told, one.name)
    return ("ruled", one.resource, one.function)


def _alike(want: Expected, got: Came, early_ms: int, late_ms: int) -> bool:
    if not want.at_s * 1000 - early_ms <= got.at_ms <= want.at_s * 1000 + late_ms:
        return False
    if want.answer:
        return got.says == (want.answer, want.rule)
    if not want.told:
        mode = (want.effect,) if want.effect else ()
        return (got.says, got.value) == ((want.binding, want.rule, *mode), want.value)
    effect, rule, why = got.says
    if rule != want.rule or want.effect not in f"{effect}: {why}":
        return False
    if want.value is None or got.value is None:
        return want.value is None
    slack = max(1, want.value // 5) if want.told in ABOUT and late_ms else 0
    return abs(got.value - want.value) <= slack


def _wish(one: Expected) -> str:
    parts = (one.answer, one.effect, "" if one.value is None else str(one.value), one.binding, one.rule)
    return f"{one.at_s:>6} s      {' '.join(part for part in parts if part)}"


def _gotten(one: Came) -> str:
    value = "" if one.value is None else f"{one.value} "
    return f"{one.at_ms / 1000:>10.3f} s  {value}{' '.join(one.says)}"
