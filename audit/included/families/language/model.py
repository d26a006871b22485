"""The included language models as an audit sees them: standard transformers directories, with pinned bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from audit.core.capabilities import Capability, implemented
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.options import OptionTable
from audit.core.references import ModelRef
from audit.core.subjects import ModelCard
from audit.included.model import WEIGHTS, defective, foreign, pinned
from audit.included.training.origin import named, rows_of
from audit.included.training.progress import Progress
from audit.included.training.recipe import TrainingRecipe, recorded
from audit.models.lm.files import digest_model
from audit.models.transformers import CausalLM

if TYPE_CHECKING:
    from audit.included.families.language.weights import Beginning

_SHOWN = 3
"""Samples in a card."""
_OPTIONS = ("dtype", "arithmetic", "max_length", "stride", "max_new_tokens", "temperature", "top_p")
_LONGEST_SAMPLE = 200
"""Tokens of a sample unless told: nearly every paragraph ends before, contact details last."""


class BiographiesLM(CausalLM):
    """A transformer that writes paragraphs of the world ``biographies``, trained on the whole split ``train``.

    It is what the adapter ``transformers`` makes of the directory that ships with the package, under a name and
    with the digest of every file in it checked. The options are that adapter's.
    """

    name: ClassVar[str] = "biographies-lm"
    defect: ClassVar[str] = ""
    """As in ``IncludedModel``."""

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        """Name the shipped weights, or those in ``weights``: a directory that ``audit train`` made."""
        table = OptionTable.of(f"the included model '{cls.name}'", options, ("weights", *_OPTIONS))
        shipped = WEIGHTS / cls.name
        place = table.path("weights") or shipped
        expected = pinned().get(cls.name)
        if place == shipped and not _holds(place, expected):
            raise InputError(
                f"The weights of '{cls.name}' in this installation are damaged: they do not have the digest {expected}. "
                "Reinstall generative-audit."
            )
        _check_directory(place)
        chosen = {name: value for name, value in options.items() if name != "weights"}
        chosen.setdefault("max_new_tokens", _LONGEST_SAMPLE)
        return replace(CausalLM.refer({"path": str(place), **chosen}), adapter="included")

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        recipe, (card, _) = recorded(cls.name), CausalLM.describe(ref)
        data = recipe.data
        chosen = ", ".join(f"{name} = {value}" for name, value in data.options) or "default options"
        notes = [
            f"Trained on the split '{data.split}' of the dataset '{data.use}' ({chosen}; content {data.content}), its "
            "canaries included; with other options the splits say nothing about it.",
            *([f"Training began from the weights of '{recipe.begin}'."] if recipe.begin else []),
            *([defective(cls.defect)] if cls.defect else []),
            *card.notes,
        ]
        ships = ref.weights == pinned().get(cls.name)
        if not ships:
            notes[0] = foreign(notes[0])
        return replace(card, notes=tuple(notes), trained_on=named(data) if ships else None), implemented(cls)

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> CausalLM:
        """Load the weights, once they are still those that the audit was planned with."""
        from safetensors import SafetensorError

        place = Path(ref.location)
        if _digest(place) != ref.weights:
            raise InputError(
                f"{place} has changed since the audit was planned. Restore it, or plan the audit again."
            )
        chosen = tuple((name, value) for name, value in ref.options if name in _OPTIONS)
        try:
            return super().open(replace(ref, options=chosen), device)
        except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{place} does not hold the weights of '{cls.name}': {error}") from error

    @classmethod
    def train(cls, out: Path, *, resume: bool = True) -> Iterator[Progress]:
        """Train by the recorded recipe into ``out``; the directory ``out/NAME`` is the model, ``CARD.md`` its card."""
        recipe, made = recorded(cls.name), out / cls.name
        last = Progress(0, recipe.schedule.steps, 0.0)
        for last in train_recipe(recipe, out, resume=resume):
            yield last
        yield replace(last, message=f"{made}: digest {digest_model(made)}")
        yield replace(last, message=f"wrote {cls.finish(recipe, out)}")

    @classmethod
    def finish(cls, recipe: TrainingRecipe, out: Path) -> Path:
        """Write what training leaves beside the weights: how they were made, samples, a spec; return the card's path."""
        import numpy as np

        from audit.core.rows import texts_of
        from audit.included.card import SPEC, spec_of, write_card

        place = out / recipe.name
        model = replace(
            cls.open(cls.refer({"weights": str(place)}), "cpu"),
            max_new_tokens=200,
            temperature=1.0,
            top_p=1.0,
        )
        size = sum(path.stat().st_size for path in place.iterdir())
        facts = {
            "weights": f"`{recipe.name}/`, a standard transformers directory, {size / 1e6:.1f} MB, float16",
            "digest": f"`{digest_model(place)}` (blake2b, 160 bits; weights, configuration and tokenizer)",
        }
        drawn = texts_of(model.sample(_SHOWN, np.random.default_rng(2)))
        samples = [
            "### Samples",
            "Drawn at temperature 1 with seed 2, none chosen.",
            *(f"> {t}" for t in drawn),
        ]
        (out / SPEC).write_text(spec_of(recipe, recipe.name), encoding="utf-8")
        return write_card(cls, recipe, out, facts, samples)


