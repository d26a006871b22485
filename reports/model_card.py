"""A record as a model card for the Hugging Face Hub: YAML front matter with a model index, then Markdown for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from audit.core.measurements import Direction, Interval, Measurement, Unquantified
from audit.core.policy import Verdict
from audit.core.records import AuditRecord
from audit.core.renderers import EvidenceReader
from reports import numbers
from reports.failures import without
from reports.judged import Judged
from reports.limits import limits
from reports.markdown import front_matter, name, table, text
from reports.redact import flattened
from reports.sections import group_name, owners
from reports.verdict_words import headline, sentence
from reports.view import CriterionLine, criteria, facts, model_name

_TASKS: Mapping[str, tuple[str, str]] = {
    "text": ("text-generation", "Text generation"),
    "image": ("unconditional-image-generation", "Image generation"),
}
"""The Hub's identifier of what a model of a modality does, and its name."""
_ENHANCES = ("image-to-image", "Image to image")
_LIST = 40
"""Lines of one list in the card; the rest is counted."""
_GROUPS = 6
"""Numbers of groups that the card gives of one metric; the rest is counted."""


class ModelCardReport:
    """Renders a record as a model card in Markdown.

    Fields of the front matter are those that the Hub reads: ``pipeline_tag``, ``library_name``, ``tags`` and
    ``model-index`` with a result for each split that the model was compared with. Numbers of groups are in the table
    alone where the metric has one for everything, those that are judged and the worst of each metric; a void measurement is struck
    through there and not in the index. The card holds no evidence, so ``show_sensitive`` changes nothing.
    """

    media_type: ClassVar[str] = "text/markdown; charset=utf-8"
    suffix: ClassVar[str] = ".card.md"

    def render(self, record: AuditRecord, evidence: EvidenceReader, *, show_sensitive: bool = False) -> bytes:
        """Return the card. Pure: same record, same bytes."""
        parts = [
            front_matter(metadata(record)),
            f"# {text(_title(record), 200)}",
            _summary(record),
            *_section("Model", _model(record)),
            *_section("Intended use", _use(record)),
            *_section("Limits", _limits(record)),
            *_section("Measurements", _measurements(record)),
            *_section("Controls", _controls(record)),
            *_section("Data and settings", _settings(record)),
        ]
        return ("\n\n".join(parts) + "\n").encode("utf-8")


def metadata(record: AuditRecord) -> dict[str, Any]:
    """Return what the front matter says."""
    task = _task(record)
    found: dict[str, Any] = {"tags": ["generative-audit"]}
    if task is not None:
        found["pipeline_tag"] = task[0]
    if record.model.get("adapter") == "transformers":
        found["library_name"] = "transformers"
    results = list(_results(record, task or ("other", "Not stated")))
    if results:
        found["model-index"] = [{"name": _title(record), "results": results}]
    return found


def told(record: AuditRecord) -> list[Measurement]:
    """Return the measurements that the card gives: of the groups of one metric those that are judged or void, then the worst."""
    judged, kept = Judged.of(record.judgements), []
    groups: dict[str, list[Measurement]] = {}
    for m in record.measurements:
        if m.group and not m.void and judged.verdict(m) is None:
            groups.setdefault(m.metric, []).append(m)
        else:
            kept.append(m)
    for family in groups.values():
        room = _GROUPS - sum(m.metric == family[0].metric and bool(m.group) for m in kept)
        kept += sorted(family, key=_badness)[: max(room, 0)]
    return kept


def _badness(m: Measurement) -> float:
    """Sort key: the worst first; where no direction is worse, the largest."""
    return m.value if m.direction is Direction.HIGHER_IS_BETTER else -m.value


def _results(record: AuditRecord, task: tuple[str, str]) -> Iterator[dict[str, Any]]:
    """Yield a result of the model index for each split that evaluators name as their reference, and one for the rest."""
    split_of = {e.name: e.parameters.get("reference") for e in record.evaluators}
    owned = owners(record)
    whole = {m.metric for m in record.measurements if not m.group}
    by_split: dict[str, list[Measurement]] = {}
    for m in told(record):
        split = split_of.get(owned[m.metric].name) if m.metric in owned else None
        if not m.void and not (m.group and m.metric in whole):
            by_split.setdefault(split if isinstance(split, str) else "", []).append(m)
    data = record.data
    for split, measured in by_split.items():
        dataset = {
            "type": str(data.get("loader") or "unknown"),
            "name": str(data.get("loader") or "unknown"),
            **({"split": split} if split else {}),
            "args": {"content": str(data.get("content", "")), **_options(data)},
        }
        yield {
            "task": {"type": task[0], "name": task[1]},
            "dataset": dataset,
            "metrics": [{"type": m.metric, "value": m.value, "name": _named(m)} for m in measured],
        }


