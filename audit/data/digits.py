"""Handwritten digits, real ones: the 8×8 images that scikit-learn carries."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import InputError
from audit.core.identity import digest_file
from audit.core.options import OptionTable
from audit.core.references import DataRef
from audit.core.rows import Images, Rows, image_rows
from audit.core.subjects import DataCard
from audit.data.similar_images import copies_of
from audit.stats.shuffling import shuffled

_ROWS = 1797
_LEVELS = 16
_MEMBER = "datasets/data/digits.csv.gz"


class Digits:
    """1,797 digits of 13 writers (Optical Recognition of Handwritten Digits; Alpaydin, Kaynak 1998; UCI; CC BY 4.0).

    A pixel counts the inked cells of a 4×4 block, 0 … 16. It is kept as the
    nearest of the uint8 values ``round(level * 255 / 16)``, which are distinct,
    so nothing is lost. A permutation drawn by ``seed`` puts ``train`` of the
    digits into the split ``train`` and the rest into ``holdout``: whether a
    digit may be learnt from is decided by a coin, and by nothing in the image.

    Trap: an included model saw the ``train`` split of the default options.
    With another ``seed`` or ``train`` the splits say nothing about it.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> DataRef:
        table = OptionTable.of("the dataset 'digits'", options, ("seed", "train"))
        seed = table.whole("seed", 0, 0, 2**32 - 1)
        train = table.whole("train", 1000, 1, _ROWS - 1)
        file = _file()
        return DataRef("digits", digest_file(file), (("seed", seed), ("train", train)), str(file))

    @classmethod
    def describe(cls, ref: DataRef) -> DataCard:
        train = int(dict(ref.options)["train"])
        pixels, _ = _read(ref)
        order = _order(ref)
        copies = copies_of({"train": pixels[order[:train]], "holdout": pixels[order[train:]]})
        return DataCard(
            "image",
            (("train", train), ("holdout", _ROWS - train)),
            groups=("label",),
            extractors=(
                ("features", "pixels"),
            ),  # their 64 pixels themselves; enlarged 28 times they are blur to a network of photographs
            randomised=True,
            problems=copies.sentences(),
            notes=(
                "Optical Recognition of Handwritten Digits (UCI, 1998), test part, as shipped with scikit-learn: "
                "8×8 grey images, 13 writers.",
                "The writers are not recorded: train and holdout share writers.",
            ),
            overlaps=copies.overlaps,
            copies=copies.copies,
        )

    @classmethod
    def load(cls, ref: DataRef, split: str) -> Rows:
        pixels, labels = _read(ref)
        train = int(dict(ref.options)["train"])
        parts = {"train": slice(None, train), "holdout": slice(train, None)}
        if split not in parts:
            raise InputError(f"The dataset 'digits' has no split '{split}'; it has train, holdout.")
        chosen = _order(ref)[parts[split]]
        return image_rows(pixels[chosen], label=[str(label) for label in labels[chosen]])


def _order(ref: DataRef) -> NDArray[np.intp]:
    return np.asarray(shuffled(_ROWS, int(dict(ref.options)["seed"])), dtype=np.intp)


def _file() -> Path:
    """Find the file without importing scikit-learn, which takes a second."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise InputError("The dataset 'digits' comes with scikit-learn. Run: pip install scikit-learn")
    file = Path(spec.origin).parent / _MEMBER
    if not file.is_file():
        raise InputError(
            f"This scikit-learn lacks {_MEMBER}. Reinstall it: pip install --force-reinstall scikit-learn"
        )
    return file


def _read(ref: DataRef) -> tuple[Images, NDArray[np.int64]]:
    """Return all images, shape (1797, 8, 8, 1), and their labels. Raise InputError when the file is another one."""
    file = _file()
    if digest_file(file) != ref.content:
        raise InputError(
            f"{file.name} of scikit-learn has changed since this audit was planned. Plan it again."
        )
    return _decode(file)


@lru_cache(maxsize=1)
def _decode(file: Path) -> tuple[Images, NDArray[np.int64]]:
    try:
        with gzip.open(file, "rb") as packed:
            lines = csv.reader(io.TextIOWrapper(packed, encoding="ascii"))
            values = np.array([[float(cell) for cell in line] for line in lines])
    except (OSError, EOFError, ValueError) as error:
        raise InputError(
            f"{file.name} of scikit-learn cannot be read: {error}. Reinstall scikit-learn."
        ) from error
    levels, labels = values[:, :64], values[:, 64]
    if values.shape != (_ROWS, 65) or levels.min() < 0 or levels.max() > _LEVELS:
        raise InputError(
            f"{file.name} of scikit-learn does not hold {_ROWS:,} digits. Reinstall scikit-learn."
        )
    pixels = np.rint(levels * 255 / _LEVELS).astype(np.uint8).reshape(-1, 8, 8, 1)
    return pixels, labels.astype(np.int64)
