"""Checks of the SunSpec Modbus conformance procedures that are about the wire and the map, not about power.

The ids are those of the SunSpec Modbus Conformance Test Procedures. They speak through pysunspec2, and where requests
have to be cut or joined, through pymodbus' framer on a plain socket.
"""

import socket
import time
from collections.abc import Callable
from typing import Any

from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest

from hil.trial.criteria import HZ_MRA, POWER_MRA_PCT, V_MRA_PCT, WIDTH
from hil.trial.instrument import DeviceError, Instrument, Refused, is_adjustable, is_mandatory, listens, points_of
from hil.trial.procedure import Check
from hil.trial.testbed import Sample

Finding = tuple[bool, str]
_ANSWER_WITHIN_S = 1.0
_CUT_PAUSE_S = 0.05
_REGISTERS = {"ID", "L"}
_MOST_SCALE = 10


def discovery(device: Instrument) -> list[Finding]:
    """DEV-1: the marker is at a base address, every model has its length, and the chain ends with its marker."""
    models = [model.model_id for model in device.models]
    wrong = [f"model {model.model_id}: {_flat(model.error_info)}" for model in device.models if model.error_info]
    last = device.models[-1]
    after = int(last.model_addr) + int(last.model_len) + 2
    try:
        end: str = device.raw(after, 2).hex()
    except DeviceError as fault:
        end = str(fault)
    return [
        (True, f"SunS at {device.base}"),
        (bool(models) and models[0] == 1, f"models {', '.join(map(str, models))}; the first must be 1"),
        (not device.scan_fault, device.scan_fault or "the walk along the models reaches its end"),
        (not wrong, "; ".join(wrong) or "every model has the length of its definition"),
        (end == "ffff0000", f"end of the map at {after}: {end}; needs ffff0000"),
    ]


def mandatory_points(device: Instrument) -> list[Finding]:
    """MOD-1: every point that its model demands is implemented."""
    found = []
    for model in device.models:
        model.read()
        missing = [
            name
            for name, point in points_of(model, str(model.model_id))
            if is_mandatory(point) and point.value is None and point.pdef["type"] != "pad"
        ]
        found.append((not missing, f"model {model.model_id}: {_listed(missing) or 'all mandatory points are there'}"))
    return found


def model_read(device: Instrument) -> list[Finding]:
    """MOD-2: every model reads as a whole, and point by point the same where nothing is live."""
    found = []
    for model in device.models:
        model.read()
        whole = {name: point.value for name, point in points_of(model, str(model.model_id))}
        fixed = [(name, point) for name, point in points_of(model, str(model.model_id)) if point.pdef.get("static")]
        differing = [name for name, _point in fixed if device.read(name) is None and whole[name] is not None]
        found.append(
            (not differing, f"model {model.model_id}: {len(whole)} points read; {_listed(differing) or 'same'}")
        )
    return found


def point_write(device: Instrument) -> list[Finding]:
    """MOD-3: every implemented adjustable point takes its own value again and reads it back; others refuse a write.

    Our reading: the value that is there is written, so that no setting of a real device is lost; a value that a device
    forgets is found by the steps that change one.
    """
    found = []
    for model in device.models:
        model.read()
        took: list[str] = []
        wrong: list[str] = []
        read_only, locked = None, _locked(model)
        for name, point in points_of(model, str(model.model_id)):
            if point.value is None or name.rpartition(".")[2] in _REGISTERS:
                continue
            if not is_adjustable(point) or id(point) in locked:
                read_only = read_only or name
                continue
            if name.endswith((".AdptCrvReq", ".AdptCtlReq")):
                continue
            before = device.read(name)
            try:
                device.write(name, before)
            except Refused as fault:
                wrong.append(f"{name} {before}: exception {fault.code}")
                continue
            if device.read(name) != before:
                wrong.append(f"{name} does not read back")
            took.append(name)
        found.append(
            (not wrong, f"model {model.model_id}: {len(took)} points written; {_listed(wrong) or 'all read back'}")
        )
        if read_only is not None:
            found.append(_refuses(device, read_only))
    return found


def _refuses(device: Instrument, name: str) -> Finding:
    try:
        device.write(name, device.read(name))
    except Refused as fault:
        return True, f"{name} is read-only: exception {fault.code}"
    return False, f"{name} is read-only and took a write"


def scale_factors(device: Instrument) -> list[Finding]:
    """Scale factor: every implemented point's factor is there, from -10 to 10."""
    found = []
    for model in device.models:
        model.read()
        wrong: list[str] = []
        used = 0
        for name, point in points_of(model, str(model.model_id)):
            factor = point.pdef.get("sf")
            if point.value is None or not isinstance(factor, str):
                continue
            used += 1
            exponent = model.points[factor].value
            if exponent is None or not -_MOST_SCALE <= exponent <= _MOST_SCALE:
                wrong.append(f"{name} has {factor} = {exponent}")
        text = f"model {model.model_id}: {used} scaled points; {_listed(wrong) or 'all factors hold'}"
        found.append((not wrong, text))
    return found


