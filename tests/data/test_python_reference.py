"""The Python reference: enough texts of reasonable length, and no claim about training."""

from __future__ import annotations

from pydoc_data.topics import topics

import pytest

from audit.core.errors import InputError
from audit.core.rows import texts_of
from audit.data.python_reference import PythonReference, sections


def test_enough_texts_of_reasonable_length_in_one_split() -> None:
    ref = PythonReference.refer({})
    card = PythonReference.describe(ref)
    (split,) = card.splits
    assert split[0] == "holdout"
    assert split[1] >= 100
    rows = PythonReference.load(ref, "holdout")
    lengths = sorted(len(text) for text in texts_of(rows))
    assert lengths[0] >= 600
    assert lengths[len(lengths) // 2] < 2_500
    assert any("unknown" in note for note in card.notes)


def test_every_text_is_a_part_of_its_topic_and_none_is_lost() -> None:
    rows = PythonReference.load(PythonReference.refer({}), "holdout").to_pylist()
    for name, whole in topics.items():
        parts = [row["text"] for row in rows if row["topic"] == name]
        squeezed = "".join(whole.split())
        assert "".join("".join(parts).split()) == (squeezed if parts else "")
        assert bool(parts) == bool(sections(whole))


def test_options_and_other_splits_are_refused() -> None:
    with pytest.raises(InputError, match="has no option 'path'"):
        PythonReference.refer({"path": "x"})
    with pytest.raises(InputError, match="no split 'train'"):
        PythonReference.load(PythonReference.refer({}), "train")
