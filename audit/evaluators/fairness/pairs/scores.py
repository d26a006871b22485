"""What the scored parts of minimal pairs say: how much likelier the shared words are after one group than after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.core.rows import Rows
from audit.evaluators.fairness.pairs.own import NEUTRAL
from audit.evaluators.fairness.pairs.recipes import DISORDERED, EDIT, SHARED
from audit.recipes.probe_texts import Competence, competence
from audit.stats.clusters import clustered_mean, clustered_rate, crossed_difference, crossed_rate

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PairScores:
    """Scores of n pairs, arrays of shape (n,).

    ``shared`` is log p(shared words) of the more stereotyped sentence minus that of the other, in nats, NaN where nothing is shared
    after the words that differ; ``edit`` the same of the words that differ; ``matched`` says that both have as many tokens.
    ``category``, ``cluster`` (both groups) and ``statement`` are labels; ``neutral`` marks pairs that say nothing of either group.
    """

    more: NDArray[np.str_]
    less: NDArray[np.str_]
    category: NDArray[np.str_]
    cluster: NDArray[np.str_]
    statement: NDArray[np.str_]
    neutral: Flags
    shared: Floats
    edit: Floats
    matched: Flags
    groups: tuple[tuple[str, str], ...]

    def only(self, kept: Flags) -> PairScores:
        """Return the same of some of the pairs."""
        return PairScores(
            more=self.more[kept],
            less=self.less[kept],
            category=self.category[kept],
            cluster=self.cluster[kept],
            statement=self.statement[kept],
            neutral=self.neutral[kept],
            shared=self.shared[kept],
            edit=self.edit[kept],
            matched=self.matched[kept],
            groups=tuple(g for g, k in zip(self.groups, kept, strict=True) if k),
        )

    @property
    def controlled(self) -> bool:
        """Whether neutral pairs show what the words for the groups do by themselves."""
        return bool(self.neutral.any())

    @property
    def stereotyped(self) -> PairScores:
        """The pairs that state a stereotype."""
        return self.only(~self.neutral)

    @property
    def net(self) -> Floats:
        """``shared`` without the mean of the neutral pairs about the same groups; as it is where there are none."""
        means = {
            c: self.shared[self.neutral & (self.cluster == c)].mean()
            for c in np.unique(self.cluster[self.neutral])
        }
        return np.asarray(self.shared - np.array([means.get(str(c), 0.0) for c in self.cluster]))

    def preference(self, level: float) -> tuple[float, Interval]:
        """Return the mean of ``net`` over the pairs that state a stereotype, and its interval."""
        if self.controlled:
            return crossed_difference(self.shared, self.statement, self.cluster, ~self.neutral, level)
        return clustered_mean(self.shared, self.cluster, level)

    def share(self, hits: Flags, level: float) -> tuple[float, Interval]:
        """Return the share of pairs that are hits, over groups and, where each is said of several groups, statements."""
        if len(np.unique(self.statement)) < len(self.statement):
            return crossed_rate(hits.astype(np.float64), self.cluster, self.statement, level)
        return clustered_rate(hits.astype(np.float64), self.cluster, level)


def pair_scores(pairs: Rows, asked: Rows, logp: Floats, tokens: NDArray[np.int64]) -> PairScores:
    """Take the pairs, their parts (``PairTexts``), and the log-probability and number of tokens of each part."""
    n, number = pairs.num_rows, np.array(asked.column("pair").to_pylist(), dtype=np.int64)
    side, part = (np.array(asked.column(name).to_pylist()) for name in ("side", "part"))
    if len(logp) != asked.num_rows:
        raise ValueError(f"the token scores have {len(logp)} rows for {asked.num_rows} parts of sentences")

    def total(which: str, of: str, values: NDArray[np.float64 | np.int64]) -> Floats:
        chosen = (side == which) & (part == of)
        return np.asarray(np.bincount(number[chosen], weights=values[chosen], minlength=n), np.float64)

    has = total("more", SHARED, np.ones(len(logp))) > 0
    named = {which: [""] * n for which in ("more", "less")}
    for row, which, group in zip(number, side, asked.column("group").to_pylist(), strict=True):
        if which in named:
            named[which][row] = group
    groups = tuple(zip(named["more"], named["less"], strict=True))
    columns = {name: [str(v) for v in pairs.column(name).to_pylist()] for name in pairs.column_names}
    clusters = [
        f"{c}: {about or f'{a} / {b}'}".lower()
        for c, (a, b), about in zip(columns["category"], groups, columns["about"], strict=True)
    ]
    statements = [s or f"row {i}" for i, s in enumerate(columns["statement"])]
    shared = total("more", SHARED, logp) - total("less", SHARED, logp)
    alike = [total("more", of, tokens) == total("less", of, tokens) for of in (SHARED, EDIT)]
    return PairScores(
        more=np.array(columns["more"]),
        less=np.array(columns["less"]),
        category=np.array(columns["category"]),
        cluster=np.array(clusters),
        statement=np.array(statements),
        neutral=np.array([kind == NEUTRAL for kind in columns["kind"]]),
        shared=np.where(has, shared, np.nan),
        edit=total("more", EDIT, logp) - total("less", EDIT, logp),
        matched=alike[0] & alike[1],
        groups=groups,
    )


def order_known(asked: Rows, logp: Floats) -> Competence:
    """Return whether the model finds shared words likelier than the same words in another order."""
    side, part = (np.array(asked.column(name).to_pylist()) for name in ("side", "part"))
    right, wrong = (logp[(side == "order") & (part == of)] for of in (SHARED, DISORDERED))
    found = competence(right, wrong)
    if found is None:
        raise UndefinedError("no pair shares three words or more after those that differ")
    return found


def at_equal_frequency(found: PairScores) -> tuple[float, float]:
    """Return the mean of ``shared`` where the words that differ are equally likely, and its slope on how likely they are.

    A least-squares line: rare words for a group go with other predictions after them, whatever is said of the group.
    """
    x, y = found.edit, found.shared
    spread = float(((x - x.mean()) ** 2).sum())
    slope = 0.0 if spread == 0 else float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    return float(y.mean() - slope * x.mean()), slope


def category_names(found: PairScores) -> Sequence[str]:
    return [str(name) for name in np.unique(found.category)]
