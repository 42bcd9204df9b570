"""Looking at a device once: all its models are read by function 03, and nothing is ever written.

The block size is learned: a block that is refused is asked for again in halves. Blocks end where points do.
"""

import asyncio
import os
from dataclasses import dataclass, replace
from typing import Final

from gateway.southbound.sunspec_modbus.config import Endpoint
from gateway.southbound.sunspec_modbus.dial import NEEDED, open_line
from gateway.southbound.sunspec_modbus.profiles import COMMON, Catalogue, Identity, Profile, common, identity, one_line
from gateway.wire.modbus import Broken, Exchange, Refused, Registers, RtuExchange
from gateway.wire.sunspec import Block, Chain, UnknownModelError, Value, Walk, compile_model
from gateway.wire.sunspec.discovery import BASES

CONNECT_S: Final = 3.0
REPLY_S: Final = 2.0
LINE_REPLY_S: Final = 1.0
"""On a serial line, where every unit that is not there costs so much: 125 registers take 0.6 s at 4800 baud."""
REST_S: Final = 0.2
"""What a device that takes one client gets to notice that it has gone."""
BLOCK_MIN: Final = 8
OCTETS_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Nothing:
    """No SunSpec device was found, and why; `answers` when something does speak Modbus there."""

    host: str
    port: int
    unit: int
    why: str
    connected: bool = False
    answers: bool = False


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A device as it was found. `registers` gives each model's octets, from its ID on, as far as they were given.

    `block_max` is the most registers that it gave in one read, READ_MAX where none was refused. `line` is the serial
    line that it was found on, else None.
    """

    host: str
    port: int
    unit: int
    chain: Chain
    identity: Identity
    profile: Profile
    registers: dict[Block, bytes]
    block_max: int
    line: Endpoint | None = None

    @property
    def where(self) -> str:
        """What it was reached by."""
        return self.line.name if self.line is not None else f"{self.host}:{self.port}"

    def values(self, block: Block) -> dict[str, Value]:
        """Decode a model; empty where nobody has published it."""
        try:
            model = compile_model(block.id)
        except UnknownModelError:
            return {}
        names = [name for name, point in model.points.items() if point.end <= block.length + 2]
        return model.decode(self.registers[block], names) if names else {}


class Lost(Exception):  # noqa: N818 - it is no error: devices do that
    """The connection ended, and why."""


class Asking:
    """Asks one unit, one read at a time, over a connection of its own; it has no way to write."""

    def __init__(self, unit: int, line: Endpoint | None = None) -> None:
        """Be ready to open; on a serial line where one is given."""
        self.unit = unit
        self._line = line
        self._exchange: Exchange | RtuExchange = Exchange() if line is None else RtuExchange()
        self._streams: tuple[asyncio.StreamReader, asyncio.WriteTransport] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.answered = False

    async def open(self, host: str, port: int) -> str:
        """Connect; give why that cannot be, nothing where it is open."""
        if self._line is not None:
            return await self._open_line(self._line)
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, self._writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            return f"cannot connect to {host}:{port}: no answer within {CONNECT_S:g} s"
        except (OSError, UnicodeError) as error:
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
            return f"cannot connect to {host}:{port}: {why}"
        self._streams = reader, self._writer.transport
        return ""

    async def _open_line(self, line: Endpoint) -> str:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport = await open_line(protocol, line)
        except OSError as error:
            return f"cannot open {line.name}: {error}"
        except ImportError:
            return f"cannot open {line.name}: {NEEDED}"
        self._streams = reader, transport
        return ""

    def close(self) -> None:
        """Make room for the next client at once."""
        if self._streams is not None:
            self._streams[1].abort()

    async def ask(self, address: int, quantity: int) -> bytes | Refused:
        """Ask for registers; raise Lost where no answer comes, or none that can be believed."""
        if self._streams is None:
            raise Lost("it is not connected")
        reader, transport = self._streams
        reply_s = REPLY_S if self._line is None else LINE_REPLY_S
        await asyncio.sleep(0 if self._line is None else self._line.silence_s)
        transport.write(self._exchange.read(self.unit, address, quantity))
        try:
            async with asyncio.timeout(reply_s):
                outcome = await self._outcome(reader)
        except TimeoutError:
            raise Lost(f"no reply within {reply_s:g} s") from None
        except OSError as error:
            raise Lost(f"connection lost: {error}") from None
        self.answered = True
        return outcome

    async def _outcome(self, reader: asyncio.StreamReader) -> bytes | Refused:
        while True:
            received = await reader.read(OCTETS_MAX)
            if not received:
                raise Lost("the device closed the connection")
            for outcome in self._exchange.feed(received):
                match outcome:
                    case Registers(registers=octets):
                        return octets
                    case Refused():
                        return outcome
                    case Broken(why=why):
                        raise Lost(why)
                    case other:
                        raise Lost(f"a reply that answers nothing, transaction {other.transaction}")


async def survey(host: str, port: int, unit: int, profiles: Catalogue, *, patient: bool = True) -> Surveyed | Nothing:
    """Look at one unit of a device over a connection of its own, which is closed again.

    One that takes the connection and says nothing is tried once more where `patient`, with the longest pause after
    connecting that a profile asks for.
    """
    found = await _look(Asking(unit), host, port, profiles, 0)
    pause_ms = max((profile.connect_pause_ms for profile in profiles.profiles), default=0)
    if patient and pause_ms and isinstance(found, Nothing) and found.connected and not found.answers:
        await asyncio.sleep(REST_S)
        found = await _look(Asking(unit), host, port, profiles, pause_ms)
    return found


async def survey_line(line: Endpoint, unit: int, profiles: Catalogue) -> Surveyed | Nothing:
    """Look at one unit on a serial line, which is opened for it and closed again."""
    found = await _look(Asking(unit, line), "", 0, profiles, 0)
    return replace(found, line=line) if isinstance(found, Surveyed) else found


async def _look(asking: Asking, host: str, port: int, profiles: Catalogue, pause_ms: int) -> Surveyed | Nothing:
    unit = asking.unit
    why = await asking.open(host, port)
    if why:
        return Nothing(host, port, unit, why)
    try:
        await asyncio.sleep(pause_ms / 1000)
        return await _survey(asking, host, port, unit, profiles)
    except Lost as lost:
        return Nothing(host, port, unit, str(lost), connected=True, answers=asking.answered)
    finally:
        asking.close()


async def _survey(asking: Asking, host: str, port: int, unit: int, profiles: Catalogue) -> Surveyed | Nothing:
    walk = Walk(BASES)
    while walk.asking is not None:
        answer = await asking.ask(*walk.asking)
        if isinstance(answer, bytes):
            walk.give(answer)
        else:
            walk.refuse(answer.code)
    if not isinstance(walk.found, Chain):
        why = "no SunSpec map" if walk.found is None else walk.found.why
        return Nothing(host, port, unit, why, connected=True, answers=True)
    chain, who = walk.found, Identity()
    said = common(chain)
    if said is not None:
        answer = await asking.ask(*said.ask)
        who = identity(said, answer) if isinstance(answer, bytes) else who
    profile = profiles.of(who)
    registers: dict[Block, bytes] = {}
    block_max = profile.block_max
    for block in chain.models:
        registers[block], block_max = await _whole(asking, block, block_max)
        await asyncio.sleep(profile.gap_ms / 1000)
    if said is not None:
        serial = said.model.decode(registers[chain.of(COMMON)[0]], ["SN", "ID"]).get("SN")
        who = who._replace(serial=one_line(serial))
    return Surveyed(host, port, unit, chain, who, profile, registers, block_max)


async def _whole(asking: Asking, block: Block, block_max: int) -> tuple[bytes, int]:
    """Read a model as far as the device gives it, and tell how much it gives at once."""
    octets = b""
    while len(octets) // 2 < block.length + 2:
        quantity = _quantity(block, len(octets) // 2, block_max)
        answer = await asking.ask(block.address + len(octets) // 2, quantity)
        if isinstance(answer, bytes):
            octets += answer
        elif quantity <= BLOCK_MIN or answer.transient:
            break
        else:
            block_max = max(BLOCK_MIN, quantity // 2)
    return octets, block_max


def _quantity(block: Block, done: int, block_max: int) -> int:
    """Give how many registers of a model to ask for next: all that fit, up to the end of a point."""
    rest = block.length + 2 - done
    if rest <= block_max:
        return rest
    try:
        ends = [point.end - done for point in compile_model(block.id).points.values()]
    except UnknownModelError:
        return block_max
    return max((end for end in ends if 0 < end <= block_max), default=block_max)
