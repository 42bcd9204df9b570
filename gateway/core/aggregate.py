"""Readings summed for the tier above, with how much of the whole they cover and how old they are (RULES A2)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gateway.core.alarms import Alarm
from gateway.core.events import NOT_STORED
from gateway.core.known import Known, Reading


class Sample(NamedTuple):
    """One device's part in a picture: its resource, rating and most it generates now (W), and readings."""

    device: str
    resource: str
    rated_w: int
    generation_max_w: int
    power: Reading
    reactive: Reading
    voltage: Reading
    connected: bool | None
    faults: tuple[Alarm, ...] | None = None
    charge_max_w: int = 0
    capacity_wh: int = 0
    stored: Reading = NOT_STORED


class Store(NamedTuple):
    """What devices that store energy hold (Wh), all of them: what can be taken out, of how much, and at most how fast.

    `generation_max_w` and `charge_max_w` are the most that they give and take (W).
    """

    stored_wh: int
    capacity_wh: int
    generation_max_w: int
    charge_max_w: int


class Total(NamedTuple):
    """The sum of what is known (W, var), the coverage by count and by rating, and the age of the oldest part (ms).

    `voltage_mv` is the mean of what is known, `connected` counts the devices that say that they are connected,
    `faults` is what any of them has, None where one says nothing of it, and `store` what those hold that store energy.
    None where nothing at all is known: unknown is not zero.
    """

    power_w: int | None
    reactive_var: int | None
    voltage_mv: int | None
    devices: int
    known: int
    rated_w: int
    known_rated_w: int
    oldest_ms: int
    generation_max_w: int
    connected: int
    faults: tuple[Alarm, ...] | None = None
    store: Store | None = None


class ConnectionReading(NamedTuple):
    """What the meter at a connection point shows: power (W) and reactive power (var), positive out, voltage (mV)."""

    power: Reading
    reactive: Reading
    voltage: Reading


class Picture(NamedTuple):
    """What the tier above is shown: the whole domain, and each resource that is registered with it.

    `connections` are the readings of the resources whose connection point is metered.
    """

    at_ms: int
    whole: Total
    resources: dict[str, Total]
    connections: dict[str, ConnectionReading]


def total(samples: Iterable[Sample], now_ms: int) -> Total:
    """Sum what is known; what is not known is missing from the sum and from the coverage."""
    power_w: int | None = None
    reactive_var: int | None = None
    voltages: list[int] = []
    devices = known = rated_w = known_rated_w = oldest_ms = generation_max_w = connected = 0
    listed = list(samples)
    for sample in listed:
        devices += 1
        rated_w += sample.rated_w
        generation_max_w += sample.generation_max_w
        connected += sample.connected is True
        if isinstance(sample.power, Known):
            known += 1
            known_rated_w += sample.rated_w
            power_w = (power_w or 0) + sample.power.value
            oldest_ms = max(oldest_ms, now_ms - sample.power.at_ms)
        if isinstance(sample.reactive, Known):
            reactive_var = (reactive_var or 0) + sample.reactive.value
        if isinstance(sample.voltage, Known):
            voltages.append(sample.voltage.value)
    voltage_mv = sum(voltages) // len(voltages) if voltages else None
    return Total(
        power_w,
        reactive_var,
        voltage_mv,
        devices,
        known,
        rated_w,
        known_rated_w,
        oldest_ms,
        generation_max_w,
        connected,
        _faults(listed),
        _store(listed),
    )


def _faults(listed: list[Sample]) -> tuple[Alarm, ...] | None:
    found: list[Alarm] = []
    for sample in listed:
        if sample.faults is None:
            return None
        found.extend(each for each in sample.faults if each not in found)
    return tuple(found) if listed else None


def _store(listed: list[Sample]) -> Store | None:
    """Sum what the devices with a store hold; None where there are none, or one of them does not say."""
    found = [0, 0, 0, 0]
    for sample in listed:
        if sample.capacity_wh <= 0:
            continue
        if not isinstance(sample.stored, Known):
            return None
        parts = (sample.stored.value, sample.capacity_wh, sample.generation_max_w, sample.charge_max_w)
        found = [total + part for total, part in zip(found, parts, strict=True)]
    return Store(*found) if found[1] else None


def picture(
    samples: Iterable[Sample], now_ms: int, connections: Mapping[str, ConnectionReading] | None = None
) -> Picture:
    """Give the picture of the whole and of each resource, with what is metered at their connection points."""
    by_resource: dict[str, list[Sample]] = {}
    every: list[Sample] = []
    for sample in samples:
        every.append(sample)
        by_resource.setdefault(sample.resource, []).append(sample)
    return Picture(
        now_ms,
        total(every, now_ms),
        {resource: total(part, now_ms) for resource, part in by_resource.items()},
        dict(connections or {}),
    )
