"""A model that a Python factory builds from the tensors of a safetensors file."""

from __future__ import annotations

import importlib
import inspect
import json
import math
import sys
import typing
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from audit.core.capabilities import Capability, implemented
from audit.core.errors import InputError, nearest
from audit.core.identity import digest_file, digest_files
from audit.core.options import OptionTable
from audit.core.references import ModelRef
from audit.core.subjects import ModelCard
from audit.models.files import header, load_tensors, safetensors_file

_MODALITIES = ("image", "text", "table", "molecule", "music")
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
      named in ``audit.core.capabilities`` are what the model offers.
    - The class may say ``modality``, ``family`` and ``deterministic`` (default true) as
      class attributes; the option ``modality`` stands in for the first.

    The module is looked for in the folder ``python_path``, or among installed packages
    without it. It is your code and runs with your rights: name only code that you
    trust. Part of the model's identity is the source of its top-level package, or of every ``.py``
    file beside a module that stands alone; what else it imports is not.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        accepted = ("factory", "weights", "python_path", "modality")
        table = OptionTable.of("the adapter 'torch_module'", options, accepted)
        factory = table.text("factory")
        folder = table.path("python_path")
        table.text("weights")
        weights = table.path("weights")
        assert weights is not None
        safetensors_file(weights)
        modality = (("modality", table.choice("modality", "", _MODALITIES)),) if "modality" in options else ()
        code = digest_files(_sources(_top_level(factory, folder), folder))
        identity = (("code", code), ("factory", factory), *modality)
        place = {"weights": str(weights), "python_path": str(folder) if folder else None}
        return ModelRef("torch_module", digest_file(weights), identity, json.dumps(place))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        place, options = json.loads(ref.location), dict(ref.options)
        kind = _kind(_factory(ref), str(options["factory"]))
        modality = options.get("modality", getattr(kind, "modality", None))
        if modality not in _MODALITIES:
            raise InputError(
                f"What '{options['factory']}' makes is not known. Add modality = \"image\" to [model] "
                f"({', '.join(_MODALITIES)}), or the attribute modality to the class {kind.__name__}."
            )
        shapes = header(Path(place["weights"]))
        card = ModelCard(
            str(getattr(kind, "family", kind.__name__)),
            str(modality),
            sum(math.prod(shape) for shape in shapes.values()),
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
        except (Exception, SystemExit) as error:
            raise InputError(
                f"The factory '{name}' raised {type(error).__name__}: {error}. It was called as factory(state, "
                f"device) with {len(state)} tensors: {', '.join(sorted(state)[:5])}{', …' if len(state) > 5 else ''}."
            ) from error
        missing = implemented(_kind(factory, name)) - implemented(type(model))
        if missing:
            raise InputError(
                f"The factory '{name}' returned {type(model).__name__}, which lacks {', '.join(sorted(missing))}. "
                "Correct its return annotation."
            )
        return model


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
        return {file.relative_to(top.parent).as_posix(): file for file in sorted(top.parent.rglob("*.py"))}
    if folder is None:
        return {top.name: top}
    return {file.name: file for file in sorted(top.parent.glob("*.py"))}


def _factory(ref: ModelRef) -> Any:
    """Import the module and return the factory. Raise InputError when it is not there or another module is."""
    options, place = dict(ref.options), json.loads(ref.location)
    name = str(options["factory"])
    folder = None if place["python_path"] is None else Path(place["python_path"])
    top = _top_level(name, folder)
    if digest_files(_sources(top, folder)) != options["code"]:
        raise InputError(f"The source of '{name}' has changed since the audit was planned. Plan it again.")
    if folder is not None and str(folder) not in sys.path:
        sys.path.append(str(folder))  # at the end: a file named random.py must not replace the library's
        importlib.invalidate_caches()
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
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
