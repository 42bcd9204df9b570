"""What one event costs the core: an order on one DER or a thousand, a reading, an idle tick, at any size of fleet."""

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple

from gateway.core.events import Tick

from .fleet import BLOCK, MOST_ALONE, Fleet, Timed, block, clocked, median_s, only, resident_bytes, uncollected
from .result import Result

DER: Final = 10_000
ORDERS: Final = 10_000
SIZES: Final = (100, 1_000, 10_000, 100_000)
US: Final = 1e6
MS: Final = 1e3
KB: Final = 1e3
GOAL_ONE_US: Final = 100.0
GOAL_GROUP_MS: Final = 20.0
GOAL_READING_US: Final = 10.0
GOAL_FLAT: Final = 1.5
GOAL_KB: Final = 20.0
STRIDE: Final = 37


class Pace(NamedTuple):
    """How often each kind of event is measured."""

    orders: int = 400
    groups: int = 15
    readings: int = 4_000


class Row(NamedTuple):
    """The least that can be said of an order in force."""

    name: str
    value_w: int
    level: int


def benchmark(_folder: Path) -> list[Result]:
    """Measure every kind of event at ten thousand DER, ten parties and ten thousand live orders."""
    return measure(DER, ORDERS, Pace())


def flat(_folder: Path) -> list[Result]:
    """Measure what touches one DER from a hundred to a hundred thousand of them."""
    return flatness(SIZES, Pace())


def measure(count: int, orders: int, pace: Pace) -> list[Result]:
    """Measure at so many DER and live orders; there are ten parties."""
    before = resident_bytes()
    with uncollected():
        fleet = Fleet(count)
        empty = resident_bytes()
        fleet.fill(orders)
        fleet.calm()
    filled = resident_bytes()
    at = f"at {count:,} DER, 10 parties and {orders:,} live orders"
    held = f"resident memory that the core adds for each DER, {at}"
    return [
        *_one_der(fleet, at, pace),
        _group(fleet, at, pace),
        _reading(fleet, at, pace),
        _idle(fleet, at, pace),
        Timed("ruling-memory-per-der", held, (filled - before) / count / KB, "kB", GOAL_KB),
        Timed(
            "ruling-memory-without-orders", f"{held}, without the orders", (empty - before) / count / KB, "kB", GOAL_KB
        ),
    ]


def _one_der(fleet: Fleet, at: str, pace: Pace) -> list[Result]:
    floor_s = median_s(lambda number: clocked(lambda: _least_order({}, number)), pace.readings)
    floor = "floor: a value made, kept by name, and the tightest of ten found"
    return [
        Timed(
            "ruling-one-der",
            f"one new limit on one DER, {at}; {floor}",
            limit_s(fleet, pace) * US,
            "us",
            GOAL_ONE_US,
            floor_s * US,
        ),
        Timed(
            "ruling-one-der-set-point",
            f"one new set-point on one DER, {at}; {floor}",
            target_s(fleet, pace) * US,
            "us",
            GOAL_ONE_US,
            floor_s * US,
        ),
    ]


def limit_s(fleet: Fleet, pace: Pace) -> float:
    """Measure one new limit on one DER (s), each of another value on another DER."""
    alone = min(fleet.count, MOST_ALONE)
    return median_s(
        lambda number: fleet.seconds(fleet.ceiling(only(number * STRIDE % alone), 3_400 - number)), pace.orders
    )


def target_s(fleet: Fleet, pace: Pace) -> float:
    """Measure one new set-point on one DER (s), of one party after the other."""
    alone = min(fleet.count, MOST_ALONE)
    return median_s(
        lambda number: fleet.seconds(fleet.target(number, only(number * STRIDE % alone), 1_900 - number)), pace.orders
    )


def reading_s(fleet: Fleet, pace: Pace) -> float:
    """Measure one reading that is held against the command of its DER (s)."""
    return median_s(
        lambda number: fleet.seconds(fleet.reading(number * STRIDE % fleet.count, 1_000 + number)), pace.readings
    )


def _group(fleet: Fleet, at: str, pace: Pace) -> Result:
    size = min(BLOCK, fleet.count)
    ours_s = median_s(lambda number: fleet.seconds(fleet.ceiling(block(0), 3_000 - number)), pace.groups)
    floor_s = median_s(lambda _number: clocked(lambda: [_least_order({}, each) for each in range(size)]), pace.groups)
    what = (
        f"one new limit on a group of {size:,}, of which nearly every one has an order of its own, {at}; "
        "floor: for each of them a value made, kept by name, and the tightest of ten found"
    )
    return Timed("ruling-group-1000", what, ours_s * MS, "ms", GOAL_GROUP_MS, floor_s * MS)


def _reading(fleet: Fleet, at: str, pace: Pace) -> Result:
    kept: dict[int, Row] = {}
    floor_s = median_s(lambda number: clocked(partial(_least_reading, kept, number)), pace.readings)
    what = f"a reading, held against the command of its DER, {at}; floor: a value made, kept and held against a bound"
    return Timed("ruling-reading", what, reading_s(fleet, pace) * US, "us", GOAL_READING_US, floor_s * US)


def _idle(fleet: Fleet, at: str, pace: Pace) -> Result:
    ours_s = median_s(lambda _number: fleet.seconds(Tick()), pace.readings)
    floor_s = median_s(lambda _number: clocked(lambda: list(iter(()))), pace.readings)
    what = f"an idle tick, {at}; floor: an empty list"
    return Timed("ruling-idle-tick", what, ours_s * US, "us", GOAL_READING_US, floor_s * US)


def _least_order(kept: dict[str, Row], number: int) -> Row:
    for level in range(10):
        name = f"order-{level}"
        kept[name] = Row(name, number + level, level)
    return min(kept.values(), key=itemgetter(1))


def _least_reading(kept: dict[int, Row], number: int) -> bool:
    row = kept[number % BLOCK] = Row("", number, 0)
    return row.value_w <= BLOCK


def flatness(sizes: tuple[int, ...], pace: Pace) -> list[Result]:
    """Measure what touches one DER at fleets of these sizes, the smallest of which is the floor of the others."""
    kinds: dict[str, Callable[[Fleet, Pace], float]] = {"limit": limit_s, "set-point": target_s, "reading": reading_s}
    found: dict[str, dict[int, float]] = {kind: {} for kind in kinds}
    for size in sizes:
        with uncollected():
            fleet = Fleet(size)
            fleet.fill(min(size, ORDERS))
            fleet.calm()
        for kind, seconds in kinds.items():
            fleet.calm()
            found[kind][size] = seconds(fleet, pace) * US
    least, most = sizes[0], sizes[-1]
    return [
        Result(
            f"ruling-flat-{kind}",
            f"one {kind} on one DER among {most:,}; floor: the same among {least:,}; peers: the sizes between",
            ours=at[most],
            unit="us",
            goal=GOAL_FLAT,
            floor=at[least],
            peers={f"among {size:,}": at[size] for size in sizes[1:-1]},
        )
        for kind, at in found.items()
    ]
