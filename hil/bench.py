"""A running scenario: street, head-ends and VTNs on sockets, its actions, its measurements and its verdicts."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

from lxml import etree

from hil.clock import Clock
from hil.feeder import IEEE13_MODEL, Feeder, bus_of
from hil.head_end import Certificate, HeadEnd, Override
from hil.mqtt.stage import MqttStage
from hil.openadr.stage import VtnStage
from hil.scenario import (
    Action,
    HeadEndPlan,
    InverterPlan,
    Issue,
    Proof,
    Scenario,
    Verdict,
    check_action,
    judge,
    members,
)
from hil.sep2.events import marking
from hil.sep2.records import Program, Resource, mrid_of
from hil.sep2.stage import Sep2Stage
from hil.sep2.tree import Rates
from hil.street import Device, Faulty, Street
from hil.sunspec import vendor_cloud
from hil.sunspec.inverter import Inverter, InverterSpec, Write
from hil.sunspec.site_meter import MeterPlan, SiteMeter

GATEWAY = "gateway"

Line = dict[str, Any]


class Service(Protocol):
    """What must be there before the devices of a street: a broker, say."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class Bench:
    """Holds everything that a scenario describes; an async context manager that listens inside.

    `write` takes every happening as one flat mapping with "t_ms" (shared clock) and "kind". `pki` is the folder of
    certificates; the client that the head-ends serve is the one whose leaf is in gateway.pem. `devices` stand on the
    street beside the scenario's inverters, `services` start before the street and stop after it.
    """

    def __init__(
        self,
        scenario: Scenario,
        clock: Clock,
        pki: Path,
        write: Callable[[Line], None],
        schema: etree.XMLSchema | None = None,
        *,
        devices: Sequence[Device] = (),
        services: Sequence[Service] = (),
    ) -> None:
        self.scenario = scenario
        self.clock = clock
        self.ended = asyncio.Event()
        self._write = write
        self._proofs: list[Line] = []
        self._issues = [step.issue for step in scenario.steps if step.issue]
        self._tasks: list[asyncio.Task[None]] = []
        feeder = Feeder.named(scenario.feeder)
        self.meters = {plan.name: SiteMeter(plan, partial(self._generated_w, plan)) for plan in scenario.meters}
        self._mqtt = MqttStage(scenario.mqtt_batteries, clock, pki) if scenario.mqtt_batteries else None
        self._served = (
            Sep2Stage(scenario.sep2_devices, clock, pki, scenario.sep2_server_port) if scenario.sep2_devices else None
        )
        standing = (
            *devices,
            *self.meters.values(),
            *(self._served.devices if self._served else ()),
            *(self._mqtt.batteries if self._mqtt else ()),
        )
        self.street = Street(clock, [_spec(plan) for plan in scenario.inverters], feeder, devices=standing)
        self._services = (*services, *([self._mqtt] if self._mqtt else []))
        self._listening = AsyncExitStack()
        client_lfdi = Certificate.of(pki, GATEWAY).lfdi if scenario.head_ends else ""
        self.head_ends = {
            plan.name: self._head_end(plan, Certificate.of(pki, plan.certificate), client_lfdi, schema)
            for plan in scenario.head_ends
        }
        self.vtns = {plan.name: VtnStage(plan, clock, pki, self._happened) for plan in scenario.vtns}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as listening:
            for service in self._services:
                listening.push_async_callback(service.stop)
                await service.start()
            await listening.enter_async_context(self.street)
            for plan in self.scenario.head_ends:
                listening.push_async_callback(self.head_ends[plan.name].stop)
                await self.head_ends[plan.name].start(plan.port)
            for vtn in self.vtns.values():
                listening.push_async_callback(vtn.stop)
                await vtn.start()
            self._listening = listening.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listening.aclose()

    def ready(self) -> Line:
        """Where everything listens."""
        return {
            "inverters": {
                plan.name: {
                    "host": "127.0.0.1",
                    "port": self.street.ports[plan.name],
                    "unit": plan.unit,
                    "resource": plan.resource,
                    "rated_w": plan.rated_w,
                    "bus": bus_of(plan.bus, plan.phases),
                }
                | ({"energy_wh": plan.energy_wh} if plan.kind in ("battery", "charger") else {})
                for plan in self.scenario.inverters
            },
            "devices": {name: getattr(device, "ready", dict)() for name, device in self._others().items()},
            "meters": {name: meter.ready() for name, meter in self.meters.items()},
            "resources": {one.name: {"lfdi": one.lfdi, "pin": one.pin} for one in self.scenario.resources},
            "head_ends": {name: {"url": one.url, "lfdi": one.lfdi} for name, one in self.head_ends.items()},
            "vtns": {name: one.ready() for name, one in self.vtns.items()},
            "sep2_server": self._served.ready() if self._served else None,
            "broker": self._mqtt.ready() if self._mqtt else None,
            "feeder": str(IEEE13_MODEL) if self.scenario.planned and self.scenario.feeder == "ieee13" else None,
            "start_ms": self.clock.now_ms(),
        }

    def begin(self) -> None:
        """Start measuring, and the timeline when the scenario says so."""
        self._tasks = [
            asyncio.create_task(self._measure(), name="measure"),
            asyncio.create_task(self._timeline(), name="timeline"),
        ]

    async def finished(self) -> None:
        """Return when the timeline has ended the bench; raises what broke a task of it."""
        ended = asyncio.create_task(self.ended.wait())
        waiting: set[asyncio.Task[Any]] = {ended, *self._tasks}
        while not ended.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {ended}:
                await task

    async def act(self, action: Action) -> None:
        """Bring about one action; raises ValueError when it does not fit the scenario."""
        check_action(self.scenario, action, self.street.devices)
        if action.issue:
            self._issue(action.issue)
        elif action.cancel:
            head_end = self.head_ends[action.cancel.head_end]
            if action.cancel.silently:
                head_end.unlist(action.cancel.control)
            else:
                head_end.cancel(action.cancel.control)
        elif action.default:
            default = action.default
            self.head_ends[default.head_end].set_default(default.program, default.modes, default.set_grad_w)
        elif action.curve:
            self.head_ends[action.curve.head_end].set_curve(action.curve.program, action.curve.curve.curve())
        elif action.outage:
            await self.head_ends[action.outage.head_end].set_outage(action.outage.how)
        elif action.time_offset:
            self.head_ends[action.time_offset.head_end].set_time_offset(action.time_offset.offset_ms)
        elif action.foreign:
            await vendor_cloud.write(self.street.inverters[action.foreign.inverter], action.foreign.points)
            self._happened("foreign", inverter=action.foreign.inverter, points=action.foreign.points)
        else:
            await self._act_beside(action)

    async def _act_beside(self, action: Action) -> None:
        vtn_act = action.vtn_issue or action.vtn_modify or action.vtn_delete or action.vtn_raw or action.vtn_outage
        if vtn_act is not None:
            await self.vtns[vtn_act.vtn].act(vtn_act)
        elif action.irradiance:
            self.street.set_all_irradiance(action.irradiance.fraction, action.irradiance.inverters)
            self._happened("irradiance", fraction=action.irradiance.fraction, inverters=action.irradiance.inverters)
        elif action.mains:
            self.street.set_mains(action.mains.pu, action.mains.inverters)
            self._happened("mains", pu=action.mains.pu, inverters=action.mains.inverters)
        elif action.fault:
            self.street.set_fault(action.fault.inverter, action.fault.fault, action.fault.on)
            self._happened("fault", inverter=action.fault.inverter, fault=action.fault.fault, on=action.fault.on)
        elif action.override:
            given = action.override
            override = None if given.body is None else Override(given.status, given.body.encode(), given.content_type)
            self.head_ends[given.head_end].override(given.path, override)
        elif action.rates:
            rates = self.head_ends[action.rates.head_end].tree.rates
            for name in ("page_limit", "poll_rate_s", "post_rate_s"):
                setattr(rates, name, getattr(action.rates, name) or getattr(rates, name))
            self._happened("rates", head_end=action.rates.head_end, **asdict(rates))
        elif action.load:
            self.meters[action.load.meter].set_load(action.load.w)
            self._happened("load", meter=action.load.meter, w=action.load.w)
        elif action.broker and self._mqtt:
            await self._mqtt.act(action.broker)
            self._happened("broker", act=action.broker)
        elif action.proof:
            self._prove(action.proof)
        elif action.end:
            self.ended.set()

    def verdicts(self) -> list[Verdict]:
        """What the answers received so far say about every control of the scenario that was issued."""
        found = []
        for issue in self._issues:
            head_end = self.head_ends[issue.head_end]
            members_of = head_end.tree.program(issue.program).resources
            found += judge(issue, members_of, head_end.tree.intake.answers)
        return found

    def summary(self) -> Line:
        """Verdicts, proofs and every answer; `ok` when none of them failed."""
        verdicts = self.verdicts()
        answers = [
            {"head_end": name, "t_ms": one.t_ms, "control": one.control, "resource": one.resource, "status": one.status}
            for name, head_end in self.head_ends.items()
            for one in head_end.tree.intake.answers
        ]
        return {
            "ok": all(one.ok for one in verdicts) and all(proof["ok"] for proof in self._proofs),
            "verdicts": [one._asdict() for one in verdicts],
            "proofs": self._proofs,
            "events": [event for vtn in self.vtns.values() for event in vtn.expected()],
            "answers": answers,
            "readings": sum(len(one.tree.intake.readings) for one in self.head_ends.values()),
            "reports": sum(len(one.vtn.reports) for one in self.vtns.values()),
        }

    def state(self) -> Line:
        """Everything received and measured so far."""
        return {
            "t_ms": self.clock.now_ms(),
            "head_ends": {name: _head_end_state(one) for name, one in self.head_ends.items()},
            "vtns": {name: one.state() for name, one in self.vtns.items()},
            "inverters": {name: self._inverter_state(name, one) for name, one in self.street.inverters.items()},
            "devices": {name: self._device_state(name, one) for name, one in self._others().items()},
            "meters": {name: meter.state() for name, meter in self.meters.items()},
            "verdicts": [one._asdict() for one in self.verdicts()],
            "proofs": self._proofs,
        }

    def _others(self) -> dict[str, Device]:
        """The devices that are neither inverters nor meters."""
        apart = self.street.inverters.keys() | self.meters.keys()
        return {name: device for name, device in self.street.devices.items() if name not in apart}

    def _generated_w(self, meter: MeterPlan) -> float:
        """What the devices behind a meter give, W: inverters of its resource, and others that say it is theirs."""
        behind = [plan.name for plan in self.scenario.inverters if plan.resource == meter.resource]
        behind += [name for name, one in self._others().items() if getattr(one, "resource", "") == meter.resource]
        return sum(self.street.devices[name].w for name in behind)

    def _head_end(
        self, plan: HeadEndPlan, certificate: Certificate, client_lfdi: str, schema: etree.XMLSchema | None
    ) -> HeadEnd:
        mine = members(self.scenario, plan)
        names = tuple(one.name for one in mine)
        programs = [
            Program(
                one.name,
                (one.mrid or mrid_of(f"{plan.name} {one.name}")).upper(),
                one.primacy,
                one.resources or names,
                one.default,
                one.set_grad_w,
            )
            for one in plan.programs
        ]
        head_end = HeadEnd(
            plan.name,
            self.clock,
            certificate,
            client_lfdi,
            resources=[Resource(one.name, one.lfdi.upper(), one.pin, one.ders) for one in mine],
            programs=programs,
            report=self._happened,
            rates=Rates(plan.page_limit, plan.poll_rate_s, plan.post_rate_s),
            schema=schema,
            notifies=plan.notifies,
        )
        head_end.tree.time_offset_ms = plan.time_offset_ms
        head_end.tree.status_lag_s = plan.status_lag_s
        for one in plan.programs:
            for curve in one.curves:
                head_end.set_curve(one.name, curve.curve())
            if one.curves and one.default is not None:
                head_end.set_default(one.name, one.default, one.set_grad_w)
        return head_end

    def _issue(self, issue: Issue) -> None:
        self.head_ends[issue.head_end].issue(
            issue.program,
            issue.name,
            issue.modes,
            issue.start_s,
            issue.duration_s,
            mrid=issue.mrid,
            creation_offset_s=issue.creation_offset_s,
            randomize_start_s=issue.randomize_start_s,
            randomize_duration_s=issue.randomize_duration_s,
            response_required=issue.response_required,
            version=issue.version,
            since_ms=issue.since_ms,
        )
        if issue not in self._issues:
            self._issues.append(issue)

    def _prove(self, proof: Proof) -> None:
        names = (*proof.inverters, *proof.devices) or [*self.street.inverters, *self._others()]
        measured = {name: round(self.street.measured_w[name]) for name in names}
        low = proof.at_least_w if proof.at_least_w is not None else min(measured.values())
        high = proof.at_most_w if proof.at_most_w is not None else max(measured.values())
        found = {"name": proof.name, "ok": all(low <= w <= high for w in measured.values()), "w": measured}
        self._proofs.append(found)
        self._happened("proof", at_most_w=proof.at_most_w, at_least_w=proof.at_least_w, **found)

    async def _timeline(self) -> None:
        if self.scenario.begins == "contact":
            contacts = [one.contacted for one in self.head_ends.values()]
            contacts += [one.vtn.contacted for one in self.vtns.values()]
            await asyncio.gather(*(contacted.wait() for contacted in contacts))
        began_ms = self.clock.now_ms()
        self._happened("begun", steps=len(self.scenario.steps))
        for step in self.scenario.steps:
            await self.clock.sleep_until_ms(began_ms + round(step.at_s * 1000))
            await self.act(step)

    async def _measure(self) -> None:
        due_ms = self.clock.now_ms()
        while True:
            if self.street.failure is not None:
                raise self.street.failure
            seen = {name: [round(pu, 5) for pu in volts] for name, volts in self.street.voltage_pu.items()}
            self._happened(
                "measured",
                w={name: round(w) for name, w in self.street.measured_w.items()},
                limit_w={name: getattr(one, "limit_w", None) for name, one in self.street.devices.items()},
                **({"voltage_pu": seen} if seen else {}),
            )
            due_ms = max(due_ms + 1000 * self.scenario.measure_s, self.clock.now_ms())
            await self.clock.sleep_until_ms(due_ms)

    def _inverter_state(self, name: str, inverter: Inverter) -> Line:
        return {
            "w": round(inverter.w),
            "var": round(inverter.var),
            "limit_w": inverter.limit_w,
            "voltage_pu": self.street.voltage_pu.get(name),
            "faults": sorted(inverter.faults),
            "write_count": inverter.write_count,
            "writes": [self._written(inverter, write) for write in inverter.writes],
        }

    def _device_state(self, name: str, device: Device) -> Line:
        return {
            "w": round(device.w),
            "var": round(device.var),
            "limit_w": getattr(device, "limit_w", None),
            "voltage_pu": self.street.voltage_pu.get(name),
            "faults": sorted(device.faults) if isinstance(device, Faulty) else [],
        }

    def _written(self, inverter: Inverter, write: Write) -> Line:
        ago_ms = (time.monotonic_ns() - write.at_ns) / 1e6 * self.clock.rate
        return {
            "t_ms": round(self.clock.now_ms() - ago_ms),
            "function": write.function,
            "address": write.address,
            "payload": write.payload.hex(),
            "told": inverter.told(write),
        }

    def _happened(self, kind: str, **particulars: object) -> None:
        self._write({"t_ms": self.clock.now_ms(), "kind": kind, **particulars})


