"""The records that a policy compares with: runs of a store, or files that 'audit report --format json' wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from audit.cli.visible import visible
from audit.core.errors import InputError
from audit.core.records import AuditRecord, from_plain
from audit.formats.hostile import UnreadableError
from audit.formats.texts import read_whole
from audit.store.location import StoreAddress

_MOST_CHARACTERS = 200_000_000


def baseline_reader(where: StoreAddress) -> Callable[[str], AuditRecord]:
    """Return what finds a baseline by what a policy calls it: the path of a record (``.json``), or a run of the store.

    What it returns raises InputError for a name that finds no record.
    """

    def read(name: str) -> AuditRecord:
        if name.endswith(".json"):
            return _file(Path(name))
        from audit.store.runs import open_store

        with open_store(where, create=False, read_only=True) as store:
            return store.read(name)

    return read


def _file(path: Path) -> AuditRecord:
    shown = visible(str(path))
    try:
        plain = json.loads(read_whole(path, _MOST_CHARACTERS))
    except UnreadableError as error:
        raise InputError(f"The record {shown} cannot be read: {error}.") from None
    except (ValueError, RecursionError):
        raise InputError(f"{shown} is no JSON. 'audit report RUN --format json' writes a record.") from None
    try:
        return from_plain(plain)
    except InputError as error:
        raise type(error)(f"{shown}: {error}") from None
