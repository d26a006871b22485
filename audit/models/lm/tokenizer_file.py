"""A model's tokenizer as its own file has it, and which tokens begin and end a text, from the files alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.core.identity import digest_of
from audit.formats.files import is_there, require
from audit.formats.hostile import shown
from audit.models.json_file import read_json
from audit.models.lm.settings import check_settings, text_part, token_ids

_NAMING = ("tokenizer_config.json", "special_tokens_map.json")
"""Files that spell the start and end tokens, the one that counts first."""


_SPECIMEN = (
    "The quick brown fox jumps over 13 lazy dogs;",
    "call 020 7946 0018 or write to a.b@example.org.\n",
    "\tif x >= 1_000:  return f'{y!r}'  # 3.14e-5",
    "\u00e9t\u00e9 na\u00efve Stra\u00dfe \u041c\u043e\u0441\u043a\u0432\u0430",
    "\u6771\u4eac \u0627\u0644\u0639 \U0001f600",
    "internationalisation, unbelievably",
)
"""Words, numbers, code, accents, scripts and an emoji: what tokenizers differ in, in parts that no length limit cuts short."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer of the library ``tokenizers``, the token that begins a text, and those that end one.

    ``highest`` is the highest number among tokens that a text can be cut into; control tokens are not among them.
    ``assumed`` says what the files leave open and was assumed; empty when they leave nothing open.
    """

    backend: Any
    start: int | None
    ends: frozenset[int]
    highest: int
    assumed: str = ""

    @property
    def fingerprint(self) -> str:
        """A digest of how short texts are cut into tokens: another one says that two tokenizers differ."""
        found = self.backend.encode_batch(list(_SPECIMEN), add_special_tokens=False)
        kept = [[i for i, real in zip(one.ids, one.attention_mask, strict=True) if real] for one in found]
        return digest_of(repr(kept).encode())


def read_vocabulary(place: Path, config: Mapping[str, Any]) -> Vocabulary:
    """Read tokenizer.json as it is, and the names of the start and end tokens from the files beside it.

    The classes of transformers are not asked: some of them put a splitter of their own in the place of the one in
    the file (GPT2Tokenizer with a vocabulary that splits digits), and the same text then has other tokens.
    """
    backend = _backend(place)
    special = {number for number, token in backend.get_added_tokens_decoder().items() if token.special}
    spelled = {name: read_json(place / name) for name in _NAMING if is_there(place / name)}
    for name, found in spelled.items():
        check_settings(found, name)
    settings = (
        read_json(place / "generation_config.json") if is_there(place / "generation_config.json") else None
    )
    starts = [one for one in token_ids(text_part(config), "bos_token_id", "config.json") if one in special]
    ends = token_ids(text_part(config), "eos_token_id", "config.json")
    if settings is not None:
        ends = [*ends, *token_ids(settings, "eos_token_id", "generation_config.json")]
    begin = _named(backend, "bos_token", spelled, starts, place.name)
    close = _named(backend, "eos_token", spelled, [one for one in ends if one in special], place.name)
    produced = {*backend.get_vocab(with_added_tokens=False).values(), *_matched(backend)} - special
    return Vocabulary(
        backend,
        close if begin is None else begin,
        frozenset({*ends, *([] if close is None else [close])}),
        max(produced, default=-1),
    )


def _backend(place: Path) -> Any:
    path = place / "tokenizer.json"
    require(path)
    try:
        return _parsed(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"tokenizer.json of '{shown(place.name)}' cannot be read: {error.strerror}."
        ) from error
    except Exception as error:  # the library raises plain Exception
        read_json(path)  # says whether it is JSON at all
        raise InputError(
            f"tokenizer.json of '{shown(place.name)}' is not one that tokenizers {version('tokenizers')} reads: "
            f"{shown(str(error))}. Bring it again, or save it with a current version of transformers."
        ) from None


@lru_cache(maxsize=2)
def _parsed(data: bytes) -> Any:
    """Return the tokenizer of a file's bytes; 128,000 words take 0.7 s, and planning asks twice.

    Cutting a text at random serves training alone (BPE-dropout, Provilkov et al. 2020; subword regularisation, Kudo
    2018), and the library does it wherever the file asks: it is turned off.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(data.decode("utf-8"))
    for chance in ("dropout", "alpha", "nbest_size"):
        if getattr(tokenizer.model, chance, None) is not None:
            setattr(tokenizer.model, chance, None)
    return tokenizer


def _matched(backend: Any) -> Iterator[int]:
    """Yield the added tokens that are found in a text: those that are no control tokens."""
    return (number for number, token in backend.get_added_tokens_decoder().items() if not token.special)


def _named(
    backend: Any, field: str, spelled: Mapping[str, Mapping[str, Any]], numbers: list[int], folder: str
) -> int | None:
    """Return the token that a field names: by the first file that has the field, else by its number in config.json."""
    for name, settings in spelled.items():
        if field not in settings:
            continue
        value = settings[field]
        text = value.get("content") if isinstance(value, dict) else value
        if text is None:
            return None
        if not isinstance(text, str):
            raise InputError(
                f"{name} of '{shown(folder)}' says {field} = {shown(repr(value))}; it is a token's text."
            )
        number: int | None = backend.token_to_id(text)
        if number is None:
            raise InputError(
                f"{name} of '{shown(folder)}' names '{shown(text)}' as {field}, and tokenizer.json has no such token. "
                "They are of different models: bring both together again."
            )
        return number
    return numbers[0] if numbers else None


def check_rows(vocabulary: Vocabulary, rows: int, name: str) -> None:
    """Raise InputError when a text or its beginning could become a token that the model has no row for."""
    worst = max(vocabulary.highest, -1 if vocabulary.start is None else vocabulary.start)
    if rows and worst >= rows:
        raise InputError(
            f"The tokenizer of '{shown(name)}' makes tokens up to number {worst:,}, and the model's embedding has {rows:,} "
            "rows. They are of different models, or tokens were added without enlarging the model: bring the tokenizer "
            "that belongs to these weights."
        )
