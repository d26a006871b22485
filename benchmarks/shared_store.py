"""What a shared store costs: seconds to put and to get a blob, in a folder, in a shared folder and in a bucket.

    python benchmarks/shared_store.py
    python benchmarks/shared_store.py --sizes 10000 1000000 --rounds 50

One run measures all of them in turns, so that what else the machine does hits
them alike, and prints medians and their ratios to the local folder. The server is SeaweedFS on
this machine: a real network adds its round trips, three for a put and one for a get. ``one PUT`` sends a
blob straight to its name, which a store does not do: the difference is what
the temporary name costs. Needs the extras ``dev`` and ``shared``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from audit.core.identity import Digest, digest_of
from audit.store.blobs import FileBlobs
from audit.store.cache import BlobCache
from audit.store.objects import ObjectBlobs
from audit.store.shared import SharedBlobs
from tests.s3_server import BUCKET, S3Server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where the folders and the server's files lie")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="s3") as name:
        server = S3Server(Path(name) / "server")
        server.folder.mkdir()
        server.start()
        os.environ.update(server.environment())
        try:
            found = {size: measured(Path(name), size, options.rounds) for size in options.sizes}
        finally:
            server.stop()
    for size, rows in found.items():
        print(f"\n{size:,} bytes, median of {options.rounds}\n")
        print(f"| {'where':<32} | put, ms | × | get, ms | × |\n|---|--:|--:|--:|--:|")
        base = rows["local folder"]
        for where, (put, get) in rows.items():
            both = (
                f"{1e3 * seconds:.2f} | {seconds / b:.1f}"
                for seconds, b in zip((put, get), base, strict=True)
            )
            print(f"| {where:<32} | {' | '.join(both)} |")
    print("\n" + json.dumps({str(size): rows for size, rows in found.items()}))


def measured(folder: Path, size: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median seconds to put and to get a blob of ``size`` bytes, by place."""
    cache = BlobCache(folder / f"cache{size}", 10**10)
    bucket = ObjectBlobs(f"s3://{BUCKET}/{size}")
    shared = folder / f"shared{size}"
    places: dict[str, tuple[Callable[[bytes], Digest], Callable[[Digest], bytes]]] = {}
    for where, blobs in {
        "local folder": FileBlobs(folder / f"local{size}"),
        "file://, no cache": SharedBlobs(FileBlobs(shared / "a"), None),
        "file://, cache": SharedBlobs(FileBlobs(shared / "b"), cache),
        "s3://, no cache": SharedBlobs(bucket, None),
        "s3://, cache": SharedBlobs(ObjectBlobs(f"s3://{BUCKET}/cached{size}"), cache),
    }.items():
        places[where] = (blobs.put, blobs.get)
    places["one PUT"] = (one_put(bucket), bucket.get)
    seconds: dict[str, tuple[list[float], list[float]]] = {where: ([], []) for where in places}
    for number in range(rounds + 1):
        for where, (put, get) in places.items():
            data = os.urandom(size)
            began = time.perf_counter()
            digest = put(data)
            between = time.perf_counter()
            assert get(digest) == data
            ended = time.perf_counter()
            if number:  # the first opens connections and makes folders
                seconds[where][0].append(between - began)
                seconds[where][1].append(ended - between)
    return {
        where: (statistics.median(puts), statistics.median(gets)) for where, (puts, gets) in seconds.items()
    }


def one_put(bucket: ObjectBlobs) -> Callable[[bytes], Digest]:
    """Return what sends a blob straight to its name."""
    import obstore

    def put(data: bytes) -> Digest:
        digest = digest_of(data)
        key = bucket.path(digest).removeprefix(f"{bucket.root}/")
        obstore.put(bucket._store, key, data, use_multipart=False)
        return digest

    return put


if __name__ == "__main__":
    main()
