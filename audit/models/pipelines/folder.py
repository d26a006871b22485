"""Which files of a folder are a pipeline: what its index names, as safetensors and settings, and nothing beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.core.errors import InputError, nearest
from audit.core.identity import Digest, digest_files
from audit.formats.files import is_there, require
from audit.formats.hostile import shown
from audit.formats.tensors import Tensor
from audit.models.json_file import read_json
from audit.models.pipelines.kinds import (
    AUTOENCODER,
    CODEC,
    CODECS,
    NETWORK,
    PIPELINES,
    READERS,
    SCHEDULER,
    Kind,
    Role,
)
from audit.models.weights import PICKLES, some, weights_of

INDEX, CONFIG = "model_index.json", "config.json"
_STEMS = {
    NETWORK: "diffusion_pytorch_model",
    CODEC: "diffusion_pytorch_model",
    **{reader: "model" for reader, _ in READERS},
}
_TOKENIZERS = tuple(tokenizer for _, tokenizer in READERS)
_SETTINGS = {SCHEDULER: "scheduler_config.json", **dict.fromkeys(_TOKENIZERS, "tokenizer_config.json")}
_TOKENIZER_FILES = (
    "tokenizer_config.json",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
_LIBRARIES = ("diffusers", "transformers")
_WEIGHTS = (*PICKLES, ".safetensors", ".onnx", ".msgpack", ".h5", ".npz")
_COUNTED, _MOST_LAYERS = ("layers", "blocks", "num_res"), 1_000
_MOST_SIZE, _MOST_LISTED = 1 << 31, 64
_FOREIGN = ("auto_map", "quantization_config", "trust_remote_code", "compression_config")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a pipeline: its class, its settings, and its files by the names a loader knows them under."""

    name: str
    use: str
    kind: str
    config: Mapping[str, Any]
    files: Mapping[str, Path]
    tensors: Mapping[str, Tensor]

    def whole(self, field: str) -> int:
        """Return a setting that is a whole number from 1. Raise InputError when it is something else."""
        value = self.config.get(field)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1 << 20:
            raise InputError(
                f"The settings of '{self.name}' say {field} = {value!r:.60}; it is a whole number."
            )
        return value

    def listed(self, field: str) -> tuple[Any, ...]:
        """Return a setting that is a list of something. Raise InputError when it is something else."""
        value = self.config.get(field)
        if not isinstance(value, list) or not value:
            raise InputError(f"The settings of '{self.name}' say {field} = {value!r:.60}; it is a list.")
        return tuple(value)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline or an autoencoder whose files were found good. ``files`` are all that may be read of it."""

    place: Path
    title: str
    kind: Kind
    parts: Mapping[str, Part]
    index: Mapping[str, Any]
    files: Mapping[str, Path]
    unread: tuple[str, ...]

    @property
    def digest(self) -> Digest:
        """Name the model by all that is loaded of it."""
        try:
            return digest_files(self.files)
        except OSError as error:
            raise InputError(f"'{shown(str(error.filename))}' cannot be read: {error.strerror}.") from error

    def part(self, use: str) -> Part | None:
        """Return the part that is there for something, or None."""
        return next((part for part in self.parts.values() if part.use == use), None)

    def needed(self, use: str) -> Part:
        """Return the part that is there for something, where the kind of pipeline promises one."""
        part = self.part(use)
        assert part is not None
        return part

    @property
    def parameters(self) -> int:
        """How many floating-point numbers the files hold."""
        tensors = (tensor for part in self.parts.values() for tensor in part.tensors.values())
        return sum(tensor.size for tensor in tensors if tensor.holds_numbers)


def read_pipeline(place: Path, variant: str = "") -> Pipeline:
    """Find the files of a pipeline, or of an autoencoder alone, and check that each is whole.

    Imports neither torch nor diffusers. Raise InputError with what is wrong and the remedy.
    """
    place = place.absolute()
    if not place.is_dir():
        raise InputError(f"'{shown(str(place))}' is not a folder. Name the folder that holds {INDEX}.")
    names = _names(place)
    if INDEX in names:
        return _pipeline(place, names, variant)
    if CONFIG in names:
        return _autoencoder(place, names, variant)
    single = [name for name in sorted(names) if name.endswith(".safetensors")]
    hint = (
        " A checkpoint in one file is made a folder with StableDiffusionPipeline.from_single_file(…).save_pretrained(folder)."
        if single
        else ""
    )
    raise InputError(
        f"'{shown(place.name)}' has neither {INDEX}, as a pipeline of diffusers has, nor {CONFIG}, as an autoencoder has; it "
        f"holds {some(sorted(names)) or 'nothing'}.{hint}"
    )


def _pipeline(place: Path, names: frozenset[str], variant: str) -> Pipeline:
    index = read_json(place / INDEX)
    kind, title = _kind(index, place)
    _refuse_code_and_adapters(place, names)
    parts = {name: _part(place, name, role, index.get(name), variant) for name, role in kind.parts.items()}
    further = sorted(
        name
        for name, value in index.items()
        if isinstance(value, list) and name not in kind.parts and name not in kind.unused and any(value)
    )
    if further:
        raise InputError(
            f"{INDEX} of '{shown(place.name)}' names the part '{shown(further[0])}', which {title} does not have. Bring the "
            "index that belongs to it."
        )
    files = {INDEX: place / INDEX}
    files |= {f"{part.name}/{name}": path for part in parts.values() for name, path in part.files.items()}
    return Pipeline(place, title, kind, parts, index, files, tuple(_unread(place, names, files, kind)))


def _kind(index: Mapping[str, Any], place: Path) -> tuple[Kind, str]:
    title = index.get("_class_name")
    if isinstance(title, list):
        raise InputError(
            f"{INDEX} of '{shown(place.name)}' asks for a pipeline of its own ({shown(str(title))}), which is code that comes "
            "with the model, and an audit does not run such code. Audit it through the adapter 'torch_module', whose code "
            "you name yourself."
        )
    if not isinstance(title, str) or title not in PIPELINES:
        raise InputError(
            f"{INDEX} of '{shown(place.name)}' is of the class '{shown(str(title))}', which is not known here. "
            f"{nearest(str(title), PIPELINES)} Any other is audited through the adapter 'torch_module', or its outputs "
            "through 'samples_on_disk'."
        )
    return PIPELINES[title], title


def _refuse_code_and_adapters(place: Path, names: frozenset[str]) -> None:
    code = ["pipeline.py"] if "pipeline.py" in names else []
    code += [f"{path.parent.name}/{path.name}" for path in sorted(place.glob("*/*.py"))]
    if code:
        raise InputError(
            f"'{shown(place.name)}' holds code ({some(code)}), and an audit runs none that comes with a model: what it draws "
            "without that code may be another model's. Take the file away if the pipeline does not need it; else audit it "
            "through the adapter 'torch_module'."
        )
    adapters = sorted(n for n in names if "lora" in n.lower() and n.endswith((".safetensors", *PICKLES)))
    if adapters:
        raise InputError(
            f"'{shown(place.name)}' holds an adapter ({some(adapters)}), and an audit applies none. Merge it "
            "(pipe.load_lora_weights(…); pipe.fuse_lora(); pipe.unload_lora_weights(); pipe.save_pretrained(folder)) and audit "
            "that folder; or take the file away to audit the base model."
        )


def _part(place: Path, name: str, role: Role, entry: Any, variant: str) -> Part:
    """Return one part that the index names. Raise InputError when it is missing, of another kind, or not safe to open."""
    where = f"{INDEX} of '{shown(place.name)}'"
    if not isinstance(entry, list) or len(entry) != 2 or not all(isinstance(one, str) for one in entry):
        raise InputError(
            f"{where} says {shown(name)} = {shown(str(entry))}; this pipeline cannot draw without that part."
        )
    library, kind = entry
    if library not in _LIBRARIES or kind not in role.classes:
        raise InputError(
            f"{where} names '{shown(library)}.{shown(kind)}' as {name}, which is not known here, and code that comes with a "
            f"model is never run. {nearest(kind, role.classes)}"
        )
    folder = place / name
    if not folder.is_dir():
        raise InputError(
            f"'{shown(place.name)}' lacks the folder '{name}' that its {INDEX} names. Bring it whole."
        )
    return _read_part(folder, name, role.use, kind, variant)


def _read_part(folder: Path, name: str, use: str, kind: str, variant: str) -> Part:
    names = _names(folder)
    settings = _SETTINGS.get(use, CONFIG)
    if settings not in names:
        raise InputError(
            f"'{shown(folder.name)}' has no {settings}; it holds {some(sorted(names)) or 'nothing'}."
        )
    config = read_json(folder / settings)
    _check_config(config, f"{settings} of '{shown(folder.name)}'", use, kind)
    if use in _TOKENIZERS:
        files = {one: folder / one for one in _TOKENIZER_FILES if one in names}
        if "tokenizer.json" not in files and "vocab.json" not in files:
            raise InputError(
                f"'{shown(folder.name)}' has neither tokenizer.json nor vocab.json. Bring it whole."
            )
        for path in files.values():
            require(path)
        return Part(name, use, kind, config, files, {})
    files = {settings: folder / settings}
    if use == SCHEDULER:
        return Part(name, use, kind, config, files, {})
    chosen = variant if _has_variant(names, _STEMS[use], variant) else ""
    weights = weights_of(folder, names, _STEMS[use], chosen)
    for path in weights.files.values():
        require(path)
    packed = sorted(n for n, tensor in weights.tensors.items() if tensor.dtype.startswith(("F8", "F4", "F6")))
    if packed:
        raise InputError(
            f"'{shown(folder.name)}' is quantised: '{shown(packed[0])}' is {weights.tensors[packed[0]].dtype}. Audit the "
            "checkpoint it was made from."
        )
    return Part(name, use, kind, config, {**files, **weights.files}, weights.tensors)


def _has_variant(names: frozenset[str], stem: str, variant: str) -> bool:
    return bool(variant) and not {
        f"{stem}.{variant}.safetensors",
        f"{stem}.safetensors.index.{variant}.json",
    }.isdisjoint(names)


def _check_config(config: Mapping[str, Any], where: str, use: str, kind: str) -> None:
    """Raise InputError for settings that ask for code or packed weights, or that are another class's."""
    asked = next((field for field in _FOREIGN if config.get(field)), None)
    if asked == "auto_map" or asked == "trust_remote_code":
        raise InputError(
            f"{where} asks for code that comes with the model ({asked}), and an audit runs none."
        )
    if asked:
        raise InputError(
            f"{where} says that the weights are quantised ({asked}). Audit the checkpoint it was made from."
        )
    huge = next((field for field, value in config.items() if _is_huge(field, value)), None)
    if huge:
        raise InputError(
            f"{where} says {shown(huge)} = {config[huge]!r:.60}; no network is that large. The file is damaged, or it is not a "
            "model's: bring it again from where it came from."
        )
    said = config.get("_class_name")
    if use in (NETWORK, CODEC) and said is not None and said != kind:
        raise InputError(f"{where} is of the class '{shown(str(said))}', and the index says {kind}.")


