"""The simple types of IEEE 2030.5: text to value and back, each with its range (2018 schema, simpleType)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.wire.sep2.faults import Unreadable, WireFault

_SHOWN = 40
_LFDI_DIGITS = 40
_MRID_DIGITS = 32
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """How one simple type is read and written; both raise `WireFault`.

    `read` takes None for an empty element, `write` returns text escaped for an element or an attribute alike. What is a
    whole number within `bounds` is written as `form` says.
    """

    read: Callable[[str | None], Any]
    write: Callable[[Any], str]
    bounds: tuple[int, int] | None = None
    form: str = "%s"


def shown(text: str) -> str:
    """Return foreign text short enough and plain enough to stand in a one-line message."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def integer(low: int, high: int) -> Scalar:
    """Make the type of whole numbers from `low` to `high`, both included."""

    def read(text: str | None) -> int:
        if text is None:
            raise WireFault("is empty, a whole number belongs here")
        try:
            number = int(text)
        except ValueError:
            raise WireFault(f"{shown(text)} is not a whole number") from None
        if "_" in text or not text.isascii():
            raise WireFault(f"{shown(text)} is not a whole number")
        if low <= number <= high:
            return number
        raise WireFault(f"{shown(text.strip())} is not in {low}..{high}")

    def write(number: object) -> str:
        if not isinstance(number, int) or isinstance(number, bool):
            raise WireFault(f"{number!r} is not a whole number")
        if not low <= number <= high:
            raise WireFault(f"{number} is not in {low}..{high}")
        return str(int(number))

    return Scalar(read, write, (low, high), "%d")


def bits(octets: int) -> Scalar:
    """Make the type of a bitmap of so many octets in hex; shorter (trimmed) hex is read, full width is written."""
    highest = (1 << 8 * octets) - 1

    def read(text: str | None) -> int:
        if text is not None and len(text) == 2 * octets and text.isalnum():
            try:
                return int.from_bytes(bytes.fromhex(text))
            except ValueError:
                pass
        return int(_hex_digits(text, 2 * octets), 16)

    def write(number: object) -> str:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= highest:
            raise WireFault(f"{number!r} is not in 0..{highest:#x}")
        return f"{number:0{2 * octets}X}"

    return Scalar(read, write, (0, highest), f"%0{2 * octets}X")


def string(longest: int) -> Scalar:
    """Make the type of text of at most `longest` characters; longer is read (a name unseats no order), not written."""

    def write(text: object) -> str:
        if not isinstance(text, str):
            raise WireFault(f"{text!r} is not text")
        if len(text) > longest:
            raise WireFault(f"{shown(text)} is longer than {longest} characters")
        if not text.isprintable() and _NOT_XML.search(text):
            raise WireFault(f"{shown(text)} has characters that XML cannot carry")
        return _escaped(text)

    return Scalar(lambda text: text or "", write)


def _escaped(text: str) -> str:
    if text.isalnum():
        return text
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("\r", "&#13;")


def _hex_digits(text: str | None, longest: int) -> str:
    """Return an even count of hex digits, at most `longest`; a zero that trimming took is put back."""
    written = text.strip() if text is not None else ""
    if not written:
        raise WireFault("is empty, hex digits belong here")
    if len(written) > longest:
        raise WireFault(f"{shown(written)} has more than {longest} hex digits")
    digits = "0" + written if len(written) % 2 else written
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        raise WireFault(f"{shown(written)} is not hex") from None
    if 2 * len(octets) != len(digits):
        raise WireFault(f"{shown(written)} is not hex")
    return digits


def _read_mrid(text: str | None) -> str:
    return _hex_digits(text, _MRID_DIGITS)


def _write_mrid(mrid: object) -> str:
    if not isinstance(mrid, str) or _read_mrid(mrid) != mrid:
        raise WireFault(f"{mrid!r} is not an mRID: an even count of hex digits, at most {_MRID_DIGITS}")
    return mrid


def _read_lfdi(text: str | None) -> str:
    return _hex_digits(text, _LFDI_DIGITS).upper().zfill(_LFDI_DIGITS)


def _write_lfdi(lfdi: object) -> str:
    if not isinstance(lfdi, str) or len(lfdi) != _LFDI_DIGITS:
        raise WireFault(f"{lfdi!r} is not an LFDI: {_LFDI_DIGITS} hex digits")
    return _read_lfdi(lfdi)


def _read_claimed_lfdi(text: str | None) -> str | Unreadable:
    try:
        return _read_lfdi(text)
    except WireFault as fault:
        return Unreadable(text or "", f"lFDI: {fault}")


def _read_misspelt_lfdi(text: str | None) -> Unreadable:
    return Unreadable(text or "", "element LFDI, where the standard has lFDI")


def _read_boolean(text: str | None) -> bool:
    value = _BOOLEANS.get(text or "")
    if value is None:
        value = _BOOLEANS.get((text or "").strip())
    if value is None:
        raise WireFault(f"{shown(text or '')} is not true or false")
    return value


def _write_boolean(value: object) -> str:
    if not isinstance(value, bool):
        raise WireFault(f"{value!r} is not true or false")
    return "true" if value else "false"


def _write_uri(uri: object) -> str:
    if not isinstance(uri, str) or not uri.isprintable() or " " in uri:
        raise WireFault(f"{uri!r} is not an address")
    return _escaped(uri)


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

BOOLEAN = Scalar(_read_boolean, _write_boolean)
URI = Scalar(lambda text: (text or "").strip(), _write_uri)
MRID = Scalar(_read_mrid, _write_mrid)
"""As written (some servers compare text), a leading zero added where trimming left an odd count of digits."""
LFDI = Scalar(_read_lfdi, _write_lfdi)
"""40 upper-case hex digits; leading zeros that were trimmed are put back, lower case is written in upper case."""
CLAIMED_LFDI = Scalar(_read_claimed_lfdi, _write_lfdi)
"""As `LFDI`, but what is not one becomes `Unreadable` and leaves its device in the list."""
MISSPELT_LFDI = Scalar(_read_misspelt_lfdi, _write_lfdi)

UINT8 = integer(0, 2**8 - 1)
UINT16 = integer(0, 2**16 - 1)
UINT32 = integer(0, 2**32 - 1)
UINT48 = integer(0, 2**48 - 1)
INT16 = integer(-(2**15), 2**15 - 1)
INT32 = integer(-(2**31), 2**31 - 1)
INT48 = integer(-(2**47), 2**47)
"""The schema's own bounds, one wider than 48 bits at the top."""
INT64 = integer(-(2**63), 2**63 - 1)
MULTIPLIER = integer(-9, 9)
PERCENT = integer(0, 10_000)
SIGNED_PERCENT = integer(-10_000, 10_000)
ONE_HOUR = integer(-3600, 3600)
EVENT_STATUS = integer(0, 5)
PIN = integer(0, 999_999)
HEX8 = bits(1)
HEX16 = bits(2)
HEX32 = bits(4)
HEX64 = bits(8)
STRING6 = string(6)
STRING16 = string(16)
STRING32 = string(32)
STRING192 = string(192)
