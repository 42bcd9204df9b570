"""What falls to each resource of the orders that a group obeys in sum, and of the ratings above it (RULES C12, E).

A share is recomputed when the orders of its point change, at once when what was shared out exceeds the limit, and
otherwise at most once per interval: growth can wait, and it waits for what the others are read back to leave.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.core.arbitrate import SITE, UNDRIVEN, Allotment, rating_key
from gateway.core.awarding import award, offered
from gateway.core.clearing import Award
from gateway.core.functions import CEILINGS, FLOORS, LIMITS, Function
from gateway.core.known import Known
from gateway.core.orders import Ceiling, Floor, OrderKey, Target, Total
from gateway.core.settling import Settler, entries_at
from gateway.core.sharing import Claim, Policy, cap_upper, share_total
from gateway.core.state import NO_LOAD, DeviceState, Load, PointState, ResourceState, State
from gateway.core.timeline import Entry, Slot, standing
from gateway.core.topology import Point
from gateway.core.units import ceil_watts, floor_watts, toward_zero_watts

LimitKey = tuple[OrderKey, Function]
ROUNDS = 3
"""How often a pass looks again at points that lie above what another point's shares have moved."""
RESHARE_MS = 2_000
HORIZON_MS = 900_000
"""How long a set-point in sum is meant to be held from what is stored."""


class Shared(NamedTuple):
    """What was newly shared out at a point: of which order or rating, to whom (W), and what is left unmet (W).

    A limit is `slack` where it leaves everybody all that it can do.
    """

    point: str
    key: OrderKey
    function: Function
    total_w: int
    shares: Mapping[str, int]
    unmet_w: int
    slack: bool = False
    awards: tuple[Award, ...] = ()


