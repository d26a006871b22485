"""Peak memory of a run with 1,000 and with 50,000 generated digits.

    python benchmarks/memory.py

Each run is a process of its own with the inline executor, so its peak is the
peak of driver and worker together. Goal: it does not grow with the number of
samples beyond one shard and the summaries.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPEC = """
name = "memory"
samples = {samples}
[model]
use = "digits-vae"
[data]
use = "digits"
[[evaluators]]
name = "quality.frechet"
[[evaluators]]
name = "quality.kid"
[run]
executor = "inline"
"""


def peak(samples: int) -> tuple[float, float]:
    """Return the peak resident memory of a run in megabytes, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "spec.toml"
        spec.write_text(SPEC.format(samples=samples))
        command = [sys.executable, "-m", "audit", "run", str(spec), "--store", f"{folder}/store"]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code not in (0, 1, 3):
            raise SystemExit(f"the run with {samples} samples ended with {code}")
        return usage.ru_maxrss / 1024, time.perf_counter() - began


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    found = {}
    for samples in (1_000, 5_000, 50_000):
        found[samples], seconds = peak(samples)
        print(f"{samples:7,} samples: peak {found[samples]:7.0f} MB, {seconds:6.1f} s")
    print(f"50,000 against 1,000: {found[50_000] / found[1_000]:.2f} times the memory")


if __name__ == "__main__":
    main()
