"""The files of a network's weights in a folder: one whole safetensors file, or an index and the files that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from audit.core.errors import InputError
from audit.formats.files import is_there, require
from audit.formats.hostile import UnreadableError, shown
from audit.formats.tensors import Tensor, tensors_in
from audit.models.json_file import read_json

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_MOST_HEADER = 100_000_000
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Weights:
    """Files by the name a loader knows them under, and the tensors in them."""

    files: Mapping[str, Path]
    tensors: Mapping[str, Tensor]


@contextmanager
def only(files: Mapping[str, Path]) -> Iterator[Path]:
    """Give a folder that holds these files and nothing else, so that a loader can read no other.

    A loader looks for adapters, chat templates, older formats and code beside what it was asked for.
    """
    with TemporaryDirectory(prefix="audit-model-") as made:
        for name, path in files.items():
            (Path(made) / name).symlink_to(path.resolve())
        yield Path(made)


def weights_of(place: Path, names: frozenset[str], stem: str = "model", variant: str = "") -> Weights:
    """Return the weights that a loader finds under ``stem``: ``stem.safetensors``, else what its index names.

    With a ``variant`` such as ``fp16`` the files are ``stem.fp16.safetensors`` or its index, and go by the plain names.
    ``names`` is all that is in the folder. Raise InputError with the file and the remedy.
    """
    dotted = f".{variant}" if variant else ""
    whole, index = f"{stem}{dotted}.safetensors", f"{stem}.safetensors.index{dotted}.json"
    if whole in names:  # a loader asks for it first
        tensors: dict[str, Tensor] = {}
        _add(tensors, place / whole)
        return Weights({f"{stem}.safetensors": place / whole}, tensors)
    if index in names:
        return _indexed(place, index, f"{stem}.safetensors.index.json")
    stray = sorted(name for name in names if name.endswith(".safetensors"))
    pickles = sorted(name for name in names if name.endswith(PICKLES))
    if stray:
        others = sorted({v for name in stray if (v := _variant_of(name, stem)) != variant and v})
        hint = f' Set variant = "{shown(others[0])}".' if others else ""
        raise InputError(
            f"'{shown(place.name)}' has neither {whole} nor {index}; it has {some(stray)}.{hint} "
            f"Bring the index where there are several, or give the one file that holds the whole model the name {whole}."
        )
    if pickles:
        raise InputError(
            f"'{shown(place.name)}' has its weights as {shown(pickles[0])}, a pickle, and loading a pickle runs the code in "
            "it. Convert it to safetensors (model.save_pretrained writes them) and audit that."
        )
    raise InputError(
        f"'{shown(place.name)}' holds no .safetensors file; it holds {some(sorted(names)) or 'nothing'}."
    )


def _variant_of(name: str, stem: str) -> str:
    """Return the variant that a file of weights is of.

    >>> _variant_of("model.fp16.safetensors", "model"), _variant_of("other.safetensors", "model")
    ('fp16', '')
    """
    middle = name.removeprefix(f"{stem}.").removesuffix("safetensors").rstrip(".")
    return middle if name.startswith(f"{stem}.") and "." not in middle else ""


def _indexed(place: Path, found: str, plain: str) -> Weights:
    """Return the index, the files that it names and their tensors: each a plain name of a file in this folder."""
    index = read_json(place / found)
    entries = index.get("weight_map")
    if not isinstance(entries, dict) or not entries:
        raise InputError(
            f"{found} of '{shown(place.name)}' has no 'weight_map'. Bring it again from where it came from."
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
                f"{found} of '{shown(place.name)}' names {shown(repr(name))}. It may name .safetensors files in the same "
                "folder and nothing else: other files are not checked, and a pickle runs the code in it."
            )
        files.add(name)
    missing = sorted(name for name in files if not is_there(place / name))
    if missing:
        raise InputError(
            f"'{shown(place.name)}' lacks {len(missing)} of {len(files)} files of weights that {found} names: "
            f"{some(missing)}. Bring the whole model."
        )
    tensors: dict[str, Tensor] = {}
    for name in sorted(files):
        held = _add(tensors, place / name)
        absent = sorted(key for key, file in entries.items() if file == name and key not in held)
        if absent:
            raise InputError(
                f"{shown(name)} of '{shown(place.name)}' lacks the tensor '{shown(absent[0])}' that {found} says is in it. "
                "Index and weights are of different models: bring them together again."
            )
    return Weights({**{name: place / name for name in sorted(files)}, plain: place / found}, tensors)


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


def some(names: list[str]) -> str:
    """List the first few names."""
    return ", ".join(map(shown, names[:_NAMED])) + (
        f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    )
