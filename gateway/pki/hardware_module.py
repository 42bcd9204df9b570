"""HardwareModuleName, the name of a device inside its certificate (RFC 4108, 5; IEEE 2030.5-2018, 6.11.7.4)."""

from dataclasses import dataclass
from typing import Final

OID: Final = "1.3.6.1.5.5.7.8.4"
_SEQUENCE, _OBJECT_IDENTIFIER, _OCTET_STRING = 0x30, 0x06, 0x04
_LONG_FORM = 0x80
_SERIAL_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class HardwareModule:
    """The type of a device (an OID below its vendor's enterprise number) and its serial number (bytes)."""

    hw_type: str
    serial: bytes


def encode(module: HardwareModule) -> bytes:
    """Write a HardwareModuleName in DER; raises ValueError when the type is no OID."""
    body = _element(_OBJECT_IDENTIFIER, _oid_bytes(module.hw_type)) + _element(_OCTET_STRING, module.serial)
    return _element(_SEQUENCE, body)


def decode(der: bytes) -> HardwareModule:
    """Read a HardwareModuleName, strictly DER and nothing after it; raises ValueError when it is anything else."""
    body, rest = _take(der, _SEQUENCE)
    hw_type, serial_element = _take(body, _OBJECT_IDENTIFIER)
    serial, tail = _take(serial_element, _OCTET_STRING)
    if rest or tail:
        raise ValueError("HardwareModuleName has trailing bytes")
    return HardwareModule(_oid_text(hw_type), serial)


def _element(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < _LONG_FORM:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(size))) + size + content


def _take(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """Split off the element of this tag at the start; give its content and what follows."""
    if len(der) < 2 or der[0] != tag:
        raise ValueError(f"HardwareModuleName lacks an element with tag 0x{tag:02x}")
    length, start = der[1], 2
    if length >= _LONG_FORM:
        start += length - _LONG_FORM
        length = int.from_bytes(der[2:start], "big")
    end = start + length
    if length > _SERIAL_MAX_BYTES or end > len(der) or _element(tag, der[start:end]) != der[:end]:
        raise ValueError("HardwareModuleName has a length that is not DER")
    return der[start:end], der[end:]


def _oid_bytes(dotted: str) -> bytes:
    arcs = [int(arc) for arc in dotted.split(".")]
    if len(arcs) < 2 or arcs[0] > 2 or min(arcs) < 0 or (arcs[0] < 2 and arcs[1] > 39):
        raise ValueError(f"{dotted!r} is not an object identifier")
    return b"".join(_base128(arc) for arc in (arcs[0] * 40 + arcs[1], *arcs[2:]))


def _base128(number: int) -> bytes:
    septets = [number & 0x7F]
    while number := number >> 7:
        septets.append(0x80 | number & 0x7F)
    return bytes(reversed(septets))


def _oid_text(content: bytes) -> str:
    arcs: list[int] = []
    arc, fresh = 0, True
    for octet in content:
        if fresh and octet == 0x80:
            raise ValueError("hwType is not in its shortest form")
        arc, fresh = arc << 7 | octet & 0x7F, octet < 0x80
        if fresh:
            arcs.append(arc)
            arc = 0
    if not arcs or not fresh:
        raise ValueError("hwType is not a whole object identifier")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - first * 40, *arcs[1:])))
