"""Samples that were drawn before the audit: a folder of images, or texts in JSONL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from audit.core.capabilities import Capability, implemented
from audit.core.errors import InputError
from audit.core.identity import Digest, canonical, digest_file, digest_of
from audit.core.options import OptionTable
from audit.core.references import ModelRef
from audit.core.rows import PREFIX, TEXT, Rng, Rows, image_rows, text_rows
from audit.core.subjects import ModelCard
from audit.formats.folders import listing
from audit.formats.hostile import Refused, UnreadableError, shown, tolerate
from audit.formats.images import IMAGE_OPTIONS, ImageRules, decoded_images, one_shape, read_image
from audit.formats.texts import MOST_CHARACTERS, checked, records
from audit.stats.shuffling import shuffled

_TEXT_OPTIONS = ("field", "prefix")


class SamplesOnDisk:
    """Offers ``sample`` and nothing else: what lies on disk is all there is of the model.

    ``path`` is a folder of images (options ``size``, ``mode``, ``most_pixels`` as for the
    dataset ``images``) or a ``.jsonl`` file with the text in ``field`` and, when ``prefix`` names a
    field, the prompt it continues. Samples are used in a fixed shuffled order, so that the
    first n of files sorted by class are not n of one class; each is used once. What
    cannot be read is left out and counted; over 5 % of it is an error.
    """

    def __init__(self, ref: ModelRef) -> None:
        self._ref = ref
        self._kept = _kept(ref)
        self._order = shuffled(len(self._kept[0]), seed=0)

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        table = OptionTable.of(
            "the adapter 'samples_on_disk'", options, ("path", *_TEXT_OPTIONS, *IMAGE_OPTIONS)
        )
        path = table.path("path")
        if path is None:
            raise InputError(
                "The adapter 'samples_on_disk' needs 'path': a folder of images or a .jsonl file of texts."
            )
        misplaced = [name for name in (_TEXT_OPTIONS if path.is_dir() else IMAGE_OPTIONS) if name in options]
        if misplaced:
            kind = "a folder of images" if path.is_dir() else "a file of texts"
            raise InputError(
                f"The option '{misplaced[0]}' means nothing for {kind}, and {path} is one. Remove it."
            )
        if path.is_dir():
            return ModelRef("samples_on_disk", _content(path), ImageRules.of(table).options, str(path))
        if path.suffix.lower() != ".jsonl":
            raise InputError(f"{path} is neither a folder of images nor a .jsonl file of texts.")
        fields = (("field", table.text("field", TEXT)),)
        prefix = (("prefix", table.text("prefix")),) if "prefix" in options else ()
        return ModelRef("samples_on_disk", _content(path), (*fields, *prefix), str(path))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        kept, problems = _kept(ref)
        card = ModelCard(
            "unknown (samples on disk)",
            "image" if _is_folder(ref) else "text",
            parameters=0,
            notes=(
                f"{len(kept):,} samples lie on disk; no more can be drawn, and none for a given condition.",
                *problems,
            ),
            most_samples=len(kept),
        )
        return card, implemented(cls)

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> SamplesOnDisk:
        if _content(Path(ref.location)) != ref.weights:
            raise InputError(
                f"The samples in {ref.location} have changed since the audit was planned. Plan it again."
            )
        return cls(ref)

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        """Draw ``n`` of the samples without replacement. Raise ValueError when there are fewer."""
        if condition is not None:
            raise ValueError("samples on disk were drawn already; none can be drawn for a given condition")
        self._afford(n)
        return self._rows(rng.permutation(len(self._order))[:n].tolist())

    def sample_range(self, start: int, stop: int) -> Rows:
        """Return samples ``start`` to ``stop`` of the shuffled order. Raise ValueError when there are fewer."""
        self._afford(stop)
        return self._rows(self._order[start:stop])

    def _afford(self, n: int) -> None:
        if n > len(self._order):
            raise ValueError(
                f"{n:,} samples were asked for and {len(self._order):,} lie on disk: lower 'samples'"
            )

    def _rows(self, chosen: Sequence[int]) -> Rows:
        kept = [self._kept[0][row] for row in chosen]
        if _is_folder(self._ref):
            return _images(self._ref, kept)
        columns = {PREFIX: [prefix for _, prefix in kept]} if "prefix" in dict(self._ref.options) else {}
        return text_rows([text for text, _ in kept], **columns)


def _is_folder(ref: ModelRef) -> bool:
    return "field" not in dict(ref.options)


def _content(path: Path) -> Digest:
    try:
        if not path.is_dir():
            return digest_file(path)
        return digest_of(canonical({name: digest_file(file) for name, file in listing(path).files().items()}))
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}.") from error


_Kept = tuple[tuple[Any, ...], tuple[str, ...]]


@lru_cache(maxsize=2)
def _kept(ref: ModelRef) -> _Kept:
    """Return names of usable images, or (text, prefix) pairs, in their order on disk, and what was left out."""
    path = Path(ref.location)
    refused: list[Refused] = []
    found: list[Any] = []
    if _is_folder(ref):
        listed = listing(path)
        refused.extend(listed.refused)
        rules = ImageRules.from_options(ref.options)
        shapes = {name: pixels.shape for name, pixels in decoded_images(listed, rules, refused)}
        found.extend(shapes)
    else:
        found.extend(_texts(path, dict(ref.options), refused))
    problems = tolerate(refused, len(found) + len(refused), "samples", str(path))
    if not found:
        raise InputError(f"{path} holds no samples. Put images into the folder, or texts into the file.")
    if _is_folder(ref):
        one_shape(shapes.values(), str(path))
    return tuple(found), problems


def _texts(path: Path, options: dict[str, Any], refused: list[Refused]) -> list[tuple[str, str]]:
    texts = []
    for number, record in records(path, MOST_CHARACTERS, refused):
        try:
            text = checked(record.get(options["field"]), MOST_CHARACTERS)
            prefix = record.get(options["prefix"]) if "prefix" in options else ""
            texts.append((text, "" if prefix == "" else checked(prefix, MOST_CHARACTERS)))
        except UnreadableError as error:
            refused.append(Refused(f"line {number}", str(error)))
    return texts


def _images(ref: ModelRef, names: Sequence[str]) -> Rows:
    rules, folder = ImageRules.from_options(ref.options), Path(ref.location)
    try:
        pixels = [read_image(folder / name, rules) for name in names]
    except UnreadableError as error:
        raise ValueError(f"a sample in {folder} could be read before and cannot be now: {error}") from error
    if not pixels:
        raise ValueError("no samples were asked for")
    return image_rows(np.stack(pixels), file=[shown(name) for name in names])
