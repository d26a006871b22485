"""Time and memory of holding samples against every training image, shard by shard as the engine does.

    python benchmarks/copies.py [--samples 5000] [--train 60000] [--dimensions 1280] [--k 20] [--threads 2]

Gaussian features in float32, kept on disk in shards of 1,000 rows; one in a hundred samples is a training row with a little
noise. The neighbours of each sample are exact, and checked against brute force for some of them. Mirrored samples, and the
holdout that says what is close, cost the same again for as many rows.
"""

from __future__ import annotations

import argparse
import platform
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from audit.recipes.neighbours import in_blocks
from audit.stats.copying import closeness, returned
from audit.stats.neighbours import Nearest

SHARD = 1000


class OnDisk(Sequence[Any]):
    """Shards of features in a folder, read one at a time."""

    def __init__(self, folder: Path, shards: int) -> None:
        self.folder, self.shards = folder, shards

    def __len__(self) -> int:
        return self.shards

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < self.shards:
            raise IndexError(place)
        return np.load(self.folder / f"{place}.npy")

    @classmethod
    def written(cls, folder: Path, parts: Iterator[np.ndarray]) -> OnDisk:
        folder.mkdir()
        count = 0
        for part in parts:
            np.save(folder / f"{count}.npy", part)
            count += 1
        return cls(folder, count)


def gaussian(rows: int, dimensions: int, seed: int) -> Iterator[np.ndarray]:
    for start in range(0, rows, SHARD):
        rng = np.random.default_rng((seed, start))
        yield rng.standard_normal((min(SHARD, rows - start), dimensions), dtype=np.float32)


def planted(samples: Iterator[np.ndarray], train: OnDisk) -> Iterator[np.ndarray]:
    for place, part in enumerate(samples):
        part[::100] = train[place % len(train)][: len(part[::100])] + 0.01 * part[::100]
        yield part


def neighbours(samples: OnDisk, train: OnDisk, k: int) -> Nearest:
    """Do what the recipe ``Neighbours`` does for every shard of the samples."""
    found = []
    for rows in samples:
        nearest = Nearest(np.full((len(rows), k), np.inf), np.full((len(rows), k), -1, np.int64))
        for start, block in in_blocks(train):
            nearest = nearest.closer(Nearest.among(rows, block, k, offset=start))
        found.append(nearest)
    return Nearest(np.concatenate([n.distances for n in found]), np.concatenate([n.indices for n in found]))


def check(found: Nearest, samples: OnDisk, train: OnDisk, rows: int) -> float:
    """Return by how much the first distances differ from brute force in double precision, at most."""
    asked = samples[0][:rows].astype(np.float64)
    everything = np.concatenate(
        [np.linalg.norm(asked[:, None] - part[None].astype(np.float64), axis=2) for part in train], axis=1
    )
    brute = np.sort(everything, axis=1)[:, : found.distances.shape[1]]
    return float(np.abs(brute - found.distances[:rows]).max())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, value in (
        ("samples", 5000),
        ("train", 60_000),
        ("dimensions", 1280),
        ("k", 20),
        ("threads", 2),
    ):
        options.add_argument(f"--{name}", type=int, default=value)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=given.threads):
        train = OnDisk.written(Path(folder, "train"), gaussian(given.train, given.dimensions, 0))
        drawn = planted(gaussian(given.samples, given.dimensions, 1), train)
        samples = OnDisk.written(Path(folder, "samples"), drawn)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        began, used = time.perf_counter(), time.process_time()
        found = neighbours(samples, train, given.k)
        wall, cpu = time.perf_counter() - began, time.process_time() - used
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        came = returned(closeness(found), found.indices[:, 0], np.full(20_000, 0.9))
        off = check(found, samples, train, 3)
    whole = given.train * given.dimensions * 4 // 2**20
    print(
        f"{platform.machine()}, {given.threads} threads: {given.samples} samples against {given.train} of {given.dimensions}"
    )
    print(f"{wall:.1f} s of wall time, {cpu:.1f} s of processor time")
    print(f"peak memory {before} MB before, {after} MB after; all training features are {whole} MB")
    print(
        f"{came.samples} of {-(-given.samples // 100)} planted copies found; largest difference from brute force {off:.1e}"
    )


if __name__ == "__main__":
    main()
