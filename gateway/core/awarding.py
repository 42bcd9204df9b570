"""One aggregate dispatch at the T-D interface shared out over the offers that stand (RULES D, E)."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.core.clearing import Award, curve, dispatch
from gateway.core.offers import Nameplate
from gateway.core.parties import Direction
from gateway.core.sharing import Claim, pour
from gateway.core.state import State
from gateway.core.timeline import FOR_EVER_MS
from gateway.core.topology import Point, PointKind


class Awarded(NamedTuple):
    """The awards of a dispatch, what each resource runs at for it (W, signed), and what nobody offers (W, signed)."""

    awards: tuple[Award, ...]
    shares_w: dict[str, int]
    unmet_w: int


def offered(state: State, point: str) -> bool:
    """Tell whether a point is the T-D interface and offers stand for it: then they decide how a dispatch is shared."""
    return bool(state.offers.offers) and any(
        each.name == point and each.kind is PointKind.INTERFACE for each in state.site.points
    )


def award(state: State, total_w: int, end_ms: int, claims: Sequence[Claim]) -> Awarded:
    """Award a dispatch (W, signed) from now on: the cheapest first, inside each resource's range and every rating.

    Who offers nothing runs at nothing for it.
    """
    direction = Direction.EXPORT if total_w >= 0 else Direction.IMPORT
    side = 1 if total_w >= 0 else -1
    most_w = {claim.name: max(0, claim.high_w if side > 0 else -claim.low_w) for claim in claims if claim.reachable}
    plates = {name: Nameplate((), w if side > 0 else 0, w if side < 0 else 0) for name, w in most_w.items()}
    own = [
        Point(name, PointKind.SERVICE_TRANSFORMER, (name,), export_limit_w=w, import_limit_w=w)
        for name, w in most_w.items()
    ]
    laid = curve(state.offers.offers.values(), direction, state.now_ms, [*own, *state.site.points], plates)
    made = dispatch(laid, abs(total_w), state.now_ms, min(end_ms, FOR_EVER_MS))
    shares_w = {claim.name: 0 for claim in claims}
    for one in made.awards:
        names = [name for name in one.resources if most_w.get(name)]
        weights = [most_w[name] for name in names]
        for name, w in zip(names, pour(one.w, weights, weights, range(len(names))), strict=True):
            shares_w[name] += side * w
    return Awarded(made.awards, shares_w, side * made.unmet_w)
