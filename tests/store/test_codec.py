"""The same value gives the same bytes, and the bytes give the value back."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NewType, TypeVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from audit.core.errors import InputError
from audit.core.measurements import Direction, Interval, Unquantified
from audit.core.rows import Rows, Vector, image_rows, images_of, text_rows
from audit.store import codec

S = TypeVar("S")
Name = NewType("Name", str)


@dataclass(frozen=True, slots=True)
class Moments:
    n: int
    mean: Vector


@dataclass(frozen=True, slots=True)
class Grouped(Generic[S]):
    groups: Mapping[tuple[tuple[str, str], ...], S]


class Colour(enum.Enum):
    RED = (1, 2)
    BLUE = (3, 4)


@dataclass(frozen=True)
class Everything:
    nothing: None
    flag: bool
    count: int
    share: float
    name: Name
    raw: bytes
    maybe: float | None
    either: Interval | Unquantified
    colour: Colour
    direction: Direction
    mode: Literal["a", "b"]
    many: tuple[float, ...]
    pair: tuple[int, str]
    none_of: tuple[()]
    items: list[str]
    several: Sequence[Moments]
    names: frozenset[str]
    table: Mapping[str, int | float | str | None]
    rows: Rows
    matrix: np.ndarray[Any, Any]
    nested: Grouped[Moments]
    anything: Any
    hidden: int = field(default=7, init=False)


def everything(**changes: Any) -> Everything:
    values: dict[str, Any] = {
        "nothing": None,
        "flag": True,
        "count": -(2**80),
        "share": 0.1,
        "name": Name('ü\x00\ud800"'),
        "raw": b"\x00\xff",
        "maybe": None,
        "either": Unquantified("too few"),
        "colour": Colour.BLUE,
        "direction": Direction.NEITHER,
        "mode": "b",
        "many": (1.0, -0.0, 5e-324),
        "pair": (1, "x"),
        "none_of": (),
        "items": ["a"],
        "several": (Moments(1, np.zeros(2)),),
        "names": frozenset("abc"),
        "table": {"b": 1, "a": 1.5, "c": None, "d": "x"},
        "rows": text_rows(["a", "b"]),
        "matrix": np.array([[np.nan, np.inf]]),
        "nested": Grouped({(("sex", "F"),): Moments(2, np.ones(1)), (): Moments(3, np.ones(1))}),
        "anything": (1, "two", {"three": (3.0,)}),
    }
    return Everything(**{**values, **changes})


def test_a_dataclass_of_everything_comes_back() -> None:
    value = everything()
    back = codec.decode(Everything, codec.encode(value))
    for name in (
        "flag",
        "count",
        "share",
        "name",
        "raw",
        "either",
        "colour",
        "direction",
        "mode",
        "many",
        "pair",
    ):
        assert getattr(back, name) == getattr(value, name)
    assert (back.nothing, back.maybe, back.none_of, back.items) == (None, None, (), ["a"])
    assert str(back.many[1]) == "-0.0"
    assert back.names == value.names
    assert back.table == value.table
    assert [type(back.table[name]) for name in "bad"] == [int, float, str]
    assert back.rows.equals(value.rows)
    assert back.matrix.tobytes() == value.matrix.tobytes()
    assert back.several[0].mean.tolist() == [0, 0]
    assert back.nested.groups[(("sex", "F"),)].n == 2
    assert back.anything == value.anything
    assert codec.encode(back) == codec.encode(value)


def test_an_interval_is_told_from_its_absence() -> None:
    value = everything(either=Interval(0.0, 1.0, 0.95, "exact"))
    assert codec.decode(Everything, codec.encode(value)).either == value.either


def test_order_of_mappings_and_sets_does_not_matter() -> None:
    one = everything(table={"a": 1, "b": 2}, names=frozenset(["x", "y", "z"]))
    other = everything(table={"b": 2, "a": 1}, names=frozenset(["z", "y", "x"]))
    assert codec.encode(one) == codec.encode(other)


def test_numpy_scalars_are_plain_numbers() -> None:
    one = everything(count=np.int64(3), share=np.float64(0.5), flag=np.bool_(True))
    assert codec.encode(one) == codec.encode(everything(count=3, share=0.5, flag=True))


@given(
    hnp.arrays(
        st.one_of(hnp.scalar_dtypes(), hnp.unicode_string_dtypes()), hnp.array_shapes(min_dims=0, min_side=0)
    )
)
@settings(max_examples=60, deadline=None)
def test_arrays_come_back_bit_for_bit(array: np.ndarray[Any, Any]) -> None:
    data = codec.encode(array)
    back = codec.decode("array", data)
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("<")
    assert back.tobytes() == array.astype(back.dtype, copy=False).tobytes()
    assert codec.encode(back) == data


def test_how_an_array_lies_in_memory_does_not_matter() -> None:
    array = np.arange(12.0).reshape(3, 4)
    expected = codec.encode(array)
    for same in (np.asfortranarray(array), array.astype(">f8"), np.repeat(array, 2, axis=1)[:, ::2]):
        assert codec.encode(same) == expected
    back = codec.decode("array", expected)
    back[0, 0] = 5.0  # writable, and its own memory
    assert codec.decode("array", expected)[0, 0] == 0.0


_CELLS = {
    pa.bool_(): st.booleans(),
    pa.int16(): st.integers(-(2**15), 2**15 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.string(): st.text(max_size=5),
    pa.binary(): st.binary(max_size=5),
    pa.list_(pa.int32()): st.lists(st.integers(0, 9), max_size=3),
    pa.list_(pa.string()): st.lists(st.none() | st.text(max_size=2), max_size=3),
    pa.list_(pa.int8(), 2): st.tuples(st.integers(0, 9), st.integers(0, 9)).map(list),
    pa.struct({"a": pa.int32(), "b": pa.string()}): st.fixed_dictionaries(
        {"a": st.none() | st.integers(0, 9), "b": st.none() | st.text(max_size=2)}
    ),
}


@st.composite
def _columns(draw: st.DrawFn) -> tuple[pa.DataType, list[Any]]:
    kind = draw(st.sampled_from(list(_CELLS)))
    return kind, draw(st.lists(st.none() | _CELLS[kind], max_size=20))


@given(_columns(), st.data())
@settings(max_examples=150, deadline=None)
def test_rows_are_the_same_bytes_however_they_came_about(
    column: tuple[pa.DataType, list[Any]], data: st.DataObject
) -> None:
    """Slices, chunks and what lies in memory under a null leave no trace."""
    kind, values = column
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    cut = data.draw(st.integers(0, stop - start))
    fresh = pa.table({"column": pa.array(values[start:stop], kind)})
    sliced = pa.table({"column": pa.array(values, kind)}).slice(start, stop - start)
    chunked = pa.concat_tables([sliced.slice(0, cut), sliced.slice(cut)])
    noted = sliced.replace_schema_metadata({"pandas": "whatever"})
    encoded = codec.encode(fresh)
    assert {codec.encode(same) for same in (sliced, chunked, noted)} == {encoded}
    back = codec.decode("rows", encoded)
    assert back.to_pylist() == fresh.to_pylist()
    assert back.schema.equals(fresh.schema, check_metadata=True)
    assert codec.encode(back) == encoded


def test_what_lies_under_a_null_leaves_no_trace() -> None:
    mask = pa.array([True, False])
    struct = pa.StructArray.from_arrays([pa.array([1, 2])], ["a"], mask=mask)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4]), 2, mask=mask)
    for dirty in (struct, fixed):
        clean = pa.array(dirty.to_pylist(), dirty.type)
        assert codec.encode(pa.table({"a": dirty})) == codec.encode(pa.table({"a": clean}))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_images_come_back(n: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (n, 3, 4, 3), dtype=np.uint8)
    rows = image_rows(images, label=[str(i) for i in range(n)])
    back = codec.decode("rows", codec.encode(rows))
    assert back.schema == rows.schema
    assert (images_of(back) == images).all()
    assert codec.encode(rows.slice(n // 2)) == codec.encode(
        image_rows(images[n // 2 :], label=[str(i) for i in range(n // 2, n)])
    )


@dataclass(frozen=True, slots=True)
class GroupedMoments(Grouped[Moments]):
    share: np.float32


def test_the_arguments_of_an_extended_generic_class_are_known() -> None:
    value = GroupedMoments({(): Moments(2, np.ones(1))}, np.float32(0.1))
    back = codec.decode(GroupedMoments, codec.encode(value))
    assert back.groups[()].n == 2
    assert (back.share, type(back.share)) == (value.share, np.float32)


@dataclass(frozen=True)
class One:
    value: Any


@pytest.mark.parametrize("number", [float("nan"), float("inf"), np.float32("-inf")])
def test_numbers_outside_arrays_are_finite(number: float) -> None:
    with pytest.raises(ValueError, match=r"One\.value\[0\] is .*outside an array"):
        codec.encode(One((number,)))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (One(object()), r"One\.value is a object"),
        (One({"a": 1j}), r"One\.value\['a'\] is a complex"),
        (One(np.array([None])), r"One\.value is an array of object"),
        (One(One), r"One\.value is a type"),
        (np.array([object()]), "the array is an array of object"),
        ({"a": 1}, "not dict"),
        (3.0, "not float"),
        (One, "not type"),
    ],
)
def test_what_has_no_canonical_bytes_is_refused(value: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        codec.encode(value)


def test_bytes_never_name_a_type() -> None:
    data = codec.encode(everything())
    assert b"Everything" not in data
    assert b"Moments" not in data
    assert b"Unquantified" not in data


@dataclass(frozen=True)
class Other:
    n: int
    total: float


@dataclass(frozen=True)
class Counted:
    n: int
    mean: str


@dataclass(frozen=True)
class Positive:
    n: int

    def __post_init__(self) -> None:
        if self.n < 0:
            raise ValueError("n is negative")


@dataclass(frozen=True)
class Anyhow:
    n: int


@pytest.mark.parametrize(
    ("piece", "value", "said"),
    [
        (Other, Moments(1, np.ones(1)), "Other has the fields mean, n, not n, total"),
        (Counted, Moments(1, np.ones(1)), "Counted.mean should be str"),
        (Moments, Counted(1, "x"), "Moments.mean should be"),
        (Positive, Anyhow(-1), "n is negative"),
        (Positive, One(1), "has the fields value"),
        (Grouped[Moments], Grouped({(): Anyhow(1)}), "has the fields n, not n, mean"),
        (Grouped, Grouped({(): Anyhow(1)}), "does not say which"),
        ("rows", Anyhow(1), "not rows"),
        ("array", Anyhow(1), "not an array"),
        ("array", text_rows(["a"]), "not an array"),
        ("rows", np.ones(2), "not rows"),
        (Anyhow, np.ones(2), "does not begin as a shard"),
    ],
)
def test_what_is_not_what_the_reader_expects_is_refused(piece: Any, value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        codec.decode(piece, codec.encode(value))
    assert "delete the blob and run again" in str(raised.value)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_are_an_error_or_a_value_but_never_a_crash(data: st.DataObject) -> None:
    piece, value = data.draw(
        st.sampled_from(
            [(Moments, Moments(1, np.ones(3))), ("array", np.ones((2, 2))), ("rows", text_rows(["a"]))]
        )
    )
    whole = bytearray(codec.encode(value))
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole)))]
    for _ in range(data.draw(st.integers(0, 3)) if whole else 0):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InputError):
        codec.decode(piece, bytes(whole))


def test_an_array_that_claims_to_be_huge_allocates_nothing() -> None:
    data = codec.encode(np.zeros((10, 10)))
    with pytest.raises(InputError, match="not an array"):
        codec.decode("array", data.replace(b"(10, 10)", b"(9e9, 9)").replace(b"9e9", b"999"))


def test_a_pickle_is_never_read() -> None:
    import io

    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="not an array"):
        codec.decode("array", buffer.getvalue())
