"""Prometheus metrics: counted as decisions are told, and read off the machine's state when they are scraped."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.core.answers import Kind
from gateway.core.events import Tell, Topic
from gateway.core.known import Known
from gateway.core.meter import NOT_READ
from gateway.core.state import State
from gateway.diagnostics.records import values_by_name

RULINGS = {Kind.STARTED: "in force"}
"""What an answer says of an order, where the word for it is another."""


class _StateCollector(Collector):
    """Reads the gauges off the machine's state."""

    def __init__(
        self,
        state: Callable[[], State],
        extra: Callable[[], dict[str, float]],
        left_s: Callable[[], Mapping[str, float]],
        refused: Callable[[], Mapping[str, Mapping[str, int]]],
    ) -> None:
        self._state = state
        self._extra = extra
        self._left_s = left_s
        self._refused = refused

    def collect(self) -> Iterator[Metric]:
        state = self._state()
        yield from _of_devices(state)
        contact = GaugeMetricFamily("gateway_party_contact", "1 while contact with the party stands", labels=["party"])
        for name, party in state.parties.items():
            contact.add_metric([name], float(party.proven and not party.lost))
        unmet = GaugeMetricFamily("gateway_point_unmet_watts", "Ordered in sum and not met, a size", labels=["point"])
        for name, point in state.points.items():
            unmet.add_metric([name], float(sum(map(abs, point.unmet_w.values()))))
        live = sum(live.ended < len(live.courses) for live in state.lives.values())
        held, standing = len(state.commitments.held), len(state.offers.offers)
        yield from (contact, unmet)
        yield GaugeMetricFamily("gateway_answers_owed", "Answers not yet acknowledged", value=float(len(state.owed)))
        yield GaugeMetricFamily("gateway_orders_open", "Orders without all terminal answers", value=float(live))
        yield GaugeMetricFamily("gateway_commitments_open", "Commitments held and not over", value=float(held))
        yield GaugeMetricFamily("gateway_offers_open", "Offers that stand", value=float(standing))
        ends = GaugeMetricFamily(
            "gateway_certificate_left_seconds", "Until the first in the file ends", labels=["file"]
        )
        for file, left_s in self._left_s().items():
            ends.add_metric([file], left_s)
        yield ends
        refused = CounterMetricFamily(
            "gateway_peers_refused", "Connections and requests refused or cut", labels=["listener", "reason"]
        )
        for listener, counts in self._refused().items():
            for reason, count in counts.items():
                refused.add_metric([listener, reason], float(count))
        yield refused
        for name, value in self._extra().items():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield kind(name, name.removeprefix("gateway_").removesuffix("_total").replace("_", " "), value=value)


def _of_devices(state: State) -> Iterator[Metric]:
    power = GaugeMetricFamily("gateway_device_power_watts", "Measured active power", labels=["device"])
    limit = GaugeMetricFamily("gateway_device_limit_watts", "Commanded limit", labels=["device"])
    up = GaugeMetricFamily("gateway_device_reachable", "1 while the device answers", labels=["device"])
    for name, device in state.devices.items():
        up.add_metric([name], float(device.reachable))
        if isinstance(device.power, Known):
            power.add_metric([name], float(device.power.value))
        if device.command is not None:
            limit.add_metric([name], float(device.command.limit_w))
    return iter((power, limit, up))


class Metrics:
    """The registry of one gateway; `witness` counts what is told."""

    def __init__(
        self,
        state: Callable[[], State],
        extra: Callable[[], dict[str, float]],
        left_s: Callable[[], Mapping[str, float]] = dict,
        refused: Callable[[], Mapping[str, Mapping[str, int]]] = dict,
    ) -> None:
        """Read gauges off `state`; `extra` gives further figures by name, counters where that ends in `_total`.

        `left_s` gives how long the certificates of each file last, `refused` whom each listener refused, by reason.
        """
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library leaves this one without types
        self._registry = CollectorRegistry()
        self._registry.register(_StateCollector(state, extra, left_s, refused))
        self._counted: set[tuple[str, str, str]] = set()
        self._counted_ms = 0
        self._orders = self._counter("orders_ruled", "Orders by what was ruled on them", "ruling", "rule")
        self._rulings = self._counter("rulings", "Rulings by what decided them, by resource", "function", "rule")
        self._answers = self._counter("answers", "Answers decided, by resource", "answer")
        self._refusals = self._counter("refusals", "Orders, commitments and offers refused", "rule")
        self._overrides = self._counter("overrides", "Orders suspended for another, by resource", "issuer", "rule")
        self._curtailed = self._counter("curtailed_watt_hours", "Not served of the schedule, estimate", "issuer")
        self._delivered = self._counter("delivered_watt_hours", "Energy measured by service", "service", "direction")
        self._unread = self._counter("meter_unread_seconds", "Time at which nobody read the device's power", "device")
        self._bypasses = self._counter("bypasses", "Times that somebody moved it past this gateway", "device")
        self._verdicts = self._counter("verdicts", "Verdicts on devices", "verdict")
        self._blocked = self._counter("commands_blocked", "Commands blocked by the guard")
        self._commands = self._counter("commands", "Commands cleared")

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"gateway_{name}", about, labels, registry=self._registry)

    def witness(self, tell: Tell) -> None:
        """Count one record."""
        match tell.topic:
            case Topic.ANSWERED:
                self._count_answer(tell)
            case Topic.REFUSED:
                self._refusals.labels(tell.rule).inc()
            case Topic.RULED:
                self._rulings.labels(tell.function, tell.rule).inc(len(tell.names))
            case Topic.VERIFIED:
                self._verdicts.labels(tell.effect).inc()
            case Topic.BLOCKED:
                self._blocked.inc()
            case Topic.COMMANDED:
                self._commands.inc(len(tell.names))
            case Topic.CURTAILED:
                self._curtailed.labels(_issuer(tell)).inc(sum(tell.values))
            case Topic.METERED if tell.effect == NOT_READ:
                for name, unread_s in values_by_name(tell):
                    self._unread.labels(name).inc(unread_s or 0)
            case Topic.METERED:
                self._delivered.labels(tell.function, tell.effect.rpartition(" ")[2]).inc(sum(tell.values))
            case Topic.BYPASS if tell.effect == "contested":
                for name in tell.names:
                    self._bypasses.labels(name).inc()
            case _:
                return

    def _count_answer(self, tell: Tell) -> None:
        """Count an order once for each ruling of an instant, however many records tell of it."""
        self._answers.labels(tell.effect).inc(len(tell.names))
        if tell.effect == Kind.SUSPENDED:
            self._overrides.labels(_issuer(tell), tell.rule).inc(len(tell.names))
        if tell.at_ms != self._counted_ms:
            self._counted.clear()
            self._counted_ms = tell.at_ms
        one = (tell.order, tell.effect, tell.rule)
        if one in self._counted:
            return
        self._counted.add(one)
        self._orders.labels(RULINGS.get(Kind(tell.effect), tell.effect), tell.rule).inc()

    def text(self) -> bytes:
        """Give the text that Prometheus scrapes."""
        return generate_latest(self._registry)


def _issuer(tell: Tell) -> str:
    return tell.order.partition("/")[0]
