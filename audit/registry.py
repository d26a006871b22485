"""Plugins by name, read from entry points. Nothing is imported until it is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, requires
from typing import Any

from audit.core.errors import InputError, PluginError, nearest

GROUPS: Mapping[str, str] = {
    "models": "audit.models",
    "included": "audit.included",
    "datasets": "audit.datasets",
    "extractors": "audit.extractors",
    "evaluators": "audit.evaluators",
    "executors": "audit.executors",
    "reports": "audit.reports",
}
"""What a catalogue is called in commands, and the entry-point group it is read from."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A plugin that is installed but cannot be loaded, and what to install."""

    name: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The plugins of one kind."""

    noun: str
    entries: Mapping[str, EntryPoint]

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.entries))

    def load(self, name: str) -> Any:
        """Return the plugin. Raise PluginError naming near matches, or the extra to install."""
        entry = self.entries.get(name)
        if entry is None:
            raise PluginError(f"There is no {self.noun} '{name}'. {nearest(name, self.entries)}")
        loaded = _load(self.noun, entry)
        if isinstance(loaded, Unavailable):
            raise PluginError(f"The {self.noun} '{name}' cannot be loaded: {loaded.reason}. {loaded.remedy}")
        return loaded

    def survey(self) -> Mapping[str, Any]:
        """Return every plugin, or why it is Unavailable."""
        return {name: _load(self.noun, self.entries[name]) for name in self.names()}

    def provider(self, name: str) -> str:
        """Return the distribution a plugin comes from, with its version."""
        distribution = self.entries[name].dist
        return f"{distribution.name} {distribution.version}" if distribution else "unknown"


@cache
def catalogue(kind: str) -> Catalogue:
    """Return the catalogue of one kind of plugin; the kinds are the keys of ``GROUPS``."""
    group = GROUPS[kind]
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        known = found.setdefault(entry.name, entry)
        if known.value != entry.value:
            raise PluginError(
                f"Two installed packages offer a plugin '{entry.name}' in {group}: "
                f"{known.value} and {entry.value}. Uninstall one of them."
            )
    return Catalogue(kind.rstrip("s") if kind != "included" else "included model", found)


def lacking(extractor: Any) -> str | None:
    """Return what an extractor says it needs and does not have here, such as an asset; None when it is ready."""
    try:
        extractor.refer()
    except InputError as error:
        return str(error)
    return None


def _load(noun: str, entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except ImportError as error:
        return Unavailable(entry.name, f"{type(error).__name__}: {error}", _remedy(entry, error))
    except Exception as error:
        return Unavailable(
            entry.name, f"{type(error).__name__}: {error}", f"Report this to the author of the {noun}."
        )


def _remedy(entry: EntryPoint, error: ImportError) -> str:
    """Return what to install: the extra of the plugin's distribution that brings the missing module."""
    distribution = entry.dist.name if entry.dist else None
    missing = (error.name or "").split(".")[0]
    if distribution is None or not missing or missing == entry.module.partition(".")[0]:
        return "Reinstall the package it comes from."
    extra = _extra_for(distribution, missing)
    if extra is not None:
        return f"Run: pip install '{distribution}[{extra}]'"
    return f"Run: pip install {missing}"


def _extra_for(distribution: str, module: str) -> str | None:
    try:
        lines = requires(distribution) or []
    except PackageNotFoundError:
        return None
    wanted = re.sub(r"[-_.]+", "-", module).lower()
    for line in lines:
        name = re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;(]", line, maxsplit=1)[0]).lower()
        marker = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", line)
        if marker and wanted in (name, name.removeprefix("python-")):
            return marker.group(1)
    return None
