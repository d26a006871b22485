"""Opens the parts of a checked pipeline with diffusers and transformers, which are given their files and no others."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from audit.core.errors import InputError
from audit.formats.hostile import shown
from audit.models.pipelines.folder import Part, Pipeline
from audit.models.pipelines.kinds import CODEC, NETWORK, READERS, SCHEDULER
from audit.models.weights import only

Asked = Mapping[str, Tensor]
"""What a network is asked for, by the words that it is called with; each has a row for each sample."""
_LEFT_OVER = ("position_ids",)
"""Ends of names of tensors that old versions stored with the weights though they follow from the settings."""
_FROM_TRANSFORMERS = tuple(use for pair in READERS for use in pair)
_CLASSES = {"CLIPTokenizerFast": "CLIPTokenizer"}
"""What a class is called today."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Turns pictures on -1 to 1 into latents and back."""

    network: Any

    def encode(self, images: Tensor) -> Tensor:
        """Return latents as the autoencoder has them: the mean where it gives a distribution."""
        found = self.network.encode(images)
        latents: Tensor = found.latent_dist.mode() if hasattr(found, "latent_dist") else found.latents
        return latents.float()

    def decode(self, latents: Tensor) -> Tensor:
        """Return pictures of latents as the autoencoder has them."""
        found: Tensor = self.network.decode(latents).sample
        return found.float()

    def scaled(self, latents: Tensor) -> Tensor:
        """Return latents as the network that denoises them sees them."""
        scale, shift, mean, deviation = self._scales(latents)
        return (latents - shift - mean) * scale / deviation

    def unscaled(self, latents: Tensor) -> Tensor:
        """Return latents as the autoencoder has them."""
        scale, shift, mean, deviation = self._scales(latents)
        return latents * deviation / scale + shift + mean

    def _scales(self, like: Tensor) -> tuple[float, float, Any, Any]:
        config = self.network.config
        mean, deviation = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
        known = mean is not None and deviation is not None
        spread = [
            torch.tensor(v, device=like.device)[:, None, None] if known else d
            for v, d in ((mean, 0), (deviation, 1))
        ]
        shift = getattr(config, "shift_factor", None)
        return float(config.scaling_factor), float(shift or 0.0), spread[0], spread[1]


@dataclass(frozen=True, slots=True)
class Opened:
    """The parts of a pipeline in memory; ``scheduler`` makes a fresh one, for a scheduler remembers its steps."""

    network: Any
    codec: Codec | None
    read: Callable[[Sequence[str]], Asked] | None
    scheduler: Callable[[], Any] | None
    learns_variance: bool = False


