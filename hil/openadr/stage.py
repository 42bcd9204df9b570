"""VTNs of a scenario: their tables, the steps that act on them, what is told of where they listen and what they got."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from hil.clock import Clock
from hil.identity import ServerIdentity, secret_in, server_identity
from hil.listener import Outage
from hil.openadr.answers import LARGEST_PAGE
from hil.openadr_vtn import Vtn
from hil.trial.tables import Strict, demand_known

Optional = int | None | UnsetType


class VtnProgramPlan(Strict):
    """One program; `descriptors` give the units of payload types, or whole descriptors."""

    name: str
    targets: tuple[str, ...] = ()
    descriptors: dict[str, Any] = msgspec.field(default_factory=dict)


class VtnPlan(Strict):
    """One OpenADR 3.1 VTN; port 0 is any free one. The rest is told at `hil.openadr.answers.Rules`.

    Its secret is in NAME.secret of the folder of certificates, made where it is missing; so is its certificate, unless
    `tls` is off. `date_offset_ms` is how far its clock is ahead of the shared one.
    """

    name: str
    client_id: str = "gateway"
    port: int = 0
    tls: bool = True
    token_s: int = 3600
    date_offset_ms: int = 0
    page_limit: int = LARGEST_PAGE
    targets_asked: bool = False
    unique_reports: bool = False
    grants: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    programs: tuple[VtnProgramPlan, ...] = msgspec.field(name="program", default=())


class VtnInterval(Strict):
    payloads: dict[str, Any]
    start_s: int | None = None
    duration_s: int | None = None
    randomize_start_s: int | None = None
    id: int | None = None


class VtnIssue(Strict):
    """List a new event; without a start it says "now", without a duration for ever. See `hil.openadr_vtn.Vtn.issue`.

    OpenADR has no word for how it ended, so `expect` is only passed on to who can read it elsewhere.
    """

    vtn: str
    program: str
    name: str
    payloads: dict[str, Any] = msgspec.field(default_factory=dict)
    start_s: int | None = None
    duration_s: int | None = None
    priority: int | None = None
    targets: tuple[str, ...] = ()
    intervals: tuple[VtnInterval, ...] = ()
    randomize_start_s: int | None = None
    descriptors: dict[str, Any] = msgspec.field(default_factory=dict)
    report_descriptors: tuple[dict[str, Any], ...] = ()
    since_ms: int | None = None
    expect: str | None = None


class VtnModify(Strict):
    """Give some fields of an event anew; a start counts from the moment of this step, or from `since_ms`."""

    vtn: str
    name: str
    payloads: dict[str, Any] | UnsetType = UNSET
    start_s: Optional = UNSET
    duration_s: Optional = UNSET
    priority: Optional = UNSET
    targets: tuple[str, ...] | UnsetType = UNSET
    intervals: tuple[VtnInterval, ...] | UnsetType = UNSET
    randomize_start_s: Optional = UNSET
    descriptors: dict[str, Any] | UnsetType = UNSET
    report_descriptors: tuple[dict[str, Any], ...] | UnsetType = UNSET
    since_ms: int | None = None


class VtnDelete(Strict):
    vtn: str
    name: str


class VtnRaw(Strict):
    """List an event that is served exactly as it is."""

    vtn: str
    body: dict[str, Any]


class VtnOutage(Strict):
    vtn: str
    how: Outage


VtnAct = VtnIssue | VtnModify | VtnDelete | VtnRaw | VtnOutage


class VtnStage:
    """One VTN of a running scenario; files of its own are made in `folder`."""

    def __init__(self, plan: VtnPlan, clock: Clock, folder: Path, report: Callable[..., None]) -> None:
        self.plan = plan
        self._expected: list[dict[str, str]] = []
        self.secret_file = folder / f"{plan.name}.secret"
        self._identity: ServerIdentity | None = server_identity(folder, f"{plan.name}-vtn") if plan.tls else None
        self.vtn = Vtn(
            plan.name,
            clock,
            client_id=plan.client_id,
            client_secret=secret_in(self.secret_file),
            report=report,
            ssl_context=None if self._identity is None else self._identity.context(),
        )
        self.vtn.date_offset_ms = plan.date_offset_ms
        self.vtn.tokens.lifetime_s = plan.token_s
        rules = self.vtn.rules
        rules.page_limit, rules.targets_asked = plan.page_limit, plan.targets_asked
        rules.unique_reports, rules.grants = plan.unique_reports, plan.grants
        for program in plan.programs:
            self.vtn.program(program.name, targets=program.targets, descriptors=program.descriptors)

    async def start(self) -> None:
        """Listen."""
        await self.vtn.start(self.plan.port)

    async def stop(self) -> None:
        """Listen no longer."""
        await self.vtn.stop()

    def ready(self) -> dict[str, Any]:
        """Where it listens, for whom, and the files with the secret and the authority to trust."""
        return {
            "url": self.vtn.url,
            "client_id": self.plan.client_id,
            "secret_file": str(self.secret_file),
            "trust": None if self._identity is None else str(self._identity.trust),
        }

    async def act(self, act: VtnAct) -> None:
        """Bring about one step; raises ValueError when it does not fit what the VTN holds."""
        match act:
            case VtnIssue():
                given = msgspec.structs.asdict(act)
                del given["vtn"], given["expect"]
                event = self.vtn.issue(**given | {"intervals": _plain(act.intervals)})
                if act.expect is not None:
                    self._expected.append(
                        {"vtn": self.plan.name, "event": act.name, "id": str(event["id"]), "expect": act.expect}
                    )
            case VtnModify():
                given = {name: one for name, one in msgspec.structs.asdict(act).items() if one is not UNSET}
                del given["vtn"]
                if not isinstance(act.intervals, UnsetType):
                    given["intervals"] = _plain(act.intervals)
                self.vtn.modify(**given)
            case VtnDelete():
                self.vtn.delete(act.name)
            case VtnRaw():
                self.vtn.raw_event(act.body)
            case VtnOutage():
                await self.vtn.set_outage(act.how)

    def expected(self) -> list[dict[str, str]]:
        """Every event that is to end in a certain way, whatever became of it; those deleted since are among them."""
        return list(self._expected)

    def state(self) -> dict[str, Any]:
        """Everything that it serves and everything that it received."""
        return {
            "url": self.vtn.url,
            "programs": self.vtn.programs,
            "events": self.vtn.events,
            "vens": self.vtn.vens,
            "resources": self.vtn.resources,
            "reports": [one._asdict() for one in self.vtn.reports],
            "requests": [one._asdict() for one in self.vtn.requests],
        }


def check_act(plans: Mapping[str, VtnPlan], act: VtnAct) -> None:
    """Raise ValueError when a step names a VTN or a program that the scenario lacks."""
    demand_known("vtn", act.vtn, plans)
    if isinstance(act, VtnIssue):
        demand_known("program", act.program, (program.name for program in plans[act.vtn].programs))


def _plain(intervals: tuple[VtnInterval, ...]) -> list[dict[str, Any]]:
    return [msgspec.structs.asdict(each) for each in intervals]
