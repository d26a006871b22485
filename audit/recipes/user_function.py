"""Where a user's function is, what its code is, and how it is imported: never while an audit is planned."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, ClassVar

from audit.core.errors import InputError, nearest
from audit.core.identity import Digest, digest_files, identity


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """A function by name and the digest of its code; ``folder`` says where its module is on this machine, ``asker`` which evaluator calls it."""

    kind: ClassVar[str] = "user-function"
    name: str
    code: Digest
    folder: str = identity("")
    asker: str = identity("quality.function")

    @classmethod
    def of(
        cls, name: str, folder: str, asker: str = "quality.function", option: str = "function"
    ) -> FunctionRef:
        """Name a function ``module:callable`` by its source, without importing it. Raise InputError.

        Its code is its top-level package, or every ``.py`` file beside a module that stands alone in ``folder``.
        """
        top = _top_level(name, folder, asker, option)
        module, _, attribute = name.partition(":")
        own = top.parent.joinpath(*module.split(".")[1:])
        file = top if "." not in module else own / "__init__.py" if own.is_dir() else own.with_suffix(".py")
        try:
            sources = digest_files(_sources(top, folder))
            defined = set(_defined(ast.parse(file.read_text(encoding="utf-8"))))
        except (OSError, ValueError, SyntaxError) as error:
            raise InputError(f"{asker}: the source of '{module}' cannot be read: {error}.") from None
        if attribute not in defined and "*" not in defined:
            raise InputError(f"{asker}: {file.name} defines no '{attribute}'. {nearest(attribute, defined)}")
        return cls(name, sources, folder, asker)

    def opened(self) -> Callable[..., Any]:
        """Import the function. Raise InputError where its code is another than was planned, or another module has its name."""
        top = _top_level(self.name, self.folder, self.asker)
        module, _, attribute = self.name.partition(":")
        if digest_files(_sources(top, self.folder)) != self.code:
            raise InputError(
                f"{self.asker}: the code of '{self.name}' has changed since the audit was planned. Plan it again."
            )
        if self.folder and self.folder not in sys.path:
            sys.path.insert(0, self.folder)
        importlib.invalidate_caches()
        found = getattr(importlib.import_module(module), attribute, None)
        loaded = getattr(sys.modules[module.partition(".")[0]], "__file__", None)
        if loaded is None or Path(loaded).resolve() != top:
            raise InputError(
                f"{self.asker}: '{module}' is another module here ({loaded}). Give yours a name of its own."
            )
        if not callable(found):
            raise InputError(f"{self.asker}: '{self.name}' cannot be called; it is {type(found).__name__}.")
        return found  # type: ignore[no-any-return]  # whatever it is, it can be called


def _top_level(name: str, folder: str, asker: str, option: str = "function") -> Path:
    """Return the file of the top-level module or package, without importing it."""
    module, colon, attribute = name.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise InputError(
            f"{asker}: '{option}' is '{name[:60]}'; write \"module:callable\", such as \"my_scores:sharpness\"."
        )
    if folder and not Path(folder).is_dir():
        raise InputError(f"{asker}: 'python_path' is '{folder}', which is not a folder.")
    top = module.partition(".")[0]
    spec = PathFinder.find_spec(top, [folder] if folder else None)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        where = f"in {folder}" if folder else "among the installed packages"
        raise InputError(
            f"{asker}: there is no Python module '{top}' {where}. Set python_path to the folder that holds {top}.py or {top}/."
        )
    return Path(spec.origin).resolve()


def _sources(top: Path, folder: str) -> dict[str, Path]:
    if top.name == "__init__.py":
        return {file.relative_to(top.parent).as_posix(): file for file in sorted(top.parent.rglob("*.py"))}
    return {file.name: file for file in (sorted(top.parent.glob("*.py")) if folder else [top])}


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module binds at its top level, as far as its source says."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.alias(name=name, asname=other):
                yield other or name
