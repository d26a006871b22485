"""What fewer steps of the solver cost a diffusion model in quality, and what they save in time.

Every row uses the same noise, so the differences between rows are smaller than the intervals. The peer is the
deterministic DDIM of as many steps, in the same run. Run: python benchmarks/included_steps.py [--model portraits-ddpm] [--n 1000]
"""

from __future__ import annotations

import argparse
import json
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")


def main() -> None:
    import numpy as np
    import torch

    from audit.core.measurements import Interval
    from audit.core.rows import Rows
    from audit.included.scores import frechet_score
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
        score = frechet_score(f"FD[{name}]", extractor.extract(rows), real)
        assert isinstance(score.uncertainty, Interval)
        low, high = score.uncertainty.low, score.uncertainty.high
        print(
            json.dumps(
                {
                    "solver": solver,
                    "steps": steps,
                    "frechet": round(score.value, 4),
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
