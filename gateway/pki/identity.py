"""The names that a certificate gives its owner: LFDI, SFDI and the registration PIN (IEEE 2030.5-2018, 6.3)."""

import hashlib

LFDI_DIGITS = 40
SFDI_BITS = 36
SFDI_MAX = 687_194_767_359
PIN_MAX = 999_999
_HEX = frozenset("0123456789ABCDEF")
_SFDI_HEX_DIGITS = SFDI_BITS // 4
_PIN_DIGITS = 5


def fingerprint(der: bytes) -> str:
    """Give the SHA-256 of a whole DER certificate as 64 upper-case hex digits (6.3.2)."""
    return hashlib.sha256(der).hexdigest().upper()


def lfdi(der: bytes) -> str:
    """Give the long-form device identifier of a DER certificate: 160 bits, 40 upper-case hex digits (6.3.4)."""
    return fingerprint(der)[:LFDI_DIGITS]


def parse_lfdi(text: str) -> str:
    """Read an LFDI as people write it, in either case and grouped by spaces or hyphens, into 40 upper-case hex digits.

    Raises ValueError when it is not 40 hex digits.
    """
    plain = text.replace(" ", "").replace("-", "").upper()
    if len(plain) != LFDI_DIGITS or not _HEX.issuperset(plain):
        raise ValueError(f"LFDI {text[:60]!r} is not {LFDI_DIGITS} hex digits")
    return plain


def sfdi(lfdi_text: str) -> int:
    """Give the short-form device identifier of an LFDI: its first 36 bits, then a sum-of-digits check digit (6.3.3).

    Raises ValueError when the text is not an LFDI.
    """
    return _with_check_digit(int(parse_lfdi(lfdi_text)[:_SFDI_HEX_DIGITS], 16))


def sfdi_text(number: int) -> str:
    """Write an SFDI for people: twelve digits in groups of three, leading zeros kept (6.3.3).

    Raises ValueError when the number is not a valid SFDI.
    """
    if not check_sfdi(number):
        raise ValueError(f"{number} is not an SFDI: its check digit or its range is wrong")
    digits = f"{number:012d}"
    return "-".join(digits[i : i + 3] for i in range(0, 12, 3))


def check_sfdi(number: int) -> bool:
    """Tell whether a number (0..687194767359) is an SFDI whose digits add up to a multiple of ten (6.3.3)."""
    return 0 <= number <= SFDI_MAX and _digit_sum(number) % 10 == 0


def pin_with_check(digits: str) -> int:
    """Give the registration PIN of five decimal digits: the digits, then their check digit (PINType).

    Raises ValueError when the text is not five decimal digits.
    """
    if len(digits) != _PIN_DIGITS or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"PIN {digits[:20]!r} is not {_PIN_DIGITS} decimal digits")
    return _with_check_digit(int(digits))


def check_pin(pin: int) -> bool:
    """Tell whether a number (PINType, 0..999999) is a PIN with its check digit right."""
    return 0 <= pin <= PIN_MAX and _digit_sum(pin) % 10 == 0


def _with_check_digit(number: int) -> int:
    return number * 10 + -_digit_sum(number) % 10


def _digit_sum(number: int) -> int:
    return sum(map(int, str(number)))