def _is_huge(field: str, value: Any) -> bool:
    """Say whether a setting would have a library build more than any model has, before it looks at the weights."""
    if isinstance(value, list):
        return (len(value) > _MOST_LISTED and field != "trained_betas") or any(
            _is_huge(field, one) for one in value
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return not abs(value) <= (_MOST_LAYERS if any(word in field for word in _COUNTED) else _MOST_SIZE)


def _autoencoder(place: Path, names: frozenset[str], variant: str) -> Pipeline:
    config = read_json(place / CONFIG)
    kind = config.get("_class_name")
    if kind not in CODECS:
        what = (
            "one network of a pipeline"
            if isinstance(kind, str) and "_diffusers_version" in config
            else "no autoencoder"
        )
        raise InputError(
            f"{CONFIG} of '{shown(place.name)}' is of the class '{shown(str(kind))}': {what}. Name the folder of the whole "
            f"pipeline, which holds {INDEX}, or that of an autoencoder ({', '.join(CODECS)}); a language model is opened by the "
            "adapter 'transformers'."
        )
    _refuse_code_and_adapters(place, names)
    part = _read_part(place, place.name, CODEC, str(kind), variant)
    unread = tuple(_unread(place, names, part.files, AUTOENCODER))
    return Pipeline(place, str(kind), AUTOENCODER, {"vae": part}, {}, part.files, unread)


def _unread(place: Path, names: frozenset[str], files: Mapping[str, Path], kind: Kind) -> Iterator[str]:
    """Yield the weights in a folder and its parts that are not read."""
    known = {str(path) for path in files.values()}
    folders = [place, *(place / name for name in (*kind.parts, *kind.unused) if name in names)]
    for folder in folders:
        for name in sorted(_names(folder) if folder.is_dir() else ()):
            path = folder / name
            if path.suffix.lower() in _WEIGHTS and str(path) not in known:
                yield str(path.relative_to(place))


def _names(place: Path) -> frozenset[str]:
    try:
        return frozenset(entry.name for entry in place.iterdir())
    except OSError as error:
        raise InputError(f"The folder '{shown(str(place))}' cannot be listed: {error.strerror}.") from error


def exists(place: Path) -> None:
    """Raise InputError when there is nothing at a path."""
    if not is_there(place):
        raise InputError(
            f"There is no model at '{shown(str(place))}'. Give the folder of a pipeline, which holds {INDEX}, or of an "
            "autoencoder."
        )
