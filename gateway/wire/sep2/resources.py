"""Resources of IEEE 2030.5-2018 (with CSIP-AUS) as values, in the units of the wire: seconds UTC, hundredths of a
percent, signs as sent; `None` is an element or attribute that was not there.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.wire.sep2 import modes
from gateway.wire.sep2.faults import Faulty
from gateway.wire.sep2.quantities import (
    ActivePower,
    AmpereHour,
    ApparentPower,
    Current,
    PowerFactor,
    ReactivePower,
    Susceptance,
    Voltage,
    WattHour,
)

DEFAULT_POLL_RATE_S = 900
"""What an absent pollRate means (2018 schema)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a resource is."""

    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLink:
    """Where a list is, and how many items it says to hold."""

    href: str
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """DateTimeInterval: `start_s` UTC seconds since 1970, `duration_s` 0 to 2^32-1."""

    start_s: int
    duration_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """What every page of a list bears: `total` items in the list, `results` on this page."""

    href: str | None = None
    total: int | None = None
    results: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSets:
    """Links that DeviceCapability and FunctionSetAssignments share (FunctionSetAssignmentsBase)."""

    href: str | None = None
    customer_account_list_link: ListLink | None = None
    demand_response_program_list_link: ListLink | None = None
    der_program_list_link: ListLink | None = None
    file_list_link: ListLink | None = None
    messaging_program_list_link: ListLink | None = None
    prepayment_list_link: ListLink | None = None
    response_set_list_link: ListLink | None = None
    tariff_profile_list_link: ListLink | None = None
    time_link: Link | None = None
    usage_point_list_link: ListLink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCapability(FunctionSets):
    """The entry point of a server."""

    poll_rate_s: int | None = None
    end_device_list_link: ListLink | None = None
    mirror_usage_point_list_link: ListLink | None = None
    self_device_link: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """The server's clock: `quality` 3 external source .. 7 uncoordinated; offsets are seconds east of UTC."""

    href: str | None = None
    poll_rate_s: int | None = None
    current_time_s: int
    dst_end_time_s: int
    dst_offset_s: int
    dst_start_time_s: int
    local_time_s: int | None = None
    quality: int
    tz_offset_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSetAssignments(FunctionSets):
    """One set of programs and its clock that a device is assigned to."""

    subscribable: int | None = None
    mrid: str
    description: str | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSetAssignmentsList(ListPage):
    """One page of function set assignments."""

    subscribable: int | None = None
    poll_rate_s: int | None = None
    items: tuple[FunctionSetAssignments | Faulty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DERProgram:
    """A stream of controls; of two programs the one with the lower `primacy` (0..255) wins."""

    href: str | None = None
    subscribable: int | None = None
    mrid: str
    description: str | None = None
    version: int | None = None
    active_der_control_list_link: ListLink | None = None
    default_der_control_link: Link | None = None
    der_control_list_link: ListLink | None = None
    der_curve_list_link: ListLink | None = None
    primacy: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DERProgramList(ListPage):
    """One page of programs."""

    subscribable: int | None = None
    poll_rate_s: int | None = None
    items: tuple[DERProgram | Faulty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStatus:
    """What the server says of an event; `current_status` is an `EventState`."""

    current_status: int
    date_time_s: int
    potentially_superseded: bool = False
    potentially_superseded_time_s: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DERControlBase:
    """The modes of a control, of 2018 and 2023; of a curve only the link to it is here.

    A name that ends in `_hundredths` holds hundredths of a percent of the device's rating, 0..10000 or, of a set-point,
    -10000..10000; `ramp_tms_hundredths` are hundredths of a second. `other_modes` names, sorted, every further mode
    that was there, and every reactive or curve mode, or one of 2023, that cannot be read: its value is not kept, so a
    base that has any cannot be written. Our reading: a mode that 2023 marks disabled is among them, it is neither a
    value nor a release. The name of a mode of an unknown namespace bears that namespace in braces.
    """

    op_mod_connect: bool | None = None
    op_mod_delta_var: modes.ReactivePowerDelta | None = None
    op_mod_delta_w: modes.ActivePowerDelta | None = None
    op_mod_energize: bool | None = None
    op_mod_fixed_pf_absorb_w: modes.ExcitedPowerFactor | None = None
    op_mod_fixed_pf_inject_w: modes.ExcitedPowerFactor | None = None
    op_mod_fixed_v_hundredths: int | None = None
    op_mod_fixed_var: modes.FixedVar | None = None
    op_mod_fixed_w_hundredths: int | None = None
    op_mod_freq_droop: modes.FreqDroop | None = None
    op_mod_freq_watt: Link | None = None
    op_mod_grid_connect_permit: bool | None = None
    op_mod_hfrt_may_trip: Link | None = None
    op_mod_hfrt_must_trip: Link | None = None
    op_mod_hvrt_may_trip: Link | None = None
    op_mod_hvrt_momentary_cessation: Link | None = None
    op_mod_hvrt_must_trip: Link | None = None
    op_mod_island_permit: bool | None = None
    op_mod_lfrt_may_trip: Link | None = None
    op_mod_lfrt_must_trip: Link | None = None
    op_mod_lvrt_may_trip: Link | None = None
    op_mod_lvrt_momentary_cessation: Link | None = None
    op_mod_lvrt_must_trip: Link | None = None
    op_mod_max_lim_pct_va_absorb_hundredths: int | None = None
    op_mod_max_lim_pct_va_inject_hundredths: int | None = None
    op_mod_max_lim_pct_var_absorb: modes.FixedVar | None = None
    op_mod_max_lim_pct_var_inject: modes.FixedVar | None = None
    op_mod_max_lim_pct_w_absorb_hundredths: int | None = None
    op_mod_max_lim_var_absorb: modes.UnsignedReactivePower | None = None
    op_mod_max_lim_var_inject: modes.UnsignedReactivePower | None = None
    op_mod_max_lim_w_hundredths: int | None = None
    op_mod_max_lim_w_absorb: modes.UnsignedActivePower | None = None
    op_mod_max_lim_w_inject: modes.UnsignedActivePower | None = None
    op_mod_target_v: Voltage | None = None
    op_mod_target_var: ReactivePower | None = None
    op_mod_target_w: ActivePower | None = None
    op_mod_volt_var: Link | None = None
    op_mod_volt_watt: Link | None = None
    op_mod_watt_pf: Link | None = None
    op_mod_watt_var: Link | None = None
    ramp_tms_hundredths: int | None = None
    op_mod_imp_lim_w: ActivePower | None = None
    op_mod_exp_lim_w: ActivePower | None = None
    op_mod_gen_lim_w: ActivePower | None = None
    op_mod_load_lim_w: ActivePower | None = None
    op_mod_storage_target_w: ActivePower | None = None
    other_modes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DERControl:
    """One event: randomization -3600..3600 s, `response_required` bit 0 received, bit 1 specific, bit 2 end user."""

    href: str | None = None
    reply_to: str | None = None
    response_required: int = 0
    subscribable: int | None = None
    mrid: str
    description: str | None = None
    version: int | None = None
    creation_time_s: int
    event_status: EventStatus
    interval: Interval
    randomize_duration_s: int | None = None
    randomize_start_s: int | None = None
    base: DERControlBase
    device_category: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DERControlList(ListPage):
    """One page of events."""

    subscribable: int | None = None
    items: tuple[DERControl | Faulty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultDERControl:
    """What holds while no event does; delays and ramps in hundredths of a second, gradients in hundredths of %/s."""

    href: str | None = None
    reply_to: str | None = None
    response_required: int | None = None
    subscribable: int | None = None
    mrid: str
    description: str | None = None
    version: int | None = None
    base: DERControlBase
    set_es_delay_hundredths: int | None = None
    set_es_high_freq_hundredths: int | None = None
    set_es_high_volt_hundredths: int | None = None
    set_es_low_freq_hundredths: int | None = None
    set_es_low_volt_hundredths: int | None = None
    set_es_ramp_tms_hundredths: int | None = None
    set_es_random_delay_hundredths: int | None = None
    set_grad_w_hundredths: int | None = None
    set_soft_grad_w_hundredths: int | None = None
    updated_time_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DER:
    """Where the parts of one DER are."""

    href: str | None = None
    subscribable: int | None = None
    associated_der_program_list_link: ListLink | None = None
    associated_usage_point_link: Link | None = None
    current_der_controls_link: Link | None = None
    current_der_program_link: Link | None = None
    der_availability_link: Link | None = None
    der_capability_link: Link | None = None
    der_component_list_link: ListLink | None = None
    der_settings_link: Link | None = None
    der_status_link: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DERList(ListPage):
    """One page of DER."""

    poll_rate_s: int | None = None
    items: tuple[DER | Faulty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DERCapability:
    """Ratings of a DER. CSIP-AUS requires `doe_modes_supported`."""

    href: str | None = None
    modes_supported: int
    modes_supported_2: int | None = None
    rtg_abnormal_category: int | None = None
    rtg_max_a: Current | None = None
    rtg_max_ah: AmpereHour | None = None
    rtg_max_charge_rate_va: ApparentPower | None = None
    rtg_max_charge_rate_w: ActivePower | None = None
    rtg_max_discharge_rate_va: ApparentPower | None = None
    rtg_max_discharge_rate_w: ActivePower | None = None
    rtg_max_v: Voltage | None = None
    rtg_max_va: ApparentPower | None = None
    rtg_max_var: ReactivePower | None = None
    rtg_max_var_neg: ReactivePower | None = None
    rtg_max_w: ActivePower
    rtg_max_wh: WattHour | None = None
    rtg_min_pf_over_excited: PowerFactor | None = None
    rtg_min_pf_under_excited: PowerFactor | None = None
    rtg_min_v: Voltage | None = None
    rtg_normal_category: int | None = None
    rtg_over_excited_pf: PowerFactor | None = None
    rtg_over_excited_w: ActivePower | None = None
    rtg_reactive_susceptance: Susceptance | None = None
    rtg_under_excited_pf: PowerFactor | None = None
    rtg_under_excited_w: ActivePower | None = None
    rtg_v_nom: Voltage | None = None
    der_type: int
    doe_modes_supported: int | None = None
    vpp_modes_supported: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DERSettings:
    """Settings of a DER; units as in `DefaultDERControl`."""

    href: str | None = None
    subscribable: int | None = None
    modes_enabled: int | None = None
    modes_enabled_2: int | None = None
    set_es_delay_hundredths: int | None = None
    set_es_high_freq_hundredths: int | None = None
    set_es_high_volt_hundredths: int | None = None
    set_es_low_freq_hundredths: int | None = None
    set_es_low_volt_hundredths: int | None = None
    set_es_ramp_tms_hundredths: int | None = None
    set_es_random_delay_hundredths: int | None = None
    set_grad_w_hundredths: int
    set_max_a: Current | None = None
    set_max_ah: AmpereHour | None = None
    set_max_charge_rate_va: ApparentPower | None = None
    set_max_charge_rate_w: ActivePower | None = None
    set_max_discharge_rate_va: ApparentPower | None = None
    set_max_discharge_rate_w: ActivePower | None = None
    set_max_v: Voltage | None = None
    set_max_va: ApparentPower | None = None
    set_max_var: ReactivePower | None = None
    set_max_var_neg: ReactivePower | None = None
    set_max_w: ActivePower
    set_max_wh: WattHour | None = None
    set_min_pf_over_excited: PowerFactor | None = None
    set_min_pf_under_excited: PowerFactor | None = None
    set_min_v: Voltage | None = None
    set_soft_grad_w_hundredths: int | None = None
    set_v_nom: Voltage | None = None
    set_v_ref: Voltage | None = None
    set_v_ref_ofs: Voltage | None = None
    updated_time_s: int
    doe_modes_enabled: int | None = None
    vpp_modes_enabled: int | None = None
    set_min_wh: WattHour | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """One part of a DERStatus: a code, a bitmap or hundredths of a percent, and since when it holds."""

    date_time_s: int
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StampedText:
    """ManufacturerStatus: at most 6 characters, and since when it holds."""

    date_time_s: int
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DERStatus:
    """What a DER is doing."""

    href: str | None = None
    subscribable: int | None = None
    alarm_status: int | None = None
    connect_status: Stamped | None = None
    gen_connect_status: Stamped | None = None
    inverter_status: Stamped | None = None
    local_control_mode_status: Stamped | None = None
    manufacturer_status: StampedText | None = None
    operational_mode_status: Stamped | None = None
    reading_time_s: int
    state_of_charge_status: Stamped | None = None
    storage_mode_status: Stamped | None = None
    stor_connect_status: Stamped | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DERAvailability:
    """What a DER holds in reserve: durations in s, percentages in hundredths."""

    href: str | None = None
    subscribable: int | None = None
    availability_duration_s: int | None = None
    max_charge_duration_s: int | None = None
    reading_time_s: int
    reserve_charge_hundredths: int | None = None
    reserve_hundredths: int | None = None
    stat_var_absorb_avail: modes.UnsignedReactivePower | None = None
    stat_var_avail: ReactivePower | None = None
    stat_w_absorb_avail: modes.UnsignedActivePower | None = None
    stat_w_avail: ActivePower | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer about the event `subject` (its mRID); `status` is a `ResponseCode`."""

    href: str | None = None
    created_date_time_s: int | None = None
    end_device_lfdi: str
    status: int | None = None
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DERControlResponse(Response):
    """An answer about a DERControl; 2023 says which of its modes (`codes.MODES`, `MODES_2`) it is about."""

    modes_responded: int | None = None
    modes_responded_2: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """Why a request failed: 0 format, 1 values, 2 resource limit, 3 condition not supported, 4 too frequent."""

    max_retry_duration_s: int | None = None
    reason_code: int
