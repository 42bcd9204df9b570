"""What clients tell of an EndDevice itself: its connection point (CSIP-AUS) and its log events; judged and kept."""

from dataclasses import dataclass

from envoy_schema.server.schema.csip_aus import connection_point
from envoy_schema.server.schema.sep2 import log_events
from lxml import etree

from hil.clock import Clock
from hil.sep2 import bodies
from hil.sep2.intake import RefusedError, Reply, Report

LOG_EVENTS = bodies.Listing(log_events.LogEventList, "LogEvent_")


@dataclass(frozen=True, slots=True)
class PostedLogEvent:
    """One LogEvent as it came, at an instant of the shared clock (ms)."""

    t_ms: int
    resource: str
    function_set: int
    code: int
    profile: int
    pen: int
    event_id: int
    created_s: int
    details: str | None
    extended: int | None


class DevicePapers:
    """Keeps them by the name of the resource; `taken` are the connection points that there are, None for any."""

    def __init__(self, clock: Clock, report: Report, schema: etree.XMLSchema | None) -> None:
        self.connection_points: dict[str, str] = {}
        self.information: dict[str, dict[str, str]] = {}
        self.log_events: list[PostedLogEvent] = []
        self.taken: frozenset[str] | None = None
        self._clock = clock
        self._report = report
        self._schema = schema
        self._bodies: dict[str, bytes] = {}
        self._models: dict[str, list[log_events.LogEvent]] = {}

    def put_connection_point(self, resource: str, path: str, body: bytes) -> Reply:
        """Keep a connection point: 201 at first, 204 afterwards; one that is not known here is refused."""
        given = bodies.decode(connection_point.ConnectionPointRequest, body, self._schema)
        named = given.id or given.id_v11
        if not named or (self.taken is not None and named not in self.taken):
            raise RefusedError(400, f"no connection point {named} is known")
        first = resource not in self.connection_points
        self.connection_points[resource] = named
        self._report("connection_point", resource=resource, id=named)
        return Reply(201, location=path) if first else Reply(204)

    def connection_point(self, resource: str, path: str) -> bytes:
        """Give a connection point; refused where none was put."""
        if resource not in self.connection_points:
            raise RefusedError(404, f"{resource} has no connection point", None)
        named = self.connection_points[resource]
        return bodies.encode(connection_point.ConnectionPointResponse(href=path, id=named))

    def put_information(self, resource: str, path: str, body: bytes) -> Reply:
        """Keep a DeviceInformation, element by element: envoy-schema lacks it."""
        if bodies.root_name(body) != "DeviceInformation":
            raise RefusedError(400, "no DeviceInformation")
        tree = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
        if self._schema is not None and not self._schema.validate(tree):
            raise RefusedError(400, f"DeviceInformation against the schema: {self._schema.error_log}")
        first = resource not in self.information
        self.information[resource] = {etree.QName(each).localname: each.text or "" for each in tree}
        self._bodies[resource] = body
        return Reply(201, location=path) if first else Reply(204)

    def device_information(self, resource: str) -> bytes:
        """Give a DeviceInformation as it came; refused where none was put."""
        if resource not in self._bodies:
            raise RefusedError(404, f"{resource} has no DeviceInformation", None)
        return self._bodies[resource]

    def post_log_event(self, resource: str, path: str, body: bytes) -> Reply:
        """Take a log event in."""
        given = bodies.decode(log_events.LogEvent, body, self._schema)
        kept = self._models.setdefault(resource, [])
        given.href = f"{path}/{len(kept) + 1}"
        kept.append(given)
        self.log_events.append(
            PostedLogEvent(
                self._clock.now_ms(),
                resource,
                int(given.functionSet),
                given.logEventCode,
                int(given.profileID),
                given.logEventPEN,
                given.logEventID,
                given.createdDateTime,
                given.details,
                given.extendedData,
            )
        )
        self._report("log_event", resource=resource, code=given.logEventCode, details=given.details)
        return Reply(201, location=given.href)

    def listed(self, resource: str) -> list[log_events.LogEvent]:
        """Give the log events of a resource, the newest first."""
        return self._models.get(resource, [])[::-1]
