"""How fast a DER is told to move: the order's ramp, the default's gradient, or its own (RULES C16)."""

from dataclasses import replace

from core_world import DSO, STREET, Player, adopt, export, order, site, target

from gateway.core.events import DefaultHeard
from gateway.core.functions import Function
from gateway.core.orders import Connect, Default, Each
from gateway.core.parties import Grant, Level


def ramp_ms(player: Player, device: str = "roof-10") -> int | None:
    command = player.machine.state.devices[device].command
    assert command is not None
    return command.ramp_ms


def running(gradient: int | None = None) -> Player:
    emergency = Grant(DSO, "emergency", Level.EMERGENCY, (Function.EXPORT_LIMIT,), STREET)
    made = site()
    player = Player().start(replace(made, grants=(*made.grants, emergency)))
    default = Default(DSO, "p1", STREET, 1, (export(4_000),), gradient_hundredths_per_s=gradient, service="envelope")
    player.feed(0, DefaultHeard(default))
    adopt(player, 1, "roof-10")
    return player


def test_the_ramp_of_the_order_goes_before_the_gradient_of_the_default() -> None:
    player = running(gradient=100)
    slow = replace(order("slow", export(2_000), 10, 50), service="envelope", ramp_ms=30_000)
    player.hear(5, slow)
    player.tick(10)
    assert ramp_ms(player) == 30_000
    player.tick(20)
    assert ramp_ms(player) == 30_000, "what was told is kept"
    player.tick(50)
    assert ramp_ms(player) == 40_000, "2 kW of 5 kW at 1 % a second"


def test_without_any_ramp_the_device_keeps_its_own() -> None:
    player = running()
    player.hear(5, replace(order("a", export(2_000), 10, 50), service="envelope"))
    player.tick(10)
    assert ramp_ms(player) is None


def test_a_set_point_ramps_by_how_far_it_moves() -> None:
    player = running(gradient=1_000)
    player.hear(5, replace(order("a", target(3_000), 10, 50), service="flexibility"))
    player.tick(10)
    assert ramp_ms(player) == 6_000


def test_emergencies_and_disconnections_are_at_once() -> None:
    player = running(gradient=100)
    player.hear(5, replace(order("now", export(0), 10, 20), service="emergency", ramp_ms=60_000))
    player.tick(10)
    assert ramp_ms(player) == 0
    player.hear(25, replace(order("off", Connect(on=False), 30, 40, scope=Each(STREET)), ramp_ms=60_000))
    player.tick(30)
    assert ramp_ms(player) == 0


def test_settling_counts_from_the_end_of_the_ramp() -> None:
    player = running(gradient=100)
    player.hear(5, replace(order("a", export(2_000), 10, 500), service="envelope"))
    player.tick(10)
    adopt(player, 12, "roof-10")
    device = player.machine.state.devices["roof-10"]
    assert device.verify_at_ms == 12_000 + 40_000 + device.device.settle_ms
