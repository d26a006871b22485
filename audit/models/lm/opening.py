"""Opens a checked language model with transformers, which is given its files and no others."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import torch

from audit.core.errors import InputError
from audit.formats.hostile import shown
from audit.models.json_file import read_json
from audit.models.lm.files import Checked
from audit.models.lm.folder import TOKENIZER
from audit.models.lm.gguf_followed import check_followed
from audit.models.lm.head import Head
from audit.models.lm.network import Network
from audit.models.lm.probes import proven
from audit.models.lm.settings import text_part, whole
from audit.models.lm.tokens import Words
from audit.models.weights import only

_LEFT_OVER = re.compile(
    r"(rotary_emb\.inv_freq|\.attn\.(masked_)?bias|attention\.(masked_)?bias|position_ids)$"
)
"""Tensors that old versions of transformers stored with the weights though they follow from the configuration."""


_UNNEEDED = (*TOKENIZER, "generation_config.json")
"""Files that are read here and not by the library: texts are cut and tokens drawn without it."""


def load(checked: Checked, name: str, dtype: str, arithmetic: str, device: str) -> Network:
    """Open a checked model, weights rounded to ``dtype``, computing in ``arithmetic``. Downloads nothing.

    The library is given a folder that holds the checked weights, their configuration and nothing else.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import transformers

    transformers.utils.logging.disable_progress_bar()
    kind: dict[str, Any] = {
        "dtype": getattr(torch, dtype),
        "local_files_only": True,
        "trust_remote_code": False,
    }
    if checked.header is not None:
        kind["gguf_file"] = next(iter(checked.files))
        kind["quantization_config"] = transformers.GgufConfig(dequantize=True)
    else:
        kind["use_safetensors"] = True
        kind.update(_instead(read_json(checked.files["config.json"])))
    needed = {name: path for name, path in checked.files.items() if name not in _UNNEEDED}
    with only(needed) as folder, _in_our_words("open", name, str(folder)), _quiet():
        model, said = transformers.AutoModelForCausalLM.from_pretrained(
            folder, **kind, output_loading_info=True
        )
    _check_loaded(said, name)
    if checked.header is not None:
        check_followed(checked.header, model.config, name)
    model = model.to(device=device, dtype=getattr(torch, arithmetic)).eval().requires_grad_(False)
    plain = Network(name, model, Words.of(checked.vocabulary), Head(None), 0, torch.device(device))
    with _in_our_words("compute with", name, name), _quiet():
        return proven(plain)


def _instead(config: dict[str, Any]) -> dict[str, Any]:
    """Return what the library is told in place of settings that change no number and that it may fail on.

    Attention that another library computes (flash_attention_2) is computed plainly, and a padding token beyond the
    vocabulary, which no text becomes, is none.
    """
    told: dict[str, Any] = {}
    if any(config.get(name) for name in ("attn_implementation", "_attn_implementation")):
        told["attn_implementation"] = "eager"
    inner, words = text_part(config), whole(text_part(config), ("vocab_size",))
    if words and isinstance(padding := inner.get("pad_token_id"), int) and padding >= words:
        told["pad_token_id"] = None
    return told


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what the library prints: progress bars that no option turns off, and what is checked here."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(before)


@contextlib.contextmanager
def _in_our_words(doing: str, name: str, place: str) -> Iterator[None]:
    """Turn whatever a library raises on files that their metadata do not give away into InputError."""
    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if "ignore_mismatched_sizes" in str(error):
            error = RuntimeError("tensors have other shapes than the configuration asks for")
        told = shown(" ".join(str(error).replace(place, name).split()), 300)
        raise InputError(
            f"transformers {version('transformers')} cannot {doing} '{shown(name)}' ({type(error).__name__}: {told}). "
            "Its configuration and weights do not belong together, or it needs another version of transformers."
        ) from error


def _check_loaded(said: dict[str, Any], name: str) -> None:
    """Raise InputError when weights are missing, which the library fills with random numbers, or were left out."""
    missing = sorted(said.get("missing_keys") or ())
    if missing:
        raise InputError(
            f"'{shown(name)}' lacks {len(missing)} of the weights of its architecture, among them {shown(missing[0])}. "
            "Bring the whole model."
        )
    further = sorted(key for key in said.get("unexpected_keys") or () if not _LEFT_OVER.search(key))
    if further:
        raise InputError(
            f"'{shown(name)}' holds {len(further)} weights that its architecture does not use, among them "
            f"{shown(further[0])}: its scores would be of a part of it. Bring the configuration that belongs to it."
        )
