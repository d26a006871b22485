"""How long the included models take to draw: two processes with one thread each, as an audit's workers.

Beside each time stands that of bare forward passes of the same network over batches of the same size, in the same run,
so that the ratio says what the path around the network costs. Run: python benchmarks/included_sampling.py [--n 5000]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

MODELS = ("portraits-ae", "portraits-vae", "portraits-gan", "portraits-ddpm", "fashion-vae", "fashion-ddpm")
TEXTS = ("biographies-lm",)


def draw(name: str, n: int, seed: int, options: dict[str, Any]) -> float:
    """Return the seconds that one worker takes for ``n`` samples, opening not included."""
    import numpy as np
    import torch

    from audit.models.included import Included

    torch.set_num_threads(1)
    model = Included.open(Included.refer({"use": name, **options}), "cpu")
    model.sample(1, np.random.default_rng(0))
    began = time.perf_counter()
    model.sample(n, np.random.default_rng(seed))
    return time.perf_counter() - began


def bare(name: str, n: int, options: dict[str, Any]) -> float | None:
    """Return the seconds of the network's forward passes alone, where it is a diffusion model's."""
    import torch

    from audit.models.included import Included

    torch.set_num_threads(1)
    ref = Included.refer({"use": name, **options})
    model = Included.open(ref, "cpu")
    if not hasattr(model, "denoising_loss"):
        return None
    network, steps, batch = model._network, dict(ref.options)["steps"], 64
    side = network.frame.padded
    noise = torch.randn(batch, network.channels, side, side)
    level, label = torch.full((batch,), 500), torch.full((batch,), network.labels)
    with torch.inference_mode(), model._computing():
        network(noise, level, label)
        began = time.perf_counter()
        for _ in range(10):
            network(noise, level, label)
        each = (time.perf_counter() - began) / 10
    return each * int(steps) * n / batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=5000, help="images of each model")
    parser.add_argument("--texts", type=int, default=1000, help="completions of 64 tokens")
    parser.add_argument("--only", nargs="*", help="names of models")
    chosen = parser.parse_args()
    for name in (*MODELS, *TEXTS):
        if chosen.only and name not in chosen.only:
            continue
        n = chosen.texts if name in TEXTS else chosen.n
        options: dict[str, Any] = {"max_new_tokens": 64} if name in TEXTS else {}
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            pool.starmap(draw, [(name, 1, 0, options)] * 2)  # imports and opening out of the way
            seconds = max(pool.starmap(draw, [(name, n // 2, seed, options) for seed in (1, 2)]))
            alone = None if name in TEXTS else pool.apply(bare, (name, n // 2, options))
        print(
            json.dumps(
                {
                    "model": name,
                    "samples": n,
                    "seconds": round(seconds, 2),
                    "bare_seconds": None if alone is None else round(alone, 2),
                    "ratio": None if alone is None else round(seconds / alone, 3),
                }
            )
        )


if __name__ == "__main__":
    main()
