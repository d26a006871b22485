"""Causal language models that the transformers library can open: a directory, a cached hub id or a GGUF file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.core.capabilities import Capability, implemented
from audit.core.errors import InputError, nearest
from audit.core.options import as_written
from audit.core.references import ModelRef, Option
from audit.core.rows import Rng, Rows, Vector
from audit.core.subjects import ModelCard
from audit.formats.arithmetic import multiplies_tiles
from audit.models.lm.files import check, locate

if TYPE_CHECKING:
    from audit.models.lm.network import Network

_PLACES = ("path", "hub", "revision")
_DTYPES = ("auto", "float32", "bfloat16")
_DEFAULTS: Mapping[str, Option] = {
    "dtype": "auto",
    "arithmetic": "auto",
    "max_length": 0,
    "stride": 0,
    "max_new_tokens": 64,
    "temperature": 1.0,
    "top_p": 1.0,
}
_READING = 2
"""Version of how files become tokens and scores; raised when the same files give others. 1: transformers' tokenizers."""
_LONGEST = 8192
"""Default limit on the context. Longer ones cost more than a local audit has; ask for them with max_length."""
_LONGEST_UNSAID = 1024


@dataclass(slots=True)
class CausalLM:
    """A causal language model, opened. Texts are scored raw: no chat template is put around them.

    ``dtype`` rounds the weights; ``arithmetic`` is what is computed in. Both are chosen by the processor unless
    told: bfloat16 on a GPU or with AMX tiles, float32 elsewhere. Without AMX a processor multiplies float32
    matrices twice as fast as bfloat16 ones (AVX512-BF16 alone: 175 against 330 GFLOP/s on two cores), so
    ``dtype = "bfloat16"`` then still computes in float32. In float32 the scores of a text do not depend on what
    else is in a batch beyond 1e-3 nats; in bfloat16 arithmetic beyond about 0.1 nats a token.
    """

    network: Network
    max_length: int
    stride: int
    max_new_tokens: int
    temperature: float
    top_p: float
    batch_scale: float = 1.0

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        """Check the options and name the model by the bytes of its weights, tokenizer and configuration."""
        unknown = set(options) - set(_PLACES) - set(_DEFAULTS)
        if unknown:
            name = min(unknown)
            raise InputError(
                f"[model] has no option '{name}' for adapter 'transformers'. {nearest(name, (*_PLACES, *_DEFAULTS))}"
            )
        place = locate(options)
        checked = check(place)
        chosen = {name: options.get(name, default) for name, default in _DEFAULTS.items()}
        for name, value in chosen.items():
            _check(name, value)
        chosen["dtype"] = _fast() if chosen["dtype"] == "auto" else chosen["dtype"]
        if chosen["arithmetic"] == "auto":
            chosen["arithmetic"] = _fast() if chosen["dtype"] == "bfloat16" else "float32"
        context = checked.facts.context
        if context and chosen["max_length"] > context:
            raise InputError(
                f"[model] max_length is {chosen['max_length']}, but this model attends to {context} tokens at most."
            )
        chosen["max_length"] = chosen["max_length"] or min(context or _LONGEST_UNSAID, _LONGEST)
        chosen["stride"] = chosen["stride"] or max(1, chosen["max_length"] // 4)
        if chosen["stride"] * 4 > chosen["max_length"]:
            raise InputError(
                f"[model] stride is {chosen['stride']}; it is at most a quarter of max_length "
                f"({chosen['max_length']}), so that every scored token has enough context."
            )
        if chosen["max_new_tokens"] >= chosen["max_length"]:
            raise InputError(
                "[model] max_new_tokens leaves no room for a prompt; make it less than max_length."
            )
        for name in ("temperature", "top_p"):
            chosen[name] = float(chosen[name])
        named = tuple(sorted({**chosen, "reading": _READING}.items()))
        return ModelRef("transformers", checked.digest, named, str(place.absolute()))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        """Read config.json and the headers of the weights; torch is not imported."""
        checked, options = check(Path(ref.location)), dict(ref.options)
        facts = checked.facts
        card = ModelCard(
            family="transformer",
            modality="text",
            parameters=facts.parameters,
            notes=(
                f"{facts.architecture}, {facts.parameters / 1e6:,.0f} million parameters as stored.",
                f"Weights rounded to {options['dtype']}, computed in {options['arithmetic']}.",
                f"Texts are scored raw, without a chat template, up to {options['max_length']} tokens at once; longer "
                f"ones in windows that move on by {options['stride']} tokens. Each window begins with the model's "
                f"beginning-of-sequence token, else its end-of-text token.",
                f"Samples: temperature {options['temperature']:g}, top-p {options['top_p']:g}, at most "
                f"{options['max_new_tokens']} tokens.",
                *facts.notes,
            ),
            tokens=checked.vocabulary.fingerprint,
        )
        return card, implemented(cls)

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> CausalLM:
        """Load the weights. Code that came with the model never runs, and nothing is downloaded."""
        from audit.models.lm.opening import load

        place = Path(ref.location)
        checked = check(place)
        if checked.digest != ref.weights:
            raise InputError(
                f"'{place.name}' has changed since the audit was planned. Restore it, or plan the audit again."
            )
        options: dict[str, Any] = dict(ref.options)
        network = load(checked, place.name, str(options["dtype"]), str(options["arithmetic"]), device)
        return cls(
            network, **{name: options[name] for name in _DEFAULTS if name not in ("dtype", "arithmetic")}
        )

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        """Continue each row's ``prefix`` (else its ``text``); without rows, begin texts.

        Returns the continuations as ``text`` and what they continue as ``prefix``.
        """
        from audit.models.lm.sampling import sample

        return sample(
            self.network,
            n,
            rng,
            condition,
            longest=self.max_length,
            most=self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            scale=self.batch_scale,
        )

    def marked_sample(
        self, n: int, rng: Rng, condition: Rows | None, mark: Callable[[str], Any], most: int
    ) -> Rows:
        """Continue rows as ``sample`` does, at most ``most`` tokens each, with a watermark in the choice of tokens.

        The tokens themselves are in the column ``tokens``.
        """
        from audit.models.lm.sampling import sample

        return sample(
            self.network,
            n,
            rng,
            condition,
            longest=self.max_length,
            most=min(most, self.max_length - 1),
            temperature=self.temperature,
            top_p=self.top_p,
            scale=self.batch_scale,
            mark=mark,
        )

    def bytes_at_once(self, peak: Callable[[Callable[[], Any]], int]) -> int:
        """Return what a usual batch takes of the device beside the weights, measured with ``peak`` on an eighth of one."""
        from audit.models.lm.room import bytes_at_once

        return bytes_at_once(self, peak)

    @property
    def vocabulary(self) -> int:
        """How many tokens the model's output has."""
        return int(self.network.model.config.get_text_config().vocab_size)

    def token_scores(self, rows: Rows) -> Rows:
        """Score every token of ``text`` given ``prefix``; see :class:`audit.core.capabilities.HasTokenScores`.

        Also ``lossless``: whether the tokenizer can give the text back. Where it cannot, bits per byte mean nothing.
        """
        from audit.models.lm.scores import token_scores

        return token_scores(self.network, rows, self.max_length, self.stride, self.batch_scale)

    def log_likelihood(self, rows: Rows) -> Vector:
        """Return log p(text | prefix) of each row in nats: the token scores' sum, computed without the rest of it."""
        from audit.models.lm.scores import log_likelihood

        return log_likelihood(self.network, rows, self.max_length, self.stride, self.batch_scale)


def _check(name: str, value: Any) -> None:
    default = _DEFAULTS[name]
    if isinstance(default, str):
        if value not in _DTYPES:
            raise InputError(f"[model] {name} is {as_written(value)}. {nearest(str(value), _DTYPES)}")
        return
    wanted = (int, float) if isinstance(default, float) else (int,)
    if isinstance(value, bool) or not isinstance(value, wanted):
        kind = "a number" if isinstance(default, float) else "a whole number"
        raise InputError(f"[model] {name} is {kind}, not {as_written(value)}.")
    low, high = _BOUNDS[name]
    if not low <= value <= high:
        raise InputError(f"[model] {name} is {value}; it lies between {low:g} and {high:g}.")


_BOUNDS: Mapping[str, tuple[float, float]] = {
    "max_length": (0, 1 << 20),
    "stride": (0, 1 << 20),
    "max_new_tokens": (1, 1 << 16),
    "temperature": (0, 100),
    "top_p": (1e-6, 1),
}


def _fast() -> str:
    """Return the format that language models are rounded to unless told.

    Not ``fastest()``: where bfloat16 is merely quicker, the scores of a text are worth more than the time.
    """
    return "bfloat16" if multiplies_tiles() else "float32"
