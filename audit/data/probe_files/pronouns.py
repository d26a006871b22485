"""Pronoun probes: Winogender and WinoBias as their authors distribute them, or probes of a user's own in a JSONL file.

Winogender (Rudinger et al. 2018) is a folder with ``templates.tsv`` and ``occupations-stats.tsv``: each template becomes a beginning about the
occupation, with "someone" beside it, that ends before the pronoun, and the same about neutral nouns. WinoBias (Zhao et al. 2018) is a folder of
``pro_stereotyped_type1.txt.dev`` and the like: each pair of lines is the pronoun that fits who works in the occupation, and the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from audit.core.errors import InputError
from audit.data.probe_files.entries import MOST_FILE, Entry, Probes, entries_of, gathered, text_in
from audit.data.probe_files.pairs import COLUMNS as PAIR_COLUMNS
from audit.data.probe_files.pairs import pair_row
from audit.formats.hostile import Refused, UnreadableError, printable, shown
from audit.formats.texts import read_text

COLUMNS = ("prefix", "text", "pronoun", "kind", "unit", "item", "share")
_KINDS, _PRONOUNS = ("occupation", "neutral"), ("she", "he", "they", "wrong")
_FORMS = {"NOM": ("she", "he", "they"), "POSS": ("her", "his", "their"), "ACC": ("her", "him", "them")}
_WRONG = {"NOM": ("them", "him"), "POSS": ("she", "he"), "ACC": ("she", "he")}
_NEUTRAL = ("person", "individual", "visitor", "neighbor", "stranger", "resident")
_PRONOUN = re.compile(r"\$(NOM|POSS|ACC)_PRONOUN")
_LINE = re.compile(r"^\s*\d+\s+(.*\S)\s*$")
_BRACKETED = re.compile(r"\[([^\]]*)\]")


def read_pronouns(path: Path) -> Probes:
    """Return the probes of a JSONL file with the columns of a split ``pronouns``."""
    refused: list[Refused] = []
    if path.suffix.lower() != ".jsonl":
        raise InputError(f"{printable(path)} is no .jsonl file, which probes of pronouns are read from.")
    return gathered(path, COLUMNS, _probe, entries_of(path, refused), refused)


def _probe(entry: Entry) -> Iterator[Mapping[str, str]]:
    share = entry.get("share", 0.5)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise UnreadableError(f"'share' is {shown(str(share))}, no share of women from 0 to 1")
    row = {name: text_in(entry, name) for name in COLUMNS[:-1]}
    for name, known in (("kind", _KINDS), ("pronoun", _PRONOUNS)):
        if row[name] not in known:
            raise UnreadableError(f"'{name}' is {shown(row[name])}; it is {', '.join(known)}")
    yield {**row, "share": str(float(share))}


def read_winogender(path: Path) -> Probes:
    """Return the probes that Winogender's templates make, with the share of women of its labour statistics."""
    refused: list[Refused] = []
    shares = dict(_shares(path / "occupations-stats.tsv"))
    seen: dict[str, int] = {}

    def each(entry: Entry) -> Iterator[Mapping[str, str]]:
        occupation = text_in(entry, "occupation", 200).strip()
        if occupation not in shares:
            raise UnreadableError(f"the occupation '{shown(occupation)}' is not in occupations-stats.tsv")
        sentence = text_in(entry, "sentence")
        place = _PRONOUN.search(sentence)
        if place is None or "$OCCUPATION" not in sentence[: place.start()]:
            raise UnreadableError("no $OCCUPATION before a pronoun")
        item = seen[occupation] = seen.get(occupation, -1) + 1
        before = (
            sentence[: place.start()]
            .rstrip()
            .replace("The $PARTICIPANT", "Someone")
            .replace("the $PARTICIPANT", "someone")
        )
        yield from _filled(before, place[1], "occupation", occupation, str(item), str(shares[occupation]))
        for noun in _NEUTRAL:
            yield from _filled(before, place[1], "neutral", noun, str(item), "0.5")

    templates = path / "templates.tsv"
    named = ((name, _named(entry)) for name, entry in entries_of(templates, refused))
    return gathered(templates, COLUMNS, each, named, refused)


def _named(entry: Entry) -> Entry:
    """Return the fields without what stands in brackets after their names, as in ``occupation(0)``."""
    return {str(name).partition("(")[0]: value for name, value in entry.items()}


def _shares(path: Path) -> Iterator[tuple[str, float]]:
    for name, entry in entries_of(path, []):
        try:
            yield text_in(entry, "occupation", 200), float(text_in(entry, "bls_pct_female", 20)) / 100
        except (UnreadableError, ValueError) as error:
            raise InputError(f"{printable(path)}, {name}: {error}.") from None


def _filled(
    before: str, case: str, kind: str, unit: str, item: str, share: str
) -> Iterator[Mapping[str, str]]:
    prefix = before.replace("$OCCUPATION", unit)
    forms = [(form, pronoun) for form, pronoun in zip(_FORMS[case], _PRONOUNS, strict=False)]
    for form, pronoun in (*forms, *((form, "wrong") for form in _WRONG[case])):
        values = (prefix, f" {form}", pronoun, kind, unit, item, share)
        yield dict(zip(COLUMNS, values, strict=True))


def read_winobias(path: Path) -> Probes:
    """Return WinoBias as pairs: the same line of a ``pro_stereotyped`` file and of its ``anti_stereotyped`` one."""
    refused: list[Refused] = []
    files = sorted(path.glob("pro_stereotyped_type*.txt*")) if path.is_dir() else []
    if not files:
        raise InputError(
            f"{printable(path)} is no folder with pro_stereotyped_type1.txt.dev, as WinoBias is distributed."
        )

    def found() -> Iterator[tuple[str, Entry]]:
        for file in files:
            other = file.with_name(file.name.replace("pro_", "anti_", 1))
            pro, anti = (_lines(one) for one in (file, other))
            if len(pro) != len(anti):
                raise InputError(
                    f"{printable(file)} has {len(pro)} lines and {printable(other)} {len(anti)}."
                )
            kind = file.name.removeprefix("pro_stereotyped_").partition(".")[0]
            for number, lines in enumerate(zip(pro, anti, strict=True), 1):
                yield f"{file.name}, line {number}", {"lines": lines, "type": kind}

    return gathered(path, PAIR_COLUMNS, _winobias, found(), refused)


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in read_text(path, MOST_FILE).split("\n") if line.strip()]
    except UnreadableError as error:
        raise InputError(f"{printable(path)} cannot be read: {error}.") from None


def _winobias(entry: Entry) -> Iterator[Mapping[str, str]]:
    numbered = [_LINE.match(line) for line in entry["lines"]]
    if not all(numbered):
        raise UnreadableError("a line without a number before its sentence")
    sentences = [found[1] for found in numbered if found is not None]
    marked = [_BRACKETED.findall(sentence) for sentence in sentences]
    if any(len(found) != 2 for found in marked) or marked[0][0] != marked[1][0]:
        raise UnreadableError("a sentence without an occupation and a pronoun in brackets")
    about = re.sub(r"^(the|a|an)\s+", "", marked[0][0].strip().lower())
    pro, anti = (sentence.replace("[", "").replace("]", "") for sentence in sentences)
    yield pair_row(pro, anti, category=str(entry["type"]), about=about)
