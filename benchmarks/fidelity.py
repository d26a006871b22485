"""Time and memory of scores of two samples of features, beside the packages that give them, each in a process of its own.

    python benchmarks/fidelity.py [--rows 5000] [--dimensions 768] [--rounds 2] [--threads 1]
    python benchmarks/fidelity.py --all --rows 10000 --dimensions 1280 --rounds 1 [--peer FOLDER]

The same Gaussian features in float32 for everybody. Without ``--all`` precision, recall, density and coverage beside prdc, which gives four
values; ours also the two clipped forms, and in the last line intervals over 40 random halvings.

With ``--all`` every score: Fréchet distance, KID over all rows, precision, recall, density, coverage. What this package takes for all of them is held
against torch-fidelity, torchmetrics and prdc one after the other, each for those that it gives; the last line is the ratio. torch-fidelity may lie in
FOLDER (``pip install --no-deps --target``); it imports torchvision for its networks, which are not run, so an empty stand-in serves.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from typing import Any

WORK = """
import json, resource, sys, time
import numpy as np
from threadpoolctl import threadpool_limits
rows, dimensions, rounds, threads, who = (int(a) if a.isdigit() else a for a in sys.argv[1:])
rng = np.random.default_rng(0)
x, y = (rng.normal(m, 1, (rows, dimensions)).astype(np.float32) for m in (0.0, 0.05))
if who == "prdc":
    import contextlib, io
    from prdc import compute_prdc
    def run():
        with contextlib.redirect_stdout(io.StringIO()):
            return compute_prdc(real_features=x, fake_features=y, nearest_k=5)
elif who == "values":
    from audit.stats.fidelity import METRICS, Neighbourhoods
    def run():
        return dict(zip(METRICS, Neighbourhoods.between(x, y, 5).metrics().tolist()))
else:
    from audit.stats.fidelity import fidelity
    def run():
        return fidelity(x, y, np.random.default_rng(1)).values
times = []
with threadpool_limits(limits=threads):
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        found = run()
        times.append((time.perf_counter() - began, time.process_time() - used))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"seconds": min(t for t, _ in times), "cpu": min(t for _, t in times), "peak": peak,
                  "values": {k: float(v) for k, v in found.items()}}))
"""

ALL = """
import json, resource, sys, time
import numpy as np
from threadpoolctl import threadpool_limits
rows, dimensions, rounds, threads, who, peer = (int(a) if a.isdigit() else a for a in sys.argv[1:])
rng = np.random.default_rng(0)
x, y = (rng.normal(m, 1, (rows, dimensions)).astype(np.float32) for m in (0.0, 0.05))
if who == "this package":
    from audit.stats.two_samples import TwoSamples
    def run():
        found = TwoSamples.compared(y, x).scores()
        return {"fid": found["frechet"], **{name: found[name] for name in ("kid", "precision", "recall", "density", "coverage")}}
elif who == "prdc":
    import contextlib, io
    from prdc import compute_prdc
    def run():
        with contextlib.redirect_stdout(io.StringIO()):
            return compute_prdc(real_features=x, fake_features=y, nearest_k=5)
elif who == "torchmetrics":
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance
    torch.set_num_threads(threads)
    network = torch.nn.Identity()
    network.num_features = dimensions
    def run():
        found = {}
        for name, metric in (("fid", FrechetInceptionDistance(network)),
                             ("kid", KernelInceptionDistance(network, subsets=1, subset_size=rows))):
            for side, real in ((x, True), (y, False)):
                metric.update(torch.from_numpy(side), real=real)
            value = metric.compute()
            found[name] = float(value[0] if name == "kid" else value)
        return found
else:
    from unittest.mock import MagicMock
    if peer != "-":
        sys.path.insert(0, peer)
    for name in ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules.setdefault(name, MagicMock(__spec__=None))
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric
    torch.set_num_threads(threads)
    options = {"kid_subsets": 1, "kid_subset_size": rows, "kid_kernel": "poly", "kid_kernel_poly_degree": 3, "verbose": False,
               "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1.0, "rng_seed": 0, "prc_neighborhood": 5,
               "prc_batch_size": 10000, "save_cpu_ram": True}
    def run():
        ours, theirs = torch.from_numpy(y), torch.from_numpy(x)
        fid = fid_statistics_to_metric(fid_features_to_statistics(ours), fid_features_to_statistics(theirs), False)
        found = {**fid, **kid_features_to_metric(ours, theirs, **options), **prc_features_to_metric(ours, theirs, **options)}
        names = {"frechet_inception_distance": "fid", "kernel_inception_distance_mean": "kid", "precision": "precision", "recall": "recall"}
        return {short: found[long] for long, short in names.items()}
times = []
with threadpool_limits(limits=threads):
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        found = run()
        times.append((time.perf_counter() - began, time.process_time() - used))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"seconds": min(t for t, _ in times), "cpu": min(t for _, t in times), "peak": peak,
                  "values": {k: float(v) for k, v in found.items()}}))
"""
PEERS = ("torch-fidelity", "torchmetrics", "prdc")


def every_score(figures: list[str], peer: str) -> None:
    """Print what everybody takes for the scores that they give, how far values are apart, and the ratio of all."""
    found: dict[str, dict[str, Any]] = {}
    for who in ("this package", *PEERS):
        command = [sys.executable, "-c", ALL, *figures, who, peer or "-"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{who} is left out: {done.stderr.strip().splitlines()[-1]}")
            continue
        found[who] = one = json.loads(done.stdout.strip().splitlines()[-1])
        ours = found["this package"]["values"]
        apart = max(
            abs(value - ours[name]) / max(abs(ours[name]), 1e-12) for name, value in one["values"].items()
        )
        print(
            f"{who:14} {one['seconds']:8.2f} s, {one['cpu']:8.2f} s of processor, {one['peak']:,} MiB, "
            f"{', '.join(one['values'])}; largest relative difference {apart:.1e}"
        )
    others = [name for name in PEERS if name in found]
    for clock in ("seconds", "cpu"):
        ratio = sum(found[name][clock] for name in others) / found["this package"][clock]
        words = "time" if clock == "seconds" else "processor time"
        print(f"{' + '.join(others)} take {ratio:.1f} times the {words} of this package")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--rows", type=int, default=5000)
    options.add_argument("--dimensions", type=int, default=768)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--all", action="store_true")
    options.add_argument("--peer", default="")
    given = options.parse_args()
    print(
        f"{platform.machine()}, {given.rows} rows a side, {given.dimensions} columns, {given.threads} threads"
    )
    figures = [str(v) for v in (given.rows, given.dimensions, given.rounds, given.threads)]
    if given.all:
        every_score(figures, given.peer)
        return
    for who in ("prdc", "values", "intervals"):
        done = subprocess.run(
            [sys.executable, "-c", WORK, *figures, who], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout.strip().splitlines()[-1])
        shown = {name: round(value, 6) for name, value in found["values"].items()}
        print(
            f"{who:10} {found['seconds']:7.2f} s, {found['cpu']:7.2f} s of processor, {found['peak']:,} MiB  {shown}"
        )


if __name__ == "__main__":
    main()
