"""Folders of image files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.data_facts import differences
from audit.core.errors import InputError
from audit.core.identity import Digest, canonical, digest_of
from audit.core.options import OptionTable
from audit.core.references import DataRef, Options
from audit.core.rows import FILE, IMAGE, PREFIX, TEXT, Rows, image_rows
from audit.core.subjects import DataCard
from audit.data.metadata import Entry, Metadata, read_metadata
from audit.data.near_duplicates import find_copies
from audit.data.places import folders_of, notes_on, placed, places, randomised, stamp_of
from audit.data.similar_images import SimilarImages, pixel_digest, thumbnails
from audit.formats.folders import LINK_ADVICE, LINKS, Listing, leads_out, listing
from audit.formats.hostile import Refused, printable, tolerate
from audit.formats.images import IMAGE_OPTIONS, ImageRules, Look, Picture, looks, one_shape, pictures

_FOLDERS = "folders"
_OPTIONS = ("path", "train", "holdout", "metadata", "groups", _FOLDERS, "randomised", "links", *IMAGE_OPTIONS)


class ImageFolder:
    """Images in a folder and its subfolders, in the order of their digests.

    ``path`` gives one split, ``holdout``: nothing is known about what the model
    was trained on. ``train`` and ``holdout`` name a folder each. A picture
    that is corrupt, exceeds ``most_pixels`` or is a link out of the folder is
    left out and counted; over 5 % of them is an error. Other files beside
    pictures are named and passed over.

    The data are what the pictures show and the groups they are in: the same
    pixels as PNG, BMP or TIFF, under other names or in other folders, are the
    same data in the same order, so nothing that is drawn by chance depends on
    names or containers.

    ``metadata`` is a CSV or JSONL file with a column ``file`` (the name relative
    to its folder, or ``train/…`` and ``holdout/…`` where names repeat); ``groups``
    picks columns of it, all by default. ``folders`` names a further group: the subfolder that a picture is in, as
    where each class has its own. ``randomised = true`` is your word that
    chance alone decided which image went into which folder. ``links = "follow"``
    follows links that lead out of the folder.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> DataRef:
        table = OptionTable.of("the dataset 'images'", options, _OPTIONS)
        rules = ImageRules.of(table)
        chosen = (("links", table.choice("links", "inside", LINKS)), ("randomised", randomised(table)))
        folders, metadata, groups = folders_of(table), table.path("metadata"), table.names("groups")
        if metadata is not None:
            groups = read_metadata(metadata, groups).groups
            folders["metadata"] = metadata
        elif groups:
            raise InputError(
                "The option 'groups' of the dataset 'images' needs 'metadata', the file with the groups."
            )
        folder = ((_FOLDERS, _column(table, groups)),) if _FOLDERS in options else ()
        chosen_all: Options = (("groups", json.dumps(groups)), *chosen, *rules.options, *folder)
        draft = DataRef("images", Digest(""), chosen_all, placed(folders))
        rows = tuple((split, survey.content) for split, survey in _surveyed(draft).splits.items())
        return replace(draft, content=digest_of(canonical(dict(rows))), options=(*chosen_all, *rows))

    @classmethod
    def describe(cls, ref: DataRef) -> DataCard:
        found = _surveyed(ref)
        for split, survey in found.splits.items():
            _check_unchanged(ref, split, survey.content)
        copies = find_copies(
            {split: survey.digests for split, survey in found.splits.items()},
            SimilarImages({split: survey.thumbnails for split, survey in found.splits.items()}),
        )
        shown = tuple(looks(split, survey.shape, survey.looks) for split, survey in found.splits.items())
        apart = "; ".join(differences(*shown)) if len(shown) == 2 else ""
        return DataCard(
            "image",
            tuple((split, len(survey.digests)) for split, survey in found.splits.items()),
            groups=_columns(ref),
            randomised=bool(dict(ref.options)["randomised"]),
            problems=(
                *found.problems,
                *copies.sentences({split: survey.names for split, survey in found.splits.items()}),
                *([f"'train' and 'holdout' differ before any content does: {apart}."] if apart else []),
            ),
            notes=(*(each.sentence() for each in shown), *notes_on(found.splits)),
            overlaps=copies.overlaps,
            copies=copies.copies,
            pictures=shown,
        )

    @classmethod
    def load(cls, ref: DataRef, split: str) -> Rows:
        if split not in _splits(ref):
            raise InputError(f"This dataset has no split '{split}'; it has {', '.join(_splits(ref))}.")
        listed = _listings(ref)
        metadata = _metadata(ref)
        rows = _rows(ref, listed[split], _entries(metadata, listed)[split], [])
        decoded = sorted(rows, key=lambda row: row.key, reverse=True)
        _check_unchanged(ref, split, _content(row.key for row in reversed(decoded)))
        groups = [row.groups for row in reversed(decoded)]
        pixels = np.empty((len(decoded), *decoded[0].picture.pixels.shape), np.uint8)
        for row in range(len(decoded)):  # each is let go once it is copied: memory holds one copy of them all
            pixels[row] = decoded.pop().picture.pixels
        return image_rows(
            pixels, **{name: [entry[at] for entry in groups] for at, name in enumerate(_columns(ref))}
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """A picture and the groups it is in. ``key`` names both by content; rows stand in the order of their keys."""

    picture: Picture
    digest: Digest
    groups: Entry

    @property
    def key(self) -> str:
        return f"{self.digest} {json.dumps(self.groups)}"


@dataclass(frozen=True, slots=True, eq=False)
class _Survey:
    """What decoding every file of a split once told, without its pixels, in the order of the rows."""

    names: tuple[str, ...]
    digests: tuple[Digest, ...]
    content: Digest
    shape: tuple[int, ...]
    looks: tuple[Look, ...]
    thumbnails: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The splits of a dataset, and what is wrong with its files."""

    splits: Mapping[str, _Survey]
    problems: tuple[str, ...]


def _surveyed(ref: DataRef) -> _Found:
    """Decode every file once, again only when one was written since. Raise InputError when too few can be used."""
    options = tuple((name, value) for name, value in ref.options if name not in _splits(ref))
    stamps = {split: stamp_of(each.files().values()) for split, each in _listings(ref).items()}
    stamps["metadata"] = stamp_of(path for name, path in places(ref).items() if name == "metadata")
    return _survey_all(ref.location, options, digest_of(canonical(stamps)))


@lru_cache(maxsize=2)
def _survey_all(
    location: str,
    options: Options,
    stamp: Digest,  # noqa: ARG001  so that what was kept is forgotten once a file changes
) -> _Found:
    ref = DataRef("images", Digest(""), options, location)
    listed, metadata = _listings(ref), _metadata(ref)
    entries = _entries(metadata, listed)
    splits: dict[str, _Survey] = {}
    problems: list[str] = []
    for split in listed:
        splits[split], said = _survey(ref, split, listed[split], entries[split])
        problems += said
    one_shape(
        (survey.shape for survey in splits.values() for _ in survey.digests),
        " and ".join(str(each.folder) for each in listed.values()),
        "[data]",
    )
    if metadata:
        problems += metadata.problems(entries, {split: survey.names for split, survey in splits.items()})
    return _Found(splits, tuple(problems))


def _survey(
    ref: DataRef, split: str, listed: Listing, entries: Mapping[str, Entry]
) -> tuple[_Survey, tuple[str, ...]]:
    """Return what a split holds, and sentences about its other files."""
    refused: list[Refused] = []
    kept = []
    for row in _rows(ref, listed, entries, refused):
        small = thumbnails(row.picture.pixels[None])[0]
        kept.append(
            (row.key, row.digest, row.picture.pixels.shape, row.picture.look, small, row.picture.name)
        )
    where = str(places(ref)[split])
    advice = LINK_ADVICE if leads_out(refused) else ""
    problems = tolerate(refused, len(kept) + len(refused), "images", where, advice)
    if not kept:
        other = " ".join(("", *problems))
        raise InputError(
            f"The folder {printable(where)} holds no images. Put image files into it, or name another.{other}"
        )
    if _FOLDERS in dict(ref.options) and all("/" not in name for *_, name in kept):
        raise InputError(
            f"No picture in {printable(where)} is in a subfolder. Leave out 'folders', or put each class in its own."
        )
    keys, digests, shapes, seen, small_ones, names = zip(*sorted(kept, key=lambda k: k[0]), strict=True)
    shape = one_shape(shapes, where, "[data]")
    return _Survey(names, digests, _content(keys), shape, seen, np.stack(small_ones)), problems


def _rows(
    ref: DataRef, listed: Listing, entries: Mapping[str, Entry], refused: list[Refused]
) -> Iterator[_Row]:
    """Yield the pictures of a split in the order of their names; what cannot be used is added to ``refused``."""
    nothing = (None,) * len(_groups(ref))
    refused.extend(listed.refused)
    by_folder = _FOLDERS in dict(ref.options)
    for picture in pictures(listed, ImageRules.from_options(ref.options), refused):
        folder = (picture.name.partition("/")[0] if "/" in picture.name else None,) if by_folder else ()
        yield _Row(picture, pixel_digest(picture.pixels), (*entries.get(picture.name, nothing), *folder))


def _content(keys: Iterable[str]) -> Digest:
    return digest_of("\n".join(keys).encode())


def _listings(ref: DataRef) -> dict[str, Listing]:
    place = places(ref)
    leave_out = [place["metadata"]] if "metadata" in place else []
    found = {
        split: listing(place[split], leave_out, str(dict(ref.options)["links"])) for split in _splits(ref)
    }
    for listed in found.values():
        if not listed.total:
            raise InputError(
                f"The folder {printable(listed.folder)} is empty. Put image files into it, or name another."
            )
    return found


def _entries(metadata: Metadata | None, listed: Mapping[str, Listing]) -> Mapping[str, Mapping[str, Entry]]:
    if metadata is None:
        return {split: {} for split in listed}
    return metadata.matched({split: each.names for split, each in listed.items()})


def _splits(ref: DataRef) -> tuple[str, ...]:
    return tuple(name for name in ("train", "holdout") if name in places(ref))


def _groups(ref: DataRef) -> tuple[str, ...]:
    return tuple(json.loads(str(dict(ref.options)["groups"])))


def _columns(ref: DataRef) -> tuple[str, ...]:
    """Return every group: those of the table, and the one that folders are."""
    folder = dict(ref.options).get(_FOLDERS)
    return (*_groups(ref), *(() if folder is None else (str(folder),)))


def _column(table: OptionTable, groups: tuple[str, ...]) -> str:
    """Return the name of the group that folders are. Raise InputError when it has another meaning."""
    name = table.text(_FOLDERS)
    if name in (IMAGE, TEXT, PREFIX, FILE, *groups):
        raise InputError(f"folders is '{name}', which is another column. Name another, such as \"label\".")
    return name


def _metadata(ref: DataRef) -> Metadata | None:
    path = places(ref).get("metadata")
    return None if path is None else read_metadata(path, _groups(ref))


def _check_unchanged(ref: DataRef, split: str, content: Digest) -> None:
    if content != dict(ref.options)[split]:
        raise InputError(
            f"The files in {printable(places(ref)[split])} have changed since the audit was planned. Plan it again."
        )
