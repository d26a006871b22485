"""Features of portraits: what a network that reads their twelve factors has learnt to look at."""

from __future__ import annotations

from audit.core.references import ExtractorRef
from audit.core.rows import Matrix, Rows
from audit.included.families.attributes.reader import Reader
from audit.included.training.recipe import recorded

_NAME = "portraits-encoder"


class PortraitsEncoder:
    """The 128 numbers before the heads of the included reader of portraits, for 32×32 colour images.

    Learnt from the world 'portraits' (seed 1), so distances weigh what distinguishes those people. Other
    images are scaled to 32×32 (bilinear, antialiased) and pass, but mean little. Values are bytes / 127.5 - 1.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @classmethod
    def refer(cls) -> ExtractorRef:
        return Reader.extractor(_NAME, recorded(Reader.name).sizes["features"])

    @classmethod
    def open(cls, ref: ExtractorRef, device: str) -> PortraitsEncoder:
        ref.check_same_as(cls.refer())
        return cls(Reader.shipped(device))

    def extract(self, rows: Rows) -> Matrix:
        """Return features of shape (rows, 128). Raise ValueError for rows that are no images."""
        return self._reader.features(rows)
