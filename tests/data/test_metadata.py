"""Tables of groups: names match however a system spells them, and a table that cannot be right is refused."""

from __future__ import annotations

import json
import os
import unicodedata
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.core.errors import InputError
from audit.core.rows import images_of
from audit.data.images import ImageFolder

NAMES = ["sub/Straße ü 0.png", "sub/Straße ü 1.png", "2.png"]


def folder(path: Path, names: list[str] = NAMES) -> Path:
    for number, name in enumerate(names):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), number * 20, np.uint8)).save(path / name)
    return path


def groups(tmp_path: Path, table: str | bytes, name: str = "t.csv", column: str = "g") -> list[str | None]:
    """Return the group of each image, in the order in which the images were made."""
    file = tmp_path / name
    file.write_bytes(table.encode() if isinstance(table, str) else table)
    rows = ImageFolder.load(
        ImageFolder.refer({"path": str(tmp_path / "images"), "metadata": str(file)}), "holdout"
    )
    number = images_of(rows)[:, 0, 0, 0] // 20
    values = rows.column(column).to_pylist()
    return [values[row] for row in np.argsort(number)]


def problems(tmp_path: Path, table: str) -> tuple[str, ...]:
    (tmp_path / "t.csv").write_text(table, encoding="utf-8")
    options = {"path": str(tmp_path / "images"), "metadata": str(tmp_path / "t.csv")}
    return ImageFolder.describe(ImageFolder.refer(options)).problems


def table(names: list[str], separator: str = ",", ends: str = "\n", heading: str = "file") -> str:
    lines = [f"{heading}{separator}g", *(f"{name}{separator}{'abc'[n]}" for n, name in enumerate(names))]
    return ends.join(lines) + ends


