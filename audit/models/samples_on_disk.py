"""Outputs that were made before the audit: a folder of images, texts or conversations in JSONL, or restorations."""

from __future__ import annotations

import json
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
from audit.core.rows import FILE, IMAGE, PREFIX, TEXT, Rng, Rows, image_rows, text_rows
from audit.core.subjects import ModelCard
from audit.formats.conversations import field_advice, field_of, reply_in
from audit.formats.files import is_there, require
from audit.formats.folders import Listing, listing
from audit.formats.hostile import Refused, UnreadableError, shown, tolerate
from audit.formats.images import IMAGE_OPTIONS, ImageRules, looks, one_shape, pictures, read_image
from audit.formats.texts import MOST_CHARACTERS, checked, records
from audit.models.restorations import ORIGINALS, Restorations, described, paired
from audit.stats.shuffling import shuffled

_TEXT_OPTIONS = ("field", "prefix", "messages")
_FOLDERS = "folders"
_FOLDER_OPTIONS = (_FOLDERS, ORIGINALS)


class SamplesOnDisk:
    """Offers ``sample`` and nothing else: what lies on disk is all there is of the model.

    ``path`` is a folder of images (options ``size``, ``mode``, ``most_pixels`` as for the
    dataset ``images``) or a ``.jsonl`` file with the text in ``field`` and, when ``prefix`` names a
    field, the prompt it continues. ``messages`` names instead a field with a conversation: the text is its last reply,
    the prompt what was said before. ``folders`` names the column of samples that says in which subfolder each image is.
    With ``originals``, a folder too, the images are restorations of those of the same name, and the model offers
    ``reconstruct`` alone. A sample is known by its pixels or its text (and prompt, and folder) alone: names of files, their
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
            "the adapter 'samples_on_disk'",
            options,
            ("path", *_TEXT_OPTIONS, *_FOLDER_OPTIONS, *IMAGE_OPTIONS),
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
        others = _TEXT_OPTIONS if path.is_dir() else (*IMAGE_OPTIONS, *_FOLDER_OPTIONS)
        misplaced = [name for name in others if name in options]
        if misplaced:
            kind = "a folder of images" if path.is_dir() else "a file of texts"
            raise InputError(
                f"The option '{misplaced[0]}' means nothing for {kind}, and {path} is one. Remove it."
            )
        if path.is_dir():
            chosen = ImageRules.of(table).options
            if (originals := table.path(ORIGINALS)) is not None:
                return _restoring(table, path, originals, chosen)
            chosen = (*chosen, (_FOLDERS, _column(table))) if _FOLDERS in options else chosen
        elif path.suffix.lower() == ".jsonl":
            chosen = _fields(table)
        else:
            raise InputError(f"{path} is neither a folder of images nor a .jsonl file of texts.")
        return ModelRef("samples_on_disk", _kept(path, chosen).digest, chosen, str(path))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        if ORIGINALS in dict(ref.options):
            return described(json.loads(ref.location), ref.options)
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
            ),
            problems=kept.problems,
            most_samples=len(kept.samples),
            pictures=kept.pictures,
            files=_files(ref, kept),
        )
        return card, implemented(cls)

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> SamplesOnDisk | Restorations:
        if ORIGINALS in dict(ref.options):
            return Restorations(ref, json.loads(ref.location))
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
        prompted = {"prefix", "messages"} & dict(self._ref.options).keys()
        columns = {PREFIX: [one.prefix for one in chosen]} if prompted else {}
        return text_rows([one.value for one in chosen], **columns)


@dataclass(frozen=True, slots=True, order=True)
class _Sample:
    """One sample: the digest of what it is, and where its pixels are (a name) or what it says (a text).

    ``prefix`` is the prompt of a text, or the folder of an image where folders mean something.
    """

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
    return not {"field", "messages"} & dict(options).keys()


def _fields(table: OptionTable) -> Options:
    """Return which fields of a line are read. Raise InputError for options that contradict each other."""
    if "messages" in table.values:
        other = next((name for name in ("field", "prefix") if name in table.values), None)
        if other:
            raise InputError(
                f"[model] has 'messages' beside '{other}': a conversation holds both prompt and reply. Remove one of the two."
            )
        return (("messages", table.text("messages")),)
    prefix = (("prefix", table.text("prefix")),) if "prefix" in table.values else ()
    return (("field", table.text("field", TEXT)), *prefix)


def _column(table: OptionTable) -> str:
    """Return the name of the column that says in which folder an image is. Raise InputError when it means something else."""
    name = table.text(_FOLDERS)
    if name in (IMAGE, TEXT, PREFIX, FILE):
        raise InputError(
            f"folders is '{name}', a column that holds the example itself. Name another, such as \"label\"."
        )
    return name


def _restoring(table: OptionTable, path: Path, originals: Path, rules: Options) -> ModelRef:
    if _FOLDERS in table.values:
        raise InputError(
            "[model] has 'folders' beside 'originals': restorations are in no group. Remove one of the two."
        )
    if not originals.is_dir():
        raise InputError(
            f"originals is '{shown(str(originals))}', which is no folder. Name that of the originals."
        )
    location = {"path": str(path), ORIGINALS: str(originals)}
    return ModelRef(
        "samples_on_disk",
        paired(location, rules).digest,
        (*rules, (ORIGINALS, "by name")),
        json.dumps(location),
    )


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
            folder = _folder(picture.name) if _FOLDERS in dict(options) else ""
            shapes.append(picture.pixels.shape)
            samples.append(_Sample(_digest(picture.pixels, folder), picture.name, folder))
            found.append(picture.look)
    else:
        samples = list(_texts(path, dict(options), refused))
    advice = field_advice(refused, dict(options))
    problems = tolerate(refused, len(samples) + len(refused), "samples", str(path), advice)
    if not samples:
        raise InputError(f"{path} holds no samples. Put images into the folder, or texts into the file.")
    if not _are_images(options):
        return _Kept(tuple(sorted(samples)), problems)
    if _FOLDERS in dict(options) and not any(one.prefix for one in samples):
        raise InputError(
            f"No sample in {shown(str(path))} is in a subfolder. Leave out 'folders', or put each class in its own."
        )
    one_shape(shapes, str(path), "[model]")
    return _Kept(tuple(sorted(samples)), problems, looks("samples", shapes[0], found))


def _digest(pixels: NDArray[np.uint8], folder: str) -> Digest:
    return digest_of(canonical((*pixels.shape, folder) if folder else pixels.shape) + pixels.tobytes())


def _folder(name: str) -> str:
    """Return the first folder in a file's name; none for a file that is in no folder.

    >>> _folder("cat/1.png"), _folder("1.png")
    ('cat', '')
    """
    return name.partition("/")[0] if "/" in name else ""


def _texts(path: Path, options: dict[str, Any], refused: list[Refused]) -> Iterator[_Sample]:
    for number, record in records(path, MOST_CHARACTERS, refused):
        try:
            prefix, text = _prompt_and_text(record, options)
        except UnreadableError as error:
            refused.append(Refused(f"line {number}", str(error)))
        else:
            yield _Sample(digest_of(canonical((text, prefix))), text, prefix)


def _prompt_and_text(record: dict[str, Any], options: dict[str, Any]) -> tuple[str, str]:
    """Return prompt and text of a line. Raise UnreadableError with the reason."""
    if "messages" in options:
        return reply_in(record, str(options["messages"]), MOST_CHARACTERS)
    text = checked(field_of(record, str(options["field"])), MOST_CHARACTERS)
    prefix = field_of(record, str(options["prefix"])) if "prefix" in options else ""
    return ("" if prefix == "" else checked(prefix, MOST_CHARACTERS)), text


def _images(ref: ModelRef, chosen: Sequence[_Sample]) -> Rows:
    rules, folder = ImageRules.from_options(ref.options), Path(ref.location)
    try:
        pixels = [read_image(folder / one.value, rules) for one in chosen]
    except UnreadableError as error:
        raise ValueError(f"a sample in {folder} could be read before and cannot be now: {error}") from error
    if not pixels:
        raise ValueError("no samples were asked for")
    column = dict(ref.options).get(_FOLDERS)
    groups = {str(column): [one.prefix or None for one in chosen]} if column else {}
    return image_rows(np.stack(pixels), **groups)
