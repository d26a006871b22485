"""What was counted about the rows of a dataset: copies within and across splits, pictures, lengths of texts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Overlap:
    """Rows of ``second`` that also stand in ``first``.

    ``exact`` and ``near`` are numbers of rows in ``second``: those that equal a
    row of ``first`` to the last bit, and those that only nearly do. All
    ``total`` rows of ``second`` were compared for exact copies, ``compared`` of
    them for near ones.
    """

    first: str
    second: str
    exact: tuple[int, ...]
    near: tuple[int, ...]
    compared: int
    total: int

    @property
    def rows(self) -> tuple[int, ...]:
        return tuple(sorted((*self.exact, *self.near)))

    @property
    def share(self) -> float:
        """The share of ``second`` that stands in ``first``: a lower bound when not every row was compared."""
        return len(self.rows) / self.total if self.total else 0.0

    def counted(self) -> dict[str, Any]:
        """Return its numbers as the record holds them."""
        return {
            "first": self.first,
            "second": self.second,
            "exact": len(self.exact),
            "near": len(self.near),
            "compared": self.compared,
            "total": self.total,
        }


@dataclass(frozen=True, slots=True)
class Copies:
    """Rows of one split that stand in it more than once, exactly or nearly.

    Each of ``clusters`` holds the numbers of two or more rows that are linked
    by a chain of (near) equalities. ``exact`` rows equal an earlier one to the
    last bit. ``compared`` of ``total`` rows were compared for near copies.
    """

    split: str
    clusters: tuple[tuple[int, ...], ...]
    exact: int
    compared: int
    total: int

    @property
    def repeated(self) -> int:
        """How many rows would go if one of each cluster stayed."""
        return sum(len(rows) - 1 for rows in self.clusters)

    def counted(self) -> dict[str, Any]:
        """Return its numbers as the record holds them."""
        return {
            "split": self.split,
            "repeated": self.repeated,
            "exact": self.exact,
            "clusters": len(self.clusters),
            "compared": self.compared,
            "total": self.total,
        }

    def numbered(self) -> NDArray[np.intp]:
        """Return the number of each row's cluster, shape (total,); a row without a copy is a cluster of its own.

        >>> Copies("train", ((1, 3),), exact=1, compared=4, total=4).numbered().tolist()
        [0, 1, 2, 1]
        """
        first = np.arange(self.total)
        for rows in self.clusters:
            first[list(rows)] = min(rows)
        return np.asarray(np.unique(first, return_inverse=True)[1], dtype=np.intp)


_MOST_RECORDED = 20
"""Sizes of pictures that a record names: a folder may hold as many as it has files."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the pictures of one split were before they were made alike, and the ``shape`` they have now.

    ``shape`` is (height, width, channels). ``sizes`` counts (width, height) as
    stored and ``formats`` the kinds of file, the most frequent first. ``grey``
    pictures have no colour, whatever their file says; ``several`` are
    animations or have pages; ``credentials`` carry a C2PA manifest; of ``transparent`` ones some pixel lets
    through the white that they are laid on.
    """

    split: str
    total: int
    shape: tuple[int, int, int]
    sizes: tuple[tuple[tuple[int, int], int], ...]
    formats: tuple[tuple[str, int], ...]
    grey: int
    several: int
    credentials: int
    transparent: int = 0

    def counted(self) -> dict[str, Any]:
        """Return its numbers as the record holds them: the most frequent sizes alone, and kinds of file likewise."""
        height, width, channels = self.shape
        return {
            "split": self.split,
            "total": self.total,
            "shape": {"width": width, "height": height, "channels": channels},
            "sizes": [{"width": w, "height": h, "pictures": n} for (w, h), n in self.sizes[:_MOST_RECORDED]],
            "more_sizes": max(0, len(self.sizes) - _MOST_RECORDED),
            "formats": dict(self.formats[:_MOST_RECORDED]),
            "grey": self.grey,
            "several": self.several,
            "credentials": self.credentials,
            "transparent": self.transparent,
        }

    def sentence(self) -> str:
        """Say how many pictures there are, how large, of what kind and how many of them are grey."""
        sizes = ", ".join(f"{w}×{h} ({n:,})" for (w, h), n in self.sizes[:3])
        sizes += f" and {len(self.sizes) - 3:,} more sizes" if len(self.sizes) > 3 else ""
        formats = ", ".join(f"{kind} ({n:,})" for kind, n in self.formats)
        return (
            f"'{self.split}': {self.total:,} pictures of {sizes}, from {formats}, {self.grey:,} of them grey, "
            f"read as {_shape(self)}."
        )


def differences(one: Pictures, other: Pictures) -> tuple[str, ...]:
    """Say in what two sets of pictures differ before anything that they show is compared.

    Size and colour are told from the most frequent size and from the shares of
    grey and of transparent pictures, the kind of file from the most frequent one: saving as JPEG changes pixels,
    and a comparison finds that too.
    """
    said = []
    if one.shape != other.shape:
        said.append(f"read as {_shape(one)} against {_shape(other)}")
    elif one.sizes[0][0] != other.sizes[0][0]:
        (w, h), (v, g) = one.sizes[0][0], other.sizes[0][0]
        said.append(f"most are {w}×{h} against {v}×{g} before resizing")
    for what, a, b in (
        ("grey", one.grey, other.grey),
        ("transparent and laid on white", one.transparent, other.transparent),
    ):
        if abs(a / one.total - b / other.total) > 0.5:
            said.append(f"{a / one.total:.0%} against {b / other.total:.0%} are {what}")
    kinds = one.formats[0][0], other.formats[0][0]
    if (kinds[0] in _LOSSY) != (kinds[1] in _LOSSY):
        said.append(f"most are {kinds[0]} against {kinds[1]} files")
    return tuple(said)


_LOSSY = frozenset({"JPEG", "MPO", "WEBP", "AVIF"})


def _shape(pictures: Pictures) -> str:
    height, width, channels = pictures.shape
    return f"{width}×{height} with {channels} channel{'s' if channels > 1 else ''}"


@dataclass(frozen=True, slots=True)
class Texts:
    """How long the texts of one split are, in characters."""

    split: str
    total: int
    characters: int
    longest: int
    effective: float
    """How many texts of equal length would weigh as evenly: (Σ length)² / Σ length² (Kish 1965)."""

    def counted(self) -> dict[str, Any]:
        """Return its numbers as the record holds them."""
        return asdict(self)

    def sentences(self) -> tuple[str, ...]:
        """Say that few long texts outweigh all others, or nothing when none do."""
        if self.effective >= 0.1 * self.total:
            return ()
        return (
            f"Few long texts outweigh the others of '{self.split}': the longest holds {self.longest / self.characters:.0%} "
            f"of all characters, and {self.total:,} texts weigh in a figure per character, byte or token like "
            f"{self.effective:.1f} of equal length.",
        )
