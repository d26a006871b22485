"""Which metrics torchmetrics has, read from its sources: importing it imports torch, and a plan must not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from audit.core.errors import InputError, nearest
from audit.core.measurements import Direction
from audit.core.metrics import HIGHER, LOWER, NEITHER

DOMAINS = ("image", "regression", "text")
"""Subpackages whose metrics can be asked: the first two of pictures, the last of texts."""
_FETCHING = ("BERTScore", "InfoLM")
"""Metrics that would download a language model while they are computed."""


_PAIRS = (("preds", "target"), ("preds", "targets"), ("img1", "img2"))


@dataclass(frozen=True, slots=True)
class Known:
    """One metric: its class, what its ``update`` takes, which way it is better, and what its constructor accepts.

    ``takes`` is ``pairs`` (predictions and targets), ``sides`` (samples, told apart by ``real``), ``samples`` alone, ``texts`` (with a
    reference each) or ``references`` (texts with a list of references each).
    """

    name: str
    module: str
    takes: str
    direction: Direction
    accepts: tuple[str, ...]


@cache
def root() -> Path | None:
    """Return where torchmetrics is installed, or None."""
    spec = find_spec("torchmetrics")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


@cache
def names() -> dict[str, str]:
    """Return the module of every metric, by ``domain.Class``."""
    where = root()
    if where is None:
        return {}
    return {
        f"{domain}.{alias.name}": node.module
        for domain in DOMAINS
        for node in ast.walk(_parsed(where / domain / "__init__.py"))
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.startswith(f"torchmetrics.{domain}.")
        for alias in node.names
    }


@cache
def known(name: str) -> Known:
    """Return a metric by its name. Raise InputError that names the nearest, or says what such a metric takes."""
    modules = names()
    if name not in modules:
        raise InputError(
            f"quality.torchmetrics: torchmetrics has no metric '{name}' in {' or '.join(DOMAINS)}. {nearest(name, modules)}"
        )
    module, direction = modules[name], NEITHER
    update: tuple[str, ...] = ()
    target = ""
    accepts: tuple[str, ...] = ()
    for body in _bodies(module, name.partition(".")[2]):
        for node in body:
            match node:
                case (
                    ast.AnnAssign(
                        target=ast.Name(id="higher_is_better"), value=ast.Constant(value=bool(better))
                    )
                    | ast.Assign(
                        targets=[ast.Name(id="higher_is_better")], value=ast.Constant(value=bool(better))
                    )
                ):
                    direction = (HIGHER if better else LOWER) if direction is NEITHER else direction
                case ast.FunctionDef(name="update") if not update:
                    update = _arguments(node)
                    target = _annotation(node, "target")
                case ast.FunctionDef(name="__init__") if not accepts:
                    accepts = _arguments(node)
    if name.startswith("text."):
        takes = _of_texts(name, target)
    elif "real" in update:
        takes = "sides"
    elif update in _PAIRS:
        takes = "pairs"
    elif update in (("img",), ("imgs",)):
        takes = "samples"
    else:
        raise InputError(
            f"quality.torchmetrics: '{name}' takes {', '.join(update) or 'nothing that is known'}; only metrics of predictions and "
            "targets, of real and made samples, or of samples alone can be asked."
        )
    return Known(name, module, takes, direction, accepts)


def _of_texts(name: str, target: str) -> str:
    """Return how a metric of texts takes its references. Raise InputError for one that takes no texts, or fetches a model."""
    if name.partition(".")[2] in _FETCHING:
        raise InputError(
            f"quality.torchmetrics: '{name}' downloads a language model when it is computed, and an audit fetches nothing."
        )
    if "str" not in target:
        raise InputError(
            f"quality.torchmetrics: '{name}' takes {target or 'nothing that is known'} as targets; only metrics of texts and references can be asked."
        )
    nested = "Sequence[Sequence[str]]" in target or "Sequence[Union[str" in target
    return "references" if nested else "texts"


def _annotation(function: ast.FunctionDef, name: str) -> str:
    found = next((a.annotation for a in function.args.args if a.arg == name), None)
    return "" if found is None else ast.unparse(found)


def _bodies(module: str, name: str) -> Iterator[list[ast.stmt]]:
    """Yield the body of a class, then those of its bases as far as their sources say where they are."""
    where = root()
    assert where is not None, "asked for a metric that was found"
    tree = _parsed(where.joinpath(*module.split(".")[1:]).with_suffix(".py"))
    found = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)
    if found is None:
        return
    yield found.body
    imported = {
        alias.name: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("torchmetrics.")
        for alias in node.names
    }
    for base in found.bases:
        if isinstance(base, ast.Name) and base.id != "Metric":
            origin = imported.get(base.id, module)
            if where.joinpath(*origin.split(".")[1:]).with_suffix(".py").is_file():
                yield from _bodies(origin, base.id)


def _arguments(function: ast.FunctionDef) -> tuple[str, ...]:
    return tuple(a.arg for a in (*function.args.args, *function.args.kwonlyargs) if a.arg != "self")


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
