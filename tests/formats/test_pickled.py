"""Arrays out of a pickle: the same ones, and no other name is ever looked up."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.formats.hostile import UnreadableError
from audit.formats.pickled import arrays_in


def test_arrays_come_out_as_they_went_in() -> None:
    whole = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}, "c": np.array([1, 2])}
    found = arrays_in(pickle.dumps(whole))
    assert list(found) == ["a.b", "c"]
    np.testing.assert_array_equal(found["a.b"], whole["a"]["b"])
    assert found["a.b"].dtype == np.float32


class Runs:
    def __reduce__(self) -> Any:
        return Path.write_text, (Path("owned"), "x")


def test_whatever_is_no_array_is_refused_before_it_is_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for value, said in (
        ({"a": Runs()}, "which is no array"),
        ({"a": np.array([Runs()], dtype=object)}, "which is no array"),
        ({"a": np.array(["text"])}, "which is no number"),
        ({"a": 3}, "in place of arrays"),
        ({3: np.zeros(1)}, "in place of arrays"),
    ):
        with pytest.raises(UnreadableError, match=said):
            arrays_in(pickle.dumps(value))
    with pytest.raises(UnreadableError, match="no pickle of arrays"):
        arrays_in(pickle.dumps({"a": np.zeros(100)})[:60])
    with pytest.raises(UnreadableError, match="no pickle of arrays"):
        arrays_in(b"")
    assert not list(tmp_path.iterdir())
