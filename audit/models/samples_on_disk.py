"""Samples that were drawn before the audit: a folder of images, or texts in JSONL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.capabilities import Capability, implemented
from audit.core.data_facts import Pictures
from audit.core.errors import InputError
from audit.core.identity import Digest, canonical, digest_file, digest_of
from audit.core.options import OptionTable
from audit.core.references import ModelRef, Options
from audit.core.rows import PREFIX, TEXT, Rng, Rows, image_rows, text_rows
from audit.core.subjects import ModelCard
from audit.formats.files import is_there, require
from audit.formats.folders import Listing, listing
from audit.formats.hostile import Refused, UnreadableError, shown, tolerate
from audit.formats.images import IMAGE_OPTIONS, ImageRules, looks, one_shape, pictures, read_image
from audit.formats.texts import MOST_CHARACTERS, checked, records
from audit.stats.shuffling import shuffled

_TEXT_OPTIONS = ("field", "prefix")


class SamplesOnDisk:
    """Offers ``sample`` and nothing else: what lies on disk is all there is of the model.

    ``path`` is a folder of images (options ``size``, ``mode``, ``most_pixels`` as for the
    dataset ``images``) or a ``.jsonl`` file with the text in ``field`` and, when ``prefix`` names a
    field, the prompt it continues. A sample is known by its pixels or its text alone: names of files, their
    format and the order of lines change nothing. They are put in the order of their digests and then shuffled
    by a fixed seed, so that the first n are not n of one class and copies are spread; each is used
    once. What cannot be read is left out and counted; over 5 % of it is an error.
    """

    def __init__(self, ref: ModelRef) -> None:
        self._ref = ref
        kept = _kept(Path(ref.location), ref.options)
        if kept.digest != ref.weights:
            raise InputError(
                f"The samples in {shown(ref.location)} have changed since the audit was planned. Plan it again."
            )
        self._order = [kept.samples[row] for row in shuffled(len(kept.samples), seed=0)]

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        table = OptionTable.of(
            "the adapter 'samples_on_disk'", options, ("path", *_TEXT_OPTIONS, *IMAGE_OPTIONS)
        )
        if "path" not in options:
            raise InputError(
                "The adapter 'samples_on_disk' needs 'path': a folder of images or a .jsonl file of texts."
            )
        path = Path(table.text("path")).expanduser().absolute()
        if not is_there(path):
            raise InputError(f"There are no samples at '{shown(str(path))}'. Correct 'path' in [model].")
        if not path.is_dir():
            require(path)
        misplaced = [name for name in (_TEXT_OPTIONS if path.is_dir() else IMAGE_OPTIONS) if name in options]
        if misplaced:
            kind = "a folder of images" if path.is_dir() else "a file of texts"
            raise InputError(
                f"The option '{misplaced[0]}' means nothing for {kind}, and {path} is one. Remove it."
            )
        if path.is_dir():
            chosen = ImageRules.of(table).options
        elif path.suffix.lower() == ".jsonl":
            prefix = (("prefix", table.text("prefix")),) if "prefix" in options else ()
            chosen = (("field", table.text("field", TEXT)), *prefix)
        else:
            raise InputError(f"{path} is neither a folder of images nor a .jsonl file of texts.")
        return ModelRef("samples_on_disk", _kept(path, chosen).digest, chosen, str(path))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        kept = _kept(Path(ref.location), ref.options)
        what = (
            "pixels: neither the names of files nor their format"
            if _are_images(ref.options)
            else ("text: not the order of lines")
        )
        card = ModelCard(
            "unknown (samples on disk)",
            "image" if _are_images(ref.options) else "text",
            parameters=0,
            notes=(
                f"{len(kept.samples):,} samples lie on disk; no more can be drawn, and none for a given condition.",
                f"Their order is drawn from their {what} matter to it.",
                *kept.problems,
            ),
            most_samples=len(kept.samples),
            pictures=kept.pictures,
            files=_files(ref, kept),
        )
        return card, implemented(cls)

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> SamplesOnDisk:
        return cls(ref)

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        """Draw ``n`` of the samples without replacement. Raise ValueError when there are fewer."""
        if condition is not None:
            raise ValueError("samples on disk were drawn already; none can be drawn for a given condition")
        self._afford(n)
        return self._rows([self._order[row] for row in rng.permutation(len(self._order))[:n]])

    def sample_range(self, start: int, stop: int) -> Rows:
        """Return samples ``start`` to ``stop`` of the shuffled order. Raise ValueError when there are fewer."""
        self._afford(stop)
        return self._rows(self._order[start:stop])

    def sample_files(self, start: int, stop: int) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the files of samples ``start`` to ``stop`` of the shuffled order, each with the sidecar beside it."""
        self._afford(stop)
        folder = Path(self._ref.location)
        for one in self._order[start:stop]:
            place = folder / one.value
            beside = _sidecar(place)
            yield place.read_bytes(), None if beside is None else beside.read_bytes()

    def _afford(self, n: int) -> None:
        if n > len(self._order):
            raise ValueError(
                f"{n:,} samples were asked for and {len(self._order):,} lie on disk: lower 'samples'"
            )

    def _rows(self, chosen: Sequence[_Sample]) -> Rows:
        if _are_images(self._ref.options):
            return _images(self._ref, chosen)
        columns = {PREFIX: [one.prefix for one in chosen]} if "prefix" in dict(self._ref.options) else {}
        return text_rows([one.value for one in chosen], **columns)


