"""What the attacks on a text model cost beside one bare forward pass: python benchmarks/text_privacy.py

All of privacy.membership, privacy.dataset_inference, privacy.group_leakage, privacy.extraction, privacy.exposure and
privacy.dp_bound read the same token scores. With a reference model there are two bare passes to compare with. Both sides run in one process,
alternating, one thread, timed in processor time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from audit.core.identity import Digest
from audit.core.recipes import Recipe
from audit.core.references import DataRef, ModelRef
from audit.core.rows import Rows, text_rows
from audit.data.worlds.biographies.world import example
from audit.evaluators.privacy.attacks import TokenAttacks
from audit.evaluators.privacy.recited import Recite
from audit.evaluators.privacy.reference_attacks import ReferenceTokenAttacks
from audit.recipes.personal_data import FindPersonalData
from audit.registry import catalogue
from audit.testing.memory import HandedOut, Kitchen


@dataclass(frozen=True)
class Models(HandedOut):
    """A bench that knows several models."""

    models: dict[ModelRef, Any] = field(default_factory=dict)

    def model(self, ref: ModelRef) -> Any:
        return self.models[ref]


def compare(rows: Rows, audited: ModelRef, reference: ModelRef | None, rounds: int) -> None:
    """Print what every attack costs over a bare pass of each model."""
    from audit.core.artifacts import RealRows, TokenScores

    adapter = catalogue("models").load("included")
    models = {ref: adapter.open(ref, "cpu") for ref in (audited, reference) if ref is not None}
    real: Recipe[Rows] = RealRows(DataRef("handed", Digest("1" * 40)), "train", rows.num_rows, rows.num_rows)
    scores = TokenScores(real, audited)
    wanted: list[Recipe[Any]] = [TokenAttacks(real, scores), Recite(scores, FindPersonalData(real), 50, 50)]
    if reference is not None:
        wanted.append(ReferenceTokenAttacks(scores, (TokenScores(real, reference),)))

    def attacks() -> None:
        kitchen = Kitchen(bench=Models(None, {"train": rows}, None, models))
        for recipe in (real, *wanted):
            kitchen.shards(recipe)

    def passes() -> None:
        for model in models.values():
            model.log_likelihood(rows)

    ratios = []
    for _ in range(rounds):
        bare, all_of_it = _timed(passes), _timed(attacks)
        ratios.append(all_of_it / bare)
        print(
            f"{len(models)} bare {bare:.2f} s, every attack {all_of_it:.2f} s: {ratios[-1]:.3f}", flush=True
        )
    print(f"median of {rounds}, {len(models)} models: {statistics.median(ratios):.3f}")


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--documents", type=int, default=500)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    torch.set_num_threads(1)
    refer = catalogue("models").load("included").refer
    rows = text_rows([example(0, index, 0.5)[0] for index in range(given.documents)])
    for reference in (None, refer({"use": "biographies-lm"})):
        compare(rows, refer({"use": "biographies-lm-leaky"}), reference, given.rounds)


def _timed(what: Callable[[], object]) -> float:
    began = time.process_time()
    what()
    return time.process_time() - began


if __name__ == "__main__":
    main()
