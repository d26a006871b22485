"""Texts: strict UTF-8, each kind of place, hostile lines left out, counted and listed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from audit.core.errors import InputError
from audit.core.rows import texts_of
from audit.data.text import TextFiles


def jsonl(path: Path, *values: object) -> str:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return str(path)


def load(split: str = "holdout", **options: object) -> list[str]:
    """Return the texts of a split in alphabetical order; their own is that of their digests."""
    return sorted(texts_of(TextFiles.load(TextFiles.refer(options), split)))


def test_jsonl_with_field_and_groups(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"body": "ä one", "n": 1, "g": "x"}, {"body": "two", "n": 2.5})
    options = {"path": path, "field": "body", "groups": "g,n"}
    rows = TextFiles.load(TextFiles.refer(options), "holdout")
    assert sorted(rows.to_pylist(), key=lambda row: row["n"]) == [
        {"text": "ä one", "g": "x", "n": "1"},
        {"text": "two", "g": None, "n": "2.5"},
    ]
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
    assert load(path=str(tmp_path / "texts")) == ["first\n\nstill first", "second\nline", "third"]
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


def test_groups_need_lines_that_can_name_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    for place in (tmp_path, tmp_path / "a.txt"):
        with pytest.raises(InputError, match=r"'groups' of the dataset 'text' needs a \.jsonl file"):
            TextFiles.refer({"path": str(place), "groups": "g"})


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
    assert "such as line" in problem
    assert load("train", **places) == sorted(train)
    facts = card.overlaps[0]
    rows = texts_of(TextFiles.load(TextFiles.refer(places), "holdout"))
    assert [rows[row] for row in facts.exact] == ["short one"]
    assert [rows[row] for row in facts.near] == [holdout[0]]


def test_copies_of_members_among_non_members_are_facts(tmp_path: Path) -> None:
    """What a verdict needs: how many, which, and which rows are copies of one another."""
    members = [f"document {n} " + " ".join(f"w{(n * k) % 97}" for k in range(1, 40)) for n in range(40)]
    others = members[:10] + [
        f"other {n} " + " ".join(f"v{(n * k) % 89}" for k in range(1, 40)) for n in range(30)
    ]
    places = {
        "train": jsonl(tmp_path / "t.jsonl", *({"text": t} for t in [*members, *members[:5]])),
        "holdout": jsonl(tmp_path / "h.jsonl", *({"text": t} for t in others)),
    }
    ref = TextFiles.refer(places)
    card = TextFiles.describe(ref)
    (overlap,) = card.overlaps
    train, holdout = (texts_of(TextFiles.load(ref, split)) for split in ("train", "holdout"))
    assert sorted(holdout[row] for row in overlap.exact) == sorted(members[:10])
    assert overlap.share == 0.25
    copies = {each.split: each for each in card.copies}
    assert copies["holdout"].clusters == ()
    assert sorted(train[rows[0]] for rows in copies["train"].clusters) == sorted(members[:5])
    assert all(train[one] == train[other] for one, other in copies["train"].clusters)
    assert copies["train"].exact == copies["train"].repeated == 5
    assert {each.split: each.total for each in card.texts} == {"train": 45, "holdout": 40}


def test_each_split_may_have_a_field_of_its_own(tmp_path: Path) -> None:
    places = {
        "train": jsonl(tmp_path / "t.jsonl", {"document": "a"}),
        "holdout": jsonl(tmp_path / "h.jsonl", {"body": "b"}),
    }
    options = {**places, "train_field": "document", "holdout_field": "body"}
    assert (load("train", **options), load("holdout", **options)) == (["a"], ["b"])
    assert load("holdout", **{**places, "train_field": "document", "field": "body"}) == ["b"]
    with pytest.raises(InputError, match=r"no field 'text' among document.*name it in the spec: field = "):
        TextFiles.refer(places)
    with pytest.raises(InputError, match=r"no field 'txt' among body.*name it in the spec: holdout_field = "):
        TextFiles.refer({**places, "train_field": "document", "holdout_field": "txt"})
    with pytest.raises(InputError, match=r"no field 'promt' among body.*name it in the spec: prefix = "):
        TextFiles.refer({"path": places["holdout"], "field": "body", "prefix": "promt"})
    with pytest.raises(InputError, match="'train_field' and no split 'train'"):
        TextFiles.refer({"path": places["holdout"], "train_field": "x"})


def test_rows_depend_on_neither_lines_nor_names_nor_containers(tmp_path: Path) -> None:
    texts = [f"text {n}\nsecond line" for n in range(30)]
    one = jsonl(tmp_path / "one.jsonl", *({"text": t} for t in texts))
    other = tmp_path / "other.jsonl"
    lines = [json.dumps({"id": n, "text": t}) for n, t in enumerate(texts)]
    other.write_bytes(b"\xef\xbb\xbf" + "\r\n \r\n".join(reversed(lines)).encode())
    (tmp_path / "files").mkdir()
    for number, text in enumerate(texts):
        (tmp_path / "files" / f"{'cab'[number % 3]}{number}.txt").write_bytes(
            text.replace("\n", "\r\n").encode()
        )
    (tmp_path / "parts.txt").write_text(" \n" + "\n \t\n".join(texts) + "\n\n")
    places = (one, other, tmp_path / "files", tmp_path / "parts.txt")
    refs = [TextFiles.refer({"path": str(place)}) for place in places]
    assert refs == [refs[0]] * 4
    rows = [TextFiles.load(ref, "holdout").to_pydict() for ref in refs]
    assert rows == [rows[0]] * 4
    assert rows[0]["text"] != texts


def test_few_long_texts_that_outweigh_the_others_are_told(tmp_path: Path) -> None:
    short = [{"text": f"short text {n}"} for n in range(30)]
    card = TextFiles.describe(
        TextFiles.refer({"path": jsonl(tmp_path / "a.jsonl", *short, {"text": "x" * 100_000})})
    )
    (problem,) = card.problems
    assert "the longest holds 100% of all characters, and 31 texts weigh" in problem
    assert "like 1.0 of equal length" in problem
    (fact,) = card.texts
    assert (fact.total, fact.longest) == (31, 100_000)
    assert fact.effective == pytest.approx(1, rel=0.01)
    even = TextFiles.describe(TextFiles.refer({"path": jsonl(tmp_path / "b.jsonl", *short)}))
    assert even.problems == ()
    assert even.texts[0].effective == pytest.approx(30, rel=0.01)


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "folder"])
def test_pipes_devices_pointers_and_broken_links_are_refused_without_waiting(
    tmp_path: Path, name: str
) -> None:
    place = tmp_path / name
    if name == "folder":
        place.mkdir()
        os.mkfifo(place / "a.txt")
    else:
        os.mkfifo(place)
    with pytest.raises(InputError, match="a named pipe"):
        TextFiles.refer({"path": str(place)})
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
    file = place / "a.txt" if name == "folder" else place
    file.unlink()
    file.write_bytes(pointer)
    with pytest.raises(InputError, match="a Git LFS pointer in place of the file: run 'git lfs pull'"):
        TextFiles.refer({"path": str(place)})
    file.unlink()
    file.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="broken link" if name == "folder" else "does not exist"):
        TextFiles.refer({"path": str(place)})
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="leads out" if name == "folder" else "a device"):
        TextFiles.refer({"path": str(place)})
