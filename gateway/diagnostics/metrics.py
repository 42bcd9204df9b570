"""Prometheus metrics: counted as decisions are told, and read off the machine's state when they are scraped."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.core.events import Tell, Topic
from gateway.core.known import Known
from gateway.core.state import State


class _StateCollector(Collector):
    """Reads the gauges off the machine's state."""

    def __init__(self, state: Callable[[], State], extra: Callable[[], dict[str, float]]) -> None:
        self._state = state
        self._extra = extra

    def collect(self) -> Iterator[Metric]:
        state = self._state()
        power = GaugeMetricFamily("gateway_device_power_watts", "Measured active power", labels=["device"])
        limit = GaugeMetricFamily("gateway_device_limit_watts", "Commanded limit", labels=["device"])
        up = GaugeMetricFamily("gateway_device_reachable", "1 while the device answers", labels=["device"])
        for name, device in state.devices.items():
            up.add_metric([name], float(device.reachable))
            if isinstance(device.power, Known):
                power.add_metric([name], float(device.power.value))
            if device.command is not None:
                limit.add_metric([name], float(device.command.limit_w))
        contact = GaugeMetricFamily("gateway_party_contact", "1 while contact with the party stands", labels=["party"])
        for name, party in state.parties.items():
            contact.add_metric([name], float(party.proven and not party.lost))
        owed = GaugeMetricFamily("gateway_answers_owed", "Answers not yet acknowledged", value=float(len(state.owed)))
        live = sum(live.ended < len(live.courses) for live in state.lives.values())
        orders = GaugeMetricFamily("gateway_orders_open", "Orders without all terminal answers", value=float(live))
        yield from (power, limit, up, contact, owed, orders)
        for name, value in self._extra().items():
            yield GaugeMetricFamily(name, name.removeprefix("gateway_").replace("_", " "), value=value)


class Metrics:
    """The registry of one gateway; `witness` counts what is told."""

    def __init__(self, state: Callable[[], State], extra: Callable[[], dict[str, float]]) -> None:
        """Read gauges off `state`; `extra` gives further gauges by name, with units in the names."""
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library leaves this one without types
        self._registry = CollectorRegistry()
        self._registry.register(_StateCollector(state, extra))
        self._answers = Counter("gateway_answers", "Answers decided, by resource", ["answer"], registry=self._registry)
        self._refusals = Counter("gateway_refusals", "Orders refused", ["rule"], registry=self._registry)
        self._verdicts = Counter("gateway_verdicts", "Verdicts on devices", ["verdict"], registry=self._registry)
        self._blocked = Counter("gateway_commands_blocked", "Commands blocked by the guard", registry=self._registry)
        self._commands = Counter("gateway_commands", "Commands cleared", registry=self._registry)

    def witness(self, tell: Tell) -> None:
        """Count one record."""
        match tell.topic:
            case Topic.ANSWERED:
                self._answers.labels(tell.effect).inc(len(tell.names))
            case Topic.REFUSED:
                self._refusals.labels(tell.rule).inc()
            case Topic.VERIFIED:
                self._verdicts.labels(tell.effect).inc()
            case Topic.BLOCKED:
                self._blocked.inc()
            case Topic.COMMANDED:
                self._commands.inc(len(tell.names))
            case _:
                return

    def text(self) -> bytes:
        """Give the text that Prometheus scrapes."""
        return generate_latest(self._registry)
