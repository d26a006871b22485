"""Which files of a folder are a language model: those a loader may read, and nothing beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from audit.core.errors import InputError
from audit.formats.files import is_there, require
from audit.formats.hostile import UnreadableError, shown
from audit.formats.tensors import Tensor, tensors_in
from audit.models.lm.settings import read_json, refuse_quantised

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SETTINGS = ("config.json", "generation_config.json")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_OTHER_WEIGHTS = (*_PICKLES, ".safetensors", ".gguf", ".h5", ".msgpack", ".onnx", ".npz")
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
_MOST_HEADER = 100_000_000
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a model by the name a loader knows them under, the tensors in them, and what else is there."""

    files: Mapping[str, Path]
    tensors: Mapping[str, Tensor]
    unread: tuple[str, ...]


def read_folder(place: Path) -> Folder:
    """Find a model's files and check that each is whole. Raise InputError with the file and the remedy."""
    names = _names(place)
    weights, tensors = _weights(place, names)
    _refuse_odd_tensors(place, tensors)
    _check_tokenizer(place, names)
    if found := next((name for name in _QUANTISED if name in names), None):
        refuse_quantised(place.name, "GPTQ or AWQ", found)
    chosen = [*weights, *(name for name in (*SETTINGS, *TOKENIZER) if name in names)]
    for name in chosen:
        require(place / name)
    unread = tuple(
        name for name in sorted(names) if name not in chosen and Path(name).suffix.lower() in _OTHER_WEIGHTS
    )
    return Folder({name: place / name for name in chosen}, tensors, unread)


@contextmanager
def only(files: Mapping[str, Path]) -> Iterator[Path]:
    """Give a folder that holds these files and nothing else, so that a loader can read no other.

    A loader looks for adapters, chat templates, older formats and code beside what it was asked for.
    """
    with TemporaryDirectory(prefix="audit-model-") as made:
        for name, path in files.items():
            (Path(made) / name).symlink_to(path.resolve())
        yield Path(made)


def require_config(place: Path) -> None:
    """Raise InputError unless the folder has a config.json."""
    if is_there(place / "config.json"):
        return require(place / "config.json")
    names = sorted(_names(place))
    ggufs = [name for name in names if name.endswith(".gguf")]
    hint = f' Name the file itself: path = "…/{shown(ggufs[0])}".' if ggufs else " Bring the whole model."
    if "model_index.json" in names:
        hint = " It is a pipeline of diffusers, which the adapter 'transformers' does not open."
    raise InputError(f"'{shown(place.name)}' has no config.json; it holds {_some(names) or 'nothing'}.{hint}")


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


def _weights(place: Path, names: frozenset[str]) -> tuple[list[str], dict[str, Tensor]]:
    """Return the names of the files of weights, with the index that names them, and the tensors in them."""
    if WEIGHTS in names:  # a loader asks for it first
        tensors: dict[str, Tensor] = {}
        _add(tensors, place / WEIGHTS)
        return [WEIGHTS], tensors
    if INDEX in names:
        return _indexed(place)
    stray = sorted(name for name in names if name.endswith(".safetensors"))
    pickles = sorted(name for name in names if name.endswith(_PICKLES))
    if stray:
        raise InputError(
            f"'{shown(place.name)}' has neither {WEIGHTS} nor {INDEX}; it has {_some(stray)}. "
            f"Bring the index where there are several, or give the one file that holds the whole model the name {WEIGHTS}."
        )
    if pickles:
        raise InputError(
            f"'{shown(place.name)}' has its weights as {shown(pickles[0])}, a pickle, and loading a pickle runs the code in "
            "it. Convert it to safetensors (model.save_pretrained writes them) and audit that."
        )
    raise InputError(
        f"'{shown(place.name)}' holds no .safetensors file; it holds {_some(sorted(names)) or 'nothing'}."
    )


def _indexed(place: Path) -> tuple[list[str], dict[str, Tensor]]:
    """Return the index, the files that it names and their tensors: each a plain name of a file in this folder."""
    index = read_json(place / INDEX)
    entries = index.get("weight_map")
    if not isinstance(entries, dict) or not entries:
        raise InputError(
            f"{INDEX} of '{shown(place.name)}' has no 'weight_map'. Bring it again from where it came from."
        )
    files: set[str] = set()
    for name in entries.values():
        if (
            not isinstance(name, str)
            or not name.endswith(".safetensors")
            or name != Path(name).name
            or "\\" in name
        ):
            raise InputError(
                f"{INDEX} of '{shown(place.name)}' names {shown(repr(name))}. It may name .safetensors files in the same "
                "folder and nothing else: other files are not checked, and a pickle runs the code in it."
            )
        files.add(name)
    missing = sorted(name for name in files if not is_there(place / name))
    if missing:
        raise InputError(
            f"'{shown(place.name)}' lacks {len(missing)} of {len(files)} files of weights that {INDEX} names: "
            f"{_some(missing)}. Bring the whole model."
        )
    tensors: dict[str, Tensor] = {}
    for name in sorted(files):
        held = _add(tensors, place / name)
        absent = sorted(key for key, file in entries.items() if file == name and key not in held)
        if absent:
            raise InputError(
                f"{shown(name)} of '{shown(place.name)}' lacks the tensor '{shown(absent[0])}' that {INDEX} says is in it. "
                "Index and weights are of different models: bring them together again."
            )
    return [*sorted(files), INDEX], tensors


def _add(tensors: dict[str, Tensor], path: Path) -> Mapping[str, Tensor]:
    """Add the tensors of one file. Raise InputError when one of them is in an earlier file too."""
    require(path)
    try:
        held = tensors_in(path, _MOST_HEADER)
    except UnreadableError as error:
        raise InputError(f"{shown(path.name)} of '{shown(path.parent.name)}' {error}.") from None
    twice = sorted(tensors.keys() & held.keys())
    if twice:
        raise InputError(
            f"{shown(path.name)} of '{shown(path.parent.name)}' holds '{shown(twice[0])}', which another of its files "
            "holds too. Bring the whole model again."
        )
    tensors.update(held)
    return held


def _refuse_odd_tensors(place: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise InputError for weights that are not a model's own numbers: packed ones, or an adapter's."""
    for name, tensor in tensors.items():
        if _ADAPTER.search(name):
            raise InputError(
                f"'{shown(place.name)}' holds weights of an adapter ({shown(name)}) that were not merged into the model's. "
                "Merge them (PEFT: model.merge_and_unload()) and save it again."
            )
        whole = name.endswith(".weight") and not tensor.holds_numbers
        if whole or _PACKED.search(name) or tensor.dtype.startswith(("F8", "F4", "F6")):
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


def _some(names: list[str]) -> str:
    return ", ".join(map(shown, names[:_NAMED])) + (
        f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    )
