"""Texts: strict UTF-8, each kind of place, hostile lines left out, counted and listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.core.errors import InputError
from audit.core.rows import texts_of
from audit.data.text import TextFiles


def jsonl(path: Path, *values: object) -> str:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return str(path)


def load(split: str = "holdout", **options: object) -> list[str]:
    return texts_of(TextFiles.load(TextFiles.refer(options), split))


def test_jsonl_with_field_and_groups(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"body": "ä one", "n": 1, "g": "x"}, {"body": "two", "n": 2.5})
    options = {"path": path, "field": "body", "groups": "g,n"}
    rows = TextFiles.load(TextFiles.refer(options), "holdout")
    assert rows.to_pydict() == {"text": ["ä one", "two"], "g": ["x", None], "n": ["1", "2.5"]}
    assert TextFiles.describe(TextFiles.refer(options)).groups == ("g", "n")
    with pytest.raises(InputError, match=r"No line of .* has the group 'h'"):
        TextFiles.describe(TextFiles.refer({**options, "groups": "h"}))
    with pytest.raises(InputError, match="'body' cannot be a group"):
        TextFiles.refer({**options, "groups": "body"})


def test_a_folder_holds_a_text_each_and_a_file_paragraphs(tmp_path: Path) -> None:
    (tmp_path / "texts" / "sub").mkdir(parents=True)
    (tmp_path / "texts" / "b.txt").write_bytes(b"\xef\xbb\xbfsecond\r\nline")
    (tmp_path / "texts" / "sub" / "c.txt").write_text("third")
    (tmp_path / "texts" / "a.txt").write_text("first\n\nstill first")
    (tmp_path / "texts" / "readme.md").write_text("not a text")
    assert sorted(load(path=str(tmp_path / "texts"))) == ["first\n\nstill first", "second\nline", "third"]
    assert load(path=str(tmp_path / "texts" / "a.txt")) == ["first", "still first"]
    (problem,) = TextFiles.describe(TextFiles.refer({"path": str(tmp_path / "texts")})).problems
    assert problem == f"1 other file was found in {tmp_path / 'texts'} and not read: readme.md."


def test_bad_lines_among_good_ones_are_counted_and_listed(tmp_path: Path) -> None:
    good = [{"text": f"text number {n}"} for n in range(200)]
    path = tmp_path / "a.jsonl"
    jsonl(path, *good)
    bad = [
        b'{"text": "caf\xe9"}',
        b'{"text": ""}',
        b'{"text": "a\\u0000b"}',
        b'{"text": "\\ud800"}',
        b'{"other": 1}',
        b"[" * 50_000,
        b"not json",
        b'{"text": "' + b"x" * 2_000_000 + b'"}',
    ]
    with path.open("ab") as file:
        file.write(b"\n" + b"\n".join(bad))
    options = {"path": str(path), "most_characters": 100_000}
    card = TextFiles.describe(TextFiles.refer(options))
    assert card.splits == (("holdout", 200),)
    (problem,) = card.problems
    assert "8 of 208 texts" in problem
    for reason in (
        "not UTF-8 at byte 13",
        "empty",
        "NUL",
        "half a surrogate pair",
        "no field 'text' among other",
    ):
        assert reason in problem
    assert len(load(**options)) == 200


def test_over_five_percent_bad_is_an_error(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *[{"text": "good"}] * 18, {"text": " "})
    with pytest.raises(InputError, match=r"1 of 19 texts .* line 19 \(empty\).* More than 5%"):
        TextFiles.describe(TextFiles.refer({"path": path}))


def test_a_line_without_end_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "good"}\n' * 30 + b'{"text": "')
        file.truncate(300 * 2**20)  # sparse zeros: 300 MiB that take no room on disk
    import tracemalloc

    from audit.formats.hostile import Refused
    from audit.formats.texts import records

    refused: list[Refused] = []
    tracemalloc.start()
    assert sum(1 for _ in records(path, 10_000, refused)) == 30
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [r.reason for r in refused] == ["a line of over 125,536 bytes"]
    assert peak < 20 * 2**20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"caf\xe9 au lait", "not UTF-8 at byte 3"),
        (b"a\0b", "NUL"),
        (b"", "holds no texts"),
        (b" \n\n", "no texts"),
    ],
)
def test_a_single_unusable_file_is_an_error(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(InputError, match=message):
        TextFiles.describe(TextFiles.refer({"path": str(tmp_path / "a.txt")}))


def test_places_that_hold_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no texts"):
        TextFiles.describe(TextFiles.refer({"path": str(tmp_path)}))
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(InputError, match=r"neither a \.jsonl file"):
        TextFiles.refer({"path": str(tmp_path / "a.csv")})


def test_changed_bytes_are_noticed_and_place_is_no_identity(tmp_path: Path) -> None:
    one, two = jsonl(tmp_path / "a.jsonl", {"text": "x"}), jsonl(tmp_path / "b.jsonl", {"text": "x"})
    ref = TextFiles.refer({"path": one})
    assert ref == TextFiles.refer({"path": two})
    other = jsonl(tmp_path / "c.jsonl", {"text": "x", "y": "z"})
    assert ref == TextFiles.refer({"path": other})
    assert ref.content != TextFiles.refer({"path": other, "field": "y"}).content
    jsonl(tmp_path / "a.jsonl", {"text": "y"})
    with pytest.raises(InputError, match="have changed"):
        TextFiles.load(ref, "holdout")


def test_near_duplicates_across_splits_are_reported(tmp_path: Path) -> None:
    words = [f"w{n}" for n in range(60)]
    train = [" ".join(words), "short one", "quite another text about something else altogether"]
    holdout = [
        " ".join([*words[:-1], "new"]).upper(),
        "short one",
        " ".join(reversed(words)),
        "nothing like it at all",
    ]
    places = {
        "train": jsonl(tmp_path / "t.jsonl", *({"text": t} for t in train)),
        "holdout": jsonl(tmp_path / "h.jsonl", *({"text": t} for t in holdout)),
    }
    card = TextFiles.describe(TextFiles.refer(places))
    (problem,) = card.problems
    assert "2 of 4 rows of 'holdout' nearly equal a row of 'train' (1 of them exactly)" in problem
    assert load("train", **places) == train
