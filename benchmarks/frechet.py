"""Time of one Fréchet distance from given moments, beside torchmetrics and scipy's matrix square root, interleaved.

    python benchmarks/frechet.py [--dimensions 2048] [--rows 10000] [--rounds 3] [--sqrtm-rounds 1] [--threads 1]

Features are correlated Gaussians with a falling spectrum. The moments are made once and given to all; what is
timed is the distance alone, in float64, with the same number of threads for every library: one by default, which is
what a worker has. With more than one, on a machine that is busy with anything else, the threads of OpenBLAS wait
for each other and times say little.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy
import scipy.linalg
import torch
import torchmetrics
from threadpoolctl import threadpool_info, threadpool_limits
from torchmetrics.image.fid import _compute_fid

from audit.stats.frechet import Rooted, frechet_distance
from audit.stats.moments import Moments


def sample(rng: np.random.Generator, rows: int, dimensions: int, shift: float, turn: np.ndarray) -> Moments:
    """Return moments of rows with a falling spectrum, partly turned."""
    spectrum = np.arange(1, dimensions + 1) ** -0.25
    found = Moments.of(np.empty((0, dimensions)))
    for start in range(0, rows, 1000):
        z = rng.normal(size=(min(1000, rows - start), dimensions)) * spectrum
        found = found.merge(Moments.of(z + shift * (z @ turn) + 0.02))
    return found


def by_square_root(x: Moments, y: Moments) -> float:
    """The distance as most implementations of FID compute it."""
    root = scipy.linalg.sqrtm(x.covariance @ y.covariance)
    step = x.mean - y.mean
    return float(step @ step + np.trace(x.covariance) + np.trace(y.covariance) - 2 * np.trace(root.real))


def by_torchmetrics(x: Moments, y: Moments) -> Callable[[], float]:
    tensors = [torch.from_numpy(a) for a in (x.mean, x.covariance, y.mean, y.covariance)]
    return lambda: float(_compute_fid(*tensors))


def timed(work: Callable[[], float]) -> tuple[float, float]:
    began = time.perf_counter()
    value = work()
    return time.perf_counter() - began, value


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--dimensions", type=int, default=2048)
    options.add_argument("--rows", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--sqrtm-rounds", type=int, default=1, help="rounds in which scipy's sqrtm runs too")
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()

    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.normal(size=(given.dimensions, given.dimensions)))
    x = sample(rng, given.rows, given.dimensions, 0.1, turn)
    y = sample(rng, given.rows, given.dimensions, 0.3, turn)
    root = Rooted.of(y)
    work: dict[str, Callable[[], float]] = {
        "this package": lambda: frechet_distance(x, y),
        "this package, reference prepared": lambda: frechet_distance(root, x),
        "torchmetrics": by_torchmetrics(x, y),
        "scipy.linalg.sqrtm": lambda: by_square_root(x, y),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    values: dict[str, float] = {}
    torch.set_num_threads(given.threads)
    with threadpool_limits(limits=given.threads):
        facts(given)
        for turn_number in range(given.rounds):
            for name, one in work.items():
                if name == "scipy.linalg.sqrtm" and turn_number >= given.sqrtm_rounds:
                    continue
                seconds, values[name] = timed(one)
                times[name].append(seconds)
    report(times, values)


def facts(given: argparse.Namespace) -> None:
    pools = sorted({f"{p['internal_api']} {p['version']} x{p['num_threads']}" for p in threadpool_info()})
    print(f"{platform.machine()}, {platform.python_implementation()} {platform.python_version()}, {pools}")
    print(
        f"numpy {np.__version__}, scipy {scipy.__version__}, torch {torch.__version__} x{torch.get_num_threads()}, "
        f"torchmetrics {torchmetrics.__version__}; {given.rows} rows a side, {given.dimensions} dimensions"
    )


def report(times: dict[str, list[float]], values: dict[str, float]) -> None:
    ours = statistics.median(times["this package"])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        apart = abs(values[name] / values["this package"] - 1)
        print(
            f"{name:34} {median:8.2f} s (median of {len(seconds)})  {median / ours:6.2f} x this package's time  "
            f"value {values[name]:.9g}, relative difference {apart:.1e}"
        )


if __name__ == "__main__":
    main()
