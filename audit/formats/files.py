"""Regular files, opened without ever waiting, and what stands in the place of one that is not what is asked for.

Two ways in: ``opened`` for readers, which record a reason for each file they leave out, and ``require`` for the files
that nothing can be done without.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

from audit.core.errors import InputError
from audit.formats.hostile import UnreadableError, shown

HEAD = 4096
"""Bytes from the start of a file that say what it is."""
BROKEN = "a broken link"
ABSENT = "does not exist"
NAMELESS = "no possible name: it holds a NUL character"
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_PAGES = (b"<!doctype html", b"<html")
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", "a gzip archive: unpack it"),
    (0, b"PK\x03\x04", "a zip archive: unpack it"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"BZh", "a bzip2 archive: unpack it"),
    (0, b"\xfd7zXZ\x00", "an xz archive: unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive: unpack it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (257, b"ustar", "a tar archive: unpack it"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PAR1", "a Parquet table"),
    (0, b"ARROW1", "an Arrow file"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
)


def opened(path: Path) -> io.BufferedReader:
    """Open a regular file. Raise UnreadableError with the reason for anything else; nothing waits for a writer.

    A named pipe would hold a reader until somebody writes to it, and opening a
    device can move it, so what a path is gets asked first and once more of what was opened.
    """
    try:
        _refuse_special(path.stat().st_mode)
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError:
        raise UnreadableError(NAMELESS) from None
    except OSError as error:
        raise UnreadableError(reason(error, path)) from error
    try:
        _refuse_special(os.fstat(number).st_mode)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def _refuse_special(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise UnreadableError(f"it is {kind_of(mode)}")


def kind_of(mode: int) -> str:
    """Name what a file that is no regular one is."""
    return next((name for test, name in _KINDS if test(mode)), "no regular file")


def reason(error: OSError, path: Path) -> str:
    """Say why the system refused a path, in a few words."""
    if isinstance(error, FileNotFoundError):
        return BROKEN if path.is_symlink() else ABSENT
    return (error.strerror or "cannot be read").lower()


def pointer(head: bytes) -> str | None:
    """Say of which file these first bytes are a mere pointer, and how to fetch it; None when they are not."""
    if (
        head.startswith((b"version https://git-lfs.", b"version https://hawser."))
        and b"\noid sha256:" in head
    ):
        return "a Git LFS pointer in place of the file: run 'git lfs pull'"
    first, _, rest = head.partition(b"\n")
    if b"/annex/objects/" in first and not rest.strip() and len(first) < HEAD // 2:
        return "a git-annex pointer in place of the file: run 'git annex get'"
    return None


def signature(head: bytes) -> str | None:
    """Name a well-known format by the first bytes of a file, None when they are of no format known here."""
    if said := pointer(head):
        return said
    for start, mark, name in _SIGNATURES:
        if head[start : start + len(mark)] == mark:
            return name
    return None


def objection(path: Path) -> str | None:
    """Return what is wrong with a file and what to do about it, as the rest of a sentence; None when it can be read.

    Links are followed. Found are also the stand-ins that a download or a clone leaves behind: an empty file, a pointer
    of Git LFS or git-annex, a web page.
    """
    try:
        with opened(path) as file:
            head = file.read(HEAD)
    except UnreadableError as error:
        return _said(path, str(error))
    except OSError as error:
        return _said(path, reason(error, path))
    if not head:
        return "is empty (0 bytes). Bring it again from where it came from"
    if said := pointer(head):
        return f"is {said}, or download the file itself"
    if head.lstrip().lower().startswith(_PAGES):
        return "is a web page: its download was answered with one. Bring the file itself"
    return None


def _said(path: Path, why: str) -> str:
    """Put the reason of a reader as the rest of a sentence about its file."""
    if why == BROKEN:
        return f"is a link to a file that is not there ({shown(str(path.readlink()))})"
    if why.startswith("it is "):
        return f"{why.removeprefix('it ')}, not a file"
    return {ABSENT: "is missing", NAMELESS: f"is {NAMELESS}"}.get(why, f"cannot be read: {why}")


def require(path: Path) -> None:
    """Raise InputError, naming the file, its folder and a remedy, unless its bytes can be read."""
    if why := objection(path):
        raise InputError(f"{shown(path.name)} in '{shown(path.absolute().parent.name or '/')}' {why}.")


def is_there(path: Path) -> bool:
    """Say whether a path names something, a broken link included. Raise InputError when it is no path at all."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except ValueError:
        raise InputError(f"'{shown(str(path))}' is {NAMELESS}.") from None
    except OSError as error:
        raise InputError(f"'{shown(str(path))}' cannot be read: {reason(error, path)}.") from error
    return True
