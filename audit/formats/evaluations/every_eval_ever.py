"""Results in the format Every Eval Ever, version 0.3: a JSON file of results, and perhaps a JSONL file of its samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np

from audit.core.imported import Formula, Log, Origin, Scores, Task
from audit.core.measurements import Direction
from audit.core.metrics import HIGHER, LOWER, NEITHER
from audit.core.rows import Vector
from audit.formats.evaluations.json_lines import lines
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

TOOL = "every_eval_ever"
VERSION = "0.3"
_PERCENT = "The file gives the metric in percent and its samples as shares; it is a share here."
_ROUNDED = 0.005
"""Reported values are rounded, to two digits at the least."""
_WANTED = (
    "schema_version",
    "evaluation_id",
    "eval_library",
    "model_info",
    "evaluation_results",
    "evaluation_timestamp",
)


@dataclass
class Samples:
    """The samples of one evaluation: by result, or by name of the evaluation, what each scored."""

    file: Origin
    evaluation: str
    scores: dict[str, Gathered] = field(default_factory=dict)


def read_samples(file: BinaryIO, found: Origin) -> Samples:
    """Read a file of samples. Raise UnreadableError with the reason."""
    samples, budget = Samples(found, ""), Budget()
    for line, sample in lines(file):
        _check(sample.get("schema_version"))
        evaluation = named(sample.get("evaluation_id"), "evaluation_id")
        if samples.evaluation not in ("", evaluation):
            raise UnreadableError(
                f"line {line:,}: it holds samples of two evaluations, '{shown(evaluation)}' the second"
            )
        samples.evaluation = evaluation
        result = sample.get("evaluation_result_id") or sample.get("evaluation_name")
        scored = mapping(sample.get("evaluation"), "evaluation")
        failed = bool(sample.get("error"))
        value = None if failed else number(scored.get("score"))
        known = samples.scores.setdefault(named(result, "evaluation_name"), Gathered(budget))
        known.add(unit(sample.get("sample_id"), "sample_id"), value, errored=failed)
    if not samples.evaluation:
        raise UnreadableError("it holds no sample")
    return samples


def read_results(file: BinaryIO, found: Origin, samples: Iterable[Samples] = ()) -> Log:
    """Read a file of results, with those of the samples that are its own. Raise UnreadableError with the reason."""
    document = JsonDocument(file)
    plain = {name: document.value() for name in document.names() if name in _WANTED}
    _check(plain.get("schema_version"))
    evaluation = named(plain.get("evaluation_id"), "evaluation_id")
    files = [one for one in samples if one.evaluation == evaluation]
    kept = {key: gathered for one in files for key, gathered in one.scores.items()}
    results = [
        mapping(one, "a result") for one in listed(plain.get("evaluation_results"), "evaluation_results")
    ]
    if not results:
        raise UnreadableError("it has no evaluation_results")
    library, model = (
        mapping(plain.get("eval_library"), "eval_library"),
        mapping(plain.get("model_info"), "model_info"),
    )
    version = said(library.get("version"))
    made = origin(
        TOOL,
        found.file,
        found.digest,
        found.size,
        version=said(plain.get("schema_version")),
        model=named(model.get("id") or model.get("name"), "model_info.id"),
        began=said(plain.get("evaluation_timestamp")),
    )
    names = list(dict.fromkeys(named(one.get("evaluation_name"), "evaluation_name") for one in results))
    by = said(library.get("name")) or "unknown"
    tasks = tuple(
        _task(name, [r for r in results if said(r.get("evaluation_name")) == name], kept, f"{by} {version}")
        for name in names
    )
    return Log((made, *(one.file for one in files)), tasks, {by: version})


def _check(version: Any) -> None:
    if not isinstance(version, str) or version.split(".")[:2] != VERSION.split("."):
        raise UnreadableError(
            f"it is of version {shown(str(version))} of Every Eval Ever; version {VERSION} is read"
        )


def _task(name: str, results: list[Mapping[str, Any]], kept: Mapping[str, Gathered], by: str) -> Task:
    alone, taken = len(results) == 1, set[str]()
    scores = tuple(
        _scores(
            result,
            kept,
            name if alone else None,
            _metric(mapping(result.get("metric_config"), "metric_config"), taken).removeprefix(f"{name}."),
        )
        for result in results
    )
    source = mapping(results[0].get("source_data"), "source_data")
    config = mapping(results[0].get("generation_config"), "generation_config")
    return Task(
        name=name,
        summary="Evaluation in the format Every Eval Ever.",
        scores=scores,
        parameters=settings(
            {"generation": config.get("generation_args"), "source": source.get("source_type")}
        ),
        samples=max((len(set(s.units)) or s.n for s in scores), default=0),
        dataset=said(source.get("dataset_name")),
        caveats=(f"The numbers come from {by}, as the file says.",),
    )


def _scores(result: Mapping[str, Any], kept: Mapping[str, Gathered], name: str | None, metric: str) -> Scores:
    config = mapping(result.get("metric_config"), "metric_config")
    details = mapping(result.get("score_details"), "score_details")
    spread = mapping(details.get("uncertainty"), "uncertainty")
    own = mapping(spread.get("standard_error"), "standard_error")
    gathered = kept.get(said(result.get("evaluation_result_id")) or "\0") or kept.get(name or "\0")
    reported, least, most = (
        number(v) for v in (details.get("score"), config.get("min_score"), config.get("max_score"))
    )
    about = Scores(
        metric=metric,
        meaning=said(config.get("evaluation_description")) or f"'{shown(metric)}' as the file reports it",
        direction=_direction(config),
        reported=reported,
        reported_error=number(own.get("value")),
        unit=said(config.get("metric_unit")),
    )
    if gathered is None:
        return replace(
            about,
            formula=Formula.NONE,
            n=count(spread.get("num_samples")),
            reason="the samples of this result were not given: name the file of its samples (…_samples.jsonl) as well",
            notes=_claimed(mapping(spread.get("confidence_interval"), "confidence_interval")),
        )
    values, percent = gathered.values, False
    if config.get("has_unknown_level") is True:
        values = np.where(values == -1, np.nan, values)  # the format's own sign of a score that nobody knows
    if most == 100 and values.size and float(values[np.isfinite(values)].max(initial=0.0)) <= 1:
        percent, least, most = True, None if least is None else least / 100, 1.0
        about = replace(about, reported=None if reported is None else reported / 100, unit="")
    if why := _no_mean(values, about.reported):
        return replace(about, formula=Formula.NONE, n=count(spread.get("num_samples")), reason=why)
    return replace(
        about,
        units=tuple(gathered.units),
        values=values,
        errored=gathered.errored,
        least=least,
        most=most,
        notes=(_PERCENT,) if percent else (),
    )


def _no_mean(values: Vector, reported: float | None) -> str:
    """Say that a metric is no mean of its samples, which the format does not tell; empty where it may be one."""
    if reported is None or not np.isfinite(values).all():
        return ""
    mean = float(values.mean())
    if abs(mean - reported) <= _ROUNDED * max(1.0, abs(reported)):
        return ""
    return f"the mean of its samples is {mean:.4g} and the file says {reported:.4g}, so it is made of them in another way"


def _direction(config: Mapping[str, Any]) -> Direction:
    """Return which way is better; the format has no word for neither, which our own export writes into the details."""
    details = mapping(config.get("additional_details"), "additional_details")
    if details.get("direction") == NEITHER.value:
        return NEITHER
    return LOWER if config.get("lower_is_better") is True else HIGHER


def _metric(config: Mapping[str, Any], taken: set[str]) -> str:
    """Return what to call a metric: by its id, and where several have it, by its name or a number."""
    names = [said(config.get(key)) for key in ("metric_id", "metric_name", "metric_kind")]
    found = next((name for name in names if name and name not in taken), "")
    first, number = next((name for name in names if name), "score"), 2
    while not found:
        found = (
            first if first not in taken else f"{first}.{number}" if f"{first}.{number}" not in taken else ""
        )
        number += 1
    taken.add(found)
    return found


def _claimed(interval: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = number(interval.get("lower")), number(interval.get("upper"))
    if low is None or high is None:
        return ()
    method = said(interval.get("method"))
    return (f"The file itself claims [{low:.6g}, {high:.6g}]" + (f" by {method}." if method else "."),)
