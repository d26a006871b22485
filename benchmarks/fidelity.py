"""Time and memory of precision, recall, density and coverage, beside the package ``prdc``, each in a process of its own.

    python benchmarks/fidelity.py [--rows 5000] [--dimensions 768] [--rounds 2] [--threads 1]

The same Gaussian features in float32 for both. prdc gives four values; ours also the two clipped forms, and in
the second line intervals over 40 random halvings.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys

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


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--rows", type=int, default=5000)
    options.add_argument("--dimensions", type=int, default=768)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    print(
        f"{platform.machine()}, {given.rows} rows a side, {given.dimensions} columns, {given.threads} threads"
    )
    figures = [str(v) for v in (given.rows, given.dimensions, given.rounds, given.threads)]
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
