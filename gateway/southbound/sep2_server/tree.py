"""What a client may read: every resource as one body, lists by the page (IEEE 2030.5-2018, clauses 6.5 and 8 to 10).

/dcap  /tm  /edev  /edev/LFDI[/rg | /fsa[/1[/derp]] | /der[/1[/dercap | derg | ders | dera]]]
/derp/LFDI[/dderc | /actderc | /derc[/MRID]]  /rsps[/LFDI[/rsp]]  /mup[/POINT]
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from gateway.southbound.sep2_server import translate
from gateway.southbound.sep2_server.child import Child, Document, Owner
from gateway.southbound.sep2_server.client import Client
from gateway.southbound.sep2_server.schedule import Stretch
from gateway.wire.sep2 import Resource, encode
from gateway.wire.sep2.codes import EventState
from gateway.wire.sep2.devices import EndDevice, EndDeviceList, Registration
from gateway.wire.sep2.metering import MirrorUsagePointList
from gateway.wire.sep2.resources import (
    DER,
    DefaultDERControl,
    DERAvailability,
    DERCapability,
    DERControl,
    DERControlList,
    DERList,
    DERProgram,
    DERProgramList,
    DERSettings,
    DERStatus,
    DeviceCapability,
    EventStatus,
    FunctionSetAssignments,
    FunctionSetAssignmentsList,
    Interval,
    Link,
    ListLink,
    Time,
)
from gateway.wire.sep2.responses import ResponseList, ResponseSet, ResponseSetList

LIMIT_DEFAULT: Final = 1
"""What an absent `l` means. Our reading of clause 6.5: one item; widespread servers do so."""
LIMIT_MAX: Final = 255
PRIMACY: Final = 1
TIME_QUALITY: Final = 4
RECEIPT_AND_PROGRESS: Final = 3
DOCUMENTS: Final[Mapping[str, type[Document]]] = {
    "dercap": DERCapability,
    "derg": DERSettings,
    "ders": DERStatus,
    "dera": DERAvailability,
}

Item = TypeVar("Item")


class Page(NamedTuple):
    """What of a list is asked for: from position `start`, at most `limit`, of events those that start after `after_s`.

    Our reading: `after_s` acts on lists in order of time alone, and `all` counts what it leaves.
    """

    start: int = 0
    limit: int = LIMIT_DEFAULT
    after_s: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Page":
        """Read the query of a list; raise ValueError where it is none."""
        start, limit = int(query.get("s", "0")), int(query.get("l", str(LIMIT_DEFAULT)))
        if start < 0 or limit < 0:
            raise ValueError("s and l are not negative")
        return cls(start, min(limit, LIMIT_MAX), int(query["a"]) if "a" in query else None)

    def cut(self, items: Sequence[Item]) -> Sequence[Item]:
        """Give the items that are on it."""
        return items[self.start : self.start + self.limit]


class Place(NamedTuple):
    """What was asked for: by whom, at which path, which page of it, when, and what the path's open parts hold."""

    client: Client
    path: str
    page: Page
    now_ms: int
    names: tuple[str, ...]


def show(client: Client, address: str, path: str, page: Page, now_ms: int) -> bytes | None:
    """Give the body of a resource and keep it for this address; None where there is none for this client."""
    parts = path.split("/")[1:]
    names = tuple(parts[place] for place in OPEN if place < len(parts))
    for place in OPEN:
        if place < len(parts) and parts[place] not in FIXED:
            parts[place] = "*"
    make = ROUTES.get("/".join(parts))
    found = None if make is None else make(Place(client, path, page, now_ms, names))
    if found is None:
        return None
    resource, owner = found
    content = encode(resource)
    if owner is not None:
        client.keep(address, content, owner)
    return content


Shown = tuple[Resource, Owner | None] | None
"""A resource, and whose state it shows: None is not to be kept. Nothing at all where there is none."""


def _capability(at: Place) -> Shown:
    client = at.client
    return DeviceCapability(
        href=at.path,
        poll_rate_s=client.poll_s,
        response_set_list_link=ListLink(href="/rsps", total=len(client.children)),
        time_link=Link(href="/tm"),
        end_device_list_link=ListLink(href="/edev", total=len(_device_lfdis(client))),
        mirror_usage_point_list_link=ListLink(href="/mup", total=len(client.points)),
    ), client


def _time(at: Place) -> Shown:
    now_s = at.now_ms // 1000
    return Time(
        href=at.path,
        poll_rate_s=at.client.poll_s,
        current_time_s=now_s,
        dst_end_time_s=0,
        dst_offset_s=0,
        dst_start_time_s=0,
        local_time_s=now_s,
        quality=TIME_QUALITY,
        tz_offset_s=0,
    ), None


# -- devices


def _device_lfdis(client: Client) -> list[str]:
    """Give the EndDevices that a client sees: itself first (CSIP 4), then those that it speaks for."""
    return [client.lfdi, *(lfdi for lfdi in client.children if lfdi != client.lfdi)]


