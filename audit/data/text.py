"""Texts from JSONL, from a text file, or from a folder of text files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.core.identity import canonical, digest_file, digest_of
from audit.core.options import OptionTable
from audit.core.references import DataRef
from audit.core.rows import PREFIX, TEXT, Rows, text_rows
from audit.core.subjects import DataCard
from audit.data.near_duplicates import text_duplicates
from audit.data.places import folders_of, notes_on, placed, places, randomised
from audit.formats.folders import listing
from audit.formats.hostile import Refused, UnreadableError, shown, tolerate
from audit.formats.texts import MOST_CHARACTERS, checked, read_text, records

_OPTIONS = ("path", "train", "holdout", "field", "groups", "most_characters", "randomised")
_COMPARED = 20_000
"""Texts of each split compared for near-duplicates: half a minute on one core at 500 words each."""


class TextFiles:
    """Texts, in the order of the file or of the file names.

    A place is a ``.jsonl`` file (one object a line, the text in ``field``,
    ``"text"`` unless told, ``groups`` in columns of their own), a folder of
    ``.txt`` files (a text each), or one ``.txt`` file (cut at blank lines).
    ``path`` gives one split, ``holdout``: nothing is known about what the model
    was trained on. ``train`` and ``holdout`` name a place each.

    A text that is not UTF-8, is empty, holds NUL or exceeds
    ``most_characters`` is left out and counted; over 5 % of them is an error.
    ``randomised = true`` is your word that chance alone decided between the splits.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> DataRef:
        table = OptionTable.of("the dataset 'text'", options, _OPTIONS)
        field, groups = table.text("field", TEXT), table.names("groups")
        for name in groups:
            if name in (TEXT, PREFIX, "image", "row", field):
                raise InputError(
                    f"'{name}' cannot be a group of the dataset 'text': that column holds the example."
                )
        found = folders_of(table)
        content = {split: _content(place) for split, place in found.items()}
        chosen = (
            ("field", field),
            ("groups", json.dumps(groups)),
            ("most_characters", table.whole("most_characters", MOST_CHARACTERS, 1, 100_000_000)),
            ("randomised", randomised(table)),
        )
        return DataRef("text", digest_of(canonical(content)), chosen, placed(found))

    @classmethod
    def describe(cls, ref: DataRef) -> DataCard:
        splits = {name: _read(ref, name) for name in places(ref)}
        problems = [sentence for split in splits.values() for sentence in split.problems]
        if len(splits) == 2:
            first, second = (splits[name].texts[:_COMPARED] for name in ("train", "holdout"))
            problems += text_duplicates(first, second, "train", "holdout").sentences()
            if max(len(split.texts) for split in splits.values()) > _COMPARED:
                problems.append(
                    f"Near-duplicates were looked for among the first {_COMPARED:,} texts of each split."
                )
        return DataCard(
            "text",
            tuple((name, len(split.texts)) for name, split in splits.items()),
            groups=_groups(ref),
            randomised=bool(dict(ref.options)["randomised"]),
            problems=tuple(problems),
            notes=notes_on(splits),
        )

    @classmethod
    def load(cls, ref: DataRef, split: str) -> Rows:
        if split not in places(ref):
            raise InputError(f"This dataset has no split '{split}'; it has {', '.join(places(ref))}.")
        found = _read(ref, split)
        columns = {name: [entry[at] for entry in found.groups] for at, name in enumerate(_groups(ref))}
        return text_rows(found.texts, **columns)


@dataclass(frozen=True, slots=True)
class _Split:
    """The usable texts of a place, their groups, and sentences about the others."""

    texts: tuple[str, ...]
    groups: tuple[tuple[str | None, ...], ...]
    problems: tuple[str, ...]


@lru_cache(maxsize=4)
def _read(ref: DataRef, split: str) -> _Split:
    if digest_of(canonical({name: _content(place) for name, place in places(ref).items()})) != ref.content:
        raise InputError(
            f"The texts in {places(ref)[split]} have changed since the audit was planned. Plan it again."
        )
    place, options = places(ref)[split], dict(ref.options)
    most = int(options["most_characters"])
    refused: list[Refused] = []
    notes: tuple[str, ...] = ()
    if place.is_dir():
        texts, notes = _folder(place, most, refused)
    elif place.suffix.lower() == ".jsonl":
        texts = _jsonl(place, str(options["field"]), _groups(ref), most, refused)
    else:
        texts = _paragraphs(place, most, refused)
    problems = tolerate(refused, len(texts) + len(refused), "texts", str(place))
    if not texts:
        raise InputError(
            f"{place} holds no texts. Name a .jsonl file, a .txt file or a folder of .txt files."
        )
    return _Split(tuple(t for t, _ in texts), tuple(g for _, g in texts), (*problems, *notes))


_Texts = list[tuple[str, tuple[str | None, ...]]]


def _folder(place: Path, most: int, refused: list[Refused]) -> tuple[_Texts, tuple[str, ...]]:
    listed = listing(place)
    refused.extend(listed.refused)
    texts: _Texts = []
    others = 0
    for name, path in listed.files().items():
        if path.suffix.lower() != ".txt":
            others += 1
            continue
        try:
            texts.append((checked(read_text(path, most), most), ()))
        except UnreadableError as error:
            refused.append(Refused(name, str(error)))
    return texts, (f"{others:,} files in {place} do not end in .txt and were not read.",) if others else ()


def _paragraphs(place: Path, most: int, refused: list[Refused]) -> _Texts:
    try:
        whole = read_text(place, max(most, MOST_CHARACTERS))
        if "\0" in whole:
            raise UnreadableError("holds a NUL character")
    except UnreadableError as error:
        raise InputError(
            f"{place} cannot be read: {error}. Save it as UTF-8 text, or convert it to .jsonl."
        ) from error
    texts: _Texts = []
    for number, part in enumerate((p for p in whole.split("\n\n") if p.strip()), 1):
        try:
            texts.append((checked(part.strip("\n"), most), ()))
        except UnreadableError as error:
            refused.append(Refused(f"paragraph {number}", str(error)))
    return texts


def _jsonl(place: Path, field: str, groups: tuple[str, ...], most: int, refused: list[Refused]) -> _Texts:
    texts: _Texts = []
    for number, record in records(place, most, refused):
        try:
            if field not in record:
                names = ", ".join(shown(name) for name in list(record)[:5])
                raise UnreadableError(f"no field '{field}' among {names or 'none'}")
            texts.append((checked(record[field], most), tuple(_group(record.get(name)) for name in groups)))
        except UnreadableError as error:
            refused.append(Refused(f"line {number}", str(error)))
    for at, name in enumerate(groups):
        if texts and all(entry[at] is None for _, entry in texts):
            raise InputError(f"No line of {place} has the group '{name}'. Correct 'groups', or leave it out.")
    return texts


def _group(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return None if value is None else checked(value, 1_000)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise UnreadableError("a group that is neither a string nor a number")


def _content(place: Path) -> dict[str, str]:
    """Return the digests of the files of a place by name; the name of a lone file is its ending only."""
    try:
        if place.is_dir():
            files = listing(place).files()
            return {name: digest_file(path) for name, path in files.items() if path.suffix.lower() == ".txt"}
        if place.suffix.lower() not in (".jsonl", ".txt") or not place.is_file():
            raise InputError(f"{place} is neither a .jsonl file, a .txt file nor a folder of .txt files.")
        return {place.suffix.lower(): digest_file(place)}
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _groups(ref: DataRef) -> tuple[str, ...]:
    return tuple(json.loads(str(dict(ref.options)["groups"])))
