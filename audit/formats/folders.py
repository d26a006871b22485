"""Which files a folder holds, without being led out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.core.errors import InputError
from audit.formats.hostile import Refused


@dataclass(frozen=True, slots=True)
class Listing:
    """The regular files below a folder by relative name, in the order of these names, and what else lies there."""

    folder: Path
    names: tuple[str, ...]
    refused: tuple[Refused, ...]

    @property
    def total(self) -> int:
        return len(self.names) + len(self.refused)

    def files(self) -> dict[str, Path]:
        return {name: self.folder / name for name in self.names}


def listing(folder: Path, leave_out: Sequence[Path] = ()) -> Listing:
    """List a folder and its subfolders. Raise InputError when it is no folder or cannot be read.

    Links to files are followed when they end inside the folder; other links,
    linked folders, pipes and devices are refused. Names that begin with a
    dot are passed over.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Name the folder that holds the files.")
    root = folder.resolve()
    passed_over = {path.resolve() for path in leave_out}
    names: list[str] = []
    refused: list[Refused] = []
    for directory, folders, files in os.walk(root, onerror=_cannot_list, followlinks=False):
        here = Path(directory)
        linked = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if not name.startswith(".") and name not in linked]
        for name in (*files, *linked):
            path = here / name
            if name.startswith(".") or path.resolve() in passed_over:
                continue
            relative = path.relative_to(root).as_posix()
            reason = _objection(path, root)
            if reason:
                refused.append(Refused(relative, reason))
            else:
                names.append(relative)
    return Listing(root, tuple(sorted(names)), tuple(sorted(refused, key=lambda r: r.name)))


def _cannot_list(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be listed: {error.strerror}.") from error


def _objection(path: Path, root: Path) -> str | None:
    try:
        target = path.resolve(strict=True)
        mode = target.stat().st_mode
    except (OSError, RuntimeError):
        return "a broken link"
    if not target.is_relative_to(root):
        return "a link that leads out of the folder"
    if stat.S_ISDIR(mode):
        return "a link to a folder"
    return None if stat.S_ISREG(mode) else "not a regular file"
