"""Texts from JSONL, from a text file, or from a folder of text files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from audit.core.data_facts import Texts
from audit.core.errors import InputError
from audit.core.identity import Digest, canonical, digest_of
from audit.core.options import OptionTable
from audit.core.references import DataRef, Options
from audit.core.rows import PREFIX, TEXT, Rows, text_rows
from audit.core.subjects import DataCard
from audit.data.canary_file import CANARIES, canaries_digest, canary_rows, read_canaries
from audit.data.near_duplicates import find_copies
from audit.data.places import folders_of, notes_on, placed, places, randomised, stamp_of
from audit.data.probe_files.entries import Probes
from audit.data.probe_files.readers import READERS, digest_of_probes, probes_of, unchanged
from audit.data.similar_texts import SimilarTexts
from audit.formats.conversations import field_advice, field_of, reply_in
from audit.formats.files import opened
from audit.formats.folders import LINK_ADVICE, LINKS, Listing, leads_out, listing
from audit.formats.hostile import Mark, Refused, UnreadableError, printable, shown, tolerate
from audit.formats.texts import MOST_CHARACTERS, checked, paragraphs, plain_name, read_text, records

_FIELDS = {"train": "train_field", "holdout": "holdout_field"}
_MESSAGES = "messages"
_OPTIONS = (
    "path",
    "train",
    "holdout",
    "field",
    *_FIELDS.values(),
    PREFIX,
    _MESSAGES,
    "groups",
    "most_characters",
    "randomised",
    "links",
    CANARIES,
    *READERS,
)
_MOST_GROUP = 1_000


class TextFiles:
    """Texts, in the order of their digests.

    A place is a ``.jsonl`` file (one object a line, the text in ``field``, ``"text"`` unless told, ``groups`` in columns
    of their own), a folder of ``.txt`` files (a text each), or one ``.txt`` file (cut at blank lines, which may hold
    white space). ``path`` gives one split, ``holdout``: nothing is known about what the model was trained on. ``train``
    and ``holdout`` name a place each, and ``train_field`` and ``holdout_field`` the field of each where they differ.
    ``prefix`` names a field with the prompt that a text answers, which is conditioned on and never scored; ``messages``
    names instead a field with a conversation, of which the text is the last reply and the prompt what was said before.

    The data are the texts and the groups they are in: the same texts with other
    line ends, in other lines or in files of other names are the same data in the
    same order, so nothing that is drawn by chance depends on how they are stored.

    A text that is not UTF-8, is empty, holds NUL or exceeds
    ``most_characters`` is left out and counted; over 5 % of them is an error.
    ``randomised = true`` is your word that chance alone decided between the
    splits. ``canaries`` names a ``.jsonl`` file of canaries, which becomes a split
    (``audit/data/canary_file.py``). Probes of fairness are splits too, each from the file that the option of its name
    gives: ``audit/data/probe_files`` has a module a kind. ``links = "follow"`` follows links that lead out of a folder.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> DataRef:
        table = OptionTable.of("the dataset 'text'", options, _OPTIONS)
        groups = table.names("groups")
        found = folders_of(table)
        fields = _fields(table, found)
        for name in groups:
            if name in (TEXT, PREFIX, "image", "row", *fields.values()):
                raise InputError(
                    f"'{name}' cannot be a group of the dataset 'text': that column holds the example."
                )
        for place in found.values():
            if groups and (place.is_dir() or place.suffix.lower() != ".jsonl"):
                raise InputError(
                    f"The option 'groups' of the dataset 'text' needs a .jsonl file, where each line can say in which "
                    f"groups its text is; {printable(place)} is not one."
                )
        prompted = _prompted(table, found)
        chosen: Options = (
            ("groups", json.dumps(groups)),
            ("links", table.choice("links", "inside", LINKS)),
            ("most_characters", table.whole("most_characters", MOST_CHARACTERS, 1, 100_000_000)),
            ("randomised", randomised(table)),
            *((_FIELDS[split], field) for split, field in fields.items()),
            *prompted,
        )
        filed = {name: file for name in (CANARIES, *READERS) if (file := table.path(name)) is not None}
        known = {name: _listed_digest(name, file) for name, file in filed.items()}
        chosen = (*chosen, *known.items())
        located = placed({**found, **filed})
        draft = DataRef("text", Digest(""), chosen, located)
        rows = tuple((split, each.content) for split, each in _surveyed(draft).items())
        return replace(draft, content=digest_of(canonical({**dict(rows), **known})), options=(*chosen, *rows))

    @classmethod
    def describe(cls, ref: DataRef) -> DataCard:
        splits = _surveyed(ref)
        for split, found in splits.items():
            _check_unchanged(ref, split, found)
        copies = find_copies(
            {split: found.digests for split, found in splits.items()},
            SimilarTexts({split: found.texts for split, found in splits.items()}),
        )
        lengths = tuple(_lengths(split, found.texts) for split, found in splits.items())
        return DataCard(
            "text",
            (*((split, len(found.texts)) for split, found in splits.items()), *_listed_splits(ref)),
            groups=_groups(ref),
            randomised=bool(dict(ref.options)["randomised"]),
            problems=(
                *(sentence for found in splits.values() for sentence in found.problems),
                *copies.sentences({split: found.names for split, found in splits.items()}),
                *(sentence for each in lengths for sentence in each.sentences()),
                *(sentence for split in _probe_splits(ref) for sentence in _probes(ref, split).problems),
            ),
            notes=notes_on(splits),
            overlaps=copies.overlaps,
            copies=copies.copies,
            texts=lengths,
        )

    @classmethod
    def load(cls, ref: DataRef, split: str) -> Rows:
        if split not in places(ref):
            raise InputError(f"This dataset has no split '{split}'; it has {', '.join(places(ref))}.")
        if split == CANARIES:
            _check_canaries(ref)
            return canary_rows(read_canaries(places(ref)[split]))
        if split in READERS:
            return _probes(ref, split).rows
        found = _read(ref, split)
        _check_unchanged(ref, split, found)
        columns = {name: [entry[at] for entry in found.groups] for at, name in enumerate(_groups(ref))}
        prompts = {PREFIX: found.prefixes} if {PREFIX, _MESSAGES} & dict(ref.options).keys() else {}
        return text_rows(found.texts, **prompts, **columns)