def _options(values: Mapping[str, Any]) -> dict[str, str]:
    options = values.get("options")
    return {key[:80]: said for key, said in flattened(options)} if isinstance(options, Mapping) else {}


def _named(m: Measurement) -> str:
    """Return a metric's name for a list of results, with the group and the interval that belong to its number."""
    group = f", {group_name(m.group)}" if m.group else ""
    match m.uncertainty:
        case Interval(level=level):
            return f"{m.metric}{group} ({numbers.percent(level)} interval {numbers.interval_of(m)})"
        case Unquantified():
            return f"{m.metric}{group} (no interval)"


def _task(record: AuditRecord) -> tuple[str, str] | None:
    offers = record.model.get("offers") or ()
    if "reconstruct" in offers and "sample" not in offers:
        return _ENHANCES
    return _TASKS.get(str(record.model.get("modality")))


def _title(record: AuditRecord) -> str:
    return model_name(record.model) or record.name or "A model without a name"


def _summary(record: AuditRecord) -> str:
    return (
        f"**{text(headline(record))}.** {text(sentence(record))}\n\n"
        f"Written by generative-audit from the record of the run {name(record.run)}, {text(record.name, 200)}, and from nothing else."
    )


def _section(title: str, lines: Iterable[str]) -> list[str]:
    body = list(lines)
    return [f"## {title}", *body] if body else []


def _model(record: AuditRecord) -> Iterator[str]:
    model = record.model
    rows = [
        *((key, text(value)) for key, value in facts(record) if key == "Model"),
        ("Weights", name(model.get("weights", ""))),
        ("Offers", text(", ".join(str(offer).replace("_", " ") for offer in model.get("offers") or ()))),
        *((f"Option {name(key)}", text(value)) for key, value in _options(model).items()),
    ]
    yield table(("", ""), [row for row in rows if row[1]])
    yield from _listed(text(note) for note in model.get("notes") or ())


def _use(record: AuditRecord) -> Iterator[str]:
    """Say for which use the numbers hold: a record knows what was examined, and no purpose beyond it."""
    policy = record.policy
    called = f"{policy.get('name', '')} {policy.get('version', '')}".strip()
    yield (
        "The audit examined exactly these weights, with the options above, on the data and settings named below, against the policy "
        f"{text(called, 200) or 'without a name'}. Its verdicts hold for this use. The record states no other intended use: "
        "before another, run an audit with data and a policy of that use."
    )
    required = [
        f"{name(line.metric)}{_of(line)} {text(line.bound)}{f': {text(line.why)}' if line.why else ''}"
        for line in criteria(record)
    ]
    if required:
        yield "What the policy requires:"
        yield from _listed(dict.fromkeys(required))


def _of(line: CriterionLine) -> str:
    return f" ({text(line.group)})" if line.group else ""


def _limits(record: AuditRecord) -> Iterator[str]:
    lines = criteria(record)
    for verdict, title in (
        (Verdict.FAIL, "Criteria that failed"),
        (Verdict.INCONCLUSIVE, "Criteria that could not be decided"),
        (Verdict.NOT_ASSESSED, "Criteria that were not assessed"),
    ):
        yield from _titled(title, (_criterion(line) for line in lines if line.verdict == verdict.value))
    yield from _titled(
        "Evaluators that were skipped",
        (f"{name(s.evaluator)}: {_reasons(s.unmet)}" for s in record.skipped),
    )
    yield from _titled(
        "What failed",
        (
            f"{text(f.what)}, shard {f.shard}: {text(f.error)}"
            + (f". {text(without(f))}" if f.evaluators else "")
            for f in record.failures
        ),
    )
    yield from _titled(
        "Metrics without a value",
        (f"{name(u.metric)}{_group(u.group)}: {text(u.reason)}" for u in record.undefined),
    )
    withheld = record.model.get("withheld")
    if isinstance(withheld, Mapping):
        yield from _titled(
            "What the model withholds", (f"{name(what)}: {text(why)}" for what, why in withheld.items())
        )
    yield from _titled("In general", (text(sentence) for sentence in limits(record)))


