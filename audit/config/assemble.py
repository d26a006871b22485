"""From a spec to a plan: name the model and the data by their bytes, and ask each evaluator what it needs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from audit.config.spec import AuditSpec, EvaluatorSpec, RunSettings
from audit.config.tables import Table, parameters
from audit.core.errors import InputError, PluginError, nearest
from audit.core.evaluators import About, Dimension, Evaluator, Unmet
from audit.core.measurements import Outcome
from audit.core.plan import AuditPlan, plan
from audit.core.recipes import Recipe
from audit.core.references import ExtractorRef
from audit.core.subjects import Subject
from audit.engine.environment import best_device
from audit.registry import Unavailable, catalogue

_DEFAULT_EXTRACTORS: Mapping[str, str] = {"image": "pixels"}
"""What features a modality is compared in when the spec does not say: needs no asset, so it is always there."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """A plan, and what a record says about how it was asked for and where it ran."""

    plan: AuditPlan
    run: RunSettings
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class NotInstalled:
    """Stands in a plan for an evaluator that is registered but cannot be loaded, so that the record says so."""

    name: str
    reason: str
    remedy: str

    @property
    def about(self) -> About:
        prefix = self.name.partition(".")[0]
        dimension = Dimension(prefix) if prefix in set(Dimension) else Dimension.QUALITY
        return About(self.name, dimension, "An evaluator that could not be loaded.", metrics={})

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        return (Unmet(f"the evaluator '{self.name}'", self.reason, self.remedy),)

    def inputs(self, subject: Subject) -> Mapping[str, Recipe[Any]]:
        return {}

    def measure(self) -> tuple[Outcome, ...]:
        return ()


def assemble(spec: AuditSpec) -> Assembled:
    """Decide everything that can be decided before work starts. Loads metadata, never weights."""
    adapter = catalogue("models").load(spec.adapter)
    catalogue("executors").load(spec.run.executor)
    loader = catalogue("datasets").load(spec.data)
    run = replace(spec.run, device=_device(spec.run.device))
    model = adapter.refer(dict(spec.model))
    card, offers = adapter.describe(model)
    if not card.deterministic:  # then where it runs is part of what it makes
        model = replace(model, options=(*model.options, ("device", run.device)))
    if card.most_samples is not None and card.most_samples < spec.samples:
        fewer = f"{spec.samples:,} samples were asked for; there are {card.most_samples:,}."
        card = replace(card, notes=(*card.notes, fewer))
    data = loader.refer(dict(spec.data_options))
    data_card = loader.describe(data)
    if card.modality != data_card.modality:
        raise InputError(
            f"The model makes {card.modality} and the data are {data_card.modality}; "
            f"name data of {card.modality} in [data]."
        )
    subject = Subject(
        model=model,
        card=card,
        offers=offers,
        data=data,
        data_card=data_card,
        extractor=_extractor(spec.extractor, card.modality),
        sample_size=spec.samples,
        seed=spec.seed,
        shard_size=spec.shard_size,
    )
    evaluators = _evaluators(spec.evaluators)
    settings = {
        "seed": spec.seed,
        "samples": spec.samples if card.most_samples is None else min(spec.samples, card.most_samples),
        "samples_asked": spec.samples,
        "shard_size": spec.shard_size,
        "extractor": asdict(subject.extractor) if subject.extractor else None,
        "run": asdict(run),
    }
    return Assembled(plan(spec.name, subject, evaluators, spec.policy), run, settings)


def _device(asked: str) -> str:
    """Return the device to run on. Raise InputError when it has no meaning or is not here."""
    if asked == "auto":
        return best_device()
    if not re.fullmatch(r"cpu|cuda(:\d+)?", asked):
        raise InputError(f"The device is '{asked}'. {nearest(asked, ('auto', 'cpu', 'cuda', 'cuda:0'))}")
    if asked != "cpu" and best_device() == "cpu":
        raise InputError(
            f'The device is \'{asked}\', and there is no NVIDIA driver here. Use device = "cpu" or "auto".'
        )
    return asked


def _extractor(name: str | None, modality: str) -> ExtractorRef | None:
    chosen = name or _DEFAULT_EXTRACTORS.get(modality)
    if chosen is None:
        return None
    ref: ExtractorRef = catalogue("extractors").load(chosen).refer()
    if ref.modality != modality:
        raise InputError(
            f"features.use is '{chosen}', which reads {ref.modality}; this model makes {modality}."
        )
    return ref


def _evaluators(listed: tuple[EvaluatorSpec, ...] | None) -> list[Evaluator]:
    """Return the evaluators asked for, or every one installed; what cannot be loaded will be skipped with its reason."""
    known = catalogue("evaluators")
    if listed is None:
        return [_default(name, found) for name, found in known.survey().items()]
    if not listed:
        raise InputError("evaluators is empty. Leave it out to run everything that applies.")
    for name, count in Counter(spec.name for spec in listed).items():
        if count > 1:
            raise InputError(
                f"The evaluator '{name}' is listed {count} times, and its metrics could not be told apart. "
                "List it once; for other parameters write another spec, the samples are shared."
            )
    return [_configured(known.load(spec.name), spec.table) for spec in listed]


def _default(name: str, found: Any) -> Any:
    return NotInstalled(name, found.reason, found.remedy) if isinstance(found, Unavailable) else found()


def _configured(kind: type[Any], table: Table) -> Evaluator:
    if not hasattr(kind, "about"):
        raise PluginError(f"{kind.__name__} is no evaluator: it has no 'about'.")
    if "name" in {f.name for f in fields(kind)}:
        raise PluginError(
            f"Evaluator {kind.__name__} has a parameter 'name', which specs use to name evaluators."
        )
    table.taken.add("name")
    evaluator: Evaluator = parameters(kind, Table(table.where, table.values, {"name"}))
    return evaluator
