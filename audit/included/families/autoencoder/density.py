"""A density on the codes of a plain autoencoder, fitted after training: what its samples are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audit.core.rows import Matrix, Rng

PREFIX = "density."


def fit_density(codes: NDArray[np.float32], parts: int) -> dict[str, Tensor]:
    """Fit a mixture of normals with full covariances to codes (n, latent); return it as tensors (Ghosh et al. 2020)."""
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(parts, reg_covar=1e-6, random_state=0, max_iter=200)
    mixture.fit(codes.astype(np.float64))
    roots = np.linalg.cholesky(mixture.covariances_)
    return {
        f"{PREFIX}shares": torch.tensor(mixture.weights_, dtype=torch.float32),
        f"{PREFIX}means": torch.tensor(mixture.means_, dtype=torch.float32),
        f"{PREFIX}roots": torch.tensor(roots, dtype=torch.float32),
    }


@dataclass(frozen=True, slots=True)
class Density:
    """A mixture of normals: shares (k,), means (k, d) and Cholesky roots of the covariances (k, d, d)."""

    shares: Matrix
    means: Matrix
    roots: Matrix

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], latent: int) -> Density:
        """Read what ``fit_density`` returned for codes of this length. Raise KeyError or ValueError for anything else."""
        shares, means, roots = (
            tensors[f"{PREFIX}{name}"].double().numpy() for name in ("shares", "means", "roots")
        )
        k, d = len(shares) if shares.ndim == 1 else 0, latent
        if k == 0 or means.shape != (k, d) or roots.shape != (k, d, d):
            raise ValueError("its density has shares, means and roots whose shapes do not fit together")
        if not all(np.isfinite(part).all() for part in (shares, means, roots)) or not (shares > 0).all():
            raise ValueError("its density has numbers that are not finite, or shares that are not positive")
        return cls(shares, means, roots)

    def draw(self, n: int, rng: Rng) -> Matrix:
        """Return ``n`` codes, shape (n, d)."""
        reached = np.cumsum(self.shares)[:-1] / self.shares.sum()
        parts = np.searchsorted(reached, rng.random(n), side="right")
        noise = rng.standard_normal((n, self.means.shape[1]))
        codes = np.empty_like(noise)
        for part in range(len(self.shares)):
            members = parts == part
            codes[members] = self.means[part] + noise[members] @ self.roots[part].T
        return codes
