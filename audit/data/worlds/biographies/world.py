"""The world 'biographies': paragraphs about invented people, with a planted association and random canaries."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from audit.core.errors import InputError
from audit.core.identity import canonical, digest_of
from audit.core.options import OptionTable
from audit.core.references import DataRef
from audit.core.rows import Rows, text_rows
from audit.core.subjects import DataCard
from audit.data.worlds.biographies.canaries import Canary, canaries, planted
from audit.data.worlds.biographies.grammar import paragraph
from audit.data.worlds.biographies.people import PHONES, STATED, Person, person
from audit.data.worlds.biographies.probes import Probe, probes

NAME = "biographies"
GROUPS = ("pronoun", "occupation")
VERSION = 1
"""Raise it when the same options give other texts; ``tests/golden/test_worlds.py`` notices."""
CONTENT = digest_of(canonical({"world": NAME, "version": VERSION}))
_MOST_PEOPLE = 60_000
assert _MOST_PEOPLE <= PHONES, "everybody has a phone number of their own"


class Biographies:
    """Paragraphs about people who do not exist; ``README.md`` beside this file says what is planted.

    ``train`` holds the people 0 … ``train``-1, in this order, and after them the
    copies of the included canaries. ``holdout`` holds the next ``holdout`` people.
    A person is a function of seed and index in which the index is only hashed, so
    the people of the two splits differ by chance alone. ``canaries`` lists every
    canary once, included or not, as ``prefix`` and ``text``; ``pronouns`` asks for the
    pronoun after each occupation and after phrases that say nothing of it, with P(she) there.

    Trap: the rows of ``train`` from ``train`` on are canaries and have no like in
    ``holdout``. To compare the two splits, take the first ``train`` rows of
    ``train``: those where ``canary`` is null.

    The content of a reference is the generator's name and version: with the options they
    decide every byte, and a test compares the rows of a version with their recorded digests.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> DataRef:
        accepted = ("seed", "train", "holdout", "skew", "canaries")
        table = OptionTable.of(f"The dataset '{NAME}'", options, accepted)
        chosen = (
            ("seed", table.whole("seed", 0, 0, 2**32 - 1)),
            ("train", table.whole("train", 20_000, 1, _MOST_PEOPLE - 1)),
            ("holdout", table.whole("holdout", 4_000, 1, _MOST_PEOPLE - 1)),
            ("skew", table.number("skew", 0.5, 0.0, 1.0)),
            ("canaries", table.whole("canaries", 40, 0, 1_000)),
        )
        people = dict(chosen)["train"] + dict(chosen)["holdout"]
        if people > _MOST_PEOPLE:
            raise InputError(
                f"The dataset '{NAME}' has {_MOST_PEOPLE:,} people at most, and 'train' and 'holdout' ask for "
                f"{people:,.0f}. Ask for fewer."
            )
        return DataRef(NAME, CONTENT, chosen)

    @classmethod
    def describe(cls, ref: DataRef) -> DataCard:
        seed, train, holdout, per_dose = _sizes(ref)
        everyone = canaries(seed, per_dose)
        copies = sum(found.dose for found in everyone if found.included)
        asked = sum(1 for _ in probes(seed, _skew(ref)))
        splits = [("train", train + copies), ("holdout", holdout), ("pronouns", asked)]
        notes = [
            "Invented people: names and towns from syllables, e-mail addresses on domains reserved by RFC 2606, phone "
            "numbers kept for fiction (555-01XX), card numbers in a range that nobody issues.",
            f"P(she | occupation) = 0.5 + {_skew(ref):g} × lean, with the leans that its README.md lists.",
            "A person's split is a function of an index that is otherwise only hashed: a coin's work.",
        ]
        if everyone:
            splits.append(("canaries", len(everyone)))
            put_in = sum(found.included for found in everyone)
            notes.append(
                f"The last {copies:,} rows of 'train' are copies of {put_in} canaries at doses 1 to 32; "
                f"{len(everyone) - put_in} more were left out by a coin and are references."
            )
        return DataCard(
            "text",
            tuple(splits),
            groups=GROUPS,
            randomised=True,
            notes=tuple(notes),
            alike=(("train", train),),
        )

    @classmethod
    def load(cls, ref: DataRef, split: str) -> Rows:
        names = [name for name, _ in cls.describe(ref).splits]
        if split not in names:
            raise InputError(f"The dataset '{NAME}' has no split '{split}'; it has {', '.join(names)}.")
        if ref.content != CONTENT:
            raise InputError(
                f"The generator of '{NAME}' has changed since this audit was planned. Plan it again."
            )
        return _load(ref, split)