class Allotter:
    """Shares out what is obeyed in sum, over the machine's state."""

    def __init__(self, state: State) -> None:
        """Share out in this state."""
        self._state = state

    def allot(self, touched: Iterable[str], settler: Settler) -> tuple[list[str], list[Shared]]:
        """Share anew at every point above what was touched; give all resources to settle, and what was shared out."""
        state = self._state
        names = dict.fromkeys(name for name in touched if name in state.resources)
        told: list[Shared] = []
        moved = list(names)
        for _round in range(ROUNDS):
            points = dict.fromkeys(point for name in moved for point in state.resources[name].points)
            for name in moved:
                self._count(state.resources[name], settler)
            changed: dict[str, None] = {}
            for point in points:
                told += self._at(point, state.points[point], settler, changed)
            names.update(changed)
            moved = list(changed)
            if not moved:
                break
        for name in moved:
            self._count(state.resources[name], settler)
        return list(names), told

    def _at(self, name: str, point: PointState, settler: Settler, changed: dict[str, None]) -> Iterator[Shared]:
        state = self._state
        totals = tuple(self._totals(name, point))
        if totals == point.totals and not (totals and self._due(point, totals, name)):
            return
        self._close({one.key for one in point.totals} - {one.key for one in totals})
        made = [one for one in self._shares(name, point, totals, settler) if not (one.slack and one.key.issuer == SITE)]
        kept = [(one.key, one.function) for one in made]
        point.totals = tuple(one for one in totals if (one.key, one.function) in kept)
        point.shared_ms = state.now_ms
        for one in made:
            if one.unmet_w != point.unmet_w.get((one.key, one.function), 0) or any(
                _share(point.shares.get(each, ()), one) != share_w for each, share_w in one.shares.items()
            ):
                yield one._replace(point=name)
        point.unmet_w = {(one.key, one.function): one.unmet_w for one in made if one.unmet_w}
        for member in point.resources:
            fallen = tuple(Allotment(one.key, one.function, one.shares[member]) for one in made if member in one.shares)
            if fallen == point.shares.get(member, ()):
                continue
            point.shares[member] = fallen
            resource = state.resources[member]
            resource.allotted = tuple(
                each for other in resource.points for each in state.points[other].shares.get(member, ())
            )
            changed[member] = None

    def _due(self, point: PointState, totals: tuple[Allotment, ...], name: str) -> bool:
        """Tell whether what stands has to be shared anew: at once where it breaks a limit, else once per interval."""
        if any(_size(one, point.load) > abs(one.value_w) for one in totals if one.function in LIMITS):
            return True
        due_ms = point.shared_ms + RESHARE_MS
        if self._state.now_ms >= due_ms:
            return True
        if point.due_ms != due_ms:
            point.due_ms = due_ms
            self._state.remind(due_ms, "share", name)
        return False

    def _count(self, resource: ResourceState, settler: Settler) -> None:
        """Count a resource at what it is told to take, and at worst takes until that is read back."""
        if not resource.points:
            return
        settled = settler.of(resource).envelope
        devices = self._devices(resource)
        counted_w = sum(device.counted_w() for device in devices)
        if settled.target_w is not None:
            export_w, import_w = max(0, settled.target_w), max(0, -settled.target_w)
        else:
            export_w = min(settled.upper_w, sum(device.device.rated_w for device in devices))
            import_w = sum(device.charge_max_w for device in devices if device.device.draws_w)
            import_w = import_w if settled.lower_w is None else min(import_w, -settled.lower_w)
        if not any(device.obeys() for device in devices):
            export_w = max(export_w, counted_w)
        worst_w = max(export_w, min(counted_w, _told_target_w(devices, counted_w)))
        load = Load(export_w, worst_w, import_w, max(import_w, _worst_draw_w(devices)))
        for name in resource.points:
            point = self._state.points[name]
            before = point.loads.get(resource.resource.name, NO_LOAD)
            point.loads[resource.resource.name] = load
            point.load = Load(*(total + new - old for total, new, old in zip(point.load, load, before, strict=True)))

    def _devices(self, resource: ResourceState) -> list[DeviceState]:
        return [self._state.devices[name] for name in resource.resource.devices]

    def _totals(self, name: str, point: PointState) -> Iterator[Allotment]:
        """Yield what is obeyed in sum here now: the order in force of each slot, and ratings where they can bind."""
        for slot, entries in sorted(self._slots(name).items()):
            winner = standing(entries, self._state.now_ms).winner
            if winner is not None and isinstance(winner.effect, Ceiling | Floor | Target):
                members = [self._state.resources[each] for each in self._members(point, winner.key)]
                yield Allotment(winner.key, slot.function, _total_w(winner.effect, members))
        held = [one.function for one in point.totals if one.key.issuer == SITE]
        limit_w, function = point.export_limit_w, Function.EXPORT_LIMIT
        if limit_w is not None and (function in held or point.load.worst_export_w > limit_w):
            yield Allotment(rating_key(name), function, limit_w)
        limit_w, function = point.import_limit_w, Function.IMPORT_LIMIT
        if limit_w is not None and (function in held or point.load.worst_import_w > limit_w):
            yield Allotment(rating_key(name), function, -limit_w)

    def _slots(self, group: str) -> dict[Slot, list[Entry]]:
        """Give the slots of the orders that a group obeys in sum, as they stand where each first takes effect."""
        state = self._state
        slots: dict[Slot, list[Entry]] = {}
        for key in state.book.get(group, ()):
            live = state.lives[key]
            first = next(iter(live.effects), None)
            if first is None or not isinstance(live.order.scope, Total):
                continue
            for slot, entry in entries_at(state, live, state.resources[first]):
                if slot.point:
                    slots.setdefault(slot, []).append(entry)
        return slots

    def _members(self, point: PointState, key: OrderKey) -> Sequence[str]:
        """Give who shares an order or a rating: of an order, those that it takes effect at."""
        live = self._state.lives.get(key)
        return point.resources if live is None else [name for name in point.resources if name in live.effects]

    def _shares(self, name: str, point: PointState, totals: tuple[Allotment, ...], settler: Settler) -> list[Shared]:
        """Share set-points over what each can do, then limits over what each will take; limits go before both."""
        targets = [one for one in totals if one.function is Function.ACTIVE_POWER]
        limits = [one for one in totals if one.function in LIMITS]
        asked = self._targets(name, point, targets, {}, settler)
        caps = self._limits(point, limits, asked, settler)
        if any(self._cut(asked, caps)):
            asked = self._targets(name, point, targets, caps, settler)
        self._enter(asked)
        return [*asked.values(), *caps.values()]

    def _cut(self, asked: Mapping[OrderKey, Shared], caps: Mapping[LimitKey, Shared]) -> Iterator[bool]:
        for cap in caps.values():
            for one in asked.values():
                for name, share_w in one.shares.items():
                    limit_w = cap.shares.get(name)
                    if limit_w is not None:
                        yield share_w > limit_w if cap.function in CEILINGS else share_w < limit_w

    def _targets(
        self,
        name: str,
        point: PointState,
        targets: list[Allotment],
        caps: Mapping[LimitKey, Shared],
        settler: Settler,
    ) -> dict[OrderKey, Shared]:
        shared: dict[OrderKey, Shared] = {}
        for one in targets:
            members = self._members(point, one.key)
            claims = [self._target_claim(self._state.resources[each], one, caps, settler) for each in members]
            if offered(self._state, name):
                end_ms = self._state.lives[one.key].interval.end_ms
                awarded = award(self._state, one.value_w, end_ms, claims)
                shares_w, unmet_w, awards = awarded.shares_w, awarded.unmet_w, awarded.awards
            else:
                made = share_total(point.policy, one.value_w, claims, HORIZON_MS)
                shares_w, unmet_w, awards = dict(zip(members, made.shares_w, strict=True)), made.unmet_w, ()
            shared[one.key] = Shared(name, one.key, one.function, one.value_w, shares_w, unmet_w, awards=awards)
        return shared

    def _enter(self, asked: Mapping[OrderKey, Shared]) -> None:
        """Enter what was awarded; what was awarded before it is accounted up to now (C9)."""
        state = self._state
        for key, one in asked.items():
            before = state.awards.get(key, ())
            if [_gist(each) for each in before] == [_gist(each) for each in one.awards]:
                continue
            state.past_awards += [each._replace(end_ms=state.now_ms) for each in before]
            state.awards[key] = one.awards
            if not one.awards:
                del state.awards[key]

    def _close(self, over: Iterable[OrderKey]) -> None:
        """Take out what was awarded of dispatches that are in force no longer; it is accounted up to now (C9)."""
        for key in sorted(over):
            ended = self._state.awards.pop(key, ())
            self._state.past_awards += [each._replace(end_ms=min(each.end_ms, self._state.now_ms)) for each in ended]

    def _target_claim(
        self,
        resource: ResourceState,
        total: Allotment,
        caps: Mapping[LimitKey, Shared],
        settler: Settler,
    ) -> Claim:
        """Say what a resource can take of a set-point in sum; one that a stronger one governs is fixed at that."""
        name = resource.resource.name
        limits = tuple(
            Allotment(cap.key, cap.function, cap.shares[name]) for cap in caps.values() if name in cap.shares
        )
        settled = settler.of(resource, (total._replace(value_w=0), *limits))
        bounds, ground = settled.envelope, resource.ground
        high_w = min(bounds.upper_w, ground.generation_max_w)
        low_w = -ground.charge_max_w if bounds.lower_w is None else max(bounds.lower_w, -ground.charge_max_w)
        ruling = settled.settlement.ruling(Function.ACTIVE_POWER)
        if ruling is not None and ruling.binding != total.key and bounds.target_w is not None:
            low_w = high_w = bounds.target_w
        return self._claim(resource, low_w, high_w, high_w, UNDRIVEN)

    def _limits(
        self, point: PointState, limits: list[Allotment], asked: Mapping[OrderKey, Shared], settler: Settler
    ) -> dict[LimitKey, Shared]:
        shared: dict[LimitKey, Shared] = {}
        for one in limits:
            side = -1 if one.function in FLOORS else 1
            members = self._members(point, one.key)
            claims = [self._limit_claim(self._state.resources[name], asked, side, settler) for name in members]
            silent = [self._silent_claim(self._state.resources[name], side) for name in members]
            made = cap_upper(point.policy, one.value_w * side, [*claims, *(each for each in silent if each)])
            shares_w = {name: cap_w * side for name, cap_w in zip(members, made.caps_w, strict=False)}
            for name, each in zip(members, silent, strict=False):
                shares_w[name] += side * each.counted_w if each else 0
            slack = all(cap_w >= claim.high_w for cap_w, claim in zip(made.caps_w, claims, strict=False))
            shared[one.key, one.function] = Shared(
                "", one.key, one.function, one.value_w, shares_w, made.unmet_w, slack
            )
        return shared

    def _limit_claim(
        self, resource: ResourceState, asked: Mapping[OrderKey, Shared], side: int, settler: Settler
    ) -> Claim:
        """Say what a resource will take of a limit by itself, in one direction counted positive."""
        name = resource.resource.name
        trial = tuple(
            Allotment(one.key, one.function, one.shares[name]) for one in asked.values() if name in one.shares
        )
        settled = settler.of(resource, trial)
        bounds, ground = settled.envelope, resource.ground
        if side > 0:
            high_w = min(bounds.upper_w, ground.generation_max_w)
        else:
            high_w = ground.charge_max_w if bounds.lower_w is None else min(ground.charge_max_w, -bounds.lower_w)
        wish_w = high_w if bounds.target_w is None else max(0, min(high_w, bounds.target_w * side))
        ruling = settled.settlement.ruling(Function.ACTIVE_POWER)
        return self._claim(resource, 0, high_w, wish_w, UNDRIVEN if ruling is None else ruling.strength, side)

    def _silent_claim(self, resource: ResourceState, side: int) -> Claim | None:
        """Claim apart what the DER of a resource that cannot be told anything may do, beside those that can."""
        devices = self._devices(resource)
        silent_w = sum(_counted_w(device, side) for device in devices if not _hears(device, side))
        if not silent_w or not any(_hears(device, side) for device in devices):
            return None
        name = f"{resource.resource.name}, silent"
        return Claim(name, 0, silent_w, silent_w, silent_w, silent_w, UNDRIVEN, reachable=False)

    def _claim(
        self, resource: ResourceState, low_w: int, high_w: int, wish_w: int, strength: tuple[int, int], side: int = 1
    ) -> Claim:
        devices = self._devices(resource)
        stores = [device for device in devices if device.device.energy_wh]
        stored_wh = room_wh = None
        if stores and len(stores) == len(devices) and all(isinstance(each.stored, Known) for each in stores):
            stored_wh = sum(each.stored.value for each in stores if isinstance(each.stored, Known))
            room_wh = sum(each.device.energy_wh for each in stores) - stored_wh
        live = [device for device in devices if _hears(device, side)] or devices
        return Claim(
            name=resource.resource.name,
            low_w=low_w,
            high_w=high_w,
            wish_w=wish_w,
            strength=strength,
            cost=resource.resource.cost,
            impact=resource.resource.network_impact,
            counted_w=sum(_counted_w(device, side) for device in live),
            told_w=sum(device.told_w() if side > 0 else device.told_draw_w() for device in live),
            reachable=any(_hears(device, side) for device in devices),
            stored_wh=stored_wh,
            room_wh=room_wh,
        )


