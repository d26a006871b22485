"""From a spec to a plan: name the model and the data by their bytes, and ask each evaluator what it needs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from inspect import signature
from pathlib import Path
from typing import Any

from audit.config.limits import MOST_SHARDS
from audit.config.spec import RESERVED, AuditSpec, EvaluatorSpec, ExtractorSpec, RunSettings
from audit.config.tables import Table, parameters
from audit.config.trust import authorities
from audit.core.errors import InputError, PluginError, nearest
from audit.core.evaluators import About, Evaluator, Unmet
from audit.core.measurements import Outcome
from audit.core.metrics import Metric
from audit.core.plan import Asked, AuditPlan, plan
from audit.core.policy_check import check_policy
from audit.core.recipes import Inputs, shard_count
from audit.core.references import ExtractorRef, ModelRef
from audit.core.subjects import DataCard, ModelCard, ReferenceModel, Subject
from audit.engine.devices import chosen, weights_of
from audit.engine.environment import best_device
from audit.registry import Unavailable, catalogue

_DEFAULT_EXTRACTORS: Mapping[str, str] = {"image": "efficientnet-lite0"}
"""What features a modality is compared in when neither the spec nor the data say: ships with the package, so it is always there."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """A plan, and what a record says about how it was asked for and where it ran."""

    plan: AuditPlan
    run: RunSettings
    settings: Mapping[str, Any]
    why_there: str = ""
    """Why the device is the one that it is, where the tool chose it."""


@dataclass(frozen=True)
class NotInstalled:
    """Takes the place of an evaluator that is installed but cannot be loaded, so that the record says so."""

    name: str
    reason: str
    remedy: str

    @property
    def about(self) -> About:
        return About(self.name, "An evaluator that could not be loaded.", metrics=())

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        return (Unmet(f"the evaluator '{self.name}'", self.reason, self.remedy),)

    def inputs(self, subject: Subject) -> Inputs:
        return {}

    def measure(self) -> tuple[Outcome, ...]:
        return ()


def assemble(spec: AuditSpec) -> Assembled:
    """Decide everything that can be decided before work starts. Loads metadata, never weights."""
    adapter = catalogue("models").load(spec.adapter)
    catalogue("executors").load(spec.run.executor)
    asked = _device(spec.run.device)
    model = adapter.refer(dict(spec.model))
    card, offers = adapter.describe(model)
    run, why = _placed(spec.run, asked, card, model)
    kind = run.device.partition(":")[0]
    if (
        not card.deterministic
    ):  # then where it runs is part of what it makes, but not which of equal GPUs was free
        model = replace(model, options=(*model.options, ("device", kind)))
    if card.most_samples is not None and card.most_samples < spec.samples:
        fewer = f"{spec.samples:,} samples were asked for; there are {card.most_samples:,}."
        card = replace(card, problems=(*card.problems, fewer))
    named, options = _data_of(spec, card)
    loader = catalogue("datasets").load(named)
    data = loader.refer(options)
    data_card = loader.describe(data)
    if card.modality != data_card.modality:
        raise InputError(
            f"The model makes {card.modality} and the data are {data_card.modality}; "
            f"name data of {card.modality} in [data]."
        )
    defaults = {r: n for r, n in _default_extractors(data_card).items() if r not in spec.extractors}
    if defaults:
        named = " and ".join(f"{role} '{name}'" for role, name in defaults.items())
        said = f"Read with the {named}: the default for these data, for the spec names none."
        data_card = replace(data_card, notes=(*data_card.notes, said))
    drawn = min(spec.samples, card.most_samples or spec.samples)
    _check_shards({"samples": drawn, **{f"rows of '{s}'": n for s, n in data_card.splits}}, spec.shard_size)
    subject = Subject(
        model=model,
        card=card,
        offers=offers,
        data=data,
        data_card=data_card,
        extractors=_extractors(spec.extractors, data_card),
        sample_size=spec.samples,
        seed=spec.seed,
        shard_size=spec.shard_size,
        reference_models=_reference_models(spec, model, card, kind),
    )
    evaluators = _evaluators(spec.evaluators, card.modality)
    check_policy(spec.policy, *_reported(evaluators))
    settings = {
        "seed": spec.seed,
        "samples": spec.samples if card.most_samples is None else min(spec.samples, card.most_samples),
        "samples_asked": spec.samples,
        "shard_size": spec.shard_size,
        "extractors": {role: _named(ref) for role, ref in subject.extractors},
        "reference_models": [_identity(reference) for reference in subject.reference_models],
        "run": {
            name: value for name, value in asdict(run).items() if name != "address"
        },  # it names a machine
    }
    return Assembled(plan(spec.name, subject, evaluators, spec.policy), run, settings, why)


def _named(ref: ExtractorRef) -> dict[str, Any]:
    """Return what names an extractor; what its columns mean, what it does not see and where its files are is left out."""
    left_out = ("attributes", "limits", "location", "notes")
    return {name: value for name, value in asdict(ref).items() if name not in left_out}


def _identity(reference: ReferenceModel) -> dict[str, Any]:
    """Return what a record says of a reference model."""
    ref, card = reference.model, reference.card
    named = {"adapter": ref.adapter, "weights": ref.weights, "options": dict(ref.options)}
    return {**named, "family": card.family, "parameters": card.parameters}


def _reference_models(
    spec: AuditSpec, model: ModelRef, card: ModelCard, device: str
) -> tuple[ReferenceModel, ...]:
    """Return the models that attacks compare the audited one with. Raise InputError where one cannot be compared with it."""
    found: list[ReferenceModel] = []
    for place, (adapter, options) in enumerate(spec.reference_models):
        where, kind = f"reference_models[{place}]", catalogue("models").load(adapter)
        ref = kind.refer(dict(options))
        own, offers = kind.describe(ref)
        if own.modality != card.modality:
            raise InputError(f"{where} makes {own.modality}, and the audited model makes {card.modality}.")
        if ref.weights in {model.weights, *(r.model.weights for r in found)}:
            same = "the audited model itself" if ref.weights == model.weights else "named twice"
            raise InputError(
                f"{where} is {same}: its weights are {ref.weights}. A reference model is another one, that did not see the "
                "members; the checkpoint that the audited model was trained from, for example."
            )
        if card.tokens and own.tokens and card.tokens != own.tokens:
            raise InputError(
                f"{where} cuts texts into other tokens than the audited model does, so their scores cannot be compared token by "
                "token. Name a reference model with the same tokenizer."
            )
        if not own.deterministic:
            ref = replace(ref, options=(*ref.options, ("device", device)))
        found.append(ReferenceModel(ref, own, offers))
    return tuple(found)


def _data_of(spec: AuditSpec, card: ModelCard) -> tuple[str, dict[str, Any]]:
    """Return the dataset that the spec names, else the one that the model's card was trained on, options included."""
    if spec.data is not None:
        return spec.data, dict(spec.data_options)
    if card.trained_on is None:
        raise InputError(
            "The spec has no [data], and the card of this model does not say what it was trained on. Name data: "
            "[data] use = \"…\"; 'audit list datasets' shows them."
        )
    return card.trained_on.loader, dict(card.trained_on.options)


