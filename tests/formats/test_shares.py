"""Target shares from a user's file, and what is wrong with a file by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.core.errors import InputError
from audit.formats.shares import read_shares


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    toml, csv = tmp_path / "a.toml", tmp_path / "a.csv"
    toml.write_text('[tone]\nlight = 0.4\n"very: dark" = 0.6\n')
    csv.write_text("value,attribute,share\nlight,tone,0.4\nvery: dark,tone,0.6\n")
    assert read_shares(toml) == read_shares(csv) == ["tone=light: 0.4", "tone=very: dark: 0.6"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "light = 0.4", "outside a table"),
        ("a.toml", "[tone]\nlight = '0.4'", "share nan"),
        ("a.toml", "[tone]\nlight = 1.4", "share 1.4"),
        ("a.toml", "[tone", "not valid TOML"),
        ("a.toml", "", "empty"),
        ("a.csv", "a,b,c\n", "need the columns"),
        ("a.csv", "attribute,value,share\ntone,light\n", "Line 2 .* 2 values"),
        ("a.csv", "attribute,value,share\ntone,light,x\n", "Line 2 .* share 'x'"),
        ("a.csv", "attribute,value,share\ntone,light,nan\n", "Line 2 .* share nan"),
        ("a.csv", "attribute,value,share\ntone,a,0.5\ntone,a,0.5\n", "Line 3 .* twice"),
        ("a.csv", "attribute,value,share\n,a,0.5\n", "Line 2 .* lacks"),
        ("a.txt", "x", "neither"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        read_shares(tmp_path / name)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_shares(tmp_path / "none.csv")
