"""Every mode that a control can bear is carried or named as one that is not; none is dropped unsaid."""

from typing import Any

import pytest

from gateway.northbound.sep2_client import translate
from gateway.wire.sep2 import quantities
from gateway.wire.sep2.codes import MODES, MODES_2, VPP_MODES
from gateway.wire.sep2.modes import ExcitedPowerFactor, FixedVar, FreqDroop
from gateway.wire.sep2.resources import DERControlBase, Link
from gateway.wire.sep2.scalars import BOOLEAN, Scalar
from gateway.wire.sep2.table import Row
from gateway.wire.sep2.tables_modes import DER_CONTROL_BASE

MODE_ROWS = [row for row in DER_CONTROL_BASE.rows if row.element.startswith("opMod")]
NEVER = {*MODES[27:], *MODES_2, *VPP_MODES}
"""Those of 2023 and of CSIP-AUS 1.3, which the core has no word for."""


def some(row: Row) -> Any:
    """Give a value of a mode."""
    if isinstance(row.kind, Scalar):
        return True if row.kind is BOOLEAN else 1000
    cls = row.kind.cls
    if issubclass(cls, quantities.Scaled):
        return cls(1)
    if cls is FreqDroop:
        return FreqDroop(
            over_band_mhz=36,
            under_band_mhz=36,
            over_slope_thousandths=50,
            under_slope_thousandths=50,
            response_hundredths=0,
        )
    others: dict[type, Any] = {
        Link: Link(href="/nowhere"),
        FixedVar: FixedVar(reference=1, hundredths=100),
        ExcitedPowerFactor: ExcitedPowerFactor(displacement=95, absorbs=True, multiplier=-2),
    }
    return others[cls]


@pytest.mark.parametrize("row", MODE_ROWS, ids=lambda row: row.element)
def test_a_mode_alone_is_carried_or_named(row: Row) -> None:
    alone: dict[str, Any] = {row.field: some(row)}
    carried, lacking = translate.effects(DERControlBase(**alone))
    assert bool(carried) != bool(lacking)
    assert set(lacking) <= {row.element}
    if row.element in NEVER:
        assert lacking == (row.element,)


def test_a_mode_that_nothing_carries_takes_no_limit_with_it() -> None:
    lacking: dict[str, Any] = {row.field: some(row) for row in MODE_ROWS if row.element in NEVER}
    alone, _ = translate.effects(DERControlBase(op_mod_exp_lim_w=quantities.ActivePower(1500)))
    carried, named = translate.effects(DERControlBase(op_mod_exp_lim_w=quantities.ActivePower(1500), **lacking))
    assert (carried, set(named)) == (alone, NEVER)
    assert len(NEVER) == 16, "15 of 2023 and one of CSIP-AUS 1.3"
