"""The tokenizer that a GGUF file describes, built from its metadata as llama.cpp, whose format it is, reads them.

transformers knows fewer of the ways to split a text than GGUF files name, and cuts as GPT-2 does where it does not
know one; in a vocabulary that was learnt with another split, the same text then becomes other tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audit.core.errors import InputError, nearest
from audit.formats.hostile import shown
from audit.models.lm.gguf import Header
from audit.models.lm.tokenizer_file import Vocabulary

_CONTROL, _USER, _BYTE = 3, 4, 6
"""Kinds of tokens (tokenizer.ggml.token_type) that are no plain text."""
_SPACE = "\u2581"

_SHORT = r"'s|'t|'re|'ve|'m|'ll|'d"
_GPT2 = rf"{_SHORT}| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+"
_WORDS = rf"(?i:{_SHORT})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_WORDS}|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_WORDS}|\p{{N}}|{_REST}"
_QWEN35 = (
    rf"(?i:{_SHORT})|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LEAD, _TAIL = r"[^\r\n\p{L}\p{N}]?", r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TEKKEN = rf"{_LEAD}{_UPPER}*{_LOWER}+|{_LEAD}{_UPPER}+{_LOWER}*|\p{{N}}|{_TAIL}"
_GPT4O = (
    rf"{_LEAD}{_UPPER}*{_LOWER}+(?i:{_SHORT})?|{_LEAD}{_UPPER}+{_LOWER}*(?i:{_SHORT})?|\p{{N}}{{1,3}}|{_TAIL}"
)
_DEEPSEEK3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DIGIT = (r"\p{N}", _GPT2)
_SENTENCES = r" ?[^(\s|.,!?…。，、।۔،)]+"

_SPLITS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo", "jais", "gigachat", "exaone4", "trillion"), (_GPT2,)),
    **dict.fromkeys(
        ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"), _DIGIT
    ),
    **dict.fromkeys(
        ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2"), (_LLAMA3,)
    ),
    **dict.fromkeys(("dbrx", "smaug-bpe", "glm4", "chatglm-bpe", "midm-2.0"), (_LLAMA3,)),
    **dict.fromkeys(("qwen2", "stablelm2", "deepseek-r1-qwen", "megrez", "hunyuan", "kormo"), (_QWEN2,)),
    "qwen35": (_QWEN35,),
    "tekken": (_TEKKEN,),
    **dict.fromkeys(("gpt-4o", "llama4", "kanana2", "minimax-m2"), (_GPT4O,)),
    "deepseek-coder": (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-\ud7ff]+", r"\p{N}"),
    **dict.fromkeys(("deepseek-v3", "hunyuan-dense"), (r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", _DEEPSEEK3)),
    "falcon": (r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]"),
    **dict.fromkeys(("bloom", "gpt3-finnish", "poro-chat"), (_SENTENCES,)),
    "viking": (_SENTENCES, r"\p{N}"),
}
"""By tokenizer.ggml.pre: expressions that split a text, each applied to what the one before left (llama.cpp,
``llama-vocab.cpp``, 2024 to 2026; the forms with ``(?i:)`` are those of the models' own tokenizer.json)."""
_WHOLE_WORDS = (
    "llama-bpe",
    "llama3",
    "llama-v3",
    "falcon3",
    "falcon-h1",
    "pixtral",
    "lfm2",
    "midm-2.0",
    "tekken",
)
"""Vocabularies in which a word that is a token is that token, whatever the merges would make of it."""
_UNSAID = ("", "default")


def check_words(header: Header, name: str) -> None:
    """Raise InputError unless the tokenizer is of a kind that is built here, split included."""
    values, where = header.values, f"'{shown(name)}'"
    kind, tokens = values.get("tokenizer.ggml.model"), values.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) for token in tokens):
        raise InputError(
            f"{where} has no tokenizer (tokenizer.ggml.tokens); a likelihood needs the model's own."
        )
    if len(set(tokens)) != len(tokens):
        raise InputError(f"{where} lists a token twice in its vocabulary: it is damaged. Bring it again.")
    if kind not in ("gpt2", "llama"):
        raise InputError(
            f"{where} has a tokenizer of the kind {shown(repr(kind))} (tokenizer.ggml.model); 'gpt2' and 'llama' are built "
            "here. Audit the model's directory with its tokenizer.json."
        )
    split = values.get("tokenizer.ggml.pre", "")
    if kind == "gpt2" and split not in (*_UNSAID, *_SPLITS):
        raise InputError(
            f"{where} splits texts in the way {shown(repr(split))} (tokenizer.ggml.pre), which is not known here; with "
            f"another split its scores would be of another tokenizer. {nearest(str(split), _SPLITS)} Or audit the model's "
            "directory with its tokenizer.json."
        )
    for key, size in (("token_type", len(tokens)), ("scores", len(tokens))):
        listed = values.get(f"tokenizer.ggml.{key}")
        needed = key == "scores" and kind == "llama"
        if (listed is not None or needed) and not (isinstance(listed, list) and len(listed) == size):
            raise InputError(
                f"{where} has {size:,} tokens and not as many entries in tokenizer.ggml.{key}: it is damaged."
            )
    if kind == "llama" and _prefixed(values) and any(kind == _USER for kind in _kinds(values)):
        raise InputError(
            f"{where} puts a space before a text and has tokens of the user's own (token_type 4), which is not built here. "
            "Audit the model's directory with its tokenizer.json."
        )
    for key in ("bos_token_id", "eos_token_id", "eot_token_id"):
        one = values.get(f"tokenizer.ggml.{key}")
        if one is not None and not (isinstance(one, int) and 0 <= one < len(tokens)):
            raise InputError(
                f"{where} says tokenizer.ggml.{key} = {shown(repr(one))}, and has {len(tokens):,} tokens."
            )


