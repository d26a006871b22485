"""The text watermarks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from audit.marks.text.detection import TextMark
from audit.marks.text.gumbel import Gumbel
from audit.marks.text.kgw import KGW, weak
from audit.marks.text.synthid import SynthID
from audit.marks.text.unigram import Unigram

TEXT_MARKS: Mapping[str, Callable[[int, int], TextMark]] = {
    "kgw": KGW,
    "unigram": Unigram,
    "gumbel": Gumbel,
    "synthid": SynthID,
}
"""Each takes a key and the size of the vocabulary."""


def refused(name: str, key: int) -> str:
    """Say why a mark cannot be used with a key, or nothing."""
    return weak(key) if name == "kgw" else ""
