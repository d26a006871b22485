"""Reports of garak (``report.jsonl``): attempts of probes, and what detectors say of each output.

Garak reports how many outputs passed. Here the number is the share that a detector hits, with the outputs to one prompt
taken together; an output that a detector could say nothing of, and an attempt that was never evaluated, has no score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from audit.core.imported import Formula, Log, Origin, Scores, Task
from audit.core.metrics import LOWER
from audit.core.units import unit_names
from audit.formats.evaluations.json_lines import lines
from audit.formats.evaluations.values import (
    MOST_METRICS,
    Budget,
    Gathered,
    count,
    listed,
    mapping,
    named,
    number,
    origin,
    said,
    settings,
)
from audit.formats.hostile import UnreadableError, shown

TOOL = "garak"
_STARTED, _EVALUATED = 1, 2
_THRESHOLD = 0.5


@dataclass
class _Report:
    setup: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    began: str = ""
    finished: str = ""
    open: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    """Attempts that were made and not evaluated so far: probe, prompt, number of outputs."""
    done: set[str] = field(default_factory=set)
    hits: dict[tuple[str, str], Gathered] = field(default_factory=dict)
    """By probe and detector."""
    reported: dict[tuple[str, str], tuple[float | None, int]] = field(default_factory=dict)
    goals: dict[str, str] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)

    @property
    def threshold(self) -> float:
        found = number(self.setup.get("run.eval_threshold"))
        return _THRESHOLD if found is None else found


def read(file: BinaryIO, found: Origin) -> Log:
    """Read a report. Raise UnreadableError with the reason."""
    report = _Report()
    for line, entry in lines(file):
        try:
            _take(entry, report)
        except UnreadableError as error:
            raise UnreadableError(f"line {line:,}: {error}") from None
    probes = dict.fromkeys(
        [p for p, _ in (*report.hits, *report.reported)] + [p for p, _, _ in report.open.values()]
    )
    if not probes:
        raise UnreadableError("it has no attempt and no result of a probe")
    left = len(report.open)
    for probe, unit, outputs in report.open.values():
        for gathered in (g for (p, _), g in report.hits.items() if p == probe):
            for _ in range(outputs):
                gathered.add(unit, None)
    kind = said(report.setup.get("plugins.target_type") or report.setup.get("plugins.model_type"))
    name = said(report.setup.get("plugins.target_name") or report.setup.get("plugins.model_name"))
    made = origin(
        TOOL,
        found.file,
        found.digest,
        found.size,
        version=report.version,
        model=":".join(part for part in (kind, name) if part) or "unknown",
        began=report.began,
        finished=report.finished,
        status="success" if report.finished else "",
    )
    notes = [] if report.finished else ["The report does not say that garak came to its end."]
    notes += [f"{left:,} attempts were made and never evaluated."] if left else []
    tasks = tuple(_task(probe, report) for probe in probes)
    return Log((made,), tasks, {"garak": report.version}, tuple(notes))


def _take(entry: Mapping[str, Any], report: _Report) -> None:
    match entry.get("entry_type"):
        case "start_run setup":
            report.setup = entry
            report.version = report.version or said(entry.get("_config.version"))
        case "init":
            report.version, report.began = said(entry.get("garak_version")), said(entry.get("start_time"))
        case "completion":
            report.finished = said(entry.get("end_time"))
        case "attempt":
            _attempt(entry, report)
        case "eval":
            _result(entry, report)


def _attempt(entry: Mapping[str, Any], report: _Report) -> None:
    probe, name = named(entry.get("probe_classname"), "probe_classname"), named(entry.get("uuid"), "uuid")
    outputs = listed(entry.get("outputs"), "outputs")
    unit = unit_names([_prompt(entry.get("prompt")) or name])[0]
    report.goals.setdefault(probe, said(entry.get("goal")))
    if entry.get("status") == _STARTED:
        report.budget.take(len(outputs))
        report.open[name] = (probe, unit, len(outputs))
    if entry.get("status") != _EVALUATED:
        return
    if name in report.done:
        raise UnreadableError(f"attempt {shown(name)} is evaluated twice")
    report.done.add(name)
    report.open.pop(name, None)
    for detector, scores in mapping(entry.get("detector_results"), "detector_results").items():
        known = report.hits.setdefault((probe, named(detector, "a detector")), Gathered(report.budget))
        if len(report.hits) > MOST_METRICS:
            raise UnreadableError(f"it has over {MOST_METRICS:,} pairs of probe and detector")
        for score in listed(scores, detector):
            value = number(score)
            known.add(unit, None if value is None else float(value >= report.threshold))


def _prompt(prompt: Any) -> str:
    """Return the text of a prompt, in the form that any version of garak gives it."""
    if isinstance(prompt, dict) and isinstance(prompt.get("turns"), list):
        turns = [turn.get("content") for turn in prompt["turns"] if isinstance(turn, dict)]
        return "\n".join(_prompt(turn) for turn in turns)
    if isinstance(prompt, dict):
        return _prompt(prompt.get("text"))
    return prompt if isinstance(prompt, str) else ""


def _result(entry: Mapping[str, Any], report: _Report) -> None:
    key = (
        named(entry.get("probe"), "probe"),
        named(entry.get("detector"), "detector").removeprefix("detector."),
    )
    total = count(entry.get("total_evaluated")) or count(entry.get("total"))
    passed = number(entry.get("passed"))
    report.reported[key] = (1 - passed / total if total and passed is not None else None, total)


def _task(probe: str, report: _Report) -> Task:
    goal = report.goals.get(probe, "")
    units = {unit for (p, _), gathered in report.hits.items() if p == probe for unit in gathered.units}
    return Task(
        name=probe,
        summary=f"Probe of garak over {len(units):,} prompts" + (f": {goal}." if goal else "."),
        scores=tuple(_scores(probe, report)),
        parameters=settings(
            {
                "threshold": report.threshold,
                **{
                    name: report.setup.get(f"run.{name}")
                    for name in ("generations", "seed", "soft_probe_prompt_cap")
                },
            }
        ),
        samples=len(units),
        caveats=("A detector is a classifier of its own and errs; its errors are not taken off here.",),
    )


def _scores(probe: str, report: _Report) -> Iterator[Scores]:
    for key in dict.fromkeys([*report.hits, *report.reported]):
        if key[0] != probe:
            continue
        reported, total = report.reported.get(key, (None, 0))
        about = Scores(
            metric=key[1],
            meaning=f"Share of outputs to '{shown(probe)}' that '{shown(key[1])}' hits",
            direction=LOWER,
            reported=reported,
        )
        gathered = report.hits.get(key)
        if gathered is None:
            why = "the report holds no attempts of this probe"
            yield replace(about, formula=Formula.NONE, n=total, reason=why)
        else:
            units = tuple(gathered.units)
            yield replace(about, units=units, values=gathered.values, least=0.0, most=1.0)