def _devices(at: Place) -> Shown:
    lfdis = _device_lfdis(at.client)
    shown = tuple(_device_of(at.client, lfdi) for lfdi in at.page.cut(lfdis))
    return EndDeviceList(
        href=at.path, total=len(lfdis), results=len(shown), poll_rate_s=at.client.poll_s, items=shown
    ), at.client


def _device(at: Place) -> Shown:
    known = at.names[0] == at.client.lfdi or at.names[0] in at.client.children
    return (_device_of(at.client, at.names[0]), at.client) if known else None


def _device_of(client: Client, lfdi: str) -> EndDevice:
    """Give an EndDevice; one that only speaks for others has neither programs nor a DER of its own."""
    child, href = client.children.get(lfdi), f"/edev/{lfdi}"
    return EndDevice(
        href=href,
        der_list_link=None if child is None else ListLink(href=f"{href}/der", total=1),
        lfdi=lfdi,
        sfdi=translate.sfdi(lfdi),
        changed_time_s=client.born_s,
        enabled=True,
        function_set_assignments_list_link=None if child is None else ListLink(href=f"{href}/fsa", total=1),
        post_rate_s=client.shared.post_s,
        registration_link=None if child is None or child.table.pin is None else Link(href=f"{href}/rg"),
    )


def _registration(at: Place) -> Shown:
    child = at.client.children.get(at.names[0])
    if child is None or child.table.pin is None:
        return None
    return Registration(
        href=at.path,
        poll_rate_s=at.client.poll_s,
        date_time_registered_s=at.client.born_s,
        pin=child.table.pin,
    ), at.client


def _ders(at: Place) -> Shown:
    if at.names[0] not in at.client.children:
        return None
    shown = at.page.cut([_der_of(f"{at.path}/1")])
    return DERList(
        href=at.path, total=1, results=len(shown), poll_rate_s=at.client.poll_s, items=tuple(shown)
    ), at.client


def _der(at: Place) -> Shown:
    return (_der_of(at.path), at.client) if at.names[0] in at.client.children else None


def _der_of(href: str) -> DER:
    return DER(
        href=href,
        der_availability_link=Link(href=f"{href}/dera"),
        der_capability_link=Link(href=f"{href}/dercap"),
        der_settings_link=Link(href=f"{href}/derg"),
        der_status_link=Link(href=f"{href}/ders"),
    )


def _document(at: Place) -> Shown:
    child = at.client.children.get(at.names[0])
    document = None if child is None else child.documents.get(DOCUMENTS[at.path.rpartition("/")[2]])
    return None if document is None else (document, child)


# -- programs


def _assignments_list(at: Place) -> Shown:
    child = at.client.children.get(at.names[0])
    if child is None:
        return None
    shown = at.page.cut([_assignments_of(child, f"{at.path}/1")])
    return FunctionSetAssignmentsList(
        href=at.path, total=1, results=len(shown), poll_rate_s=at.client.poll_s, items=tuple(shown)
    ), child


def _assignments(at: Place) -> Shown:
    child = at.client.children.get(at.names[0])
    return None if child is None else (_assignments_of(child, at.path), child)


def _assignments_of(child: Child, href: str) -> FunctionSetAssignments:
    return FunctionSetAssignments(
        href=href,
        mrid=translate.mrid(child.lfdi, "assignments"),
        description=child.device[:32],
        der_program_list_link=ListLink(href=f"{href}/derp", total=len(_programs_of(child, 0))),
        time_link=Link(href="/tm"),
    )


def _programs_of(child: Child, now_s: int) -> list[DERProgram]:
    """Give the program of a device; there is none before it is first told anything."""
    if child.default is None:
        return []
    href, listed = f"/derp/{child.lfdi}", child.schedule.listed(now_s)
    return [
        DERProgram(
            href=href,
            mrid=translate.mrid(child.lfdi, "program"),
            description=child.device[:32],
            active_der_control_list_link=ListLink(href=f"{href}/actderc", total=len(_active(child, listed, now_s))),
            default_der_control_link=Link(href=f"{href}/dderc"),
            der_control_list_link=ListLink(href=f"{href}/derc", total=len(listed)),
            primacy=PRIMACY,
        )
    ]


