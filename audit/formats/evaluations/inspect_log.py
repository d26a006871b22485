"""Logs of Inspect (``inspect_ai``): ``.eval`` archives and JSON documents, of version 2.

An archive is read by its summaries, which hold the scores of each sample without its messages; a JSON document is read
sample by sample. What Inspect calls unscored (NaN) or lost to an error has no score here either, and is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from audit.core.imported import Formula, Log, Origin, Scores, Task
from audit.core.metrics import HIGHER, NEITHER
from audit.formats.evaluations.archive import Archive
from audit.formats.evaluations.json_stream import JsonDocument
from audit.formats.evaluations.values import (
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
    unit,
)
from audit.formats.hostile import UnreadableError, shown

TOOL = "inspect"
_GRADES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""What Inspect itself takes grades for (``value_to_float``); other words have no value here, where Inspect takes 0."""
_MEANS = ("accuracy", "mean")
_ERRORS = ("stderr", "bootstrap_stderr", "hierarchical_bootstrap_stderr")


@dataclass
class _Parts:
    """What is wanted of a log, in whatever order it comes."""

    header: dict[str, Any] = field(default_factory=dict)
    seen: dict[tuple[str, str], int] = field(default_factory=dict)
    attempts: list[tuple[str, bool]] = field(default_factory=list)
    """The sample of each attempt, and whether it ended in an error."""
    scores: dict[str, list[Any]] = field(default_factory=dict)
    """By scorer, the value of each attempt; _NONE where it gave none."""
    reductions: list[Any] = field(default_factory=list)


_NONE = object()


def read_archive(file: BinaryIO, found: Origin) -> Log:
    """Read an ``.eval`` archive. Raise UnreadableError with the reason."""
    archive, parts, budget = Archive(file), _Parts(), Budget()
    header = next((n for n in ("header.json", "_journal/start.json") if n in archive), None)
    if header is None:
        raise UnreadableError("it is a zip archive without header.json, so no log of Inspect")
    with archive.opened(header) as entry:
        document = JsonDocument(entry)
        parts.header = {name: document.value() for name in document.names()}
    for sample in _archived(archive):
        _take(sample, parts, budget)
    kept = len(archive.names("samples/"))
    if kept and kept != len(parts.attempts):
        raise UnreadableError(
            f"it holds {kept:,} samples and summaries of {len(parts.attempts):,}: it was damaged or changed"
        )
    if "reductions.json" in archive:
        with archive.opened("reductions.json") as entry:
            parts.reductions = listed(JsonDocument(entry).value(), "reductions")
    return _log(parts, found, budget)


def read_json(file: BinaryIO, found: Origin) -> Log:
    """Read a log that is one JSON document. Raise UnreadableError with the reason."""
    parts, budget, document = _Parts(), Budget(), JsonDocument(file)
    for name in document.names():
        if name == "samples":
            for sample in document.items():
                _take(sample, parts, budget)
        elif name == "reductions":
            parts.reductions = listed(document.value(), name)
        elif name in ("version", "status", "eval", "plan", "results", "stats"):
            parts.header[name] = document.value()
    return _log(parts, found, budget)


def _archived(archive: Archive) -> Iterator[Any]:
    """Yield the samples of an archive, by its summaries where it has them."""
    journal = sorted(archive.names("_journal/summaries/"), key=lambda name: (len(name), name))
    for name in ["summaries.json"] if "summaries.json" in archive else journal or archive.names("samples/"):
        with archive.opened(name) as entry:
            document = JsonDocument(entry)
            if name.startswith("samples/"):
                yield document.value()
            else:
                yield from document.items()


def _take(sample: Any, parts: _Parts, budget: Budget) -> None:
    """Keep the scores of one sample."""
    sample = mapping(sample, "a sample")
    who, epoch = unit(sample.get("id"), "id"), str(count(sample.get("epoch", 1)))
    if (who, epoch) in parts.seen:
        raise UnreadableError(f"sample '{shown(who)}' of epoch {epoch} stands in it twice")
    parts.seen[who, epoch] = len(parts.attempts)
    scores = mapping(sample.get("scores"), "scores")
    parts.attempts.append((who, bool(sample.get("error"))))
    for scorer, score in scores.items():
        known = parts.scores.setdefault(scorer, [])
        known += [_NONE] * (len(parts.attempts) - 1 - len(known))
        known.append(mapping(score, f"the score '{shown(scorer)}'").get("value"))
        budget.take()