def _gist(award: Award) -> Award:
    return award._replace(start_ms=0)


def _share(fallen: tuple[Allotment, ...], shared: Shared) -> int | None:
    return next((one.value_w for one in fallen if one.key == shared.key and one.function is shared.function), None)


def _hears(device: DeviceState, side: int) -> bool:
    """Tell whether a device can be told a limit in a direction: how much it may generate, or draw."""
    return device.obeys() and (side > 0 or not device.device.draws_w or device.carries_floor())


def _counted_w(device: DeviceState, side: int) -> int:
    return device.counted_w() if side > 0 else device.counted_draw_w()


def _worst_draw_w(devices: list[DeviceState]) -> int:
    """Give what devices draw at worst until what they were told is read back: nothing at set-points that generate."""
    return sum(
        max(0, -device.command.target_w)
        if device.adopted and device.command is not None and device.command.target_w is not None
        else device.counted_draw_w()
        for device in devices
    )


def _size(total: Allotment, load: Load) -> int:
    return load.export_w if total.function in CEILINGS else load.import_w


def _told_target_w(devices: list[DeviceState], counted_w: int) -> int:
    """Give what devices that run at set-points which they have taken on feed at most (W)."""
    if not all(device.adopted and device.command and device.command.target_w is not None for device in devices):
        return counted_w
    return sum(max(0, device.command.target_w or 0) for device in devices if device.command)


