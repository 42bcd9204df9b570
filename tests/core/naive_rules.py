"""A naive reading of the rules for one resource, second by second; it knows the words of the core and nothing of it.

Written from the rules alone: B, C2 to C6, C10, C13, C14 and the event rules of IEEE 2030.5-2018 10.2.3. It is slow on
purpose: for every second it plays all the seconds before it again (once for each slot).
"""

from dataclasses import dataclass, field

from gateway.core.answers import Kind
from gateway.core.orders import Ceiling, Connect, Effect, Energize, Floor, Order, Release, Target
from gateway.core.units import Watts

UPPER_OF_POINT = {
    "connection": ("export-limit",),
    "der": ("generation-limit", "rating-limit"),
}
LOWER_OF_POINT = {"connection": ("import-limit",), "der": ("load-limit",)}


@dataclass(eq=False)
class Heard:
    """An order, the second at which it was heard, and the second at which its issuer ended it."""

    order: Order
    heard_s: int
    cancelled_s: int | None = None

    def runs(self, second: int, known_by: int) -> bool:
        """Tell whether the order runs at a second, by what is known later on."""
        if self.cancelled_s is not None and known_by >= self.cancelled_s and second >= self.cancelled_s:
            return False
        ends = self.order.end_ms
        return self.order.start_ms <= second * 1000 and (ends is None or second * 1000 < ends)


@dataclass
class Slice:
    """What a default of one program says, and since which second."""

    issuer: str
    program: str
    precedence: int
    effects: tuple[Effect, ...]
    heard_s: int


