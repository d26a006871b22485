"""Text files of every encoding and shape: read one way, or refused with the true reason."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from audit.core.errors import InputError
from audit.formats.hostile import Refused, UnreadableError
from audit.formats.texts import decoded, paragraphs, read_text, records

LINES = [{"text": "caf\u00e9 \u2028 one\x85 two\x0c"}, {"text": "\U0001f600 zwei"}, {"text": "drei"}]


def file(tmp_path: Path, data: bytes, name: str = "a.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def jsonl(separator: str = "\n") -> str:
    return separator.join(json.dumps(line, ensure_ascii=False) for line in LINES)


def read(path: Path) -> tuple[list[dict[str, object]], list[str]]:
    refused: list[Refused] = []
    found = [record for _, record in records(path, 1000, refused)]
    return found, [f"{entry.name}: {entry.reason}" for entry in refused]


@pytest.mark.parametrize(
    "data",
    [
        jsonl().encode(),
        b"\xef\xbb\xbf" + jsonl("\r\n").encode() + b"\r\n",
        jsonl("\n\n \t \n").encode(),
        jsonl("\n\x0c\n\u00a0\n").encode() + b"\n\xef\xbb\xbf",
        b"\n\n" + jsonl(" \n\ufeff").encode(),
    ],
    ids=["plain", "mark and CRLF", "blank lines", "form feeds and no-break spaces", "marks within"],
)
def test_the_same_lines_however_they_are_written(tmp_path: Path, data: bytes) -> None:
    """U+2028, NEL and form feeds inside a string end no line."""
    assert read(file(tmp_path, data)) == (LINES, [])


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-16", "UTF-16 text (its byte-order mark says so): save it as UTF-8"),
        ("utf-32", "UTF-32 text (its byte-order mark says so): save it as UTF-8"),
        ("utf-16-le", "UTF-16 text without a byte-order mark: save it as UTF-8"),
        ("utf-16-be", "UTF-16 text without a byte-order mark: save it as UTF-8"),
        ("utf-32-le", "UTF-32 text without a byte-order mark: save it as UTF-8"),
        ("utf-32-be", "UTF-32 text without a byte-order mark: save it as UTF-8"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, encoding: str, said: str) -> None:
    path = file(tmp_path, jsonl().encode(encoding))
    with pytest.raises(InputError) as refusal:
        read(path)
    assert said in str(refusal.value)
    with pytest.raises(UnreadableError) as reason:
        read_text(path, 1000)
    assert said in str(reason.value)
    with pytest.raises(InputError) as refusal:
        list(paragraphs(path, 1000, []))
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "caf\xe9"}', "not UTF-8 at byte 13: an older encoding, such as Latin-1, or no text"),
        (b'[{"text": "a"}]', "a JSON array, where JSONL has an object on each line"),
        (b"[", "a JSON array, where JSONL has an object on each line"),
        (b"{", "an object that does not end on its line"),
        (b'{"text": "a"', "an object that does not end on its line"),
        (b'{"text": "a"}\r{"text": "b"}', "its lines end in CR alone, as on old Macs"),
        (b'"text"', "a string, where JSONL has"),
        (b"12", "a number, where JSONL has"),
        (b"null", "null, where JSONL has"),
        (b"true", "a truth value, where JSONL has"),
        (b'{"text": "a",}', "not JSON at character"),
        (b"{'text': 'a'}", "not JSON at character 2"),
        (b'{"text": "a", "text": "b"}', "names 'text' twice"),
        (b'{"text": "a", "more": {"k": 1, "k": 2}}', "names 'k' twice"),
        (b'{"a":' * 50_000, "a line of over 71,536 bytes"),
        (b'{"a":' * 10_000, "nested too deep"),
        (b'{"text": ' + b"1" * 5000 + b"}", "a number of thousands of digits"),
        (b'{"text": "' + b"x" * 80_000 + b'"}', "a line of over 71,536 bytes"),
        (b'{"text": "a\nb"}', "an object that does not end on its line|not JSON"),
        (b'{"text": "a\tb"}', "not JSON at character"),
        (b"text,label", "not JSON at character 1"),
        (b"\x1a", "not JSON at character 1"),
    ],
)
def test_a_bad_line_is_left_out_with_its_reason(tmp_path: Path, line: bytes, reason: str) -> None:
    good = json.dumps({"text": "good"}).encode()
    found, refused = read(file(tmp_path, b"\n".join([good, line, good])))
    assert found == [{"text": "good"}] * 2
    assert refused
    assert any(part in refused[0] for part in reason.split("|")), refused
    assert refused[0].startswith("line 2: ")


def test_numbers_that_json_lacks_are_no_harm_beside_the_text(tmp_path: Path) -> None:
    found, refused = read(file(tmp_path, b'{"text": "a", "score": NaN, "loss": -Infinity}'))
    assert found[0]["text"] == "a"
    assert refused == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (gzip.compress(jsonl().encode(), mtime=0), "a gzip archive: unpack it"),
        (b"PK\x03\x04" + b"\0" * 40, "a zip archive: unpack it"),
        (b"PAR1" + b"\x15\0" * 40, "a Parquet table"),
        (b"\x28\xb5\x2f\xfd" + b"\0" * 40, "a Zstandard archive"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "a PDF document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "run 'git lfs pull'"),
        (b"/annex/objects/SHA256E-s1--00.jsonl\n", "run 'git annex get'"),
    ],
)
def test_what_a_file_is_in_place_of_text_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    path = file(tmp_path, data)
    with pytest.raises(InputError) as refusal:
        read(path)
    assert said in str(refusal.value)
    with pytest.raises(InputError) as refusal:
        list(paragraphs(path, 1000, []))
    assert said in str(refusal.value)
    with pytest.raises(UnreadableError) as reason:
        read_text(path, 1000)
    assert said in str(reason.value)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("blank", ["", " ", "\t ", "\x0c", "\u3000", "\u200b"])
def test_paragraphs_are_cut_where_a_line_shows_nothing(tmp_path: Path, ends: str, blank: str) -> None:
    parts = ["one\nstill one", " = two = ", "three \u2028 still three\x85"]
    text = f"\n{blank}\n".join(["", *parts, "", ""]).replace("\n", ends)
    for mark in (b"", b"\xef\xbb\xbf"):
        path = file(tmp_path, mark + text.encode(), "a.txt")
        assert list(paragraphs(path, 1000, [])) == list(enumerate(parts, 1))


def test_a_long_paragraph_is_left_out_and_costs_no_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "a.txt"
    with path.open("wb") as out:
        out.write(b"first\n\n")
        for _ in range(300):
            out.write(b"x" * 2**20)
        out.write(b"\n\nlast\n")
    refused: list[Refused] = []
    tracemalloc.start()
    assert [text for _, text in paragraphs(path, 10_000, refused)] == ["first", "last"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(r.name, r.reason) for r in refused] == [
        ("paragraph 2", "314,572,801 characters, the limit is 10,000")
    ]
    assert peak < 2 * 2**20


def test_where_a_long_text_stops_being_utf8_is_counted_from_its_start(tmp_path: Path) -> None:
    path = file(tmp_path, "é".encode() * 2_000_000 + b"\xff" + b"x" * 100, "a.txt")
    with pytest.raises(InputError, match="not UTF-8 at byte 4,000,000"):
        list(paragraphs(path, 10**8, []))
    path = file(tmp_path, "é".encode() * 2_000_000 + b"\xc3", "a.txt")
    with pytest.raises(InputError, match="at byte 4,000,000, its end: it was cut short"):
        list(paragraphs(path, 10**8, []))


def test_a_whole_text_keeps_within_its_limit(tmp_path: Path) -> None:
    assert read_text(file(tmp_path, b"a\r\nb\rc\n"), 10) == "a\nb\nc\n"
    assert read_text(file(tmp_path, "\U0001f600".encode() * 10), 10) == "\U0001f600" * 10
    with pytest.raises(UnreadableError, match="over 10 characters"):
        read_text(file(tmp_path, b"x" * 50), 10)
    assert decoded(b"\xef\xbb\xbfa") == "a"
    assert decoded(b"") == ""
