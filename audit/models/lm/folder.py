"""Which files of a folder are a language model: those a loader may read, and nothing beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audit.core.errors import InputError
from audit.formats.files import is_there, require
from audit.formats.hostile import shown
from audit.formats.tensors import Tensor
from audit.models.lm.settings import refuse_quantised
from audit.models.weights import PICKLES, some, weights_of

SETTINGS = ("config.json", "generation_config.json")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_OTHER_WEIGHTS = (*PICKLES, ".safetensors", ".gguf", ".h5", ".msgpack", ".onnx", ".npz")
_OTHER_TOKENIZERS = (
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "tiktoken.model",
)
_QUANTISED = ("quantize_config.json", "quant_config.json")
_PACKED = re.compile(
    r"\.(qweight|qzeros|g_idx|SCB|weight_packed|weight_scale|weight_scale_inv|absmax|quant_state)\b"
)
_ADAPTER = re.compile(r"\.(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector|hada_w\d|ia3_l)\b")


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a model by the name a loader knows them under, the tensors in them, and what else is there."""

    files: Mapping[str, Path]
    tensors: Mapping[str, Tensor]
    unread: tuple[str, ...]


def read_folder(place: Path) -> Folder:
    """Find a model's files and check that each is whole. Raise InputError with the file and the remedy."""
    names = _names(place)
    weights = weights_of(place, names)
    _refuse_odd_tensors(place, weights.tensors)
    _check_tokenizer(place, names)
    if found := next((name for name in _QUANTISED if name in names), None):
        refuse_quantised(place.name, "GPTQ or AWQ", found)
    settings = {name: place / name for name in (*SETTINGS, *TOKENIZER) if name in names}
    chosen = {**weights.files, **settings}
    for path in chosen.values():
        require(path)
    unread = tuple(
        name for name in sorted(names) if name not in chosen and Path(name).suffix.lower() in _OTHER_WEIGHTS
    )
    return Folder(chosen, weights.tensors, unread)


def require_config(place: Path) -> None:
    """Raise InputError unless the folder has a config.json."""
    if is_there(place / "config.json"):
        return require(place / "config.json")
    names = sorted(_names(place))
    ggufs = [name for name in names if name.endswith(".gguf")]
    hint = f' Name the file itself: path = "…/{shown(ggufs[0])}".' if ggufs else " Bring the whole model."
    if "model_index.json" in names:
        hint = " It is a pipeline of diffusers, which the adapter 'transformers' does not open."
    raise InputError(f"'{shown(place.name)}' has no config.json; it holds {some(names) or 'nothing'}.{hint}")


def _names(place: Path) -> frozenset[str]:
    try:
        return frozenset(entry.name for entry in place.iterdir())
    except OSError as error:
        raise InputError(f"The folder '{shown(str(place))}' cannot be listed: {error.strerror}.") from error


def refuse_adapters(place: Path) -> None:
    """Raise InputError for a folder that holds an adapter, with its base model or without."""
    adapters = sorted(
        name for name in _names(place) if name.startswith(("adapter_config.", "adapter_model."))
    )
    if adapters:
        beside = " There is a whole model beside it." if is_there(place / "config.json") else ""
        raise InputError(
            f"'{shown(place.name)}' holds an adapter ({', '.join(map(shown, adapters))}), such as LoRA makes, and an audit "
            f"applies none.{beside} Merge it into its base model (PEFT: model.merge_and_unload().save_pretrained(folder)) "
            "and audit that folder; or take the adapter's files away to audit the base model."
        )


def _refuse_odd_tensors(place: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise InputError for weights that are not a model's own numbers: packed ones, or an adapter's."""
    for name, tensor in tensors.items():
        if _ADAPTER.search(name):
            raise InputError(
                f"'{shown(place.name)}' holds weights of an adapter ({shown(name)}) that were not merged into the model's. "
                "Merge them (PEFT: model.merge_and_unload()) and save it again."
            )
        whole = name.endswith(".weight") and not tensor.holds_numbers
        if (
            whole
            or _PACKED.search(name)
            or tensor.dtype.startswith(("F8_", "F6_", "F4_"))
            or tensor.dtype == "F4"
        ):
            refuse_quantised(
                place.name, f"packing its numbers ({tensor.dtype})", f"the tensor '{shown(name)}'"
            )


def _check_tokenizer(place: Path, names: frozenset[str]) -> None:
    if "tokenizer.json" in names:
        return
    others = [name for name in _OTHER_TOKENIZERS if name in names]
    if others:
        raise InputError(
            f"'{shown(place.name)}' has no tokenizer.json; it has {', '.join(others)}, which says which tokens there are and "
            "not in full how a text is cut into them. Write one where the model's own tokenizer opens: "
            "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)."
        )
    raise InputError(
        f"'{shown(place.name)}' has no tokenizer (tokenizer.json); a likelihood needs the model's own."
    )
