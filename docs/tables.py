"""Write the tables in README.md and docs/*.md that are made from the code.

    python docs/tables.py --write

A table stands between ``<!-- name -->`` and ``<!-- /name -->`` in any of these pages. Without ``--write``
nothing is changed; ``tests/test_docs.py`` compares.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import audit.recipes
import audit.stats
from audit.cli.main import COMMANDS
from audit.core import capabilities as protocols
from audit.core.capabilities import Capability
from audit.core.recipes import Recipe
from audit.core.subjects import Subject
from audit.registry import catalogue

ROOT = Path(__file__).parents[1]


def commands() -> str:
    lines = ["| command | does |", "|---|---|"]
    return "\n".join(lines + [f"| `audit {name}` | {text} |" for name, text in COMMANDS.items()])


def evaluators() -> str:
    """The evaluators of each dimension, with links to their pages, which say what each measures and needs."""
    listed: dict[str, list[str]] = {}
    for name in catalogue("evaluators").survey():
        dimension, _, word = name.partition(".")
        listed.setdefault(dimension, []).append(f"[`{word}`](docs/metrics/{name}.md)")
    lines = ["| dimension | evaluators |", "|---|---|"]
    return "\n".join(lines + [f"| {dimension} | {', '.join(names)} |" for dimension, names in listed.items()])


def models() -> str:
    """Every included model: what it is, how large, and what an audit may ask of it."""
    adapter = catalogue("models").load("included")
    lines = ["| model | family | parameters | offers | planted defect |", "|---|---|--:|---|---|"]
    for name in catalogue("included").names():
        card, offers = adapter.describe(adapter.refer({"use": name}))
        words = ", ".join(f"`{offer}`" for offer in sorted(offers))
        lines.append(f"| `{name}` | {card.family} | {card.parameters:,} | {words} | {_defect(name)} |")
    return "\n".join(lines)


def _defect(name: str) -> str:
    defect: str = catalogue("included").load(name).defect
    return defect


def extractors() -> str:
    """Every feature extractor and the first sentence of what it says of itself."""
    lines = ["| extractor | gives |", "|---|---|"]
    lines += [f"| `{name}` | {_first(kind)} |" for name, kind in catalogue("extractors").survey().items()]
    return "\n".join(lines)


def _first(thing: Any) -> str:
    """Return the first paragraph of a docstring in one line."""
    return " ".join((thing.__doc__ or "").split("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")


def capabilities() -> str:
    """Every method that a model may implement, as its protocol declares it."""
    lines = ["| method | does |", "|---|---|"]
    for name in Capability:
        (method,) = {
            found
            for protocol in vars(protocols).values()
            if isinstance(protocol, type) and (found := vars(protocol).get(name.value)) is not None
        }
        lines.append(f"| `{name}{_signature(method)}` | {_whole(method)} |")
    return "\n".join(lines)


def _whole(thing: Any) -> str:
    """Return a whole docstring in one line."""
    return " ".join((thing.__doc__ or "").split()).replace("``", "`").replace("|", "\\|")


def subject() -> str:
    """What an evaluator may ask of the subject, with the signature of each method."""
    lines = ["| of the subject | gives |", "|---|---|"]
    for name, member in vars(Subject).items():
        if name.startswith("_") or name == "with_extractors":
            continue
        if isinstance(member, property):
            lines.append(f"| `{name}` | {_first(member)} |")
        elif inspect.isfunction(member):
            lines.append(f"| `{name}{_signature(member)}` | {_first(member)} |")
    return "\n".join(lines)


def recipes() -> str:
    """The recipes that evaluators share, by module, and what a shard of each holds."""
    lines = ["| recipe | makes | a shard holds |", "|---|---|---|"]
    for module, kind in _public(audit.recipes, inspect.isclass):
        if issubclass(kind, Recipe):
            name = f"{module}.{kind.__name__}{_signature(kind)}"
            lines.append(f"| `{name}` | {_first(kind)} | {_held(kind)} |")
    return "\n".join(lines)


def _held(kind: type[Recipe[Any]]) -> str:
    if isinstance(kind.holds, type):
        return f"`{kind.holds.__module__}.{kind.holds.__name__}{_signature(kind.holds)}`"
    return {"rows": "rows", "array": "an array"}.get(kind.holds, "what its source holds")


def statistics() -> str:
    """The functions of ``audit.stats`` that serve any evaluator, and all others that give an interval."""
    lines = ["| function | does |", "|---|---|"]
    for module, function in _public(audit.stats, inspect.isfunction):
        returns = str(inspect.signature(function).return_annotation)
        if "Interval" in returns or module.rpartition(".")[2] in _GENERAL:
            lines.append(f"| `{module}.{function.__name__}{_signature(function)}` | {_first(function)} |")
    return "\n".join(lines)


def _public(package: Any, wanted: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(info.name)
        for name, found in vars(module).items():
            if not name.startswith("_") and wanted(found) and found.__module__ == module.__name__:
                yield info.name, found


def _signature(function: Any) -> str:
    """Return the names of a function's parameters with their defaults, without types."""
    signature = inspect.signature(function)
    plain = [
        parameter.replace(annotation=parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    return str(signature.replace(parameters=plain, return_annotation=signature.empty))


_GENERAL = ("clusters", "correlation", "permutation", "proportions", "ranking", "ratios")
"""Modules of ``audit.stats`` that belong to no single metric."""

TABLES: Mapping[str, Callable[[], str]] = {
    "capabilities": capabilities,
    "commands": commands,
    "evaluators": evaluators,
    "extractors": extractors,
    "models": models,
    "recipes": recipes,
    "statistics": statistics,
    "subject": subject,
}


def pages() -> tuple[Path, ...]:
    """Return the pages that may hold tables."""
    return (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def rendered(text: str) -> str:
    """Return a page with its tables made anew."""
    for name, table in TABLES.items():
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if between.search(text):
            made = table()
            text = between.sub(lambda found, made=made: f"{found[1]}{made}\n{found[2]}", text)
    return text


if __name__ == "__main__" and "--write" in sys.argv:
    for page in pages():
        page.write_text(rendered(page.read_text(encoding="utf-8")), encoding="utf-8")