def _head_end_state(head_end: HeadEnd) -> Line:
    tree = head_end.tree
    return {
        "url": head_end.url,
        "answers": [asdict(one) for one in tree.intake.answers],
        "readings": [asdict(one) for one in tree.intake.readings],
        "usage_points": [
            {"mrid": one.mrid, "lfdi": one.lfdi, "description": one.description} for one in tree.intake.usage_points
        ],
        "documents": {
            path: {
                "t_ms": kept.t_ms,
                "resource": kept.resource,
                "name": type(kept.document).__name__,
                "document": kept.document.model_dump(mode="json", exclude_none=True),
            }
            for path, kept in tree.intake.documents.items()
        },
        "controls": [
            {
                "program": program.name,
                "control": control.name,
                "mrid": control.mrid,
                "status": int(marking(control, program.controls.values(), tree.now_s()).status),
                "start_s": control.start_s,
                "duration_s": control.duration_s,
            }
            for program in tree.programs
            for control in program.controls.values()
        ],
        "requests": [
            {"t_ms": t_ms, "method": method, "path": path, "status": status}
            for t_ms, method, path, status in head_end.requests
        ],
    }


def _spec(plan: InverterPlan) -> InverterSpec:
    given: Mapping[str, Any] = {
        name: getattr(plan, name) for name in InverterPlan.__struct_fields__ if name != "resource"
    }
    return InverterSpec(**given)
