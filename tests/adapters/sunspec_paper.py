"""A device on paper: a simulated inverter without a socket, on which efforts are played step by step."""

from collections.abc import Callable, Generator
from fractions import Fraction
from typing import Any, TypeVar

from gateway.core.modes import Curve, CurveBase, CurveKind, CurvePoint, Mode
from gateway.southbound.sunspec_modbus.modes.carriers import Way, carriers, ways
from gateway.southbound.sunspec_modbus.modes.effort import Answer, Carrier, Held, Look, Request, Rest, Tenure
from gateway.southbound.sunspec_modbus.modes.wanted import Wanted
from gateway.southbound.sunspec_modbus.points import OneRegister
from gateway.southbound.sunspec_modbus.profiles import Habits
from gateway.wire.modbus import Refused
from gateway.wire.sunspec import Chain, Walk
from hil.clock import Clock
from hil.sunspec.inverter import Inverter, InverterSpec, Kind

START_MS = 1_767_225_600_000
Ended = TypeVar("Ended")


def curve(kind: CurveKind, *points: tuple[int, int], base: CurveBase = CurveBase.NONE, **fields: Any) -> Curve:
    """Give a curve by its points."""
    return Curve(kind, tuple(CurvePoint(*point) for point in points), base, **fields)


class PaperClock(Clock):
    """A clock that moves while the device is left alone."""

    def __init__(self) -> None:
        super().__init__("paper", 0, Fraction(1))
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms


class Paper:
    """An inverter, its chain, and what was written to it, by point in the point's unit as pysunspec2 reads it."""

    def __init__(self, kind: Kind, habits: Habits = Habits(), **spec: Any) -> None:  # noqa: B008 - it is a constant
        self.clock = PaperClock()
        self.inverter = Inverter(InverterSpec(name="roof", kind=kind, **spec), self.clock)
        self.habits = habits
        self.chain = self._walk()
        self.carriers = carriers(self.chain, habits)
        self.writes: list[dict[str, Any]] = []
        self.functions: list[int] = []
        self.rested_ms = 0

    def _walk(self) -> Chain:
        walk = Walk((self.inverter.spec.base,))
        while walk.asking is not None:
            octets = self.inverter.registers.read(*walk.asking)
            walk.give(octets) if isinstance(octets, bytes) else walk.refuse(2)
        assert isinstance(walk.found, Chain)
        return walk.found

    def publish(self, **values: float) -> None:
        """Give points, named `m705_Ena`, other values, as their owner would."""
        self.inverter._image.publish({name[1:].replace("_", ".", 1): value for name, value in values.items()})

    def raw(self, name: str, number: int) -> None:
        """Give a point of one register a raw number, as only the device itself can."""
        offset = 2 * (self.inverter.address(name) - self.inverter.spec.base)
        self.inverter._image._words[offset : offset + 2] = (number % 0x10000).to_bytes(2)

    def lacks(self, *names: str) -> None:
        """Give points their not-implemented value."""
        self.inverter._image.publish(dict.fromkeys(names))

    def ways(self, mode: Mode) -> tuple[Way, ...] | str:
        """Give what carries a mode."""
        return ways(mode, self.carriers)

    def carrier(self, mode: Mode) -> Carrier:
        """Give the first carrier of a mode."""
        found = self.ways(mode)
        assert not isinstance(found, str), found
        return found[0][0]

    def wanted(self, mode: Mode) -> Wanted:
        """Give what the first carrier of a mode is told."""
        found = self.ways(mode)
        assert not isinstance(found, str), found
        return found[0][1]

    def step_ms(self, ms: int) -> None:
        """Let time pass at the device."""
        self.clock.ms += ms
        self.inverter.step(self.clock.ms)

    def put(self, mode: Mode, timer_ms: int | None = None) -> list[Held]:
        """Have the device do this, on all that carries it."""
        found = self.ways(mode)
        assert not isinstance(found, str), found
        held = []
        for carrier, wanted in found:
            tenure = Tenure(self.play(carrier.look()))
            held.append(self.play(carrier.put(tenure, wanted, timer_ms)))
        return held

    def play(self, effort: Generator[Request, Answer, Ended]) -> Ended:
        """Play an effort to its end; what stops it is raised here."""
        answer: Answer = None
        while True:
            try:
                request = effort.send(answer)
            except StopIteration as end:
                ended: Ended = end.value
                return ended
            answer = self._answer(request)

    def play_until(self, effort: Generator[Request, Answer, object], far_enough: Callable[[], bool]) -> None:
        """Play an effort until something holds."""
        answer: Answer = None
        while not far_enough():
            answer = self._answer(effort.send(answer))

    def _answer(self, request: Request) -> Answer:
        if isinstance(request, Rest):
            self.rested_ms += request.ms
            self.step_ms(request.ms)
            return None
        if isinstance(request, Look):
            octets = self.inverter.registers.read(*request.part.ask)
            return request.part.reader.decode(octets) if isinstance(octets, bytes) else Refused(3, octets or 2)
        function = 6 if isinstance(request.registers, OneRegister) else 16
        code = self.inverter.registers.write(function, *request)
        if code:
            return Refused(function, code)
        told = self.inverter.told(self.inverter.writes[-1])
        self.writes.append({name: value for name, value in told.items() if value is not None})
        self.functions.append(function)
        return None

    @property
    def told(self) -> dict[str, Any]:
        """Give all that was written, the last of each point."""
        return {name: value for write in self.writes for name, value in write.items()}
