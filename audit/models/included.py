"""The models that ship with the package, or with another one that offers them, by name."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any

from audit.core.capabilities import Capability
from audit.core.errors import InputError, PluginError, nearest
from audit.core.options import OptionTable
from audit.core.references import ModelRef
from audit.core.subjects import ModelCard

GROUP = "audit.included"


class Included:
    """Opens the included model named by ``use``; the other options go to the model's own class.

    That class is an adapter itself (``refer``, ``describe``, ``open``), reached
    through the entry-point group ``audit.included``. It may also have
    ``train(out, *, resume)``, an iterator of progress that makes its weights again.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        name = OptionTable.of("the adapter 'included'", options, options).text("use")
        rest = {key: value for key, value in options.items() if key != "use"}
        ref: ModelRef = included_class(name).refer(rest)
        return replace(ref, adapter="included", options=(*ref.options, ("use", name)))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        found: tuple[ModelCard, frozenset[Capability]] = _class_of(ref).describe(ref)
        return found

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> Any:
        return _class_of(ref).open(ref, device)


def included_class(name: str) -> Any:
    """Return the class of an included model. Raise InputError naming near matches, or both claimants of a name."""
    known = entry_points(group=GROUP)
    claims = {entry.value: entry for entry in known if entry.name == name}
    if not claims:
        raise InputError(f"There is no included model '{name}'. {nearest(name, known.names)}")
    if len(claims) > 1:
        raise InputError(
            f"Two installed packages include a model '{name}': {', '.join(sorted(claims))}. Uninstall one of them."
        )
    (entry,) = claims.values()
    try:
        return entry.load()
    except Exception as error:
        raise PluginError(
            f"The included model '{name}' cannot be loaded: {type(error).__name__}: {error}. "
            f"Repair or uninstall the package that offers it ({entry.value})."
        ) from error


def _class_of(ref: ModelRef) -> Any:
    return included_class(str(dict(ref.options)["use"]))
