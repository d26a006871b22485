"""How fast marks of provenance are put in and found, on one core: text detection in tokens a second, images in images a second.

python benchmarks/marks.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from audit.marks.image.blocks import resized
from audit.marks.image.catalogue import IMAGE_MARKS
from audit.marks.text.catalogue import TEXT_MARKS

TOKENS, LENGTH, IMAGES, SIDE = 200_000, 400, 128, 256


def timed(work: Callable[[], object]) -> float:
    """Return the processor time of a piece of work in seconds, the better of two: other programs change little in it."""
    times = []
    for _ in range(2):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    rng = np.random.default_rng(0)
    for vocabulary in (2048, 50257):
        tokens = rng.zipf(1.3, TOKENS) % vocabulary
        texts = [tokens[i : i + LENGTH] for i in range(0, TOKENS, LENGTH)]
        for name, make in TEXT_MARKS.items():
            mark = make(7, vocabulary)
            begun = time.process_time()
            for text in texts:
                mark.detect([text])
            first = time.process_time() - begun
            again = timed(lambda mark=mark, texts=texts: [mark.detect([text]) for text in texts])  # type: ignore[misc]
            print(
                f"{name:9} V={vocabulary:6,} {TOKENS / first:12,.0f} tokens/s, keys seen before {TOKENS / again:12,.0f}"
            )
    images = resized(rng.integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8), SIDE)
    for name, made in IMAGE_MARKS.items():
        mark = made(7, SIDE)
        marked = mark.embed(images)
        both = timed(lambda mark=mark: mark.detect(mark.embed(images)))  # type: ignore[misc]
        alone = timed(lambda mark=mark, marked=marked: mark.detect(marked))  # type: ignore[misc]
        print(
            f"{name:15} {SIDE}² {IMAGES / both:8,.0f} images/s embedded and detected, {IMAGES / alone:8,.0f} detected"
        )


if __name__ == "__main__":
    main()