def _check_shards(rows: Mapping[str, int], shard_size: int) -> None:
    """Raise InputError where some rows would come in more shards than a plan is made for.

    ``rows`` says how many there are of each kind.
    """
    for what, count in rows.items():
        if (shards := shard_count(count, shard_size)) > MOST_SHARDS:
            raise InputError(
                f"shard_size is {shard_size:,}, and the {count:,} {what} would come in {shards:,} shards; at most "
                f"{MOST_SHARDS:,} are planned. Set shard_size to {-(-count // MOST_SHARDS):,} or more."
            )


def _device(asked: str) -> str:
    """Return the device that was asked for. Raise InputError when it has no meaning or is not here."""
    if asked == "auto":
        return asked
    if not re.fullmatch(r"cpu|cuda(:\d+)?", asked):
        raise InputError(f"The device is '{asked}'. {nearest(asked, ('auto', 'cpu', 'cuda', 'cuda:0'))}")
    if asked != "cpu" and best_device() == "cpu":
        raise InputError(
            f'The device is \'{asked}\', and there is no NVIDIA driver here. Use device = "cpu" or "auto".'
        )
    return asked


def _placed(run: RunSettings, asked: str, card: ModelCard, model: ModelRef) -> tuple[RunSettings, str]:
    """Return where the work is done, and why where that is chosen here, from the memory that is free."""
    if asked != "auto":
        return replace(run, device=asked), ""
    if best_device() == "cpu":
        return replace(run, device="cpu"), ""
    cluster = run.executor == "ray"
    found = chosen(weights_of(card.parameters, model.options), one_name=cluster)
    limited = run.executor == "pool" and not run.workers and found.workers
    workers = found.workers if limited else run.workers
    return replace(run, device=found.device, workers=workers), found.why


