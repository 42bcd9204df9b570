"""A DSO's or market operator's IEEE 2030.5-2018 server over TLS 1.2 with mutual certificates (clause 6)."""

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from hil.clock import Clock
from hil.listener import Listener, Outage
from hil.sep2 import bodies
from hil.sep2.curve_plan import linked
from hil.sep2.curves import Curve
from hil.sep2.events import Control
from hil.sep2.intake import Reply, Report
from hil.sep2.records import Program, Resource, lfdi_of, mrid_of
from hil.sep2.subscribing import Notice, Notifier, Subscriptions
from hil.sep2.tree import Rates, Tree

CIPHERS = "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files of one TLS identity: the chain with its leaf first, its key, and the authorities that it trusts."""

    chain: Path
    key: Path
    trust: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path, name: str) -> "Certificate":
        """The identity `name` in a folder of NAME.pem, NAME.key and serca.pem, mca.pem, mica.pem."""
        trust = tuple(folder / f"{authority}.pem" for authority in ("serca", "mca", "mica"))
        return cls(folder / f"{name}.pem", folder / f"{name}.key", trust)

    @property
    def lfdi(self) -> str:
        """LFDI of the leaf."""
        leaf = x509.load_pem_x509_certificates(self.chain.read_bytes())[0]
        return lfdi_of(leaf.public_bytes(Encoding.DER))


class Override(NamedTuple):
    """What one path answers instead of its resource."""

    status: int
    body: bytes
    content_type: str = bodies.MEDIA_TYPE


