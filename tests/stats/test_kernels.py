"""Kernel discrepancies against torchmetrics and the definition; variance, test and interval against simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from audit.core.errors import UndefinedError
from audit.stats import products
from audit.stats.kernel_values import TiledKernel, cubic, gaussian
from audit.stats.kernels import (
    LEAST_P,
    Discrepancy,
    RowSums,
    Scale,
    discrepancy,
    four_sums,
    kid,
    second_order_variance,
)
from audit.stats.moments import Marginals
from audit.testing.summaries import check_summary


def sums(x: Any, y: Any, kernel: TiledKernel = cubic) -> tuple[RowSums, RowSums, RowSums, RowSums]:
    return (
        RowSums.against(x, [x], kernel, own=0),
        RowSums.against(x, [y], kernel),
        RowSums.against(y, [x], kernel),
        RowSums.against(y, [y], kernel, own=0),
    )


def measured(x: Any, y: Any, kernel: TiledKernel = cubic) -> Discrepancy:
    return discrepancy(*sums(x, y, kernel))


def test_it_is_the_kid_of_torchmetrics() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 12)), rng.normal(size=(80, 12)) + 0.3
    wanted = poly_mmd(torch.from_numpy(y), torch.from_numpy(x))
    assert measured(x, y).value == pytest.approx(float(wanted), rel=1e-12)
    for scale, centre in ((1.0, 0.0), (40.0, 128.0), (0.05, 0.4)):  # embeddings, pixels, pooled activations
        a, b = (np.maximum(scale * z + centre, 0) for z in (x, y))
        wanted = poly_mmd(torch.from_numpy(a), torch.from_numpy(b))
        assert kid(a, b).value == pytest.approx(float(wanted), rel=1e-6)


def test_sums_of_samples_in_memory_are_those_of_pieces() -> None:
    rng = np.random.default_rng(13)
    x, y = rng.normal(size=(2100, 3)), rng.normal(size=(1030, 3))  # more than one tile
    for ours, theirs in zip(four_sums(x, y, cubic), sums(x, y), strict=True):
        np.testing.assert_array_equal(ours.half, theirs.half)
        np.testing.assert_allclose(ours.sums, theirs.sums, rtol=1e-6)
        np.testing.assert_allclose(ours.squares, theirs.squares, rtol=1e-6)


@pytest.mark.parametrize("own", [0, 2, 4])
@pytest.mark.parametrize("pairs", [1, 10**9])
def test_a_shard_meets_all_shards_but_itself_however_many_are_taken_together(
    own: int, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "WIDE", 20)
    rng = np.random.default_rng(14)
    shards = [rng.normal(size=(size, 4)) for size in (7, 12, 9, 15, 11)]
    found = RowSums.against(shards[own], shards, cubic, own=own, pairs=pairs)
    sums, squares = np.zeros((len(shards[own]), 2)), np.zeros(len(shards[own]))
    for number, shard in enumerate(shards):
        values = cubic(shards[own], shard)
        if number == own:
            np.fill_diagonal(values, 0.0)
        sums += np.stack([values[:, 0::2].sum(axis=1), values[:, 1::2].sum(axis=1)], axis=1)
        squares += np.square(values).sum(axis=1)
    np.testing.assert_allclose(found.sums, sums, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found.squares, squares, rtol=1e-5)


@pytest.mark.parametrize("kernel", [cubic, gaussian(2.0)])
def test_it_is_the_definition_at_unequal_sizes_and_in_tiles(kernel: Callable[[Any, Any], Any]) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(41, 5)), rng.normal(size=(30, 5)) * 1.2
    kxx, kyy, kxy = kernel(x, x), kernel(y, y), kernel(x, y)
    wanted = (
        (kxx.sum() - np.trace(kxx)) / (41 * 40)
        + (kyy.sum() - np.trace(kyy)) / (30 * 29)
        - 2 * float(kxy.mean())
    )
    assert measured(x, y, kernel).value == pytest.approx(float(wanted), rel=1e-10)
    pieces, others = [x[:10], x[10:11], x[11:]], [y[:17], y[17:]]

    def joined(rows: list[Any], against: list[Any], own: bool) -> RowSums:
        found = [RowSums.against(r, against, kernel, own=i if own else None) for i, r in enumerate(rows)]
        total = found[0]
        for part in found[1:]:
            total = total.merge(part)
        return total

    again = discrepancy(
        joined(pieces, pieces, True),
        joined(pieces, others, False),
        joined(others, pieces, False),
        joined(others, others, True),
    )
    assert again.value == pytest.approx(float(wanted), rel=1e-10)
    assert again.variance == pytest.approx(measured(x, y, kernel).variance, rel=1e-10)


def test_a_gaussian_kernel_is_its_own_diagonal() -> None:
    x = np.random.default_rng(2).normal(size=(6, 3)) * 1e3
    np.testing.assert_allclose(np.diag(gaussian(1.0)(x, x)), 1.0, atol=1e-6)
    with pytest.raises(ValueError, match="positive"):
        gaussian(0.0)


def test_row_sums_obey_the_laws_of_summaries() -> None:
    rng = np.random.default_rng(3)
    rows, others = rng.normal(size=(30, 4)), rng.normal(size=(20, 4))
    pieces = [(part, others, cubic) for part in np.split(rows, [8, 20])]  # even cuts keep the halves
    check_summary(RowSums, pieces, (rows, others, cubic))


def test_the_mean_is_the_closed_form_of_two_gaussians() -> None:
    """For d = 1 and k = (xy + 1)^3: MMD^2 = 3 (m1 - m1')^2 + 3 (m2 - m2')^2 + (m3 - m3')^2 over raw moments."""
    rng = np.random.default_rng(4)
    found = [measured(rng.normal(0.2, 1, (60, 1)), rng.normal(0, 1, (50, 1))).value for _ in range(1500)]
    wanted = 3 * 0.2**2 + 3 * 0.04**2 + (3 * 0.2 + 0.008) ** 2
    assert np.mean(found) == pytest.approx(wanted, abs=4 * np.std(found) / np.sqrt(1500))


def test_the_second_order_variance_is_the_whole_of_it_at_equality() -> None:
    rng = np.random.default_rng(5)
    cases = [sums(rng.normal(size=(60, 8)), rng.normal(size=(90, 8))) for _ in range(600)]
    true = np.var([discrepancy(*case).value for case in cases])
    assert np.mean([second_order_variance(*case) for case in cases]) == pytest.approx(float(true), rel=0.2)


def test_scale_is_the_references_and_no_column_explodes() -> None:
    rng = np.random.default_rng(6)
    reference = rng.normal(size=(500, 3)) * [1.0, 5.0, 0.0] + [0.0, 3.0, 7.0]
    scale = Scale.of(Marginals.of(reference))
    done = scale.apply(reference)
    np.testing.assert_allclose(done.mean(axis=0), 0, atol=1e-12)
    assert done[:, 1].std(ddof=1) == pytest.approx(1.0)
    assert abs(scale.apply(reference + np.array([0, 0, 1.0]))[0, 2]) == pytest.approx(
        10 / np.sqrt(np.var(reference, axis=0, ddof=1).mean())
    )
    np.testing.assert_array_equal(Scale.of(Marginals.of(np.ones((9, 2)))).deviation, 1.0)


@pytest.mark.parametrize("level", [0.0, 1.0, 255.0])
@pytest.mark.parametrize("noise", [0.0, 1e-12, 1e-9])
def test_a_reference_that_does_not_vary_gives_a_reason_not_a_number(level: float, noise: float) -> None:
    rng = np.random.default_rng(10)
    flat = level + max(level, 1.0) * noise * rng.normal(size=(20, 5))
    moving = level + rng.normal(size=(20, 5))
    for x in (flat + 0.0, moving):
        with pytest.raises(UndefinedError, match="20 reference rows are all alike"):
            kid(x, flat)
        scale = Scale.of(Marginals.of(flat))
        if level:  # without a level, noise is all there is, and it varies
            with pytest.raises(UndefinedError, match="all alike"):
                kid(scale.apply(x), scale.apply(flat))
    collapsed = kid(flat, moving)  # a model that has collapsed is measured like any other
    assert 0 < collapsed.value < 100 * max(level, 1) ** 6
    assert collapsed.interval().half_width > 0


def test_features_out_of_range_give_a_reason() -> None:
    rng = np.random.default_rng(11)
    with pytest.raises(UndefinedError, match="overflows"):
        kid(rng.normal(size=(20, 3)) * 1e120, rng.normal(size=(20, 3)))
    with pytest.raises(UndefinedError, match="eight rows"):
        kid(rng.normal(size=(20, 2)), rng.normal(size=(7, 2)))
    with pytest.raises(ValueError, match="do not compare"):
        kid(rng.normal(size=(20, 2)), rng.normal(size=(20, 3)))


def test_the_p_value_ends_where_its_approximation_does() -> None:
    rng = np.random.default_rng(12)
    assert kid(rng.normal(9, 1, (100, 4)), rng.normal(size=(100, 4))).p_value == LEAST_P


def test_the_published_standard_deviation_over_subsets_is_not_an_error() -> None:
    """The spread over overlapping subsets is several times the error of the full-sample statistic; ours is close to it."""
    rng = np.random.default_rng(7)
    ours, error, subsets = [], [], []
    for _ in range(60):
        x, y = rng.normal(size=(300, 16)) + 0.2, rng.normal(size=(300, 16))
        found = measured(x, y)
        ours.append(found.value)
        error.append(np.sqrt(found.variance))
        parts = [
            measured(x[rng.choice(300, 50, replace=False)], y[rng.choice(300, 50, replace=False)]).value
            for _ in range(8)
        ]
        subsets.append(np.std(parts, ddof=1))
    assert np.mean(error) == pytest.approx(np.std(ours), rel=0.3)
    assert np.mean(subsets) > 2 * np.std(ours)


def simulated(
    replicates: int, n: int, m: int, d: int, shift: float, ratio: float, heavy: bool, seed: int
) -> tuple[Any, Any, Any, Any]:
    """Return values, bounds and p-values; columns have unit variance, rows are Gaussian or of a t with 8 degrees."""
    rng = np.random.default_rng(seed)

    def draw(rows: int) -> Any:
        z = rng.normal(size=(rows, d))
        return z / np.sqrt(rng.chisquare(8, size=(rows, 1)) / 6) if heavy else z

    found = []
    for _ in range(replicates):
        x, y = ratio * draw(n), draw(m)
        x[:, 0] += shift
        one = measured(x, y)
        interval = one.interval()
        found.append((one.value, interval.low, interval.high, one.p_value))
    return tuple(np.array(found).T)  # type: ignore[return-value]  # four columns


@pytest.mark.parametrize("heavy", [False, True])
def test_the_interval_holds_zero_and_the_test_keeps_its_level_at_equality(heavy: bool) -> None:
    _, low, high, p = simulated(150, 100, 100, 16, 0.0, 1.0, heavy, seed=8)
    assert ((low <= 0) & (high >= 0)).mean() >= 0.93
    assert (p < 0.05).mean() <= 0.12  # P(more | 5 %) is below 0.001


def rectified(rng: np.random.Generator, n: int, shift: float = 0.0, scale: float = 1.0) -> Any:
    """Rows like pooled activations: not negative, skewed, moved by eight shared factors."""
    loadings = np.random.default_rng(1).normal(size=(8, 64)) / np.sqrt(8)
    factors = scale * rng.normal(size=(n, 8))
    factors[:, 0] += shift
    return np.maximum(factors @ loadings + 0.5 * rng.normal(size=(n, 64)), 0)


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 500])
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.2, 1.0), (1.0, 1.0), (0.0, 1.2)])
def test_the_interval_of_kid_covers_raw_activations(shift: float, scale: float, n: int) -> None:
    rng, found = np.random.default_rng(14), []
    for _ in range(500):
        one = kid(rectified(rng, n, shift, scale), rectified(rng, n))
        found.append((one.value, one.interval().low, one.interval().high, one.p_value))
    value, low, high, p = np.array(found).T
    truth = 0.0 if (shift, scale) == (0.0, 1.0) else value.mean()
    assert ((low <= truth) & (truth <= high)).mean() >= 0.915
    if truth == 0.0:
        assert (p < 0.05).mean() <= 0.075
        assert (p < 0.001).mean() <= 0.006


@pytest.mark.slow
@pytest.mark.parametrize(("d", "heavy"), [(4, True), (32, True), (32, False)])
@pytest.mark.parametrize(("shift", "ratio"), [(0.0, 1.0), (0.3, 1.1), (1.0, 1.0)])
def test_the_interval_covers_at_its_level(d: int, shift: float, ratio: float, heavy: bool) -> None:
    """The truth away from equality is the mean of all replicates, which unbiasedness makes exact to 1/30 of an error."""
    value, low, high, p = simulated(1000, 500, 500, d, shift, ratio, heavy, seed=9)
    truth = 0.0 if (shift, ratio) == (0.0, 1.0) else value.mean()
    held = ((low <= truth) & (truth <= high)).mean()
    assert held >= 0.92
    if truth == 0.0:
        assert 0.03 <= (p < 0.05).mean() <= 0.075
    else:
        assert (p < 0.05).mean() > 0.2