def _total_w(effect: Ceiling | Floor | Target, members: Sequence[ResourceState]) -> int:
    generation_max_w = sum(each.ground.generation_max_w for each in members)
    charge_max_w = sum(each.ground.charge_max_w for each in members)
    match effect:
        case Ceiling():
            return floor_watts(effect.power, generation_max_w, charge_max_w)
        case Floor():
            return ceil_watts(effect.power, generation_max_w, charge_max_w)
        case Target():
            return toward_zero_watts(effect.power, generation_max_w, charge_max_w)


def lay_points(state: State) -> list[str]:
    """Note the rated points and the groups that obey in sum, and which resources lie under each.

    A point that is as it was keeps what it shared out; the resources under all others are given, to be settled anew.
    """
    rated = {point.name: point for point in state.site.points}
    policies = {group.name: group.policy for group in state.site.groups}
    summed = dict.fromkeys(live.group for live in state.lives.values() if isinstance(live.order.scope, Total))
    laid: dict[str, PointState] = {}
    for name, point in rated.items():
        under = tuple(each for each in point.resources if each in state.resources)
        made = PointState(under, point.policy, point.export_limit_w, point.import_limit_w, summed=name in summed)
        laid[name] = made
    for name in sorted(summed):
        if name not in laid:
            laid[name] = PointState(state.reached(name), policies.get(name, Policy.PROPORTIONAL), summed=True)
    before, state.points = state.points, laid
    moved: dict[str, None] = {}
    for name in {**before, **laid}:
        old, new = before.get(name), laid.get(name)
        if old is not None and new is not None and old.like(new):
            laid[name] = old
            continue
        moved.update(dict.fromkeys((*(old.resources if old else ()), *(new.resources if new else ()))))
    _lay_under(state, rated)
    return list(moved)


