"""Finds the files of a language model, refuses unsafe ones, and reads their metadata without loading a weight."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from audit.core.errors import InputError
from audit.core.identity import Digest, digest_file, digest_files
from audit.formats.hostile import UnreadableError
from audit.formats.tensors import tensors_in

_UNSAFE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_READ = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
_MOST_HEADER = 100_000_000
_MOST_LIST = 50_000_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model's metadata says about it."""

    architecture: str
    parameters: int
    context: int
    vocabulary: int


def locate(options: Mapping[str, Any]) -> Path:
    """Return the directory or GGUF file that ``path`` or ``hub`` names. Raise InputError when there is none.

    A hub id is looked up in the local cache only; nothing is ever downloaded.
    """
    path, hub = options.get("path"), options.get("hub")
    if (path is None) == (hub is None):
        raise InputError(
            "[model] with adapter 'transformers' needs either 'path' (a directory with safetensors, config and "
            "tokenizer, or a .gguf file) or 'hub' (an id already in the local Hugging Face cache)"
            + (", not both." if path is not None else ".")
        )
    for name, value in (("path", path), ("hub", hub)):
        if value is not None and (not isinstance(value, str) or not value):
            raise InputError(f"[model] {name} is a string, not {value!r}.")
    if hub is not None:
        return _cached(str(hub), options.get("revision", "main"))
    found = Path(str(path)).expanduser()
    if not found.exists():
        raise InputError(
            f"There is no model at '{path}'. Give a directory with safetensors, config and tokenizer or a .gguf "
            f"file, or bring one with 'audit fetch'."
        )
    return found


def _cached(hub: str, revision: Any) -> Path:
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    if ".." in hub or hub.startswith("/") or hub.count("/") > 1 or ".." in str(revision):
        raise InputError(f"'{hub}' is not a hub id; one looks like 'organisation/name'.")
    folder = cache / ("models--" + hub.replace("/", "--"))
    reference = folder / "refs" / str(revision)
    commit = reference.read_text().strip() if reference.is_file() else str(revision)
    snapshot = folder / "snapshots" / commit
    if not (snapshot / "config.json").is_file():
        raise InputError(
            f"'{hub}' ({revision}) is not in the local Hugging Face cache, and an audit downloads nothing. "
            f"Use 'audit fetch' for a model of the catalogue, or run 'hf download {hub}' beforehand."
        )
    return snapshot


def digest_model(place: Path) -> Digest:
    """Return the digest of the weights, tokenizer and configuration. Refuse what is not safe to load."""
    if place.is_file():
        if place.suffix != ".gguf":
            raise InputError(f"'{place.name}' is not a .gguf file; other formats are given as a directory.")
        return digest_file(place)
    weights = sorted(place.glob("*.safetensors"))
    if not weights:
        unsafe = sorted(p.name for p in place.iterdir() if p.suffix in _UNSAFE)
        if unsafe:
            raise InputError(
                f"'{place.name}' has its weights as {unsafe[0]}, a pickle, and loading a pickle runs the code in it. "
                f"Convert it to safetensors (model.save_pretrained writes them) and audit that."
            )
        found = ", ".join(sorted(p.name for p in place.iterdir())[:5]) or "nothing"
        raise InputError(f"'{place.name}' holds no .safetensors file; it holds {found}.")
    config = read_json(place / "config.json")
    settings = place / "tokenizer_config.json"
    for name, values in (
        ("config.json", config),
        ("tokenizer_config.json", read_json(settings) if settings.is_file() else {}),
    ):
        if values.get("auto_map") or values.get("trust_remote_code"):
            raise InputError(
                f"{name} asks for code that comes with the model (auto_map), and an audit does not run such code. "
                f"Use a checkpoint of an architecture that transformers has itself."
            )
    if not any((place / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise InputError(
            f"'{place.name}' has no tokenizer (tokenizer.json); a likelihood needs the model's own."
        )
    files = {p.name: p for p in weights}
    files |= {p.name: p for p in sorted(place.glob("*.safetensors.index.json"))}
    files |= {name: place / name for name in _READ if (place / name).is_file()}
    return digest_files(files)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. Raise InputError when it holds none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"'{path.parent.name}' has no {path.name}.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path.name} of '{path.parent.name}' is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InputError(f"{path.name} of '{path.parent.name}' is not a JSON object.")
    return value


def facts_of(place: Path) -> Facts:
    """Return what the metadata says: of a GGUF file's header, or of config.json and the safetensors headers."""
    if place.is_file():
        return _gguf_facts(place)
    config = read_json(place / "config.json")
    names = config.get("architectures") or [config.get("model_type", "unknown")]
    parameters = sum(_safetensors_size(path) for path in sorted(place.glob("*.safetensors")))
    context = next(
        (
            config[k]
            for k in ("max_position_embeddings", "n_positions", "n_ctx")
            if isinstance(config.get(k), int)
        ),
        0,
    )
    return Facts(str(names[0]), parameters, context, int(config.get("vocab_size", 0)))


def _safetensors_size(path: Path) -> int:
    try:
        return sum(tensor.size for tensor in tensors_in(path, _MOST_HEADER).values())
    except UnreadableError as error:
        raise InputError(f"{path.name} {error}.") from None


_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


def _gguf_facts(path: Path) -> Facts:
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise InputError(f"'{path.name}' is not a GGUF file: it does not begin with 'GGUF'.")
            version, tensors, entries = _unpack(file, "I"), _unpack(file, "Q"), _unpack(file, "Q")
            if version not in (2, 3) or tensors > 1_000_000 or entries > 1_000_000:
                raise InputError(f"'{path.name}' has GGUF version {version}; versions 2 and 3 can be read.")
            values = {_text(file): _value(file, _unpack(file, "I")) for _ in range(entries)}
            parameters = sum(_tensor_size(file) for _ in range(tensors))
    except (struct.error, UnicodeDecodeError, KeyError):
        raise InputError(f"'{path.name}' is cut short or damaged: its header cannot be read.") from None
    kind = str(values.get("general.architecture", "unknown"))
    words = values.get("tokenizer.ggml.tokens", 0)
    return Facts(kind, parameters, int(values.get(f"{kind}.context_length", 0)), int(words))


def _unpack(file: BinaryIO, code: str) -> Any:
    return struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]


def _text(file: BinaryIO) -> str:
    length = _unpack(file, "Q")
    if length > _MOST_HEADER:
        raise struct.error("a string longer than a header may be")
    return file.read(length).decode("utf-8")


def _value(file: BinaryIO, kind: int) -> Any:
    """Return a metadata value; of a list only its length, since only the vocabulary's is of interest."""
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        return _unpack(file, _SCALARS[kind])
    inner, length = _unpack(file, "I"), _unpack(file, "Q")
    if length > _MOST_LIST or inner == _ARRAY:
        raise struct.error("a list longer than a header may have")
    if inner == _STRING:
        for _ in range(length):
            file.seek(_unpack(file, "Q"), os.SEEK_CUR)
    else:
        file.seek(length * struct.calcsize("<" + _SCALARS[inner]), os.SEEK_CUR)
    return length


def _tensor_size(file: BinaryIO) -> int:
    _text(file)
    dimensions = _unpack(file, "I")
    if dimensions > 8:
        raise struct.error("a tensor of more than eight dimensions")
    size: int = math.prod(_unpack(file, "Q") for _ in range(dimensions))
    _unpack(file, "I"), _unpack(file, "Q")
    return size
