"""The models that ship with the package, or with another one that offers them, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from audit.core.capabilities import Capability
from audit.core.options import OptionTable
from audit.core.references import ModelRef
from audit.core.subjects import ModelCard
from audit.registry import catalogue


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
        ref: ModelRef = catalogue("included").load(name).refer(rest)
        return replace(ref, adapter="included", options=(*ref.options, ("use", name)))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        found: tuple[ModelCard, frozenset[Capability]] = _class_of(ref).describe(ref)
        return found

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> Any:
        return _class_of(ref).open(ref, device)


def _class_of(ref: ModelRef) -> Any:
    return catalogue("included").load(str(dict(ref.options)["use"]))
