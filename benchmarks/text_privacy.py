"""What the attacks on a text model cost beside one bare forward pass: python benchmarks/text_privacy.py

All of privacy.membership, privacy.extraction, privacy.exposure and privacy.dp_bound read the same token scores. Both sides run in
one process, alternating, one thread, timed in processor time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from audit.core.identity import Digest
from audit.core.recipes import Recipe
from audit.core.references import DataRef
from audit.core.rows import Rows, text_rows
from audit.data.worlds.biographies.world import example
from audit.evaluators.privacy.attacks import TokenAttacks
from audit.evaluators.privacy.recited import Recite
from audit.recipes.personal_data import FindPersonalData
from audit.registry import catalogue
from audit.testing.memory import HandedOut, Kitchen

DOCUMENTS, ROUNDS = 500, 5


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    from audit.core.artifacts import RealRows, TokenScores

    torch.set_num_threads(1)
    adapter = catalogue("models").load("included")
    ref = adapter.refer({"use": "biographies-lm"})
    model = adapter.open(ref, "cpu")
    rows = text_rows([example(0, index, 0.5)[0] for index in range(DOCUMENTS)])
    real: Recipe[Rows] = RealRows(DataRef("handed", Digest("1" * 40)), "train", DOCUMENTS, DOCUMENTS)
    scores = TokenScores(real, ref)
    wanted: tuple[Recipe[Any], ...] = (
        TokenAttacks(real, scores),
        Recite(scores, FindPersonalData(real), 50, 50),
    )

    def attacks() -> None:
        kitchen = Kitchen(bench=HandedOut(model, {"train": rows}))
        kitchen.shards(real)
        for recipe in wanted:
            kitchen.shards(recipe)

    ratios = []
    for _ in range(ROUNDS):
        bare, all_of_it = _timed(lambda: model.log_likelihood(rows)), _timed(attacks)
        ratios.append(all_of_it / bare)
        print(f"bare {bare:.2f} s, every attack {all_of_it:.2f} s: {all_of_it / bare:.3f}")
    print(f"median of {ROUNDS}: {statistics.median(ratios):.3f}")


def _timed(what: Callable[[], object]) -> float:
    began = time.process_time()
    what()
    return time.process_time() - began


if __name__ == "__main__":
    main()
