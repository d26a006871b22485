"""Tokens per second over documents: this package's log-likelihoods against lm-evaluation-harness, interleaved.

    python benchmarks/lm_documents.py MODEL [--tokens 100000] [--rounds 3] [--threads 2]

The documents are the Python language reference cut at paragraphs into parts of up to 4,000 characters, which fit
the model's context, so that both score every token with the same context.
"""

from __future__ import annotations

import argparse
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
from lm_pairs import harness, interleaved, pairs_of_models, prepare

LONGEST = 4000


def documents(characters: int) -> list[str]:
    """Return parts of the Python language reference, about as many characters as asked for, no two alike.

    Several topics repeat one text; computing that once would flatter a program that notices.
    """
    from pydoc_data.topics import topics

    found: list[str] = []
    seen: set[str] = set()
    total = 0

    def keep(part: str) -> int:
        if part[:200] in seen:
            return 0
        seen.add(part[:200])
        found.append(part)
        return len(part)

    for name in sorted(topics):
        part = ""
        for paragraph in topics[name].split("\n\n"):
            if part and len(part) + len(paragraph) > LONGEST:
                total += keep(part)
                part = ""
            part += paragraph[:LONGEST] + "\n\n"
            if total > characters:
                return found
        total += keep(part)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--busy", action="store_true", help="count processor seconds, not wall time")
    parser.add_argument(
        "--settings", nargs="*", default=["bfloat16/auto", "bfloat16/bfloat16", "float32/float32"]
    )
    given = parser.parse_args()
    prepare(given.model, given.threads)
    from audit.core.rows import text_rows

    for setting in given.settings:
        dtype, arithmetic = setting.split("/")
        ours, model, tokenizer = pairs_of_models(given.model, dtype, arithmetic)
        texts, tokens = [], 0
        for text in documents(given.tokens * 8):
            if tokens >= given.tokens:
                break
            texts.append(text)
            tokens += len(tokenizer(text)["input_ids"])
        rows = text_rows(texts)
        requests = [SimpleNamespace(args=(text,), task_name=None) for text in texts]
        few = requests[:: max(1, len(requests) // 10)]
        seconds = {}
        for size in (1, 2, 4, 8):
            lm = harness(model, tokenizer, size)
            began = time.perf_counter()
            lm.loglikelihood_rolling(few, True)
            seconds[size] = time.perf_counter() - began
        best = min(seconds, key=seconds.__getitem__)
        lm = harness(model, tokenizer, best)

        def theirs(lm: Any = lm, requests: list[Any] = requests) -> np.ndarray[Any, Any]:
            return np.array(lm.loglikelihood_rolling(requests, True))

        answers: dict[str, Any] = {}

        def keep(name: str, job: Any, answers: dict[str, Any] = answers) -> Any:
            return lambda: answers.__setitem__(name, job())

        jobs = {
            "ours": keep("ours", lambda m=ours, rows=rows: m.log_likelihood(rows)),
            "theirs": keep("theirs", theirs),
        }
        medians = interleaved(jobs, given.rounds, busy=given.busy)
        apart = np.abs(answers["ours"] - answers["theirs"]).max()
        computed = next(ours.network.model.parameters()).dtype
        print(
            f"weights {dtype}, ours computed in {computed}: {len(texts)} documents, {tokens} tokens; "
            f"ours {tokens / medians['ours']:.0f} tokens/s, harness (batch {best}) "
            f"{tokens / medians['theirs']:.0f} tokens/s, ratio {medians['theirs'] / medians['ours']:.2f}, "
            f"largest difference {apart:.4f} nats",
            flush=True,
        )


if __name__ == "__main__":
    main()
