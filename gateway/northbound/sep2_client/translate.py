"""IEEE 2030.5 controls -> orders and defaults; answers, ratings and status -> what a server is sent.

Sign: a 2030.5 export or generation limit is the size of a power out of the site, which is positive here too, and an
import or load limit the size of one into it, which is negative here; opModFixedW and opModTargetW are positive for
generation, as ours. Source: IEEE 2030.5-2018 10.10, CSIP-AUS (SA TS 5573).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from gateway.core.aggregate import Total
from gateway.core.answers import Answer
from gateway.core.events import Withdrawal, Withdrawn
from gateway.core.functions import Function
from gateway.core.orders import Ceiling, Connect, Default, Each, Effect, Energize, Floor, Order, Reply, Target
from gateway.core.units import Share, Watts
from gateway.northbound.sep2_client import modes
from gateway.northbound.sep2_client.log_event import alarm_status
from gateway.ports.ranks import sep2_rank
from gateway.wire.sep2 import Faulty, WireFault
from gateway.wire.sep2.codes import DOE_MODES, EventState, mode_bits
from gateway.wire.sep2.devices import EndDevice
from gateway.wire.sep2.quantities import ActivePower, ApparentPower
from gateway.wire.sep2.resources import (
    DefaultDERControl,
    DERAvailability,
    DERCapability,
    DERControl,
    DERControlBase,
    DERControlResponse,
    DERProgram,
    DERSettings,
    DERStatus,
    Stamped,
    Time,
)

CARRIED: Final = ("opModConnect", "opModEnergize", "opModFixedW", "opModMaxLimW", "opModTargetW", *modes.CARRIED)
CARRIED_DOE: Final = ("opModExpLimW", "opModGenLimW", "opModImpLimW", "opModLoadLimW")
WAIT_MS: Final = 60_000
FOR_EVER_S: Final = 2**32 - 1
LAST_S: Final = 253_402_300_799
"""The end of the year 9999: no instant beyond it is taken for one."""
PHOTOVOLTAIC: Final = 4
HOUR_S: Final = 3_600
WHOLE: Final = 10_000
"""All of it, in hundredths of a percent."""
VIRTUAL_OR_MIXED_DER: Final = 1 << 18
"""The bit of DeviceCategoryType that says what a resource is."""
CONNECTED, AVAILABLE, OPERATING = 1, 2, 4
MODE_UNKNOWN, MODE_OFF, MODE_ON = 0, 1, 2


def server_ms(time: Time) -> int:
    """Give the instant that a server's clock showed (ms); whole seconds are sent, so the middle of one is meant.

    Raises WireFault where no clock shows that.
    """
    return 1000 * _instant(time.current_time_s, "Time/currentTime") + 500


def group_of(party: str, program: DERProgram) -> str:
    """Name the group of resources that a program of a party's server stands for."""
    return f"{party}:{program.mrid.upper()}"


NO_CURVES: Final[modes.Curves] = {}


def effects(base: DERControlBase, curves: modes.Curves = NO_CURVES) -> tuple[tuple[Effect, ...], tuple[str, ...]]:
    """Give the effects of a control with the curves that it links to, and the modes that this gateway cannot carry.

    A ceiling is rounded down, a set-point toward zero. Where a control states two set-points, the one in watts holds.
    """
    found = modes.read(base, curves)
    carried, lacking = _of_active_power(base)
    return (*carried, *found.effects), (*lacking, *(mode for unfit in found.unfit for mode in unfit.modes))


def _of_active_power(base: DERControlBase) -> tuple[list[Effect], list[str]]:
    carried: list[Effect] = []
    lacking = list(base.other_modes)
    if base.op_mod_exp_lim_w is not None:
        carried.append(Ceiling(Function.EXPORT_LIMIT, Watts(base.op_mod_exp_lim_w.floor_w())))
    if base.op_mod_imp_lim_w is not None:
        carried.append(Floor(Function.IMPORT_LIMIT, Watts(-base.op_mod_imp_lim_w.floor_w())))
    if base.op_mod_gen_lim_w is not None:
        carried.append(Ceiling(Function.GENERATION_LIMIT, Watts(base.op_mod_gen_lim_w.floor_w())))
    if base.op_mod_load_lim_w is not None:
        carried.append(Floor(Function.LOAD_LIMIT, Watts(-base.op_mod_load_lim_w.floor_w())))
    if base.op_mod_max_lim_w_hundredths is not None:
        carried.append(Ceiling(Function.RATING_LIMIT, Share(base.op_mod_max_lim_w_hundredths)))
    if base.op_mod_target_w is not None:
        target = base.op_mod_target_w
        carried.append(Target(Watts(target.floor_w() if target.value >= 0 else target.ceil_w())))
    if base.op_mod_fixed_w_hundredths is not None:
        if base.op_mod_target_w is None:
            carried.append(Target(Share(base.op_mod_fixed_w_hundredths)))
        else:
            lacking.append("opModFixedW")
    if base.op_mod_connect is not None:
        carried.append(Connect(base.op_mod_connect))
    if base.op_mod_energize is not None:
        carried.append(Energize(base.op_mod_energize))
    return carried, lacking