def _log(parts: _Parts, found: Origin, budget: Budget) -> Log:
    about = mapping(parts.header.get("eval"), "eval")
    if not about:
        raise UnreadableError("it has no 'eval', so it is no log of Inspect")
    if parts.header.get("version", 2) != 2:
        raise UnreadableError(f"it is of version {said(parts.header['version'])}; version 2 is read")
    packages, stats = mapping(about.get("packages"), "packages"), mapping(parts.header.get("stats"), "stats")
    version, status = said(packages.get("inspect_ai")), said(parts.header.get("status"))
    made = origin(
        TOOL,
        found.file,
        found.digest,
        found.size,
        version=version,
        model=named(about.get("model"), "model"),
        began=stats.get("started_at", ""),
        finished=stats.get("completed_at", ""),
        status=status,
    )
    _absent(about, parts)
    notes = (
        [] if status == "success" else [f"Inspect says of the evaluation: {status or 'it did not finish'}."]
    )
    return Log((made,), (_task(about, parts, budget),), {"inspect_ai": version}, tuple(notes))


def _absent(about: Mapping[str, Any], parts: _Parts) -> None:
    """Add the attempts that the evaluation asked for and the log does not have, each without a score."""
    dataset, config = mapping(about.get("dataset"), "dataset"), mapping(about.get("config"), "config")
    epochs = max(1, count(config.get("epochs")))
    wanted = listed(dataset.get("sample_ids"), "sample_ids")
    if len(wanted) * epochs > 2 * len(parts.attempts) + 1_000_000:
        raise UnreadableError(
            f"it asks for {len(wanted) * epochs:,} samples and holds {len(parts.attempts):,}"
        )
    for epoch in range(1, epochs + 1):
        for name in wanted:
            if (unit(name, "sample_ids"), str(epoch)) not in parts.seen:
                parts.attempts.append((unit(name, "sample_ids"), False))


def _task(about: Mapping[str, Any], parts: _Parts, budget: Budget) -> Task:
    dataset, config = mapping(about.get("dataset"), "dataset"), mapping(about.get("config"), "config")
    results = mapping(parts.header.get("results"), "results")
    groups = [mapping(one, "a score") for one in listed(results.get("scores"), "scores")]
    scores = [one for group in groups for one in _group(group, parts, budget)]
    if (
        not scores
    ):  # an evaluation that did not finish has no results; its samples may have scores all the same
        scores = [_means(name, "mean", None, parts, budget) for name in parts.scores]
    chosen = ("epochs", "epochs_reducer", "limit", "message_limit", "token_limit", "time_limit")
    return Task(
        name=named(about.get("task"), "task"),
        summary=f"Task of Inspect over {len({u for u, _ in parts.attempts}):,} samples.",
        scores=tuple(scores),
        parameters=settings(
            {
                "version": about.get("task_version"),
                "arguments": about.get("task_args"),
                "generation": about.get("model_generate_config"),
                **{name: config.get(name) for name in chosen},
            }
        ),
        samples=len({who for who, _ in parts.attempts}),
        dataset=said(dataset.get("name")),
    )


def _group(group: Mapping[str, Any], parts: _Parts, budget: Budget) -> Iterable[Scores]:
    """Yield the metrics of one scorer and reducer."""
    metrics = mapping(group.get("metrics"), "metrics")
    own = [m for m in metrics.values() if isinstance(m, dict) and m.get("name") in _ERRORS]
    error = number(own[0].get("value")) if own else None
    scorer, name = named(group.get("scorer"), "scorer"), named(group.get("name"), "name")
    reducer = said(group.get("reducer"))
    place = name if name == scorer else f"{scorer}.{name}"
    place += "" if reducer in ("", "mean") else f".{reducer}"
    for label, metric in metrics.items():
        metric = mapping(metric, f"metric '{shown(label)}'")
        kind = said(metric.get("name")).rpartition("/")[2]
        if kind in _ERRORS:
            continue
        about = (f"{place}.{named(label, 'a metric')}", number(metric.get("value")), error)
        if kind not in _MEANS:
            of_group = metric.get("group") == "grouped"
            yield _as_reported(*about[:2], count(group.get("scored_samples")), kind, of_group=of_group)
        elif reducer in ("", "mean"):
            yield _means(scorer, kind, None if name == scorer else name, parts, budget, about)
        else:
            yield _reduced(scorer, reducer, kind, None if name == scorer else name, parts, budget, about)


