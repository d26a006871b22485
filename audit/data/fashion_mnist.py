"""Fashion-MNIST: small grey pictures of clothes, ten classes of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit import assets
from audit.core.errors import InputError
from audit.core.identity import Digest, canonical, digest_of
from audit.core.options import OptionTable
from audit.core.references import DataRef
from audit.core.rows import Images, Rows, image_rows
from audit.core.subjects import DataCard
from audit.data.similar_images import copies_of
from audit.formats.hostile import UnreadableError
from audit.formats.idx import read_idx
from audit.stats.shuffling import shuffled

ASSET = "fashion-mnist"
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_SIDE = 28
_MOST = 1_000_000
"""Pictures in one file: sixteen times what there are, and 784 MB."""
_FILES = {"train": "train", "test": "t10k"}
_SPLITS = ("train", "holdout", "test")


class FashionMNIST:
    """70,000 grey pictures of articles of clothing (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747; MIT licence).

    The publisher's 60,000 training pictures are the pool: a permutation drawn
    by ``seed`` puts ``train`` of them into the split ``train`` and ``holdout``
    of the others into ``holdout``, so whether a picture may be learnt from is
    decided by a coin. The publisher's 10,000 test pictures are the split
    ``test``, as they came: no coin decided about them.

    Rows have ``image``, 28×28×1 uint8 with the article bright on black, and
    ``label``, the name of its class. Read from the asset 'fashion-mnist', or
    from ``path``, a folder with the four idx files, packed with gzip or not;
    the reference covers what is in them and not how it is packed.

    Traps: a shop has many articles that look alike, and some pictures have a
    near duplicate in another split (Geier 2019, arXiv:1906.08255, lists those
    between the publisher's own splits); the card counts the nearest of them.
    A model can be audited for membership only with the options it was trained
    with: other ``seed``, ``train`` or ``holdout``, and the splits say nothing.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> DataRef:
        table = OptionTable.of("the dataset 'fashion-mnist'", options, ("seed", "train", "holdout", "path"))
        seed = table.whole("seed", 0, 0, 2**32 - 1)
        train = table.whole("train", 50_000, 1, _MOST)
        holdout = table.whole("holdout", 10_000, 1, _MOST)
        folder = table.path("path") or assets.path(ASSET)
        found = _read(folder)
        pool = len(found.parts["train"].labels)
        if train + holdout > pool:
            raise InputError(
                f"The options 'train' and 'holdout' of the dataset 'fashion-mnist' add up to {train + holdout:,}, "
                f"and there are {pool:,} training pictures. Make one of them smaller."
            )
        chosen = (("holdout", holdout), ("seed", seed), ("train", train))
        return DataRef("fashion-mnist", found.content, chosen, str(folder))

    @classmethod
    def describe(cls, ref: DataRef) -> DataCard:
        rows = {split: _chosen(ref, split) for split in _SPLITS}
        copies = copies_of({split: pixels for split, (pixels, _) in rows.items()})
        return DataCard(
            "image",
            tuple((split, len(labels)) for split, (_, labels) in rows.items()),
            groups=("label",),
            randomised=True,
            problems=copies.sentences(),
            notes=(
                "Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 28×28 grey pictures of a shop's articles, MIT licence.",
                "'train' and 'holdout' are drawn from the publisher's training pictures by a coin; 'test' is the "
                "publisher's own split.",
            ),
            overlaps=copies.overlaps,
            copies=copies.copies,
        )

    @classmethod
    def load(cls, ref: DataRef, split: str) -> Rows:
        if split not in _SPLITS:
            raise InputError(
                f"The dataset 'fashion-mnist' has no split '{split}'; it has {', '.join(_SPLITS)}."
            )
        pixels, labels = _chosen(ref, split)
        return image_rows(pixels, label=[CLASSES[label] for label in labels])


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The pictures of one pair of files, shape (n, 28, 28, 1), and the number of each one's class."""

    pixels: Images
    labels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What a folder holds, and the digest of it."""

    parts: dict[str, _Part]
    content: Digest


def _chosen(ref: DataRef, split: str) -> tuple[Images, NDArray[np.uint8]]:
    """Return the pictures and labels of a split. Raise InputError when the files are others than planned."""
    found = _read(Path(ref.location))
    if found.content != ref.content:
        raise InputError(
            f"The files in {ref.location} have changed since this audit was planned. Plan it again."
        )
    if split == "test":
        return found.parts["test"].pixels, found.parts["test"].labels
    options, part = dict(ref.options), found.parts["train"]
    train, holdout = int(options["train"]), int(options["holdout"])
    order = np.asarray(shuffled(len(part.labels), int(options["seed"])), dtype=np.intp)
    rows = order[:train] if split == "train" else order[train : train + holdout]
    return part.pixels[rows], part.labels[rows]


def _read(folder: Path) -> _Found:
    """Read the four files, again only when one of them was written since."""
    files = tuple(
        _file(folder, f"{stem}-{what}") for stem in _FILES.values() for what in ("images-idx3", "labels-idx1")
    )
    try:
        written = tuple((file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}.") from error
    return _decoded(files, written)


@lru_cache(maxsize=1)
def _decoded(
    files: tuple[Path, ...],
    written: tuple[tuple[int, int], ...],  # noqa: ARG001  so that what was kept is forgotten once a file changes
) -> _Found:
    parts, digests = {}, {}
    for position, name in enumerate(_FILES):
        images, labels = files[2 * position : 2 * position + 2]
        part = parts[name] = _part(images, labels)
        digests[f"{name} images"] = digest_of(part.pixels.tobytes())
        digests[f"{name} labels"] = digest_of(part.labels.tobytes())
    return _Found(parts, digest_of(canonical(digests)))


def _part(images: Path, labels: Path) -> _Part:
    pixels, named = _idx(images, 3, _MOST * _SIDE**2), _idx(labels, 1, _MOST)
    if pixels.shape[1:] != (_SIDE, _SIDE) or not len(pixels):
        shape = "×".join(str(length) for length in pixels.shape)
        raise InputError(f"{images} holds {shape} values, not pictures of {_SIDE}×{_SIDE}.")
    if len(pixels) != len(named):
        raise InputError(f"{images} holds {len(pixels):,} pictures and {labels.name} {len(named):,} labels.")
    if named.max() >= len(CLASSES):
        raise InputError(f"{labels} holds the label {named.max()}; there are {len(CLASSES)} classes, from 0.")
    return _Part(pixels[..., None], named)


def _idx(path: Path, axes: int, most: int) -> NDArray[np.uint8]:
    try:
        return read_idx(path, axes, most)
    except UnreadableError as error:
        raise InputError(
            f"{path} cannot be used: {error}. Replace it, or run 'audit fetch {ASSET}'."
        ) from error


def _file(folder: Path, stem: str) -> Path:
    for name in (f"{stem}-ubyte", f"{stem}-ubyte.gz"):
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"There is no {stem}-ubyte or {stem}-ubyte.gz in {folder}. The option 'path' of the dataset 'fashion-mnist' "
        f"names a folder with the publisher's four files; without it they are those of 'audit fetch {ASSET}'."
    )
