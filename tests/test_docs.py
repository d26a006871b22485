"""What the documentation says is so: its tables, its commands, its files, its spec."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from audit.cli.main import COMMANDS
from audit.config.spec import parse_spec
from audit.registry import catalogue

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def test_the_tables_of_the_readme_are_what_the_code_says() -> None:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    assert tables.rendered(README) == README, "run: python docs/tables.py --write"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:audit|docs|tests|examples|benchmarks|reports|dashboards)/[\w./-]+)`", text)
    for name in named:
        assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_commands_that_the_readme_names_exist() -> None:
    for name in re.findall(r"^audit ([a-z]+)", README, flags=re.MULTILINE):
        assert name in COMMANDS, name


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    for page in PAGES:
        for name in re.findall(r"`?make ([a-z-]+)", page.read_text(encoding="utf-8")):
            if f"`make {name}" in page.read_text(encoding="utf-8") or page.name in (
                "README.md",
                "CONTRIBUTING.md",
            ):
                assert name in targets, f"{page.name}: make {name}"


def test_the_spec_in_the_readme_is_a_spec() -> None:
    (block,) = re.findall(r"```toml\n(name = .*?)```", README, flags=re.DOTALL)
    spec = parse_spec(tomllib.loads(block), ROOT)
    assert spec.adapter in catalogue("models").names()
    assert spec.data in catalogue("datasets").names()


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.name)
def test_an_example_names_plugins_that_exist(path: Path) -> None:
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    values["model"].pop("asset", None)  # an asset need not be here to read the spec
    spec = parse_spec(values, path.parent)
    assert spec.adapter in catalogue("models").names()
    assert spec.data in catalogue("datasets").names()
    assert spec.run.executor in catalogue("executors").names()
    for evaluator in spec.evaluators or ():
        assert evaluator.name in catalogue("evaluators").names()


def test_the_words_that_nobody_may_claim_are_not_claimed() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8").lower()
        for word in ("is compliant", "is anonymous", "guarantees privacy", "is safe"):
            assert word not in text, f"{page.name}: {word}"


def test_every_change_a_user_can_notice_is_a_sentence() -> None:
    entries = re.findall(r"^- (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert entries
    assert all(entry.endswith(".") for entry in entries)
