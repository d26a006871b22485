"""Diffusion pipelines and autoencoders that the diffusers library can open: a directory or a cached hub id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit.core.capabilities import Capability, implemented
from audit.core.errors import InputError
from audit.core.identity import canonical, digest_of
from audit.core.options import OptionTable
from audit.core.references import ModelRef, Option
from audit.core.subjects import ModelCard
from audit.formats.arithmetic import FORMATS, fastest
from audit.models.hub import cached
from audit.models.pipelines.asked import located, place_in, prompts_in
from audit.models.pipelines.facts import Facts, facts_of
from audit.models.pipelines.folder import CONFIG, INDEX, Pipeline, exists, read_pipeline
from audit.models.pipelines.kinds import LABEL, NETWORK, SCHEDULER, SCHEDULERS, TEXT
from audit.models.pipelines.model import PipelineModel
from audit.models.pipelines.notes import notes_on, title_of

_OWNER = "the adapter 'diffusers'"
_PLACES = ("path", "hub", "revision", "variant")
_DRAWN = ("scheduler", "steps", "size", "path_steps", "loss_draws", "bound_draws")
_ASKED = ("guidance", "column", "labels", "null_label", "prompts")
_READING = 1
"""Version of how files become pictures and numbers; raised when the same files give others."""


class Diffusers(PipelineModel):
    """A pipeline of diffusers, or an autoencoder of it, opened.

    Options: ``path`` or ``hub`` (with ``revision``), ``variant`` of the files of weights (``fp16``); ``scheduler``,
    ``steps`` and ``guidance`` (the pipeline's own and the library's unless told); ``size`` in pixels; what free samples are
    drawn for: ``prompts`` (a list, or a text file with one on each line); ``column`` of conditions, and of the data, that
    holds labels or prompts; ``labels``, their names in order; ``null_label``, the label that means any; ``path_steps`` of DDIM both ways, ``loss_draws``
    noises of the denoising loss, ``bound_draws`` levels of the bound; ``arithmetic``. All are part of the model's name.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        """Check the options and name the model by every byte that is loaded of it."""
        table = OptionTable.of(_OWNER, options, (*_PLACES, *_DRAWN, *_ASKED, "arithmetic"))
        place, variant = _place(table), table.text("variant", "") if "variant" in options else ""
        found = read_pipeline(place, variant)
        null = table.whole("null_label", 0, 0, 1 << 20) if "null_label" in options else None
        size = table.whole("size", 0, 1, 1 << 14) if "size" in options else 0
        names = table.names("labels")
        facts = facts_of(found, size, null, names)
        _refuse_misplaced(options, found, facts)
        arithmetic = table.choice("arithmetic", "auto", FORMATS)
        chosen: dict[str, Option] = {
            "arithmetic": fastest() if arithmetic == "auto" else arithmetic,
            "reading": _READING,
            **({"variant": variant} if variant else {}),
            **({"size": size} if size else {}),
            **({} if null is None else {"null_label": null}),
            **({"labels": json.dumps(names)} if names else {}),
        }
        if found.part(NETWORK) is not None:
            chosen |= _drawing(table, found, facts)
        prompts = options.get("prompts") if facts.condition == TEXT else None
        if prompts is not None:
            chosen["prompts"] = digest_of(canonical(prompts_in(prompts)))
        return ModelRef("diffusers", found.digest, tuple(sorted(chosen.items())), located(place, prompts))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        """Read settings and the headers of the weights; neither torch nor diffusers is imported."""
        found, facts, options = _read(ref)
        _, prompts = place_in(ref.location)
        card = ModelCard(
            family=title_of(found),
            modality="image",
            parameters=found.parameters,
            withheld=facts.withheld,
            notes=notes_on(found, facts, options, 0 if prompts is None else len(prompts_in(prompts))),
        )
        return card, implemented(cls) - dict(facts.withheld).keys()

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> Diffusers:
        """Load the weights. Code that came with the model never runs, and nothing is downloaded."""
        from audit.models.pipelines.opening import open_parts

        found, facts, options = _read(ref)
        if found.digest != ref.weights:
            raise InputError(
                f"'{found.place.name}' has changed since the audit was planned. Restore it, or plan the audit again."
            )
        _, given = place_in(ref.location)
        prompts = ("",) if given is None else prompts_in(given)
        if given is not None and digest_of(canonical(prompts)) != options["prompts"]:
            raise InputError("The prompts have changed since the audit was planned. Plan it again.")
        return cls(
            open_parts(found, device, str(options.get("scheduler", ""))), facts, options, prompts, device
        )