def _as_reported(metric: str, reported: float | None, n: int, kind: str, *, of_group: bool) -> Scores:
    why = (
        "it is about one group of samples, and which samples are in it is not read here"
        if of_group
        else f"'{shown(kind)}' is no mean over samples, so it cannot be recomputed from their scores; the value is the log's"
    )
    return Scores(
        metric=metric,
        meaning=f"'{shown(kind)}' of Inspect, as its log reports it",
        direction=NEITHER,
        formula=Formula.NONE,
        reported=reported,
        n=n,
        reason=why,
    )


def _means(
    scorer: str,
    kind: str,
    key: str | None,
    parts: _Parts,
    budget: Budget,
    about: tuple[str, float | None, float | None] | None = None,
) -> Scores:
    """Return the mean over attempts; attempts of one sample belong together."""
    metric, reported, error = about or (f"{named(scorer, 'scorer')}.mean", None, None)
    given, gathered, graded, refused = parts.scores.get(scorer, []), Gathered(budget), True, 0
    for place, (who, errored) in enumerate(parts.attempts):
        value = _of(given[place] if place < len(given) else _NONE, key)
        gathered.add(who, _grade(value), errored=errored)
        graded = graded and (
            value is _NONE or value is None or isinstance(value, str | bool) or value != value
        )
        refused += value == "N"
    bounded = kind == "accuracy" or graded
    return Scores(
        metric=metric,
        meaning=f"Mean score by '{shown(scorer)}' over all samples"
        if kind == "mean"
        else f"Share that '{shown(scorer)}' takes for right",
        direction=HIGHER if bounded else NEITHER,
        units=tuple(gathered.units),
        values=gathered.values,
        errored=gathered.errored,
        least=0.0 if bounded else None,
        most=1.0 if bounded else None,
        reported=reported,
        reported_error=error,
        notes=(f"{refused:,} attempts gave no answer ('N') and count as wrong, as Inspect has it.",)
        if refused
        else (),
    )


def _reduced(
    scorer: str,
    reducer: str,
    kind: str,
    key: str | None,
    parts: _Parts,
    budget: Budget,
    about: tuple[str, float | None, float | None],
) -> Scores:
    """Return the mean over samples of what a reducer made of their epochs, as the log keeps it for each sample."""
    metric, reported, error = about
    kept = next(
        (
            listed(one.get("samples"), "samples")
            for one in (mapping(entry, "a reduction") for entry in parts.reductions)
            if one.get("scorer") == scorer and said(one.get("reducer")) == reducer
        ),
        None,
    )
    if kept is None:
        why = f"the log does not keep what '{shown(reducer)}' made of the epochs of each sample"
        return Scores(metric, f"Mean of {reducer}", NEITHER, Formula.NONE, reported=reported, reason=why)
    values: dict[str, float | None] = {}
    for entry in kept:
        who = unit(mapping(entry, "a sample").get("sample_id"), "sample_id")
        if who in values:
            raise UnreadableError(f"sample '{shown(who)}' stands twice among those of '{shown(reducer)}'")
        values[who] = _grade(_of(entry.get("value"), key))
    gathered, graded = Gathered(budget), parts.scores.get(scorer, [])
    lost = {
        u
        for n, (u, _) in enumerate(parts.attempts)
        if n >= len(graded) or _grade(_of(graded[n], key)) is None
    }
    errored = {u for u, failed in parts.attempts if failed}
    for who in dict.fromkeys(who for who, _ in parts.attempts):
        gathered.add(who, None if who in lost else values.get(who), errored=who in errored)
    bounded = kind == "accuracy"
    return Scores(
        metric=metric,
        meaning=f"Mean over samples of '{shown(reducer)}' of the scores by '{shown(scorer)}' in their epochs",
        direction=HIGHER if bounded else NEITHER,
        units=tuple(gathered.units),
        values=gathered.values,
        errored=gathered.errored,
        least=0.0 if bounded else None,
        most=1.0 if bounded else None,
        reported=reported,
        reported_error=error,
        notes=("A sample of which an epoch has no score counts as one without a score.",) if lost else (),
    )


def _of(value: Any, key: str | None) -> Any:
    """Return the value of a score, or one of its values by name."""
    if key is None or not isinstance(value, dict):
        return value
    return value.get(key, _NONE)


def _grade(value: Any) -> float | None:
    """Return the number a score stands for, None where it has none."""
    if isinstance(value, str):
        if value in _GRADES or value.lower() in _GRADES:
            return _GRADES.get(value, _GRADES.get(value.lower()))
        try:
            return number(float(value))
        except ValueError:
            return None
    return number(value)
