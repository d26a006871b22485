"""What membership attacks show: the ROC curve, the training examples they are surest of, and those that can be named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.core.measurements import Evidence
from audit.core.register import AtRisk, register_evidence
from audit.core.rows import IMAGE, TEXT, Rows, concat
from audit.evaluators.privacy.attacks import Named
from audit.evaluators.privacy.contest import Contest
from audit.stats.ranking import roc_curve


@dataclass(frozen=True, slots=True)
class Exposed:
    """The training rows by their index, opening only the shards that hold those asked for, and those that can be named."""

    sizes: Sequence[int]
    shards: Sequence[Rows]
    named: Named

    def entries(self) -> tuple[Evidence, ...]:
        """What membership puts into the register."""
        listed = zip(self.named.rows, self.named.attacks, self.named.scores, self.named.chance, strict=True)
        return register_evidence(
            AtRisk(
                int(row), attack, "told from examples that were not trained on", float(score), float(chance)
            )
            for row, attack, score, chance in listed
        )

    def rows(self, chosen: Any) -> Rows:
        ends = np.cumsum(self.sizes)
        numbers = np.searchsorted(ends, chosen, side="right")
        opened = {int(number): self.shards[int(number)] for number in np.unique(numbers)}
        return concat(
            [
                opened[int(number)].slice(int(index - ends[number] + self.sizes[number]), 1)
                for index, number in zip(chosen, numbers, strict=True)
            ]
        )

    def surest(self, contest: Contest, examples: int) -> Iterator[Evidence]:
        """The ``examples`` training rows that the attack chosen beforehand is surest of."""
        import pyarrow as pa

        if examples == 0:
            return
        order = np.argsort(contest.inside[:, 0], kind="stable")[::-1][:examples]
        scores = contest.inside[order, 0]
        beaten = [float((contest.outside[:, 0] >= score).mean()) for score in scores]
        rows = self.rows(contest.member_index[order])
        for name, values in (("attack score", scores.tolist()), ("non-members at or above", beaten)):
            rows = rows.append_column(name, pa.array(values, pa.float64()))
        kind = "images" if IMAGE in rows.column_names else "texts" if TEXT in rows.column_names else "table"
        yield Evidence(kind, "Training examples the attack is surest of", rows, sensitive=True)


def _told(height: float) -> str:
    return f"told from examples that were not trained on: {height:.1f} of their spreads above their median"


def curve(contest: Contest) -> Evidence:
    """Return the ROC curve of the attack chosen beforehand."""
    import pyarrow as pa

    false, true = roc_curve(contest.inside[:, 0], contest.outside[:, 0])
    return Evidence(
        "curve",
        f"ROC of {contest.names[0]}: false-positive rate (x) and true-positive rate (y)",
        pa.table({"x": false, "y": true}),
        sensitive=False,
    )
