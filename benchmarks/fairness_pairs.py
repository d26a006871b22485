"""Minimal pairs of fairness.pairs per second: its scores of all parts of both sentences, against a plain loop over a transformers model.

    python benchmarks/fairness_pairs.py MODEL [--pairs 200] [--rounds 3] [--threads 1] [--busy]

MODEL is a .gguf file or a directory that transformers opens. The plain loop does what lm-evaluation-harness does for a
log-likelihood: requests sorted by length, padded batches, one forward pass each, the log-softmax of every continuation token. It is asked once for whole
sentences (what the harness's crows_pairs asks) and once for the same parts as ours. All run in turn on the same weights; the largest difference is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from lm_pairs import interleaved, pairs_of_models, prepare


def plain_loop(
    model: Any, tokenizer: Any, requests: Sequence[tuple[str, str]], batch: int
) -> np.ndarray[Any, Any]:
    """Return log p(text | prefix) of each request, in padded batches of one length after another."""
    import torch

    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    encoded = []
    for prefix, text in requests:
        offsets = tokenizer(prefix + text, return_offsets_mapping=True, add_special_tokens=False)
        first = sum(end <= len(prefix) for _, end in offsets["offset_mapping"]) if prefix else 0
        encoded.append(([start, *offsets["input_ids"]], first + 1))
    order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i][0]))
    found = np.zeros(len(encoded))
    with torch.inference_mode():
        for begin in range(0, len(order), batch):
            chosen = order[begin : begin + batch]
            width = max(len(encoded[i][0]) for i in chosen)
            ids = torch.zeros((len(chosen), width), dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, i in enumerate(chosen):
                tokens = torch.tensor(encoded[i][0])
                ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
            logp = torch.log_softmax(model(ids, attention_mask=mask).logits.float(), dim=-1)
            for row, i in enumerate(chosen):
                tokens, first = encoded[i]
                target = torch.tensor(tokens[first:])
                places = torch.arange(first - 1, len(tokens) - 1)
                found[i] = float(logp[row, places, target].double().sum())
    return found


def parts(pairs: int) -> tuple[Any, list[tuple[str, str]]]:
    """Return the rows that fairness.pairs scores for some of its pairs, evenly taken, and the whole sentences."""
    from audit.core.artifacts import Given
    from audit.evaluators.fairness.pairs.own import own_pairs
    from audit.evaluators.fairness.pairs.recipes import PairTexts
    from audit.testing.memory import Kitchen

    columns = own_pairs().columns
    total = len(columns[0][1])
    chosen = np.linspace(0, total - 1, min(pairs, total)).astype(int)
    some = Given(tuple((name, tuple(values[i] for i in chosen)) for name, values in columns))
    (rows,) = Kitchen().shards(PairTexts(some))
    by_name = dict(some.columns)
    return rows, [
        ("", sentence) for pair in zip(by_name["more"], by_name["less"], strict=True) for sentence in pair
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--busy", action="store_true", help="count processor seconds, not wall time")
    given = parser.parse_args()
    prepare(given.model, given.threads)
    from audit.recipes.probe_texts import text_sums

    ours, model, tokenizer = pairs_of_models(given.model, "float32", "float32")
    rows, whole = parts(given.pairs)
    asked = list(zip(rows.column("prefix").to_pylist(), rows.column("text").to_pylist(), strict=True))
    jobs = {
        "fairness.pairs": lambda: ours.token_scores(rows),
        "plain, whole sentences": lambda: plain_loop(model, tokenizer, whole, given.batch),
        "plain, same parts": lambda: plain_loop(model, tokenizer, asked, given.batch),
    }
    medians = interleaved(jobs, given.rounds, busy=given.busy)
    apart = np.abs(
        text_sums([ours.token_scores(rows)])[0] - plain_loop(model, tokenizer, asked, given.batch)
    ).max()
    pairs = len(whole) // 2
    for name, seconds in medians.items():
        print(
            f"{name:24} {pairs / seconds:7.1f} pairs/s, {seconds / medians['fairness.pairs']:.2f} times ours"
        )
    print(
        f"{pairs} pairs, {len(asked)} parts, float32, {given.threads} threads; largest difference {apart:.4f} nats"
    )


if __name__ == "__main__":
    main()
