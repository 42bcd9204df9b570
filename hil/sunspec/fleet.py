"""Thousands of simulated inverters in one process: `python -m hil.sunspec.fleet --count N` prints the ports and serves.

Registers of all of them lie in one array and move in one vectorized step; each answers as model 1 and 701 to 704 do.
"""

import argparse
import asyncio
import json
import math
import resource
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import uvloop

from hil.clock import Clock
from hil.sunspec.generation_2018 import Generation2018
from hil.sunspec.modbus_server import ILLEGAL_ADDRESS, ModbusServer
from hil.sunspec.personality import InverterSpec, Terminals
from hil.sunspec.register_image import Image, layout_of

Words = npt.NDArray[np.uint16]
Numbers = npt.NDArray[np.float64]

_GENERATION: Final = Generation2018()
_STEP_S: Final = 0.2
_MOST_UNITS: Final = 247
_SPARE_FILES: Final = 64
_SWING_S: Final = 60.0
_TIMER: Final = ("WMaxLimPctEna", "WMaxLimPct", "WMaxLimPctRvrtTms")
_TAKES: Final = (("704.WMaxLimPct", "704.WMaxLimPctRvrt"), ("704.WMaxLimPctEna", "704.WMaxLimPctEnaRvrt"))
_FULL_PCT: Final = 10_000
_WATTS: Final = 1
BAD_INPUT: Final = 2


