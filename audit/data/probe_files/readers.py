"""Which probe files the dataset 'text' reads: the option that names the file is the split that its rows make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from audit.core.errors import InputError
from audit.core.identity import Digest, canonical, digest_of
from audit.data.places import stamp_of
from audit.data.probe_files.ambiguity import read_ambiguity
from audit.data.probe_files.dialects import read_dialects
from audit.data.probe_files.entries import Probes
from audit.data.probe_files.names import read_names
from audit.data.probe_files.pairs import read_pairs
from audit.data.probe_files.pronouns import read_pronouns, read_winobias, read_winogender
from audit.data.probe_files.stereotypes import read_stereotypes
from audit.formats.hostile import printable

READERS: Mapping[str, Callable[[Path], Probes]] = {
    "ambiguity": read_ambiguity,
    "dialects": read_dialects,
    "names": read_names,
    "pairs": read_pairs,
    "pronouns": read_pronouns,
    "stereotypes": read_stereotypes,
    "winobias": read_winobias,
    "winogender": read_winogender,
}


def probes_of(kind: str, path: Path) -> Probes:
    """Return the probes of a file, read again only when it was written since. Raise InputError."""
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    return _read(kind, path, str(stamp_of(inside)))


@lru_cache(maxsize=8)
def _read(kind: str, path: Path, stamp: str) -> Probes:  # noqa: ARG001  so that what was kept is forgotten once a file changes
    return READERS[kind](path)


def digest_of_probes(probes: Probes) -> Digest:
    """Name the probes by what they say."""
    return digest_of(canonical([list(row.values()) for row in probes.rows.to_pylist()]))


def unchanged(kind: str, path: Path, known: str) -> Probes:
    """Return the probes of a file. Raise InputError when they are not those that the audit was planned with."""
    found = probes_of(kind, path)
    if digest_of_probes(found) != known:
        raise InputError(
            f"The probes in {printable(path)} have changed since the audit was planned. Plan it again."
        )
    return found
