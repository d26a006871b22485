"""Outlines of an image: by how much neighbouring cells differ, for finding near copies."""

from __future__ import annotations

import numpy as np

from audit.core.identity import canonical, digest_of
from audit.core.references import ExtractorRef
from audit.core.rows import Matrix, Rows, images_read_by
from audit.formats.grids import averaged

_CELLS = 16
_VERSION = 1
DIMENSIONS = 2 * 3 * _CELLS * (_CELLS - 1)


class Edges:
    """Differences of colour between neighbouring cells of a 16×16 grid, down and across: 1,440 features of the outlines, for images of any size.

    Nothing is learnt. A copy has its original's outlines at the same places, and two pictures of one kind
    do not, so these features tell near copies apart that look alike to a learnt extractor. They say
    nothing about what is shown: do not compare distributions in them.
    """

    @classmethod
    def refer(cls) -> ExtractorRef:
        recipe = {"extractor": "edges", "version": _VERSION, "cells": _CELLS, "filter": "box"}
        return ExtractorRef("edges", digest_of(canonical(recipe)), DIMENSIONS, "image")

    @classmethod
    def open(cls, ref: ExtractorRef, device: str) -> Edges:
        ref.check_same_as(cls.refer())
        return cls()

    def extract(self, rows: Rows) -> Matrix:
        """Return features of shape (rows, 1440) from images with one or three channels. Raise ValueError otherwise."""
        cells = averaged(images_read_by("the extractor 'edges'", rows, channels=(1, 3)), _CELLS) / 255
        coloured = np.repeat(cells, 3, axis=3) if cells.shape[3] == 1 else cells
        steps = [np.diff(coloured, axis=axis).reshape(len(cells), DIMENSIONS // 2) for axis in (1, 2)]
        return np.concatenate(steps, axis=1)
