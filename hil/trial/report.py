"""What a run leaves behind: one HTML page that needs no other file, JUnit XML, CSV of all on the wire, and JSON."""

import csv
import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lxml import etree

from hil.trial.instrument import Transaction
from hil.trial.plot import Judgement, plot
from hil.trial.runner import Result, StepResult, Verdict

PAGE, JUNIT, RECORD = "report.html", "junit.xml", "run.json"
TRANSACTIONS, SAMPLES, MESSAGES = "transactions.csv", "samples.csv", "messages.csv"
_LIBRARIES = ("laminar-gateway", "pysunspec2", "pymodbus", "msgspec")
_ORDER: tuple[Verdict, ...] = ("pass", "fail", "not run", "not applicable")
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#1c2430}
table{border-collapse:collapse;width:100%;margin:.6em 0}td,th{border-bottom:1px solid #d8dee6;padding:.3em .5em;
text-align:left;vertical-align:top}h2{margin-top:2em}svg{width:100%;height:auto}.pass{color:#1a7f37}.fail{color:#c62828}
.not{color:#8a6d00}.title{font-size:13px;font-weight:600}.x,.y{font-size:11px;fill:#5b6675}.y{text-anchor:end}
.x{text-anchor:middle}.grid{stroke:#e6eaf0}.step{stroke:#9aa7b8;stroke-dasharray:2 4}
.measured{fill:none;stroke:#1557b0;stroke-width:1.6}.band{stroke:#1a7f37;stroke-width:5;opacity:.45}
.broken{stroke:#c62828;opacity:.8}
.target{fill:none;stroke:#1c2430;stroke-dasharray:5 3}ul{margin:.2em 0;padding-left:1.2em}
code{background:#f2f4f7;padding:0 .2em}
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of procedures on a bench: who, where, with what, and what came of it."""

    title: str
    seed: int
    bench: dict[str, Any]
    device: dict[str, str]
    results: Sequence[Result]
    transactions: Sequence[Transaction]
    models: dict[int, tuple[int, int]]

    def count(self, verdict: Verdict) -> int:
        """How many procedures had this verdict."""
        return sum(result.verdict == verdict for result in self.results)

    @property
    def passed(self) -> bool:
        """Whether nothing failed and something was judged; what could not be run is no pass by itself."""
        return self.count("fail") == 0 and self.count("pass") > 0

    @property
    def summary(self) -> str:
        """How many of each verdict, in words."""
        return ", ".join(f"{self.count(verdict)} {verdict}" for verdict in _ORDER if self.count(verdict))


def versions() -> dict[str, str]:
    """Give the versions of what ran."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def write(run: Run, folder: Path) -> Path:
    """Write everything into a folder and give the page; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / PAGE
    page.write_text(_page(run), encoding="utf-8")
    (folder / JUNIT).write_bytes(_junit(run))
    (folder / RECORD).write_text(json.dumps(_record(run), indent=2) + "\n", encoding="utf-8")
    owners = _owners(run)
    _table(
        folder / TRANSACTIONS,
        ("t_ms", "procedure", "operation", "address", "count", "registers", "outcome", "wall_ms"),
        (
            (t.at_ms, owner, t.operation, t.address, t.count, t.payload, t.outcome, f"{t.wall_ms:.2f}")
            for t, owner in zip(run.transactions, owners, strict=True)
        ),
    )
    _table(
        folder / SAMPLES,
        ("t_ms", "procedure", "step", "w", "var", "volts_pct", "hz"),
        (
            (
                s.at_ms,
                result.procedure.id,
                step,
                f"{s.w + 0.0:.1f}",
                f"{s.var + 0.0:.1f}",
                f"{s.volts_pct:.2f}",
                f"{s.hz:.3f}",
            )
            for result in run.results
            for step, s in result.samples
        ),
    )
    _table(
        folder / MESSAGES,
        ("t_ms", "procedure", "step", "message"),
        ((at_ms, result.procedure.id, step, text) for result in run.results for at_ms, step, text in result.messages),
    )
    return page


def _owners(run: Run) -> list[str]:
    owners = [""] * len(run.transactions)
    for result in run.results:
        for place in range(result.first_transaction, result.last_transaction):
            owners[place] = result.procedure.id
    return owners


def _table(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)


def _record(run: Run) -> dict[str, Any]:
    return {
        "title": run.title,
        "passed": run.passed,
        "seed": run.seed,
        "versions": versions(),
        "bench": run.bench,
        "device": run.device,
        "procedures": [
            {
                "id": result.procedure.id,
                "verdict": result.verdict,
                "note": result.note,
                "sha256": result.procedure.sha256,
                "steps": [{"name": step.name, "verdict": step.verdict, "note": step.note} for step in result.steps],
            }
            for result in run.results
        ],
    }


def _junit(run: Run) -> bytes:
    root = etree.Element("testsuites", name=run.title)
    for result in run.results:
        cases = result.steps or [StepResult(result.procedure.title, 0, result.verdict, note=result.note)]
        suite = etree.SubElement(
            root,
            "testsuite",
            name=result.procedure.id,
            tests=str(len(cases)),
            failures=str(sum(step.verdict == "fail" for step in cases)),
            skipped=str(sum(step.verdict in {"not run", "not applicable"} for step in cases)),
            errors="0",
        )
        properties = etree.SubElement(suite, "properties")
        told = {"seed": str(run.seed), "source": result.procedure.source, "sha256": result.procedure.sha256}
        for name, value in (told | versions()).items():
            etree.SubElement(properties, "property", name=name, value=value)
        for step in cases:
            _case(suite, result.procedure.id, step)
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="utf-8", pretty_print=True)
    return written


def _case(suite: etree._Element, procedure: str, step: StepResult) -> None:
    case = etree.SubElement(suite, "testcase", classname=procedure, name=step.name, time=f"{step.took_s:.3f}")
    if step.verdict == "fail":
        broken = etree.SubElement(case, "failure", message=_printable(step.note))
        broken.text = _printable("\n".join(judged.text for judged in step.judged if not judged.kept))
    elif step.verdict != "pass":
        etree.SubElement(case, "skipped", message=_printable(f"{step.verdict}: {step.note}"))


def _printable(text: str) -> str:
    return "".join(sign for sign in text if sign.isprintable() or sign == "\n")


def _page(run: Run) -> str:
    verdict = "pass" if run.passed else "fail"
    rows = "".join(
        f'<tr><td><a href="#{escape(r.procedure.id)}">{escape(r.procedure.id)}</a></td>'
        f"<td>{escape(r.procedure.title)}</td><td>{_mark(r.verdict)}</td><td>{escape(r.note)}</td></tr>"
        for r in run.results
    )
    told = {"bench": str(run.bench.get("title", "")), "seed": str(run.seed)} | run.device | versions()
    facts = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in told.items())
    models = "".join(
        f"<tr><td>{model}</td><td>{there} of {points} points</td></tr>" for model, (there, points) in run.models.items()
    )
    body = "".join(_procedure(result) for result in run.results)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(run.title)}: {verdict}</title>'
        f"<style>{_STYLE}</style><h1>{escape(run.title)}: {_mark(verdict)}</h1><p>{escape(run.summary)}.</p>"
        f"<table><tr><th>id</th><th>procedure</th><th>verdict</th><th></th></tr>{rows}</table>{body}"
        f"<h2>What the device implements</h2><table>{models}</table><h2>What ran</h2><table>{facts}</table></html>\n"
    )


def _mark(verdict: str) -> str:
    return f'<b class="{verdict.partition(" ")[0]}">{escape(verdict)}</b>'


def _procedure(result: Result) -> str:
    steps = "".join(
        f"<tr><td>{number}</td><td>{escape(step.name)}</td><td>{_mark(step.verdict)}</td><td>{_criteria(step)}</td></tr>"
        for number, step in enumerate(result.steps, start=1)
    )
    note = f"<p>{escape(result.note)}</p>" if result.note else ""
    return (
        f'<h2 id="{escape(result.procedure.id)}">{escape(result.procedure.id)}: {escape(result.procedure.title)} '
        f"{_mark(result.verdict)}</h2><p>{escape(result.procedure.source)}</p>{note}{_plots(result)}"
        f"<table><tr><th></th><th>step</th><th>verdict</th><th>criteria</th></tr>{steps}</table>"
    )


def _criteria(step: StepResult) -> str:
    items = "".join(
        f'<li class="{"pass" if judged.kept else "fail"}">{escape(judged.text)}</li>' for judged in step.judged
    )
    note = "" if step.judged else escape(step.note)
    return f"<ul>{items}</ul>{note}"


def _plots(result: Result) -> str:
    """Draw what the procedure is about: the followed quantities, and what of grid it moved."""
    if not result.samples or not result.wanted:
        return ""
    origin_ms = result.samples[0][1].at_ms
    begun = [(step.began_ms - origin_ms) / 1000 for step in result.steps]
    times = [(sample.at_ms - origin_ms) / 1000 for _step, sample in result.samples]
    drawn = []
    for quantity, title, unit in (("W", "Active power", "W"), ("Var", "Reactive power", "var")):
        if quantity not in result.wanted:
            continue
        values = [sample.w if quantity == "W" else sample.var for _step, sample in result.samples]
        judged = [
            Judgement((w.at_ms - origin_ms) / 1000, w.target, w.mark.band.low, w.mark.band.high, w.mark.kept)
            for w in result.wanted[quantity]
        ]
        drawn.append(plot(title, unit, list(zip(times, values, strict=True)), judged, begun))
    for title, unit, values in (
        ("Voltage", "% of nominal", [sample.volts_pct for _step, sample in result.samples]),
        ("Frequency", "Hz", [sample.hz for _step, sample in result.samples]),
    ):
        if max(values) - min(values) > 0.01:
            drawn.append(plot(title, unit, list(zip(times, values, strict=True)), [], begun))
    return "".join(drawn)