def _prompted(table: OptionTable, found: Mapping[str, Path]) -> Options:
    """Return the option that says where prompts are. Raise InputError where it contradicts another or cannot be met."""
    given = [name for name in (PREFIX, _MESSAGES) if name in table.values]
    if not given:
        return ()
    fields = [name for name in ("field", *_FIELDS.values(), PREFIX) if name in table.values]
    if _MESSAGES in given and fields:
        raise InputError(
            f"[data] has 'messages' beside '{fields[0]}': a conversation holds both prompt and reply. Remove one of the two."
        )
    for place in found.values():
        if place.suffix.lower() != ".jsonl" or place.is_dir():
            raise InputError(
                f"The option '{given[0]}' of {table.owner} needs a .jsonl file, and {printable(place)} is not one."
            )
    return ((given[0], table.text(given[0])),)


def _fields(table: OptionTable, found: Mapping[str, Path]) -> dict[str, str]:
    """Return the field of each split: its own, or the one for all."""
    common = table.text("field", TEXT)
    for split, name in _FIELDS.items():
        if name in table.values and split not in found:
            raise InputError(
                f"{table.owner} has '{name}' and no split '{split}'. Give {split} too, or write field."
            )
    return {split: table.text(_FIELDS[split], common) for split in found}


@dataclass(frozen=True, slots=True)
class _Split:
    """The usable texts of a place, their groups and where each stands, and sentences about the others."""

    texts: tuple[str, ...]
    prefixes: tuple[str, ...]
    groups: tuple[_Groups, ...]
    names: tuple[str, ...]
    digests: tuple[Digest, ...]
    content: Digest
    problems: tuple[str, ...]


