"""Whom a server of IEEE 2030.5-2018 knows: EndDevices, registrations, and what a device says of itself (clause 8)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.wire.sep2.faults import Faulty, Unreadable
from gateway.wire.sep2.quantities import ActivePower, RealEnergy
from gateway.wire.sep2.resources import Link, ListLink, ListPage


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDevice:
    """One device or site as the server knows it; an `lfdi` that is not one is `Unreadable`."""

    href: str | None = None
    subscribable: int | None = None
    aggregated_device_list_link: ListLink | None = None
    aggregation_priority_link: Link | None = None
    configuration_link: Link | None = None
    der_list_link: ListLink | None = None
    device_category: int | None = None
    device_information_link: Link | None = None
    device_status_link: Link | None = None
    distribution: int | None = None
    file_status_link: Link | None = None
    ip_interface_list_link: ListLink | None = None
    lfdi: str | Unreadable | None = None
    load_shed_availability_list_link: ListLink | None = None
    log_event_list_link: ListLink | None = None
    phase: int | None = None
    power_status_link: Link | None = None
    sfdi: int
    changed_time_s: int
    enabled: bool | None = None
    flow_reservation_request_list_link: ListLink | None = None
    flow_reservation_response_list_link: ListLink | None = None
    function_set_assignments_list_link: ListLink | None = None
    post_rate_s: int | None = None
    registration_link: Link | None = None
    proxied_device_list_link: ListLink | None = None
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DRLCCapabilities:
    """What of a load can be shed: bits of `options_implemented` as the schema's DRLCCapabilities says."""

    average_energy: RealEnergy
    max_demand: ActivePower
    options_implemented: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GPSLocation:
    """Decimal degrees of WGS 84, as text: north and east are positive."""

    lat: str
    lon: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInformation:
    """Who made a device, and what it is: `mf_id` an enterprise number, power 0 none, 1 mains, 2 battery, 3 generation.

    `mf_date_s` and `sw_act_time_s` are UTC seconds since 1970: when it was made, when its software came into force.
    """

    href: str | None = None
    poll_rate_s: int | None = None
    connection_point_id: str | None = None
    drlc_capabilities: DRLCCapabilities | None = None
    functions_implemented: int | None = None
    gps_location: GPSLocation | None = None
    lfdi: str
    mf_date_s: int
    mf_hw_ver: str
    mf_id: int
    mf_info: str | None = None
    mf_model: str
    mf_ser_num: str
    primary_power: int
    secondary_power: int
    supported_locale_list_link: ListLink | None = None
    sw_act_time_s: int
    sw_ver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPoint:
    """Where a device is connected, as the distributor names it (NMI); the element `id` of CSIP-AUS 1.1 is read too."""

    href: str | None = None
    connection_point_id: str
