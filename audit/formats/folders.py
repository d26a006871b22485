"""Which files a folder holds, without being led out of it."""

from __future__ import annotations

import enum
import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.core.errors import InputError
from audit.formats.files import kind_of, reason
from audit.formats.hostile import Mark, Refused, printable, shown

LINKS = ("inside", "follow")
"""What an option ``links`` takes: follow links that end inside the folder, or every link."""
LINK_ADVICE = (
    "Links that lead out are followed with links = \"follow\"; or copy the folder with 'cp -rL', which copies what "
    "links lead to."
)
_SYSTEM = frozenset(
    {
        "@eaDir",
        "#recycle",
        "$RECYCLE.BIN",
        "__MACOSX",
        "__pycache__",
        "lost+found",
        "System Volume Information",
    }
)
"""What file systems and network drives put into folders; that of Synology holds a thumbnail of each picture."""
_LEADS_OUT = "a link that leads out of the folder"


@dataclass(frozen=True, slots=True)
class Listing:
    """The regular files below a folder by relative name, in the order of these names, and what else is there."""

    folder: Path
    names: tuple[str, ...]
    refused: tuple[Refused, ...]

    @property
    def total(self) -> int:
        return len(self.names) + len(self.refused)

    def files(self) -> dict[str, Path]:
        return {name: self.folder / name for name in self.names}


def listing(folder: Path, leave_out: Sequence[Path] = (), links: str = "inside") -> Listing:
    """List a folder and its subfolders. Raise InputError when it is no folder or cannot be read.

    Links to files are followed when they end inside the folder, or in the
    store that such a folder of links belongs to: ``blobs`` beside the
    ``snapshots`` of a Hugging Face cache, ``.git/annex/objects`` and
    ``.dvc/cache`` of a folder around it. Other links, linked folders, pipes and devices
    are refused. With ``links`` "follow" every link to a file or folder is
    followed, each folder once. Names that begin with a dot, and folders of
    the system's own, are passed over and stand among ``refused`` as beside the examples.
    """
    try:
        mode = folder.stat().st_mode
        root = folder.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        why = reason(error, folder) if isinstance(error, OSError) else "no possible path"
        raise InputError(f"The folder {shown(str(folder))} cannot be read: {why}.") from error
    if not stat.S_ISDIR(mode):
        raise InputError(f"{printable(folder)} is not a folder. Name the folder that holds the files.")
    place = _Place(root, _stores(root), links == "follow", frozenset(path.resolve() for path in leave_out))
    names: list[str] = []
    refused: list[Refused] = []
    entered = {_identity(root)}
    pending = [""]
    while pending:
        inside = pending.pop()
        for entry in _entries(root / inside):
            name = inside + entry.name
            found = place.look(name, entry)
            if found is _Found.FOLDER:
                if (identity := _identity(root / name)) not in entered:
                    entered.add(identity)
                    pending.append(f"{name}/")
            elif found is _Found.FILE:
                names.append(name)
            elif isinstance(found, Refused):
                refused.append(found)
    return Listing(root, tuple(sorted(names)), tuple(sorted(refused, key=lambda r: r.name)))


def leads_out(refused: Sequence[Refused]) -> bool:
    """Say whether a link was refused because it leads out of the folder."""
    return any(entry.reason == _LEADS_OUT for entry in refused)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise _unlisted(folder, error) from error


def _identity(folder: Path) -> tuple[int, int]:
    try:
        known = folder.stat()
    except OSError as error:
        raise _unlisted(folder, error) from error
    return known.st_dev, known.st_ino


def _unlisted(folder: Path, error: OSError) -> InputError:
    too_long = error.errno == errno.ENAMETOOLONG  # a path may have no more than some 4,000 bytes
    why = "its path is too long" if too_long else reason(error, folder)
    remedy = "Move its files up" if too_long else "Give the user that runs the audit the right to read it"
    return InputError(
        f"The folder {shown(str(folder))} cannot be listed: {why}. {remedy}, or name another folder."
    )


class _Found(enum.Enum):
    FILE = enum.auto()
    FOLDER = enum.auto()
    PASSED_OVER = enum.auto()


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder, where links in it may lead, and which files in it are no examples."""

    root: Path
    stores: tuple[Path, ...]
    follow: bool
    passed_over: frozenset[Path]

    def look(self, name: str, entry: os.DirEntry[str]) -> _Found | Refused:
        """Say what an entry is, or why it is not used."""
        if entry.name.startswith(".") or entry.name in _SYSTEM:
            return Refused(name, "of the system", Mark.BESIDE)
        try:
            if entry.is_symlink():
                return self._linked(name)
            if entry.is_dir(follow_symlinks=False):
                return _Found.FOLDER
            if self.passed_over and self.root / name in self.passed_over:
                return _Found.PASSED_OVER
            mode = entry.stat(follow_symlinks=False).st_mode
        except OSError as error:
            return Refused(name, reason(error, self.root / name))
        return _Found.FILE if stat.S_ISREG(mode) else Refused(name, kind_of(mode))

    def _linked(self, name: str) -> _Found | Refused:
        path = self.root / name
        try:
            target = path.resolve(strict=True)
            mode = target.stat().st_mode
        except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError in Python 3.11
            lost = isinstance(error, FileNotFoundError)
            return Refused(name, _broken(path) if lost else "a link that cannot be followed")
        if target in self.passed_over:
            return _Found.PASSED_OVER
        if not self.follow and not any(target.is_relative_to(place) for place in (self.root, *self.stores)):
            return Refused(name, _LEADS_OUT)
        if stat.S_ISDIR(mode):
            return _Found.FOLDER if self.follow else Refused(name, "a link to a folder")
        return _Found.FILE if stat.S_ISREG(mode) else Refused(name, f"a link to {kind_of(mode)}")


def _broken(path: Path) -> str:
    if ".git/annex/objects" in os.readlink(path):  # noqa: PTH115  only the text matters
        return "a link to what git-annex has not fetched: run 'git annex get'"
    return "a broken link"


def _stores(root: Path) -> tuple[Path, ...]:
    """Return the folders that hold the files of a folder of links, going by the layout of the tool that made it."""
    around = (root, *root.parents)
    blobs = [place.parent / "blobs" for place in around if place.name == "snapshots"]
    caches = [place / cache for place in around for cache in (".git/annex/objects", ".dvc/cache")]
    return tuple(place for place in (*blobs, *caches) if place.is_dir())
