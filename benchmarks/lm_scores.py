"""Throughput of token scores against bare forward passes, ``model(ids).logits``, over the same padded batches.

    python benchmarks/lm_scores.py MODEL [--tokens 20000] [--rounds 3] [--threads 2]

The batches are this package's own for texts that share nothing: sorted by length, padded at the end. The
time of token scores includes tokenising and building the table; the bare passes are given ready tensors.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from lm_documents import documents
from lm_pairs import interleaved, prepare, sentences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--busy", action="store_true", help="count processor seconds, not wall time")
    parser.add_argument("--settings", nargs="*", default=["bfloat16/auto", "float32/float32"])
    given = parser.parse_args()
    prepare(given.model, given.threads)
    import torch

    from audit.core.rows import text_rows
    from audit.models.lm.packing import batches
    from audit.models.lm.scores import TOKENS
    from audit.models.lm.tokens import windows
    from audit.models.transformers import CausalLM

    def bare(model: Any, ids: list[Any]) -> None:
        with torch.inference_mode():
            for batch in ids:
                model(batch, use_cache=False).logits  # noqa: B018

    for setting in given.settings:
        dtype, arithmetic = setting.split("/")
        ref = CausalLM.refer({"path": given.model, "dtype": dtype, "arithmetic": arithmetic})
        merging = CausalLM.open(ref, "cpu")
        plain = dataclasses.replace(merging, network=dataclasses.replace(merging.network, widest_tree=0))
        for kind, texts in (
            ("documents", documents(4 * given.tokens)),
            ("sentences", sentences(max(1, given.tokens // 28))),
        ):
            words, found, slot = merging.network.words, [], 0
            for text in words.encode(texts, [""] * len(texts), check=False):
                found += windows(
                    text, slot, ref_options(ref)["max_length"], ref_options(ref)["stride"], words.start
                )
                slot += text.scored
            ids = [torch.as_tensor(batch.ids) for batch in batches(found, TOKENS, 0)]
            rows = text_rows(texts)
            jobs = {
                "bare": lambda ids=ids, plain=plain: bare(plain.network.model, ids),
                "plain": lambda rows=rows, plain=plain: plain.token_scores(rows),
                "merging": lambda rows=rows, merging=merging: merging.token_scores(rows),
            }
            medians = interleaved(jobs, given.rounds, busy=given.busy)
            print(
                f"weights {dtype}, computed in {next(plain.network.model.parameters()).dtype}, {slot} tokens of "
                f"{kind}: bare passes {slot / medians['bare']:.0f} tokens/s; token scores over the same batches runs at "
                f"{medians['bare'] / medians['plain']:.0%} of that, with beginnings shared at "
                f"{medians['bare'] / medians['merging']:.0%}",
                flush=True,
            )


def ref_options(ref: Any) -> dict[str, Any]:
    return dict(ref.options)


if __name__ == "__main__":
    main()
