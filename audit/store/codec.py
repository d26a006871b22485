"""Values to bytes and back: the same value, the same bytes, and no pickle.

=========  ===================================================================
value      bytes
=========  ===================================================================
rows       an Arrow IPC stream of one batch, without metadata
array      NumPy's ``.npy``, C order, little-endian
dataclass  a line that names the format, the length of a JSON skeleton, the
           skeleton, and the arrays, rows and byte strings it refers to
=========  ===================================================================

The bytes name no type. The reader says what it expects, and what does not fit
is an error that says where.
"""

from __future__ import annotations

import dataclasses
import enum
import io
import json
import math
import sys
from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from audit.core.errors import InputError
from audit.store import shapes
from audit.store.layout import canonical_rows

_MAGIC = b"audit piece 1\n"
_LENGTH = 8


def encode(value: Any) -> bytes:
    """Return the bytes of rows, an array or a dataclass; equal values give equal bytes.

    A dataclass may hold None, booleans, numbers, strings, bytes, enums, tuples,
    lists, sets, mappings, arrays, rows and dataclasses. A number outside an
    array is finite; ValueError and TypeError say which field is not.
    """
    if _is_rows(value):
        return _encode_rows(value)
    if isinstance(value, np.ndarray):
        return _encode_array(value, "the array")
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"a value is rows, an array or a dataclass, not {type(value).__name__}")
    segments: list[bytes] = []
    skeleton = _skeleton(value, type(value).__name__, segments)
    head = _json({"segments": [len(segment) for segment in segments], "value": skeleton})
    return b"".join((_MAGIC, len(head).to_bytes(_LENGTH, "little"), head, *segments))


def decode(kind: Any, data: bytes) -> Any:
    """Return the value of some bytes; ``kind`` is ``"rows"``, ``"array"`` or the dataclass to expect.

    Bytes that are something else raise InputError.
    """
    if kind == "rows":
        return _decode_rows(data)
    if kind == "array":
        return _decode_array(data)
    head, body = _split(data)
    lengths, skeleton = head.get("segments"), head.get("value")
    if not isinstance(lengths, list) or not all(type(size) is int and size >= 0 for size in lengths):
        raise _malformed("its skeleton does not say how long its parts are")
    ends = list(accumulate(lengths, initial=0))
    if ends[-1] != len(body):
        raise _malformed(f"it should hold {ends[-1]} bytes of arrays and holds {len(body)}")
    segments = [body[start:end] for start, end in pairwise(ends)]

    def segment(kind: str, index: Any) -> Any:
        if type(index) is not int or not 0 <= index < len(segments):
            raise _malformed(f"it refers to a part {index!r} that it does not hold")
        match kind:
            case "$array":
                return _decode_array(bytes(segments[index]))
            case "$rows":
                return _decode_rows(bytes(segments[index]))
            case _:
                return bytes(segments[index])

    try:
        return shapes.shaped(kind, skeleton, segment, shapes.name_of_hint(kind))
    except shapes.MisfitError as error:
        raise _malformed(str(error)) from None


def _malformed(what: str) -> InputError:
    return InputError(
        f"A stored shard cannot be read: {what}. It was written by another version of this tool or of a "
        "plugin that did not raise its recipe's version, or it is damaged. Use a new store, "
        "or delete the blob and run again."
    )


def _skeleton(value: Any, where: str, segments: list[bytes]) -> Any:
    """Return the JSON form of a value, appending to ``segments`` what JSON cannot hold."""

    def keep(kind: str, data: bytes) -> dict[str, int]:
        segments.append(data)
        return {kind: len(segments) - 1}

    match value:
        case enum.Enum():
            return _skeleton(value.value, where, segments)
        case None | bool() | str():
            return value
        case np.bool_():
            return bool(value)
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            return _finite(float(value), where)
        case bytes():
            return keep("$bytes", value)
        case np.ndarray():
            return keep("$array", _encode_array(value, where))
        case tuple() | list():
            return [_skeleton(item, f"{where}[{i}]", segments) for i, item in enumerate(value)]
        case set() | frozenset():
            return sorted((_skeleton(item, f"{where}{{}}", []) for item in value), key=_json)
        case Mapping():
            named = [(_json(_skeleton(name, f"a name in {where}", [])), name) for name in value]
            return {
                "$map": [
                    [_skeleton(name, where, []), _skeleton(value[name], f"{where}[{name!r}]", segments)]
                    for _, name in sorted(named, key=lambda pair: pair[0])
                ]
            }
    if _is_rows(value):
        return keep("$rows", _encode_rows(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            "$fields": {
                f.name: _skeleton(getattr(value, f.name), f"{where}.{f.name}", segments)
                for f in dataclasses.fields(value)
                if f.init
            }
        }
    raise TypeError(f"{where} is a {type(value).__name__}, which a shard cannot hold")


def _finite(number: float, where: str) -> float:
    if not math.isfinite(number):
        raise ValueError(f"{where} is {number}: outside an array a number is finite")
    return number


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _split(data: bytes) -> tuple[dict[str, Any], memoryview]:
    start = len(_MAGIC) + _LENGTH
    if not data.startswith(_MAGIC) or len(data) < start:
        raise _malformed("it does not begin as a shard does")
    end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    if end > len(data):
        raise _malformed("it is cut short")
    try:
        head = json.loads(data[start:end])
    except (ValueError, RecursionError):
        raise _malformed("its skeleton is not JSON") from None
    if not isinstance(head, dict):
        raise _malformed("its skeleton is not an object")
    return head, memoryview(data)[end:]


def _encode_array(array: Any, where: str) -> bytes:
    if array.dtype.hasobject or array.dtype.kind == "V":
        raise TypeError(f"{where} is an array of {array.dtype}, which has no canonical bytes")
    plain = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, plain, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _decode_array(data: bytes) -> Any:
    file = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("its .npy version is not 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except (
        Exception
    ) as error:  # NumPy parses the header as Python and lets through whatever the tokenizer raises
        raise _malformed(f"it is not an array ({error})") from None
    body = memoryview(data)[file.tell() :]
    if dtype.hasobject or fortran or math.prod(shape) * dtype.itemsize != len(body):
        raise _malformed(f"it is not an array of {dtype} of shape {shape} in C order")
    return np.ndarray(shape, dtype, buffer=body).copy()  # writable, as it was when it was made


def _is_rows(value: Any) -> bool:
    pyarrow = sys.modules.get("pyarrow")
    return pyarrow is not None and isinstance(value, pyarrow.Table)


def _encode_rows(rows: Any) -> bytes:
    import pyarrow as pa

    table = canonical_rows(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        if table.num_rows:
            writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _decode_rows(data: bytes) -> Any:
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
            table = reader.read_all()
        table.validate()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _malformed(f"it is not rows ({str(error)[:200]})") from None
    return table