def words_of(header: Header) -> Vocabulary:
    """Build the tokenizer of a checked header."""
    from tokenizers import AddedToken

    values = header.values
    tokens, kinds = values["tokenizer.ggml.tokens"], _kinds(values)
    backend = _byte_level(values) if values["tokenizer.ggml.model"] == "gpt2" else _sentencepiece(values)
    added = list(zip(tokens, kinds, strict=True))
    backend.add_special_tokens(
        [AddedToken(t, normalized=False, special=True) for t, k in added if k == _CONTROL]
    )
    backend.add_tokens([AddedToken(t, normalized=False, special=False) for t, k in added if k == _USER])
    start, *ends = (values.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos", "eot"))
    assumed = ""
    if values["tokenizer.ggml.model"] == "gpt2" and values.get("tokenizer.ggml.pre", "") in _UNSAID:
        assumed = "The file does not say how it splits a text into words (tokenizer.ggml.pre); GPT-2's way was assumed."
    return Vocabulary(
        backend,
        ends[0] if start is None else start,
        frozenset(end for end in ends if end is not None),
        len(tokens) - 1,
        assumed,
    )


def _kinds(values: Mapping[str, Any]) -> list[int]:
    return list(values.get("tokenizer.ggml.token_type") or [1] * len(values["tokenizer.ggml.tokens"]))


def _prefixed(values: Mapping[str, Any]) -> bool:
    return bool(values.get("tokenizer.ggml.add_space_prefix", True))


def _byte_level(values: Mapping[str, Any]) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    split = values.get("tokenizer.ggml.pre", "")
    merges = [tuple(merge.split(" ", 1)) for merge in values.get("tokenizer.ggml.merges") or ()]
    vocabulary = {token: number for number, token in enumerate(values["tokenizer.ggml.tokens"])}
    backend = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=split in _WHOLE_WORDS))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(one), "isolated") for one in _SPLITS.get(split, (_GPT2,))),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    return backend


def _sentencepiece(values: Mapping[str, Any]) -> Any:
    """Pairs are merged in the order of the merged token's score, and what has no token is spelled in bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    tokens, scores = values["tokenizer.ggml.tokens"], values["tokenizer.ggml.scores"]
    kinds, prefixed = _kinds(values), _prefixed(values)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    plain = {t for t, kind in zip(tokens, kinds, strict=True) if kind not in (_CONTROL, _BYTE)}
    ranked = sorted(
        (pair for token in plain for pair in _halves(token, plain)),
        key=lambda pair: (-scores[vocabulary[pair[0] + pair[1]]], vocabulary[pair[0]], vocabulary[pair[1]]),
    )
    unknown = values.get("tokenizer.ggml.unknown_token_id")
    backend = Tokenizer(
        models.BPE(
            vocabulary,
            ranked,
            unk_token=tokens[unknown] if isinstance(unknown, int) and unknown < len(tokens) else None,
            fuse_unk=True,
            byte_fallback=_BYTE in kinds,
        )
    )
    first = [normalizers.Prepend(_SPACE)] if prefixed else []
    backend.normalizer = normalizers.Sequence([*first, normalizers.Replace(" ", _SPACE)])
    last = [decoders.Strip(" ", 1, 0)] if prefixed else []
    backend.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *last]
    )
    return backend


def _halves(token: str, tokens: set[str]) -> Iterator[tuple[str, str]]:
    """Yield each way to make a token out of two others."""
    for cut in range(1, len(token)):
        if token[:cut] in tokens and token[cut:] in tokens:
            yield token[:cut], token[cut:]
