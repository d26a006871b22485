"""A record as JSON, and the check that a document is one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar

from audit.core.records import SCHEMA_VERSION, AuditRecord, to_json
from audit.core.renderers import EvidenceReader


class JsonReport:
    """Renders a record as the JSON that ``docs/record.md`` documents.

    The record names evidence by digest and holds none of it, so
    ``show_sensitive`` changes nothing.
    """

    media_type: ClassVar[str] = "application/json"
    suffix: ClassVar[str] = ".json"

    def render(self, record: AuditRecord, evidence: EvidenceReader, *, show_sensitive: bool = False) -> bytes:
        # a lone surrogate, as in a file name that is not UTF-8, becomes the JSON escape \udcxx
        return (to_json(record) + "\n").encode("utf-8", errors="backslashreplace")


@cache
def schema(version: int | str = SCHEMA_VERSION) -> Mapping[str, Any]:
    """Return the JSON Schema of the record (draft 2020-12), of this version or of version 1."""
    name = "record-1.json" if version == 1 else "record.json"
    text = files("audit").joinpath(f"schema/{name}").read_text(encoding="utf-8")
    loaded: Mapping[str, Any] = json.loads(text)
    return loaded


def problems(document: Any) -> list[str]:
    """Return what keeps a document from being a record, each with its place; empty when nothing does.

    >>> problems([])
    ["$: [] is not of type 'object'"]
    """
    from jsonschema import Draft202012Validator

    version = document.get("schema_version") if isinstance(document, dict) else None
    found = Draft202012Validator(schema(1 if version == 1 else SCHEMA_VERSION)).iter_errors(document)
    return sorted(f"{error.json_path}: {error.message}" for error in found)
