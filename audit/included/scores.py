"""What the card of an included image model states about it: one score per thing it can do, each with its interval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.capabilities import Capability
from audit.core.measurements import Interval, Unquantified
from audit.core.rows import Matrix, Rows, Vector, images_of
from audit.included.training.origin import rows_of
from audit.included.training.recipe import TrainingRecipe
from audit.stats.clusters import clustered_mean
from audit.stats.frechet import (
    Transport,
    debiased,
    effective_rank,
    frechet_distance,
    gate,
    influence_interval,
    residual_bias,
    second_order_variance,
    standard_error,
    unsettled,
)
from audit.stats.moments import Moments
from audit.stats.proportions import wilson

SAMPLES = 1000
"""Samples behind the scores of a card."""
_ROWS = 500
"""Rows of each split behind the others."""
_LEVELS = (0.1, 0.3, 0.6)
_FACTORS = ("occupation", "skin_tone", "presentation", "age", "headwear", "glasses", "expression")


@dataclass(frozen=True, slots=True)
class Score:
    """One line of a card."""

    what: str
    value: float
    uncertainty: Interval | Unquantified
    n: int


def scores_of(model: Any, offers: frozenset[Capability], recipe: TrainingRecipe) -> Iterator[Score]:
    """Measure an opened image model against the data of its recipe, whatever it offers."""
    train, holdout = (rows_of(recipe.data, split).slice(0, _ROWS) for split in ("train", "holdout"))
    splits = (("train", train), ("holdout", holdout))
    if Capability.LIKELIHOOD_BOUND in offers:
        for split, rows in splits:
            bound = model.likelihood_bound(rows, np.random.default_rng(0))
            values = int(np.prod(images_of(rows).shape[1:]))
            yield _mean(f"likelihood bound on {split}, bits per byte", -bound / values / np.log(2), rows)
    if Capability.RECONSTRUCT in offers:
        for split, rows in splits:
            again = model.reconstruct(rows, np.random.default_rng(0))
            yield _mean(f"reconstruction of {split}, PSNR in dB", _psnr(rows, again), rows)
    if {Capability.ENCODE, Capability.DECODE} <= offers and Capability.RECONSTRUCT not in offers:
        rows = holdout.slice(0, 100)
        again = model.decode(model.encode(rows), np.random.default_rng(0))
        yield _mean("holdout through its latent vectors and back, PSNR in dB", _psnr(rows, again), rows)
    if Capability.DENOISING_LOSS in offers:
        for level in _LEVELS:
            for split, rows in splits:
                loss = model.denoising_loss(rows, level, np.random.default_rng(0))
                yield _mean(f"denoising loss at level {level:g} on {split}", loss, rows)
    if Capability.REALNESS in offers:
        for split, rows in splits:
            yield _mean(f"realness of {split}", model.realness(rows), rows)
    if Capability.SAMPLE in offers:
        drawn = model.sample(SAMPLES, np.random.default_rng(0))
        if Capability.REALNESS in offers:
            own = drawn.slice(0, _ROWS)
            yield _mean("realness of its own samples", model.realness(own), own)
        yield from _sample_scores(model, drawn, recipe)


def _sample_scores(model: Any, drawn: Rows, recipe: TrainingRecipe) -> Iterator[Score]:
    everything = rows_of(recipe.data)
    holdout = rows_of(recipe.data, "holdout").slice(0, SAMPLES)
    portraits = recipe.data.use == "portraits"
    name = "portraits-encoder" if portraits else "pixels"
    (entry,) = entry_points(group="audit.extractors", name=name)
    kind = entry.load()
    extractor = kind.open(kind.refer(), "cpu")
    x, y, z = (extractor.extract(rows) for rows in (drawn, holdout, everything.slice(0, SAMPLES)))
    for what, side in (("samples", x), ("train", z)):
        score = frechet_score(f"relative Fréchet distance of {what} from holdout, {name}", side, y)
        if what == "train" and len(np.unique(_subjects(everything.slice(0, SAMPLES)))) < len(z):
            score = replace(score, uncertainty=Unquantified("rows are copies of one another"))
        yield _relative(score, y)
    yield _copies(drawn, everything, holdout)
    if portraits:
        yield from _portrait_scores(model, drawn, everything.slice(0, SAMPLES), holdout)


def _portrait_scores(model: Any, drawn: Rows, train: Rows, holdout: Rows) -> Iterator[Score]:
    """What the included reader of portraits sees in samples and in training rows, beside what it sees in the holdout."""
    from audit.included.families.attributes.reader import Reader

    reader = Reader.shipped("cpu")
    seen = [reader.probabilities(rows) for rows in (drawn, train, holdout)]
    for factor in _FACTORS:
        ours, members, theirs = (_shares(probabilities[factor]) for probabilities in seen)
        floor = 0.5 * np.abs(members - theirs).sum()
        yield Score(
            f"total variation between samples and holdout in {factor}, as read",
            float(0.5 * np.abs(ours - theirs).sum()),
            Unquantified(f"biased upwards by chance; between train and holdout it is {floor:.3f}"),
            drawn.num_rows,
        )
    names = model.conditions()
    if names:
        yield from _obedience(model, reader, names)


def _obedience(model: Any, reader: Any, names: tuple[str, ...]) -> Iterator[Score]:
    """How often a sample of an occupation is read as that occupation, and the associations among such samples."""
    import pyarrow as pa

    each = SAMPLES // (2 * len(names))
    asked = np.repeat(np.arange(len(names)), each)
    condition = pa.table({"occupation": [names[i] for i in asked]})
    seen = reader.probabilities(model.sample(len(asked), np.random.default_rng(1), condition))
    right = seen["occupation"].argmax(1) == asked
    yield rate_score("samples of an occupation read as that occupation", right)
    light = np.isin(seen["skin_tone"].argmax(1), (0, 1, 2))
    feminine = seen["presentation"].argmax(1) == 0
    for occupation in ("judge", "builder"):
        mine = asked == names.index(occupation)
        yield rate_score(
            f"samples of '{occupation}' read with one of the three lightest skin tones", light[mine]
        )
    for occupation in ("nurse", "builder"):
        mine = asked == names.index(occupation)
        yield rate_score(f"samples of '{occupation}' read as feminine", feminine[mine])


def nearest_distances(rows: Rows, others: Rows) -> Vector:
    """Return the root mean squared difference of each image to its nearest of ``others``, in grey levels of 255."""
    x, y = (images_of(r).reshape(r.num_rows, -1).astype(np.float32) for r in (rows, others))
    found = np.empty(len(x))
    lengths = (y**2).sum(1)
    for start in range(0, len(x), 200):
        part = x[start : start + 200]
        rough = lengths - 2 * part @ y.T
        best = y[rough.argmin(1)]
        found[start : start + 200] = np.sqrt(((part - best) ** 2).mean(1))
    return found


def _copies(drawn: Rows, train: Rows, holdout: Rows) -> Score:
    """The share of samples that lie nearer to a training image than any holdout image does: brute force on pixels."""
    least = nearest_distances(holdout, train).min()
    return rate_score(
        f"samples nearer to a training image than any of {holdout.num_rows:,} holdout images is ({least:.1f} levels)",
        nearest_distances(drawn, train) < least,
    )


def _psnr(rows: Rows, again: Rows) -> Vector:
    before, after = (images_of(r).astype(np.float64) for r in (rows, again))
    error = ((before - after) ** 2).mean(axis=(1, 2, 3))
    return np.asarray(10 * np.log10(255**2 / np.maximum(error, 1e-3)))


def _shares(probabilities: Matrix) -> Vector:
    """Return how often each value is the likeliest of its factor."""
    return np.bincount(probabilities.argmax(1), minlength=probabilities.shape[1]) / len(probabilities)


def _mean(what: str, values: Vector, rows: Rows) -> Score:
    """Return the mean over rows with the interval over those whom they show: copies of a person are no new evidence."""
    subjects = _subjects(rows)
    value, interval = clustered_mean(values, subjects)
    return Score(what, value, interval, len(np.unique(subjects)))


def _subjects(rows: Rows) -> NDArray[Any]:
    """Return a label for each row, the same for copies of one person (see the world's column 'id')."""
    if "id" not in rows.column_names:
        return np.arange(rows.num_rows)
    return np.array([str(name).partition("-")[0] for name in rows.column("id").to_pylist()])


def rate_score(what: str, hits: Any) -> Score:
    """Return the share of hits with Wilson's interval."""
    found, n = int(np.sum(hits)), len(hits)
    return Score(what, found / n, wilson(found, n), n)


def frechet_score(what: str, x: Matrix, y: Matrix) -> Score:
    """The distance extrapolated to endless samples, with the interval of its influence function where one is due.

    As in ``quality.frechet``: none where there are too few rows for the dimensions, or where the bias that
    extrapolation leaves is not small. Rows are taken as independent.
    """
    mx, my = Moments.of(x), Moments.of(y)
    whole, (halves, quarters) = frechet_distance(mx, my), (_parts(x, y, 2), _parts(x, y, 4))
    value = debiased(whole, halves)
    ranks = ((len(side), effective_rank(moments)) for side, moments in ((x, mx), (y, my)))
    for rows, rank in ranks:
        if (obstacle := gate(rows, x.shape[1], rank)) is not None:
            return Score(what, value, Unquantified(obstacle), len(x))
    between = Transport.between(mx, my)
    error = standard_error(
        Moments.of(between.psi_x(x)[:, None]),
        Moments.of(between.psi_y(y)[:, None]),
        second_order_variance(mx, my),
    )
    if (obstacle := unsettled(residual_bias(whole, halves, quarters), error)) is not None:
        return Score(what, value, Unquantified(obstacle), len(x))
    return Score(what, value, influence_interval(value, error), len(x))


def _relative(score: Score, y: Matrix) -> Score:
    """Return a distance over the total variance of the real rows: 1 is what their mean alone would score."""
    scale = 1 / float(Moments.of(y).variance.sum())
    match score.uncertainty:
        case Interval(low, high, level, method):
            uncertainty: Interval | Unquantified = Interval(low * scale, high * scale, level, method)
        case other:
            uncertainty = other
    return replace(score, value=score.value * scale, uncertainty=uncertainty)


def _parts(x: Matrix, y: Matrix, parts: int) -> list[float]:
    """Return distances between disjoint parts of both samples, each part of one against two of the other."""
    pairs = [(i, (i + shift) % parts) for shift in (0, 1) for i in range(parts)]
    return [frechet_distance(Moments.of(x[i::parts]), Moments.of(y[j::parts])) for i, j in pairs]