def reply(reply_to: str | None, response_required: int | None) -> Reply:
    """Say where responses go and which are wanted: bit 0 the receipt, bit 1 the rest (2030.5-2018 10.2.3)."""
    wanted = response_required or 0
    return Reply(reply_to or "", receipt=bool(reply_to and wanted & 1), progress=bool(reply_to and wanted & 2))


def reply_of(item: DERControl | Faulty, at: Iterable[tuple[str, str]], held: Reply | None) -> Reply:
    """Say where an event is answered: as its item says, or as it was said before, and elsewhere for these resources.

    Where a copy is not listed just now its resource answers where it was to (RULES C13).
    """
    said = reply(item.reply_to, item.response_required)
    places = dict(at)
    if not places:
        return said
    if held is not None:
        said, places = replace(said, to=held.to), dict(held.at) | places
    return replace(said, at=tuple((name, to) for name, to in places.items() if to != said.to))


def order(
    control: DERControl,
    program: DERProgram,
    party: str,
    received_ms: int,
    draw: int,
    service: str = "",
    curves: modes.Curves = NO_CURVES,
    answered: Reply | None = None,
    clock: str = "",
    *,
    joins: bool = True,
) -> Order:
    """Turn a control of a program into an order of this service; its times stay on the server's `clock` (RULES C17).

    It is answered as `answered` says, or else as it says itself. It `joins` the end of the one before it, as successive
    events do by our reading of 2030.5-2018 10.2.3.

    Raises WireFault where it was created, or starts, outside the years 1970 to 9999.
    """
    carried, lacking = effects(control.base, curves)
    start_ms = 1000 * _instant(control.interval.start_s, "DERControl/interval/start")
    created_ms = 1000 * _instant(control.creation_time_s, "DERControl/creationTime")
    duration_s = control.interval.duration_s
    return Order(
        issuer=party,
        id=control.mrid,
        version=control.version or 0,
        scope=Each(group_of(party, program)),
        effects=carried,
        start_ms=start_ms,
        end_ms=None if duration_s == FOR_EVER_S else start_ms + duration_s * 1000,
        rank=sep2_rank(program.primacy, created_ms),
        received_ms=received_ms,
        draw=draw,
        randomize_start_ms=(control.randomize_start_s or 0) * 1000,
        randomize_duration_ms=(control.randomize_duration_s or 0) * 1000,
        ramp_ms=(control.base.ramp_tms_hundredths or 0) * 10,
        reply=answered or reply(control.reply_to, control.response_required),
        uncarried=lacking,
        service=service,
        clock=clock,
        joins=joins,
    )


def may_wait(order: Order, base: DERControlBase, curves: modes.Curves, server_ms: int) -> bool:
    """Tell whether an event may wait for a curve that is missing: what it says must not change once it was heard.

    It waits while the curve is asked for again soon, and nothing else that it bears is kept from acting in time.
    """
    due = bool(order.effects) and order.start_ms - abs(order.randomize_start_ms) < server_ms + WAIT_MS
    return not due and modes.awaits(base, curves)


def withdrawal(control: DERControl, party: str) -> Withdrawn | None:
    """Give the end that the server's status puts to a control, if it does; its absence from a list is none (C13)."""
    mrid = control.mrid
    match control.event_status.current_status:
        case EventState.CANCELLED:
            return Withdrawn(party, mrid, Withdrawal.CANCELLED, 0)
        case EventState.CANCELLED_WITH_RANDOMIZATION:
            spread_s = max(abs(control.randomize_start_s or 0), abs(control.randomize_duration_s or 0))
            return Withdrawn(party, mrid, Withdrawal.CANCELLED, spread_s * 1000)
        case EventState.SUPERSEDED:
            return Withdrawn(party, mrid, Withdrawal.SUPERSEDED, 0)
        case _:
            return None


def default(
    control: DefaultDERControl,
    program: DERProgram,
    party: str,
    service: str = "",
    curves: modes.Curves = NO_CURVES,
) -> Default:
    """Turn a program's default control into the default of its party's slots of this service.

    A setGradW of 0 means that nothing limits the gradient (IEEE 2030.5-2018, DefaultDERControl), as none does.
    """
    carried, _lacking = effects(control.base, curves)
    gradient = control.set_grad_w_hundredths or None
    group = group_of(party, program)
    return Default(party, program.mrid.upper(), group, program.primacy, carried, gradient, service)


