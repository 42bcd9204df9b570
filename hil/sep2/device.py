"""A simulated inverter that is an IEEE 2030.5-2018 client: it polls, obeys, answers, and posts what it measures."""

import asyncio
import logging
import math
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar, get_args

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from envoy_schema.server.schema.sep2 import der, device_capability, end_device, response, time
from envoy_schema.server.schema.sep2 import function_set_assignments as fsa
from pydantic_xml import BaseXmlModel

from hil.clock import Clock
from hil.physics.plant import Plant, Wish
from hil.sep2 import bodies, telemetry
from hil.sep2.obedience import Heard, Obedience
from hil.sep2.records import lfdi_of
from hil.standing import Standing

CIPHERS = "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"
PAGE = 50
TIMEOUT_S = 5.0
AGAIN_WALL_S = 0.05

Fault = Literal["ignores_limit", "silent", "mute", "refuses"]
FAULTS: tuple[str, ...] = get_args(Fault)

Model = TypeVar("Model", bound=BaseXmlModel)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """One simulated 2030.5 inverter.

    `chain`, `key` and `trust` are its TLS identity, `lfdi` its own where somebody else's certificate speaks for it.
    `poll_s` and `post_s` are what the server says where None. With a `load_w` it generates nothing and draws so much
    by itself, as a charger does. Other fields as of `InverterSpec`.
    """

    name: str
    chain: Path
    key: Path
    trust: tuple[Path, ...]
    server_lfdi: str | None = None
    lfdi: str | None = None
    pin: int | None = None
    poll_s: int | None = None
    post_s: int | None = None
    rated_w: int = 5000
    bus: str = ""
    phases: tuple[int, ...] = (1, 2, 3)
    nominal_v: float = 240.0
    irradiance: float = 1.0
    load_w: int = 0
    time_constant_s: float = 1.0

    def own_lfdi(self) -> str:
        """The LFDI that it goes by."""
        if self.lfdi is not None:
            return self.lfdi.upper()
        leaf = x509.load_pem_x509_certificates(self.chain.read_bytes())[0]
        return lfdi_of(leaf.public_bytes(Encoding.DER))


class WrongServerError(Exception):
    """The server is not the one that is pinned, or knows another PIN."""


