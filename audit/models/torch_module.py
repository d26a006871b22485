"""A model that a Python factory builds from the tensors of a safetensors file."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import typing
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from audit.core.capabilities import Capability, implemented
from audit.core.errors import InputError, nearest
from audit.core.identity import digest_file, digest_files
from audit.core.options import OptionTable
from audit.core.references import ModelRef
from audit.core.rows import Rows
from audit.core.subjects import ModelCard
from audit.formats.files import is_there
from audit.formats.hostile import shown
from audit.models.files import header, load_tensors, safetensors_file
from audit.models.reads import declared, mentioned, watch
from audit.models.returned import LAYOUTS, RANGES, Form, ReturnedError, adapted, wrong_answer
from audit.models.trial import tried

_MODALITIES = ("image", "text", "table", "molecule", "music")
_CHEAP, _SECONDS = 1 << 26, 10.0
"""Bytes of weights up to which a model is tried while planning, and how long that may take."""
_RNGS = 5
"""Of models with two examples, each as likely, one in 2,000 draws the same two different ones from all of them."""
_CONTRACT = (
    "It must be a class with capability methods such as sample(self, n, rng, condition=None), or a function whose "
    "return annotation is such a class; it is called as factory(state, device)."
)


class TorchModule:
    """Calls ``factory(state, device)`` and audits what comes back.

    The contract of the factory, named ``"module:callable"``:

    - ``state`` maps names to tensors on the processor, read from ``weights``; ``device``
      is ``"cpu"``, ``"cuda"`` or ``"cuda:N"``. Moving tensors there is the factory's business.
    - It is a class, or a function annotated with the class it returns. The methods of that class
      named in ``audit.core.capabilities`` are what the model offers. They may return rows, or what
      ``audit.models.returned.rows_of`` turns into rows: arrays and tensors of images, lists of texts.
    - The class may say ``modality``, ``family``, ``deterministic`` (default true), ``pixel_range``
      (``"0..1"``, ``"-1..1"``, ``"0..255"`` or two numbers, needed where images are floating-point) and
      ``layout`` (``"NCHW"`` or ``"NHWC"``, needed where shapes leave it open) as class attributes; the
      options of the same names stand in for the first and the last two.

    The module is looked for in the folder ``python_path``, or among installed packages
    without it. It is your code and runs with your rights: name only code that you
    trust. Part of the model's identity is the source of its top-level package, or of every ``.py``
    file beside a module that stands alone, and the files that the source mentions by name in the same
    folder; ``files`` lists others, or all, where that guess is wrong. Python code elsewhere that it imports is not part
    of it. Any other file that it opens with Python's ``open`` is refused.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        accepted = ("factory", "weights", "python_path", "modality", "pixel_range", "layout", "files")
        given_range = {"pixel_range": _range_name(options["pixel_range"])} if "pixel_range" in options else {}
        table = OptionTable.of("the adapter 'torch_module'", {**options, **given_range}, accepted)
        factory = table.text("factory")
        folder = _path(table, "python_path") if "python_path" in options else None
        weights = safetensors_file(_path(table, "weights"))
        forms = [
            (name, table.choice(name, "", words))
            for name, words in (("modality", _MODALITIES), ("pixel_range", RANGES), ("layout", LAYOUTS))
            if name in options
        ]
        given = json.dumps(list(table.names("files"))) if "files" in options else None
        code = _code_of(factory, folder, given, weights)
        identity = [("code", digest_files(code.sources)), ("factory", factory), *forms]
        if given is not None or code.data:
            identity.append(("files", digest_files(code.data)))
        place = {
            "weights": str(weights),
            "python_path": str(folder) if folder else None,
            "files": given,
        }
        return ModelRef("torch_module", digest_file(weights), tuple(sorted(identity)), json.dumps(place))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        """Import the factory's module; where the weights are small, also try what it offers on two samples."""
        place, options = json.loads(ref.location), dict(ref.options)
        kind = _kind(_factory(ref), str(options["factory"]))
        form = _form(ref, kind)
        if implemented(kind) >= {Capability.SAMPLE}:
            _check_signature(kind)
            _try_model(ref, bool(getattr(kind, "deterministic", True)) and form.modality in ("image", "text"))
        tensors = header(Path(place["weights"]))
        card = ModelCard(
            str(getattr(kind, "family", kind.__name__)),
            form.modality,
            sum(tensor.size for tensor in tensors.values()),
            deterministic=bool(getattr(kind, "deterministic", True)),
        )
        return card, implemented(kind)

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> Any:
        factory = _factory(ref)
        name = str(dict(ref.options)["factory"])
        state = load_tensors(Path(json.loads(ref.location)["weights"]), ref.weights)
        try:
            model = factory(state, device)
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(
                f"The factory '{name}' raised {type(error).__name__}: {error}. It was called as factory(state, "
                f"device) with {len(state)} tensors: {', '.join(sorted(state)[:5])}{', …' if len(state) > 5 else ''}."
            ) from error
        kind = _kind(factory, name)
        missing = implemented(kind) - implemented(type(model))
        if missing:
            raise InputError(
                f"The factory '{name}' returned {type(model).__name__}, which lacks {', '.join(sorted(missing))}. "
                "Correct its return annotation."
            )
        return adapted(model, _form(ref, kind))


