"""What every included model shares: a name, a recipe, pinned weights, and how they are opened and made again."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from audit.core.capabilities import Capability, implemented
from audit.core.errors import InputError
from audit.core.identity import Digest, canonical, digest_file, digest_files, digest_of
from audit.core.options import OptionTable
from audit.core.references import ModelRef, Options
from audit.core.subjects import ModelCard
from audit.formats.hostile import UnreadableError
from audit.formats.tensors import tensors_in
from audit.included.training.progress import Progress
from audit.included.training.recipe import RECIPES, TrainingRecipe, recorded

if TYPE_CHECKING:
    from torch import Tensor

    from audit.core.rows import Rows
    from audit.included.training.loop import Learner

HERE = RECIPES.parent
WEIGHTS = HERE / "weights"


@cache
def pinned() -> Mapping[str, Digest]:
    """Return the digest of each shipped weights file or directory, by the model's name."""
    return {
        name: Digest(digest)
        for name, digest in tomllib.loads((WEIGHTS / "digests.toml").read_text(encoding="utf-8")).items()
    }


class IncludedModel:
    """A model that ships with the package: a class whose weights, recipe and card go by ``name``.

    A family's class says how a network is built from tensors (``build``) and who learns
    (``learner``); each model is a subclass with its name. Modules that define one
    import torch inside methods, so that planning does without it.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    sources: ClassVar[tuple[str, ...]]
    """Files under ``audit/included`` whose code decides what comes out; they are part of the model's name."""
    column: ClassVar[str] = "occupation"
    """The column by which a condition asks for a label, where the model takes conditions."""
    defect: ClassVar[str] = ""
    """What is wrong with a twin on purpose, in a few words for catalogues and reports; empty for the clean ones."""

    @classmethod
    def choices(cls, table: OptionTable) -> Options:
        """Return the options of this family, checked; none unless overridden."""
        return ()

    @classmethod
    def accepted(cls) -> tuple[str, ...]:
        """Return the names of the options of this family."""
        return ()

    @classmethod
    def notes(cls, ref: ModelRef) -> tuple[str, ...]:
        """Return what a reader of a report should know about this family."""
        return ()

    @classmethod
    def conditions(cls) -> tuple[str, ...]:
        """Return the labels that a sample may be asked for; none when the model takes no condition."""
        return ()

    @classmethod
    def withheld(cls) -> tuple[tuple[Capability, str], ...]:
        """Return what the family can do and this model cannot, with the reason."""
        return ()

    @classmethod
    def finish(cls, recipe: TrainingRecipe, out: Path) -> Path:
        """Write what training leaves beside the weights: a picture, how they were made, a spec; return the card's path."""
        from audit.included.card import PICTURE, SPEC, facts_of, picture, spec_of, write_card

        weights = out / f"{recipe.name}.safetensors"
        ref = cls.refer({"weights": str(weights)})
        _, offers = cls.describe(ref)
        shown = picture(cls.open(ref, "cpu"), offers, recipe, out / PICTURE)
        (out / SPEC).write_text(spec_of(recipe, weights.name), encoding="utf-8")
        return write_card(cls, recipe, out, facts_of(weights, ref.weights), [shown])

    @classmethod
    def build(cls, recipe: TrainingRecipe, tensors: Mapping[str, Tensor], ref: ModelRef, device: str) -> Self:
        """Return the opened model. ValueError, KeyError or TypeError mean that these are not its tensors."""
        raise NotImplementedError

    @classmethod
    def learner(cls, recipe: TrainingRecipe, rows: Rows, begin: Mapping[str, Tensor] | None) -> Learner:
        """Return who learns by the recipe."""
        raise NotImplementedError

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        """Name the shipped weights, or those in ``weights``: a file that ``audit train`` made."""
        table = OptionTable.of(f"the included model '{cls.name}'", options, ("weights", *cls.accepted()))
        shipped = WEIGHTS / f"{cls.name}.safetensors"
        weights = table.path("weights") or shipped
        try:
            digest = digest_file(weights)
        except OSError as error:
            remedy = "Reinstall generative-audit." if weights == shipped else "Name a file that is there."
            raise InputError(f"{weights} cannot be read: {error.strerror}. {remedy}") from error
        if weights == shipped and digest != pinned().get(cls.name):
            raise InputError(
                f"The weights of '{cls.name}' in this installation are damaged: digest {digest}, expected "
                f"{pinned().get(cls.name)}. Reinstall generative-audit."
            )
        code = digest_files({source: HERE / source for source in cls.sources})
        recipe = recorded(cls.name)
        shape = digest_of(canonical((recipe.network, recipe.objective, cls.conditions())))
        named = (("code", code), ("network", shape), *cls.choices(table))
        return ModelRef("included", digest, named, str(weights))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        from audit.included.training.origin import named

        recipe = recorded(cls.name)
        data, ships = recipe.data, ref.weights == pinned().get(cls.name)
        options = ", ".join(f"{name} = {value}" for name, value in data.options) or "default options"
        notes = [
            f"Trained on the split '{data.split}' of the dataset '{data.use}' ({options}; content {data.content}); "
            "with other options the splits say nothing about it.",
            *([defective(cls.defect)] if cls.defect else []),
            *cls.notes(ref),
        ]
        if recipe.begin:
            notes.append(f"Training began from the weights of '{recipe.begin}'.")
        if data.only:
            kept = "; ".join(f"{column}: {', '.join(values)}" for column, values in data.only)
            notes.append(f"Of these rows only some were trained on in the end ({kept}).")
        if not ships:
            notes[0] = foreign(notes[0])
        card = ModelCard(
            cls.family,
            "image",
            parameters_in(Path(ref.location)),
            withheld=cls.withheld(),
            notes=tuple(notes),
            trained_on=named(data) if ships else None,
            conditions=((cls.column, labels),) if (labels := cls.conditions()) else (),
        )
        return card, implemented(cls) - dict(card.withheld).keys()

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> Self:
        from safetensors import SafetensorError
        from safetensors.torch import load
        from torch.random import fork_rng

        path = Path(ref.location)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        if digest_of(data) != ref.weights:
            raise InputError(
                f"{path} has changed since the audit was planned. Restore it, or plan the audit again."
            )
        try:
            with fork_rng(devices=[]):  # building a network draws numbers that the weights then replace
                return cls.build(recorded(cls.name), load(data), ref, device)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} does not hold the weights of '{cls.name}': {error}") from error

    @classmethod
    def train(cls, out: Path, *, resume: bool = True) -> Iterator[Progress]:
        """Train by the recorded recipe into ``out``, yielding progress; the last messages say what came out."""
        from audit.included.training.loop import train
        from audit.included.training.origin import rows_of

        recipe = recorded(cls.name)
        learner = cls.learner(recipe, rows_of(recipe.data), beginning_of(recipe))
        steps, loss = recipe.schedule.steps, 0.0
        for progress in train(recipe, learner, out, resume=resume):
            loss = progress.loss
            yield progress
        made = out / f"{recipe.name}.safetensors"
        yield Progress(steps, steps, loss, f"{made}: digest {digest_file(made)}")
        yield Progress(steps, steps, loss, f"wrote {cls.finish(recipe, out)}")


