"""Folders of images: good ones become rows, hostile ones are left out, counted and listed."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.core.errors import InputError
from audit.core.rows import images_of
from audit.data.images import ImageFolder

RNG = np.random.default_rng(0)


def save(path: Path, size: tuple[int, int] = (12, 12), mode: str = "RGB") -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"RGB": (3,), "L": (), "RGBA": (4,)}[mode]
    pixels = RNG.integers(0, 256, (*size[::-1], *channels), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def folder(path: Path, count: int = 40) -> Path:
    for number in range(count):
        save(path / f"{number:03d}.png")
    return path


def bomb(path: Path, side: int) -> None:
    """Write a PNG whose header claims side × side pixels and whose body is empty."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def same_images(found: np.ndarray, wanted: list[np.ndarray]) -> bool:
    """Whether two sets of images are equal, in whichever order."""
    return sorted(image.tobytes() for image in found) == sorted(image.tobytes() for image in wanted)


def test_images_of_all_subfolders_come_back_without_their_names(tmp_path: Path) -> None:
    wanted = [save(tmp_path / "b.png"), save(tmp_path / "a" / "z.png")]
    ref = ImageFolder.refer({"path": str(tmp_path)})
    card = ImageFolder.describe(ref)
    assert card.splits == (("holdout", 2),)
    assert not card.randomised
    rows = ImageFolder.load(ref, "holdout")
    assert same_images(images_of(rows), wanted)
    assert rows.column_names == ["image"]


@pytest.mark.parametrize("ending", ["bmp", "tif", "gif"])
def test_rows_depend_on_neither_names_nor_containers(tmp_path: Path, ending: str) -> None:
    """The same pixels in another format, under names in another order, are the same data in the same order."""
    one, other = tmp_path / "one", tmp_path / "other"
    other.mkdir()
    for number in range(30):
        pixels = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
        one.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(one / f"{number:02d}.png")
        Image.fromarray(pixels).save(other / f"x{29 - number:02d}.{ending}")
    first, second = (ImageFolder.refer({"path": str(place)}) for place in (one, other))
    assert first == second
    pixels, again = (images_of(ImageFolder.load(ref, "holdout")) for ref in (first, second))
    np.testing.assert_array_equal(pixels, again)
    names = [int(path.stem) for path in sorted(one.iterdir())]
    assert names == list(range(30))
    order = [
        int(np.flatnonzero((pixels == np.asarray(Image.open(path).convert("RGB"))).all((1, 2, 3)))[0])
        for path in sorted(one.iterdir())
    ]
    assert order != sorted(order)  # so the first rows are no sample of one end of the names