class HeadEnd:
    """One server with its own certificate, port, clock offset, programs and faults.

    `tree` is the kind of its resource tree: how its addresses are laid out.
    Only the client whose certificate has `client_lfdi` is served; others get 403. `report` is told of every happening;
    `schema`, if given, is asked about every body received, beside envoy-schema. With `notifies` the client may
    subscribe to what it reads, and is told of what changes, at once and once.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        certificate: Certificate,
        client_lfdi: str,
        *,
        resources: Sequence[Resource],
        programs: Sequence[Program],
        report: Report | None = None,
        rates: Rates | None = None,
        schema: etree.XMLSchema | None = None,
        tree: type[Tree] = Tree,
        notifies: bool = False,
    ) -> None:
        self.name = name
        self.lfdi = certificate.lfdi
        self.overrides: dict[str, Override] = {}
        self.aliases: dict[str, str] = {}
        """Other addresses of resources, each with the one that it stands for."""
        self.requests: list[tuple[int, str, str, int]] = []
        self.contacted = asyncio.Event()
        self._told = report
        self._clock = clock
        self._listener = Listener(self._serve, lambda: server_tls(certificate))
        self.tree = tree(
            clock,
            client_lfdi.upper(),
            resources,
            programs,
            report=self._report,
            rates=rates or Rates(),
            schema=schema,
        )

        own_href = f"/edev/{self.tree.own_index}"
        self.subscriptions = Subscriptions(own_href, self._read, self._report) if notifies else None
        self.notifier = Notifier(lambda: client_tls(certificate), self._report)

    @property
    def url(self) -> str:
        """Address of the DeviceCapability; valid once started."""
        return f"https://127.0.0.1:{self._listener.port}/dcap"

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1; port 0 takes any free one."""
        await self._listener.start(port)

    async def stop(self) -> None:
        """Drop all connections and free the port."""
        await self.notifier.stop()
        await self._listener.stop()

    def issue(
        self,
        program: str,
        name: str,
        modes: Mapping[str, object],
        start_s: int,
        duration_s: int,
        *,
        mrid: str | None = None,
        creation_offset_s: int = 0,
        randomize_start_s: int | None = None,
        randomize_duration_s: int | None = None,
        response_required: str = "03",
        version: int | None = None,
        since_ms: int | None = None,
    ) -> Control:
        """List a new control that starts `start_s` and says it was created `creation_offset_s` seconds from now.

        With `since_ms` (shared clock) both count from then. With a version it takes the place of the control of its
        name, whatever version that had. A mode of `{"curve": name}` links to that curve of the program. Raises
        ValueError for an unknown program or curve, a name that is taken, or modes that DERControlBase does not have.
        """
        home = self.tree.program(program)
        modes = self._linked(home, modes)
        bodies.control_base(modes)
        now_s = self.tree.now_s()
        since_s = now_s if since_ms is None else (since_ms + self.tree.time_offset_ms) // 1000
        control = Control(
            name=name,
            mrid=(mrid or mrid_of(f"{self.name} {program} {name}")).upper(),
            modes=dict(modes),
            created_s=since_s + creation_offset_s,
            issued_s=now_s,
            start_s=since_s + start_s,
            duration_s=duration_s,
            randomize_start_s=randomize_start_s,
            randomize_duration_s=randomize_duration_s,
            response_required=response_required,
            version=version or 0,
        )
        if version is not None:
            home.controls = {mrid: held for mrid, held in home.controls.items() if held.name != name}
        if any(name == held.name or control.mrid == held.mrid for held in self._controls()):
            raise ValueError(f'head-end "{self.name}" already holds control "{name}" or mRID {control.mrid}')
        home.controls[control.mrid] = control
        self._report("issued", program=program, control=name, mrid=control.mrid, modes=control.modes, start_s=start_s)
        self.changed()
        return control

    def cancel(self, name: str) -> Control:
        """Mark a control cancelled from now on; raises ValueError when no program holds it."""
        for control in self._controls():
            if control.name == name:
                control.cancelled_s = self.tree.now_s()
                self._report("cancelled", control=name, mrid=control.mrid)
                self.changed()
                return control
        raise ValueError(f'head-end "{self.name}" holds no control "{name}"')

    def unlist(self, name: str) -> None:
        """Take a control off its list without a word; raises ValueError when no program holds it."""
        home = next(
            (each for each in self.tree.programs if any(one.name == name for one in each.controls.values())), None
        )
        if home is None:
            raise ValueError(f'head-end "{self.name}" holds no control "{name}"')
        home.controls = {mrid: held for mrid, held in home.controls.items() if held.name != name}
        self._report("unlisted", control=name)

    def set_default(self, program: str, modes: Mapping[str, object] | None, set_grad_w: int | None = None) -> None:
        """Replace a program's DefaultDERControl; None takes it away. Raises ValueError as `issue` does."""
        home = self.tree.program(program)
        if modes is not None:
            modes = self._linked(home, modes)
        bodies.control_base(modes or {})
        home.default, home.set_grad_w = modes, set_grad_w
        self._report("default", program=program, modes=modes)
        self.changed()

    def changed(self) -> None:
        """Tell the client of what it is subscribed to and is not as it was."""
        if self.subscriptions is not None:
            self._notify(self.subscriptions.changed(self._origin()))

    def lose_subscriptions(self) -> None:
        """Know of no subscription any more, as after a restart without a disk."""
        if self.subscriptions is not None:
            self.subscriptions.held.clear()

    def end_subscriptions(self, status: int) -> None:
        """End all subscriptions for a reason (1 to 4) that the client is told."""
        if self.subscriptions is not None:
            self._notify(self.subscriptions.end(self._origin(), status))

    def _notify(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            self.notifier.post(notice)

    def _origin(self) -> str:
        return self.url.removesuffix("/dcap")

    def _read(self, path: str, query: Mapping[str, str]) -> Reply:
        return self.tree.handle("GET", path, query, b"")

    def set_curve(self, program: str, curve: Curve) -> str:
        """List a curve, in place of the program's curve of that name if there is one; give its address."""
        home = self.tree.program(program)
        names = [held.name for held in home.curves]
        if curve.name in names:
            home.curves[names.index(curve.name)] = curve
        else:
            home.curves.append(curve)
        href = self._curve_href(home, curve.name)
        self._report("curve", program=program, curve=curve.name, href=href)
        return href

    def _linked(self, home: Program, modes: Mapping[str, object]) -> dict[str, object]:
        return linked(modes, lambda name: self._curve_href(home, name))

    def _curve_href(self, home: Program, name: str) -> str:
        for number, held in enumerate(home.curves, 1):
            if held.name == name:
                return f"{self.tree.href(home)}/dc/{number}"
        raise ValueError(f'program "{home.name}" has no curve "{name}"; list it first')

    def set_time_offset(self, offset_ms: int) -> None:
        """Set how far this server's clock is ahead of the shared one, in ms."""
        self.tree.time_offset_ms = offset_ms
        self._report("time_offset", offset_ms=offset_ms)

    def override(self, path: str, override: Override | None) -> None:
        """Answer one path with fixed bytes whatever the method; None lifts it."""
        if override is None:
            self.overrides.pop(path, None)
        else:
            self.overrides[path] = override
        self._report("override", path=path, status=None if override is None else override.status)

    async def set_outage(self, outage: Outage) -> None:
        """Fail from now on: "refuse" connections, answer "error" 500, "hang" without answer; "none" ends it."""
        await self._listener.set_outage(outage)
        self._report("outage", how=outage)

    def _controls(self) -> list[Control]:
        return [control for program in self.tree.programs for control in program.controls.values()]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        response = await self._answer(request)
        self.requests.append((self._clock.now_ms(), request.method, request.path_qs, response.status))
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        if await self._listener.fails():
            return web.Response(status=500)
        lfdi = _peer_lfdi(request)
        if lfdi != self.tree.client_lfdi:
            self._report("stranger", lfdi=lfdi, method=request.method, path=request.path)
            return web.Response(status=403)
        self.contacted.set()
        override = self.overrides.get(request.path)
        if override is not None:
            return web.Response(status=override.status, body=override.body, content_type=override.content_type)
        body = await request.read()
        if body and request.content_type != bodies.MEDIA_TYPE:
            return web.Response(status=415)
        reply = self._reply(request, body)
        headers = {"Location": reply.location} if reply.location else {}
        kind = bodies.MEDIA_TYPE if reply.body else None
        return web.Response(status=reply.status, body=reply.body or None, content_type=kind, headers=headers)

    def _reply(self, request: web.Request, body: bytes) -> Reply:
        told, path = self.subscriptions, self.aliases.get(request.path, request.path)
        if told is None:
            return self.tree.handle(request.method, path, request.query, body)
        reply = told.handle(request.method, path, request.query, body)
        if reply is None:
            reply = self.tree.handle(request.method, path, request.query, body)
            if request.method == "GET" and reply.status == 200:
                return reply._replace(body=told.mark(reply.body))
        return reply

    def _report(self, kind: str, **particulars: object) -> None:
        if self._told is not None:
            self._told(kind, head_end=self.name, **particulars)


def server_tls(certificate: Certificate) -> ssl.SSLContext:
    """TLS 1.2 with ECDHE-ECDSA-AES128-CCM8 alone and a client certificate required (IEEE 2030.5-2018 clause 6)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_TICKET
    context.load_cert_chain(certificate.chain, certificate.key)
    for authority in certificate.trust:
        context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_tls(certificate: Certificate) -> ssl.SSLContext:
    """The same suite for the other direction; clients are known by their authorities, for they bear no host name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.load_cert_chain(certificate.chain, certificate.key)
    for authority in certificate.trust:
        context.load_verify_locations(authority)
    context.check_hostname = False
    return context


def _peer_lfdi(request: web.Request) -> str | None:
    tls = request.transport.get_extra_info("ssl_object") if request.transport else None
    leaf = tls.getpeercert(binary_form=True) if tls is not None else None
    return lfdi_of(leaf) if leaf else None
