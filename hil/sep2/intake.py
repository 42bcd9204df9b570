"""What clients post and put to a head-end: responses, mirrored readings and DER documents, judged and kept."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from envoy_schema.server.schema.sep2 import metering, response
from envoy_schema.server.schema.sep2 import metering_mirror as mirror
from lxml import etree

from hil.clock import Clock
from hil.sep2 import bodies
from hil.sep2.records import Answer, PostedReading, Program, PutDocument, Resource, UsagePoint

INVALID_FORMAT, INVALID_VALUES = 0, 1

WATTS = 38
"""The UomType of active power."""


class Reply(NamedTuple):
    status: int
    body: bytes = b""
    location: str | None = None


class Report(Protocol):
    """Told of everything that happens: a word for the kind and its particulars."""

    def __call__(self, kind: str, **particulars: object) -> None: ...


class RefusedError(Exception):
    """The request gets this reply instead of an answer."""

    def __init__(self, status: int, why: str, reason: int | None = INVALID_VALUES) -> None:
        super().__init__(why)
        self.reply = Reply(status, b"" if reason is None else bodies.error_body(reason))


class Intake:
    """Keeps all that was received with its time of arrival; `schema`, if given, is asked about every body."""

    def __init__(
        self, clock: Clock, known_lfdis: Iterable[str], report: Report, schema: etree.XMLSchema | None
    ) -> None:
        self._clock = clock
        self._known_lfdis = frozenset(known_lfdis)
        self._report = report
        self._schema = schema
        self.answers: list[Answer] = []
        self.readings: list[PostedReading] = []
        self.documents: dict[str, PutDocument] = {}
        self.usage_points: list[UsagePoint] = []
        self.response_models: dict[str, list[response.DERControlResponse]] = {}

    def post_response(self, path: str, program: Program, resources: Sequence[Resource], body: bytes) -> Reply:
        """Take a DERControlResponse; refused when its subject is not of the program or its LFDI not a member."""
        given = bodies.decode(response.DERControlResponse, body, self._schema)
        control = program.controls.get(given.subject.upper())
        if control is None:
            raise RefusedError(400, f"response to unknown subject {given.subject}")
        lfdi = given.endDeviceLFDI.upper()
        member = next((one for one in resources if one.lfdi == lfdi and one.name in program.resources), None)
        if member is None:
            raise RefusedError(400, f"response for {lfdi}, which is not in program {program.name}")
        if given.status is None:
            raise RefusedError(400, "response without status")
        answer = Answer(
            self._clock.now_ms(),
            program.name,
            control.name,
            control.mrid,
            member.name,
            lfdi,
            int(given.status),
            given.createdDateTime,
        )
        self.answers.append(answer)
        kept = self.response_models.setdefault(path, [])
        given.href = f"{path}/{len(kept) + 1}"
        kept.append(given)
        self._report("answer", control=control.name, resource=member.name, status=answer.status, mrid=control.mrid)
        return Reply(201, location=given.href)

    def put_document(self, path: str, resource: Resource, name: str, body: bytes) -> Reply:
        """Keep a DER document under its path: 201 at first, 204 afterwards."""
        document = bodies.decode(bodies.DER_DOCUMENTS[name], body, self._schema)
        first = path not in self.documents
        self.documents[path] = PutDocument(self._clock.now_ms(), resource.name, document)
        self._report("document", resource=resource.name, name=type(document).__name__)
        return Reply(201, location=path) if first else Reply(204)

    def post_usage_point(self, body: bytes) -> Reply:
        """Take a MirrorUsagePoint: 201 and its Location; the same mRID of the same device again 204 and the same."""
        given = bodies.decode(mirror.MirrorUsagePointRequest, body, self._schema)
        lfdi, mrid = given.deviceLFDI.upper(), given.mRID.upper()
        if lfdi not in self._known_lfdis:
            raise RefusedError(403, f"mirror usage point for unknown device {lfdi}")
        point = next((one for one in self.usage_points if (one.lfdi, one.mrid) == (lfdi, mrid)), None)
        status = 201 if point is None else 204
        if point is None:
            point = UsagePoint(len(self.usage_points) + 1, mrid, lfdi, given.description, given.roleFlags)
            self.usage_points.append(point)
            self._report("mirror", lfdi=lfdi, mrid=mrid, description=given.description)
        for meter_reading in given.mirrorMeterReadings or []:
            self._take(point, meter_reading)
        return Reply(status, location=f"/mup/{point.index}")

    def post_readings(self, index: int, body: bytes) -> Reply:
        """Take a MirrorMeterReading or a list of them: 201 when one is new, else 204."""
        point = next((one for one in self.usage_points if one.index == index), None)
        if point is None:
            raise RefusedError(404, f"no mirror usage point {index}", None)
        if bodies.root_name(body) == "MirrorMeterReadingList":
            listed = bodies.decode(mirror.MirrorMeterReadingListRequest, body, self._schema)
            given: Sequence[mirror.MirrorMeterReading] = listed.mirrorMeterReadings or []
        else:
            given = [bodies.decode(mirror.MirrorMeterReadingRequest, body, self._schema)]
        new = [self._take(point, meter_reading) for meter_reading in given]
        return Reply(201, location=f"/mup/{index}/mr/{len(point.types)}") if any(new) else Reply(204)

    def _take(self, point: UsagePoint, given: mirror.MirrorMeterReading) -> bool:
        mrid = given.mRID.upper()
        new = mrid not in point.types
        if given.readingType is not None:
            point.types[mrid] = given.readingType
        kind = point.types.get(mrid)
        if kind is None:
            raise RefusedError(400, f"meter reading {mrid} came without a ReadingType")
        for reading in _readings(given):
            self._keep(point, given, kind, reading)
        return new

    def _keep(
        self,
        point: UsagePoint,
        given: mirror.MirrorMeterReading,
        kind: metering.ReadingType,
        reading: metering.Reading,
    ) -> None:
        if reading.value is None:
            raise RefusedError(400, f"meter reading {given.mRID} has a Reading without value")
        period = reading.timePeriod
        kept = PostedReading(
            t_ms=self._clock.now_ms(),
            lfdi=point.lfdi,
            usage_point=point.mrid,
            meter_reading=given.mRID.upper(),
            description=given.description,
            uom=kind.uom,
            flow_direction=kind.flowDirection,
            data_qualifier=kind.dataQualifier,
            multiplier=kind.powerOfTenMultiplier or 0,
            value=reading.value,
            start_s=period.start if period else None,
            duration_s=period.duration if period else None,
        )
        self.readings.append(kept)
        if kept.uom == WATTS:
            of = "" if point.description is None else point.description
            self._report("reading", of=of, lfdi=point.lfdi, w=kept.value, coverage=kept.description)


def _readings(given: mirror.MirrorMeterReading) -> list[metering.Reading]:
    single = [given.reading] if given.reading is not None else []
    return single + [one for batch in given.mirrorReadingSets or [] for one in batch.readings or []]
