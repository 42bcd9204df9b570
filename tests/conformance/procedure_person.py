"""What a person does beside a procedure: loads, mains and sun, as its instructions ask."""

from collections.abc import Callable, Mapping

from procedure_client import RATED_W, SUN_W, Gateway
from procedure_script import Procedure

LOADS = {"L", "DER-L", "DER-L-ALT", "S-L", "DR-L"}
"""Classes of procedures in which the DER draws power."""

STORES = {"STO", "DER-STO"}
"""Classes of procedures in which the DER stores energy."""

Hand = Callable[[Gateway], None]


def load(watts: int) -> Hand:
    def draw(gateway: Gateway) -> None:
        gateway.load_w = watts

    return draw


def sun(watts: int) -> Hand:
    def shine(gateway: Gateway) -> None:
        for roof in gateway.roofs:
            roof.available_w = watts

    return shine


def mains(*, on: bool, first: bool = False) -> Hand:
    def switch(gateway: Gateway) -> None:
        for roof in gateway.roofs[:1] if first else gateway.roofs:
            roof.on_grid = on

    return switch


def rating(watts: int) -> Hand:
    def turn_down(gateway: Gateway) -> None:
        gateway.roofs[0].rated_w = watts
        gateway.say_rating(gateway.roofs[0])

    return turn_down


def power_cycles(_gateway: Gateway) -> None:
    """Stand for the power cycle of the gateway itself, which takes the disk that a hand does not have."""


ONE_FIFTH, ONE_TENTH, QUARTER = RATED_W // 5, RATED_W // 10, RATED_W // 4
VARIES = ((120, load(ONE_FIFTH)), (240, load(ONE_TENTH)), (360, load(0)))

HANDS: Mapping[tuple[str, str], tuple[tuple[int, Hand], ...]] = {
    ("ALL-07", "PUT-DERSTATUS-DISCONNECT"): ((0, mains(on=False)),),
    ("ALL-07", "PUT-DERSTATUS-CONNECT"): ((0, mains(on=True)),),
    ("ALL-08", "PUT-DERSTATUS-DISCONNECT"): ((0, sun(0)),),
    ("ALL-08", "PUT-DERSTATUS-CONNECT"): ((0, sun(SUN_W)),),
    ("ALL-30", "CLIENT-POWER-CYCLE"): ((0, power_cycles),),
    ("GEN-13", "WAIT-TEST-END"): VARIES,
    ("LOA-13", "WAIT-TEST-END"): VARIES,
    ("ALT-LOA-13", "WAIT-TEST-END"): VARIES,
    ("MUL-01", "PUT-DERSTATUS-FIRST-DISCONNECT"): ((0, mains(on=False, first=True)),),
    ("MUL-01", "PUT-DERSTATUS-FULL-DISCONNECT"): ((0, mains(on=False)),),
    ("MUL-03", "PUT-DERSETTINGS-UPDATED"): ((0, rating(RATED_W // 2)),),
}
"""What a person does so many seconds after a step began."""

BEFORE: Mapping[str, Hand] = {
    "ALL-06": load(QUARTER),
    "ALL-11": load(QUARTER),
    "ALL-12": load(QUARTER),
    "ALL-15": load(QUARTER),
    "ALL-16": load(QUARTER),
    "ALL-29": load(ONE_TENTH),
}
"""What a person sees to before a procedure begins. ALL-11, ALL-12, ALL-15 and ALL-16 forbid export, so a load
lets their DER run."""


def prepare(procedure: Procedure, gateway: Gateway) -> None:
    """Set the site up as a procedure and its classes ask."""
    if LOADS & set(procedure.classes) and not {"DR-G", "S-G"} & set(procedure.classes):
        sun(-SUN_W)(gateway)
    gateway.stores = bool(STORES & set(procedure.classes))
    if procedure.id in BEFORE:
        BEFORE[procedure.id](gateway)