_Groups: TypeAlias = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """A text, the groups it is in, and where it stands: a line, a paragraph or a file."""

    text: str
    groups: _Groups
    name: str
    prefix: str = ""

    @property
    def beside(self) -> str:
        """Spell what the data say of a text beside the text itself."""
        return json.dumps((self.groups, self.prefix) if self.prefix else self.groups)


def _surveyed(ref: DataRef) -> dict[str, _Split]:
    """Read every place once, again only when a file was written since."""
    options = tuple((name, value) for name, value in ref.options if name not in places(ref))
    stamps = {split: stamp_of(_files(ref, split)) for split in _splits(ref)}
    return _survey_all(ref.location, options, digest_of(canonical(stamps)))


@lru_cache(maxsize=2)
def _survey_all(
    location: str,
    options: Options,
    stamp: Digest,  # noqa: ARG001  so that what was kept is forgotten once a file changes
) -> dict[str, _Split]:
    ref = DataRef("text", Digest(""), options, location)
    return {split: _read(ref, split) for split in _splits(ref)}


def _splits(ref: DataRef) -> tuple[str, ...]:
    """Return the splits that hold texts, without the canaries and the probes."""
    return tuple(split for split in places(ref) if split != CANARIES and split not in READERS)


def _probe_splits(ref: DataRef) -> tuple[str, ...]:
    return tuple(split for split in places(ref) if split in READERS)


def _probes(ref: DataRef, split: str) -> Probes:
    return unchanged(split, places(ref)[split], str(dict(ref.options)[split]))


def _listed_digest(name: str, file: Path) -> Digest:
    """Name the canaries or the probes of a file by what they say."""
    return (
        canaries_digest(read_canaries(file)) if name == CANARIES else digest_of_probes(probes_of(name, file))
    )


def _listed_splits(ref: DataRef) -> tuple[tuple[str, int], ...]:
    """Return the splits that are lists beside the texts, with their sizes."""
    canaries = ((CANARIES, _check_canaries(ref)),) if CANARIES in places(ref) else ()
    return (*canaries, *((split, _probes(ref, split).rows.num_rows) for split in _probe_splits(ref)))


def _check_canaries(ref: DataRef) -> int:
    """Return how many canaries there are, once they are those that the audit was planned with."""
    place = places(ref)[CANARIES]
    found = read_canaries(place)
    if canaries_digest(found) != dict(ref.options)[CANARIES]:
        raise InputError(
            f"The canaries in {printable(place)} have changed since the audit was planned. Plan it again."
        )
    return len(found)


def _files(ref: DataRef, split: str) -> list[Path]:
    """Return the files of a place. Raise InputError when it holds no texts of a kind that is read here."""
    place = places(ref)[split]
    if place.is_dir():
        return list(_listed(ref, place).files().values())
    if place.suffix.lower() not in (".jsonl", ".txt"):
        raise InputError(
            f"{printable(place)} is neither a .jsonl file, a .txt file nor a folder of .txt files. "
            "Write one JSON object a line into a .jsonl file, with the text in a field 'text'."
        )
    try:
        opened(place).close()
    except UnreadableError as error:
        raise InputError(f"{printable(place)} cannot be read: {error}. Name a regular file.") from error
    return [place]


def _listed(ref: DataRef, place: Path) -> Listing:
    return listing(place, links=str(dict(ref.options)["links"]))


