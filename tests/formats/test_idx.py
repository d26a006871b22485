"""The idx reader takes what numpy and the struct of the format say, and believes no header."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from audit.formats.hostile import UnreadableError
from audit.formats.idx import read_idx

MOST = 1_000_000


def written(path: Path, array: np.ndarray, *, packed: bool = False) -> Path:
    data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [(7,), (3, 5, 4), (0, 28, 28), (0,)])
def test_what_was_written_is_read(tmp_path: Path, shape: tuple[int, ...], packed: bool) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = read_idx(written(tmp_path / "a", array, packed=packed), len(shape), MOST)
    np.testing.assert_array_equal(found, array)
    assert found.dtype == np.uint8


GOOD = struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4) + bytes(24)
PACKED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "begins with nothing"),
        (b"\x00\x00\x08", "begins with 000008"),
        (b"\x00\x00\x0d\x03" + GOOD[4:], "begins with 00000d03.*000008 *03"),  # 32-bit floats
        (b"\x00\x00\x08\x01" + GOOD[4:], "begins with 00000801"),
        (b"\x89PNG" + bytes(100), "begins with 89504e47"),
        (GOOD[:9], "ends in its header"),
        (GOOD[:-1], "promises 24 values and 23 are there"),
        (GOOD[:16], "promises 24 values and 0 are there"),
        (GOOD + b"x", "promises 24 values and more follow"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 28, 28), "promises 3,367,254,359,280 values, the limit"),
        (PACKED[:-9], "gzip packing is damaged"),
        (PACKED[:-8] + bytes(8), "gzip packing is damaged"),
        (PACKED[:10] + b"\xff" * 40, "gzip packing is damaged"),
        (gzip.compress(GOOD + b"x", mtime=0), "more follow"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_none_is_refused_with_a_reason(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(UnreadableError, match=said):
        read_idx(tmp_path / "a", 3, MOST)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="does not exist"):
        read_idx(tmp_path / "a", 1, MOST)


def test_a_small_file_cannot_fill_the_memory(tmp_path: Path) -> None:
    bomb = gzip.compress(GOOD + bytes(300_000_000), 1)
    (tmp_path / "bomb").write_bytes(bomb)
    (tmp_path / "boast").write_bytes(struct.pack(">HBB1I", 0, 8, 1, MOST))
    tracemalloc.start()
    for name, axes, said in (("bomb", 3, "more follow"), ("boast", 1, "0 are there")):
        with pytest.raises(UnreadableError, match=said):
            read_idx(tmp_path / name, axes, MOST)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
