"""Whether a path names a regular file whose bytes are there, and what stands in its place when they are not."""

from __future__ import annotations

import stat
from pathlib import Path

from audit.core.errors import InputError
from audit.formats.hostile import shown

_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html")
_KINDS = (
    (stat.S_ISDIR, "is a folder, not a file"),
    (stat.S_ISFIFO, "is a named pipe, not a file"),
    (stat.S_ISSOCK, "is a socket, not a file"),
    (stat.S_ISCHR, "is a device, not a file"),
    (stat.S_ISBLK, "is a device, not a file"),
)


def objection(path: Path) -> str | None:
    """Return what is wrong with a file and what to do about it, as the rest of a sentence; None when it can be read.

    Nothing is opened unless it is a regular file, so a named pipe or a device cannot make the caller wait. Links are
    followed. Found are also the stand-ins that a download or a clone leaves behind: an empty file, a pointer of Git
    LFS, a web page.
    """
    try:
        found = path.stat()
        if reason := next((words for holds, words in _KINDS if holds(found.st_mode)), None):
            return reason
        with path.open("rb") as file:
            start = file.read(len(_POINTER) + 64)
    except (OSError, ValueError) as error:
        return _unreadable(path, error)
    if not start:
        return "is empty (0 bytes). Bring it again from where it came from"
    if start.startswith(_POINTER):
        return (
            f"is a Git LFS pointer ({found.st_size:,} bytes), not the file itself. Run 'git lfs pull' in the clone it "
            "came from, or download the file"
        )
    if start.lstrip().lower().startswith(_PAGES):
        return "is a web page: its download was answered with one. Bring the file itself"
    return None


def require(path: Path) -> None:
    """Raise InputError, naming the file, its folder and a remedy, unless its bytes can be read."""
    if reason := objection(path):
        raise InputError(f"{shown(path.name)} in '{shown(path.parent.name)}' {reason}.")


def is_there(path: Path) -> bool:
    """Say whether a path names something, a broken link included. Raise InputError when it is no path at all."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise InputError(f"'{shown(str(path))}' {_unreadable(path, error)}.") from error
    return True


def _unreadable(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        return "is no path: it holds a null character"
    try:
        dangling = path.is_symlink()
    except OSError:
        dangling = False
    if isinstance(error, FileNotFoundError):
        return (
            f"is a link to a file that is not there ({shown(str(path.readlink()))})"
            if dangling
            else "is missing"
        )
    return f"cannot be read: {error.strerror}"