class Plants:
    """The registers of `count` inverters of `rated_w` and what moves them.

    They obey the limit, the set-point in watts, their reversion timer for the limit, and permit service; they give
    what the light gives and follow within `tau_s`. `irradiance` is each one's light, a fraction of full. A read or
    write is of one of them; `step` moves all.
    """

    def __init__(self, count: int, rated_w: int = 5_000, *, tau_s: float = 0.5) -> None:
        if not 1 <= count <= 100_000:
            raise ValueError(f"{count} inverters: 1 to 100000 fit")
        spec = InverterSpec(name="fleet", rated_w=rated_w)
        self._layout = layout_of(_GENERATION.models, _GENERATION.scale_factors(spec))
        self.base = spec.base
        row = _row(spec)
        self._width = len(row)
        self._octets = bytearray(row * count)
        self._view = memoryview(self._octets)
        self._words: Words = np.frombuffer(self._octets, dtype=">u2").reshape(count, -1)
        self._writable = self._mask()
        self._at = {name: register.offset for name, register in self._layout.registers.items()}
        self._timer_columns = frozenset(self._at[f"704.{name}"] for name in _TIMER)
        self._watt = 10.0**spec.watt_exponent
        self._tau_s = tau_s
        self._rated_w = rated_w
        self.irradiance: Numbers = np.ones(count)
        self.w: Numbers = np.full(count, float(rated_w))
        self._due_s: Numbers = np.full(count, np.inf)
        self._now_s = 0.0
        self.reads = 0
        self.writes = 0
        self.written_ns: npt.NDArray[np.int64] = np.zeros(count, dtype=np.int64)
        for index in range(count):
            self._name(index)

    def _mask(self) -> bytes:
        """Tell of every register whether it may be written."""
        mask = bytearray(self._width // 2)
        for register in self._layout.registers.values():
            if register.writable:
                mask[register.offset : register.offset + register.words] = b"\1" * register.words
        return bytes(mask)

    def _name(self, index: int) -> None:
        serial = self._layout.registers["1.SN"]
        start = index * self._width + 2 * serial.offset
        self._octets[start : start + 2 * serial.words] = serial.encode(f"SIM-{index}")

    def read(self, index: int, address: int, count: int) -> bytes | None:
        """See `hil.sunspec.modbus_server.Registers`."""
        start = 2 * (address - self.base)
        end = start + 2 * count
        if start < 0 or end > self._width:
            return None
        self.reads += 1
        row = index * self._width
        return bytes(self._view[row + start : row + end])

    def write(self, index: int, address: int, payload: bytes) -> int:
        """See `hil.sunspec.modbus_server.Registers`."""
        offset, words = address - self.base, len(payload) // 2
        if offset < 0 or 0 in self._writable[offset : offset + words] or offset + words > len(self._writable):
            return ILLEGAL_ADDRESS
        start = index * self._width + 2 * offset
        self._octets[start : start + len(payload)] = payload
        self.writes += 1
        self.written_ns[index] = time.monotonic_ns()
        if not self._timer_columns.isdisjoint(range(offset, offset + words)):
            self._rearm(index)
        return 0

    def _rearm(self, index: int) -> None:
        row, at = self._words[index], self._at["704.WMaxLimPctRvrtTms"]
        period_s = (int(row[at]) << 16) + int(row[at + 1])
        armed = period_s > 0 and row[self._at["704.WMaxLimPctEna"]] == 1
        self._due_s[index] = self._now_s + period_s if armed else np.inf

    def column(self, name: str) -> npt.NDArray[np.int64]:
        """Give a point of all inverters as whole numbers, unscaled."""
        at, words = self._at[name], self._layout.registers[name].words
        values = self._words[:, at].astype(np.int64)
        for place in range(at + 1, at + words):
            values = (values << 16) | self._words[:, place]
        return values

    def _publish(self, name: str, values: npt.NDArray[Any]) -> None:
        self._words[:, self._at[name]] = np.rint(values).astype(np.int16).view(np.uint16)

    def step(self, now_s: float) -> None:
        """Advance all to this time of the clock."""
        dt_s = max(0.0, now_s - self._now_s) if self._now_s else 0.0
        self._now_s = now_s
        self._revert(now_s)
        permitted = self.column("703.ES") == 1
        limit_w = self._limits_w()
        target_w = np.where(permitted, np.minimum(self.irradiance * self._rated_w, limit_w), 0.0)
        moved = 1.0 if self._tau_s <= 0 else 1 - math.exp(-dt_s / self._tau_s)
        self.w += (target_w - self.w) * moved
        self.w[~permitted] = 0.0
        self._publish("701.W", self.w / self._watt)
        self._publish("701.VA", np.abs(self.w) / self._watt)
        for leg in (1, 2, 3):
            self._publish(f"701.WL{leg}", self.w / 3 / self._watt)
        for name in ("701.ConnSt", "701.St"):
            self._publish(name, permitted)

    def _limits_w(self) -> Numbers:
        limited = self.column("704.WMaxLimPctEna") == 1
        share = np.where(limited, self.column("704.WMaxLimPct") / _FULL_PCT, 1.0)
        told = (self.column("704.WSetEna") == 1) & (self.column("704.WSetMod") == _WATTS)
        signed = self.column("704.WSet").astype(np.uint32).view(np.int32)
        set_w = np.where(told, np.maximum(signed, 0), np.inf)
        limits: Numbers = np.minimum(share * self.column("702.WMax") * self._watt, set_w)
        return limits

    def _revert(self, now_s: float) -> None:
        for index in np.flatnonzero(self._due_s <= now_s):
            row = self._words[index]
            for name, source in _TAKES:
                row[self._at[name]] = row[self._at[source]]
            self._due_s[index] = np.inf
        left_s = np.where(np.isfinite(self._due_s), np.ceil(self._due_s - now_s), 0).astype(np.int64)
        at = self._at["704.WMaxLimPctRvrtRem"]
        self._words[:, at], self._words[:, at + 1] = left_s >> 16, left_s & 0xFFFF


def _row(spec: InverterSpec) -> bytes:
    """Give the registers of one inverter that gives its rating."""
    image = Image(
        layout_of(_GENERATION.models, _GENERATION.scale_factors(spec)),
        spec.base,
        _GENERATION.at_start(spec),
        _GENERATION.ranges(spec),
    )
    terminals = Terminals(
        w=float(spec.rated_w),
        var=0.0,
        volts=(spec.nominal_v,) * 3,
        hz=60.0,
        available_w=float(spec.rated_w),
        energy_wh=1.0,
        delay_left_s=0.0,
        settings=_GENERATION.settings(image),
    )
    image.publish(_GENERATION.measured(terminals))
    words = image.read(spec.base, image.end - spec.base + 2)
    assert words is not None
    return words


class _One:
    """One of them, as its socket sees it."""

    __slots__ = ("_index", "_plants")

    def __init__(self, plants: Plants, index: int) -> None:
        self._plants = plants
        self._index = index

    def read(self, address: int, count: int) -> bytes | None:
        """See `hil.sunspec.modbus_server.Registers`."""
        return self._plants.read(self._index, address, count)

    def write(self, function: int, address: int, payload: bytes) -> int:
        """See `hil.sunspec.modbus_server.Registers`."""
        del function
        return self._plants.write(self._index, address, payload)


class Fleet:
    """Serves plants on sockets of this machine, `units` of them behind each, and steps them; a context manager.

    Inverter i is unit `1 + i % units` of port `ports[i // units]`. `swing` is the part of its light that comes and goes
    within a minute, each inverter at its own time.
    """

    def __init__(
        self, plants: Plants, clock: Clock, *, units: int = 1, first_port: int = 0, swing: float = 0.0
    ) -> None:
        if not 1 <= units <= _MOST_UNITS or not 0 <= swing <= 1:
            raise ValueError(f"units {units}, swing {swing}: give 1 to {_MOST_UNITS} units and a swing of 0 to 1")
        self.plants = plants
        count = len(plants.w)
        self._clock = clock
        self._swing = swing
        self._phase: Numbers = np.arange(count) * 2 * math.pi / count
        self._servers = [
            ModbusServer(
                {1 + place: _One(plants, first + place) for place in range(min(units, count - first))},
                port=first_port + number if first_port else 0,
            )
            for number, first in enumerate(range(0, count, units))
        ]
        self._stepping: asyncio.Task[None] | None = None

    @property
    def ports(self) -> list[int]:
        """The TCP ports, in order."""
        return [server.port for server in self._servers]

    async def __aenter__(self) -> Self:
        """Listen on all ports; raises OSError where one is taken."""
        for server in self._servers:
            await server.start()
        self.step()
        self._stepping = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every socket."""
        del kind, error, trace
        assert self._stepping is not None
        self._stepping.cancel()
        with suppress(asyncio.CancelledError):
            await self._stepping
        for server in self._servers:
            await server.stop()

    def step(self) -> None:
        """Advance all to now."""
        now_s = self._clock.now_ms() / 1000
        if self._swing:
            self.plants.irradiance = 1 - self._swing * (
                0.5 + 0.5 * np.sin(now_s * 2 * math.pi / _SWING_S + self._phase)
            )
        self.plants.step(now_s)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_STEP_S)
            self.step()

    def report(self) -> dict[str, Any]:
        """What was asked of them so far, and what they give."""
        written_ns = self.plants.written_ns[self.plants.written_ns > 0]
        return {
            "reads": self.plants.reads,
            "writes": self.plants.writes,
            "written": len(written_ns),
            "written_within_s": float(np.ptp(written_ns)) / 1e9 if len(written_ns) else None,
            "w": round(float(self.plants.w.sum())),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; returns 0, or 2 for wrong use."""
    parser = argparse.ArgumentParser(prog="python -m hil.sunspec.fleet", description="Many light simulated inverters.")
    parser.add_argument("--count", type=int, required=True, help="how many")
    parser.add_argument("--units", type=int, default=1, help="units behind each port (default 1)")
    parser.add_argument("--first-port", type=int, default=0, help="ports count up from here (default: any free ones)")
    parser.add_argument("--rated-w", type=int, default=5_000, help="rating of each in W (default 5000)")
    parser.add_argument("--swing", type=float, default=0.0, help="part of the light that comes and goes, 0 to 1")
    parser.add_argument("--clock", default="real", help='"real" or "xN@T0" (default real)')
    parser.add_argument(
        "--report-s", type=float, default=0.0, help="seconds between lines of counts (default: at the end)"
    )
    given = parser.parse_args(arguments)
    try:
        demand_files(2 * math.ceil(given.count / max(1, given.units)) + given.count + _SPARE_FILES)
        fleet = Fleet(
            Plants(given.count, given.rated_w),
            Clock.parse(given.clock),
            units=given.units,
            first_port=given.first_port,
            swing=given.swing,
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(fleet, given.units, given.report_s))
    except (ValueError, OSError) as fault:
        sys.stderr.write(f"hil.sunspec.fleet: {fault}\n")
        return BAD_INPUT
    return 0


def demand_files(wanted: int) -> None:
    """Raise the limit of open files to what that many sockets need, as far as that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        raise ValueError(f"{wanted} open files are needed and {hard} allowed; put more --units behind each port")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(fleet: Fleet, units: int, report_s: float) -> None:
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    async with fleet:
        _print({"ready": {"host": "127.0.0.1", "ports": fleet.ports, "units": units, "count": len(fleet.plants.w)}})
        while not stopped.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), report_s or None)
            _print(fleet.report())


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
