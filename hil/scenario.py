"""Scenario files: inverters, head-ends, VTNs, a timeline of actions, and what is expected of it; data only, TOML."""

import tomllib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from hil.listener import Outage
from hil.mqtt.stage import BrokerAct, MqttBatteryPlan
from hil.openadr.stage import VtnDelete, VtnIssue, VtnModify, VtnOutage, VtnPlan, VtnRaw, check_act
from hil.sep2.curve_plan import CurveAct, CurvePlan, demand_curves
from hil.sep2.records import Answer
from hil.sep2.stage import Sep2DevicePlan
from hil.sunspec.site_meter import LoadAct, MeterPlan, check_load
from hil.trial.tables import Strict, demand_known

TERMINAL = frozenset({3, 6, 7, 8, 9, 10, 13, 14, 252, 253, 254})

Expected = int | list[int]


class ScenarioError(ValueError):
    """The scenario file is not readable; the message is one line that names the place."""


class InverterPlan(Strict):
    """One simulated inverter; `resource` only tells the reader of the file whose it is."""

    name: str
    kind: Literal["2018", "legacy", "battery", "charger", "autonomous", "ride-through", "legacy-curves"] = "2018"
    physics: Literal["first-order", "opender"] = "first-order"
    resource: str = ""
    bus: str = ""
    phases: tuple[int, ...] = (1, 2, 3)
    nominal_v: float = 240.0
    rated_w: int = 5000
    irradiance: float = 1.0
    time_constant_s: float = 1.0
    base: int = 40000
    unit: int = 1
    port: int = 0
    energy_wh: int = 10_000
    charge_pct: float = 50.0


class ResourcePlan(Strict):
    """One end device that every head-end lists, unless the head-end names its own."""

    name: str
    lfdi: str
    pin: int = 111115
    ders: int = 1


class ProgramPlan(Strict):
    """One DERProgram; `resources` empty means all of its head-end."""

    name: str
    primacy: int
    mrid: str | None = None
    resources: tuple[str, ...] = ()
    default: dict[str, Any] | None = None
    set_grad_w: int | None = None
    curves: tuple[CurvePlan, ...] = msgspec.field(name="curve", default=())


class HeadEndPlan(Strict):
    """One 2030.5 server; `resources` empty means all of the scenario; port 0 is any free one.

    `status_lag_s` is how much later than it happens the server shows that an event has begun, ended or been replaced.
    With `notifies` its client may subscribe, and is told of changes.
    """

    name: str
    certificate: str
    port: int = 0
    page_limit: int = 3
    poll_rate_s: int = 60
    post_rate_s: int = 60
    time_offset_ms: int = 0
    status_lag_s: int = 0
    notifies: bool = False
    resources: tuple[str, ...] = ()
    programs: tuple[ProgramPlan, ...] = msgspec.field(name="program", default=())


class Issue(Strict):
    """List a new control; start and creation are relative to the moment of issue, or to `since_ms` (shared clock).

    With a version it takes the place of the control of its name. `expect` is the terminal response status (or several
    that will do) of every resource, `expect_for` of single ones.
    """

    head_end: str
    program: str
    name: str
    modes: dict[str, Any]
    start_s: int
    duration_s: int
    mrid: str | None = None
    creation_offset_s: int = 0
    randomize_start_s: int | None = None
    randomize_duration_s: int | None = None
    response_required: str = "03"
    version: int | None = None
    since_ms: int | None = None
    expect: Expected | None = None
    expect_for: dict[str, Expected] = msgspec.field(default_factory=dict)

    def expected(self, resource: str) -> tuple[int, ...]:
        """The statuses that will do for a resource; empty when nothing is expected."""
        wanted = self.expect_for.get(resource, self.expect)
        if wanted is None:
            return ()
        return (wanted,) if isinstance(wanted, int) else tuple(wanted)


class Cancel(Strict):
    """Cancel a control, or with `silently` take it off its list without a word."""

    head_end: str
    control: str
    silently: bool = False


class Default(Strict):
    """Replace a program's default; without modes it is taken away."""

    head_end: str
    program: str
    modes: dict[str, Any] | None = None
    set_grad_w: int | None = None


class OutageAction(Strict):
    head_end: str
    how: Outage


class Irradiance(Strict):
    """Light as a fraction of what gives rated power; no inverters means all."""

    fraction: float
    inverters: tuple[str, ...] = ()