def open_parts(found: Pipeline, device: str, scheduler: str) -> Opened:
    """Load the weights. Code that came with the model never runs, and nothing is downloaded."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with _quiet():
        loaded = {part.use: _loaded(part, device) for part in found.parts.values() if part.tensors}
        codec = Codec(loaded[CODEC]) if CODEC in loaded else None
        if found.part(NETWORK) is None:
            return Opened(None, codec, None, None)
        pairs = [(loaded[r], _tokenizer(found.needed(t))) for r, t in READERS if r in loaded]
        read = _reader(pairs, device) if pairs else None
        config = loaded[NETWORK].config
        double = (getattr(config, "out_channels", None) or config.in_channels) == 2 * config.in_channels
        steps = _scheduler(found.needed(SCHEDULER), scheduler, found.kind.settings, double=double)
    return Opened(loaded[NETWORK], codec, read, steps, double)


def _loaded(part: Part, device: str) -> Any:
    """Return one network, in float32, whole. Raise InputError when settings and weights do not belong together."""
    kind, asked = _class(part), "dtype" if part.use in _FROM_TRANSFORMERS else "torch_dtype"
    with only(part.files) as folder, _in_our_words(part.name, str(folder)):
        network, said = kind.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **{asked: torch.float32},
        )
    for words, names in (("lacks", said["missing_keys"]), ("holds further", said["unexpected_keys"])):
        wrong = sorted(name for name in names if not name.endswith(_LEFT_OVER))
        if wrong:
            raise InputError(
                f"'{part.name}' {words} weights of its architecture, {len(wrong)} in all, among them {shown(wrong[0])}. "
                "Bring settings and weights that belong together."
            )
    return network.to(device).eval().requires_grad_(requires_grad=False)


def _class(part: Part) -> Any:
    library = importlib.import_module("transformers" if part.use in _FROM_TRANSFORMERS else "diffusers")
    name = _CLASSES.get(part.kind, part.kind)
    if name == "Transformer2DModel":  # what was called so before there was one class for each kind
        name = "DiTTransformer2DModel"
    try:
        return getattr(library, name)
    except AttributeError:
        raise InputError(
            f"{library.__name__} {version(library.__name__)} has no class {name}. Install a version that has it."
        ) from None


def _tokenizer(part: Part) -> Any:
    kind = _class(part)
    with only(part.files) as folder, _in_our_words(part.name, str(folder)):
        return kind.from_pretrained(str(folder), local_files_only=True)


def _reader(pairs: Sequence[tuple[Any, Any]], device: str) -> Callable[[Sequence[str]], Asked]:
    """Return what turns prompts into what the network reads: cut off or filled up to the encoder's length, as the library does.

    One encoder gives its last layer; of two both give the last but one, side by side, and the second a summary as well.
    """

    def read(prompts: Sequence[str]) -> Asked:
        if len(pairs) == 1:
            return {"encoder_hidden_states": _encoded(*pairs[0], prompts, device)[0].float()}
        both = [_encoded(*pair, prompts, device) for pair in pairs]
        layers = torch.cat([one.hidden_states[-2].float() for one in both], dim=-1)
        return {"encoder_hidden_states": layers, "text_embeds": both[-1][0].float()}

    return read


def _encoded(encoder: Any, tokenizer: Any, prompts: Sequence[str], device: str) -> Any:
    longest = int(encoder.config.max_position_embeddings)
    words = tokenizer(
        list(prompts), padding="max_length", max_length=longest, truncation=True, return_tensors="pt"
    ).to(device)
    masked = bool(getattr(encoder.config, "use_attention_mask", False))
    mask = words.attention_mask if masked else None
    return encoder(words.input_ids, attention_mask=mask, output_hidden_states=True)


def _scheduler(part: Part, name: str, settings: Mapping[str, Any], *, double: bool) -> Callable[[], Any]:
    """Return what makes schedulers of a class from the pipeline's own settings.

    A network that predicts a variance beside its noise has it used by DDPM's own steps, and cut off by any other.
    """
    import diffusers

    kind = getattr(diffusers, name)
    config = {**part.config, **settings}
    learned = (
        double and name == "DDPMScheduler" and str(config.get("variance_type", "")).startswith("learned")
    )
    if not learned and str(config.get("variance_type", "")).startswith("learned"):
        del config["variance_type"]
    with _in_our_words(part.name, part.name):
        kind.from_config(dict(config))
    return lambda: kind.from_config(dict(config))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what the libraries print: progress bars, and what is checked here."""
    with contextlib.redirect_stderr(io.StringIO()):
        from diffusers.utils import logging
        from transformers.utils import logging as others

        before = logging.get_verbosity(), others.get_verbosity()
        logging.disable_progress_bar()
        others.disable_progress_bar()
        logging.set_verbosity_error()
        others.set_verbosity_error()
        try:
            yield
        finally:
            logging.set_verbosity(before[0])
            others.set_verbosity(before[1])


@contextlib.contextmanager
def _in_our_words(name: str, place: str) -> Iterator[None]:
    """Turn whatever a library raises on files that their settings do not give away into InputError."""
    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        told = shown(" ".join(str(error).replace(place, name).split()), 300)
        raise InputError(
            f"diffusers {version('diffusers')} cannot open '{shown(name)}' ({type(error).__name__}: {told}). Its settings and "
            "weights do not belong together, or it needs another version of the library."
        ) from error
