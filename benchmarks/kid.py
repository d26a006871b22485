"""Time and value of KID over all rows, beside torchmetrics and torch-fidelity, interleaved in one run.

    python benchmarks/kid.py [--rows 5000] [--dimensions 2048] [--rounds 3] [--threads 1] [--peer FOLDER]

Features are rectified Gaussians in float64 for everybody. What is timed is one statistic over all rows, with the same
number of threads; ours also yields its variance and a p-value. torch-fidelity may lie in FOLDER (``pip install
--no-deps --target``); it imports torchvision for its networks, which are not run here, so an empty stand-in serves.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from unittest.mock import MagicMock

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from audit.stats.kernels import kid

_STAND_INS = (
    "torchvision",
    "torchvision.datasets",
    "torchvision.transforms",
    "torchvision.transforms.functional",
)


def peers(x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], float]]:
    """Return what the peers call the same statistic, for as many of them as are installed."""
    found: dict[str, Callable[[], float]] = {}
    try:
        for name in _STAND_INS:
            sys.modules.setdefault(name, MagicMock(__spec__=None))
        import torch_fidelity.metric_kid as fidelity

        options = {
            "kid_subsets": 1,
            "kid_subset_size": len(x),
            "kid_kernel": "poly",
            "kid_kernel_poly_degree": 3,
            "kid_kernel_poly_gamma": None,
            "kid_kernel_poly_coef0": 1.0,
            "rng_seed": 0,
            "verbose": False,
        }
        tensors = torch.from_numpy(x), torch.from_numpy(y)
        found["torch-fidelity"] = lambda: float(
            fidelity.kid_features_to_metric(*tensors, **options)[fidelity.KEY_METRIC_KID_MEAN]
        )
    except ImportError as missing:
        print(f"torch-fidelity is left out: {missing}")
    for name in _STAND_INS:
        sys.modules.pop(name, None)
    from torchmetrics.image.kid import poly_mmd

    ours, theirs = torch.from_numpy(x), torch.from_numpy(y)
    found["torchmetrics"] = lambda: float(poly_mmd(ours, theirs))
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--rows", type=int, default=5000)
    options.add_argument("--dimensions", type=int, default=2048)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--peer", default="")
    given = options.parse_args()
    if given.peer:
        sys.path.insert(0, given.peer)
    rng = np.random.default_rng(0)
    x, y = (np.maximum(rng.normal(m, 1, (given.rows, given.dimensions)), 0) for m in (0.02, 0.0))
    work: dict[str, Callable[[], float]] = {"this package": lambda: kid(x, y).value, **peers(x, y)}
    times: dict[str, list[float]] = {name: [] for name in work}
    values: dict[str, float] = {}
    memory: dict[str, int] = {}
    torch.set_num_threads(given.threads)
    print(f"{platform.machine()}, numpy {np.__version__}, torch {torch.__version__}, {given.threads} threads")
    with threadpool_limits(limits=given.threads):
        for _ in range(given.rounds):
            for name, one in work.items():
                began = time.perf_counter()
                values[name] = one()
                times[name].append(time.perf_counter() - began)
                memory.setdefault(name, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    for name, seconds in times.items():
        apart = abs(values[name] / values["this package"] - 1)
        print(
            f"{name:16} {statistics.median(seconds):8.2f} s (median of {len(seconds)}), value {values[name]:.12g}, "
            f"relative difference {apart:.1e}, peak of the process so far {memory[name]:,} MiB"
        )


if __name__ == "__main__":
    main()
