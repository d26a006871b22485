"""The plainest features of an image: how bright each of 8×8 cells is."""

from __future__ import annotations

import numpy as np

from audit.core.identity import canonical, digest_of
from audit.core.references import ExtractorRef
from audit.core.rows import Matrix, Rows, images_read_by
from audit.formats.grids import averaged

_CELLS = 8
_LUMA = (0.299, 0.587, 0.114)
_VERSION = 1


class Pixels:
    """Brightness (ITU-R BT.601 luma, 0 … 1) averaged over an 8×8 grid of cells: 64 features, for images of any size.

    For the 8×8 grey digits these are the pixels themselves. Nothing is learnt, so the
    features need no weights and favour no model; the trap is that they see layout and not
    content: distances in them compare coarse shapes, and are comparable with no published figure. A policy
    judges such a distance only for data that name these features themselves, as the digits do.
    """

    @classmethod
    def refer(cls) -> ExtractorRef:
        recipe = {"extractor": "pixels", "version": _VERSION, "cells": _CELLS, "luma": _LUMA, "filter": "box"}
        limits = f"they see how bright each of {_CELLS}×{_CELLS} cells is, not what a picture shows"
        return ExtractorRef("pixels", digest_of(canonical(recipe)), _CELLS**2, "image", limits=limits)

    @classmethod
    def open(cls, ref: ExtractorRef, device: str) -> Pixels:
        ref.check_same_as(cls.refer())
        return cls()

    def extract(self, rows: Rows) -> Matrix:
        """Return features of shape (rows, 64) from images with one or three channels. Raise ValueError otherwise."""
        cells = averaged(images_read_by("the extractor 'pixels'", rows, channels=(1, 3)), _CELLS)
        grey = cells[..., 0] if cells.shape[-1] == 1 else cells @ np.asarray(_LUMA)
        return np.asarray(grey.reshape(len(cells), _CELLS**2) / 255)