@dataclass(frozen=True, slots=True, order=True)
class _Sample:
    """One sample: the digest of what it is, and where its pixels are (a name) or what it says (a text)."""

    digest: Digest
    value: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class _Kept:
    """The samples that can be used in the order of their digests, and sentences on what was left out."""

    samples: tuple[_Sample, ...]
    problems: tuple[str, ...]
    pictures: Pictures | None = None

    @property
    def digest(self) -> Digest:
        return digest_of(canonical([sample.digest for sample in self.samples]))


def _are_images(options: Options) -> bool:
    return "field" not in dict(options)


def _kept(path: Path, options: Options) -> _Kept:
    """Return the samples; they are decoded again only when a byte of the files has changed."""
    try:
        if not _are_images(options):
            return _read(path, options, digest_file(path))
        found = _listed(path)
        return _read(
            path, options, digest_of(canonical({n: digest_file(f) for n, f in found.files().items()}))
        )
    except OSError as error:
        raise InputError(f"{shown(str(error.filename))} cannot be read: {error.strerror}.") from error


def _files(ref: ModelRef, kept: _Kept) -> str:
    """Return the digest of the files and their sidecars: a mark that was taken off leaves the pixels as they were."""
    if not _are_images(ref.options):
        return ""
    folder = Path(ref.location)
    places = [folder / one.value for one in kept.samples]
    found = [(digest_file(p), None if (s := _sidecar(p)) is None else digest_file(s)) for p in places]
    return digest_of(canonical(found))


def _sidecar(place: Path) -> Path | None:
    """Return the manifest that is kept beside a file: NAME.c2pa or NAME.ENDING.c2pa."""
    beside = (place.with_suffix(".c2pa"), place.with_name(f"{place.name}.c2pa"))
    return next((path for path in beside if path.is_file()), None)


def _listed(path: Path) -> Listing:
    try:
        return listing(path)
    except RecursionError:
        raise InputError(
            f"The folders in {shown(str(path))} are nested too deeply to be read. Put the samples into one folder."
        ) from None


@lru_cache(maxsize=2)
def _read(path: Path, options: Options, files: Digest) -> _Kept:  # noqa: ARG001  # what is cached belongs to these files
    refused: list[Refused] = []
    if _are_images(options):
        listed = _listed(path)
        refused.extend(listed.refused)
        shapes: list[tuple[int, ...]] = []
        samples, found = [], []
        for picture in pictures(listed, ImageRules.from_options(options), refused):
            shapes.append(picture.pixels.shape)
            samples.append(_Sample(_digest(picture.pixels), picture.name))
            found.append(picture.look)
    else:
        samples = list(_texts(path, dict(options), refused))
    problems = tolerate(refused, len(samples) + len(refused), "samples", str(path))
    if not samples:
        raise InputError(f"{path} holds no samples. Put images into the folder, or texts into the file.")
    if not _are_images(options):
        return _Kept(tuple(sorted(samples)), problems)
    one_shape(shapes, str(path))
    return _Kept(tuple(sorted(samples)), problems, looks("samples", shapes[0], found))


def _digest(pixels: NDArray[np.uint8]) -> Digest:
    return digest_of(canonical(pixels.shape) + pixels.tobytes())


def _texts(path: Path, options: dict[str, Any], refused: list[Refused]) -> Iterator[_Sample]:
    for number, record in records(path, MOST_CHARACTERS, refused):
        try:
            text = checked(record.get(options["field"]), MOST_CHARACTERS)
            prefix = record.get(options["prefix"]) if "prefix" in options else ""
            prefix = "" if prefix == "" else checked(prefix, MOST_CHARACTERS)
        except UnreadableError as error:
            refused.append(Refused(f"line {number}", str(error)))
        else:
            yield _Sample(digest_of(canonical((text, prefix))), text, prefix)


def _images(ref: ModelRef, chosen: Sequence[_Sample]) -> Rows:
    rules, folder = ImageRules.from_options(ref.options), Path(ref.location)
    try:
        pixels = [read_image(folder / one.value, rules) for one in chosen]
    except UnreadableError as error:
        raise ValueError(f"a sample in {folder} could be read before and cannot be now: {error}") from error
    if not pixels:
        raise ValueError("no samples were asked for")
    return image_rows(np.stack(pixels))
