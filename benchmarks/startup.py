"""How long a command takes before it does anything: ``audit --help`` and ``audit plan``, beside a bare interpreter.

    python benchmarks/startup.py

Goals: help under 0.4 s, plan of the demo under 1.5 s, torch loaded by neither.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "audit --help": ["-m", "audit", "--help"],
    "audit plan examples/digits.toml": ["-m", "audit", "plan", str(ROOT / "examples" / "digits.toml")],
}
ROUNDS = 9


def seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            taken[name].append(seconds(arguments))
    for name, times in taken.items():
        print(
            f"{name:34} median {statistics.median(times):.3f} s   min {min(times):.3f}   max {max(times):.3f}"
        )
    modules = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMANDS["audit plan examples/digits.toml"]],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    loaded = any(line.rsplit("|", 1)[-1].strip() == "torch" for line in modules.splitlines())
    print(f"torch loaded by plan: {'yes' if loaded else 'no'}")


if __name__ == "__main__":
    main()
