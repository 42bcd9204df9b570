"""A naive reading of the rules for one resource, second by second; it knows the words of the core and nothing of it.

Written from the rules alone: A2 to A4, A6, B, C1 to C7, C10, C11, C13, C14, C19 and the event rules of IEEE 2030.5-2018
10.2.3. It is slow on purpose: for every second it plays all the seconds before it again (once for each slot).
"""

from dataclasses import dataclass, field

from naive_words import (
    CEILINGS,
    FLOORS,
    LAST_RESORT,
    LOWER_OF_POINT,
    MODES,
    SWITCHES,
    UPPER_OF_POINT,
    Coloured,
    Contract,
    Heard,
    Program,
    Row,
    Rules,
    stronger,
)

from gateway.core.orders import Ceiling, Connect, Default, Effect, Energize, Floor, Order, Price, Release, Target
from gateway.core.units import Share, Watts

PROTECTING = ("energize", "ride-through")


@dataclass
class Naive:
    """One resource, and everything that was ever said."""

    rules: Rules
    orders: list[Heard] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)
    contacts: list[tuple[str, int, int]] = field(default_factory=list)
    restarts: list[int] = field(default_factory=lambda: [0])
    colours: list[Coloured] = field(default_factory=list)
    unvalidated: list[tuple[int, bool]] = field(default_factory=list)
    contracts: list[Contract] = field(default_factory=list)
    refused: list[Order] = field(default_factory=list)
    played: dict[tuple[str, int, str, int], tuple[Heard | None, list[Heard]]] = field(default_factory=dict)
    shown: dict[tuple[str, int], list[Row]] = field(default_factory=dict)

    # -- admission

    def grants(self, order: Order, now_s: int) -> tuple[Effect, ...]:
        """Give what of an order takes effect here: all, the part inside the grants where it only restricts, nothing."""
        rules, mine = self.rules, [one for one in self.rules.rights if one.party == order.issuer]
        for effect in order.effects:
            parents = isinstance(effect, Release) or effect.function.value in (*CEILINGS, *FLOORS, *PROTECTING)
            if order.issuer == rules.parent or not parents:
                continue
            levels = [one.level for one in mine if one.function == effect.function.value]
            own = order.issuer in rules.customers and effect.function.value not in PROTECTING
            if not levels or (min(levels) > 2 and not own):
                return ()
        inside = tuple(
            effect
            for effect in order.effects
            if any(one.function == effect.function.value and order.service in ("", one.service) for one in mine)
        )
        if len(inside) == len(order.effects) or all(self.restricts(effect, now_s) for effect in order.effects):
            return inside
        return ()

    def restricts(self, effect: Effect, now_s: int) -> bool:
        """Off, or a limit at most as loose as the one in force."""
        if isinstance(effect, Connect | Energize):
            return not effect.on
        if not isinstance(effect, Ceiling | Floor):
            return False
        held = self.limit(effect.function.value, now_s)
        if held is None:
            return True
        if isinstance(effect.power, Share):
            return False
        return effect.power.w <= held if isinstance(effect, Ceiling) else effect.power.w >= held

    # -- one slot

    def slot(self, issuer: str, level: int, function: str, now_s: int) -> tuple[Heard | None, list[Heard]]:
        """Give the order in force in a slot at a second, and those that have lost the slot for good."""
        asked = (issuer, level, function, now_s)
        if asked not in self.played:
            self.played[asked] = self.play(issuer, level, function, now_s)
        return self.played[asked]

    def play(self, issuer: str, level: int, function: str, now_s: int) -> tuple[Heard | None, list[Heard]]:
        """Play a slot from its first start to a second; a version that was replaced meets only what it was heard by."""
        mine = [
            one
            for one in self.orders
            if one.heard_s <= now_s
            and one.order.issuer == issuer
            and one.says(function) is not None
            and self.rules.level(issuer, one.order.service, function) == level
        ]
        dead: list[Heard] = []
        in_force: Heard | None = None
        begin = min([one.order.start_ms // 1000 for one in mine] + [now_s])
        for second in range(begin, now_s + 1):
            running = [one for one in mine if one.runs(second, now_s) and one not in dead and second < one.replaced_s]
            lost = [
                one
                for one in running
                if any(
                    one.heard_s < other.replaced_s and other.heard_s < one.replaced_s and stronger(other, one, function)
                    for other in running
                )
            ]
            in_force = next((one for one in running if one not in lost), None)
            dead += lost
        return in_force, dead

    def default(self, issuer: str, level: int, function: str, now_s: int) -> tuple[str, int, Effect | None] | None:
        """Give the default of the strongest program of a slot that has the function: name, value and what it says."""
        newest: dict[str, Default] = {}
        for one in self.programs:
            if one.heard_s <= now_s and one.default.issuer == issuer:
                newest[one.default.id] = one.default
        for default in sorted(newest.values(), key=lambda one: (one.precedence, one.id)):
            if self.rules.level(issuer, default.service, function) != level:
                continue
            for effect in default.effects:
                if effect.function.value == function and not isinstance(effect, Release):
                    return default.id, self.number(effect), effect
        said = any(
            each.function.value == function and not isinstance(each, Release)
            for one in newest.values()
            for each in one.effects
        )
        if issuer == self.rules.parent and function == "export-limit" and not said:
            return LAST_RESORT, self.rules.last_resort_w, None
        return None

    def says_now(self, function: str, now_s: int) -> list[Row]:
        """Give what each slot of a function says."""
        if (function, now_s) not in self.shown:
            slots = {(one.party, one.level) for one in self.rules.rights if one.function == function}
            said = [self.slot_says(issuer, level, function, now_s) for issuer, level in sorted(slots)]
            rows = [row for row in said if row is not None and row.name[1] != LAST_RESORT]
            last = [row for row in said if row is not None and row.name[1] == LAST_RESORT]
            spoken = any(row.name[0] == self.rules.parent for row in rows)
            self.shown[function, now_s] = rows if spoken else [*rows, *last[:1]]
        return self.shown[function, now_s]

    def slot_says(self, issuer: str, level: int, function: str, now_s: int) -> Row | None:
        """Give what one slot says: its order, else its default; where contact or network is unproven the tighter."""
        order, _dead = self.slot(issuer, level, function, now_s)
        default = self.default(issuer, level, function, now_s)
        place, service = self.rules.places.index(issuer), self.rules.service(issuer, level, function)
        effect = None if order is None else order.says(function)
        if order is None or effect is None or isinstance(effect, Release):
            if default is None:
                return None
            name, value, said = default
            return Row(level, place, value, None, service, (issuer, name), mode=said if function in MODES else None)
        value = self.number(effect)
        unproven = not self.proven(issuer, now_s) or not self.validated(now_s)
        if unproven and default is not None and function in CEILINGS + FLOORS + SWITCHES:
            value = max(value, default[1]) if function in FLOORS else min(value, default[1])
        mode = effect if function in MODES else None
        return Row(level, place, value, order, service, (issuer, order.order.id), mode=mode)

    # -- the surroundings

    def proven(self, issuer: str, now_s: int) -> bool:
        """Tell whether the party was read since the last start."""
        start_s = max(each for each in self.restarts if each <= now_s)
        return any(who == issuer and start_s <= at_s <= now_s for who, at_s, _window_s in self.contacts)

    def in_contact(self, issuer: str, now_s: int) -> bool:
        start_s = max(each for each in self.restarts if each <= now_s)
        read = [(at_s, window_s) for who, at_s, window_s in self.contacts if who == issuer and start_s <= at_s <= now_s]
        return bool(read) and now_s < sum(read[-1])

    def validated(self, now_s: int) -> bool:
        said = [unvalidated for at_s, unvalidated in self.unvalidated if at_s <= now_s]
        return not (said and said[-1])

    def colour(self, now_s: int) -> tuple[str, str | None]:
        """Give the colour of the segment and the direction that it bars; a change of the network voids it."""
        said = [one for one in self.colours if one.heard_s <= now_s]
        if not said:
            return "green", None
        last = said[-1]
        if any(unvalidated and last.heard_s <= at_s <= now_s for at_s, unvalidated in self.unvalidated):
            return "amber", None
        if now_s < last.until_s:
            return last.colour, last.constrained if last.colour == "red" else None
        return "green" if self.in_contact(last.issuer, now_s) else "amber", None

    def promised_w(self, now_s: int, *, reliability: bool) -> int | None:
        held = [one.w for one in self.contracts if one.reliability is reliability and one.start_s <= now_s < one.end_s]
        return sum(held) if held else None

    # -- the whole resource

    def bounds(self, point: str, now_s: int) -> tuple[int | None, int | None]:
        """Fold the limits of a point from the strongest level down; at one level the one nearest zero goes first."""
        limits = [(3, self.rules.agreement_w, "upper")] if point == "connection" else []
        for function in UPPER_OF_POINT[point]:
            limits += [(row.level, row.value, "upper") for row in self.says_now(function, now_s)]
        for function in LOWER_OF_POINT[point]:
            limits += [(row.level, row.value, "lower") for row in self.says_now(function, now_s)]
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

    def limit(self, function: str, now_s: int) -> int | None:
        """Give the limit of one function in force: its own tightest, clipped to what its point leaves."""
        point = next(each for each in UPPER_OF_POINT if function in UPPER_OF_POINT[each] + LOWER_OF_POINT[each])
        values = [row.value for row in self.says_now(function, now_s)]
        values += [self.rules.agreement_w] if function == "export-limit" else []
        if not values:
            return None
        low, high = self.bounds(point, now_s)
        if function in CEILINGS:
            return min(values) if low is None else max(min(values), low)
        return max(values) if high is None else min(max(values), high)

    def price(self, now_s: int) -> Row | None:
        """Give the price that holds: of an order before a default, then by level and place."""
        rows = self.says_now("price", now_s)
        return min(rows, key=lambda row: (row.order is None, row.level, row.place, row.name), default=None)

    def wishes(self, now_s: int) -> list[Row]:
        """Give all set-points: those that were sent, and what the customer prefers at the price that holds."""
        rows = list(self.says_now("active-power", now_s))
        price = self.price(now_s)
        reached = [] if price is None else [w for at_least, w in self.rules.prices if at_least <= price.value]
        if price is not None and reached:
            rows.append(Row(8, price.place, reached[-1], None, "price", price.name, preferred=True))
        return rows

    def barred(self, row: Row, now_s: int) -> bool:
        """Tell whether a set-point loads the direction that a red segment bars."""
        _colour, constrained = self.colour(now_s)
        if constrained is None or not 5 <= row.level <= 8 or not (row.order or row.preferred):
            return False
        return row.value > 0 if constrained == "export" else row.value < 0

    def set_point(self, now_s: int) -> tuple[int | None, dict[Heard, str]]:
        """Give the set-point that holds, and the orders that have to wait, each by its rule."""
        value, _best, waits = self.choice(now_s)
        return value, waits

    def choice(self, now_s: int) -> tuple[int | None, Row | None, dict[Heard, str]]:
        """Give the set-point that holds, whose it is, and the orders that have to wait, each by its rule."""
        rows, (colour, _constrained) = self.wishes(now_s), self.colour(now_s)
        waits = {row.order: "C11" for row in rows if row.order and self.barred(row, now_s)}
        free = self.by_strength([row for row in rows if not self.barred(row, now_s)], colour)
        if not free:
            return None, None, waits
        best = self.preferred(free, colour)
        ordered = bool(best.order or best.preferred)
        market = next((row for row in free if row.order and row.level == 7), None)
        value, kept = best.value, None
        contracted_w = self.promised_w(now_s, reliability=False)
        if colour == "amber" and best.level == 6 and ordered and contracted_w is not None:
            base_w = 0 if market is None else market.value
            value, kept = min(max(best.value, base_w - contracted_w), base_w + contracted_w), market
        reserved_w = self.promised_w(now_s, reliability=True)
        if ordered and best.level > 5 and reserved_w:
            value = min(value, max(0, self.rules.rated_w - reserved_w))
        for row in free:
            if row.order and row is not best and row is not kept:
                waits[row.order] = "C10"
        return value, best, waits

    def by_strength(self, rows: list[Row], colour: str) -> list[Row]:
        """Sort the strongest first: orders before defaults, then by level, party, seniority and name."""
        return sorted(
            rows,
            key=lambda row: (
                not (row.order or row.preferred),
                self.rules.strength(row.level, colour),
                row.place,
                *row.seniority(),
                row.name,
            ),
        )

    def preferred(self, free: list[Row], colour: str) -> Row:
        """Let services go before others where the site says so, among levels 4 to 7; a mode runs in both directions."""
        best = free[0]
        for row in free[1:]:
            ways = ("export" if row.value >= 0 else "import",) if row.mode is None else ("export", "import")
            if not (row.order and 4 <= best.level <= 7 and row.level <= 7):
                continue
            said = [
                where
                for winner, loser, where, when in self.rules.prefers
                if (winner, loser) == (row.service, best.service) and when in ("", colour)
            ]
            if all("" in said or way in said for way in ways):
                best = row
        return best

    def mode(self, function: str, now_s: int) -> tuple[Effect | None, dict[Heard, str]]:
        """Give the mode that holds in a function, and the orders that would move the same quantity otherwise."""
        colour, _constrained = self.colour(now_s)
        rows = self.by_strength(self.says_now(function, now_s), colour)
        if not rows:
            return None, {}
        best = self.preferred(rows, colour)
        return best.mode, {row.order: "C10" for row in rows if row.order is not None and row.mode != best.mode}

    def switch(self, function: str, now_s: int) -> tuple[bool | None, dict[Heard, str]]:
        """Tell whether it is on, and the orders that say otherwise."""
        rows = self.says_now(function, now_s)
        if not rows:
            return None, {}
        if any(row.value == 0 and row.level <= 4 for row in rows):
            on = 0
        else:
            ordered = [row for row in rows if row.order is not None]
            on = min(ordered or rows, key=lambda row: (row.level, row.place)).value
        return bool(on), {row.order: "C10" for row in rows if row.order is not None and row.value != on}

    def generates_at_most_w(self, now_s: int) -> int:
        """Give the most that the resource may generate; a negative ceiling is not an order to charge."""
        return max(0, min(high for point in UPPER_OF_POINT if (high := self.bounds(point, now_s)[1]) is not None))

    def runs_at_w(self, now_s: int) -> int | None:
        """Give the set-point inside all limits; a limit is never an order to run the other way."""
        value, _waits = self.set_point(now_s)
        if value is None:
            return None
        lows = [low for point in LOWER_OF_POINT if (low := self.bounds(point, now_s)[0]) is not None]
        value = min(value, self.generates_at_most_w(now_s))
        return max(value, min(0, max(lows))) if lows else value

    # -- what an order is answered

    def functions_left(self, one: Heard, now_s: int) -> list[str]:
        """Give the functions of an order that it has not lost for good."""
        left = []
        for effect in one.effects:
            function = effect.function.value
            level = self.rules.level(one.order.issuer, one.order.service, function)
            if level is not None and one not in self.slot(one.order.issuer, level, function, now_s)[1]:
                left.append(function)
        return left

    def standing(self, one: Heard, now_s: int) -> str:
        """Say where an order stands at a second."""
        if now_s >= one.replaced_s:
            return "superseded"
        left = self.functions_left(one, now_s)
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
            **{function: self.mode(function, now_s)[1] for function in MODES},
        }
        return "suspended" if all(one in against.get(name, {}) for name in left) else "in force"

    def answers(self, one: Heard, until_s: int) -> list[tuple[int, str]]:
        """Give what an order is answered and when; `ended` stands for every way of having run to the end."""
        said = [(one.heard_s, "received")]
        if len(one.effects) < len(one.order.effects):
            said.append((one.heard_s, "uncarried"))
        before = "pending"
        for now_s in range(one.heard_s, until_s + 1):
            now = self.standing(one, now_s)
            if now == "in force" and before != "pending" and self.is_cut(one, now_s):
                said.append((now_s, "suspended"))
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

    def is_cut(self, one: Heard, now_s: int) -> bool:
        """Tell whether a limit begins to suspend a part of a set-point that holds and was served whole."""
        value, best, _waits = self.choice(now_s)
        holds = best is not None and best.name == (one.order.issuer, one.order.id) and value != self.runs_at_w(now_s)
        return holds and self.short_w(one, now_s) > 0 and self.short_w(one, now_s - 1) == 0

    def short_w(self, one: Heard, now_s: int) -> int:
        """Give by how much an order is served below its own schedule at a second (C10)."""
        effect = one.says("active-power")
        level = self.rules.level(one.order.issuer, one.order.service, "active-power")
        if not isinstance(effect, Target) or level is None or now_s < one.heard_s:
            return 0
        if self.standing(one, now_s) not in ("in force", "suspended"):
            return 0
        if self.slot(one.order.issuer, level, "active-power", now_s)[0] is not one:
            return 0
        asked_w, given_w = self.number(effect), self.runs_at_w(now_s) or 0
        return max(0, asked_w - max(0, given_w)) if asked_w >= 0 else max(0, -asked_w - max(0, -given_w))

    def short_w_s(self, one: Heard, until_s: int) -> int:
        """Give what an order was served below its own schedule (W times s), second by second (C10)."""
        return sum(self.short_w(one, now_s) for now_s in range(one.heard_s, until_s))

    def number(self, effect: Effect) -> int:
        """Give the watts of an effect on the stricter side, its price, 1 and 0 for on and off, and 0 for a mode."""
        if isinstance(effect, Connect | Energize):
            return 1 if effect.on else 0
        if isinstance(effect, Price):
            return effect.milli_per_mwh
        if isinstance(effect, Release):
            raise TypeError("a release has no number")
        if not isinstance(effect, Ceiling | Floor | Target):
            return 0
        if isinstance(effect.power, Watts):
            return effect.power.w
        whole, rest = divmod(abs(effect.power.hundredths) * self.rules.rated_w, 10_000)
        positive = effect.power.hundredths >= 0
        away = rest and ((isinstance(effect, Floor) and positive) or (isinstance(effect, Ceiling) and not positive))
        size = whole + 1 if away else whole
        return size if positive else -size
