"""Labels from a CSV file in the place of a classifier: pictures by their pixels, texts by themselves, annotators who differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import cohen_kappa_score

from audit.core.errors import InputError
from audit.core.rows import image_rows, text_rows
from audit.features.labels import Labels
from audit.formats.labels import cohens_kappa, read_confusion, read_labels


def pictures(folder: Path, n: int = 6) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    images = np.random.default_rng(0).integers(0, 255, (n, 4, 4, 3), dtype=np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")
    return images


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_pictures_are_known_by_their_pixels(tmp_path: Path) -> None:
    images = pictures(tmp_path / "made")
    path = write(
        tmp_path / "l.csv", "file,look", "0.png,f", "1.png,m", "made/2.png,f", "3.png,cannot tell", "9.png,m"
    )
    options = {"path": str(path), "folder": str(tmp_path / "made")}
    ref = Labels.refer(options)
    assert [(a.name, a.values) for a in ref.attributes] == [("look", ("f", "m"))]
    assert ref.modality == "image"
    assert any("1 of 5 labels are of files that are not there" in note for note in ref.notes)
    found = Labels.open(ref, "cpu").extract(image_rows(images[::-1]))
    assert found.tolist() == [[0, 0], [0, 0], [0, 0], [1, 0], [0, 1], [1, 0]]
    (tmp_path / "made" / "0.png").rename(tmp_path / "made" / "8.png")
    with pytest.raises(InputError, match="Plan the audit again"):
        Labels.open(ref, "cpu")


def test_names_in_any_script_are_found_however_their_accents_are_written(tmp_path: Path) -> None:
    images = pictures(tmp_path / "made", 4)
    names = ["Zoe\u0308.png", "Олена.png", "雪.png", "a b.png"]  # the first as macOS writes it
    for i, name in enumerate(names):
        (tmp_path / "made" / f"{i}.png").rename(tmp_path / "made" / name)
    path = write(tmp_path / "l.csv", "file,look", "Zoë.png,f", "Олена.png,m", "雪.png,f", '"a b.png",m')
    ref = Labels.refer({"path": str(path), "folder": str(tmp_path / "made")})
    assert ref.notes == ()
    assert Labels.open(ref, "cpu").extract(image_rows(images)).tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]


def test_rows_of_the_data_are_labelled_by_their_own_column(tmp_path: Path) -> None:
    images = pictures(tmp_path / "made")
    path = write(tmp_path / "l.csv", "file,look", "0.png,f", "1.png,m")
    ref = Labels.refer({"path": str(path), "folder": [str(tmp_path / "made")]})
    rows = image_rows(images[:4], look=["m", "m", "f", "both"])
    assert Labels.open(ref, "cpu").extract(rows).tolist() == [[1, 0], [0, 1], [1, 0], [0, 0]]


def test_texts_are_known_by_themselves(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", "text,tone", '"good, day",kind', "Привіт,kind", "go,rude")
    found = Labels.open(Labels.refer({"path": str(path)}), "cpu").extract(
        text_rows(["go", "good, day", "?", "Привіт"])
    )
    assert found.tolist() == [[0, 1], [1, 0], [0, 0], [1, 0]]


def test_two_annotators_who_differ_give_no_label_and_are_counted(tmp_path: Path) -> None:
    lines = [f"{i},{who},{'f' if i % 2 else 'm'}" for i in range(10) for who in ("ann", "ben")]
    lines[1] = "0,ben,f"
    lines[3] = "1,ben,unsure"
    held = read_labels(write(tmp_path / "l.csv", "file,annotator,look", *lines))
    assert held.labels["0"]["look"] is None
    assert held.labels["1"]["look"] == "f", "one who cannot tell does not contradict"
    assert "differ about 'look' in 1 of 9 cases" in held.notes[0]
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 3, 60), rng.integers(0, 3, 60)
    b[:40] = a[:40]
    assert cohens_kappa([str(v) for v in a], [str(v) for v in b]) == pytest.approx(cohen_kappa_score(a, b))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["name,look", "0.png,f"], "no column 'file' or 'text'"),
        (["file", "0.png"], "a column for each attribute"),
        (["file,look,look", "0.png,f,m"], "each name once"),
        (["file,look", "0.png,f"], "1 values of 'look'"),
        (["file,look"], "no line that can be used"),
        (["file,annotator,look", "0.png,ann,f", "0.png,ann,m"], "line 3 .* second one of 'ann'"),
        (["file,look", '0.png,"f'], "cannot be read: line"),
        (["file,look", "0.png,f,x", "1.png,m"], "2 columns"),
        (["file,look", ",f", "1.png,m"], "no 'file'"),
    ],
)
def test_a_malformed_file_is_refused_with_the_line(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_labels(write(tmp_path / "l.csv", *lines))


def test_unknown_values_are_counted_and_too_many_refused(tmp_path: Path) -> None:
    good = [f"{i}.png,{'fm'[i % 2]}" for i in range(40)]
    path = write(tmp_path / "l.csv", "file,look", *good, "41.png,femal")
    held = read_labels(path, {"look": ("f", "m")})
    assert "an unknown value of 'look': 'femal'" in held.notes[0]
    assert "41.png" not in held.labels
    write(path, "file,look", *good[:10], "41.png,femal", "42.png,x")
    with pytest.raises(InputError, match="unknown value"):
        read_labels(path, {"look": ("f", "m")})
    with pytest.raises(InputError, match="no column 'looks'"):
        read_labels(path, {"looks": ("f", "m")})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "needs a file"),
        ({"path": "l.csv"}, "folder"),
        ({"path": "l.csv", "folder": "made", "values": ["look"]}, "write"),
        ({"path": "l.csv", "folder": "made", "values": ["look=f"]}, "write"),
        ({"path": "l.csv", "folder": "empty"}, "No name"),
        ({"path": "none.csv"}, "does not exist"),
        ({"path": "l.csv", "fold": "made"}, "no option 'fold'"),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, options: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "made")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "l.csv", "file,look", "0.png,f", "1.png,m")
    with pytest.raises(InputError, match=said):
        Labels.refer(options)


def test_counts_of_errors_are_read_and_checked(tmp_path: Path) -> None:
    values = {"look": ("f", "m")}
    path = write(
        tmp_path / "c.csv", "attribute,true,read,count", "look,f,f,90", "look,f,m,10", "look,m,m,100"
    )
    assert read_confusion(path, values) == {"look": ((90, 10), (0, 100))}
    for line, said in (
        ("age,f,f,1", "names the attribute 'age'"),
        ("look,x,f,1", "names the value 'x'"),
        ("look,f,f,-1", "whole number"),
        ("look,f,f,1e3", "whole number"),
    ):
        with pytest.raises(InputError, match=said):
            read_confusion(write(path, "attribute,true,read,count", line), values)
    with pytest.raises(InputError, match="need the columns"):
        read_confusion(write(path, "a,b", "1,2"), values)