class Mains(Strict):
    """Voltage (p.u.) of devices that are on no feeder; no inverters means all of them."""

    pu: float
    inverters: tuple[str, ...] = ()


class Fault(Strict):
    inverter: str
    fault: str
    on: bool = True


class Foreign(Strict):
    """A vendor's cloud writes these points past the gateway, over a connection of its own and in the order given.

    Points are named by their model, as "704.WMaxLimPct", and given in their units.
    """

    inverter: str
    points: dict[str, int | float]


class BodyOverride(Strict):
    """Answer one path with this text and status; without a body the resource is back."""

    head_end: str
    path: str
    body: str | None = None
    status: int = 200
    content_type: str = "application/sep+xml"


class RatesAction(Strict):
    head_end: str
    page_limit: int | None = None
    poll_rate_s: int | None = None
    post_rate_s: int | None = None


class TimeOffset(Strict):
    head_end: str
    offset_ms: int


class Proof(Strict):
    """Measure now: every inverter or other device named (none means all but meters) must lie in the band, W."""

    name: str
    at_most_w: int | None = None
    at_least_w: int | None = None
    inverters: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()


class Action(Strict, kw_only=True):
    """Exactly one happening that the bench brings about."""

    issue: Issue | None = None
    cancel: Cancel | None = None
    default: Default | None = None
    curve: CurveAct | None = None
    outage: OutageAction | None = None
    irradiance: Irradiance | None = None
    mains: Mains | None = None
    fault: Fault | None = None
    foreign: Foreign | None = None
    override: BodyOverride | None = None
    rates: RatesAction | None = None
    time_offset: TimeOffset | None = None
    vtn_issue: VtnIssue | None = None
    vtn_modify: VtnModify | None = None
    vtn_delete: VtnDelete | None = None
    vtn_raw: VtnRaw | None = None
    vtn_outage: VtnOutage | None = None
    load: LoadAct | None = None
    broker: BrokerAct | None = None
    proof: Proof | None = None
    end: Literal[True] | None = None

    def __post_init__(self) -> None:
        if len(self.given) != 1:
            raise ValueError(f"give exactly one action; got {', '.join(self.given) or 'none'}")

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the actions that are set."""
        return tuple(name for name in Action.__struct_fields__ if getattr(self, name) is not None)


class Step(Action, kw_only=True):
    """An action at a simulated second after the timeline begins."""

    at_s: float


class Scenario(Strict):
    """A whole bench. The timeline begins when all listen ("ready") or when every server was contacted ("contact").

    feeder: "none", "ieee13", "generated:N" of N customers, or an OpenDSS file beside the scenario's. Where it is
    `planned`, the gateway is told of the model of the IEEE 13 node feeder.
    """

    name: str
    begins: Literal["ready", "contact"] = "ready"
    feeder: str = "none"
    planned: bool = False
    measure_s: int = 5
    inverters: tuple[InverterPlan, ...] = msgspec.field(name="inverter", default=())
    resources: tuple[ResourcePlan, ...] = msgspec.field(name="resource", default=())
    head_ends: tuple[HeadEndPlan, ...] = msgspec.field(name="head_end", default=())
    vtns: tuple[VtnPlan, ...] = msgspec.field(name="vtn", default=())
    meters: tuple[MeterPlan, ...] = msgspec.field(name="meter", default=())
    sep2_devices: tuple[Sep2DevicePlan, ...] = msgspec.field(name="sep2_device", default=())
    mqtt_batteries: tuple[MqttBatteryPlan, ...] = msgspec.field(name="mqtt_battery", default=())
    sep2_server_port: int = 0
    steps: tuple[Step, ...] = msgspec.field(name="step", default=())

    @property
    def device_names(self) -> tuple[str, ...]:
        """Names of all devices of the street, whatever they speak; meters are among them."""
        named = [plan.name for plan in self.inverters] + [plan.name for plan in self.meters]
        named += [plan.name for plan in self.sep2_devices] + [plan.name for plan in self.mqtt_batteries]
        return tuple(named)


class Verdict(NamedTuple):
    """Whether one resource gave one control the terminal answer that was expected of it, once, and in order."""

    control: str
    resource: str
    expected: tuple[int, ...]
    got: tuple[int, ...]
    ok: bool


def load(path: Path) -> Scenario:
    """Read and check a scenario file; raises ScenarioError, or OSError where there is no such file."""
    try:
        scenario = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Scenario)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as fault:
        raise ScenarioError(f"{path.name}: {fault}") from fault
    try:
        _check(scenario)
    except ValueError as fault:
        raise ScenarioError(f"{path.name}: {fault}") from fault
    is_file = scenario.feeder.lower().endswith(".dss")
    return msgspec.structs.replace(scenario, feeder=str(path.parent / scenario.feeder)) if is_file else scenario


def action_of(given: object) -> Action:
    """Read one action as it stands in a step, without its time; raises ScenarioError."""
    try:
        return msgspec.convert(given, Action)
    except msgspec.ValidationError as fault:
        raise ScenarioError(f"action: {fault}") from fault


def check_action(scenario: Scenario, action: Action, devices: Collection[str] | None = None) -> None:
    """Raise ValueError when the action names what the scenario lacks: a head-end, VTN, program, device or resource.

    `devices` are those that there are; without, those of the scenario.
    """
    named = getattr(action, action.given[0])
    if action.broker and not scenario.mqtt_batteries:
        raise ValueError("there is no broker; add an mqtt_battery")
    if hasattr(named, "vtn"):
        check_act({plan.name: plan for plan in scenario.vtns}, named)
        return
    if isinstance(named, LoadAct):
        check_load(scenario.meters, named)
    if hasattr(named, "head_end"):
        demand_known("head_end", named.head_end, (plan.name for plan in scenario.head_ends))
    if hasattr(named, "program"):
        home = next(plan for plan in scenario.head_ends if plan.name == named.head_end)
        demand_known("program", named.program, (program.name for program in home.programs))
    if isinstance(named, Foreign):
        demand_known("inverter", named.inverter, (plan.name for plan in scenario.inverters))
    mine = scenario.device_names if devices is None else devices
    for name in (*getattr(named, "inverters", ()), *([named.inverter] if hasattr(named, "inverter") else [])):
        demand_known("inverter", name, mine)
    for name in getattr(named, "devices", ()):
        demand_known("device", name, mine)
    for resource in getattr(named, "expect_for", ()):
        demand_known("resource", resource, (plan.name for plan in scenario.resources))


def members(scenario: Scenario, head_end: HeadEndPlan) -> list[ResourcePlan]:
    """The resources that a head-end lists."""
    return [one for one in scenario.resources if not head_end.resources or one.name in head_end.resources]


def judge(issue: Issue, resources: Iterable[str], answers: Sequence[Answer]) -> list[Verdict]:
    """Compare the answers to one control with what is expected, for each resource that has an expectation.

    A status sent again is no fault; two terminal statuses are, and so is anything after the terminal one.
    """
    verdicts = []
    for resource in resources:
        expected = issue.expected(resource)
        if not expected:
            continue
        got = _once(one.status for one in answers if (one.control, one.resource) == (issue.name, resource))
        ok = (
            bool(got)
            and got[-1] in expected
            and not TERMINAL.intersection(got[:-1])
            and list(got[:-1]) == sorted(got[:-1])
        )
        verdicts.append(Verdict(issue.name, resource, expected, got, ok))
    return verdicts


def _once(statuses: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(statuses))


def _check(scenario: Scenario) -> None:
    resources = [one.name for one in scenario.resources]
    for kind, names in (
        ("device", [*scenario.device_names]),
        ("resource", resources),
        ("head_end", [one.name for one in scenario.head_ends]),
        ("vtn", [one.name for one in scenario.vtns]),
        ("control", [step.issue.name for step in scenario.steps if step.issue]),
    ):
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"{kind} {', '.join(sorted(twice))} occurs twice; give each its own name")
    for plan in scenario.head_ends:
        for name in (*plan.resources, *(name for program in plan.programs for name in program.resources)):
            demand_known("resource", name, resources)
        for program in plan.programs:
            demand_curves(program.default or {}, [curve.name for curve in program.curves])
    for earlier, later in zip(scenario.steps, scenario.steps[1:], strict=False):
        if later.at_s < earlier.at_s:
            raise ValueError(f"step at_s = {later.at_s} comes after at_s = {earlier.at_s}; put the steps in order")
    for step in scenario.steps:
        try:
            check_action(scenario, step)
        except ValueError as fault:
            raise ValueError(f"step at_s = {step.at_s}: {fault}") from fault
