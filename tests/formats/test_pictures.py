"""Picture files of every kind: the pixels that a person sees, or the true reason why there are none."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from audit.core.data_facts import differences
from audit.core.errors import InputError
from audit.formats.folders import listing
from audit.formats.hostile import Mark, Refused, UnreadableError, tolerate
from audit.formats.images import ImageRules, looks, pictures, read_image, read_picture

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: np.rot90(a, -1),
}
"""What a camera that wrote each orientation did to the picture (EXIF 2.32, tag 274)."""


def saved(path: Path, pixels: np.ndarray | Image.Image, **options: Any) -> Path:
    image = Image.fromarray(np.ascontiguousarray(pixels)) if isinstance(pixels, np.ndarray) else pixels
    image.save(path, **options)
    return path


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(path: Path, *extra: bytes, last: bool = False) -> Path:
    """Write a PNG of ``COLOUR`` with further chunks before or after its pixels."""
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, "PNG")
    whole = file.getvalue()
    at = whole.index(b"IEND") - 4 if last else whole.index(b"IDAT") - 4
    path.write_bytes(whole[:at] + b"".join(extra) + whole[at:])
    return path


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("png", {}),
        ("tif", {}),
        ("tif", {"compression": "tiff_lzw"}),
        ("webp", {"lossless": True}),
        ("avif", {"quality": 100, "subsampling": "4:4:4"}),
        ("jpg", {"quality": 100, "subsampling": 0}),
    ],
)
def test_every_orientation_is_undone(
    tmp_path: Path, orientation: int, ending: str, options: dict[str, Any]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = np.add.outer(np.arange(24) * 4, np.arange(40) * 3)[..., None] + np.array([0, 20, 40])
    picture = smooth.astype(np.uint8)
    path = saved(tmp_path / f"a.{ending}", TURNS[orientation](picture), exif=exif, **options)
    found = read_image(path, ImageRules())
    assert found.shape == picture.shape
    assert abs(found.astype(int) - picture).mean() < 4  # turned wrongly it would be tens of levels


@pytest.mark.parametrize("orientation", [0, 9, 60_000])
def test_an_orientation_without_meaning_counts_as_none(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(
        read_image(saved(tmp_path / "a.png", COLOUR, exif=exif), ImageRules()), COLOUR
    )


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0",
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\x7f\x01\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0\0\0\0\0",  # the orientation is a word
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x03" * 9,
        b"Exif\0\0PNG?",
    ],
)
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "avif"])
def test_exif_that_cannot_be_read_counts_as_none(tmp_path: Path, exif: bytes, ending: str) -> None:
    options = {"quality": 95} if ending in ("jpg", "avif") else {"lossless": True} if ending == "webp" else {}
    plain = read_image(saved(tmp_path / f"a.{ending}", COLOUR, **options), ImageRules())
    try:
        saved(tmp_path / f"b.{ending}", COLOUR, exif=exif, **options)
    except Exception:  # Pillow itself reads the orientation when it writes AVIF
        pytest.skip("cannot be written")
    np.testing.assert_array_equal(read_image(tmp_path / f"b.{ending}", ImageRules()), plain)


def test_texts_of_a_png_are_no_part_of_the_picture(tmp_path: Path) -> None:
    for place, last in (("a", False), ("b", True)):
        info = PngInfo()
        info.add_text("workflow", "x" * 3_000_000, zip=True)
        texts = b"".join(chunk(kind, data) for kind, data, *_ in info.chunks)
        bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(b"\0" * 90_000_000)) * 2
        broken = chunk(b"tEXt", b"no separator") + chunk(b"zTXt", b"k\0\0nonsense") + chunk(b"iTXt", b"")
        wrong = (
            chunk(b"tEXt", b"k\0v")[:-1]
            + b"?"
            + chunk(b"pHYs", b"x")
            + chunk(b"iCCP", b"p\0\0bad")
            + chunk(b"tIME", b"")
        )
        path = png_with(tmp_path / f"{place}.png", texts, bomb, broken, wrong, last=last)
        np.testing.assert_array_equal(read_image(path, ImageRules()), COLOUR)


def test_orientation_in_a_text_of_a_png_is_undone(tmp_path: Path) -> None:
    xmp = '<x:xmpmeta><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    for packed in (False, True):
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp, zip=packed)
        path = saved(tmp_path / "a.png", COLOUR[::-1, ::-1], pnginfo=info)
        np.testing.assert_array_equal(read_image(path, ImageRules()), COLOUR)
    exif = Image.Exif()
    exif[0x0112] = 3
    raw = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    profile = f"\nexif\n{len(raw):>8}\n{raw.hex()}\n"
    for packed in (False, True):
        info = PngInfo()
        info.add_text("Raw profile type exif", profile, zip=packed)
        path = saved(tmp_path / "b.png", COLOUR[::-1, ::-1], pnginfo=info)
        np.testing.assert_array_equal(read_image(path, ImageRules()), COLOUR)


def interlaced(path: Path) -> Path:
    """Write ``GREY`` as a PNG of seven passes (Adam7; PNG specification, third edition, 8.1)."""
    passes = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )
    lines = [
        b"\0" + row.tobytes()
        for top, left, down, across in passes
        for row in GREY[top::down, left::across]
        if row.size
    ]
    header = struct.pack(">IIBBBBB", GREY.shape[1], GREY.shape[0], 8, 0, 0, 0, 1)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"".join(lines)))
        + chunk(b"IEND", b"")
    )
    return path


def on_white(pixels: np.ndarray) -> np.ndarray:
    alpha = pixels[..., 3:].astype(float) / 255
    return np.rint(pixels[..., :3] * alpha + 255 * (1 - alpha))


def kinds(folder: Path) -> dict[str, tuple[Path, np.ndarray, float]]:
    """Return files of many kinds, what a person sees in each, and how far off a pixel may be."""
    folder.mkdir(exist_ok=True)
    alpha = RNG.integers(0, 256, (6, 9, 4), dtype=np.uint8)
    deep = RNG.integers(0, 65536, (6, 9), dtype=np.uint16)
    bits = RNG.integers(0, 2, (6, 9)).astype(bool)
    palette = Image.fromarray(GREY).convert("P")
    holes = palette.copy()
    with_holes = rgb(GREY).copy()
    with_holes[GREY[0, 0] == GREY] = 255
    smooth = np.tile(np.arange(0, 36, 4, dtype=np.uint8)[None, :, None] + 100, (6, 1, 3))
    frames = [Image.fromarray(rgb(GREY)), Image.fromarray(255 - rgb(GREY))]
    first_grey = {"save_all": True, "append_images": frames[1:]}
    return {
        "colour png": (saved(folder / "a.png", COLOUR), COLOUR, 0),
        "colour bmp": (saved(folder / "a.bmp", COLOUR), COLOUR, 0),
        "colour tiff": (saved(folder / "a.tif", COLOUR), COLOUR, 0),
        "packed tiff": (saved(folder / "b.tif", COLOUR, compression="tiff_deflate"), COLOUR, 0),
        "big tiff": (saved(folder / "c.tif", COLOUR, big_tiff=True), COLOUR, 0),
        "colour ppm": (saved(folder / "a.ppm", COLOUR), COLOUR, 0),
        "colour webp": (saved(folder / "a.webp", COLOUR, lossless=True), COLOUR, 0),
        "interlaced png": (interlaced(folder / "i.png"), rgb(GREY), 0),
        "grey png": (saved(folder / "g.png", GREY), rgb(GREY), 0),
        "grey jpeg": (saved(folder / "g.jpg", smooth[..., 0], quality=95), smooth, 3),
        "progressive jpeg": (saved(folder / "p.jpg", smooth, quality=95, progressive=True), smooth, 3),
        "cmyk jpeg": (
            saved(folder / "k.jpg", Image.fromarray(smooth).convert("CMYK"), quality=95),
            smooth,
            3,
        ),
        "mpo": (
            saved(
                folder / "m.mpo",
                Image.fromarray(smooth),
                format="MPO",
                save_all=True,
                append_images=[Image.fromarray(255 - smooth)],
                quality=95,
            ),
            smooth,
            3,
        ),
        "bits png": (saved(folder / "1.png", bits), rgb(bits.astype(np.uint8) * 255), 0),
        "bits tiff": (
            saved(folder / "1.tif", bits, compression="group4"),
            rgb(bits.astype(np.uint8) * 255),
            0,
        ),
        "bits pbm": (saved(folder / "1.pbm", bits), rgb(bits.astype(np.uint8) * 255), 0),
        "deep png": (saved(folder / "16.png", deep), rgb((deep >> 8).astype(np.uint8)), 0),
        "deep tiff": (saved(folder / "16.tif", deep), rgb((deep >> 8).astype(np.uint8)), 0),
        "deep pgm": (saved(folder / "16.pgm", deep), rgb((deep >> 8).astype(np.uint8)), 0),
        "deep png with a hole": (
            saved(folder / "16t.png", np.where(bits, deep, 7).astype(np.uint16), transparency=7),
            rgb(np.where(bits, deep >> 8, 255).astype(np.uint8)),
            0,
        ),
        "alpha png": (saved(folder / "A.png", alpha), on_white(alpha), 1),
        "alpha webp": (saved(folder / "A.webp", alpha, lossless=True, exact=True), on_white(alpha), 1),
        "alpha tiff": (saved(folder / "A.tif", alpha), on_white(alpha), 1),
        "grey and alpha": (
            saved(folder / "LA.png", np.stack([GREY, np.full_like(GREY, 255)], axis=2)),
            rgb(GREY),
            0,
        ),
        "palette gif": (saved(folder / "g.gif", palette), rgb(GREY), 0),
        "palette with a hole, png": (
            saved(folder / "h.png", holes, transparency=int(np.asarray(holes)[0, 0])),
            with_holes,
            0,
        ),
        "palette with a hole, gif": (
            saved(folder / "h.gif", holes, transparency=int(np.asarray(holes)[0, 0])),
            with_holes,
            0,
        ),
        "grey with a hole, png": (saved(folder / "t.png", GREY, transparency=int(GREY[0, 0])), with_holes, 0),
        "moving gif": (saved(folder / "f.gif", frames[0], **first_grey), rgb(GREY), 0),
        "moving png": (saved(folder / "f.png", frames[0], **first_grey), rgb(GREY), 0),
        "moving webp": (saved(folder / "f.webp", frames[0], lossless=True, **first_grey), rgb(GREY), 0),
        "tiff of pages": (saved(folder / "f.tif", frames[0], **first_grey), rgb(GREY), 0),
        "with a profile": (saved(folder / "icc.png", COLOUR, icc_profile=b"\0" * 3_000_000), COLOUR, 0),
    }


def test_every_kind_is_seen_as_a_person_sees_it(tmp_path: Path) -> None:
    for name, (path, wanted, off) in kinds(tmp_path).items():
        found = read_picture(path, ImageRules())
        assert found.pixels.shape == wanted.shape, name
        assert abs(found.pixels.astype(int) - wanted).max() <= off, name
        assert found.look.size == (wanted.shape[1], wanted.shape[0]), name
        assert found.look.grey == bool((wanted == wanted[..., :1]).all()), name
        assert found.look.several == (name.startswith("moving") or "pages" in name), name
        assert not found.look.credentials, name
        assert found.look.transparent == (name.startswith("alpha") or "hole" in name), name


def test_the_same_pixels_of_every_lossless_kind_are_equal(tmp_path: Path) -> None:
    first = read_image(saved(tmp_path / "a.png", COLOUR), ImageRules(size=4, mode="L"))
    for ending in ("bmp", "tif", "ppm"):
        other = read_image(saved(tmp_path / f"a.{ending}", COLOUR), ImageRules(size=4, mode="L"))
        np.testing.assert_array_equal(other, first)


def heic(brand: bytes) -> bytes:
    return b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + b"\0" * 40


UNREAD = {
    "empty.png": (b"", "empty"),
    "text.png": (b"not an image", "not an image"),
    "a.heic": (heic(b"heic"), "HEIC, which is not read here: convert it to PNG"),
    "b.jpg": (heic(b"mif1"), "HEIF, which is not read here"),
    "film.png": (heic(b"isom"), "a film, not an image"),
    "a.jxl": (b"\xff\x0a" + b"\0" * 40, "JPEG XL, which is not read here"),
    "a.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 40, "JPEG 2000, which is not read here"),
    "a.psd": (b"8BPS" + b"\0" * 40, "Photoshop, which is not read here"),
    "a.svg": (
        b'<?xml version="1.0"?>\n<!-- x -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        "SVG, which is not read here",
    ),
    "b.svg": (b"\xef\xbb\xbf<svg/>", "SVG, which is not read here"),
    "a.exr": (b"v/1\x01" + b"\0" * 40, "OpenEXR"),
    "scan.png": (b"%PDF-1.7\n", "a PDF document, not an image"),
    "page.jpg": (b"\n<!DOCTYPE html><html>404</html>", "an HTML page, as a failed download leaves"),
    "pointer.png": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n",
        "a Git LFS pointer in place of the file: run 'git lfs pull'",
    ),
    "archive.png": (b"PK\x03\x04" + b"\0" * 40, "a zip archive: unpack it, not an image"),
    "head.png": (b"\x89PNG\r\n\x1a\n", "corrupt"),
    "head.jpg": (b"\xff\xd8\xff\xe0", "corrupt"),
    "head.tif": (b"II*\0\x08\0\0\0", "corrupt"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_is_no_picture_is_named(tmp_path: Path, name: str) -> None:
    data, said = UNREAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnreadableError) as refusal:
        read_image(tmp_path / name, ImageRules())
    assert said in str(refusal.value)
    refused: list[Refused] = []
    assert list(pictures(listing(tmp_path), ImageRules(), refused)) == []
    assert refused[0].mark is Mark.LEFT_OUT


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.gif", "a.bmp", "a.ppm", "a.avif"])
def test_a_picture_that_is_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = saved(tmp_path / name, noise).read_bytes()
    for share in (0.2, 0.5, 0.9):
        (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UnreadableError, match=r"corrupt"):
            read_image(tmp_path / name, ImageRules())


def test_libtiff_does_not_write_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = bytearray(saved(tmp_path / "a.tif", COLOUR, compression="tiff_lzw").read_bytes())
    rng = np.random.default_rng(4)
    for _ in range(300):
        broken = bytearray(whole)
        for at in rng.integers(8, len(whole), 6):
            broken[at] = rng.integers(256)
        (tmp_path / "a.tif").write_bytes(broken)
        with suppress(UnreadableError):
            read_image(tmp_path / "a.tif", ImageRules())
    os.write(2, b"heard again")
    assert capfd.readouterr().err == "heard again"


def test_pixels_that_no_picture_has_are_named(tmp_path: Path) -> None:
    for name, image in {
        "a.tif": Image.fromarray(np.ones((4, 4), np.float32)),
        "b.tif": Image.fromarray(np.ones((4, 4), np.int32)),
    }.items():
        with pytest.raises(UnreadableError, match="pixels of 32 bits"):
            read_image(saved(tmp_path / name, image), ImageRules())
    lab = Image.fromarray(COLOUR).convert("RGB")
    lab = Image.merge("LAB", lab.split())
    with pytest.raises(UnreadableError, match="colours of the kind LAB"):
        read_image(saved(tmp_path / "c.tif", lab), ImageRules())


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.tif"])
def test_a_broken_second_frame_is_no_harm_to_the_first(tmp_path: Path, name: str) -> None:
    grey = rgb(GREY)
    frames = [Image.fromarray(255 - grey)] * 3
    whole = saved(tmp_path / name, Image.fromarray(grey), save_all=True, append_images=frames).read_bytes()
    alone = saved(tmp_path / f"one{name}", Image.fromarray(grey)).read_bytes()
    seen = 0
    for length in range(len(alone) + 40, len(whole) - 1, 7):
        (tmp_path / name).write_bytes(whole[:length] + b"\x21\x00\x13" * 3)
        try:
            found = read_image(tmp_path / name, ImageRules())
        except UnreadableError:
            continue
        np.testing.assert_array_equal(found, grey)
        seen += 1
    assert seen > 5


def test_a_small_file_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    (tmp_path / "a.png").write_bytes(start + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    with pytest.raises(UnreadableError, match="too many pixels, the limit is 50,000,000"):
        read_image(tmp_path / "a.png", ImageRules())
    gif = b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + b"\0\0\0,"
    gif += struct.pack("<HHHH", 0, 0, 60_000, 60_000) + b"\0\x02\x02\x4c\x01\0;"
    (tmp_path / "a.gif").write_bytes(gif)
    with pytest.raises(UnreadableError, match="pixels"):
        read_image(tmp_path / "a.gif", ImageRules())
    saved(tmp_path / "b.png", COLOUR)
    with pytest.raises(UnreadableError, match="54 pixels, the limit is 53"):
        read_image(tmp_path / "b.png", ImageRules(most_pixels=53))
    promised = b"\x89PNG\r\n\x1a\n" + b"\x7f\xff\xff\xffIDAT" + b"\0" * 40
    (tmp_path / "c.png").write_bytes(promised)
    with pytest.raises(UnreadableError, match="corrupt"):
        read_image(tmp_path / "c.png", ImageRules())


def test_pipes_folders_and_missing_files_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path, said in (
        (tmp_path / "pipe.png", "it is a named pipe"),
        (tmp_path, "it is a folder"),
        (tmp_path / "none.png", "does not exist"),
        (Path("/dev/zero"), "it is a device"),
        (tmp_path / ("x" * 5000), "file name too long"),
        (tmp_path / "a\0b", "no possible name"),
    ):
        with pytest.raises(UnreadableError, match=said):
            read_image(path, ImageRules())


def test_files_beside_pictures_are_named_and_no_error(tmp_path: Path) -> None:
    for number in range(4):
        saved(tmp_path / f"{number}.png", COLOUR + np.uint8(number))
        (tmp_path / f"{number}.json").write_text("{}")
    saved(tmp_path / "no ending", COLOUR, format="PNG")
    (tmp_path / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 99)
    (tmp_path / "prompts.txt").write_text("a cat")
    (tmp_path / "empty").write_bytes(b"")
    refused: list[Refused] = []
    assert len(list(pictures(listing(tmp_path), ImageRules(), refused))) == 5
    (said,) = tolerate(refused, 12, "images", "F")
    assert said == (
        "7 other files were found in F and not read: 0.json, 1.json, 2.json, 3.json, Thumbs.db and 2 more."
    )
    (tmp_path / "broken").write_bytes((tmp_path / "no ending").read_bytes()[:80])
    refused.clear()
    assert len(list(pictures(listing(tmp_path), ImageRules(), refused))) == 5
    with pytest.raises(InputError, match="1 of 6 images in F cannot be used: broken "):
        tolerate(refused, 13, "images", "F")


def test_manifests_are_counted_in_every_format_that_can_be_signed(tmp_path: Path) -> None:
    from audit.marks.manifests.carriers import writable
    from audit.marks.manifests.signers import ephemeral_signers
    from audit.marks.manifests.signing import Bench

    signers = ephemeral_signers()
    bench = Bench(signers.trusted.authority.pem)
    for kind in writable():
        plain = kind.encode(COLOUR)
        with signers.trusted.open() as opened:
            signed = bench.sign(plain, kind.mime, signers.trusted, opened).held.file
        for name, data in (("plain", plain), ("signed", signed)):
            path = tmp_path / f"{name}.{kind.name}"
            path.write_bytes(data)
            assert read_picture(path, ImageRules()).look.credentials == (name == "signed"), kind.name
    refused: list[Refused] = []
    found = list(pictures(listing(tmp_path), ImageRules(), refused))
    said = tolerate(refused, len(found) + len(refused), "images", "F")
    assert said[0].startswith(
        f"{len(found) // 2} of {len(found)} images in F carry a manifest of content credentials"
    )


def test_what_pictures_were_is_counted_and_compared(tmp_path: Path) -> None:
    saved(tmp_path / "a.png", COLOUR)
    saved(tmp_path / "b.png", rgb(GREY))
    saved(tmp_path / "c.jpg", np.zeros((4, 5), np.uint8))
    rules = ImageRules(size=4)
    each = [picture.look for picture in pictures(listing(tmp_path), rules, [])]
    facts = looks("holdout", (4, 4, 3), each)
    assert facts.sizes == (((9, 6), 2), ((5, 4), 1))
    assert facts.formats == (("PNG", 2), ("JPEG", 1))
    assert (facts.total, facts.grey, facts.several, facts.credentials) == (3, 2, 0, 0)
    assert facts.sentence() == (
        "'holdout': 3 pictures of 9×6 (2), 5×4 (1), from PNG (2), JPEG (1), 2 of them grey, read as 4×4 with 3 channels."
    )
    assert differences(facts, facts) == ()
    colour = looks("samples", (4, 4, 3), each[:1])
    grey = looks("samples", (4, 4, 1), each[2:])
    assert differences(facts, colour) == ("67% against 0% are grey",)
    assert differences(colour, grey) == (
        "read as 4×4 with 3 channels against 4×4 with 1 channel",
        "0% against 100% are grey",
        "most are PNG against JPEG files",
    )
    assert (
        differences(colour, looks("samples", (4, 4, 3), each[2:]))[0]
        == "most are 9×6 against 5×4 before resizing"
    )


def test_pictures_with_a_full_alpha_channel_are_not_transparent_and_others_are_told(tmp_path: Path) -> None:
    for name, opacity in (("full", 255), ("half", 128)):
        (tmp_path / name).mkdir()
        saved(tmp_path / name / "a.png", np.dstack([COLOUR, np.full(COLOUR.shape[:2], opacity, np.uint8)]))
    full, half = (
        looks(name, (6, 9, 3), [p.look for p in pictures(listing(tmp_path / name), ImageRules(), [])])
        for name in ("full", "half")
    )
    assert (full.transparent, half.transparent) == (0, 1)
    assert differences(half, full) == ("100% against 0% are transparent and laid on white",)
