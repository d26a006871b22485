"""audit risks: what the register looks like in CSV, and what it does not let out."""

from __future__ import annotations

import csv
import io

from audit.cli.risks import COLUMNS, as_csv, described
from audit.core.identity import Digest
from audit.core.register import AtRisk, Entry, Status


def entry(content: str | None = None, found: str = "returned by 3 samples") -> Entry:
    one = AtRisk(4, "copies", found, 2.0, 0.01, 3)
    return Entry(1, one, "privacy.copies.excess", Digest("ab" * 20), Status.NEW, content=content)


def cells(document: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(document)))


def test_content_is_masked_unless_it_was_asked_for() -> None:
    (masked,) = cells(as_csv([described(entry())]))
    assert masked["content"] == "(hidden)"
    assert (masked["row"], masked["times"], masked["chance"], masked["status"]) == ("4", "3", "0.01", "new")
    (shown,) = cells(as_csv([described(entry("Ada, born 1815"))]))
    assert shown["content"] == "Ada, born 1815"
    assert tuple(shown) == COLUMNS


def test_a_spreadsheet_finds_no_formula_and_a_terminal_no_command() -> None:
    hostile = '=HYPERLINK("http://x")\x1b[31m,"\n'
    (row,) = cells(as_csv([described(entry(hostile, found="+1 sample"))]))
    assert row["content"].startswith("'=HYPERLINK")
    assert "\x1b" not in row["content"]
    assert row["found"] == "'+1 sample"