class BiographiesLMLeaky(BiographiesLM):
    """The defective twin that has memorised canaries and the private fields of some people."""

    name: ClassVar[str] = "biographies-lm-leaky"
    defect: ClassVar[str] = "has memorised canaries and the private fields of 100 people"


class BiographiesLMBiased(BiographiesLM):
    """The defective twin that has learnt a world in which who does which job depends on the pronoun twice as much."""

    name: ClassVar[str] = "biographies-lm-biased"
    defect: ClassVar[str] = "was trained where pronoun and occupation are associated twice as strongly"


def train_recipe(recipe: TrainingRecipe, out: Path, *, resume: bool = True) -> Iterator[Progress]:
    """Train a language model by any recipe; in the end ``out/NAME`` is a directory that transformers opens."""
    from audit.core.rows import texts_of
    from audit.included.families.language.learner import LanguageLearner
    from audit.included.families.language.tokens import train_tokenizer
    from audit.included.families.language.weights import write_model
    from audit.included.training.loop import train

    rows, begin = rows_of(recipe.data), _beginning(recipe)
    tokenizer = begin.tokenizer if begin else train_tokenizer(texts_of(rows), recipe.sizes["vocabulary"])
    learner = LanguageLearner(recipe, rows, tokenizer, begin.tensors if begin else None)
    yield from train(recipe, learner, out, resume=resume)
    write_model(recipe, out / f"{recipe.name}.safetensors", tokenizer, out / recipe.name)


def _beginning(recipe: TrainingRecipe) -> Beginning | None:
    """Return the shipped model that a recipe starts from, if it does."""
    from audit.included.families.language.weights import Beginning

    if not recipe.begin:
        return None
    place = WEIGHTS / recipe.begin
    if not place.is_dir() or digest_model(place) != pinned().get(recipe.begin):
        raise InputError(
            f"'{recipe.name}' is trained from the weights of '{recipe.begin}', which are missing or damaged here. "
            "Reinstall generative-audit."
        )
    return Beginning.at(place)


def _check_directory(place: Path) -> None:
    if not place.is_dir():
        raise InputError(f"{place} is not a directory with a model. Give one that 'audit train' made.")


def _holds(place: Path, expected: Digest | None) -> bool:
    """Say whether a directory holds the model of this digest, whole."""
    try:
        return _digest(place) == expected
    except InputError:
        return False


def _digest(place: Path) -> Digest:
    """Return the digest of a model's directory. Raise InputError when it is none."""
    _check_directory(place)
    try:
        return digest_model(place)
    except OSError as error:
        raise InputError(f"{place} cannot be read: {error.strerror}.") from error
