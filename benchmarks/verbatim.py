"""How fast texts are searched for in training texts: python benchmarks/verbatim.py [--megabytes 50]

Indexes paragraphs of the world 'biographies' (made once, then repeated with another name each time) and looks up 1,000 others.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from audit.data.worlds.biographies.world import example
from audit.stats.suffixes import Corpus


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=50.0, help="size of the training texts")
    size = parser.parse_args().megabytes
    texts = [example(0, index, 0.5)[0].encode() for index in range(4000)]
    sought, kept = texts[:1000], texts[1000:]
    rng = np.random.default_rng(0)
    documents: list[bytes] = []
    total = 0
    while total < size * 1e6:
        text = kept[int(rng.integers(len(kept)))]
        at = int(rng.integers(len(text)))
        documents.append(text[:at] + rng.integers(97, 123, 8).astype(np.uint8).tobytes() + text[at:])
        total += len(documents[-1])
    began = time.perf_counter(), time.process_time()
    corpus = Corpus.of(documents)
    indexed = time.perf_counter(), time.process_time()
    found = corpus.longest(sought)
    done = time.perf_counter(), time.process_time()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"indexed {total / 1e6:.0f} MB in {indexed[0] - began[0]:.1f} s ({indexed[1] - began[1]:.1f} s of a core)"
    )
    print(
        f"searched {len(sought)} texts in {done[0] - indexed[0]:.1f} s ({done[1] - indexed[1]:.1f} s of a core)"
    )
    print(f"median longest match {np.median(found.length):.0f} bytes; peak memory {memory:.2f} GB")


if __name__ == "__main__":
    main()
