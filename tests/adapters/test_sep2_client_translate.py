"""2030.5 values to the core's and back: every mode, sign, rounding and code, without a server."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.core.aggregate import Store, Total
from gateway.core.answers import Answer, Kind, TakenBy
from gateway.core.events import Withdrawal, Withdrawn
from gateway.core.functions import Function
from gateway.core.orders import Ceiling, Connect, Default, Each, Effect, Energize, OrderKey, Rank, Reply, Target
from gateway.core.units import Share, Watts
from gateway.northbound.sep2_client import response_codes, translate
from gateway.northbound.sep2_client.config import Responses
from gateway.wire.sep2 import WireFault, decode, encode
from gateway.wire.sep2.codes import DOE_MODES, MODE_NAMES, MODES, EventState, mode_bits
from gateway.wire.sep2.quantities import ActivePower
from gateway.wire.sep2.resources import (
    DefaultDERControl,
    DERAvailability,
    DERControl,
    DERControlBase,
    DERProgram,
    EventStatus,
    Interval,
    Stamped,
    Time,
)

PARTY = "dso"
MRID = "0a" * 16
PROGRAM = DERProgram(mrid="bb" * 16, primacy=3)
LFDI = "3e4f45ab31edfe5b67e343e5e4562e31984e23e5"
CARRIED_DOE = {"opModExpLimW", "opModGenLimW", "opModImpLimW", "opModLoadLimW"}
OF_ACTIVE_POWER = {"opModMaxLimW", "opModTargetW", "opModFixedW", "opModConnect", "opModEnergize"}
CARRIED = {mode for mode in MODES[:27] if mode.startswith("op")}
"""All 25 of 2018."""


def control(
    base: DERControlBase | None = None,
    state: EventState = EventState.ACTIVE,
    *,
    start_s: int = 1_000,
    duration_s: int = 60,
    created_s: int = 500,
    randomize_start_s: int | None = None,
    randomize_duration_s: int | None = None,
    version: int | None = None,
) -> DERControl:
    return DERControl(
        reply_to="/rsp",
        response_required=3,
        mrid=MRID,
        version=version,
        creation_time_s=created_s,
        event_status=EventStatus(current_status=state, date_time_s=0),
        interval=Interval(start_s=start_s, duration_s=duration_s),
        randomize_start_s=randomize_start_s,
        randomize_duration_s=randomize_duration_s,
        base=base or DERControlBase(op_mod_exp_lim_w=ActivePower(1500)),
    )


def export(w: int) -> Ceiling:
    return Ceiling(Function.EXPORT_LIMIT, Watts(w))


def target(w: int) -> Target:
    return Target(Watts(w))


# -- modes


@pytest.mark.parametrize(
    ("base", "effect"),
    [
        (DERControlBase(op_mod_exp_lim_w=ActivePower(1500)), export(1500)),
        (DERControlBase(op_mod_exp_lim_w=ActivePower(4, 4)), export(40_000)),
        (DERControlBase(op_mod_exp_lim_w=ActivePower(19_999, -1)), export(1_999)),
        (DERControlBase(op_mod_exp_lim_w=ActivePower(9, -9)), export(0)),
        (DERControlBase(op_mod_exp_lim_w=ActivePower(32_767, 9)), export(32_767 * 10**9)),
        (DERControlBase(op_mod_exp_lim_w=ActivePower(-15, -1)), export(-2)),
        (DERControlBase(op_mod_gen_lim_w=ActivePower(29, -1)), Ceiling(Function.GENERATION_LIMIT, Watts(2))),
        (DERControlBase(op_mod_max_lim_w_hundredths=5_050), Ceiling(Function.RATING_LIMIT, Share(5_050))),
        (DERControlBase(op_mod_max_lim_w_hundredths=0), Ceiling(Function.RATING_LIMIT, Share(0))),
        (DERControlBase(op_mod_target_w=ActivePower(19_999, -1)), target(1_999)),
        (DERControlBase(op_mod_target_w=ActivePower(-19_999, -1)), target(-1_999)),
        (DERControlBase(op_mod_target_w=ActivePower(0)), target(0)),
        (DERControlBase(op_mod_fixed_w_hundredths=-2_500), Target(Share(-2_500))),
        (DERControlBase(op_mod_fixed_w_hundredths=10_000), Target(Share(10_000))),
        (DERControlBase(op_mod_connect=False), Connect(on=False)),
        (DERControlBase(op_mod_connect=True), Connect(on=True)),
        (DERControlBase(op_mod_energize=False), Energize(on=False)),
        (DERControlBase(op_mod_energize=True), Energize(on=True)),
    ],
)
def test_a_mode_is_one_effect(base: DERControlBase, effect: Effect) -> None:
    assert translate.effects(base) == ((effect,), ())


def test_a_set_point_never_asks_for_more_and_a_limit_never_allows_more() -> None:
    for value in range(-50, 51):
        (point,), _ = translate.effects(DERControlBase(op_mod_target_w=ActivePower(value, -1)))
        (limit,), _ = translate.effects(DERControlBase(op_mod_exp_lim_w=ActivePower(value, -1)))
        assert isinstance(point, Target)
        assert isinstance(limit, Ceiling)
        assert isinstance(point.power, Watts)
        assert isinstance(limit.power, Watts)
        assert abs(10 * point.power.w) <= abs(value) < abs(10 * point.power.w) + 10
        assert 10 * limit.power.w <= value < 10 * limit.power.w + 10


CONTROL_XML = (
    '<DERControl xmlns="urn:ieee:std:2030.5:ns" xmlns:c="https://csipaus.org/ns"><mRID>0A</mRID>'
    "<creationTime>1</creationTime><EventStatus><currentStatus>0</currentStatus><dateTime>1</dateTime>"
    "<potentiallySuperseded>false</potentiallySuperseded></EventStatus>"
    "<interval><duration>1</duration><start>1</start></interval>"
    "<DERControlBase>{}<c:opModExpLimW><multiplier>0</multiplier><value>7</value></c:opModExpLimW>"
    "</DERControlBase></DERControl>"
)


@pytest.mark.parametrize("mode", sorted(MODE_NAMES - OF_ACTIVE_POWER - CARRIED_DOE))
def test_every_mode_without_a_value_is_named_and_drops_no_limit_beside_it(mode: str) -> None:
    read = decode(CONTROL_XML.format(f'<{mode} href="/dc/1"/>').encode())
    assert isinstance(read, DERControl)
    order = translate.order(read, PROGRAM, PARTY, 0, 0)
    assert order.effects == (export(7),)
    assert order.uncarried == (mode,)


def test_of_two_set_points_the_one_in_watts_holds() -> None:
    base = DERControlBase(op_mod_target_w=ActivePower(5), op_mod_fixed_w_hundredths=100)
    assert translate.effects(base) == ((target(5),), ("opModFixedW",))


def test_every_mode_of_a_control_that_has_all_of_them() -> None:
    base = DERControlBase(
        op_mod_connect=True,
        op_mod_energize=True,
        op_mod_fixed_w_hundredths=1,
        op_mod_max_lim_w_hundredths=2,
        op_mod_exp_lim_w=ActivePower(3),
        op_mod_gen_lim_w=ActivePower(4),
        op_mod_imp_lim_w=ActivePower(5),
        op_mod_load_lim_w=ActivePower(6),
        other_modes=("opModVoltVar",),
    )
    carried, lacking = translate.effects(base)
    assert {effect.function for effect in carried} == {
        Function.CONNECT,
        Function.ENERGIZE,
        Function.ACTIVE_POWER,
        Function.RATING_LIMIT,
        Function.EXPORT_LIMIT,
        Function.GENERATION_LIMIT,
        Function.IMPORT_LIMIT,
        Function.LOAD_LIMIT,
    }
    assert lacking == ("opModVoltVar",)


# -- orders


def test_an_order_bears_what_its_control_says() -> None:
    base = DERControlBase(op_mod_exp_lim_w=ActivePower(1500), ramp_tms_hundredths=250)
    order = translate.order(
        control(base, randomize_start_s=-20, randomize_duration_s=30, version=4), PROGRAM, PARTY, 77, 5
    )
    assert order.key == OrderKey(PARTY, MRID)
    assert order.version == 4
    assert order.scope == Each(f"{PARTY}:{'BB' * 16}")
    assert (order.start_ms, order.end_ms) == (1_000_000, 1_060_000)
    assert order.rank == Rank(3, 500_000)
    assert (order.received_ms, order.draw) == (77, 5)
    assert (order.randomize_start_ms, order.randomize_duration_ms, order.ramp_ms) == (-20_000, 30_000, 2_500)
    assert order.reply == Reply("/rsp", receipt=True, progress=True)


def test_the_longest_duration_is_for_ever() -> None:
    assert translate.order(control(duration_s=2**32 - 1), PROGRAM, PARTY, 0, 0).end_ms is None
    assert translate.order(control(duration_s=2**32 - 2), PROGRAM, PARTY, 0, 0).end_ms == 1000 * (1_000 + 2**32 - 2)
    assert translate.order(control(duration_s=0), PROGRAM, PARTY, 0, 0).end_ms == 1_000_000


@pytest.mark.parametrize(
    "beyond",
    [control(start_s=253_402_300_800), control(start_s=-1), control(created_s=2**62), control(created_s=-1)],
)
def test_an_instant_beyond_all_years_is_no_order(beyond: DERControl) -> None:
    with pytest.raises(WireFault, match="is not between the years 1970 and 9999"):
        translate.order(beyond, PROGRAM, PARTY, 0, 0)


@pytest.mark.parametrize(
    ("to", "required", "reply"),
    [
        ("/rsp", 0, Reply("/rsp")),
        ("/rsp", 1, Reply("/rsp", receipt=True)),
        ("/rsp", 2, Reply("/rsp", progress=True)),
        ("/rsp", 7, Reply("/rsp", receipt=True, progress=True)),
        ("/rsp", None, Reply("/rsp")),
        (None, 3, Reply()),
        ("", 3, Reply()),
    ],
)
def test_which_responses_are_wanted(to: str | None, required: int | None, reply: Reply) -> None:
    assert translate.reply(to, required) == reply


@pytest.mark.parametrize(
    ("ended", "how"),
    [
        (control(state=EventState.SCHEDULED), None),
        (control(state=EventState.ACTIVE), None),
        (control(state=EventState.COMPLETED), None),
        (control(state=EventState.CANCELLED, randomize_start_s=60), (Withdrawal.CANCELLED, 0)),
        (control(state=EventState.CANCELLED_WITH_RANDOMIZATION), (Withdrawal.CANCELLED, 0)),
        (
            control(state=EventState.CANCELLED_WITH_RANDOMIZATION, randomize_start_s=-60, randomize_duration_s=30),
            (Withdrawal.CANCELLED, 60_000),
        ),
        (
            control(state=EventState.CANCELLED_WITH_RANDOMIZATION, randomize_start_s=10, randomize_duration_s=-30),
            (Withdrawal.CANCELLED, 30_000),
        ),
        (control(state=EventState.SUPERSEDED, randomize_start_s=60), (Withdrawal.SUPERSEDED, 0)),
    ],
)
def test_the_status_that_ends_an_event(ended: DERControl, how: tuple[Withdrawal, int] | None) -> None:
    expected = None if how is None else Withdrawn(PARTY, MRID, *how)
    assert translate.withdrawal(ended, PARTY) == expected


def test_a_default_and_what_of_it_cannot_be_carried() -> None:
    base = DERControlBase(op_mod_gen_lim_w=ActivePower(15, -1))
    default = DefaultDERControl(mrid="cc", base=base, set_grad_w_hundredths=27, set_soft_grad_w_hundredths=0)
    assert translate.default(default, PROGRAM, PARTY) == Default(
        PARTY, "BB" * 16, f"{PARTY}:{'BB' * 16}", 3, (Ceiling(Function.GENERATION_LIMIT, Watts(1)),), 27
    )
    assert translate.default_uncarried(default) == ()
    both = DERControlBase(op_mod_fixed_w_hundredths=1, op_mod_target_w=ActivePower(9))
    assert translate.default_uncarried(replace(default, base=both)) == ("opModFixedW",)


def test_a_gradient_of_zero_is_none_and_a_soft_one_cannot_be_carried() -> None:
    default = DefaultDERControl(
        mrid="cc", base=DERControlBase(), set_grad_w_hundredths=0, set_soft_grad_w_hundredths=27
    )
    assert translate.default(default, PROGRAM, PARTY, "envelope").gradient_hundredths_per_s is None
    assert translate.default(default, PROGRAM, PARTY, "envelope").service == "envelope"
    assert translate.default_uncarried(default) == ("setSoftGradW",)


def test_the_servers_clock_means_the_middle_of_its_second() -> None:
    def time(at_s: int) -> Time:
        return Time(
            current_time_s=at_s, dst_end_time_s=0, dst_offset_s=0, dst_start_time_s=0, quality=7, tz_offset_s=36_000
        )

    assert translate.server_ms(time(1_700_000_000)) == 1_700_000_000_500
    with pytest.raises(WireFault, match="currentTime"):
        translate.server_ms(time(2**63 - 1))


# -- answers


def test_a_response_is_the_ders_own() -> None:
    answer = Answer(1, OrderKey(PARTY, MRID), 0, "house-1", Kind.STARTED, 5_000, "C2", "why", "/rsp")
    response = translate.response(answer, LFDI, {"started": 2}, 5)
    assert response is not None
    assert (response.end_device_lfdi, response.status, response.subject, response.created_date_time_s) == (
        LFDI.upper(),
        2,
        MRID,
        5,
    )
    assert encode(response)
    assert translate.response(answer, LFDI, {}, 5) is None


def test_what_was_never_served_has_a_word_of_its_own() -> None:
    codes = {"cannot": 252, "unserved": 10}
    answer = Answer(1, OrderKey(PARTY, MRID), 0, "house-1", Kind.CANNOT, 0, "C15", "why", "/rsp", unserved=True)
    unserved = translate.response(answer, LFDI, codes, 0)
    not_carried = translate.response(answer._replace(unserved=False), LFDI, codes, 0)
    assert unserved is not None
    assert not_carried is not None
    assert (unserved.status, not_carried.status) == (10, 252)


# -- what a server is shown

FULL = Total(4_000, -150, 230_400, 2, 2, 10_000, 10_000, 500, 9_000, 2)


@pytest.mark.parametrize(
    ("total", "connect", "mode"),
    [
        pytest.param(FULL, 0b111, 2, id="all connected and running"),
        pytest.param(FULL._replace(power_w=-10), 0b111, 2, id="charging"),
        pytest.param(FULL._replace(power_w=0), 0b011, 1, id="idle"),
        pytest.param(FULL._replace(connected=0, power_w=0), 0, 1, id="all read, none connected"),
        pytest.param(FULL._replace(connected=1, known=1), None, 0, id="one of two not read"),
        pytest.param(FULL._replace(connected=1), 0b111, 2, id="one of two says that it is connected"),
        pytest.param(FULL._replace(connected=0), None, 0, id="power from what says that it is not connected"),
        pytest.param(FULL._replace(connected=0, known=0, power_w=None), None, 0, id="nothing read"),
        pytest.param(Total(None, None, None, 0, 0, 0, 0, 0, 0, 0), None, 0, id="no device at all"),
    ],
)
def test_the_status_is_what_is_known(total: Total, connect: int | None, mode: int) -> None:
    status = translate.status(total, 77)
    assert status.gen_connect_status == (None if connect is None else Stamped(date_time_s=77, value=connect))
    assert status.operational_mode_status == Stamped(date_time_s=77, value=mode)
    assert encode(status)


def test_ratings_and_settings_round_down() -> None:
    capability = translate.capability(FULL._replace(rated_w=327_689))
    assert capability.rtg_max_w == ActivePower(3_276, 2)
    assert len(CARRIED) == 25
    assert capability.modes_supported == mode_bits(CARRIED)
    assert capability.doe_modes_supported == mode_bits(CARRIED_DOE, DOE_MODES)
    settings = translate.settings(FULL, 9)
    assert (settings.set_max_w, settings.updated_time_s) == (ActivePower(9_000), 9)
    assert encode(capability)
    assert encode(settings)
    assert encode(translate.settings(FULL._replace(generation_max_w=-5), 9)), "a device that says less than nothing"


def words() -> dict[str, Any]:
    return tomllib.loads((Path(translate.__file__).parents[3] / "profiles/protocols/sep2.toml").read_text())


def test_what_stores_hold_in_reserve_is_how_long_they_can_give_and_take_all_they_can() -> None:
    reserve = translate.availability(FULL._replace(store=Store(5_000, 15_000, 5_000, 2_500)), 9)
    assert reserve == DERAvailability(
        availability_duration_s=3_600,
        max_charge_duration_s=14_400,
        reading_time_s=9,
        reserve_charge_hundredths=10_000,
        reserve_hundredths=10_000,
    )
    assert encode(reserve)
    empty = translate.availability(FULL._replace(store=Store(0, 15_000, 5_000, 0)), 9)
    assert empty == DERAvailability(availability_duration_s=0, reading_time_s=9, reserve_hundredths=0)
    assert translate.availability(FULL, 9) is None, "what the sun will give is not known"


def test_the_profile_is_the_table_of_the_readme() -> None:
    readme = (Path(translate.__file__).parent / "README.md").read_text()
    for name, code in words()["answer"].items():
        assert f"| {name} | {code} |" in readme


def test_response_codes_by_edition_and_by_how_much_is_told() -> None:
    common = response_codes(words())
    assert common == words()["answer"]
    assert response_codes(words(), "2013") == common, "what says nothing else is as 2018"
    changed = {name: code for name, code in response_codes(words(), "2023").items() if code != common[name]}
    assert changed == {"uncarried": 251, "cannot": 251}
    basic = response_codes(words(), responses=Responses.BASIC)
    assert sorted(basic.values()) == [1, 2, 3, 6, 7]
    full = response_codes(words(), "2023", Responses.FULL)
    assert full.items() >= {"superseded_by_group": 14, "partial_by_party": 13, "cannot": 251}.items()


@pytest.mark.parametrize(
    ("kind", "taken_by", "responses", "code"),
    [
        (Kind.SUPERSEDED, TakenBy.OWN, Responses.FULL, 7),
        (Kind.SUPERSEDED, TakenBy.GROUP, Responses.FULL, 14),
        (Kind.SUPERSEDED, TakenBy.GROUP, Responses.COMMON, 7),
        (Kind.SUPERSEDED, TakenBy.GROUP, Responses.BASIC, 7),
        (Kind.PARTIAL, TakenBy.PARTY, Responses.FULL, 13),
        (Kind.PARTIAL, TakenBy.PARTY, Responses.COMMON, 8),
        (Kind.COMPLETED, TakenBy.PARTY, Responses.FULL, 3),
        (Kind.PARTIAL, TakenBy.OWN, Responses.BASIC, None),
        (Kind.CANCELLED, TakenBy.OWN, Responses.BASIC, 6),
    ],
)
def test_who_took_the_place_of_an_event_is_said_where_it_is_wanted(
    kind: Kind, taken_by: TakenBy, responses: Responses, code: int | None
) -> None:
    said = Answer(1, OrderKey("dso", "e"), 0, "house-1", kind, 0, "C2", "", "/rsp", taken_by=taken_by)
    response = translate.response(said, "AB" * 20, response_codes(words(), responses=responses), 0)
    assert (None if response is None else response.status) == code