def _programs(at: Place) -> Shown:
    child = at.client.children.get(at.names[0])
    if child is None:
        return None
    programs = _programs_of(child, at.now_ms // 1000)
    shown = at.page.cut(programs)
    child.lasts(1000 * child.schedule.next_change_s(at.now_ms // 1000))
    return DERProgramList(
        href=at.path, total=len(programs), results=len(shown), poll_rate_s=at.client.poll_s, items=tuple(shown)
    ), child


def _program(at: Place) -> Shown:
    child = at.client.children.get(at.names[0])
    if child is None or child.default is None:
        return None
    child.lasts(1000 * child.schedule.next_change_s(at.now_ms // 1000))
    return _programs_of(child, at.now_ms // 1000)[0], child


def _default(at: Place) -> Shown:
    child = at.client.children.get(at.names[0])
    if child is None or child.default is None:
        return None
    child.default_read()
    return DefaultDERControl(href=at.path, mrid=translate.mrid(child.lfdi, "default"), base=child.default), child


def _active(child: Child, listed: Sequence[Stretch], now_s: int) -> list[Stretch]:
    active = EventState.ACTIVE
    return [one for one in listed if one.runs_on(now_s) and child.schedule.mark(one, now_s).state is active]


def _controls(at: Place) -> Shown:
    child = at.client.children.get(at.names[0])
    if child is None or child.default is None:
        return None
    now_s, after_s = at.now_ms // 1000, at.page.after_s
    child.lasts(1000 * child.schedule.next_change_s(now_s))
    listed = child.schedule.listed(now_s)
    if at.path.endswith("/actderc"):
        listed = _active(child, listed, now_s)
    listed = [one for one in listed if after_s is None or one.start_s > after_s]
    shown = at.page.cut(listed)
    child.seen(shown)
    return DERControlList(
        href=at.path,
        total=len(listed),
        results=len(shown),
        items=tuple(_control_of(child, one, now_s) for one in shown),
    ), child


def _control(at: Place) -> Shown:
    child = at.client.children.get(at.names[0])
    now_s = at.now_ms // 1000
    one = None if child is None else child.schedule.find(at.names[1])
    if child is None or one is None or now_s >= one.listed_until_s():
        return None
    child.lasts(1000 * child.schedule.next_change_s(now_s))
    child.seen([one])
    return _control_of(child, one, now_s), child


def _control_of(child: Child, one: Stretch, now_s: int) -> DERControl:
    mark = child.schedule.mark(one, now_s)
    return DERControl(
        href=f"/derp/{child.lfdi}/derc/{one.mrid}",
        reply_to=f"/rsps/{child.lfdi}/rsp",
        response_required=RECEIPT_AND_PROGRESS,
        mrid=one.mrid,
        description=child.device[:32],
        creation_time_s=one.created_s,
        event_status=EventStatus(current_status=mark.state, date_time_s=mark.since_s),
        interval=Interval(start_s=one.start_s, duration_s=one.end_s - one.start_s),
        base=one.base,
    )


# -- what came in


def _response_sets(at: Place) -> Shown:
    children = list(at.client.children.values())
    shown = tuple(_response_set_of(child) for child in at.page.cut(children))
    return ResponseSetList(
        href=at.path, total=len(children), results=len(shown), poll_rate_s=at.client.poll_s, items=shown
    ), None


def _response_set(at: Place) -> Shown:
    child = at.client.children.get(at.names[0])
    return None if child is None else (_response_set_of(child), child)


def _response_set_of(child: Child) -> ResponseSet:
    href = f"/rsps/{child.lfdi}"
    return ResponseSet(
        href=href,
        mrid=translate.mrid(child.lfdi, "responses"),
        description=child.device[:32],
        response_list_link=ListLink(href=f"{href}/rsp", total=len(child.answers)),
    )


def _responses(at: Place) -> Shown:
    child = at.client.children.get(at.names[0])
    if child is None:
        return None
    shown = tuple(at.page.cut(child.answers))
    return ResponseList(href=at.path, total=len(child.answers), results=len(shown), items=shown), child


def _points(at: Place) -> Shown:
    points = [point.shown(at.client.shared.post_s) for point in at.client.points.values()]
    shown = tuple(at.page.cut(points))
    return MirrorUsagePointList(
        href=at.path, total=len(points), results=len(shown), poll_rate_s=at.client.poll_s, items=shown
    ), at.client


def _point(at: Place) -> Shown:
    point = at.client.points.get(at.names[0])
    return None if point is None else (point.shown(at.client.shared.post_s), at.client)


OPEN: Final = (1, 3)
"""Which parts of a path may hold a name."""
FIXED: Final = frozenset({"1", "derp"})
ROUTES: Final[Mapping[str, Callable[[Place], Shown]]] = {
    "dcap": _capability,
    "tm": _time,
    "edev": _devices,
    "edev/*": _device,
    "edev/*/rg": _registration,
    "edev/*/fsa": _assignments_list,
    "edev/*/fsa/1": _assignments,
    "edev/*/fsa/1/derp": _programs,
    "edev/*/der": _ders,
    "edev/*/der/1": _der,
    **{f"edev/*/der/1/{name}": _document for name in DOCUMENTS},
    "derp/*": _program,
    "derp/*/dderc": _default,
    "derp/*/derc": _controls,
    "derp/*/actderc": _controls,
    "derp/*/derc/*": _control,
    "rsps": _response_sets,
    "rsps/*": _response_set,
    "rsps/*/rsp": _responses,
    "mup": _points,
    "mup/*": _point,
}