@dataclass
class Naive:
    """One resource: its levels, its agreement, and everything that was ever said."""

    levels: dict[tuple[str, str], int]
    places: list[str]
    parent: str
    agreement_w: int
    last_resort_w: int
    orders: list[Heard] = field(default_factory=list)
    defaults: list[Slice] = field(default_factory=list)
    proven_s: dict[str, int] = field(default_factory=dict)
    played: dict[tuple[str, str, int], tuple[Heard | None, list[Heard]]] = field(default_factory=dict)

    # -- one slot

    def slot(self, issuer: str, function: str, now_s: int) -> tuple[Heard | None, list[Heard]]:
        """Give the order in force in a slot at a second, and those that have lost the slot for good."""
        asked = (issuer, function, now_s)
        if asked not in self.played:
            self.played[asked] = self.play(issuer, function, now_s)
        return self.played[asked]

    def play(self, issuer: str, function: str, now_s: int) -> tuple[Heard | None, list[Heard]]:
        """Play a slot from its first start to a second."""
        mine = [
            one
            for one in self.orders
            if one.heard_s <= now_s and one.order.issuer == issuer and says(one.order, function) is not None
        ]
        dead: list[Heard] = []
        in_force: Heard | None = None
        begin = min([one.order.start_ms // 1000 for one in mine] + [now_s])
        for second in range(begin, now_s + 1):
            running = [one for one in mine if one.runs(second, now_s) and one not in dead]
            in_force = None
            for one in running:
                if in_force is None or stronger(one.order, in_force.order):
                    in_force = one
            dead += [one for one in running if one is not in_force]
        return in_force, dead

    def default(self, issuer: str, function: str, now_s: int) -> int | None:
        """Give the default of the strongest program of an issuer that has the function."""
        programs: dict[str, Slice] = {}
        for one in self.defaults:
            if one.heard_s <= now_s and one.issuer == issuer:
                programs[one.program] = one
        found: tuple[int, str, int] | None = None
        for one in programs.values():
            for effect in one.effects:
                if effect.function.value == function:
                    row = (one.precedence, one.program, number(effect))
                    found = row if found is None or row[:2] < found[:2] else found
        if found is not None:
            return found[2]
        if issuer == self.parent and function == "export-limit":
            return self.last_resort_w
        return None

    def says_now(self, function: str, now_s: int) -> list[tuple[int, int, int, Heard | None]]:
        """Give what each slot of a function says: level, place of its party, value, and the order behind it if any."""
        rows: list[tuple[int, int, int, Heard | None]] = []
        for (issuer, has), level in self.levels.items():
            if has != function:
                continue
            order, _dead = self.slot(issuer, function, now_s)
            default = self.default(issuer, function, now_s)
            place = self.places.index(issuer)
            effect = None if order is None else says(order.order, function)
            if order is None or effect is None or isinstance(effect, Release):
                if default is not None:
                    rows.append((level, place, default, None))
                continue
            value = number(effect)
            if now_s < self.proven_s.get(issuer, 1 << 40) and default is not None and function != "active-power":
                value = max(value, default) if function in ("import-limit", "load-limit") else min(value, default)
            rows.append((level, place, value, order))
        return rows

    # -- the whole resource

    def bounds(self, point: str, now_s: int) -> tuple[int | None, int | None]:
        """Fold the limits of a point from the strongest level down; at one level the one nearest zero goes first."""
        limits = [(3, self.agreement_w, "upper")] if point == "connection" else []
        for function in UPPER_OF_POINT[point]:
            limits += [(level, value, "upper") for level, _place, value, _order in self.says_now(function, now_s)]
        for function in LOWER_OF_POINT[point]:
            limits += [(level, value, "lower") for level, _place, value, _order in self.says_now(function, now_s)]
        low: int | None = None
        high: int | None = None
        for _level, value, side in sorted(limits, key=lambda row: (row[0], abs(row[1]))):
            if side == "upper":
                nearest = value if low is None or value >= low else low
                high = nearest if high is None else min(high, nearest)
            else:
                nearest = value if high is None or value <= high else high
                low = nearest if low is None else max(low, nearest)
        return low, high

    def set_point(self, now_s: int) -> tuple[int | None, list[Heard]]:
        """Give the set-point that holds, and the orders that it suspends."""
        rows = self.says_now("active-power", now_s)
        ordered = [row for row in rows if row[3] is not None]
        best = min(ordered or rows, key=lambda row: (row[0], row[1]), default=None)
        if best is None:
            return None, []
        return best[2], [row[3] for row in ordered if row is not best and row[3] is not None]

    def switch(self, function: str, now_s: int) -> tuple[bool | None, list[Heard]]:
        """Tell whether it is on, and the orders that say otherwise."""
        rows = self.says_now(function, now_s)
        if not rows:
            return None, []
        if any(value == 0 and level <= 4 for level, _place, value, _order in rows):
            on = 0
        else:
            ordered = [row for row in rows if row[3] is not None]
            on = min(ordered or rows, key=lambda row: (row[0], row[1]))[2]
        return bool(on), [order for _level, _place, value, order in rows if order is not None and value != on]

    def generates_at_most_w(self, now_s: int) -> int:
        """Give the most that the resource may generate; a negative ceiling is not an order to charge."""
        return max(0, min(high for point in UPPER_OF_POINT if (high := self.bounds(point, now_s)[1]) is not None))

    # -- what an order is answered

    def standing(self, one: Heard, now_s: int) -> str:
        """Say where an order stands at a second."""
        functions = [effect.function.value for effect in one.order.effects]
        left = [name for name in functions if one not in self.slot(one.order.issuer, name, now_s)[1]]
        if not left:
            return "superseded"
        if one.cancelled_s is not None and now_s >= one.cancelled_s:
            return "over"
        if one.order.end_ms is not None and now_s * 1000 >= one.order.end_ms:
            return "over"
        if now_s * 1000 < one.order.start_ms:
            return "pending"
        against = {
            "active-power": self.set_point(now_s)[1],
            "connect": self.switch("connect", now_s)[1],
            "energize": self.switch("energize", now_s)[1],
        }
        return "suspended" if all(one in against.get(name, []) for name in left) else "in force"

    def answers(self, one: Heard, until_s: int) -> list[tuple[int, str]]:
        """Give what an order is answered and when; `ended` stands for every way of having run to the end."""
        said = [(one.heard_s, "received")]
        before = "pending"
        for now_s in range(one.heard_s, until_s + 1):
            now = self.standing(one, now_s)
            if now == before:
                continue
            if now in ("in force", "suspended") and not any(word == "started" for _at, word in said):
                said.append((now_s, "started"))
            if now == "suspended":
                said.append((now_s, "suspended"))
            if now == "superseded":
                return [*said, (now_s, "superseded")]
            if now == "over":
                cancelled = one.cancelled_s is not None and now_s >= one.cancelled_s
                return [*said, (now_s, "cancelled" if cancelled else "ended")]
            before = now
        return said


def stronger(one: Order, other: Order) -> bool:
    """The smaller precedence, then the later creation, then the smaller id."""
    if one.rank.precedence != other.rank.precedence:
        return one.rank.precedence < other.rank.precedence
    if one.rank.created_ms != other.rank.created_ms:
        return one.rank.created_ms > other.rank.created_ms
    return one.id < other.id


def says(order: Order, function: str) -> Effect | None:
    """Give what an order says of a function, if anything."""
    for effect in order.effects:
        if effect.function.value == function:
            return effect
    return None


def number(effect: Effect) -> int:
    """Give the watts of an effect, or 1 and 0 for on and off."""
    if isinstance(effect, Connect | Energize):
        return 1 if effect.on else 0
    if isinstance(effect, Ceiling | Floor | Target) and isinstance(effect.power, Watts):
        return effect.power.w
    raise TypeError(f"no number in {effect}; state it in watts")


WORDS = {
    Kind.COMPLETED: "ended",
    Kind.PARTIAL: "ended",
    Kind.CANNOT: "ended",
    Kind.EXPIRED: "ended",
}