def _path(table: OptionTable, name: str) -> Path:
    path = Path(table.text(name)).expanduser().absolute()
    if not is_there(path):
        raise InputError(
            f"The option '{name}' of {table.owner} is '{shown(str(path))}', which does not exist."
        )
    return path


def _form(ref: ModelRef, kind: type[Any]) -> Form:
    """Return what the class or the options say about outputs. Raise InputError when that is not enough or not known."""
    options = dict(ref.options)
    said = {
        name: options.get(name, getattr(kind, name, None)) for name in ("modality", "pixel_range", "layout")
    }
    if said["modality"] not in _MODALITIES:
        raise InputError(
            f"What '{options['factory']}' makes is not known. Add modality = \"image\" to [model] "
            f"({', '.join(_MODALITIES)}), or the attribute modality to the class {kind.__name__}."
        )
    said["pixel_range"] = _range_name(said["pixel_range"])
    for name, words in (("pixel_range", tuple(RANGES)), ("layout", LAYOUTS)):
        if said[name] is not None and said[name] not in words:
            raise InputError(
                f"The class {kind.__name__} says {name} = {said[name]!r}. {nearest(str(said[name]), words)}"
            )
    return Form(str(said["modality"]), said["pixel_range"], said["layout"])  # type: ignore[arg-type]  # words of the lists above


def _range_name(value: Any) -> Any:
    """Return the name of a range that was given as two numbers; anything else as it is."""
    if isinstance(value, tuple | list):
        return next((name for name, ends in RANGES.items() if list(value) == list(ends)), value)
    return value


def _check_signature(kind: type[Any]) -> None:
    try:
        inspect.signature(kind.sample).bind(None, 2, None, None)
    except TypeError as error:
        raise InputError(
            f"{kind.__name__}.sample cannot be called as sample(n, rng, condition): {error}. Write it as "
            "sample(self, n, rng, condition=None): n samples, every random number from the numpy generator rng."
        ) from None
    except ValueError:  # a method without a signature, such as a built-in's
        return


@cache
def _try_model(ref: ModelRef, repeats: bool) -> None:
    """Raise InputError when two samples, drawn in a process of their own, cannot be read or drawn again.

    What else the model offers is asked about these samples. A costly model is not asked.
    """
    import numpy as np

    place, factory = json.loads(ref.location), str(dict(ref.options)["factory"])
    if Path(place["weights"]).stat().st_size > _CHEAP:
        return

    def call() -> str:
        try:
            model = TorchModule.open(ref, "cpu")
        except InputError as error:
            return "" if "cuda" in str(error).lower() else str(error)
        try:
            first, again = (model.sample(2, np.random.default_rng(0), None) for _ in range(2))
        except ReturnedError as error:
            return f"The model of '{factory}' was tried: {error}."
        if repeats and not first.equals(again):
            return (
                f"The model of '{factory}' was tried: sample drew other examples from the same rng, so no run could be repeated. "
                "Take every random number from rng: torch.randn(…, generator=torch.Generator().manual_seed(int(rng.integers(1 << "
                "62)))), or torch.from_numpy(rng.standard_normal(…)). Dropout belongs off: .eval()."
            )
        if repeats and _heeds_no_rng(model, first):
            return (
                f"The model of '{factory}' was tried: sample drew the same examples from every rng, so each part of an audit "
                "would hold the same ones. It sets a seed of its own, or returns what is kept: take every random number from rng."
            )
        wrong = wrong_answer(model, first, lambda: np.random.default_rng(0))
        return f"The model of '{factory}' was tried: {wrong}." if wrong else ""

    if wrong := tried(call, _SECONDS):
        raise InputError(wrong)


def _heeds_no_rng(model: Any, first: Rows) -> bool:
    """Say whether a model that draws different examples draws the same ones whatever the rng; one that has only one may."""
    import numpy as np

    if first.slice(0, 1).equals(first.slice(1, 1)):
        return False
    return all(
        model.sample(2, np.random.default_rng(seed), None).equals(first) for seed in range(1, 1 + _RNGS)
    )