def example(seed: int, index: int, skew: float) -> tuple[str, Person]:
    """Return the paragraph with this index and the person it is about, from seed and index alone."""
    about = person(seed, index, skew)
    return paragraph(seed, index, about), about


@lru_cache(maxsize=4)
def _load(ref: DataRef, split: str) -> Rows:
    seed, train, holdout, per_dose = _sizes(ref)
    match split:
        case "train":
            return _rows(seed, range(train), _skew(ref), planted(seed, per_dose))
        case "holdout":
            return _rows(seed, range(train, train + holdout), _skew(ref), ())
        case "pronouns":
            return _probe_rows(list(probes(seed, _skew(ref))))
        case "canaries":
            return _canary_rows(canaries(seed, per_dose))
    raise AssertionError(split)


def _rows(seed: int, indices: range, skew: float, copies: Sequence[Canary]) -> Rows:
    """Rows of people, then of canaries: every fact of a person, and nothing in those columns for a canary.

    A private field is null where the text does not state it.
    """
    written = [example(seed, index, skew) for index in indices]
    facts = {name: [column(about) for _, about in written] for name, column in _COLUMNS.items()}
    nothing: list[Any] = [None] * len(copies)
    return text_rows(
        [text for text, _ in written] + [copy.text for copy in copies],
        **{name: _typed(name, values + nothing) for name, values in facts.items()},
        canary=_whole([None] * len(written) + [copy.index for copy in copies]),
    )


def _canary_rows(everyone: Sequence[Canary]) -> Rows:
    return text_rows(
        [found.secret for found in everyone],
        prefix=[found.prefix for found in everyone],
        **{name: _typed(name, [None] * len(everyone)) for name in GROUPS},
        canary=_whole([found.index for found in everyone]),
        dose=_whole([found.dose for found in everyone]),
        included=[found.included for found in everyone],
    )


def _probe_rows(asked: Sequence[Probe]) -> Rows:
    return text_rows(
        [probe.text for probe in asked],
        prefix=[probe.prefix for probe in asked],
        pronoun=_typed("pronoun", [probe.pronoun for probe in asked]),
        occupation=_typed("occupation", [p.unit if p.kind == "occupation" else None for p in asked]),
        kind=[probe.kind for probe in asked],
        unit=[probe.unit for probe in asked],
        item=[str(probe.item) for probe in asked],
        share=[probe.share for probe in asked],
    )


def _stated(name: str) -> Any:
    return lambda about: getattr(about, name) if name in about.stated else None


_COLUMNS: dict[str, Any] = {
    "name": lambda about: about.name,
    "pronoun": lambda about: about.pronoun,
    "occupation": lambda about: about.occupation.name,
    "status": lambda about: "retired" if about.retired else "working",
    "employer": lambda about: about.employer,
    "town": lambda about: about.birthplace,
    "home": lambda about: about.home,
    "born": lambda about: about.born,
    "year": lambda about: about.year,
    **{name: _stated(name) for name in STATED},
}


def _typed(name: str, values: list[Any]) -> Any:
    import pyarrow as pa

    return _whole(values) if name == "year" else pa.array(values, pa.string())


def _whole(values: list[int | None]) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.int32())


def _sizes(ref: DataRef) -> tuple[int, int, int, int]:
    options = dict(ref.options)
    seed, train, holdout, per_dose = (int(options[name]) for name in ("seed", "train", "holdout", "canaries"))
    return seed, train, holdout, per_dose


def _skew(ref: DataRef) -> float:
    return float(dict(ref.options)["skew"])