def _lay_under(state: State, rated: Mapping[str, Point]) -> None:
    under_of: dict[str, list[str]] = {}
    for name, point in state.points.items():
        for each in point.resources:
            under_of.setdefault(each, []).append(name)
    limits = {name: point.export_limit_w for name, point in rated.items() if point.export_limit_w is not None}
    sums = {name: sum(_rated_w(state, each) for each in state.points[name].resources) for name in limits}
    draws = {name: point.import_limit_w for name, point in rated.items() if point.import_limit_w is not None}
    draw_sums = {name: sum(_draws_w(state, each) for each in state.points[name].resources) for name in draws}
    for name, resource in state.resources.items():
        under = under_of.get(name, ())
        resource.places = tuple(each for each in under if each in rated)
        resource.points = tuple(each for each in under if state.points[each].summed or _can_bind(rated[each]))
        resource.allotted = tuple(
            each for point in resource.points for each in state.points[point].shares.get(name, ())
        )
        shares = [limits[each] * _rated_w(state, name) // sums[each] for each in under if each in limits]
        resource.silent_most_w = min(shares, default=None)
        drawn_w = _draws_w(state, name)
        drawn = [draws[each] * drawn_w // draw_sums[each] for each in under if each in draws] if drawn_w else ()
        resource.silent_draw_w = min(drawn, default=None)


def _rated_w(state: State, resource: str) -> int:
    return sum(state.devices[name].device.rated_w for name in state.resources[resource].resource.devices)


def _draws_w(state: State, resource: str) -> int:
    return sum(state.devices[name].device.draws_w for name in state.resources[resource].resource.devices)


def _can_bind(point: Point) -> bool:
    return point.export_limit_w is not None or point.import_limit_w is not None
