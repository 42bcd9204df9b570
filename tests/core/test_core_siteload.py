"""Limits of a connection point closed over the meter there (RULES C2, C14)."""

from dataclasses import replace

import pytest
from core_world import CORNER, MARKET, SETTLE_MS, STREET, Player, adopt, adopt_all, export, house, order, site, target

from gateway.core.aggregate import ConnectionReading
from gateway.core.events import LinkDown, MeterRead, Observed, Started, Tick
from gateway.core.functions import Function
from gateway.core.known import Known, Unknown
from gateway.core.orders import Ceiling, Each, Floor
from gateway.core.parties import Grant, Level
from gateway.core.siteload import BAND_W, SAMPLES, STALE_MS, Driven, SiteLoad
from gateway.core.units import Watts

NOBODY = Unknown("not asked", 0)


def player() -> Player:
    made = Player().start(site())
    made.default(0, "p1", export(2_000))
    adopt_all(made, 0)
    return made


def observe(one: Player, now_s: int, generated_w: int) -> None:
    one.feed(now_s, Observed("roof-10", Known(generated_w, now_s * 1000), NOBODY, NOBODY, connected=True))


def read(one: Player, now_s: int, out_w: int, times: int = SAMPLES) -> None:
    for number in range(times):
        one.feed(now_s + number, MeterRead(house(1), Known(out_w, (now_s + number) * 1000)))


def set_point(one: Player) -> int | None:
    command = one.machine.state.devices["roof-10"].command
    assert command is not None
    return command.target_w


def floor_w(one: Player) -> int | None:
    command = one.machine.state.devices["roof-10"].command
    assert command is not None
    return command.floor_w


def limit_w(one: Player) -> int:
    command = one.machine.state.devices["roof-10"].command
    assert command is not None
    return command.limit_w


def test_an_export_limit_holds_at_the_meter_and_the_der_may_feed_the_load_on_top() -> None:
    one = player()
    assert limit_w(one) == 2_000
    observe(one, 10, 2_000)
    read(one, 11, 500)
    assert limit_w(one) == 3_500


def test_two_samples_and_one_strange_one_change_nothing() -> None:
    one = player()
    observe(one, 10, 2_000)
    read(one, 11, 500, times=2)
    assert limit_w(one) == 2_000
    read(one, 13, 500, times=1)
    assert limit_w(one) == 3_500
    one.feed(14, MeterRead(house(1), Known(-2_000, 14_000)))
    assert limit_w(one) == 3_500


def test_more_load_loosens_only_once_every_sample_shows_it() -> None:
    one = player()
    observe(one, 10, 2_000)
    read(one, 11, 1_800)
    assert limit_w(one) == 2_200
    read(one, 14, 500, times=2)
    assert limit_w(one) == 2_200
    read(one, 16, 700, times=1)
    assert limit_w(one) == 3_300


