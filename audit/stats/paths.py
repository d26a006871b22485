"""Ways through a space of codes: between two of them, and along the directions in which pictures change most."""

from __future__ import annotations

import numpy as np

from audit.core.rows import Matrix, Vector


def straight(first: Matrix, last: Matrix, t: Vector) -> Matrix:
    """Return the point at t of each straight way, shapes (n, d), (n, d), (n,)."""
    return np.asarray(first + t[:, None] * (last - first))


def spherical(first: Matrix, last: Matrix, t: Vector) -> Matrix:
    """Return the point at t of each way along the great circle, its length changing evenly from that of one end to the other's.

    Shapes (n, d), (n, d), (n,). Source: Shoemake 1985.
    """
    lengths = [np.linalg.norm(side, axis=1) for side in (first, last)]
    a, b = (
        side / np.maximum(length, 1e-300)[:, None]
        for side, length in zip((first, last), lengths, strict=True)
    )
    angle = np.arccos(np.clip((a * b).sum(axis=1), -1.0, 1.0))
    sine = np.maximum(np.sin(angle), 1e-9)
    near, far = np.sin((1 - t) * angle) / sine, np.sin(t * angle) / sine
    flat = angle < 1e-6
    near, far = np.where(flat, 1 - t, near), np.where(flat, t, far)
    return np.asarray(
        (near[:, None] * a + far[:, None] * b) * ((1 - t) * lengths[0] + t * lengths[1])[:, None]
    )


def responses(codes: Matrix, outputs: Matrix) -> Matrix:
    """Return how outputs follow each unit of their codes: the covariance of standardised units and outputs, shape (d, p).

    ``codes`` has shape (n, d), ``outputs`` (n, p), row i decoded from code i. A unit that never changes has zeros. ValueError with fewer
    than two rows.
    """
    if len(codes) != len(outputs) or len(codes) < 2:
        raise ValueError(f"two or more codes and as many outputs, not {len(codes)} and {len(outputs)}")
    spread = codes.std(axis=0)
    standardised = (codes - codes.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.asarray(standardised.T @ (outputs - outputs.mean(axis=0)) / len(codes))


def principal_directions(codes: Matrix, outputs: Matrix, count: int) -> tuple[Matrix, Vector]:
    """Return the directions of codes along which outputs vary most, and the share of the squared covariance that each holds.

    A direction has length 1 in standard deviations of the units; those with the greatest share come first, shape (at most
    ``count``, d). They are the left singular vectors of :func:`responses` (maximum covariance analysis, Bretherton, Smith and Wallace
    1992), each with the sign that makes its largest entry positive. ValueError as there.
    """
    left, strengths, _ = np.linalg.svd(responses(codes, outputs), full_matrices=False)
    total = float(np.square(strengths).sum())
    shares = np.square(strengths) / total if total > 0 else np.zeros(len(strengths))
    largest = left[np.abs(left).argmax(axis=0), np.arange(left.shape[1])]
    signed = (left * np.where(largest < 0, -1.0, 1.0)).T[:count]
    return np.asarray(signed * codes.std(axis=0)), np.asarray(shares[:count])
