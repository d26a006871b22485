"""Restorations that were made before the audit: a folder of them beside a folder of the originals, matched by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.identity import Digest, canonical, digest_file, digest_of
from audit.core.references import ModelRef, Options
from audit.core.rows import Images, Rng, Rows, image_rows, images_of
from audit.core.subjects import ModelCard
from audit.formats.folders import listing
from audit.formats.hostile import Refused, UnreadableError, shown, tolerate
from audit.formats.images import ImageRules, one_shape, pictures, read_image

ORIGINALS = "originals"


class Restorations:
    """Gives for a picture of the data what a file holds that goes by the same name as that picture's original.

    A picture is known by its pixels, so names of the data and their order change nothing. Of originals with the same
    pixels the first restoration counts, by its own pixels.
    """

    def __init__(self, ref: ModelRef, location: Mapping[str, str]) -> None:
        self._folder = Path(location["path"])
        self._rules = ImageRules.from_options(ref.options)
        found = paired(location, ref.options)
        if found.digest != ref.weights:
            raise InputError(
                f"The restorations in {shown(location['path'])} or their originals have changed since the audit was planned. "
                "Plan it again."
            )
        self._pairs = dict(reversed([(original, name) for original, _, name in found.pairs]))

    def reconstruct(self, rows: Rows, rng: Rng) -> Rows:
        """Return the restoration of each picture. Raise ValueError when one of them has none here."""
        images = images_of(rows)
        names = [self._pairs.get(digest_of_pixels(image)) for image in images]
        if missing := sum(name is None for name in names):
            raise ValueError(
                f"{missing} of {len(names)} pictures of the data are not among the originals of the restorations: name the "
                "folder of the data as 'originals', and give both the same size and mode"
            )
        try:
            made = [read_image(self._folder / str(name), self._rules) for name in names]
        except UnreadableError as error:
            raise ValueError(f"a restoration could be read before and cannot be now: {error}") from error
        return image_rows(np.stack(made) if made else images)


@dataclass(frozen=True, slots=True)
class Paired:
    """Pairs of an original and its restoration (digests of their pixels, the restoration's file), in the order of digests."""

    pairs: tuple[tuple[Digest, Digest, str], ...]
    problems: tuple[str, ...]

    @property
    def digest(self) -> Digest:
        """Name the model by the pixels on both sides."""
        return digest_of(canonical([pair[:2] for pair in self.pairs]))


def digest_of_pixels(pixels: Images) -> Digest:
    """Name a picture by what it shows, shape (height, width, channels)."""
    return digest_of(canonical(pixels.shape) + np.ascontiguousarray(pixels).tobytes())


def described(location: Mapping[str, str], options: Options) -> tuple[ModelCard, frozenset[Capability]]:
    """Return the card of restorations on disk."""
    found = paired(location, options)
    card = ModelCard(
        "unknown (restorations on disk)",
        "image",
        parameters=0,
        withheld=((Capability.SAMPLE, "its files restore given pictures; none of them is a free sample"),),
        notes=(
            f"{len(found.pairs):,} restorations lie on disk, each beside the original of the same name; no other picture can "
            "be restored.",
        ),
        problems=found.problems,
    )
    return card, frozenset({Capability.RECONSTRUCT})


def paired(location: Mapping[str, str], options: Options) -> Paired:
    """Match the files of two folders; they are decoded again only when a byte of them has changed."""
    sides = tuple(location[name] for name in ("path", ORIGINALS))
    try:
        stamp = [{n: digest_file(f) for n, f in listing(Path(side)).files().items()} for side in sides]
    except OSError as error:
        raise InputError(f"{shown(str(error.filename))} cannot be read: {error.strerror}.") from error
    return _paired(sides[0], sides[1], options, digest_of(canonical(stamp)))


@lru_cache(maxsize=2)
def _paired(path: str, originals: str, options: Options, stamp: Digest) -> Paired:  # noqa: ARG001  # kept for these files
    refused: list[Refused] = []
    made, real = (_side(side, options, refused) for side in (path, originals))
    for ours, theirs, side in ((made, real, ORIGINALS), (real, made, "path")):
        refused += [
            Refused(name, f"has no partner in '{side}'")
            for key, (name, _, _) in ours.items()
            if key not in theirs
        ]
    pairs, shapes = [], []
    for key in sorted(made.keys() & real.keys()):
        (name, restored, shape), (_, original, wanted) = made[key], real[key]
        if shape != wanted:
            refused.append(
                Refused(name, f"is {shape[1]}×{shape[0]} and its original {wanted[1]}×{wanted[0]}")
            )
            continue
        pairs.append((original, restored, name))
        shapes.append(shape)
    problems = tolerate(refused, len(pairs) + len(refused), "restorations and originals", path)
    if not pairs:
        raise InputError(
            f"No file in {shown(path)} goes by the name of one in {shown(originals)}, endings aside."
        )
    one_shape(shapes, path, "[model]")
    copies = len(pairs) - len({original for original, _, _ in pairs})
    said = (
        (f"{copies:,} originals show the same picture as another; the first restoration of it counts.",)
        if copies
        else ()
    )
    return Paired(tuple(sorted(pairs)), (*problems, *said))


def _side(
    side: str, options: Options, refused: list[Refused]
) -> dict[str, tuple[str, Digest, tuple[int, ...]]]:
    """Return name, digest and shape of each picture of a folder by its name without the ending."""
    listed = listing(Path(side))
    refused.extend(listed.refused)
    found: dict[str, tuple[str, Digest, tuple[int, ...]]] = {}
    for picture in pictures(listed, ImageRules.from_options(options), refused):
        key = str(Path(picture.name).with_suffix(""))
        if key in found:
            refused.append(
                Refused(picture.name, f"has the name of {shown(found[key][0])} but for the ending")
            )
            continue
        found[key] = (picture.name, digest_of_pixels(picture.pixels), picture.pixels.shape)
    return found
