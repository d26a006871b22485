"""Over ten thousand damaged inputs: every reader ends soon, with a value or with a reason, never with anything else.

The suite tries a few of each kind, ``make test-slow`` all of them; what damages them is seeded. Models' own files are
damaged in ``tests/models/test_lm_fuzzed.py`` and ledgers in ``tests/store/test_opening.py``.
"""

from __future__ import annotations

import io
import json
import os
import signal
import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.config.spec import read_spec
from audit.core.errors import InputError
from audit.core.records import from_plain
from audit.data.images import ImageFolder
from audit.data.metadata import read_metadata
from audit.data.text import TextFiles
from audit.formats.hostile import Refused, UnreadableError
from audit.formats.idx import read_idx
from audit.formats.images import ImageRules, read_picture
from audit.formats.tensors import tensors_in
from audit.formats.texts import paragraphs, read_text, records
from reports.html import HtmlReport
from reports.json import problems

SHARE = 1_000
"""Inputs for each kind of reader."""
some_or_all = pytest.mark.parametrize(
    "share", [pytest.param(12, id="some"), pytest.param(SHARE, id="all", marks=pytest.mark.slow)]
)
SPICES = (
    b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\r", b"\n", b"\r\n", b"\xef\xbb\xbf", b"\xff\xfe",
    b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\xc3", b"\\ud800", b"\\u0000", b"\x1b[2J", b"\xe2\x80\xae", b"{", b"[", b"]]", b'"', b"'''",
    b",", b";", b"\t", b"NaN", b"1e999", b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"version https://git-lfs.github.com/spec/v1\n",
    b"tEXt", b"IDAT", b"Exif\0\0", b"MM\0*", b"ftypavif", b"\xff\xda", b"\xff\xe1", b"IFD", b"jumb",
)  # fmt: skip


LONGEST = 20.0
"""Seconds that a reader may take for a file of some kilobytes: a thousand times what it takes on a busy machine."""


def damaged(rng: np.random.Generator, seeds: list[bytes]) -> bytes:
    """Return one of the seeds after one to six changes of the kinds that files suffer."""
    data = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(rng.integers(1, 7)):
        at = int(rng.integers(len(data) + 1))
        to = min(len(data), at + int(rng.integers(1, 40)))
        kind = rng.integers(8)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << int(rng.integers(8))
        elif kind == 1 and data:
            data[at % len(data)] = int(rng.integers(256))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at:to]
        elif kind == 4:
            data[at:at] = data[at:to] * int(rng.integers(1, 30))
        elif kind == 5:
            data[at:at] = SPICES[rng.integers(len(SPICES))]
        elif kind == 6:
            spice = SPICES[rng.integers(len(SPICES))]
            data[at : at + len(spice)] = spice
        else:
            other = seeds[rng.integers(len(seeds))]
            data[at:] = other[int(rng.integers(len(other) + 1)) :]
    return bytes(data)


