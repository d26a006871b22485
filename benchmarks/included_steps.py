"""What fewer steps of the solver cost a diffusion model in quality, and what they save in time.

Every row uses the same noise, so the differences between rows are smaller than the intervals. The peer is the
deterministic DDIM of as many steps, in the same run. Run: python benchmarks/included_steps.py [--model portraits-ddpm] [--n 1000]
"""

from __future__ import annotations

import argparse
import json
import os
import time

from audit.core.rows import Matrix

os.environ.setdefault("OMP_NUM_THREADS", "1")


def distance(x: Matrix, y: Matrix) -> tuple[float, float, float]:
    """Return the Fréchet distance extrapolated to endless samples, with its interval, as ``quality.frechet`` does."""
    import numpy as np

    from audit.stats.frechet import (
        Transport,
        debiased,
        frechet_distance,
        influence_interval,
        second_order_variance,
        standard_error,
    )
    from audit.stats.moments import Moments

    mx, my = Moments.of(x), Moments.of(y)
    halves = [frechet_distance(Moments.of(x[i::2]), Moments.of(y[j::2])) for i, j in np.ndindex(2, 2)]
    value, between = debiased(frechet_distance(mx, my), halves), Transport.between(mx, my)
    psi = (Moments.of(side[:, None]) for side in (between.psi_x(x), between.psi_y(y)))
    found = influence_interval(value, standard_error(*psi, second_order_variance(mx, my)))
    return value, found.low, found.high


def main() -> None:
    import numpy as np
    import torch

    from audit.core.rows import Rows
    from audit.included.training.origin import rows_of
    from audit.included.training.recipe import recorded
    from audit.models.included import Included
    from audit.registry import catalogue

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="portraits-ddpm")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--steps", type=int, nargs="*", default=[6, 10, 14, 20, 40])
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    name = "portraits-encoder" if chosen.model.startswith("portraits") else "pixels"
    kind = catalogue("extractors").load(name)
    extractor = kind.open(kind.refer(), "cpu")
    real = extractor.extract(rows_of(recorded(chosen.model).data, "holdout").slice(0, 4000))

    def say(solver: str, steps: int, rows: Rows, seconds: float) -> None:
        value, low, high = distance(extractor.extract(rows), real)
        print(
            json.dumps(
                {
                    "solver": solver,
                    "steps": steps,
                    "frechet": round(value, 4),
                    "interval": [round(low, 4), round(high, 4)],
                    "images_a_second": round(chosen.n / seconds, 1),
                }
            ),
            flush=True,
        )

    for steps in chosen.steps:
        options = {"use": chosen.model, "steps": steps, "path_steps": steps}
        model = Included.open(Included.refer(options), "cpu")
        noise = np.random.default_rng(0).standard_normal((chosen.n, *model._inner), dtype=np.float32)
        for solver, make in (
            ("DPM-Solver++ 2", lambda m=model: m.sample(chosen.n, np.random.default_rng(0))),
            ("DDIM", lambda m=model, z=noise: m.decode(z.reshape(chosen.n, -1), np.random.default_rng(0))),
        ):
            began = time.perf_counter()
            rows = make()
            say(solver, steps, rows, time.perf_counter() - began)


if __name__ == "__main__":
    main()
