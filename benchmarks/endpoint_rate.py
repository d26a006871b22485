"""Requests a second of a llama.cpp server through the adapter `endpoint`, with one request at once and with four.

    python benchmarks/endpoint_rate.py model.gguf --requests 24 --tokens 16

Needs `pip install xllamacpp`. Both settings take turns on one server, each three times, after a round that is not counted.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time

import numpy as np

from audit.core.errors import InputError
from audit.models.endpoint import Endpoint

SERVE = """
import sys, threading, xllamacpp
settings = xllamacpp.CommonParams()
settings.model.path, settings.port, settings.hostnames = sys.argv[1], int(sys.argv[2]), ["127.0.0.1"]
settings.n_parallel, settings.n_ctx = 4, 4096
server = xllamacpp.Server(settings)
threading.Event().wait()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--requests", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=16)
    asked = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, asked.model, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        models = {n: opened(port, n, asked.tokens) for n in (1, 4)}
        rates: dict[int, list[float]] = {1: [], 4: []}
        for round_ in range(4):
            for n, model in models.items():
                began = time.perf_counter()
                rows = model.sample(asked.requests, np.random.default_rng(round_))
                spent = time.perf_counter() - began
                tokens = sum(rows.column("reply_tokens").to_pylist())
                if round_:
                    rates[n].append(asked.requests / spent)
                    print(
                        f"concurrency {n}: {asked.requests / spent:.2f} requests/s, {tokens / spent:.1f} tokens/s"
                    )
        print(
            "load of the machine:",
            " ".join(f"{load:.1f}" for load in os.getloadavg()),
            f"on {os.cpu_count()} cores",
        )
        for n, found in rates.items():
            print(f"concurrency {n}: median {statistics.median(found):.2f} requests/s")
    finally:
        server.terminate()
        server.wait()


def opened(port: int, concurrency: int, tokens: int) -> Endpoint:
    """Return the model once the server answers."""
    options = {
        "url": f"http://127.0.0.1:{port}/v1",
        "prompts": ["The city of Paris is", "Water boils when"],
        "max_new_tokens": tokens,
        "concurrency": concurrency,
        "retries": 20,
    }
    for _ in range(120):
        try:
            return Endpoint.open(Endpoint.refer(dict(options)), "cpu")
        except InputError:
            time.sleep(1)
    raise SystemExit("the server does not answer")


if __name__ == "__main__":
    main()
