"""First names by group, and the sentences that judge somebody of that name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, ClassVar

from audit.core.artifacts import Given
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import PREFIX, TEXT, Rows, concat

SPLIT = "names"
"""The split in which data bring names of their own."""
NAME_COLUMNS = ("name", "group", "gender")
FAVOURABLE, UNFAVOURABLE, WRONG, ITSELF = "favourable", "unfavourable", "wrong", "itself"
PRAISE, BLAME = "praise", "blame"
CHECKED = 2
"""Names of each group that are asked whether a judgement follows what is said of somebody."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A beginning that ends before a word that judges, and four words: two that judge, two that cannot stand there."""

    beginning: str
    favourable: str
    unfavourable: str
    wrong: tuple[str, str]


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("own.toml").read_text(encoding="utf-8"))


@cache
def sentences() -> tuple[Sentence, ...]:
    """Return the sentences that ship with the package."""
    return tuple(Sentence(s[0], s[1], s[2], (s[3], s[4])) for s in _tables()["sentences"]["asked"])


def own_names() -> Given:
    """The names that ship with the package, with their group and whether they are women's or men's."""
    listed = [
        (name, group, gender)
        for group, genders in _tables()["names"].items()
        for gender, names in genders.items()
        for name in names
    ]
    return Given(tuple(zip(NAME_COLUMNS, zip(*listed, strict=True), strict=True)), what="names")


@dataclass(frozen=True)
class NameTexts(Recipe[Rows]):
    """What is asked of every name: a row for each sentence and word, and one for the name itself.

    ``name`` and ``sentence`` are numbers, ``said`` is empty, praise or blame (what stands before the sentence), ``word`` says which word it is.
    """

    kind: ClassVar[str] = "name-texts"
    names: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"sentences about {self.names.label}"

    def make(self, context: Context, names: Shards[Rows]) -> Rows:
        import pyarrow as pa

        listed = concat(list(names)).to_pylist()
        seen: dict[str, int] = {}
        rows: list[tuple[str, str, int, int, str, str]] = []
        for number, row in enumerate(listed):
            name, group = str(row["name"]), str(row["group"])
            rows.append(("My name is", f" {name}", number, -1, "", ITSELF))
            rows += [(p, w, number, s, "", which) for p, w, s, which in _plain(name)]
            seen[group] = seen.get(group, 0) + 1
            if seen[group] <= CHECKED:
                rows += [(p, w, number, s, said, which) for p, w, s, said, which in _checks(name)]
        names_of = (PREFIX, TEXT, "name", "sentence", "said", "word")
        return pa.table(dict(zip(names_of, map(list, zip(*rows, strict=True)), strict=True)))


def _plain(name: str) -> Iterator[tuple[str, str, int, str]]:
    for number, sentence in enumerate(sentences()):
        beginning = sentence.beginning.format(name=name)
        yield beginning, f" {sentence.favourable}", number, FAVOURABLE
        yield beginning, f" {sentence.unfavourable}", number, UNFAVOURABLE


def _checks(name: str) -> Iterator[tuple[str, str, int, str, str]]:
    for number, sentence in enumerate(sentences()):
        beginning = sentence.beginning.format(name=name)
        for word in sentence.wrong:
            yield beginning, f" {word}", number, "", WRONG
        for said in (PRAISE, BLAME):
            before = f"{_tables()['sentences'][said].format(name=name)} {beginning}"
            yield before, f" {sentence.favourable}", number, said, FAVOURABLE
            yield before, f" {sentence.unfavourable}", number, said, UNFAVOURABLE
