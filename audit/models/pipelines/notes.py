"""What a reader of a report should know about a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit.core.capabilities import Capability
from audit.formats.hostile import shown
from audit.models.pipelines.facts import Facts
from audit.models.pipelines.folder import Pipeline
from audit.models.pipelines.kinds import CODEC, LABEL, NETWORK, SCHEDULER, TEXT, TITLES

_NAMED = 5


def title_of(found: Pipeline) -> str:
    """Return the family of a model for the card."""
    return TITLES.get(found.title, found.kind.title) if found.part(NETWORK) is None else found.kind.title


def notes_on(found: Pipeline, facts: Facts, options: Mapping[str, Any], prompts: int) -> tuple[str, ...]:
    """Return sentences on how samples are drawn, what the numbers are of, and what was not loaded."""
    notes = [
        f"{found.title}: {', '.join(f'{part.name} ({part.kind})' for part in found.parts.values())}, computed in "
        f"{options['arithmetic']}."
    ]
    if found.part(NETWORK) is None:
        notes.append(
            "Pictures are read and given on -1 to 1. Latents are the autoencoder's own: the mean where it gives a distribution, "
            "the numbers before they are rounded to the codebook where it has one."
        )
        return (*notes, *_unread(found))
    notes += [_drawn(found, options), *_asked_for(facts, options, prompts)]
    withheld = dict(facts.withheld)
    of = "latents" if found.part(CODEC) is not None else "pictures"
    if Capability.DENOISING_LOSS not in withheld:
        notes.append(
            f"The denoising loss is the mean squared error of the noise in {of} over {options['loss_draws']} noises, the same for "
            "every picture."
        )
    if Capability.LIKELIHOOD_BOUND not in withheld:
        notes.append(
            f"The likelihood bound is an unbiased estimate from {options['bound_draws']} of {facts.levels - 1} steps, in nats per "
            "picture, on the probability of its bytes; each step has the schedule's own variance."
        )
    if Capability.ENCODE not in withheld:
        notes.append(
            f"Latent vectors: the noise that DDIM turns into a picture, {options['path_steps']} steps."
        )
    return (*notes, *_unread(found))


def _drawn(found: Pipeline, options: Mapping[str, Any]) -> str:
    own = found.kind.scheduler or found.needed(SCHEDULER).kind
    said = "the pipeline's own" if options["scheduler"] == own else f"in place of the pipeline's {own}"
    guidance = f", guidance {options['guidance']:g}" if "guidance" in options else ""
    return f"Samples: {options['scheduler']} ({said}), {options['steps']} steps{guidance}."


def _asked_for(facts: Facts, options: Mapping[str, Any], prompts: int) -> list[str]:
    if facts.condition == TEXT:
        free = (
            f"for one of {prompts:,} prompts, drawn by chance"
            if prompts
            else "for the empty prompt: name others with 'prompts'"
        )
        return [f"Free samples are drawn {free}; conditions give theirs in '{options['column']}'."]
    if facts.condition == LABEL:
        labels = facts.labels - (facts.none is not None and facts.none < facts.labels)
        return [
            f"Free samples are of one of {labels:,} labels, each as likely; conditions give theirs in '{options['column']}'."
        ]
    return []


def _unread(found: Pipeline) -> list[str]:
    notes = [found.kind.remark] if found.kind.remark else []
    checker = found.index.get("safety_checker")
    if isinstance(checker, list) and any(checker):
        notes.append(
            "Its safety checker was not loaded: pictures that it would black out are audited as they were drawn."
        )
    if found.unread:
        more = f" and {len(found.unread) - _NAMED} more" if len(found.unread) > _NAMED else ""
        named = ", ".join(shown(name) for name in found.unread[:_NAMED])
        notes.append(f"Other weights in the folder were not read: {named}{more}.")
    return notes
