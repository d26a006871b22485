"""How fast marks of provenance are put in and found, on one core: text detection in tokens a second, images in images a second.

KGW with a large vocabulary also runs in two processes, half of the texts each, as an audit on two cores works: by the clock and by the
processor time of the slower one, which other programs change less. All texts are tested at once, as evaluators do; a text at a time, a token
that returns in a later text is asked again.

python benchmarks/marks.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier

import numpy as np

from audit.marks.image.blocks import resized
from audit.marks.image.catalogue import IMAGE_MARKS
from audit.marks.text.catalogue import TEXT_MARKS
from audit.marks.text.detection import TextMark

TOKENS, LENGTH, IMAGES, SIDE = 200_000, 400, 128, 256


def timed(work: Callable[[], object]) -> float:
    """Return the processor time of a piece of work in seconds, the better of two: other programs change little in it."""
    times = []
    for _ in range(2):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def words(vocabulary: int) -> list[np.ndarray]:
    """Return texts whose tokens are as unequally frequent as words are."""
    tokens = np.random.default_rng(0).zipf(1.3, TOKENS) % vocabulary
    return [tokens[i : i + LENGTH] for i in range(0, TOKENS, LENGTH)]


def first_time(mark: TextMark, texts: list[list[np.ndarray]], size: int) -> float:
    """Return the processor time of tests of texts, ``size`` of them at once, by a key that was never asked, in seconds."""
    mark.rekeyed(8).detect(texts[0])  # scipy is loaded
    begun = time.process_time()
    for start in range(0, len(texts), size):
        mark.detect_each(texts[start : start + size])
    return time.process_time() - begun


def half(part: int, vocabulary: int, start: Barrier, spent: object) -> None:
    """Detect KGW in every second text; times are put into a queue."""
    mark = TEXT_MARKS["kgw"](7, vocabulary)
    TEXT_MARKS["kgw"](8, vocabulary).detect(words(vocabulary)[:1])  # scipy is loaded
    texts = words(vocabulary)[part::2]
    start.wait()
    begun, clock = time.process_time(), time.perf_counter()
    mark.detect_each([[text] for text in texts])
    spent.put((time.process_time() - begun, time.perf_counter() - clock))  # type: ignore[attr-defined]


def in_two_processes(vocabulary: int) -> tuple[float, float]:
    """Return the processor time and the time by the clock of the slower of two processes, in seconds."""
    context = get_context("spawn")
    start, spent = context.Barrier(2), context.Queue()
    processes = [context.Process(target=half, args=(i, vocabulary, start, spent)) for i in range(2)]
    for process in processes:
        process.start()
    times = [spent.get() for _ in processes]
    for process in processes:
        process.join()
    processor, clock = zip(*times, strict=True)
    return max(processor), max(clock)


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    rng = np.random.default_rng(0)
    for vocabulary in (2048, 50257):
        texts = [[text] for text in words(vocabulary)]
        for name, make in TEXT_MARKS.items():
            first, one_by_one = (first_time(make(7, vocabulary), texts, size) for size in (len(texts), 1))
            mark = make(7, vocabulary)
            mark.detect_each(texts)
            again = timed(lambda mark=mark, texts=texts: mark.detect_each(texts))  # type: ignore[misc]
            print(
                f"{name:9} V={vocabulary:6,} {TOKENS / first:12,.0f} tokens/s, a text at a time {TOKENS / one_by_one:12,.0f}, "
                f"what was asked before {TOKENS / again:12,.0f}"
            )
    processor, clock = in_two_processes(50257)
    print(
        f"kgw       V=50,257 in two processes: {TOKENS / processor:,.0f} tokens/s by processor time, {TOKENS / clock:,.0f} by the clock"
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
