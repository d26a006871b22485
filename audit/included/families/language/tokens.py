"""The tokenizer: parts of words learnt from the training texts, digits one by one."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

BEGIN = "<|begin|>"
END = "<|end|>"
BEGIN_ID, END_ID = 0, 1


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """Return a byte-level tokenizer (Sennrich et al. 2016) of ``vocabulary`` tokens, a function of the texts alone.

    A digit is a token of its own, so that a number's chance is spread over its digits and not over
    those groups of them that happen to be frequent. Any text can be encoded, and decoding gives it back.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BEGIN, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def documents(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Return each text as tokens between the token that begins a text and the one that ends it."""
    return [[BEGIN_ID, *encoding.ids, END_ID] for encoding in tokenizer.encode_batch(list(texts))]
