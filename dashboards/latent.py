"""The codes of an included model: which models have one, what is kept of one that is open, and the pictures of given codes.

Only included models of this package are opened here: their code is part of the program, and their weights are pinned by digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.rows import Images, Matrix, Rows, Vector, images_of
from audit.registry import Unavailable, catalogue
from audit.stats.paths import principal_directions, responses, spherical, straight

OURS = "generative-audit"
MOST_OPEN = 2
"""Models that stay open; a third closes the one that was opened first."""
MOST_SLIDERS = 8
_DRAWN, _HELD_OUT, _CODES = 256, 100, 500
WAYS = {"straight": straight, "spherical": spherical}
"""Ways from one code to another, by the name a reader sees."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An included model with a code, and what is known of its codes.

    ``codes`` are those of free samples, shape (n, d). ``units`` and ``principal`` are directions, shape (count, d), in steps of a standard
    deviation, those that change pictures most first; ``names`` says which unit is which, ``shares`` how much of what changes each principal one holds.
    """

    name: str
    digest: Digest
    model: Any
    codes: Matrix
    units: Matrix
    names: tuple[str, ...]
    principal: Matrix
    shares: Vector
    encodes: bool

    def pictures(self, codes: Matrix) -> Images:
        """Return the pictures of codes, shape (n, height, width, channels).

        Each is decoded by itself, so that what a decoder draws at random is the same for all of them.
        """
        rows = [self.model.decode(code[None], np.random.default_rng(0)) for code in codes]
        return np.concatenate([images_of(row) for row in rows])


def offered() -> Mapping[str, str]:
    """Return every included model with the reason why it has no code to move through here, empty for those that have."""
    known = catalogue("included")
    found: dict[str, str] = {}
    for name, kind in known.survey().items():
        found[name] = (
            f"it cannot be loaded: {kind.reason}. {kind.remedy}"
            if isinstance(kind, Unavailable)
            else "it comes with another package; only models of this one are opened here"
            if known.provider(name).partition(" ")[0] != OURS
            else _lacking(kind)
        )
    return found


def _lacking(kind: Any) -> str:
    """Return why a class of models has no code to move through, from what it can do."""
    offers = {c for c in Capability if callable(getattr(kind, c.value, None))}
    if Capability.DECODE not in offers or not offers & {Capability.ENCODE, Capability.DRAW_LATENTS}:
        return "it has no code: it turns no short vector into an example"
    if Capability.PREDICTED_NOISE in offers:
        return "its code is noise of the size of a picture, in which no few directions say anything"
    return ""


def weights(name: str) -> Digest:
    """Return the digest of a model's pinned weights; InputError where they are missing or damaged, or there is no such model."""
    digest: Digest = catalogue("included").load(name).refer({}).weights
    return digest


@st.cache_resource(max_entries=MOST_OPEN, show_spinner="Opening the model")
def opened(name: str, digest: Digest) -> Opened:
    """Open a model, once for all sessions, and find the directions of its codes; InputError where it cannot be opened."""
    kind = catalogue("included").load(name)
    ref = kind.refer({})
    if ref.weights != digest:
        raise InputError(f"The weights of '{name}' changed while the page was open. Reload it.")
    model = kind.open(ref, "cpu")
    _one_thread()
    rng = np.random.default_rng(0)
    encodes = callable(getattr(model, "encode", None))
    codes = _drawn(model, _DRAWN, rng)
    pictures = images_of(model.decode(codes, rng)).reshape(len(codes), -1).astype(np.float64)
    principal, shares = principal_directions(codes, pictures, MOST_SLIDERS)
    spread = codes.std(axis=0)
    effect = np.linalg.norm(responses(codes, pictures), axis=1)
    order = np.argsort(-effect, kind="stable")[:MOST_SLIDERS]
    units = np.eye(codes.shape[1])[order] * spread
    return Opened(
        name, digest, model, codes, units, tuple(f"unit {i + 1}" for i in order), principal, shares, encodes
    )


_once = st.cache_data(
    max_entries=_CODES, show_spinner=False, hash_funcs={Opened: lambda held: (held.name, held.digest)}
)


@_once
def sample_code(held: Opened, number: int) -> Matrix:
    """Return the code of a sample of the model, the same for the same number, shape (1, d)."""
    return _drawn(held.model, 1, np.random.default_rng([1, number]))


@_once
def held_out_code(held: Opened, number: int) -> Matrix:
    """Return the code of an example of the data that the model did not see, shape (1, d); InputError where the data are not here."""
    return np.asarray(held.model.encode(held_out(held.name).slice(number % _HELD_OUT, 1)))


@st.cache_resource(max_entries=MOST_OPEN, show_spinner="Reading the data")
def held_out(name: str) -> Rows:
    """Return the first held-out examples of the data that a model was trained on; InputError where the data are not here."""
    kind = catalogue("included").load(name)
    data = kind.describe(kind.refer({}))[0].trained_on
    if data is None:
        raise InputError(f"It is not known what '{name}' was trained on.")
    return catalogue("datasets").load(data.loader).load(data, "holdout").slice(0, _HELD_OUT)


def between(first: Matrix, last: Matrix, steps: int, way: str) -> Matrix:
    """Return codes on the way from one to another, both ends included, shape (steps, d)."""
    t = np.linspace(0.0, 1.0, steps)
    return WAYS[way](np.repeat(first, steps, axis=0), np.repeat(last, steps, axis=0), t)


def _one_thread() -> None:
    """Let torch use one thread: for pictures this small several are slower, and they would be taken from other sessions."""
    import torch

    torch.set_num_threads(1)


def _drawn(model: Any, n: int, rng: np.random.Generator) -> Matrix:
    if callable(getattr(model, "draw_latents", None)):
        return np.asarray(model.draw_latents(n, rng))
    return np.asarray(model.encode(model.sample(n, rng)))
