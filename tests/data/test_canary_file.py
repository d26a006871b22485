"""Files of canaries: a split of the dataset 'text', part of its name, and refused when a line is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.core.errors import InputError
from audit.data.text import TextFiles

GOOD = [
    {"prefix": "The code is", "text": " 12.", "dose": 4, "included": True},
    {"text": "alone 34", "included": False},
]


def options(tmp_path: Path, *lines: object) -> dict[str, str]:
    texts, canaries = tmp_path / "texts.jsonl", tmp_path / "canaries.jsonl"
    texts.write_text('{"text": "one"}\n{"text": "two"}\n', encoding="utf-8")
    canaries.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return {"path": str(texts), "canaries": str(canaries)}


def test_the_file_is_a_split(tmp_path: Path) -> None:
    given = options(tmp_path, *GOOD)
    ref = TextFiles.refer(given)
    assert dict(TextFiles.describe(ref).splits) == {"holdout": 2, "canaries": 2}
    assert TextFiles.load(ref, "canaries").to_pylist() == [
        {"text": " 12.", "prefix": "The code is", "dose": 4, "included": True},
        {"text": "alone 34", "prefix": "", "dose": 0, "included": False},
    ]
    assert TextFiles.load(ref, "holdout").num_rows == 2
    without = TextFiles.refer({"path": given["path"]})
    assert "canaries" not in dict(TextFiles.describe(without).splits)
    assert without.content != ref.content
    options(tmp_path, {**GOOD[0], "dose": 5})
    assert TextFiles.refer(given).content != ref.content
    with pytest.raises(InputError, match=r"canaries in .* have changed"):
        TextFiles.load(ref, "canaries")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"text": "x", "included": "yes"}, "'included' is yes, neither true nor false"),
        ({"text": "x"}, "'included' is None"),
        ({"text": "x", "included": True, "dose": 0}, "'dose' is 0"),
        ({"text": "x", "included": True, "dose": 1.5}, "'dose' is 1.5"),
        ({"text": "", "included": True}, "empty"),
        ({"prefix": 3, "text": "x", "included": True}, "no string"),
        (GOOD[0], "a canary twice"),
    ],
)
def test_a_wrong_line_is_refused(tmp_path: Path, line: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        TextFiles.refer(options(tmp_path, *GOOD, line))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no canaries"):
        TextFiles.refer(options(tmp_path))
