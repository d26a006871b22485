"""A language model on disk: where it is, what it says about itself, and which bytes are its identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.core.identity import Digest, digest_file, digest_files
from audit.formats.files import is_there, require
from audit.formats.hostile import shown
from audit.models.hub import cached
from audit.models.json_file import read_json
from audit.models.lm.architectures import architecture_of, positions_lost
from audit.models.lm.fits import check_fit, embedding_rows
from audit.models.lm.folder import read_folder, refuse_adapters, require_config
from audit.models.lm.gguf import Header, read_header
from audit.models.lm.gguf_model import check_model, context_of
from audit.models.lm.gguf_words import check_words, words_of
from audit.models.lm.settings import (
    CONTEXT,
    check_not_quantised,
    check_settings,
    text_part,
    whole,
)
from audit.models.lm.tokenizer_file import Vocabulary, check_rows, read_vocabulary

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model's metadata says about it. ``notes`` are sentences on what was not read or had to be assumed."""

    architecture: str
    parameters: int
    context: int
    vocabulary: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """A language model whose files were found good: by the names a loader knows, with facts and tokenizer.

    ``files`` are all that may be read of it and all that its identity covers. ``header`` is that of a GGUF file.
    """

    files: Mapping[str, Path]
    facts: Facts
    vocabulary: Vocabulary
    header: Header | None = None

    @property
    def digest(self) -> Digest:
        try:
            if self.header is not None:
                return digest_file(next(iter(self.files.values())))
            return digest_files(self.files)
        except OSError as error:
            raise InputError(f"'{shown(str(error.filename))}' cannot be read: {error.strerror}.") from error


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
    for name, value in (("path", path), ("hub", hub), ("revision", options.get("revision", "main"))):
        if value is not None and (not isinstance(value, str) or not value):
            raise InputError(f"[model] {name} is a string, not {shown(repr(value))}.")
    if hub is not None:
        return cached(str(hub), str(options.get("revision", "main")))
    found = Path(str(path)).expanduser()
    if not is_there(found):
        raise InputError(
            f"There is no model at '{shown(str(path))}'. Give a directory with safetensors, config and tokenizer or a .gguf "
            f"file, or bring one with 'audit fetch'."
        )
    return found


def check(place: Path) -> Checked:
    """Read a model's metadata and refuse, in words, what is unsafe, incomplete, contradictory or another kind of model.

    Reads headers and settings only; imports neither torch nor transformers.
    """
    place = place.absolute()
    if not place.is_dir():
        return _checked_gguf(place)
    refuse_adapters(place)
    require_config(place)
    config, name = read_json(place / "config.json"), place.name
    check_settings(config)
    architecture = architecture_of(config, name)
    check_not_quantised(config, name)
    folder = read_folder(place)
    check_fit(config, folder.tensors, name)
    rows = embedding_rows(config, folder.tensors)
    vocabulary = read_vocabulary(place, config)
    check_rows(vocabulary, rows, name)
    context = whole(text_part(config), CONTEXT)
    facts = Facts(
        architecture,
        sum(tensor.size for tensor in folder.tensors.values() if tensor.holds_numbers),
        max(0, context - positions_lost(config)),
        whole(text_part(config), ("vocab_size",)),
        tuple(_unread(folder.unread)),
    )
    return Checked(folder.files, facts, vocabulary)


def _checked_gguf(place: Path) -> Checked:
    if not place.is_file():
        require(place)
    if place.suffix.lower() != ".gguf":
        raise InputError(
            f"'{shown(place.name)}' is not a .gguf file; a model in other formats is given as its directory."
        )
    header = read_header(place)
    check_model(header, place.name)
    check_words(header, place.name)
    vocabulary = words_of(header)
    facts = Facts(
        header.architecture,
        header.parameters,
        context_of(header),
        len(header.values["tokenizer.ggml.tokens"]),
        (vocabulary.assumed,) if vocabulary.assumed else (),
    )
    return Checked({"model.gguf": place}, facts, vocabulary, header)


def _unread(names: tuple[str, ...]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"Other weights in the folder were not read: {', '.join(map(shown, names[:_NAMED]))}{more}."]


def digest_model(place: Path) -> Digest:
    """Return the digest of the weights, tokenizer and configuration. Refuse what is not safe to load."""
    return check(place).digest


def facts_of(place: Path) -> Facts:
    """Return what the metadata says: of a GGUF file's header, or of config.json and the safetensors headers."""
    return check(place).facts