def default_uncarried(control: DefaultDERControl) -> tuple[str, ...]:
    """Name what a default asks for and no default of this gateway carries: modes, and the ramp after a reconnection.

    Why any other of its modes is not carried is what `modes.read` says.
    """
    _carried, lacking = _of_active_power(control.base)
    return (*lacking, "setSoftGradW") if control.set_soft_grad_w_hundredths else tuple(lacking)


def response(answer: Answer, lfdi: str, codes: Mapping[str, int], created_s: int) -> DERControlResponse | None:
    """Turn an answer into a Response with the DER's own LFDI; None where the protocol has no word for it.

    `created_s` is when it was decided, on the server's clock. The subject is the event's mRID as the server wrote it.
    """
    name = "unserved" if answer.unserved else answer.kind.value
    code = codes.get(f"{name}_by_{answer.taken_by.value}", codes.get(name))
    if code is None:
        return None
    return DERControlResponse(
        created_date_time_s=created_s, end_device_lfdi=lfdi.upper(), status=code, subject=answer.order.id
    )


def end_device(lfdi: str, changed_s: int) -> EndDevice:
    """Give the EndDevice by which a resource registers itself (s, the server's clock): DER behind one connection point.

    The SFDI is the first 36 bits of the LFDI and a digit that makes its digit sum end in zero (IEEE 2030.5-2018 6.3.3).
    """
    number = int(lfdi[:9], 16)
    check_digit = -sum(int(digit) for digit in str(number)) % 10
    return EndDevice(
        device_category=VIRTUAL_OR_MIXED_DER,
        lfdi=lfdi.upper(),
        sfdi=10 * number + check_digit,
        changed_time_s=changed_s,
    )


def capability(total: Total) -> DERCapability:
    """Give the ratings of a resource. Our reading: apparent power is rated as active power where nothing says more."""
    return DERCapability(
        modes_supported=mode_bits(CARRIED),
        rtg_max_va=ApparentPower.at_most(total.rated_w),
        rtg_max_w=ActivePower.at_most(total.rated_w),
        der_type=PHOTOVOLTAIC,
        doe_modes_supported=mode_bits(CARRIED_DOE, DOE_MODES),
    )


def settings(total: Total, updated_s: int) -> DERSettings:
    """Give the settings of a resource: what its devices generate at most as they are set now."""
    return DERSettings(
        modes_enabled=mode_bits(CARRIED),
        set_grad_w_hundredths=0,
        set_max_va=ApparentPower.at_most(max(0, total.generation_max_w)),
        set_max_w=ActivePower.at_most(max(0, total.generation_max_w)),
        updated_time_s=updated_s,
        doe_modes_enabled=mode_bits(CARRIED_DOE, DOE_MODES),
    )


def availability(total: Total, read_s: int) -> DERAvailability | None:
    """Give what a resource holds in reserve; None where nothing of it is known to store energy.

    How long it can give, and take, all that its stores can. Our reading: what sun and wind will give is not known.
    """
    store = total.store
    if store is None:
        return None
    gives_w, takes_w = max(0, store.generation_max_w), max(0, store.charge_max_w)
    room_wh = max(0, store.capacity_wh - store.stored_wh)
    return DERAvailability(
        availability_duration_s=store.stored_wh * HOUR_S // gives_w if gives_w else None,
        max_charge_duration_s=room_wh * HOUR_S // takes_w if takes_w else None,
        reading_time_s=read_s,
        reserve_charge_hundredths=(WHOLE if room_wh else 0) if takes_w else None,
        reserve_hundredths=(WHOLE if store.stored_wh else 0) if gives_w else None,
    )


def status(total: Total, read_s: int) -> DERStatus:
    """Give the status of a resource.

    Our reading, with the public procedures ALL-08 and MUL-01: of devices that are all read, it is connected while any
    says so, and not connected where none says so and none has power; it is off while it has no power, connected or
    not. Anything else is unknown, and unknown is left out.
    """
    running = (total.power_w or 0) != 0
    alarms = None if total.faults is None else alarm_status(total.faults)
    connect: int | None = None
    if total.connected and total.known == total.devices:
        connect = CONNECTED | AVAILABLE | (OPERATING if running else 0)
    elif 0 < total.devices == total.known and total.connected == 0 and not running:
        connect = 0
    if connect is None:
        unknown = Stamped(date_time_s=read_s, value=MODE_UNKNOWN)
        return DERStatus(alarm_status=alarms, operational_mode_status=unknown, reading_time_s=read_s)
    return DERStatus(
        alarm_status=alarms,
        gen_connect_status=Stamped(date_time_s=read_s, value=connect),
        operational_mode_status=Stamped(date_time_s=read_s, value=MODE_ON if running else MODE_OFF),
        reading_time_s=read_s,
    )


def _instant(at_s: int, place: str) -> int:
    if 0 <= at_s <= LAST_S:
        return at_s
    raise WireFault(f"{at_s} is not between the years 1970 and 9999", (place,))
