"""What bytes from a Modbus server can turn out to be: a settled request, a foreign frame, or a broken stream."""

from typing import Final, NamedTuple

EXCEPTION_NAMES: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}
TRANSIENT_CODES: Final = frozenset({5, 6, 8, 10, 11})


class Registers(NamedTuple):
    """The answer to a read: two bytes per register, big-endian, exactly as many registers as were asked for."""

    transaction: int
    registers: bytes


class Written(NamedTuple):
    """The answer to a write: the server echoed its address and quantity (or, for one register, its value)."""

    transaction: int
    address: int
    quantity: int


class Refused(NamedTuple):
    """An exception response (Application Protocol V1.1b3, section 7)."""

    transaction: int
    code: int

    @property
    def name(self) -> str:
        """The standard's name of the code."""
        return EXCEPTION_NAMES.get(self.code, f"exception code {self.code}")

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later. Our reading: a code that the standard lacks is permanent."""
        return self.code in TRANSIENT_CODES


class Stray(NamedTuple):
    """A whole frame whose transaction is not outstanding: late, duplicated or foreign. It answers nothing."""

    transaction: int


class Broken(NamedTuple):
    """The stream cannot be trusted any more: close the connection and start a new exchange, never resynchronise."""

    why: str


Outcome = Registers | Written | Refused | Stray | Broken