def _default_extractors(data: DataCard) -> dict[str, str]:
    """Return the extractors that the data name, by role; ``features`` has a default where one is always there."""
    usual = _DEFAULT_EXTRACTORS.get(data.modality)
    return {**({"features": usual} if usual else {}), **dict(data.extractors)}


def _extractors(named: Mapping[str, ExtractorSpec], data: DataCard) -> tuple[tuple[str, ExtractorRef], ...]:
    """Return the extractors of an audit by role: those that the spec names, else the defaults."""
    usual = {role: ExtractorSpec(name) for role, name in _default_extractors(data).items()}
    return tuple(
        (role, _extractor(role, asked, data.modality)) for role, asked in sorted({**usual, **named}.items())
    )


def _extractor(role: str, asked: ExtractorSpec, modality: str) -> ExtractorRef:
    kind = catalogue("extractors").load(asked.name)
    if asked.options and not signature(kind.refer).parameters:
        raise InputError(
            f"features.{role} is '{asked.name}', which takes no option '{next(iter(asked.options))}'."
        )
    ref: ExtractorRef = kind.refer(dict(asked.options)) if asked.options else kind.refer()
    if ref.modality != modality:
        raise InputError(
            f"features.{role} is '{asked.name}', which reads {ref.modality}; this model makes {modality}."
        )
    return ref


def _evaluators(listed: tuple[EvaluatorSpec, ...] | None, modality: str) -> list[Asked]:
    """Return the evaluators asked for, or every one installed; what cannot be loaded will be skipped with its reason."""
    known = catalogue("evaluators")
    if listed is None:
        return [Asked(_default(name, found)) for name, found in known.survey().items()]
    if not listed:
        raise InputError("evaluators is empty. Leave it out to run everything that applies.")
    for label, count in Counter(spec.label or spec.name for spec in listed).items():
        if count > 1:
            raise InputError(
                f"{count} evaluators are called '{label}', and their metrics could not be told apart. "
                'Give each further one a name of its own: as = "…".'
            )
    return [
        Asked(
            _configured(known.load(spec.name), spec.table, spec.base),
            spec.label,
            tuple((r, _extractor(r, n, modality)) for r, n in sorted(spec.extractors.items())),
        )
        for spec in listed
    ]


def _reported(asked: Iterable[Asked]) -> tuple[dict[str, Metric], tuple[str, ...]]:
    """Return every metric that an installed evaluator reports, or one asked for here, and the evaluators that cannot be loaded."""
    survey = catalogue("evaluators").survey()
    declared: dict[str, Metric] = {}
    for found in survey.values():
        if not isinstance(found, Unavailable) and isinstance(about := getattr(found, "about", None), About):
            declared |= about.declared
    for one in asked:
        declared |= one.about.declared
    return declared, tuple(name for name, found in survey.items() if isinstance(found, Unavailable))


def _default(name: str, found: Any) -> Any:
    return NotInstalled(name, found.reason, found.remedy) if isinstance(found, Unavailable) else found()


def _configured(kind: type[Any], table: Table, base: Path) -> Evaluator:
    if not hasattr(kind, "about"):
        raise PluginError(f"{kind.__name__} is not an evaluator: it has no 'about'.")
    for reserved in RESERVED:
        if reserved in {f.name for f in fields(kind)}:
            raise PluginError(
                f"Evaluator {kind.__name__} has a parameter '{reserved}', a key that specs use themselves."
            )
    table = _trusting(kind, Table(table.where, table.values, set(RESERVED)), base)
    evaluator: Evaluator = parameters(kind, table)
    return evaluator


def _trusting(kind: type[Any], table: Table, base: Path) -> Table:
    """Return the table with the certificates themselves where ``trust`` names where they are; an evaluator opens no file."""
    own = {f.name for f in fields(kind)}
    if "trust" in own or "trust" not in table.values or not {"anchors", "time_stamps"} <= own:
        return table
    if "anchors" in table.values:
        raise InputError(
            f"{table.where} has both 'trust' and 'anchors', which mean the same. Keep one of them."
        )
    anchors, time_stamps = authorities(table.text("trust"), base)
    values = {**table.values, "anchors": anchors, "time_stamps": time_stamps}
    return Table(table.where, values, {*table.taken, "trust"})
