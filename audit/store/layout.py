"""The one layout of rows in memory, so that equal rows are equal bytes."""

from __future__ import annotations

from typing import Any

import numpy as np


def canonical_rows(rows: Any) -> Any:
    """Return equal rows in their one layout: one chunk a column, no metadata, no leftover bytes.

    A slice keeps its neighbours' bytes, and a null whatever was in memory;
    every column is copied so that neither is left.
    """
    import pyarrow as pa

    fields = [pa.field(field.name, field.type, field.nullable) for field in rows.schema]
    columns = [_fresh(column) for column in rows.columns]
    if not columns:
        return rows.replace_schema_metadata(None).combine_chunks()
    return pa.table(columns, schema=pa.schema(fields))


def _fresh(column: Any) -> Any:
    import pyarrow as pa

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        storage = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        return pa.ExtensionArray.from_storage(kind, _one_chunk(_fresh(storage)))
    if pa.types.is_nested(kind) and (column.null_count or _is_deep(kind)):
        # Copying leaves what lies under a null of a struct or a fixed-size list; values built anew do not.
        return pa.array(column.to_pylist(), kind)
    return _one_chunk(column.take(pa.array(np.arange(len(column)))))


def _is_deep(kind: Any) -> bool:
    """Say whether a nested type holds nested ones, which may hold nulls of their own."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return True
    return any(pa.types.is_nested(kind.field(i).type) for i in range(kind.num_fields))


def _one_chunk(column: Any) -> Any:
    import pyarrow as pa

    if not isinstance(column, pa.ChunkedArray):
        return column
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks)
        if column.num_chunks
        else pa.array([], column.type)
    )
