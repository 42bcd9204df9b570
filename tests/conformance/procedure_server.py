"""The procedures' server: the head-end over TLS, told of every request before and after it is served, and what is done
to it by their actions.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from procedure_script import Parameters

from hil.clock import Clock
from hil.head_end import Certificate, HeadEnd, Override
from hil.sep2.events import Control
from hil.sep2.records import Program, Resource, mrid_of
from hil.sep2.tree import Rates
from hil.sep2.utility import UtilityTree

HOUSES = ("house-1", "house-2")
ENTERPRISE = "00012345"
"""The last eight digits of the LFDIs that an aggregator makes: its Private Enterprise Number in decimal."""
POLLS = {
    "dcap_poll_seconds": "dcap",
    "edev_list_poll_seconds": "edev_list",
    "fsa_list_poll_seconds": "fsa_list",
    "derp_list_poll_seconds": "derp_list",
    "der_list_poll_seconds": "der_list",
    "mup_list_poll_seconds": "mup_list",
}
SOME_RATE = {"tp_list_poll_seconds", "tti_list_poll_seconds"}
"""Rates of resources that this server does not have."""

WANTS = {
    "create-der-control": "/edev/*/derp/*/derc",
    "cancel-active-der-controls": "/edev/*/derp/*/derc",
    "set-default-der-control": "/edev/*/derp/*/dderc",
}
"""Actions that change what is asked of a DER, and where that is read."""

Triggered = Callable[[str, str, bool], None]
"""Told of a request: its method, its path, and whether it was served already."""


class CannotPlayError(Exception):
    """A procedure asks for what the server here cannot do."""


def lfdi_of_house(house: str) -> str:
    return mrid_of(house) + ENTERPRISE


def with_check_digit(pin: int) -> int:
    """A PIN as it is registered: its digit sum ends in zero (IEEE 2030.5-2018 6.3.5)."""
    return pin * 10 + -sum(int(digit) for digit in str(pin)) % 10


def matches(path: str, endpoint: str) -> bool:
    """Whether an address is of this endpoint; a star is any one part of it."""
    return re.fullmatch(re.escape(endpoint).replace(r"\*", "[^/]+"), path) is not None


@dataclass(frozen=True, slots=True)
class Forced:
    """What an address answers until an instant (ms), or for ever."""

    endpoint: str
    status: int
    retry_after_s: int | None
    until_ms: int | None


class ProcedureServer(HeadEnd):
    """One head-end that a procedure acts on; `tell` is told of every request on the first page of a list."""

    def __init__(self, clock: Clock, pki: Path, own_lfdi: str, houses: int, tell: Triggered) -> None:
        super().__init__(
            "utility",
            clock,
            Certificate.of(pki, "utility"),
            own_lfdi,
            resources=[Resource(house, lfdi_of_house(house)) for house in HOUSES[:houses]],
            programs=[],
            rates=Rates(page_limit=50, poll_rate_s=300, post_rate_s=60),
            tree=UtilityTree,
            notifies=True,
        )
        self.tell = tell
        self.in_contact = True
        self.has_empty_defaults = False
        """Whether a program has a default, of nothing, before one is set: only what is there can be subscribed to."""
        self.read_ms: int | None = None
        """When both controls and defaults were read first after any was made or changed; None while they were not."""
        self._unread: set[str] = set()
        self.begun_ms = 0
        self.tagged: dict[str, Control] = {}
        self.homes: dict[str, Program] = {}
        self._forced: list[Forced] = []
        self._issued = 0
        self.versions: dict[str, object] = {}
        """What it says of the versions that it speaks, once a procedure lets it."""

    @property
    def utility(self) -> UtilityTree:
        """The resource tree, as what it is."""
        assert isinstance(self.tree, UtilityTree)
        return self.tree

    async def _answer(self, request: web.Request) -> web.Response:
        first = request.query.get("s", "0") == "0"
        if first:
            self.tell(request.method, request.path, False)
        if not self.in_contact:
            return web.Response(status=500)
        for forced in self._forced:
            if matches(request.path, forced.endpoint) and (
                forced.until_ms is None or self._clock.now_ms() < forced.until_ms
            ):
                after = {} if forced.retry_after_s is None else {"Retry-After": str(forced.retry_after_s)}
                return web.Response(status=forced.status, headers=after)
        response = await super()._answer(request)
        self._unread -= {each for each in self._unread if matches(request.path, each)}
        if self.read_ms is None and not self._unread:
            self.read_ms = self._clock.now_ms()
        if first:
            self.tell(request.method, request.path, True)
        return response

    # -- what procedures do

    def act(self, kind: str, given: Parameters) -> None:
        """Do one action with its parameters worked out; raises CannotPlayError for one that is unknown here."""
        actions: dict[str, Callable[[Parameters], None]] = {
            "set-comms-rate": self._set_rates,
            "create-der-program": self._create_program,
            "set-default-der-control": self._set_default,
            "create-der-control": self._create_control,
            "cancel-active-der-controls": self._cancel,
            "communications-status": self._set_contact,
            "edev-registration-links": self._set_links,
            "register-end-device": self._register,
            "remove-function-set-assignment": lambda said: self.utility.hide_assignment(said["fsa_id"]),
            "force-response-status": self._force,
            "create-wellknown-route": self._speak,
            "add-proxy-route": lambda said: self.aliases.update({said["route"]: said["proxy_to"]}),
        }
        if kind not in actions:
            raise CannotPlayError(f"no action {kind}")
        actions[kind](given)
        if kind in WANTS:
            self.read_ms = None
            self._unread.add(WANTS[kind])
        self.changed()

    def _set_rates(self, given: Parameters) -> None:
        for name, rate_s in given.items():
            if name == "mup_post_seconds":
                self.tree.rates.post_rate_s = rate_s
            elif name == "edev_post_seconds":
                self.utility.device_post_rate_s = rate_s
            elif name in POLLS:
                self.utility.poll_at(POLLS[name], rate_s)
            elif name not in SOME_RATE:
                raise CannotPlayError(f"no rate {name}")

    def _create_program(self, given: Parameters) -> None:
        program = self._added(given["primacy"], given.get("fsa_id", 1))
        if "tag" in given:
            self.homes[given["tag"]] = program

    def _set_default(self, given: Parameters) -> None:
        said = dict(given)
        derp_id, grad, cancelled = (said.pop(key, None) for key in ("derp_id", "setGradW", "cancelled"))
        if derp_id is not None and not 1 <= derp_id <= len(self.tree.programs):
            raise CannotPlayError(f"no program {derp_id}")
        programs = self.tree.programs if derp_id is None else [self.tree.programs[derp_id - 1]]
        for program in programs:
            kept = {} if cancelled else dict(program.default or {})
            kept_grad = None if cancelled else program.set_grad_w
            self.set_default(program.name, kept | said, kept_grad if grad is None else grad)

    def _create_control(self, given: Parameters) -> None:
        said = dict(given)
        said.pop("end_device_indexes", None)
        tag, start_ms, duration_s = said.pop("tag", None), said.pop("start"), said.pop("duration_seconds")
        program = self._home(said.pop("der_program_tag", None), said.pop("primacy", None), said.pop("fsa_id", None))
        ramp_s, random_s = said.pop("ramp_time_seconds", None), said.pop("randomizeStart_seconds", None)
        exponent = said.pop("pow_10_multipliers", None)
        modes: dict[str, Any] = {mode: _scaled(value, exponent) for mode, value in said.items()}
        if ramp_s is not None:
            modes["rampTms"] = round(100 * ramp_s)
        self._issued += 1
        control = self.issue(
            program.name,
            f"control {self._issued}",
            modes,
            start_ms // 1000 - self.tree.now_s(),
            duration_s,
            randomize_start_s=random_s,
        )
        if tag is not None:
            self.tagged[tag] = control

    def _home(self, tag: str | None, primacy: int | None, fsa_id: int | None) -> Program:
        """Find the program that a control goes below, or make one."""
        if tag is not None:
            return self.homes[tag]
        wanted = primacy or 0
        for program in self.tree.programs:
            if program.primacy == wanted and fsa_id in (None, self.utility.assignment_of(program)):
                return program
        return self._added(wanted, fsa_id or 1)

    def _added(self, primacy: int, assignment: int) -> Program:
        program = self.utility.add_program(primacy, assignment)
        if self.has_empty_defaults:
            program.default = {}
        return program

    def _cancel(self, _given: Parameters) -> None:
        """Cancel all that is not over, whether it has begun or not."""
        now_s = self.tree.now_s()
        for program in self.tree.programs:
            for control in program.controls.values():
                if control.cancelled_s is None and now_s < control.latest_end_s:
                    control.cancelled_s = now_s

    def _set_contact(self, given: Parameters) -> None:
        self.in_contact = given["enabled"]

    def _set_links(self, given: Parameters) -> None:
        self.utility.has_registration_links = given["enabled"]

    def _register(self, given: Parameters) -> None:
        self.utility.register(with_check_digit(given.get("registration_pin", 11111)))

    def _speak(self, given: Parameters) -> None:
        self.versions[given["version"]] = {"dcap": given["dcap_paths"]}
        body = json.dumps({"supportedSchemaVersions": self.versions}).encode()
        self.override("/.well-known/csipaus", Override(200, body, "application/json"))

    def _force(self, given: Parameters) -> None:
        lasts_s = given.get("duration_seconds")
        until_ms = None if lasts_s is None else self._clock.now_ms() + 1000 * lasts_s
        self._forced = [one for one in self._forced if one.endpoint != given["endpoint"]]
        self._forced.append(Forced(given["endpoint"], given["status"], given.get("retry_after_seconds"), until_ms))


def _scaled(value: Any, exponent: int | None) -> Any:
    """Write a power with the multiplier that the procedure wants."""
    if isinstance(value, bool) or exponent is None:
        return value
    return {"multiplier": exponent, "value": round(value / 10**exponent)}
