"""A North American distribution feeder of any size, made of a number of customers and a seed.

From a 69 kV source, circuits of at most 600 customers: a three-phase 12.47 kV trunk behind a bank of single-phase
regulators, a second bank half way along a long one, a capacitor at two thirds; from every trunk node a single-phase
lateral, its phase in turn; along it centre-tapped transformers, and behind each a split-phase secondary (120/240 V)
with a service drop to each customer. The figures are those of common overhead construction and of nobody's feeder.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

CUSTOMERS_A_TRANSFORMER: Final = 5
TRANSFORMERS_A_LATERAL: Final = 5
CUSTOMERS_A_CIRCUIT: Final = 600
CUSTOMERS_MOST: Final = 50_000
VOLTAGE_BASES_KV: Final = (69.0, 12.47, 0.20785)
NOMINAL_V: Final = 120.0
"""Of each leg of a customer, to neutral."""

_LONG_TRUNK: Final = 12
_TRUNK_KM: Final = 0.4
_LATERAL_KM: Final = 0.12
_DROP_M: Final = (15, 45)
_LOAD_W: Final = (400, 3_200)
_LEG_SHARE: Final = 0.4
"""What of a customer's load lies on one leg; the rest is across both."""
_POWER_FACTOR: Final = 0.95
_KVA_A_CUSTOMER: Final = 7.5
_TRANSFORMERS_KVA: Final = (10.0, 15.0, 25.0, 37.5, 50.0)
_KVAR_A_CUSTOMER: Final = 0.25
_KW_A_CUSTOMER: Final = 10.0


class Customer(NamedTuple):
    """One customer: its bus, whose phases 1 and 2 are its legs, the transformer that feeds it, and its load, W."""

    name: str
    bus: str
    transformer: str
    phase: int
    load_w: int


@dataclass(frozen=True, slots=True)
class GeneratedFeeder:
    """An OpenDSS script with the bases of its voltages, and who is on it."""

    script: str
    voltage_bases_kv: tuple[float, ...]
    customers: tuple[Customer, ...]
    regulators: tuple[str, ...]


def generate(customers: int, seed: int = 1, *, regulators_act: bool = True) -> GeneratedFeeder:
    """Make a feeder; the same numbers make the same one anywhere. Raises ValueError for a size that cannot be."""
    if not 1 <= customers <= CUSTOMERS_MOST:
        raise ValueError(f"{customers} customers: a feeder of 1 to {CUSTOMERS_MOST} can be made")
    made = _Making(seed, regulators_act=regulators_act)
    made.station(customers)
    for circuit, first in enumerate(range(0, customers, CUSTOMERS_A_CIRCUIT), start=1):
        made.circuit(circuit, min(CUSTOMERS_A_CIRCUIT, customers - first))
    return GeneratedFeeder("\n".join(made.lines), VOLTAGE_BASES_KV, tuple(made.customers), tuple(made.regulators))