def _criterion(line: CriterionLine) -> str:
    said = f"{name(line.metric)}{_of(line)} {text(line.bound)}"
    if line.standing:
        said += f" ({text(line.standing)})"
    if line.unmet:
        return f"{said}: {_reasons(line.unmet)}"
    interval = f", interval {text(line.interval)}" if line.interval else f", {text(line.method)}"
    return f"{said}: it is {text(line.value)}{interval}. {text(line.n_to_decide)}".strip()


def _reasons(unmet: Sequence[Any]) -> str:
    return "; ".join(f"needs {text(u.need)}; found {text(u.found)}; {text(u.remedy)}" for u in unmet)


def _group(group: Any) -> str:
    return f" ({text(group_name(group))})" if group else ""


def _measurements(record: AuditRecord) -> Iterator[str]:
    if not record.measurements:
        yield "Nothing was measured."
        return
    judged, shown = Judged.of(record.judgements), told(record)
    yield table(
        ("metric", "group", "value:", "interval:", "level", "noise floor:", "n:", "verdict"),
        (_row(m, judged.verdict(m)) for m in sorted(shown, key=lambda m: bool(m.group))),
    )
    if left_out := len(record.measurements) - len(shown):
        yield f"{numbers.count(left_out)} more numbers of groups are in the record."
    declared: dict[str, str] = {}
    for evaluator in record.evaluators:
        declared |= evaluator.metrics
    measured = dict.fromkeys(m.metric for m in record.measurements)
    yield from _titled(
        "What the metrics are", (f"{name(m)}: {text(declared[m])}" for m in measured if m in declared)
    )
    notes = dict.fromkeys(f"{name(m.metric)}: {text(n)}" for m in shown for n in m.notes)
    yield from _titled("Notes", notes)
    void = dict.fromkeys(
        f"{name(m.metric)}{_group(m.group)}: {text(m.void)}" for m in record.measurements if m.void
    )
    yield from _titled("Void: a control misbehaved, so the number says nothing", void)


def _row(m: Measurement, verdict: Verdict | None) -> tuple[str, ...]:
    value = text(f"{numbers.value_of(m)} {m.unit}".strip())
    match m.uncertainty:
        case Interval(level=level, method=method):
            interval, how = text(numbers.interval_of(m)), f"{numbers.percent(level)}, {text(method)}"
        case Unquantified(reason=reason):
            interval, how = "none", text(reason)
    return (
        name(m.metric),
        text(group_name(m.group)),
        f"~~{value}~~ void" if m.void else value,
        interval,
        how,
        "" if m.noise_floor is None else text(numbers.plain(m.noise_floor)),
        numbers.count(m.n),
        "" if verdict is None else verdict.value,
    )


def _controls(record: AuditRecord) -> Iterator[str]:
    if not record.controls:
        return
    yield "Each question was asked of cases with a known answer too."
    rows = []
    shown = [c for c in record.controls if not c.group or c.right is False]
    for control in shown:
        dose = "" if control.dose is None else f"{control.defect}, dose {numbers.plain(control.dose)}: "
        value = "" if control.value is None else numbers.plain(control.value)
        right = {True: "as it should be", False: "**wrong**", None: "nothing can be said"}[control.right]
        metric = f"{name(control.metric)}{_group(control.group)}"
        rows.append((metric, text(f"{dose}{control.asked}"), text(value), right, text(control.because)))
    yield table(("metric", "asked of", "value:", "outcome", "why"), rows)
    if left_out := len(record.controls) - len(shown):
        yield f"{numbers.count(left_out)} more of groups are in the record; none is wrong."


def _settings(record: AuditRecord) -> Iterator[str]:
    rows = [(f"data {name(key)}", text(value)) for key, value in flattened(record.data)]
    rows += [(f"setting {name(key)}", text(value)) for key, value in flattened(record.settings)]
    rows += [(name(key), text(value)) for key, value in flattened(record.environment)]
    rows += [("tokens and cost", text(spending.sentence())) for spending in record.spending]
    yield table(("", ""), rows)


def _titled(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(_listed(lines))
    if found:
        yield f"### {title}"
        yield from found


def _listed(lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if not found:
        return
    more = len(found) - _LIST
    shown = found[:_LIST] + ([f"… and {numbers.count(more)} more, in the record."] if more > 0 else [])
    yield "\n".join(f"- {line}" for line in shown)
