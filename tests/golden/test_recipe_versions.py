"""A recipe's code does not move unless its version moves with it.

A stored artifact is named by its recipe's fields and version. Code that makes
other bytes under the same name would silently mix old and new results, so the
code in reach of every recipe is compared with what it was when its version
was set. When the meaning changed, raise ``version``; then, or when the bytes
provably stay the same, accept the new code with

    python tests/golden/test_recipe_versions.py --accept
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import pkgutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

import audit.recipes
from audit.core.identity import name_of
from audit.core.recipes import Recipe
from audit.registry import catalogue

GOLDEN = Path(__file__).with_name("recipes.json")


def recipes() -> list[type[Recipe[Any]]]:
    importlib.import_module("audit.core.artifacts")
    for module in pkgutil.iter_modules(audit.recipes.__path__, "audit.recipes."):
        importlib.import_module(module.name)
    catalogue("evaluators").survey()
    found: dict[str, type[Recipe[Any]]] = {}
    stack: list[type[Recipe[Any]]] = [Recipe]
    while stack:
        for kind in stack.pop().__subclasses__():
            stack.append(kind)
            if kind.__module__.startswith("audit.") and not kind.__module__.startswith("audit.testing"):
                found[name_of(kind)] = kind
    return [found[name] for name in sorted(found)]


@cache
def definitions(module: str) -> dict[str, tuple[str, ast.AST]]:
    """Return what each top-level name of a module means: its own definition, or where it is imported from."""
    tree = ast.parse(Path(importlib.import_module(module).__file__ or "").read_text(encoding="utf-8"))
    found: dict[str, tuple[str, ast.AST]] = {}
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = (module, node)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = (module, node)
            case ast.ImportFrom(module=source, names=names) if source and source.startswith("audit."):
                for alias in names:
                    found[alias.asname or alias.name] = (source, alias)
    return found


def code_of(kind: type[Recipe[Any]]) -> str:
    """Return a digest of a recipe's class and of every function, class and constant of ours that it reaches."""
    pending, seen, parts = [(kind.__module__, kind.__name__)], set(), []
    while pending:
        module, name = pending.pop()
        if (module, name) in seen or module.startswith("audit.core."):
            continue  # the core's own classes are covered as recipes, its values are contracts
        seen.add((module, name))
        source, node = definitions(module).get(name, (None, None))
        if source is None:
            continue
        if isinstance(node, ast.alias):
            pending.append((source, node.name))
            continue
        assert node is not None
        parts.append((module, name, _dump(node)))
        pending += [(module, n.id) for n in ast.walk(node) if isinstance(n, ast.Name)]
    own = "" if parts else _dump(definitions(kind.__module__)[kind.__name__][1])
    text = json.dumps([own, sorted(parts)])
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


def _dump(node: ast.AST) -> str:
    """Return the structure of some code: comments, layout and docstrings are not in it."""
    copy = ast.parse(ast.unparse(node))
    for inner in ast.walk(copy):
        body = getattr(inner, "body", None)
        if isinstance(body, list) and body and ast.get_docstring(_wrapped(body)) is not None:
            del body[0]
    return ast.dump(copy)


def _wrapped(body: list[ast.stmt]) -> ast.Module:
    return ast.Module(body=body, type_ignores=[])


def current() -> dict[str, dict[str, Any]]:
    return {name_of(kind): {"version": kind.version, "code": code_of(kind)} for kind in recipes()}


def test_no_recipe_changed_without_its_version() -> None:
    golden, now = json.loads(GOLDEN.read_text(encoding="utf-8")), current()
    moved = [
        name
        for name, state in now.items()
        if name in golden
        and state["code"] != golden[name]["code"]
        and state["version"] == golden[name]["version"]
    ]
    assert not moved, f"raise 'version' of {', '.join(moved)}, or accept the code if its bytes stay the same"


def test_every_recipe_is_known_here() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert golden == current(), "accept the new state: python tests/golden/test_recipe_versions.py --accept"


def test_a_change_in_a_function_that_a_recipe_calls_is_noticed() -> None:
    from audit.core.artifacts import Features, Samples

    assert code_of(Features) != code_of(Samples)
    assert code_of(Features) == code_of(Features)


if __name__ == "__main__" and "--accept" in sys.argv:
    GOLDEN.write_text(json.dumps(current(), indent=2) + "\n", encoding="utf-8")