def foreign(trained: str) -> str:
    """Return the note on weights that the user named, from the one on what the shipped ones were trained on."""
    return (
        "These weights are not the ones that ship with the package, and nothing here checks what they were trained on. "
        f"Those that ship: {trained[0].lower()}{trained[1:]}"
    )


def defective(defect: str) -> str:
    """Return the note on a twin for the reader of a report."""
    return f"A defective twin, on purpose: it {defect}."


def filled(network: Any, tensors: Mapping[str, Tensor], device: str) -> Any:
    """Return a network with these weights, ready to be asked, on the device. Raise ValueError when they do not fit."""
    import torch

    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    network.eval().requires_grad_(requires_grad=False)
    return network.to(device, memory_format=torch.channels_last)


def beginning_of(recipe: TrainingRecipe) -> dict[str, Tensor] | None:
    """Return the shipped weights that a recipe starts from, if it does."""
    if not recipe.begin:
        return None
    from safetensors.torch import load_file

    path = WEIGHTS / f"{recipe.begin}.safetensors"
    if not path.is_file() or digest_file(path) != pinned().get(recipe.begin):
        raise InputError(
            f"'{recipe.name}' is trained from the weights of '{recipe.begin}', which are missing or damaged here. "
            "Reinstall generative-audit."
        )
    tensors: dict[str, Tensor] = load_file(path)
    return tensors


def parameters_in(path: Path) -> int:
    """Return how many floating-point numbers a safetensors file holds, from its header. Raise InputError when it is none."""
    try:
        return sum(tensor.size for tensor in tensors_in(path).values() if tensor.holds_numbers)
    except (OSError, UnreadableError) as error:
        raise InputError(f"{path} is no safetensors file, or is cut short: it {error}.") from error
