"""Folders of image files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import InputError
from audit.core.identity import Digest, canonical, digest_file, digest_of
from audit.core.options import OptionTable
from audit.core.references import DataRef
from audit.core.rows import Rows, image_rows
from audit.core.subjects import DataCard
from audit.data.metadata import Metadata, read_metadata
from audit.data.near_duplicates import image_duplicates, thumbnails
from audit.data.places import folders_of, notes_on, placed, places, randomised, same_bytes
from audit.formats.folders import Listing, listing
from audit.formats.hostile import shown, tolerate
from audit.formats.images import IMAGE_OPTIONS, ImageRules, decoded_images, one_shape, read_image

_OPTIONS = ("path", "train", "holdout", "metadata", "groups", "randomised", *IMAGE_OPTIONS)


class ImageFolder:
    """Images in a folder and its subfolders, in the order of their names.

    ``path`` gives one split, ``holdout``: nothing is known about what the model
    was trained on. ``train`` and ``holdout`` name a folder each. A file
    that is no image, is corrupt, exceeds ``most_pixels`` or is a link out of the
    folder is left out and counted; over 5 % of them is an error.

    ``metadata`` is a CSV or JSONL file with a column ``file`` (the name relative
    to its folder, or ``train/…`` and ``holdout/…`` where names repeat); ``groups``
    picks columns of it, all by default. ``randomised = true`` is your word that
    chance alone decided which image went into which folder.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> DataRef:
        table = OptionTable.of("the dataset 'images'", options, _OPTIONS)
        rules = ImageRules.of(table)
        folders = folders_of(table)
        metadata = table.path("metadata")
        if metadata is not None:
            columns = read_metadata(metadata, table.names("groups")).groups
        elif table.names("groups"):
            raise InputError(
                "The option 'groups' of the dataset 'images' needs 'metadata', the file with the groups."
            )
        else:
            columns = ()
        content: dict[str, Any] = {
            split: _content(_list(folder, metadata)) for split, folder in folders.items()
        }
        if metadata is not None:
            content["metadata"] = digest_file(metadata)
            folders["metadata"] = metadata
        chosen = (("groups", json.dumps(columns)), ("randomised", randomised(table)))
        return DataRef("images", digest_of(canonical(content)), (*chosen, *rules.options), placed(folders))

    @classmethod
    def describe(cls, ref: DataRef) -> DataCard:
        surveys = {split: _survey(ref, split) for split in _splits(ref)}
        one_shape((s for survey in surveys.values() for s in survey.shapes), _where(ref))
        problems = [sentence for survey in surveys.values() for sentence in survey.problems]
        if len(surveys) == 2:
            first, second = surveys["train"], surveys["holdout"]
            exact = same_bytes(first.digests, second.digests)
            found = image_duplicates(first.thumbnails, second.thumbnails, "train", "holdout", exact)
            problems += found.sentences()
        metadata = _metadata(ref)
        if metadata is not None:
            problems += metadata.problems({split: survey.names for split, survey in surveys.items()})
        return DataCard(
            "image",
            tuple((split, len(survey.names)) for split, survey in surveys.items()),
            groups=metadata.groups if metadata else (),
            randomised=bool(dict(ref.options)["randomised"]),
            problems=tuple(problems),
            notes=notes_on(surveys),
        )

    @classmethod
    def load(cls, ref: DataRef, split: str) -> Rows:
        if split not in _splits(ref):
            raise InputError(f"This dataset has no split '{split}'; it has {', '.join(_splits(ref))}.")
        survey = _survey(ref, split)
        one_shape(survey.shapes, _where(ref))
        folder = places(ref)[split]
        rules = ImageRules.from_options(ref.options)
        pixels = np.empty((len(survey.names), *survey.shapes[0]), np.uint8)
        for row, (name, digest) in enumerate(zip(survey.names, survey.digests, strict=True)):
            if digest_file(folder / name) != digest:
                raise InputError(f"{shown(name)} in {folder} changed while the audit ran. Start it again.")
            pixels[row] = read_image(folder / name, rules)
        metadata = _metadata(ref)
        columns = metadata.columns(split, survey.names) if metadata else {}
        return image_rows(pixels, file=[shown(name) for name in survey.names], **columns)


@dataclass(frozen=True, slots=True, eq=False)
class _Survey:
    """What decoding every file of a split once told, without its pixels."""

    names: tuple[str, ...]
    digests: tuple[Digest, ...]
    shapes: tuple[tuple[int, ...], ...]
    thumbnails: NDArray[np.float64]
    problems: tuple[str, ...]


@lru_cache(maxsize=4)
def _survey(ref: DataRef, split: str) -> _Survey:
    """Decode every file once. Raise InputError when none, or too few, can be used or the files have changed."""
    listed, digests_of = _found(ref)[split]
    where = str(places(ref)[split])
    refused = list(listed.refused)
    good = []
    for name, pixels in decoded_images(listed, ImageRules.from_options(ref.options), refused):
        good.append((name, digests_of[name], pixels.shape, thumbnails(pixels[None])[0]))
    problems = tolerate(refused, listed.total, "files", where)
    if not good:
        raise InputError(f"The folder {where} holds no images. Put image files into it, or name another.")
    names, digests, shapes, small_ones = zip(*good, strict=True)
    return _Survey(names, digests, shapes, np.stack(small_ones), problems)


@lru_cache(maxsize=4)
def _found(ref: DataRef) -> dict[str, tuple[Listing, dict[str, Digest]]]:
    """Return what lies in the folder of each split. Raise InputError when it is not what the reference names."""
    place = places(ref)
    metadata = place.get("metadata")
    found = {split: _list(place[split], metadata) for split in _splits(ref)}
    digests = {split: _content(listed) for split, listed in found.items()}
    whole: dict[str, Any] = dict(digests)
    if metadata is not None:
        whole["metadata"] = digest_file(metadata)
    if digest_of(canonical(whole)) != ref.content:
        raise InputError(
            f"The files in {_where(ref)} have changed since the audit was planned. Plan it again."
        )
    return {split: (found[split], digests[split]) for split in found}


def _list(folder: Path, metadata: Path | None) -> Listing:
    listed = listing(folder, [metadata] if metadata else ())
    if not listed.total:
        raise InputError(f"The folder {folder} is empty. Put image files into it, or name another.")
    return listed


def _content(listed: Listing) -> dict[str, Digest]:
    try:
        return {name: digest_file(path) for name, path in listed.files().items()}
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _splits(ref: DataRef) -> tuple[str, ...]:
    return tuple(name for name in ("train", "holdout") if name in places(ref))


def _where(ref: DataRef) -> str:
    return " and ".join(str(places(ref)[split]) for split in _splits(ref))


def _metadata(ref: DataRef) -> Metadata | None:
    path = places(ref).get("metadata")
    return None if path is None else read_metadata(path, tuple(json.loads(str(dict(ref.options)["groups"]))))