def _read(ref: ModelRef) -> tuple[Pipeline, Facts, dict[str, Any]]:
    options: dict[str, Any] = dict(ref.options)
    place, _ = place_in(ref.location)
    found = read_pipeline(place, str(options.get("variant", "")))
    names = json.loads(options.get("labels", "[]"))
    return found, facts_of(found, int(options.get("size", 0)), options.get("null_label"), names), options


def _place(table: OptionTable) -> Path:
    """Return the folder that ``path`` or ``hub`` names. Raise InputError when there is none."""
    given = [name for name in ("path", "hub") if name in table.values]
    if len(given) != 1:
        raise InputError(
            "[model] with adapter 'diffusers' needs either 'path' (the folder of a pipeline or an autoencoder) or 'hub' (an id "
            "already in the local Hugging Face cache)" + (", not both." if given else ".")
        )
    if given == ["hub"]:
        return cached(table.text("hub"), table.text("revision", "main"), (INDEX, CONFIG))
    if "revision" in table.values:
        raise InputError("'revision' belongs to 'hub'; a folder has none. Remove it.")
    place = Path(table.text("path")).expanduser().absolute()
    exists(place)
    return place


def _refuse_misplaced(options: Mapping[str, Any], found: Pipeline, facts: Facts) -> None:
    """Raise InputError for an option that means nothing for this kind of pipeline."""
    draws, asked = found.part(NETWORK) is not None, facts.condition
    means = {
        **dict.fromkeys(_DRAWN, draws),
        "bound_draws": draws and Capability.LIKELIHOOD_BOUND not in dict(facts.withheld),
        "guidance": asked == TEXT or facts.none is not None,
        "column": asked in (TEXT, LABEL),
        "null_label": asked == LABEL,
        "labels": asked == LABEL,
        "prompts": asked == TEXT,
    }
    wrong = next((name for name, meant in means.items() if name in options and not meant), None)
    if wrong:
        raise InputError(
            f"The option '{wrong}' means nothing for '{found.place.name}' ({found.title}). Remove it."
        )


def _drawing(table: OptionTable, found: Pipeline, facts: Facts) -> dict[str, Option]:
    """Return how samples are drawn and pictures are read: as the spec says, else as the pipeline and the library do."""
    kind, most = found.kind, facts.levels
    chosen: dict[str, Option] = {
        "scheduler": table.choice("scheduler", kind.scheduler or found.needed(SCHEDULER).kind, SCHEDULERS),
        "steps": table.whole("steps", min(kind.steps, most), 1, most),
        "path_steps": table.whole("path_steps", min(50, most - 1), 1, max(1, most - 1)),
        "loss_draws": table.whole("loss_draws", 8, 1, 1000),
    }
    if Capability.LIKELIHOOD_BOUND not in dict(facts.withheld):
        chosen["bound_draws"] = table.whole("bound_draws", min(16, most), 1, most)
    if facts.condition == TEXT or facts.none is not None:
        chosen["guidance"] = table.number("guidance", kind.guidance, 0.0, 100.0)
    if facts.condition in (TEXT, LABEL):
        chosen["column"] = table.text("column", "label" if facts.condition == LABEL else "prompt")
    return chosen
