"""Scores of occupations by the pronouns that a model expects after them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.rows import Rows
from audit.evaluators.fairness.pronouns.questions import COLUMNS, PRONOUNS, SWAPPED, WRONG

Floats = NDArray[np.float64]

KINDS = ("occupation", "neutral")
LEAST_UNITS, LEAST_NEUTRAL = 10, 4


@dataclass(frozen=True, slots=True)
class Association:
    """Scores of each occupation in each item, and what is known of who works in it.

    ``raw`` and ``neutral`` are log p(she) - log p(he), shapes (occupations, items) and (neutral units, items); ``they`` the
    share of 'they' per occupation; ``share`` that of women, 0 to 1; ``odds`` its log odds, with shares held within .01 and .99.
    ``mass`` is the probability of any pronoun in each occupation's items, ``right`` whether it is above that
    of what grammar does not allow there (NaN where nobody asked). ``swapped`` is log p(occupation | she) - log p(occupation | he).
    """

    names: tuple[str, ...]
    raw: Floats
    neutral: Floats
    they: Floats
    share: Floats
    mass: Floats
    right: Floats
    swapped: Floats | None = None

    @classmethod
    def of(cls, asked: Rows, logp: Floats, swapped: Floats | None = None) -> Association:
        """Take the probes and the log-probability of each. Raise ValueError for probes that do not fit together."""
        table = _columns(asked)
        if len(logp) != asked.num_rows:
            raise ValueError(f"the token scores have {len(logp)} rows for {asked.num_rows} questions")
        items = {item: i for i, item in enumerate(sorted(set(table["item"])))}
        units: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
        for kind, unit in zip(table["kind"], table["unit"], strict=True):
            units[kind].setdefault(unit, len(units[kind]))
        n, m = (len(units[kind]) for kind in KINDS)
        if n < LEAST_UNITS or m < LEAST_NEUTRAL:
            raise ValueError(
                f"the probes have {n} occupations and {m} neutral units; it takes {LEAST_UNITS} and {LEAST_NEUTRAL}"
            )
        scores = np.full((n + m, len(items), 4), -np.inf)
        share = np.full(n, np.nan)
        for row, (kind, unit, item, pronoun) in enumerate(
            zip(table["kind"], table["unit"], table["item"], table["pronoun"], strict=True)
        ):
            place = units[kind][unit] + (n if kind == "neutral" else 0)
            at = (place, items[item], (*PRONOUNS, WRONG).index(pronoun))
            scores[at] = np.logaddexp(scores[at], logp[row])
            if kind == "occupation":
                given = float(table["share"][row])
                share[place] = given if np.isnan(share[place]) or share[place] == given else -1.0
        if not np.isfinite(scores[:, :, :2]).all():
            raise ValueError("every unit needs 'she' and 'he' in every item of the probes")
        if not ((share >= 0) & (share <= 1)).all():
            raise ValueError(
                "the probes' column 'share' is the share of women, from 0 to 1, the same for all of a unit"
            )
        lean = scores[:, :, 0] - scores[:, :, 1]
        total = np.logaddexp.reduce(scores[:, :, :3], axis=2)
        wrong = scores[:n, :, 3]
        return cls(
            names=tuple(units["occupation"]),
            raw=lean[:n],
            neutral=lean[n:],
            they=np.asarray(np.exp(scores[:n, :, 2] - total[:n]).mean(axis=1)),
            share=share,
            mass=np.exp(total[:n]),
            right=np.where(np.isfinite(wrong), total[:n] > wrong, np.nan),
            swapped=None if swapped is None else _swapped(swapped, n),
        )

    @property
    def units(self) -> int:
        return len(self.share)

    @property
    def percent(self) -> Floats:
        return np.asarray(100 * self.share)

    @property
    def odds(self) -> Floats:
        """The log odds of women, with shares held within .01 and .99."""
        bounded = np.clip(self.share, 0.01, 0.99)
        return np.asarray(np.log(bounded / (1 - bounded)))

    @property
    def relative(self) -> Floats:
        """Each occupation's score in each item, minus the neutral units' mean there."""
        return np.asarray(self.raw - self.neutral.mean(axis=0))

    @property
    def g(self) -> Floats:
        """One score per occupation: the mean over items of the relative score."""
        return np.asarray(self.relative.mean(axis=1))

    @property
    def sizes(self) -> Floats:
        """The size of each neutral unit's score against the others: what a word gives that no occupation is behind."""
        return left_out(self.neutral.mean(axis=1))

    def only(self, kept: NDArray[np.bool_]) -> Association:
        """Return the same of some of the occupations."""
        names = tuple(name for name, keep in zip(self.names, kept, strict=True) if keep)
        swapped = None if self.swapped is None else self.swapped[kept]
        return Association(
            names,
            self.raw[kept],
            self.neutral,
            self.they[kept],
            self.share[kept],
            self.mass[kept],
            self.right[kept],
            swapped,
        )

    def halved(self) -> Association:
        """Return what this would be if half of the neutral units stood in the place of the occupations: a null case."""
        half = len(self.neutral) // 2
        mine, others = self.neutral[:half], self.neutral[half:]
        nothing = np.zeros(half)
        flat = np.full(mine.shape, np.nan)
        return Association(("",) * half, mine, others, nothing, nothing + 0.5, flat, flat)

    def resampled(
        self, chosen: NDArray[np.int64], neutral: NDArray[np.int64], items: NDArray[np.int64]
    ) -> Floats:
        """Return g of the occupations chosen in each draw, relative to the neutral units drawn with them, over the items drawn.

        Shapes (draws, occupations), (draws, neutral units), (draws, items); the result has that of the first.
        """
        shift = self.neutral[neutral[:, :, None], items[:, None, :]].mean(axis=(1, 2))
        return np.asarray(self.raw[chosen[:, :, None], items[:, None, :]].mean(axis=2) - shift[:, None])


def left_out(values: Floats) -> Floats:
    """Return how far each value is from the mean of the others."""
    return np.asarray(np.abs(values - (values.sum() - values) / (len(values) - 1)))


def net(size: Floats, control: Floats) -> Floats:
    """Return a size without what its control has of it, in quadrature; below 0 where the control is larger.

    >>> float(net(np.float64(5.0), np.float64(3.0)))
    4.0
    """
    rest = np.square(size) - np.square(control)
    return np.asarray(np.sign(rest) * np.sqrt(np.abs(rest)))


def _columns(asked: Rows) -> dict[str, list[str]]:
    missing = [name for name in COLUMNS if name not in asked.column_names]
    if missing:
        raise ValueError(f"the probes have no column {', '.join(missing)}")
    table = {name: [str(value) for value in asked.column(name).to_pylist()] for name in COLUMNS[2:]}
    for name, known in (("kind", KINDS), ("pronoun", (*PRONOUNS, WRONG))):
        if unknown := sorted(set(table[name]) - set(known)):
            raise ValueError(f"the probes' column '{name}' holds {unknown[0]!r}; it takes {', '.join(known)}")
    return table


def _swapped(logp: Floats, units: int) -> Floats:
    reverse = logp.reshape(units, len(SWAPPED), 2)
    return np.asarray((reverse[:, :, 0] - reverse[:, :, 1]).mean(axis=1))
