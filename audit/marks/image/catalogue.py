"""The image watermarks by name: ours, and those that installed packages offer under the entry point ``audit.image_marks``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

from audit.marks.image.detection import ImageMark
from audit.marks.image.dwt_dct import DwtDct
from audit.marks.image.rivagan import RivaGAN, require
from audit.marks.image.spread_spectrum import SpreadSpectrum

IMAGE_MARKS: Mapping[str, Callable[[int, int], ImageMark]] = {
    "dwt_dct": DwtDct,
    "spread_spectrum": SpreadSpectrum,
}
"""Each takes a key and the side of the square at which it works."""


NEURAL = "rivagan"
"""A mark whose weights are in packages of an extra."""


def image_mark(name: str) -> Callable[[int, int], ImageMark]:
    """Return what makes a mark of a key and a size. Raise KeyError for a name that nothing here has, InputError for a missing extra."""
    if name in IMAGE_MARKS:
        return IMAGE_MARKS[name]
    if name == NEURAL:
        require()
        return RivaGAN
    (found,) = entry_points(group="audit.image_marks", name=name) or (None,)
    if found is None:
        raise KeyError(name)
    made: Callable[[int, int], ImageMark] = found.load()
    return made