def arrive(one: Player, now_s: int) -> None:
    """Have the DER adopt what it was told, and the time pass that it has for it."""
    adopt(one, now_s, "roof-10")
    one.tick(now_s + SETTLE_MS // 1000)


def test_less_load_tightens_after_two_samples() -> None:
    one = player()
    observe(one, 10, 2_000)
    read(one, 11, 500)
    arrive(one, 13)
    read(one, 24, 1_900, times=1)
    assert limit_w(one) == 3_500
    read(one, 25, 1_900, times=1)
    assert limit_w(one) == 2_100


def test_more_than_the_limit_at_the_meter_tightens_at_once() -> None:
    one = player()
    observe(one, 10, 3_500)
    read(one, 11, 2_000)
    arrive(one, 13)
    assert limit_w(one) == 3_500
    read(one, 24, 2_100, times=1)
    assert limit_w(one) == 3_400


def test_a_der_on_its_way_up_does_not_tighten_what_it_was_just_given() -> None:
    one = player()
    observe(one, 10, 2_000)
    read(one, 11, 500)
    assert limit_w(one) == 3_500
    read(one, 14, 1_900)
    assert limit_w(one) == 3_500, "it gives more by now than it was read to give"


def test_a_der_on_its_way_down_does_not_loosen_what_was_just_taken() -> None:
    one = player()
    observe(one, 10, 3_500)
    read(one, 11, 2_000)
    arrive(one, 13)
    read(one, 24, 3_500, times=1)
    assert limit_w(one) == 2_000
    read(one, 25, 2_000)
    assert limit_w(one) == 2_000, "it gives less by now than it was read to give"
    arrive(one, 28)
    observe(one, 38, 2_000)
    read(one, 39, 1_000)
    assert limit_w(one) == 3_000


@pytest.mark.parametrize("lost", ["meter", "device"])
def test_a_lost_meter_or_der_takes_the_load_as_zero(lost: str) -> None:
    one = player()
    observe(one, 10, 2_000)
    read(one, 11, 500)
    if lost == "meter":
        one.feed(14, MeterRead(house(1), Unknown("timed out", 14_000)))
    else:
        one.feed(14, LinkDown("roof-10", "gone"))
    assert limit_w(one) == 2_000


def test_a_load_that_nobody_reads_again_counts_no_more() -> None:
    one = player()
    observe(one, 10, 2_000)
    read(one, 11, 500)
    one.tick(100)
    assert limit_w(one) == 3_500
    one.tick(13 + STALE_MS // 1000)
    assert limit_w(one) == 2_000


def test_what_the_der_falls_back_to_takes_the_load_as_zero() -> None:
    one = player()
    observe(one, 10, 2_000)
    read(one, 11, 500)
    command = one.machine.state.devices["roof-10"].command
    assert command is not None
    assert (command.limit_w, command.revert_limit_w) == (3_500, 2_000)
    one.hear(14, order("soon", export(800), 30, 90, scope=Each(STREET)))
    command = one.machine.state.devices["roof-10"].command
    assert command is not None
    assert (command.limit_w, command.revert_limit_w) == (3_500, 800)


def test_a_limit_on_the_generating_der_knows_no_load() -> None:
    one = player()
    observe(one, 10, 2_000)
    read(one, 11, 500)
    from_der = order("gen", Ceiling(Function.GENERATION_LIMIT, Watts(1_000)), 20, 60, scope=Each(STREET))
    one.hear(20, from_der)
    assert limit_w(one) == 1_000


def test_generation_that_nobody_controls_leaves_less() -> None:
    one = player()
    observe(one, 10, 500)
    read(one, 11, 1_700)
    assert limit_w(one) == 800


def test_an_import_limit_leaves_to_a_store_what_the_load_does_not_take() -> None:
    grants = (*site().grants, Grant("dso", "import", Level.CONNECTION, (Function.IMPORT_LIMIT,), STREET))
    one = Player().start(replace(site(grants=grants)))
    one.default(0, "p1", export(2_000), Floor(Function.IMPORT_LIMIT, Watts(-4_000)))
    adopt_all(one, 0)
    one.hear(5, order("charge", target(-4_500), 5, 90, issuer=MARKET, scope=Each(CORNER)))
    assert set_point(one) == -4_000
    observe(one, 10, -4_000)
    read(one, 11, -5_000)
    assert set_point(one) == -4_000 + 1_000 + 2 * BAND_W


def test_what_a_load_leaves_of_an_import_limit_is_not_loosened_by_silence_or_a_restart() -> None:
    grants = (*site().grants, Grant("dso", "import", Level.CONNECTION, (Function.IMPORT_LIMIT,), STREET))
    made = site(grants=grants)
    made = replace(made, devices=tuple(replace(one, rated_charge_w=one.rated_w) for one in made.devices))
    one = Player().start(made)
    one.default(0, "p1", export(2_000), Floor(Function.IMPORT_LIMIT, Watts(-4_000)))
    adopt_all(one, 0)
    observe(one, 10, 0)
    read(one, 11, -3_000)
    tight_w = -4_000 + 3_000 + 2 * BAND_W
    assert floor_w(one) == tight_w
    one.feed(20, MeterRead(house(1), Unknown("timed out", 20_000)))
    assert floor_w(one) == tight_w
    one.tick(20 + STALE_MS // 1000)
    assert floor_w(one) == tight_w
    one.feed(300, Started(made))
    assert floor_w(one) == tight_w
    one.feed(310, MeterRead(house(1), Unknown("timed out", 310_000)))
    one.tick(310 + STALE_MS // 1000)
    assert floor_w(one) == tight_w, "the meter is there and says nothing"
    one.feed(700, Started(made))
    assert floor_w(one) == tight_w
    one.tick(700 + STALE_MS // 1000)
    assert floor_w(one) == -4_000, "nobody reads a meter there any more"


def test_the_load_counts_on_the_stricter_side_of_either_limit() -> None:
    load = SiteLoad()
    readings = [Driven(Known(1_000, 0))]
    for _ in range(SAMPLES):
        load.read(Known(-230, 0), readings, 0)
    assert load.counted.least_w <= 1_230 <= load.counted.most_w
    assert load.counted == (1_200, 1_200 + 2 * BAND_W)
    assert not load.read(Known(-260, 0), readings, 0)
    assert load.read(NOBODY, readings, 0)
    assert load.counted == (0, 1_200 + 2 * BAND_W)


def test_a_meter_that_stands_still_while_the_der_moves_loosens_nothing() -> None:
    """It shows 1,800 W for good: without this each rise of the DER counts as load, and lets it rise again."""
    one = player()
    observe(one, 10, 2_000)
    read(one, 11, 1_800)
    assert limit_w(one) == 2_200
    for now_s in range(20, 20 + 8 * 20, 20):
        arrive(one, now_s)
        observe(one, now_s + 15, limit_w(one))
        read(one, now_s + 16, 1_800)
        assert limit_w(one) == 2_200
    for now_s in range(180, 180 + STALE_MS // 1000 + 10, 10):
        read(one, now_s, 1_800)
    assert limit_w(one) == 2_000, "what has stood still for long is as good as not read"
    arrive(one, 400)
    observe(one, 415, 2_000)
    read(one, 416, 1_800)
    assert limit_w(one) == 2_000
    read(one, 420, 1_700)
    assert limit_w(one) == 2_300, "it moves again"


def test_what_a_meter_shows_is_in_the_picture_until_nobody_reads_it_any_more() -> None:
    one, shown = player(), ConnectionReading(Known(500, 11_000), Known(40, 11_000), Known(231_000, 11_000))
    assert one.machine.connections() == {}
    one.feed(11, MeterRead(house(1), *shown))
    assert one.machine.connections() == {house(1): shown}
    one.feed(100, Tick())
    assert one.machine.connections() == {house(1): shown}
    one.feed(11 + STALE_MS // 1000, Tick())
    assert one.machine.connections() == {}


def test_one_that_draws_may_be_on_its_way_to_its_floor_and_one_that_feeds_is_not() -> None:
    for given_w, least_w in ((-1_000, -4_000 + 1_500), (1_000, 1_500 + 1_000)):
        load = SiteLoad()
        roof = Driven(Known(given_w, 0), 5_000, 5_000, -4_000, -4_000)
        for at_ms in (0, 1_000, 2_000):
            load.read(Known(-1_500, at_ms), (roof,), at_ms)
        assert load.lows_w == (least_w,) * 3