@pytest.mark.parametrize(
    "written",
    [
        table(NAMES),
        "\ufeff" + table(NAMES, ends="\r\n"),
        table(NAMES, ends="\r"),
        table(NAMES, ends="\n\n , \n"),
        table([unicodedata.normalize("NFD", name) for name in NAMES]),
        table([f"holdout/{name}" for name in NAMES]),
        table([f"./{name}" for name in NAMES]),
        table(NAMES, heading="file_name"),
        table([f'"{name}"' for name in NAMES]),
        "text,file , g\n" + "".join(f"x,{name},{'abc'[n]}\n" for n, name in enumerate(NAMES)),
    ],
    ids=[
        "plain",
        "Excel",
        "old Mac",
        "blank lines",
        "macOS",
        "with the split",
        "from here",
        "Hugging Face",
        "quoted",
        "spaces",
    ],
)
def test_a_table_is_read_however_it_was_saved(tmp_path: Path, written: str) -> None:
    folder(tmp_path / "images")
    assert groups(tmp_path, written) == ["a", "b", "c"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_lines_of_json_with_odd_characters_and_values(tmp_path: Path, form: str) -> None:
    names = [unicodedata.normalize(form, name) for name in NAMES]
    folder(tmp_path / "images", names)
    values = ["x\u2028y", 1, None]
    lines = [
        json.dumps({"file": name, "g": value}, ensure_ascii=False)
        for name, value in zip(NAMES, values, strict=True)
    ]
    assert groups(tmp_path, "\ufeff" + "\r\n \r\n".join(lines), "t.jsonl") == ["x\u2028y", "1", None]
    lines[2] = '{"file": "2.png", "g": NaN}'
    assert groups(tmp_path, "\n".join(lines), "t.jsonl")[2] is None


def test_what_looks_the_same_in_a_table_is_the_same_group(tmp_path: Path) -> None:
    folder(tmp_path / "images")
    composed, apart = "\u00e9t\u00e9", "e\u0301te\u0301"
    lines = ["file, g", f'{NAMES[0]}, "{composed}"', f"{NAMES[1]},{apart} ", f"{NAMES[2]}, {composed}"]
    assert groups(tmp_path, "\n".join(lines)) == [composed] * 3
    rows = [
        json.dumps({"file": name, "g": value})
        for name, value in zip(NAMES, (f" {composed}", apart, "\u00e9"), strict=True)
    ]
    assert groups(tmp_path, "\n".join(rows), name="t.jsonl") == [composed, composed, "\u00e9"]


def test_two_forms_of_one_name_are_two_files(tmp_path: Path) -> None:
    forms = ["\u00e9.png", "e\u0301.png"]
    folder(tmp_path / "images", forms)
    assert groups(tmp_path, table(forms)) == ["a", "b"]
    assert groups(tmp_path, table(forms[1:])) == [None, "a"]


def test_names_that_are_no_utf8_or_end_a_line(tmp_path: Path) -> None:
    names = [os.fsdecode(b"caf\xe9.png"), "a\nb.png", "c.png"]
    folder(tmp_path / "images", names)
    assert groups(tmp_path, 'file,g\n"a\nb.png",x\nc.png,\n') == [None, "x", None]
    escaped = "\n".join(json.dumps({"file": name, "g": "ab"[n % 2]}) for n, name in enumerate(names))
    assert groups(tmp_path, escaped, "t.jsonl") == ["a", "b", "a"]


def test_what_fits_nothing_is_counted(tmp_path: Path) -> None:
    folder(tmp_path / "images")
    said = problems(tmp_path, "file,g\n2.png,a\nother.png,b\n3.png,c\n")
    assert said == ("2 of 3 images have no entry in t.csv.", "2 of 3 entries in t.csv name no image.")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("name,g\n2.png,a\n", "no column 'file' .* It has name, g"),
        ("", "hold no entry"),
        ("file,g\n", "hold no entry"),
        ("file,g\n2.png,a\n2.png,b\n", "names '2.png' twice"),
        ("file,g\n2.png\n", "Line 2 of the metadata .* has 1 values for 2 columns"),
        ("file,g\na,b.png,x\n", "Line 2 .* has 3 values for 2 columns. A value with a comma"),
        ("file,g\n,a\n", "Line 2 of the metadata .* lacks a value for 'file'"),
        ("file,g,g\n2.png,a,b\n", "two columns 'g'"),
        ('file,g\n"2.png,a\n', "line 2: a quotation mark is opened and never closed"),
        ('file,g\n"2".png,a\n', "line 2: a quotation mark stands inside a value"),
        ("file,g\n2.png," + "x" * 200_000 + "\n", "a value is over 131,072 characters long"),
        (
            "file,g\n2.png," + "x" * 2_000 + "\n",
            "Line 2 .* a value of 'g' that is no number and no text of up to 1,000",
        ),
        (table(NAMES, ";"), "has semicolons between its columns. Save it with commas"),
        (table(NAMES, "\t"), "has tabs between its columns"),
        (
            table([name.replace("/", "\\") for name in NAMES[:2]]),
            "written with backslashes, such as .*: write / between",
        ),
        (table([name.upper() for name in NAMES]), "They differ in capitals"),
        (table([f"data/{name}" for name in NAMES]), "They name other folders"),
        (table([name.removesuffix(".png") for name in NAMES]), "They lack the ending"),
        (table([f"{name} " for name in NAMES]), "They begin or end with a space"),
        (table([urllib.parse.quote(name) for name in NAMES[:2]]), "They are written as in web addresses"),
        (table(["x", "y"]), r"Names are relative to the folder of images, such as '2\.png'"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(tmp_path: Path, written: str, message: str) -> None:
    folder(tmp_path / "images")
    with pytest.raises(InputError, match=message):
        groups(tmp_path, written)


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (table(NAMES).encode("utf-16"), "t.csv", "UTF-16 text"),
        (table(NAMES).encode("latin-1"), "t.csv", "not UTF-8 at byte 15"),
        (b"PK\x03\x04\xff", "t.csv", "a zip archive: unpack it, not text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "t.csv", "git lfs pull"),
        (
            b'{"file": "2.png", "g": "a"}\nnonsense\n',
            "t.jsonl",
            "line 2: not JSON at character 1. Every line",
        ),
        (b'[{"file": "2.png", "g": "a"}]\n', "t.jsonl", "line 1: a JSON array"),
        (b'{"file": 2, "g": "a"}\n', "t.jsonl", "Line 1 of the metadata .* lacks a value for 'file'"),
        (b'{"file": "2.png", "g": ["a"]}\n', "t.jsonl", "a value of 'g' that is no number and no text"),
        (b'{"file": "2.png", "g": "\\ud800"}\n', "t.jsonl", "a value of 'g' that is no number and no text"),
        (b"x", "t.xlsx", "neither .csv nor .jsonl"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, data: bytes, name: str, message: str) -> None:
    folder(tmp_path / "images")
    with pytest.raises(InputError, match=message):
        groups(tmp_path, data, name)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_pipe_in_place_of_a_table_is_refused_without_waiting(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    options = {"path": str(folder(tmp_path / "images")), "metadata": str(tmp_path / name)}
    with pytest.raises(InputError, match="a named pipe"):
        ImageFolder.refer(options)
