"""Whom a server of IEEE 2030.5-2018 knows, as values of the wire: its EndDevices and their registrations (clause 8)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.wire.sep2.faults import Faulty, Unreadable
from gateway.wire.sep2.resources import Link, ListLink, ListPage


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDevice:
    """One device or site as the server knows it; an `lfdi` that is not one is `Unreadable`."""

    href: str | None = None
    subscribable: int | None = None
    configuration_link: Link | None = None
    der_list_link: ListLink | None = None
    device_category: int | None = None
    device_information_link: Link | None = None
    device_status_link: Link | None = None
    file_status_link: Link | None = None
    ip_interface_list_link: ListLink | None = None
    lfdi: str | Unreadable | None = None
    load_shed_availability_list_link: ListLink | None = None
    log_event_list_link: ListLink | None = None
    power_status_link: Link | None = None
    sfdi: int
    changed_time_s: int
    enabled: bool | None = None
    flow_reservation_request_list_link: ListLink | None = None
    flow_reservation_response_list_link: ListLink | None = None
    function_set_assignments_list_link: ListLink | None = None
    post_rate_s: int | None = None
    registration_link: Link | None = None
    subscription_list_link: ListLink | None = None
    connection_point_link: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDeviceList(ListPage):
    """One page of end devices."""

    subscribable: int | None = None
    poll_rate_s: int | None = None
    items: tuple[EndDevice | Faulty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """When a device was registered, and its PIN with check digit (0..999999)."""

    href: str | None = None
    poll_rate_s: int | None = None
    date_time_registered_s: int
    pin: int
