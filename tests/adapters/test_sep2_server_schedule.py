"""The chain of controls of one device: no gap, no stretch past its lease, and nothing changed that was seen."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from sunspec_bench import command

from gateway.southbound.sep2_server import LimitMode, Sep2ServerDevice, TargetMode, translate
from gateway.southbound.sep2_server.schedule import KEEP_S, MOST_LISTED, Schedule, Stretch
from gateway.southbound.sep2_server.translate import Scale
from gateway.wire.sep2.codes import EventState
from gateway.wire.sep2.resources import DERControlBase

REVERT_S = 60
FAR_S = 10**9


def limit(hundredths: int) -> DERControlBase:
    return DERControlBase(op_mod_max_lim_w_hundredths=hundredths)


@dataclass
class Reader:
    """A client that believes what it has read, and never sees an event change but for its status."""

    known: dict[str, tuple[DERControlBase, int, int, int]] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)

    def read(self, schedule: Schedule, now_s: int) -> None:
        listed = schedule.listed(now_s)
        keys = [(one.start_s, -one.created_s, -int(one.mrid, 16)) for one in listed]
        assert keys == sorted(keys)
        for one in listed:
            content = (one.base, one.created_s, one.start_s, one.end_s)
            assert self.known.setdefault(one.mrid, content) == content, "an event that was seen has changed"
            mark = schedule.mark(one, now_s)
            if mark.state is EventState.SUPERSEDED:
                self.over.add(one.mrid)
            else:
                assert one.mrid not in self.over, "an event came back"
                assert (mark.state is EventState.SCHEDULED) == (now_s < one.start_s)
            assert mark.since_s <= max(now_s, one.created_s)
            one.seen = True

    def in_force(self, now_s: int) -> DERControlBase | None:
        running = [
            (created_s, base)
            for mrid, (base, created_s, start_s, end_s) in self.known.items()
            if mrid not in self.over and start_s <= now_s < end_s
        ]
        return max(running, key=lambda one: one[0])[1] if running else None

    def longest_s(self) -> int:
        return max((end_s for mrid, (_b, _c, _s, end_s) in self.known.items() if mrid not in self.over), default=0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, REVERT_S // 4), st.sampled_from([None, 10, 20, 30])), max_size=60))
def test_a_client_that_looks_in_time_never_sees_an_end(steps: list[tuple[int, int | None]]) -> None:
    schedule, reader, now_s = Schedule("AB" * 20, 0), Reader(), 1_000
    wanted = limit(10)
    schedule.keep(wanted, now_s, REVERT_S, FAR_S)
    reader.read(schedule, now_s)
    for after_s, change in steps:
        for _second in range(after_s):
            now_s += 1
            schedule.keep(wanted, now_s, REVERT_S, FAR_S)
            assert reader.in_force(now_s) is not None, "a gap"
            assert reader.longest_s() <= now_s + REVERT_S
        wanted = limit(change) if change is not None else wanted
        schedule.keep(wanted, now_s, REVERT_S, FAR_S)
        reader.read(schedule, now_s)
        assert reader.in_force(now_s) == wanted


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 90), st.integers(1, 30))
def test_nothing_ends_after_the_lease(most_s: int, step_s: int, looks: int) -> None:
    schedule, reader = Schedule("AB" * 20, 0), Reader()
    for look in range(looks):
        schedule.keep(limit(10 + look % 2), look * step_s, REVERT_S, most_s)
        reader.read(schedule, look * step_s)
    assert reader.longest_s() <= most_s


def test_stretches_follow_each_other_without_a_gap() -> None:
    schedule, reader = Schedule("AB" * 20, 0), Reader()
    for now_s in range(0, 300, 7):
        schedule.keep(limit(10), now_s, REVERT_S, FAR_S)
        reader.read(schedule, now_s)
    spans = sorted((start_s, end_s) for _base, _created, start_s, end_s in reader.known.values())
    assert [end_s for _start, end_s in spans[:-1]] == [start_s for start_s, _end in spans[1:]]
    assert all(end_s - start_s == REVERT_S // 2 for start_s, end_s in spans)


def test_what_nobody_has_read_is_not_superseded_but_forgotten() -> None:
    schedule = Schedule("AB" * 20, 0)
    for hundredths in range(100):
        schedule.keep(limit(hundredths), 1_000, REVERT_S, FAR_S)
    assert [one.base for one in schedule.listed(1_000)] == [limit(99)] * 2
    assert [one.created_s for one in schedule.listed(1_000)] == [1_000] * 2


def test_what_comes_later_in_a_second_is_the_newer_one() -> None:
    schedule, reader = Schedule("AB" * 20, 0), Reader()
    for hundredths in (10, 20, 30):
        schedule.keep(limit(hundredths), 1_000, REVERT_S, FAR_S)
        reader.over.clear()
        reader.known |= {one.mrid: (one.base, one.created_s, one.start_s, one.end_s) for one in schedule.listed(1_000)}
        for one in schedule.listed(1_000):
            one.seen = True
        assert reader.in_force(1_000) == limit(hundredths), "even for one that overlooks the status"


def test_events_stay_listed_after_their_end_and_a_list_does_not_grow_for_ever() -> None:
    schedule = Schedule("AB" * 20, 0)
    schedule.keep(limit(10), 0, REVERT_S, REVERT_S)
    for one in schedule.listed(0):
        one.seen = True
    assert len(schedule.listed(REVERT_S + KEEP_S - 1)) == 1
    assert schedule.listed(REVERT_S + KEEP_S) == []
    for number in range(MOST_LISTED):
        schedule.keep(limit(number), 1_000, 10_000, FAR_S)
        for one in schedule.listed(1_000):
            one.seen = True
    listed = schedule.listed(1_000)
    assert len(listed) <= MOST_LISTED
    assert sum(one.runs_on(1_000) for one in listed) == 2


def test_a_clock_that_is_set_back_leaves_no_gap() -> None:
    schedule, reader = Schedule("AB" * 20, 0), Reader()
    schedule.keep(limit(10), 1_000, REVERT_S, FAR_S)
    reader.read(schedule, 1_000)
    schedule.keep(limit(10), 400, REVERT_S, FAR_S)
    fresh: list[Stretch] = schedule.chain(400)
    assert fresh[0].start_s == 400


def test_two_runs_of_a_server_name_their_events_differently() -> None:
    one, other = Schedule("AB" * 20, 1), Schedule("AB" * 20, 2)
    for schedule in (one, other):
        schedule.keep(limit(10), 1_000, REVERT_S, FAR_S)
    assert {each.mrid for each in one.listed(1_000)}.isdisjoint({each.mrid for each in other.listed(1_000)})


@given(
    st.integers(0, 3_000_000),
    st.none() | st.integers(-3_000_000, 3_000_000),
    st.sampled_from(LimitMode),
    st.sampled_from(TargetMode),
    st.integers(1, 4_000_000),
)
def test_a_limit_is_never_rounded_up_and_a_set_point_never_away_from_zero(
    limit_w: int, target_w: int | None, limit_mode: LimitMode, target_mode: TargetMode, set_w: int
) -> None:
    table = Sep2ServerDevice("AB" * 20, limit_mode=limit_mode, target_mode=target_mode)
    told = command(limit_w=limit_w, target_w=target_w, revert_limit_w=limit_w // 2)
    scale = Scale(set_w, set_w)
    base, default = translate.control(told, table, scale), translate.default(told, table, scale)
    for each, most_w in ((base, limit_w), (default, limit_w // 2)):
        power = each.op_mod_exp_lim_w or each.op_mod_gen_lim_w
        share = each.op_mod_max_lim_w_hundredths
        if power is not None:
            assert most_w - 10 ** max(power.multiplier, 0) < power.ceil_w() <= most_w
        else:
            assert share is not None
            assert share * set_w <= most_w * 10_000
            assert share == 10_000 or (share + 1) * set_w > most_w * 10_000
    assert default.op_mod_target_w is None
    assert default.op_mod_fixed_w_hundredths is None
    if target_w is None:
        assert base.op_mod_target_w is None
        assert base.op_mod_fixed_w_hundredths is None
    elif target_mode is TargetMode.WATTS:
        assert base.op_mod_target_w is not None
        assert abs(base.op_mod_target_w.floor_w()) <= abs(target_w)
        assert base.op_mod_target_w.value * target_w >= 0
    else:
        share = base.op_mod_fixed_w_hundredths
        assert share is not None
        assert abs(share) * set_w <= abs(target_w) * 10_000
        assert share * target_w >= 0


@given(st.integers(0, 3_000_000), st.sampled_from([LimitMode.EXPORT, LimitMode.GENERATION]))
def test_a_floor_is_put_beside_the_limit_and_never_rounded_up(draw_w: int, limit_mode: LimitMode) -> None:
    table, scale = Sep2ServerDevice("AB" * 20, limit_mode=limit_mode), Scale(5_000, 7_000)
    told = command(floor_w=-draw_w, revert_floor_w=-(draw_w // 2))
    for base, most_w in (
        (translate.control(told, table, scale), draw_w),
        (translate.default(told, table, scale), draw_w // 2),
        (translate.control(command(revert_floor_w=-draw_w), table, scale), 7_000),
    ):
        site, own = base.op_mod_imp_lim_w, base.op_mod_load_lim_w
        power = site if limit_mode is LimitMode.EXPORT else own
        assert (site is None) is not (own is None)
        assert power is not None
        assert most_w - 10 ** max(power.multiplier, 0) < power.ceil_w() <= most_w
    plain = translate.control(command(), table, scale)
    assert plain.op_mod_imp_lim_w is plain.op_mod_load_lim_w is None


def test_to_be_off_outlives_the_gateway_and_a_ramp_fits_its_field() -> None:
    table, scale = Sep2ServerDevice("AB" * 20), Scale(5_000, 5_000)
    off = translate.default(command(connected=False, energized=False), table, scale)
    assert (off.op_mod_connect, off.op_mod_energize) == (False, False)
    ramps = [translate.control(command(ramp_ms=ms), table, scale).ramp_tms_hundredths for ms in (None, 0, 19, 900_000)]
    assert ramps == [None, 0, 1, 65_535]


def test_what_is_published_never_outlasts_a_lease_that_has_shrunk() -> None:
    schedule, modes = Schedule("AB" * 20, 0), DERControlBase(op_mod_max_lim_w_hundredths=5_000)
    schedule.keep(modes, 1_000, 300, 2_800)
    schedule.keep(modes, 1_001, 300, 1_050)
    running = [one for one in schedule.listed(1_001) if one.superseded_s is None and one.runs_on(1_001)]
    assert running
    assert max(one.end_s for one in running) <= 1_050