def rejection(device: Instrument) -> list[Finding]:
    """Rejection: what is outside the map is refused with an exception, and the next request is answered."""
    last = device.models[-1]
    beyond = int(last.model_addr) + int(last.model_len) + 2 + 200
    found: list[Finding] = []
    attempts: dict[str, Callable[[], object]] = {
        f"a read at {beyond}, beyond the map": lambda: device.raw(beyond, 2),
        f"a write at {beyond}, beyond the map": lambda: device.raw_write(beyond, bytes(2)),
        "a write of the marker": lambda: device.raw_write(device.base, b"XXXX"),
    }
    for what, ask in attempts.items():
        try:
            ask()
        except Refused as fault:
            found.append((True, f"{what} is refused: exception {fault.code}"))
        else:
            found.append((False, f"{what} is taken; it must be refused"))
    found.append((device.raw(device.base, 2) == b"SunS", "the marker is read after them"))
    return found


def tcp_interface(device: Instrument) -> list[Finding]:
    """TCP-1: a second connection is accepted after the first, and an answer comes within a second."""
    host, port, _unit = device.where
    device.close()
    began_s = time.monotonic()
    accepted = listens(host, port, device.timeout_s)
    device.raw(device.base, 2)
    took_s = time.monotonic() - began_s
    return [
        (accepted, f"{host}:{port} {'accepts' if accepted else 'refuses'} a connection"),
        (took_s <= _ANSWER_WITHIN_S, f"connected and answered in {1000 * took_s:.0f} ms; needs at most 1000"),
    ]


def partial_request(device: Instrument) -> list[Finding]:
    """TCP-2: a request that comes in pieces is answered once it is whole."""
    request = _request(device, 1)
    pieces = [request[:3], request[3:8], request[8:]]
    return [_exchange(device, pieces, [1])]


def multiple_packets(device: Instrument) -> list[Finding]:
    """TCP-3: several requests in one segment are all answered, each with its transaction id."""
    return [_exchange(device, [b"".join(_request(device, number) for number in (1, 2, 3))], [1, 2, 3])]


def _request(device: Instrument, transaction: int) -> bytes:
    _host, _port, unit = device.where
    pdu = ReadHoldingRegistersRequest(address=device.base, count=2, dev_id=unit, transaction_id=transaction)
    return bytes(FramerSocket(DecodePDU(False)).buildFrame(pdu))


def _exchange(device: Instrument, pieces: list[bytes], wanted: list[int]) -> Finding:
    host, port, _unit = device.where
    device.close()
    framer, stream = FramerSocket(DecodePDU(False)), b""
    answered: list[tuple[int, bool]] = []
    try:
        with socket.create_connection((host, port), device.timeout_s) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.settimeout(device.timeout_s)
            for piece in pieces:
                link.sendall(piece)
                time.sleep(_CUT_PAUSE_S)
            while len(answered) < len(wanted):
                received = link.recv(4096)
                if not received:
                    break
                stream += received
                while (used := framer.decode(stream))[0]:
                    length, _unit_id, transaction, body = used
                    stream = stream[length:]
                    answered.append((transaction, body[-4:] == b"SunS"))
    except OSError as fault:
        return False, f"{len(pieces)} segments, {len(wanted)} requests: {fault}"
    good = [transaction for transaction, right in answered if right]
    text = f"{len(pieces)} segments, {len(wanted)} requests: answers to {_listed(list(map(str, good))) or 'none'}"
    return good == wanted, text


def _locked(model: Any) -> set[int]:  # noqa: ANN401 - pysunspec2 ships no types
    """Give the points of slots that say that they are read-only, by identity."""
    slots = [slot for groups in model.groups.values() if isinstance(groups, list) for slot in groups]
    held = [slot for slot in slots if "ReadOnly" in slot.points and slot.points["ReadOnly"].value == 1]
    return {id(point) for slot in held for _name, point in points_of(slot, "")}


def _listed(items: list[str], most: int = 6) -> str:
    shown = ", ".join(items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown


def _flat(text: str) -> str:
    return " ".join(text.split())


def monitoring(device: Instrument, true: Sample, va: float) -> list[Finding]:
    """IOP: what model 701 tells is what is at the terminals, within 1.5 MRA; `va` is the rated apparent power."""
    block = device.block(701)
    nominal_v = device.read("702.VNom")
    volts = block.points["LNV"].cvalue
    shown = {
        "W": (block.points["W"].cvalue, true.w, WIDTH * POWER_MRA_PCT / 100 * va, "W"),
        "Var": (block.points["Var"].cvalue, true.var, WIDTH * POWER_MRA_PCT / 100 * va, "var"),
        "LNV": (
            None if volts is None or not isinstance(nominal_v, int | float) else 100 * volts / nominal_v,
            true.volts_pct,
            WIDTH * V_MRA_PCT,
            "% of nominal",
        ),
        "Hz": (block.points["Hz"].cvalue, true.hz, WIDTH * HZ_MRA, "Hz"),
    }
    return [
        (
            value is not None and abs(value - real) <= off,
            f"701.{name} reads {value}; measured {real:g} {unit}, at most {off:g} off",
        )
        for name, (value, real, off, unit) in shown.items()
    ]


CHECKS: dict[Check, Callable[[Instrument], list[Finding]]] = {
    "discovery": discovery,
    "mandatory_points": mandatory_points,
    "model_read": model_read,
    "point_write": point_write,
    "tcp_interface": tcp_interface,
    "partial_request": partial_request,
    "multiple_packets": multiple_packets,
    "scale_factors": scale_factors,
    "rejection": rejection,
}