def test_identity_is_content_and_not_place(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", 3)
    (tmp_path / "two").mkdir()
    for file in one.iterdir():
        (tmp_path / "two" / file.name).write_bytes(file.read_bytes())
    first, second = (ImageFolder.refer({"path": str(tmp_path / name)}) for name in ("one", "two"))
    assert first == second
    assert ImageFolder.refer({"path": str(one), "mode": "L"}).content != first.content
    save(one / "000.png")
    assert ImageFolder.refer({"path": str(one)}) != first
    with pytest.raises(InputError, match="have changed"):
        ImageFolder.load(first, "holdout")


def test_bad_files_among_good_ones_are_counted_and_listed(tmp_path: Path) -> None:
    folder(tmp_path, 80)
    (tmp_path / "text.png").write_text("not an image")
    whole = (tmp_path / "000.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    bomb(tmp_path / "bomb\x1b[31m.png", 8_000)
    (tmp_path / "out.png").symlink_to("/etc/passwd")
    (tmp_path / ".hidden").write_text("passed over")
    ref = ImageFolder.refer({"path": str(tmp_path)})
    card = ImageFolder.describe(ref)
    assert card.splits == (("holdout", 80),)
    problem, beside = card.problems
    assert beside == f"1 other file was found in {tmp_path} and not read: .hidden."
    assert "4 of 84 images" in problem
    assert "text.png (not an image)" in problem
    assert "cut.png (corrupt" in problem
    assert "64,000,000 pixels, the limit is 50,000,000" in problem
    assert "out.png (a link that leads out of the folder)" in problem
    assert "\x1b" not in problem
    assert ImageFolder.load(ref, "holdout").num_rows == 80


def test_a_bomb_over_pillows_own_limit_is_refused_too(tmp_path: Path) -> None:
    folder(tmp_path, 40)
    bomb(tmp_path / "bomb.png", 60_000)
    (problem,) = ImageFolder.describe(ImageFolder.refer({"path": str(tmp_path)})).problems
    assert "too many pixels, the limit is 50,000,000" in problem


def test_over_five_percent_bad_is_an_error(tmp_path: Path) -> None:
    folder(tmp_path, 10)
    (tmp_path / "x.png").write_text("no")
    with pytest.raises(InputError, match=r"1 of 11 images .* More than 5% is too many"):
        ImageFolder.refer({"path": str(tmp_path)})


def test_pipes_and_linked_folders_do_not_hang_or_leak(tmp_path: Path) -> None:
    inside = folder(tmp_path / "images", 60)
    save(tmp_path / "secret" / "s.png")
    (inside / "away").symlink_to(tmp_path / "secret")
    os.mkfifo(inside / "pipe.png")
    (problem,) = ImageFolder.describe(ImageFolder.refer({"path": str(inside)})).problems
    assert "2 of 62" in problem
    assert "away (a link that leads out of the folder)" in problem
    assert "pipe.png (a named pipe)" in problem


def test_an_empty_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        ImageFolder.refer({"path": str(tmp_path)})
    save(tmp_path / "a.png")
    with pytest.raises(InputError, match="is not a folder"):
        ImageFolder.refer({"path": str(tmp_path / "a.png")})
    with pytest.raises(InputError, match="does not exist"):
        ImageFolder.refer({"path": str(tmp_path / "none")})


def test_mixed_sizes_need_a_size(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (12, 12))
    save(tmp_path / "b.png", (16, 20))
    with pytest.raises(
        InputError,
        match=r"2 different sizes: (12×12|16×20) \(1\), .* \(1\)\. Add size = (12|16) to \[data\] to make",
    ):
        ImageFolder.refer({"path": str(tmp_path)})
    ref = ImageFolder.refer({"path": str(tmp_path), "size": 8, "mode": "L"})
    assert images_of(ImageFolder.load(ref, "holdout")).shape == (2, 8, 8, 1)


def test_resizing_averages_and_transparency_lies_on_white(tmp_path: Path) -> None:
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 255
    Image.fromarray(checks.astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((64, 64, 4), np.uint8)).save(tmp_path / "b.png")
    deep = np.full((64, 64), 0x8000, np.uint16)
    Image.fromarray(deep).save(tmp_path / "c.png")
    rows = ImageFolder.load(ImageFolder.refer({"path": str(tmp_path), "size": 8}), "holdout")
    a, b, c = sorted(
        images_of(rows).astype(int), key=lambda image: (image == 255).all() + 2 * (image == 0x80).all()
    )
    assert abs(a[1:-1, 1:-1] - 127.5).max() <= 8  # without antialiasing these would be 0 or 255
    assert (b == 255).all()
    assert (c == 0x80).all()


def test_near_duplicates_across_splits_are_reported(tmp_path: Path) -> None:
    folder(tmp_path / "train", 30)
    folder(tmp_path / "holdout", 30)
    (tmp_path / "holdout" / "copy.png").write_bytes((tmp_path / "train" / "004.png").read_bytes())
    smooth = np.linspace(0, 200, 12)[:, None, None] + np.zeros((12, 12, 3))
    Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / "train" / "s.png")
    Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / "holdout" / "t.jpg", quality=75)
    options = {"train": str(tmp_path / "train"), "holdout": str(tmp_path / "holdout")}
    card = ImageFolder.describe(ImageFolder.refer({**options, "randomised": True}))
    assert card.splits == (("train", 31), ("holdout", 32))
    assert card.randomised
    (problem,) = card.problems
    assert "2 of 32 rows of 'holdout' nearly equal a row of 'train' (1 of them exactly)" in problem


def test_splits_must_be_disjoint_places(tmp_path: Path) -> None:
    folder(tmp_path / "train", 2)
    with pytest.raises(InputError, match="overlap"):
        ImageFolder.refer({"train": str(tmp_path / "train"), "holdout": str(tmp_path)})
    with pytest.raises(InputError, match="'path' beside"):
        ImageFolder.refer({"train": str(tmp_path / "train"), "path": str(tmp_path)})
    with pytest.raises(InputError, match="needs a place"):
        ImageFolder.refer({})
    with pytest.raises(InputError, match="speaks of two splits"):
        ImageFolder.refer({"path": str(tmp_path / "train"), "randomised": True})


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_groups_come_from_the_metadata(tmp_path: Path, kind: str) -> None:
    folder(tmp_path, 3)
    file = tmp_path / f"groups.{kind}"
    if kind == "csv":
        file.write_text("file,age,tone\n000.png,old,1\n002.png,young,2\n")
    else:
        file.write_text(
            '{"file":"000.png","age":"old","tone":1}\n{"file":"002.png","age":"young","tone":2}\n'
        )
    options = {"path": str(tmp_path), "metadata": str(file)}
    ref = ImageFolder.refer(options)
    card = ImageFolder.describe(ref)
    assert card.groups == ("age", "tone")
    assert card.problems == (f"1 of 3 images have no entry in groups.{kind}.",)
    rows = ImageFolder.load(ref, "holdout")
    found = {
        image.tobytes(): (age, tone)
        for image, age, tone in zip(
            images_of(rows), rows.column("age").to_pylist(), rows.column("tone").to_pylist(), strict=True
        )
    }
    by_name = [found[np.asarray(Image.open(tmp_path / f"{n:03d}.png")).tobytes()] for n in range(3)]
    assert by_name == [("old", "1"), (None, None), ("young", "2")]
    assert ImageFolder.describe(ImageFolder.refer({**options, "groups": "tone"})).groups == ("tone",)
    with pytest.raises(InputError, match="Did you mean 'tone'"):
        ImageFolder.refer({**options, "groups": "tune"})