class Device(Standing):
    """One inverter and its connection to the server whose DeviceCapability is at `url`.

    Faults: "ignores_limit": controls are answered, power does not follow; "silent": asks nothing; "mute": posts no
    Response; "refuses": answers every new event with 252 and does not carry it out.
    """

    def __init__(self, spec: DeviceSpec, clock: Clock, url: str) -> None:
        self.spec: DeviceSpec = spec
        self.url = url
        self.obedience = Obedience()
        self.modes: dict[str, object] = {}
        self.reads = 0
        self.posted: list[tuple[str, int]] = []
        self.telemetry = telemetry.Telemetry(spec.own_lfdi())
        self.irradiance = spec.irradiance
        self.volts = spec.nominal_v
        self._clock = clock
        self._lfdi = spec.own_lfdi()
        self._plant = Plant(spec.rated_w, spec.time_constant_s)
        self._stepped_ms: int | None = None
        self._offset_ms = 0
        self._poll_s = spec.poll_s or 60
        self._post_s = spec.post_s
        self._faults: set[str] = set()
        self._der = ""
        self._mup = ""
        self._http: aiohttp.ClientSession | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._plant.absorbs_w = float(spec.load_w)
        self._plant.step(clock.now_ms(), math.inf, self._available_w(), spec.rated_w, Wish())

    # -- what a street wants of a device

    @property
    def w(self) -> float:
        """True active power, W."""
        return self._plant.w

    @property
    def var(self) -> float:
        """True reactive power, var."""
        return self._plant.var

    @property
    def draw_w(self) -> float:
        """What it draws by itself, W: its load, and no more than the modes in force allow."""
        limits = [_watts(self.modes[name]) for name in ("opModImpLimW", "opModLoadLimW") if name in self.modes]
        return min([float(self.spec.load_w), *([] if "ignores_limit" in self._faults else limits)])

    @property
    def limit_w(self) -> float | None:
        """The limit of the modes in force, W; None where they have none."""
        limits = [_watts(self.modes[name]) for name in ("opModExpLimW", "opModGenLimW") if name in self.modes]
        if "opModMaxLimW" in self.modes:
            limits.append(_share(self.modes["opModMaxLimW"]) * self.spec.rated_w)
        return min(limits, default=None)

    def step(self, now_ms: int, volts: tuple[float, ...] | None = None, hz: float = 60.0) -> None:
        """Advance to `now_ms`; volts: line to neutral, one per connected phase, None is nominal."""
        del hz
        self.volts = sum(volts) / len(volts) if volts else self.spec.nominal_v
        dt_s = max(0, now_ms - (self._stepped_ms or now_ms)) / 1000
        self._stepped_ms = now_ms
        self.modes = self.obedience.in_force(self._server_s(now_ms))
        self._plant.absorbs_w = self.draw_w
        self._plant.step(now_ms, dt_s, self._available_w(), self.spec.rated_w, self._wish())
        self.telemetry.sample(self.w, self.var, self.volts)

    async def start(self) -> None:
        """Begin to speak with the server, whether it is there or not."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=client_tls(self.spec), limit=2),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )
        self._tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._answer())]

    async def stop(self) -> None:
        """Break off."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def faults(self) -> frozenset[str]:
        """The faults that are on."""
        return frozenset(self._faults)

    def set_fault(self, fault: str, on: bool) -> None:
        """Turn a fault on or off; raises ValueError for a name that is not in `FAULTS`."""
        if fault not in FAULTS:
            raise ValueError(f'fault "{fault}" is not known; use one of {", ".join(FAULTS)}')
        (self._faults.add if on else self._faults.discard)(fault)
        self.obedience.refuses = "refuses" in self._faults

    # -- physics

    def _available_w(self) -> float:
        return -float(self.spec.load_w) if self.spec.load_w else self.irradiance * self.spec.rated_w

    def _wish(self) -> Wish:
        modes, rated_w = self.modes, self.spec.rated_w
        if "ignores_limit" in self._faults:
            return Wish(limit_w=rated_w)
        target: float | None = None
        if "opModTargetW" in modes:
            target = _watts(modes["opModTargetW"])
        elif "opModFixedW" in modes:
            target = _share(modes["opModFixedW"]) * rated_w
        ramp = modes.get("rampTms")
        return Wish(
            energize=modes.get("opModConnect", True) is True and modes.get("opModEnergize", True) is True,
            limit_w=self.limit_w,
            set_w=target,
            ramp_s=ramp / 100 if isinstance(ramp, int) else 0.0,
        )

    # -- reading

    def _server_s(self, now_ms: int) -> int:
        return (now_ms + self._offset_ms) // 1000

    async def _poll(self) -> None:
        while True:
            began_ms = self._clock.now_ms()
            if "silent" not in self._faults:
                try:
                    await self._read()
                    await self._report(began_ms)
                    self.reads += 1
                except (aiohttp.ClientError, TimeoutError, OSError, bodies.BadBodyError, WrongServerError) as fault:
                    log.info("%s: %s", self.name, fault)
                    await asyncio.sleep(AGAIN_WALL_S)
            await self._clock.sleep_until_ms(began_ms + 1000 * self._poll_s)

    async def _read(self) -> None:
        """Read everything once: the clock, its EndDevice, the programs with their events and defaults."""
        entry = await self._get(self.url, device_capability.DeviceCapabilityResponse)
        self._poll_s = self.spec.poll_s or entry.pollRate or self._poll_s
        if entry.TimeLink is not None:
            clock = await self._get(entry.TimeLink.href, time.TimeResponse)
            self._offset_ms = 1000 * clock.currentTime + 500 - self._clock.now_ms()
        if entry.EndDeviceListLink is None:
            return
        self._mup = "" if entry.MirrorUsagePointListLink is None else entry.MirrorUsagePointListLink.href
        device = await self._find(entry.EndDeviceListLink.href)
        self._post_s = self.spec.post_s or device.postRate
        if self.spec.pin is not None:
            await self._compare_pin(device)
        self._der = "" if device.DERListLink is None else f"{device.DERListLink.href}/1"
        if device.FunctionSetAssignmentsListLink is not None:
            await self._programs(device.FunctionSetAssignmentsListLink.href)

    async def _find(self, href: str) -> end_device.EndDeviceResponse:
        place, total = 0, 1
        while place < total:
            page = await self._get(f"{href}?s={place}&l={PAGE}", end_device.EndDeviceListResponse)
            found = page.EndDevice or []
            for device in found:
                if (device.lFDI or "").upper() == self._lfdi:
                    return device
            place, total = place + max(1, len(found)), page.all_
        raise WrongServerError(f"the server has no EndDevice {self._lfdi}")

    async def _compare_pin(self, device: end_device.EndDeviceResponse) -> None:
        if device.RegistrationLink is None:
            raise WrongServerError("the server has no registration of it")
        given = await self._get(device.RegistrationLink.href, end_device.RegistrationResponse)
        if given.pIN != self.spec.pin:
            raise WrongServerError(f"the server knows PIN {given.pIN}")

    async def _programs(self, href: str) -> None:
        heard: list[Heard] = []
        defaults: dict[int, Mapping[str, object]] = {}
        assigned = await self._get(f"{href}?s=0&l={PAGE}", fsa.FunctionSetAssignmentsListResponse)
        for assignment in assigned.FunctionSetAssignments or []:
            if assignment.DERProgramListLink is None:
                continue
            listed = await self._get(f"{assignment.DERProgramListLink.href}?s=0&l={PAGE}", der.DERProgramListResponse)
            for program in listed.DERProgram or []:
                if program.DefaultDERControlLink is not None:
                    default = await self._get(program.DefaultDERControlLink.href, der.DefaultDERControl)
                    defaults.setdefault(int(program.primacy), _modes(default.DERControlBase_))
                if program.DERControlListLink is not None:
                    heard += await self._events(program.DERControlListLink.href, int(program.primacy))
        now_s = self._server_s(self._clock.now_ms())
        self.obedience.hear(heard, now_s)
        self.obedience.forget(now_s, [one.mrid for one in heard])
        if defaults:
            self.obedience.defaults = defaults

    async def _events(self, href: str, primacy: int) -> list[Heard]:
        heard: list[Heard] = []
        total = 1
        while len(heard) < total:
            page = await self._get(f"{href}?s={len(heard)}&l={PAGE}", der.DERControlListResponse)
            total = page.all_
            if not page.DERControl:
                break
            heard += [_heard(one, primacy) for one in page.DERControl]
        return heard

    async def _get(self, href: str, kind: type[Model]) -> Model:
        assert self._http is not None
        async with self._http.get(self._resolved(href)) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise aiohttp.ClientError(f"GET {href}: status {answer.status}")
        return bodies.decode(kind, body)

    def _resolved(self, href: str) -> str:
        return href if href.startswith("https:") else f"{self.url.rpartition('/')[0]}{href}"

    # -- writing

    async def _answer(self) -> None:
        """Post what is owed, in order; what the server refuses is not posted again."""
        while True:
            if not self.obedience.owed or self._faults & {"silent", "mute"}:
                await asyncio.sleep(AGAIN_WALL_S)
                continue
            owed = self.obedience.owed[0]
            body = response.DERControlResponse(
                createdDateTime=self._server_s(self._clock.now_ms()),
                endDeviceLFDI=self._lfdi,
                status=response.ResponseType(owed.status),
                subject=owed.mrid,
            )
            try:
                await self._send("POST", owed.reply_to, body)
            except (aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(AGAIN_WALL_S)
                continue
            self.posted.append((owed.mrid, owed.status))
            self.obedience.owed.remove(owed)

    async def _report(self, now_ms: int) -> None:
        """Put the documents of its DER, then post a reading where one is due."""
        now_s = self._server_s(now_ms)
        off = not self._wish().energize
        if self._der:
            for name, document in self.telemetry.documents(self.spec.rated_w, now_s, off=off):
                await self._send("PUT", f"{self._der}/{name}", document)
        if not self._mup or not self.telemetry.due(now_s, self._post_s):
            return
        if not self.telemetry.href:
            await self._send("POST", self._mup, self.telemetry.usage_point())
        status = await self._send("POST", self.telemetry.href, self.telemetry.readings(now_s))
        if status == 404:
            self.telemetry.href = ""

    async def _send(self, method: str, href: str, model: BaseXmlModel) -> int:
        assert self._http is not None
        headers = {"Content-Type": bodies.MEDIA_TYPE}
        url, body = self._resolved(href), bodies.encode(model)
        async with self._http.request(method, url, data=body, headers=headers) as answer:
            if "Location" in answer.headers and method == "POST" and href == self._mup:
                self.telemetry.href = answer.headers["Location"]
            if answer.status >= 400:
                log.info("%s: %s %s: status %d", self.name, method, href, answer.status)
            return answer.status


def client_tls(spec: DeviceSpec) -> ssl.SSLContext:
    """TLS 1.2 with ECDHE-ECDSA-AES128-CCM8 alone; the server is known by its LFDI, for it has no name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.load_cert_chain(spec.chain, spec.key)
    for authority in spec.trust:
        context.load_verify_locations(authority)
    pinned = spec.server_lfdi

    class Pinned(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            leaf = self.getpeercert(binary_form=True)
            if pinned is not None and (not leaf or lfdi_of(leaf) != pinned.upper()):
                raise ssl.SSLCertVerificationError(1, "another server than the one that is pinned")

    context.sslobject_class = Pinned
    return context


def _heard(one: der.DERControlResponse, primacy: int) -> Heard:
    return Heard(
        mrid=str(one.mRID).upper(),
        primacy=primacy,
        created_s=one.creationTime,
        start_s=one.interval.start,
        end_s=one.interval.start + one.interval.duration,
        modes=_modes(one.DERControlBase_),
        status=int(one.EventStatus_.currentStatus),
        reply_to=one.replyTo,
        wanted=int(one.responseRequired or "0", 16),
    )


def _modes(base: der.DERControlBase) -> dict[str, object]:
    return {name: getattr(base, name) for name in type(base).model_fields if getattr(base, name) is not None}


def _watts(mode: object) -> float:
    value, multiplier = getattr(mode, "value", None), getattr(mode, "multiplier", None)
    assert isinstance(value, int)
    assert isinstance(multiplier, int)
    return float(value * 10.0**multiplier)


def _share(mode: object) -> float:
    assert isinstance(mode, int)
    return mode / 10_000
