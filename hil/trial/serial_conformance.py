"""Checks of the SunSpec Modbus conformance procedures on a serial line, RTU-1 to RTU-3, by pysunspec2 and pymodbus."""

import time
from collections.abc import Callable
from typing import Final

import serial
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest
from sunspec2.modbus import client, modbus

from hil.sunspec.serial_line import SerialPort
from hil.trial.conformance import Finding
from hil.trial.instrument import Instrument
from hil.trial.procedure import SerialCheck

_DEMANDED: Final = 9_600
_ANSWER_OCTETS: Final = 9
_MARKER: Final = b"SunS"
_SILENCE_S: Final = 0.05


def rtu_interface(device: Instrument, line: SerialPort) -> list[Finding]:
    """RTU-1: the walk along the models over the serial line finds those that it finds over TCP."""
    wanted, baud_rate = [model.model_id for model in device.models], line.baud_rates[0]
    with _opened(line, baud_rate) as port:
        port.write(_request(device))
        answered = _answered(port, f"{line.path} at {baud_rate} bit/s")
    if not answered[0]:
        return [answered]
    there = client.SunSpecModbusClientDeviceRTU(device.where[2], line.path, baud_rate, timeout=line.timeout_s)
    text = ""
    try:
        there.scan()
    except (client.SunSpecModbusClientError, modbus.ModbusClientError) as fault:
        text = f"; the walk ends with {' '.join(str(fault).split())}"
    finally:
        there.close()
    found = [model.model_id for model in there.model_list]
    return [answered, (found == wanted, f"over serial models {_listed(found)}, over TCP {_listed(wanted)}{text}")]


def rtu_baud_rate(device: Instrument, line: SerialPort) -> list[Finding]:
    """RTU-2: the device answers at each speed that it is said to have, and 9600 bit/s is one of them."""
    found: list[Finding] = [
        (_DEMANDED in line.baud_rates, f"has {_listed(line.baud_rates)} bit/s; {_DEMANDED} must be one of them")
    ]
    for baud_rate in line.baud_rates:
        with _opened(line, baud_rate) as port:
            port.write(_request(device))
            found.append(_answered(port, f"at {baud_rate} bit/s"))
    return found


def rtu_partial_request(device: Instrument, line: SerialPort) -> list[Finding]:
    """RTU-3: a request that breaks off, or fails its check, is dropped in silence, and the next one is answered."""
    request = _request(device)
    broken = {"a request that breaks off": request[:5], "a request with a wrong check": request[:-1] + b"\0"}
    found: list[Finding] = []
    with _opened(line, line.baud_rates[0]) as port:
        for name, octets in broken.items():
            port.write(octets)
            time.sleep(_SILENCE_S)
            said = port.in_waiting
            found.append((said == 0, f"{name}: {said} octets of answer; needs none"))
            port.write(request)
            found.append(_answered(port, f"the request after {name}"))
    return found


def _opened(line: SerialPort, baud_rate: int) -> serial.Serial:
    return serial.Serial(line.path, baud_rate, timeout=line.timeout_s)


def _request(device: Instrument) -> bytes:
    pdu = ReadHoldingRegistersRequest(address=device.base, count=2, dev_id=device.where[2])
    return bytes(FramerRTU(DecodePDU(False)).buildFrame(pdu))


def _answered(port: serial.Serial, what: str) -> Finding:
    answer = port.read(_ANSWER_OCTETS)
    used, _unit, _transaction, body = FramerRTU(DecodePDU(False)).decode(answer)
    return used > 0 and body.endswith(_MARKER), f"{what}: {answer.hex() or 'no answer'}; needs the SunS marker"


def _listed(numbers: tuple[int, ...] | list[int]) -> str:
    return ", ".join(map(str, numbers))


SERIAL_CHECKS: dict[SerialCheck, Callable[[Instrument, SerialPort], list[Finding]]] = {
    "rtu_interface": rtu_interface,
    "rtu_baud_rate": rtu_baud_rate,
    "rtu_partial_request": rtu_partial_request,
}
