"""The world of portraits: cartoon people of whom everything is known, as a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.data_facts import Copies
from audit.core.errors import InputError
from audit.core.identity import canonical, digest_of
from audit.core.options import OptionTable
from audit.core.references import DataRef
from audit.core.rows import Rows, image_rows
from audit.core.subjects import DataCard
from audit.data.worlds.portraits.drawing import portraits
from audit.data.worlds.portraits.factors import FACTORS
from audit.data.worlds.portraits.people import people
from audit.stats.shuffling import shuffled

DOSES = (1, 2, 4, 8, 16, 32)
"""How often a planted person occurs in ``train``."""
SKEW = 0.5
TRAIN, HOLDOUT = 20_000, 5_000
_MOST = 10_000_000
_LEAST_PLANTED = 256
_ROWS_A_SET = 2_000
_SEEDS = 2**32
VERSION = 1
"""Raise it when the same options give other pictures; ``tests/golden/test_worlds.py`` notices."""
CONTENT = digest_of(canonical({"world": "portraits", "version": VERSION}))


class Portraits:
    """32×32 colour portraits drawn from twelve recorded factors; ``README.md`` beside this file says what is planted.

    ``seed`` names a population of numbered people; each follows from seed and
    number alone. A permutation drawn by ``seed`` puts people into ``train`` and
    ``holdout``, so whether a person may be learnt from is decided by chance and by
    nothing in the picture. ``skew`` (0 … 1) scales the associations of occupation, skin
    tone and presentation. With ``duplicates`` some people occur 2 … 32 times in
    ``train``: rows count people and copies together.

    The content of a reference is the world's name and version: with the options they decide every
    byte, and a test compares the rows of a version with their recorded digests.

    Trap: an included model saw ``train`` of the options in its card. With other options the splits say nothing about it.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> DataRef:
        table = OptionTable.of(
            "The dataset 'portraits'", options, ("seed", "train", "holdout", "skew", "duplicates")
        )
        train = table.whole("train", TRAIN, 1, _MOST)
        duplicates = table.flag("duplicates", default=True)
        if duplicates and train < _LEAST_PLANTED:
            raise InputError(
                f"The option 'train' of the dataset 'portraits' is {train}; the planted duplicates need at least "
                f"{_LEAST_PLANTED} rows. Give more, or duplicates = false."
            )
        return DataRef(
            "portraits",
            CONTENT,
            (
                ("duplicates", duplicates),
                ("holdout", table.whole("holdout", HOLDOUT, 1, _MOST)),
                ("seed", table.whole("seed", 0, 0, _SEEDS - 1)),
                ("skew", round(table.number("skew", SKEW, 0, 1), 3)),
                ("train", train),
            ),
        )

    @classmethod
    def describe(cls, ref: DataRef) -> DataCard:
        options = dict(ref.options)
        plan = plan_of(ref)
        planted = len(plan.planted)
        clusters = tuple(
            rows
            for n, dose in plan.planted.items()
            if dose > 1
            for rows in [tuple(np.flatnonzero(plan.train == n).tolist())]
        )
        surplus = sum(len(rows) - 1 for rows in clusters)
        return DataCard(
            "image",
            (("train", int(options["train"])), ("holdout", int(options["holdout"]))),
            groups=tuple(FACTORS),
            randomised=True,
            notes=(
                "Cartoon people drawn by a program: every factor is known, nobody is real.",
                "'presentation' is how hair, face and dress are drawn; it says nothing about anybody's identity.",
                "Skin tones are the ten colours of the Monk Skin Tone Scale (Ellis Monk, Google; CC BY 4.0).",
                f"Occupation, skin tone and presentation are associated with strength skew = {options['skew']}.",
                f"Planted in 'train': {planted} people, of whom each sixth occurs "
                f"{', '.join(map(str, DOSES))} times (column 'dose')."
                if planted
                else "No duplicates are planted.",
            ),
            extractors=(("attributes", "portraits-attributes"),),
            copies=(Copies("train", clusters, surplus, len(plan.train), len(plan.train)),)
            if clusters
            else (),
        )

    @classmethod
    def load(cls, ref: DataRef, split: str) -> Rows:
        if ref.content != CONTENT:
            raise InputError(
                "The world of portraits has changed since this audit was planned. Plan it again."
            )
        plan = plan_of(ref)
        options = dict(ref.options)
        match split:
            case "train":
                numbers, copies = plan.train, plan.copies
            case "holdout":
                numbers, copies = plan.holdout, np.zeros(len(plan.holdout), np.int64)
            case _:
                raise InputError(f"The dataset 'portraits' has no split '{split}'; it has train, holdout.")
        distinct, places = np.unique(numbers, return_inverse=True)
        who = people(int(options["seed"]), distinct.tolist(), float(options["skew"]))
        factors = {
            name: np.asarray(values)[who.codes[name]][places].tolist() for name, values in FACTORS.items()
        }
        absent = split == "holdout"
        return image_rows(
            portraits(who)[places],
            **factors,
            id=[
                f"{n:07}" if not copy else f"{n:07}-{copy + 1}"
                for n, copy in zip(numbers.tolist(), copies.tolist(), strict=True)
            ],
            duplicate_of=[
                f"{n:07}" if copy else None for n, copy in zip(numbers.tolist(), copies.tolist(), strict=True)
            ],
            dose=["0" if absent else str(plan.planted.get(n, 1)) for n in numbers.tolist()],
            planted=["yes" if not absent and n in plan.planted else "no" for n in numbers.tolist()],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Who is in which row: numbers of people by split, and for ``train`` which copy of them (0 is the first).

    ``planted`` gives the dose of every person who was chosen for one.
    """

    train: NDArray[np.int64]
    copies: NDArray[np.int64]
    holdout: NDArray[np.int64]
    planted: dict[int, int]


@lru_cache(maxsize=4)
def plan_of(ref: DataRef) -> Plan:
    """Deal people into splits by one permutation, and rows of ``train`` into an order by another."""
    options = dict(ref.options)
    rows, absent, seed = int(options["train"]), int(options["holdout"]), int(options["seed"])
    a_dose = max(1, min(10, rows // _ROWS_A_SET)) if options["duplicates"] else 0
    members = rows - a_dose * sum(dose - 1 for dose in DOSES)
    dealt = shuffled(members + absent, seed)
    planted = {number: DOSES[place // a_dose] for place, number in enumerate(dealt[: a_dose * len(DOSES)])}
    entries = [(n, copy) for n in dealt[:members] for copy in range(planted.get(n, 1))]
    # The seeds of users end below 2³², so this order is none that splits another population.
    ordered = np.array([entries[place] for place in shuffled(rows, _SEEDS + seed)], np.int64)
    return Plan(ordered[:, 0], ordered[:, 1], np.array(dealt[members:], np.int64), planted)