def _read(ref: DataRef, split: str) -> _Split:
    place, options = places(ref)[split], dict(ref.options)
    most = int(options["most_characters"])
    refused: list[Refused] = []
    if place.is_dir():
        rows = _folder(_listed(ref, place), most, refused)
    elif _files(ref, split)[0].suffix.lower() == ".jsonl":
        rows = _jsonl(place, _Fields.of(options, split), _groups(ref), most, refused)
    else:
        parts = paragraphs(place, most, refused)
        rows = [_Row(text, (), f"paragraph {number}") for number, text in parts]
    advice = LINK_ADVICE if leads_out(refused) else field_advice(refused, options)
    problems = tolerate(refused, len(rows) + len(refused), "texts", str(place), advice)
    if not rows:
        other = " ".join(("", *problems))
        raise InputError(
            f"{printable(place)} holds no texts. Name a .jsonl file, a .txt file or a folder of .txt files.{other}"
        )
    keyed = sorted(((digest_of(row.text.encode()), row.beside, row) for row in rows), key=lambda k: k[:2])
    content = digest_of("\n".join(f"{digest} {groups}" for digest, groups, _ in keyed).encode())
    return _Split(
        tuple(row.text for *_, row in keyed),
        tuple(row.prefix for *_, row in keyed),
        tuple(row.groups for *_, row in keyed),
        tuple(row.name for *_, row in keyed),
        tuple(digest for digest, *_ in keyed),
        content,
        problems,
    )


def _folder(listed: Listing, most: int, refused: list[Refused]) -> list[_Row]:
    refused.extend(listed.refused)
    rows = []
    for name, path in listed.files().items():
        if path.suffix.lower() != ".txt":
            refused.append(Refused(name, "does not end in .txt", Mark.BESIDE))
            continue
        try:
            rows.append(_Row(checked(read_text(path, most), most), (), name))
        except UnreadableError as error:
            refused.append(Refused(name, str(error)))
    return rows


@dataclass(frozen=True, slots=True)
class _Fields:
    """Which fields of a line hold the text, the prompt, or both as a conversation; empty where there is none."""

    text: str
    prefix: str
    messages: str

    @classmethod
    def of(cls, options: Mapping[str, Any], split: str) -> _Fields:
        return cls(
            str(options[_FIELDS[split]]), str(options.get(PREFIX, "")), str(options.get(_MESSAGES, ""))
        )

    def read(self, record: Mapping[str, Any], most: int) -> tuple[str, str]:
        """Return prompt and text. Raise UnreadableError with the reason."""
        if self.messages:
            return reply_in(record, self.messages, most)
        text = checked(field_of(record, self.text), most)
        prefix = field_of(record, self.prefix) if self.prefix else ""
        return ("" if prefix == "" else checked(prefix, most)), text


def _jsonl(
    place: Path, fields: _Fields, groups: tuple[str, ...], most: int, refused: list[Refused]
) -> list[_Row]:
    rows = []
    for number, record in records(place, most, refused):
        try:
            prefix, text = fields.read(record, most)
            entry = tuple(_group(record.get(name)) for name in groups)
            rows.append(_Row(text, entry, f"line {number}", prefix))
        except UnreadableError as error:
            refused.append(Refused(f"line {number}", str(error)))
    for at, name in enumerate(groups):
        if rows and all(row.groups[at] is None for row in rows):
            raise InputError(
                f"No line of {printable(place)} has the group '{shown(name)}'. Correct 'groups', or leave it out."
            )
    return rows


def _group(value: Any) -> str | None:
    """Return a group as text; null, NaN and white space are no group."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        return checked(plain_name(value), _MOST_GROUP) if value.strip() else None
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise UnreadableError("a group that is neither a string nor a number")


def _lengths(split: str, texts: tuple[str, ...]) -> Texts:
    lengths = [len(text) for text in texts]
    return Texts(
        split, len(texts), sum(lengths), max(lengths), sum(lengths) ** 2 / sum(n * n for n in lengths)
    )


def _groups(ref: DataRef) -> tuple[str, ...]:
    return tuple(json.loads(str(dict(ref.options)["groups"])))


def _check_unchanged(ref: DataRef, split: str, found: _Split) -> None:
    if found.content != dict(ref.options)[split]:
        raise InputError(
            f"The texts in {printable(places(ref)[split])} have changed since the audit was planned. Plan it again."
        )