class _Making:
    """The script so far."""

    def __init__(self, seed: int, *, regulators_act: bool) -> None:
        self._seed = seed
        self._act = "yes" if regulators_act else "no"
        self.lines: list[str] = []
        self.customers: list[Customer] = []
        self.regulators: list[str] = []

    def _between(self, low: int, high: int, what: str) -> int:
        """Draw a whole number for a thing, the same for the same seed and name."""
        return low + zlib.crc32(f"{self._seed}/{what}".encode()) % (high - low + 1)

    def station(self, customers: int) -> None:
        """Have a source, a station transformer with room for all, and the lines' codes."""
        kva = max(5_000, round(_KW_A_CUSTOMER * customers))
        self.lines += [
            "new circuit.generated basekv=69 pu=1.0 phases=3 bus1=source mvasc3=1500 mvasc1=1200",
            "new linecode.trunk nphases=3 units=km r1=0.19 x1=0.39 r0=0.48 x0=1.25 c1=11 c0=5",
            "new linecode.lateral nphases=1 units=km rmatrix=[1.1] xmatrix=[0.75] cmatrix=[8]",
            "new linecode.drop nphases=2 units=km rmatrix=[0.85|0.25 0.85] xmatrix=[0.35|0.2 0.35] cmatrix=[0|0 0]",
            (
                "new transformer.station phases=3 windings=2 xhl=8 buses=[source station] conns=[delta wye]"
                f" kvs=[69 12.47] kvas=[{kva} {kva}] %rs=[0.3 0.3]"
            ),
        ]

    def circuit(self, number: int, customers: int) -> None:
        """Add a trunk with as many laterals as its customers need."""
        laterals = list(_parts(customers, CUSTOMERS_A_TRANSFORMER * TRANSFORMERS_A_LATERAL))
        kva = round(_KW_A_CUSTOMER * customers / 3) + 100
        at = self._regulate("station", f"c{number}_head", kva)
        half, two_thirds = len(laterals) // 2, 2 * len(laterals) // 3
        for place, here in enumerate(laterals):
            if place == half and len(laterals) > _LONG_TRUNK:
                at = self._regulate(at, f"c{number}_half", kva)
            bus = f"c{number}_t{place + 1}"
            self._line(bus, f"{at}.1.2.3", f"{bus}.1.2.3", "trunk", 3, _TRUNK_KM)
            at = bus
            if place == two_thirds:
                kvar = round(_KVAR_A_CUSTOMER * customers) + 5
                self.lines.append(f"new capacitor.c{number} bus1={bus} phases=3 kv=12.47 kvar={kvar}")
            self._lateral(bus, 1 + place % 3, here)

    def _regulate(self, source: str, name: str, kva: int) -> str:
        """Put a bank of three single-phase regulators behind a bus; give the bus behind it."""
        for phase in (1, 2, 3):
            regulator = f"{name}_{phase}"
            self.regulators.append(regulator)
            self.lines += [
                (
                    f"new transformer.{regulator} phases=1 windings=2 xhl=0.01 %loadloss=0.01 buses=[{source}.{phase}"
                    f" {name}.{phase}] conns=[wye wye] kvs=[7.2 7.2] kvas=[{kva} {kva}]"
                ),
                (
                    f"new regcontrol.{regulator} transformer={regulator} winding=2 vreg=122 band=2 ptratio=60"
                    f" enabled={self._act}"
                ),
            ]
        return name

    def _lateral(self, trunk: str, phase: int, customers: int) -> None:
        at = trunk
        for place, here in enumerate(_parts(customers, CUSTOMERS_A_TRANSFORMER), start=1):
            bus = f"{trunk}_l{place}"
            self._line(bus, f"{at}.{phase}", f"{bus}.{phase}", "lateral", 1, _LATERAL_KM)
            at = bus
            self._secondary(bus, phase, here)

    def _secondary(self, lateral: str, phase: int, customers: int) -> None:
        transformer = f"{lateral}_x"
        wanted = _KVA_A_CUSTOMER * customers
        kva = next((size for size in _TRANSFORMERS_KVA if size >= wanted), _TRANSFORMERS_KVA[-1])
        self.lines.append(
            f"new transformer.{transformer} phases=1 windings=3 xhl=2.04 xht=2.04 xlt=1.36"
            f" buses=[{lateral}.{phase} {transformer}.1.0 {transformer}.0.2] kvs=[7.2 0.12 0.12]"
            f" kvas=[{kva} {kva} {kva}] %rs=[0.6 1.2 1.2]"
        )
        for place in range(1, customers + 1):
            bus = f"{lateral}_h{place}"
            drop_km = self._between(*_DROP_M, f"{bus} drop") / 1000
            self._line(bus, f"{transformer}.1.2", f"{bus}.1.2", "drop", 2, drop_km)
            load_w = self._between(*_LOAD_W, f"{bus} load")
            leg = self._between(1, 2, f"{bus} leg")
            self.lines += [
                (
                    f"new load.{bus} bus1={bus}.1.2 phases=1 kv=0.24 model=1"
                    f" kw={(1 - _LEG_SHARE) * load_w / 1000:.6f} pf={_POWER_FACTOR}"
                ),
                (
                    f"new load.{bus}_leg bus1={bus}.{leg} phases=1 kv=0.12 model=1"
                    f" kw={_LEG_SHARE * load_w / 1000:.6f} pf={_POWER_FACTOR}"
                ),
            ]
            self.customers.append(Customer(f"home-{len(self.customers) + 1}", bus, transformer, phase, load_w))

    def _line(self, name: str, start: str, end: str, code: str, phases: int, km: float) -> None:
        self.lines.append(
            f"new line.{name} bus1={start} bus2={end} phases={phases} linecode={code} length={km} units=km"
        )


def _parts(whole: int, most: int) -> Iterator[int]:
    """Part a number into parts of at most so many, the last what is left."""
    for first in range(0, whole, most):
        yield min(most, whole - first)
