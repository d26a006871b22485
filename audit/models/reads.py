"""Which files a user's code reads: those that are part of the model's name, and no others."""

from __future__ import annotations

import ast
import os
import site
import stat
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from audit.core.errors import InputError
from audit.formats.files import objection
from audit.formats.folders import listing
from audit.formats.hostile import shown

_LONGEST_NAME = 255
_MOST_FOLDERS = 50
_CODE = (".py", ".pyc", ".pyi", ".so")


@cache
def _machines_own() -> tuple[str, ...]:
    """Return where the machine and its libraries keep what is theirs, as beginnings of paths: no part of a model."""
    home = os.path.expanduser("~")  # noqa: PTH111  # raises nothing where there is no home
    places = {
        *("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/dev"),
        *(sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), site.getusersitepackages()),
        str(Path(__file__).parents[1]),
        *filter(_holds_packages, sys.path),
        *(f"{home}/{name}" for name in (".config", ".nv", ".triton")),
        *(f"{home}/.cache/{name}" for name in ("matplotlib", "fontconfig", "numba")),
        os.environ.get("TORCHINDUCTOR_CACHE_DIR", "/dev"),
    }
    return (*(f"{os.path.realpath(place)}{os.sep}" for place in places), f"{gettempdir()}/torchinductor_")


def _holds_packages(place: str) -> bool:
    """Say whether packages are installed in a folder on the search path, such as one that PYTHONPATH or a .pth file names."""
    return bool(place) and any(Path(place).glob("*.dist-info"))


def mentioned(sources: Iterable[Path], folder: Path) -> dict[str, Path]:
    """Return the files below ``folder`` whose names stand in the source as strings, by the name they are read under.

    A name is looked for in the folder and in folders that the source names too: ``here / "settings" / "base.json"``.
    """
    names: set[str] = set()
    for source in sources:
        try:
            tree = ast.parse(source.read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError, RecursionError):  # importing it will say so
            continue
        constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
        names |= {value for value in constants if isinstance(value, str) and _is_name(value)}
    below = sorted(name for name in names if stat.S_ISDIR(_mode(folder / name)))[:_MOST_FOLDERS]
    files: dict[str, Path] = {}
    for inside in ("", *below):
        for name in names:
            path = folder / inside / name
            if path.suffix not in _CODE and stat.S_ISREG(_mode(path)):
                files[str(Path(inside) / name)] = path
    return files


def _mode(path: Path) -> int:
    """Return the mode of what a path names, 0 where it names nothing: most strings of a source name no file."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _is_name(value: str) -> bool:
    return (
        0 < len(value) <= _LONGEST_NAME
        and value.isprintable()
        and not value.startswith(("/", "~"))
        and not {"..", "."} & set(value.split("/"))
    )


def declared(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Return the files that an option names, those in folders it names included. Raise InputError when one is missing."""
    found: dict[str, Path] = {}
    for name in names:
        path = folder / Path(name).expanduser()
        if path.is_dir():
            found |= {f"{name}/{inner}": file for inner, file in listing(path).files().items()}
            continue
        if reason := objection(path):
            raise InputError(
                f"The option 'files' of the adapter 'torch_module' names '{shown(name)}', which {reason}."
            )
        found[name] = path
    return found


@dataclass(slots=True)
class _Watched:
    """Code whose reading is watched: by whom it was named, what it may read, and what it has written itself."""

    factory: str
    folder: Path
    allowed: set[str]
    written: set[str] = field(default_factory=set)


_watched: dict[str, _Watched] = {}
"""By the file of the source, as a frame names it."""
_hooked: list[bool] = []


def watch(factory: str, folder: Path, sources: Mapping[str, Path], allowed: Iterable[Path]) -> None:
    """From now on, let this code read no file but these and the machine's own; anything else raises InputError.

    Only what goes through Python's ``open`` is seen: most loaders do, some native ones do not.
    """
    entry = _Watched(factory, folder, {os.path.realpath(path) for path in (*allowed, *sources.values())})
    for path in sources.values():
        _watched[str(path)] = _watched[os.path.realpath(path)] = entry
    names = {path.name for path in sources.values()}
    for module in list(sys.modules.values()):  # a folder reached through a link has another name there
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).name in names and os.path.realpath(file) in entry.allowed:
            _watched[file] = entry
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_on_event)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _watched:
        return
    path, mode, flags = arguments
    if not isinstance(path, str | bytes | os.PathLike):
        return
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename not in _watched:
        frame = frame.f_back  # type: ignore[assignment]  # the last one has none
    if frame is not None:
        _judge(_watched[frame.f_code.co_filename], os.fsdecode(path), str(mode or ""), int(flags or 0))


def _judge(entry: _Watched, name: str, mode: str, flags: int) -> None:
    path = os.path.realpath(name)
    if any(letter in mode for letter in "wxa") or flags & os.O_ACCMODE == os.O_WRONLY or flags & os.O_CREAT:
        entry.written.add(path)
        return
    own = path.startswith(f"{os.path.realpath(entry.folder)}{os.sep}")
    system = path.startswith(_machines_own()) and not own
    if (
        system
        or path in entry.allowed
        or path in entry.written
        or path.endswith(_CODE)
        or not Path(path).is_file()
    ):
        return
    inside = os.path.relpath(path, entry.folder)
    folder = os.path.dirname(inside)  # noqa: PTH120
    whole = f' or, with all that lies beside it, files = ["{shown(folder)}"]' if folder and own else ""
    raise InputError(
        f"The code of '{entry.factory}' reads {shown(path)}, which is no part of the model's name: were the file to change, "
        f'old numbers would be shown for it. Add it to [model]: files = ["{shown(inside)}"]{whole}.'
    )