@dataclass(frozen=True, slots=True)
class _Code:
    """What a factory's code consists of: sources and data files by name, and the folder that holds them."""

    folder: Path
    sources: dict[str, Path]
    data: dict[str, Path]


def _code_of(factory: str, folder: Path | None, given: str | None, weights: Path) -> _Code:
    top = _top_level(factory, folder)
    try:
        sources = _sources(top, folder)
    except (OSError, RecursionError) as error:
        raise InputError(
            f"The source of '{factory}' in {shown(str(top.parent))} cannot be listed ({type(error).__name__}): its folders are "
            "nested too deeply or cannot be read."
        ) from error
    inside, beside = top.parent, folder or top.parent
    if given is not None:
        data = declared(json.loads(given), beside)
    else:
        data = mentioned(sources.values(), inside)
        if beside.resolve() != inside:
            data |= {f"../{name}": path for name, path in mentioned(sources.values(), beside).items()}
    return _Code(beside, sources, {name: path for name, path in data.items() if not path.samefile(weights)})


def _top_level(factory: str, folder: Path | None) -> Path:
    """Return the file of the top-level module or package that holds the factory, without importing it."""
    module, colon, attribute = factory.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise InputError(
            f"The option 'factory' is '{factory}'; write \"module:callable\", such as \"my_model:MyModel\"."
        )
    if folder is not None and not folder.is_dir():
        raise InputError(f"The option 'python_path' is '{folder}', which is not a folder.")
    top = module.split(".")[0]
    spec = PathFinder.find_spec(top, None if folder is None else [str(folder)])
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        where = f"in {folder}" if folder else "among the installed packages"
        raise InputError(
            f"There is no Python module '{top}' {where}. Set python_path to the folder that holds {top}.py or {top}/."
        )
    return Path(spec.origin).resolve()


def _sources(top: Path, folder: Path | None) -> dict[str, Path]:
    """Return the source files that count as the model's code, by name."""
    if top.name == "__init__.py":
        found = {file.relative_to(top.parent).as_posix(): file for file in sorted(top.parent.rglob("*.py"))}
    elif folder is None:
        found = {top.name: top}
    else:
        found = {file.name: file for file in sorted(top.parent.glob("*.py"))}
    return {name: file for name, file in found.items() if file.is_file()}


def _factory(ref: ModelRef) -> Any:
    """Import the module and return the factory. Raise InputError when it is not there or another module is."""
    options, place = dict(ref.options), json.loads(ref.location)
    name = str(options["factory"])
    folder = None if place["python_path"] is None else Path(place["python_path"])
    top, weights = _top_level(name, folder), Path(place["weights"])
    code = _code_of(name, folder, place["files"], weights)
    if digest_files(code.sources) != options["code"]:
        raise InputError(f"The source of '{name}' has changed since the audit was planned. Plan it again.")
    if ("files" in options or code.data) and digest_files(code.data) != options.get("files"):
        raise InputError(
            f"A file that '{name}' reads ({', '.join(map(shown, code.data))}) has changed since the audit was planned. Plan it "
            "again; if the model writes the file itself, leave it out of [model] files."
        )
    watch(name, code.folder, code.sources, [*code.data.values(), weights])
    if folder is not None and str(folder) not in sys.path:
        sys.path.append(str(folder))  # at the end: a file named random.py must not replace the library's
        importlib.invalidate_caches()
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"Importing '{module_name}' raised {type(error).__name__}: {error}.") from error
    loaded = Path(str(getattr(sys.modules[module_name.split(".")[0]], "__file__", ""))).resolve()
    if loaded != top:
        raise InputError(
            f"The name '{module_name}' is taken by {loaded}. Rename {top} and correct 'factory'."
        )
    if not hasattr(module, attribute):
        public = [entry for entry in vars(module) if not entry.startswith("_")]
        raise InputError(f"The module '{module_name}' has no '{attribute}'. {nearest(attribute, public)}")
    return getattr(module, attribute)


def _kind(factory: Any, name: str) -> type[Any]:
    """Return the class of what a factory makes. Raise InputError when it does not say, or offers nothing."""
    kind = factory
    if not inspect.isclass(factory):
        if not callable(factory):
            raise InputError(f"'{name}' is {type(factory).__name__}, which cannot be called. {_CONTRACT}")
        try:
            kind = typing.get_type_hints(factory).get("return")
        except Exception as error:
            raise InputError(f"The annotations of '{name}' cannot be read: {error}. {_CONTRACT}") from error
    if not inspect.isclass(kind):
        raise InputError(f"The function '{name}' does not say which class it returns. {_CONTRACT}")
    if not implemented(kind):
        raise InputError(f"The class {kind.__name__} has no capability method. {_CONTRACT}")
    return kind
