"""Features of texts: a sentence transformer's vector for each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit import assets
from audit.core.identity import canonical, digest_of
from audit.core.references import ExtractorRef
from audit.core.rows import TEXT, Matrix, Rows, texts_of

ASSET = "minilm-l6-v2"
_DIMENSIONS = 384
_VERSION = 1
_MOST_TOKENS = 256
_BUDGET = 8192
"""Tokens that go through the network together."""


class MiniLM:
    """The vector that all-MiniLM-L6-v2 gives a text: 384 features of length 1, what a text is about.

    As sentence-transformers computes it (Reimers, Gurevych 2019,
    arXiv:1908.10084; the network is Wang et al. 2020, arXiv:2002.10957): the
    text is lowercased and split into parts of words, the first 256 with the two
    that mark its ends are kept, the last layer is averaged over them, and the
    average is scaled to length 1. All of this is in the digest.

    Texts of equal length go through together, so nothing is padded and no text
    is seen differently for what is beside it.

    Traps: it reads English, and of a long text the first 200 words or so.
    Distances between its vectors are about subject and wording, not truth or
    fluency. Two texts that differ in case alone are one text to it.
    """

    def __init__(self, tokenizer: Any, network: Any, device: str) -> None:
        self._tokenizer, self._network, self._device = tokenizer, network, device

    @classmethod
    def refer(cls) -> ExtractorRef:
        assets.path(ASSET)
        recipe = {
            "extractor": "minilm",
            "version": _VERSION,
            "files": assets.pinned(ASSET),
            "most_tokens": _MOST_TOKENS,
            "pooling": "mean of the last layer over all tokens",
            "scaled": "to Euclidean length 1",
            "arithmetic": "float32",
        }
        return ExtractorRef("minilm", digest_of(canonical(recipe)), _DIMENSIONS, "text")

    @classmethod
    def open(cls, ref: ExtractorRef, device: str) -> MiniLM:
        ref.check_same_as(cls.refer())
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        import torch
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel

        folder = assets.verified(ASSET)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(_MOST_TOKENS)
        tokenizer.no_padding()
        network = BertModel(BertConfig.from_json_file(str(folder / "config.json")), add_pooling_layer=False)
        # Neither is used: the pooling layer is no part of the vector, and positions are counted anew.
        spare = {"pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids"}
        weights = load_file(folder / "model.safetensors")
        network.load_state_dict({name: weight for name, weight in weights.items() if name not in spare})
        network = network.to(device=device, dtype=torch.float32).eval().requires_grad_(False)
        return cls(tokenizer, network, device)

    def extract(self, rows: Rows) -> Matrix:
        """Return features of shape (rows, 384) from rows with a column ``text``. Raise ValueError otherwise."""
        if TEXT not in rows.column_names:
            raise ValueError(
                f"the extractor 'minilm' reads texts; these rows have {', '.join(rows.column_names)}"
            )
        texts = texts_of(rows)
        features = np.empty((len(texts), _DIMENSIONS))
        tokens = [found.ids for found in self._tokenizer.encode_batch(texts)]
        for batch in _batches(tokens):
            features[batch] = self._of([tokens[row] for row in batch])
        return features

    def _of(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the features of texts of one length in tokens."""
        import torch

        with torch.inference_mode():
            ids = torch.tensor(tokens, device=self._device)
            states = self._network(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            pooled = torch.nn.functional.normalize(states.mean(1), dim=1)
        return np.asarray(pooled.cpu().numpy())


def _batches(tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the numbers of texts with equally many tokens, as many as the budget allows at a time."""
    by_length = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
    for length, rows in groupby(by_length, key=lambda row: len(tokens[row])):
        same, step = list(rows), max(1, _BUDGET // length)
        for start in range(0, len(same), step):
            yield same[start : start + step]
