"""Curves of a scenario file's 2030.5 servers (IEEE 2030.5-2018, DERCurve), and modes that name them."""

from collections.abc import Callable, Collection, Mapping

from hil.sep2.curves import CURVE_MODES, Curve, Point
from hil.trial.tables import Strict, demand_known


class PointPlan(Strict):
    """One point as it is sent; `absorbs` is the excitation of a power factor, and of no other curve."""

    x: int
    y: int
    absorbs: bool | None = None


class CurvePlan(Strict):
    """One curve of a program for one mode.

    Times are hundredths of a second, `v_ref` hundredths of a percent, `y_ref_type` a DERUnitRefType.
    """

    name: str
    mode: str
    points: tuple[PointPlan, ...]
    x_multiplier: int = 0
    y_multiplier: int = 0
    y_ref_type: int = 0
    open_loop_tms: int | None = None
    v_ref: int | None = None
    autonomous_v_ref_time: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in CURVE_MODES:
            raise ValueError(f'curve "{self.name}": {self.mode} has no curves; use one of {", ".join(CURVE_MODES)}')
        self.curve()

    def curve(self) -> Curve:
        """Give the curve as it is served; raises ValueError for points that fit none."""
        return Curve(
            name=self.name,
            curve_type=CURVE_MODES.index(self.mode),
            points=tuple(Point(point.x, point.y, point.absorbs) for point in self.points),
            x_multiplier=self.x_multiplier,
            y_multiplier=self.y_multiplier,
            y_ref_type=self.y_ref_type,
            open_loop_tms=self.open_loop_tms,
            v_ref=self.v_ref,
            autonomous_v_ref_time=self.autonomous_v_ref_time,
        )


class CurveAct(Strict):
    """List a curve of a program, in place of the one of its name."""

    head_end: str
    program: str
    curve: CurvePlan


def linked(modes: Mapping[str, object], address: Callable[[str], str]) -> dict[str, object]:
    """Give modes in which `{ curve = NAME }` has become the link to that curve."""
    made: dict[str, object] = {}
    for mode, value in modes.items():
        named = isinstance(value, Mapping) and set(value) == {"curve"}
        made[mode] = {"href": address(str(value["curve"]))} if named and isinstance(value, Mapping) else value
    return made


def demand_curves(modes: Mapping[str, object], listed: Collection[str]) -> None:
    """Raise ValueError where a mode names a curve that is not listed."""

    def known(name: str) -> str:
        demand_known("curve", name, listed)
        return name

    linked(modes, known)