class Endless(BaseException):
    """A reader did not end within its time: nothing that it could catch."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Interrupt what does not end in time."""

    def ring(*_: object) -> None:
        raise Endless(f"it did not end within {seconds} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def survives(call: Callable[..., object], *given: object) -> bool:
    """Run a reader to its end; say whether it read. Anything but a reason is an error of the test."""
    message = None
    try:
        with within(LONGEST):
            found = call(*given)
            if isinstance(found, Iterator):
                deque(found, maxlen=0)
    except (InputError, UnreadableError) as refusal:
        message = str(refusal)
    assert message is None or 0 < len(message) < 3_000
    return message is None


def encoded() -> dict[str, list[bytes]]:
    """Return small picture files by format, several kinds of each."""
    rng = np.random.default_rng(5)
    colour = Image.fromarray(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8))
    alpha = Image.fromarray(rng.integers(0, 256, (9, 11, 4), dtype=np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (9, 11), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    several = {"save_all": True, "append_images": [colour.convert("L").convert("RGB")]}
    wanted = {
        "png": [(colour, {"exif": exif}), (alpha, {}), (deep, {}), (colour.convert("P"), {"transparency": 3}), (colour, several)],
        "jpeg": [(colour, {"exif": exif}), (colour, {"progressive": True}), (colour.convert("CMYK"), {}), (colour.convert("L"), {})],
        "webp": [(colour, {"lossless": True, "exif": exif}), (alpha, {}), (colour, several)],
        "avif": [(colour, {"exif": exif, "speed": 10, "max_threads": 1}), (alpha, {"speed": 10, "max_threads": 1})],
        "gif": [(colour, {}), (colour.convert("P"), {"transparency": 3}), (colour, several)],
        "tiff": [(colour, {"exif": exif}), (deep, {}), (colour, {"compression": "tiff_lzw"}), (colour.convert("1"), {"compression": "group4"}), (colour, several), (colour, {"compression": "jpeg"})],
        "bmp": [(colour, {}), (colour.convert("P"), {}), (colour.convert("1"), {})],
        "ppm": [(colour, {}), (colour.convert("L"), {}), (colour.convert("1"), {}), (deep, {})],
    }  # fmt: skip
    found: dict[str, list[bytes]] = {}
    for name, kinds in wanted.items():
        for image, options in kinds:
            file = io.BytesIO()
            image.save(file, name, **options)
            found.setdefault(name, []).append(file.getvalue())
    return found


@some_or_all
def test_pictures(tmp_path: Path, share: int) -> None:
    rng = np.random.default_rng(11)
    formats = encoded()
    every = list(chain.from_iterable(formats.values()))
    read = 0
    for number in range(3 * share):
        name = list(formats)[number % len(formats)]
        path = tmp_path / f"a.{name}"
        path.write_bytes(damaged(rng, formats[name] if rng.integers(10) else every))
        read += survives(read_picture, path, ImageRules(size=number % 3, most_pixels=1_000_000))
    assert 0.1 * share < read < 2.7 * share  # some survive their damage, and the damage is felt


def lines() -> list[bytes]:
    rows = [{"text": f"text {n} é\u2028", "prompt": "p", "g": n % 3, "file": f"{n}.png"} for n in range(12)]
    plain = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    return [
        plain,
        b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n"),
        json.dumps(rows).encode(),
        plain.decode().encode("utf-16"),
    ]


def tables() -> list[bytes]:
    rows = ["file,g,h", *(f'"{n}.png",{n % 3},x' for n in range(12))]
    return [
        "\n".join(rows).encode(),
        "\ufeff".encode() + "\r\n".join(rows).encode(),
        "\r".join(rows).replace(",", ";").encode(),
    ]


PROSE = [
    b"one\n\ntwo\r\n \r\nthree\rfour\n\n\n",
    "é\u2028\n\t\nß\U0001f600\n\n".encode() * 9,
    b"\xef\xbb\xbf" + b"x" * 3000,
]
SPEC = b"""name = "x"
samples = 10
[model]
use = "digits-vae"
[data]
use = "digits"
[[evaluators]]
name = "quality.frechet"
[policy]
file = "bar.toml"
[run]
workers = 2
"""
BAR = b'name = "bar"\n[[criteria]]\nmetric = "quality.frechet"\nat_most = 1.5\nwhy = "because"\nmodalities = ["image"]\n'


@some_or_all
def test_texts_and_tables(tmp_path: Path, share: int) -> None:
    rng = np.random.default_rng(12)
    read = 0
    for _ in range(share):
        path = tmp_path / "a.jsonl"
        path.write_bytes(damaged(rng, lines()))
        refused: list[Refused] = []
        read += survives(records, path, 1000, refused)
        survives(read_metadata, path, ())
        prose = tmp_path / "a.txt"
        prose.write_bytes(damaged(rng, PROSE))
        read += survives(paragraphs, prose, 1000, refused)
        survives(read_text, prose, 1000)
        table = tmp_path / "a.csv"
        table.write_bytes(damaged(rng, tables()))
        read += survives(read_metadata, table, ("g",))
        assert all(entry.reason and entry.name for entry in refused)
    assert 0.3 * share < read < 2.7 * share


@some_or_all
def test_specs_and_policies(tmp_path: Path, share: int) -> None:
    rng = np.random.default_rng(13)
    spec, bar = tmp_path / "audit.toml", tmp_path / "bar.toml"
    read = 0
    for number in range(2 * share):
        spec.write_bytes(
            SPEC if number % 2 else damaged(rng, [SPEC, b"\xef\xbb\xbf" + SPEC.replace(b"\n", b"\r\n")])
        )
        bar.write_bytes(damaged(rng, [BAR]) if number % 2 else BAR)
        read += survives(read_spec, spec)
    assert read < 1.95 * share
    assert read > 10 or share < SHARE


@some_or_all
def test_idx_files(tmp_path: Path, share: int) -> None:
    import gzip

    rng = np.random.default_rng(14)
    plain = bytes([0, 0, 8, 3]) + struct.pack(">III", 3, 4, 5) + bytes(60)
    seeds = [plain, gzip.compress(plain)]
    path = tmp_path / "a-idx3-ubyte"
    read = 0
    for _ in range(share):
        path.write_bytes(damaged(rng, seeds))
        read += survives(read_idx, path, 3, 10_000)
    assert read < share


def weights() -> list[bytes]:
    """Return small files of safetensors, one of them with everything that a header may hold."""
    from safetensors.numpy import save

    tensors = {f"layer.{n}.weight": np.full((n + 1, 3), n, np.float32) for n in range(4)}
    several = {**tensors, "steps": np.arange(3), "half": np.ones(2, np.float16), "empty": np.ones((0, 2))}
    return [save(tensors), save(several, {"format": "pt", "made": "here"})]


@some_or_all
def test_headers_of_weights(tmp_path: Path, share: int) -> None:
    rng = np.random.default_rng(17)
    path = tmp_path / "a.safetensors"
    read = 0
    for _ in range(share):
        path.write_bytes(damaged(rng, weights()))
        read += survives(tensors_in, path)
    assert read < share / 2
    assert read > 0 or share < SHARE


@some_or_all
def test_records(share: int) -> None:
    """A record of another installation is refused in words; what meets the schema is shown."""
    rng = np.random.default_rng(18)
    golden = (Path(__file__).parents[1] / "golden" / "records" / "digits-1.json").read_bytes()
    read = 0
    for number in range(share):
        document = json.loads(golden)
        for _ in range(1 + number % 3):
            document = odd(document, rng)
        if survives(from_plain, document) and not problems(document):
            read += survives(shown, document)
    assert 0.05 * share < read < share


def shown(document: Any) -> None:
    HtmlReport().render(from_plain(document), lambda digest: None)


ODD = (
    None,
    True,
    -1,
    0,
    2**63,
    10**400,
    1e308,
    float("nan"),
    "",
    "x",
    "\ud800",
    "\x1b[2J",
    "<b>",
    [],
    {},
    [[]],
    {"a": {}},
)


def odd(value: Any, rng: np.random.Generator) -> Any:
    """Replace something somewhere in a JSON value by something odd, or leave it out."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = sorted(value)[rng.integers(len(value))]
        if rng.random() < 0.1:
            return {name: held for name, held in value.items() if name != key}
        return {**value, key: odd(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = int(rng.integers(len(value)))
        return [*value[:place], odd(value[place], rng), *value[place + 1 :]]
    return ODD[rng.integers(len(ODD))]


NAMES = (
    "a",
    ".b",
    "c d",
    "é",
    "e\u0301",
    "\u202e",
    "x\ny",
    "sub/a",
    "sub/sub/a",
    "Thumbs.db",
    "-rf",
    "a,b",
    "con",
    "\x1b[2J",
    "..a",
)


def plant(rng: np.random.Generator, folder: Path, files: list[bytes], ending: str) -> None:
    """Fill a folder with files of hostile names, damaged or whole, and with links and pipes."""
    folder.mkdir()
    for number in range(rng.integers(1, 12)):
        path = folder / f"{NAMES[rng.integers(len(NAMES))]}{number}{ending if rng.integers(8) else ''}"
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = rng.integers(14)
        if kind == 0:
            path.symlink_to([".", "..", "nowhere", path.name, "/dev/null", "/etc/hostname"][rng.integers(6)])
        elif kind == 1:
            os.mkfifo(path)
        elif kind == 2:
            path.mkdir()
        elif kind == 3:
            Path(os.fsdecode(os.fsencode(folder) + b"/\xe9%d" % number)).write_bytes(files[0])
        else:
            path.write_bytes(damaged(rng, files) if kind == 4 else files[rng.integers(len(files))])


def audited(loader: Any, options: dict[str, object]) -> None:
    """Refer, describe and load, as an audit does."""
    ref = loader.refer(options)
    card = loader.describe(ref)
    for split, rows in card.splits:
        assert loader.load(ref, split).num_rows == rows


@some_or_all
def test_whole_folders(tmp_path: Path, share: int) -> None:
    """With tables and options that may not fit."""
    rng = np.random.default_rng(15)
    images = list(chain.from_iterable(encoded().values()))
    read = 0
    for number in range(share):
        place = tmp_path / str(number)
        place.mkdir()
        plant(rng, place / "train", images, ".png")
        plant(rng, place / "holdout", images, ".png")
        (place / "t.csv").write_bytes(damaged(rng, tables()))
        options = {
            "holdout": str(place / "holdout"),
            "links": ["inside", "follow"][number % 2],
            "size": number % 9,
        }
        if rng.integers(2):
            options["train"] = str(place / "train")
        if not rng.integers(4):
            options["metadata"] = str(place / "t.csv")

        read += survives(audited, ImageFolder, options)
    assert 0.05 * share < read < share


@some_or_all
def test_whole_places_of_texts(tmp_path: Path, share: int) -> None:
    rng = np.random.default_rng(16)
    read = 0
    for number in range(2 * share):
        place = tmp_path / str(number)
        place.mkdir()
        plant(rng, place / "train", PROSE, ".txt")
        (place / "a.jsonl").write_bytes(damaged(rng, lines()) if rng.integers(3) else lines()[0])
        (place / "a.txt").write_bytes(damaged(rng, PROSE))
        options: dict[str, object] = {
            "holdout": str(place / ["a.jsonl", "a.txt", "none", "train"][rng.integers(4)]),
            "links": ["inside", "follow"][number % 2],
            "most_characters": int(rng.integers(1, 5000)),
        }
        if not rng.integers(3):
            options["train"] = str(place / "train")
        if not rng.integers(3):
            options["groups"] = "g"

        read += survives(audited, TextFiles, options)
    assert 0.05 * share < read < 1.95 * share
