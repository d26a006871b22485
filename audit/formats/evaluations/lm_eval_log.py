"""Logs of lm-evaluation-harness (``lm_eval``): a JSON file of results, and a JSONL file of samples for each task.

The results say which metrics there are, which way is better and what a group is made of; the samples have one number for
each document, filter and metric, from which means and perplexities are computed again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np

from audit.core.imported import Formula, Log, Origin, Scores, Task
from audit.core.metrics import HIGHER, LOWER, NEITHER
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
)
from audit.formats.hostile import UnreadableError, shown

TOOL = "lm_eval"
_RATIOS = {
    "word_perplexity": Formula.EXPONENTIAL,
    "byte_perplexity": Formula.EXPONENTIAL,
    "bits_per_byte": Formula.RATIO,
}
"""Metrics whose samples have a log-likelihood and a count: minus the sum of the one over the sum of the other."""
_SHARES = ("acc", "acc_norm", "acc_mutual_info", "exact_match", "em", "pass@1")
"""Metrics of a sample that are 0 or 1, or a share, by what lm_eval defines them to be."""
_NAME = re.compile(r"samples_(?P<task>.+)_\d{4}-\d\d-\d\dT[\d.-]+\.jsonl")


@dataclass
class Samples:
    """The samples of one task: by filter and metric what each document scored."""

    file: Origin
    task: str
    """The task as the name of the file has it: every sign that is no letter, digit or underscore is one."""
    documents: set[str] = field(default_factory=set)
    scores: dict[tuple[str, str], list[tuple[str, Any]]] = field(default_factory=dict)


def read_samples(file: BinaryIO, found: Origin, name: str) -> Samples:
    """Read a file of samples. Raise UnreadableError with the reason."""
    matched = _NAME.fullmatch(name)
    if matched is None:
        raise UnreadableError(
            "it holds samples of lm_eval, whose file is called samples_TASK_DATE.jsonl; only that name says the task"
        )
    samples, seen, budget = Samples(found, matched["task"]), set[tuple[str, str]](), Budget()
    for line, sample in lines(file):
        unit, kind = named(sample.get("doc_id"), "doc_id"), said(sample.get("filter")) or "none"
        if (unit, kind) in seen:
            raise UnreadableError(
                f"line {line:,}: document {shown(unit)} stands twice under the filter '{kind}'"
            )
        seen.add((unit, kind))
        unit = f"{unit} {said(sample.get('doc_hash'))[:16]}".strip()
        samples.documents.add(unit)
        for metric in listed(sample.get("metrics"), "metrics"):
            budget.take()
            metric = named(metric, "metrics")
            samples.scores.setdefault((metric, kind), []).append((unit, sample.get(metric)))
    return samples


def read_results(file: BinaryIO, found: Origin, samples: Iterable[Samples] = ()) -> Log:
    """Read a file of results, with the samples of its tasks. Raise UnreadableError with the reason."""
    document = JsonDocument(file)
    wanted = (
        "results",
        "configs",
        "config",
        "higher_is_better",
        "n-samples",
        "versions",
        "n-shot",
        "group_subtasks",
    )
    plain: dict[str, Mapping[str, Any]] = {}
    words: dict[str, Any] = {}
    for name in document.names():
        if name in wanted:
            plain[name] = mapping(document.value(), name)
        elif name in ("lm_eval_version", "model_name", "model_source", "date"):
            words[name] = document.value()
    results = mapping(plain.get("results"), "results")
    if not results:
        raise UnreadableError("it has no 'results', so it is no log of lm_eval, or one of nothing")
    files = tuple(samples)
    by_task = {one.task: one for one in files}
    if len(by_task) != len(files):
        raise UnreadableError("two of the files given hold samples of the same task")
    tasks = tuple(
        _task(
            named(name, "a task"),
            mapping(values, f"results of '{shown(name)}'"),
            plain,
            by_task.pop(_plain(name), None),
            name,
        )
        for name, values in results.items()
    )
    if by_task:
        strange = ", ".join(shown(one.file.file) for one in by_task.values())
        raise UnreadableError(f"it has no results of the tasks whose samples were given: {strange}")
    version = said(words.get("lm_eval_version"))
    made = origin(
        TOOL,
        found.file,
        found.digest,
        found.size,
        version=version,
        model=_model(plain.get("config", {}), words),
    )
    return Log((made, *(one.file for one in files)), tasks, {"lm_eval": version})


def _plain(task: str) -> str:
    """Return a task as lm_eval spells it in the name of a file."""
    return re.sub(r"\W", "_", task)


def _model(config: Mapping[str, Any], words: Mapping[str, Any]) -> str:
    """Return what was evaluated: what the arguments name, else the kind of model. ``model_name`` may be a random word."""
    given = config.get("model_args")
    if isinstance(given, str):
        given = dict(part.partition("=")[::2] for part in given.split(",") if "=" in part)
    named_by = (
        [given.get(key) for key in ("pretrained", "model", "path", "engine")]
        if isinstance(given, dict)
        else []
    )
    return (
        said(next((one for one in named_by if one), ""))
        or said(config.get("model"))
        or said(words.get("model_source"))
    )


def _task(
    name: str, values: Mapping[str, Any], plain: Mapping[str, Any], samples: Samples | None, key: str
) -> Task:
    config = mapping(mapping(plain.get("configs"), "configs").get(key), "configs")
    sizes = mapping(mapping(plain.get("n-samples"), "n-samples").get(key), "n-samples")
    better = mapping(mapping(plain.get("higher_is_better"), "higher_is_better").get(key), "higher_is_better")
    budget, asked = Budget(), count(sizes.get("effective")) or count(values.get("sample_len"))
    parts = listed(mapping(plain.get("group_subtasks"), "group_subtasks").get(key), "group_subtasks")
    scores = tuple(_scores(values, better, config, samples, asked, bool(parts), budget))
    about = "Group of tasks" if parts else "Task"
    chosen = ("num_fewshot", "output_type", "repeats", "generation_kwargs", "dataset_name", "test_split")
    return Task(
        name=name,
        summary=f"{about} of lm_eval over {max(asked, len(samples.documents) if samples else 0):,} documents.",
        scores=scores,
        parameters=settings(
            {
                "version": mapping(plain.get("versions"), "versions").get(key),
                "n-shot": mapping(plain.get("n-shot"), "n-shot").get(key),
                **{one: config.get(one) for one in chosen},
                **{one: mapping(plain.get("config"), "config").get(one) for one in ("limit", "gen_kwargs")},
            }
        ),
        samples=len(samples.documents) if samples else asked,
        dataset=said(config.get("dataset_path")),
    )


def _scores(
    values: Mapping[str, Any],
    better: Mapping[str, Any],
    config: Mapping[str, Any],
    samples: Samples | None,
    asked: int,
    is_group: bool,
    budget: Budget,
) -> Iterator[Scores]:
    """Yield the metrics of one task, in the order of the results."""
    means = {
        m.get("metric"): m.get("aggregation")
        for m in (mapping(one, "metric_list") for one in listed(config.get("metric_list"), "metric_list"))
    }
    for key, value in values.items():
        metric, comma, kind = key.rpartition(",")
        if not comma or metric.endswith("_stderr"):
            continue
        reported = number(value)
        if reported is None and not isinstance(value, float):
            continue
        up = better.get(metric)
        direction = HIGHER if up is True else LOWER if up is False else NEITHER
        filtered = kind not in ("none", "")
        about = Scores(
            metric=named(f"{metric}.{kind}" if filtered else metric, "a metric"),
            meaning=f"'{shown(metric)}' of lm_eval"
            + (f" after the filter '{shown(kind)}'" if filtered else ""),
            direction=direction,
            reported=reported,
            reported_error=number(values.get(f"{metric}_stderr,{kind}")),
        )
        given = samples.scores.get((metric, kind)) if samples else None
        why = _unknown(metric, means.get(metric, "mean"), given, samples, is_group)
        if why:
            yield replace(about, formula=Formula.NONE, n=asked, reason=why)
        else:
            yield _computed(about, metric, given or [], asked, budget)


def _unknown(
    metric: str,
    aggregation: Any,
    given: list[tuple[str, Any]] | None,
    samples: Samples | None,
    is_group: bool,
) -> str:
    """Say why a metric cannot be computed again; empty where it can."""
    if is_group and samples is None:
        return "a group's value is made of those of its tasks; their own numbers stand beside it"
    if samples is None:
        return "the samples of this task were not given: name its file samples_TASK_DATE.jsonl as well"
    if given is None:
        return "the samples of this task have no value of this metric"
    if metric in _RATIOS or aggregation in ("mean", None):
        return ""
    return f"lm_eval aggregates it by '{shown(str(aggregation))}', which is no mean over documents"


def _computed(
    about: Scores,
    metric: str,
    given: list[tuple[str, Any]],
    asked: int,
    budget: Budget,
) -> Scores:
    gathered, weights, formula = Gathered(budget), list[float](), _RATIOS.get(metric, Formula.MEAN)
    for unit, value in given:
        if formula is Formula.MEAN:
            gathered.add(unit, number(value))
            continue
        pair = listed(value, metric) if isinstance(value, list) else []
        top, bottom = (number(pair[0]), number(pair[1])) if len(pair) == 2 else (None, None)
        usable = top is not None and bottom is not None and bottom > 0
        per = math.log(2) if metric == "bits_per_byte" else 1.0
        gathered.add(unit, -top / per if usable and top is not None else None)
        weights.append(bottom if usable and bottom is not None else 1.0)
    for missing in range(asked - len({unit for unit, _ in given})):
        gathered.add(f"absent {missing}", None)
        weights.append(1.0)
    bounded = metric in _SHARES
    return replace(
        about,
        formula=formula,
        units=tuple(gathered.units),
        values=gathered.values,
        weights=np.array(weights) if formula is not Formula.MEAN else None,
        least=0.0 if bounded else None,
        most=1.0 if bounded else None,
    )
