"""The digits equal scikit-learn's own, and a coin decides their split."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from audit.core.errors import InputError
from audit.core.references import DataRef
from audit.core.rows import images_of
from audit.data.digits import Digits
from audit.stats.shuffling import shuffled


def rows_of(**options: int) -> tuple[np.ndarray, list[str], int]:
    ref = Digits.refer(options)
    parts = [Digits.load(ref, split) for split in ("train", "holdout")]
    labels = [label for part in parts for label in part.column("label").to_pylist()]
    return np.concatenate([images_of(part) for part in parts]), labels, parts[0].num_rows


def test_every_digit_is_there_once_and_as_scikit_learn_has_it() -> None:
    from sklearn.datasets import load_digits

    pixels, labels, _ = rows_of()
    published = load_digits()
    levels = np.rint(pixels.reshape(-1, 64).astype(float) * 16 / 255)
    np.testing.assert_array_equal(levels, published.data[shuffled(1797, 0)])
    assert labels == [str(label) for label in published.target[shuffled(1797, 0)]]
    assert len(np.unique(pixels)) == 17


def test_the_split_is_fair_in_labels() -> None:
    _, labels, train = rows_of()
    observed = np.array([labels[:train].count(str(d)) for d in range(10)])
    expected = np.array([labels.count(str(d)) for d in range(10)]) * train / len(labels)
    assert ((observed - expected) ** 2 / expected).sum() < 21.67  # chi-squared with 9 degrees, 1 %


def test_seed_and_size_change_the_split_and_the_reference() -> None:
    first, _, train = rows_of()
    other, _, other_train = rows_of(seed=1, train=500)
    assert (train, other_train) == (1000, 500)
    assert not np.array_equal(first[:500], other[:500])
    assert Digits.refer({}) == Digits.refer({"seed": 0, "train": 1000})
    assert Digits.refer({}) != Digits.refer({"seed": 1})


def test_the_order_is_a_permutation_and_never_changes() -> None:
    assert sorted(shuffled(1000, 3)) == list(range(1000))
    assert shuffled(8, 3) == [0, 4, 2, 7, 1, 3, 5, 6]


def test_the_card_says_what_is_known() -> None:
    card = Digits.describe(Digits.refer({}))
    assert card.splits == (("train", 1000), ("holdout", 797))
    assert card.randomised
    assert card.groups == ("label",)
    assert card.problems == ()


def test_wrong_options_splits_and_bytes_are_refused() -> None:
    with pytest.raises(InputError, match="Did you mean 'train'"):
        Digits.refer({"trian": 5})
    with pytest.raises(InputError, match="from 1 to 1,796"):
        Digits.refer({"train": 1797})
    ref = Digits.refer({})
    with pytest.raises(InputError, match="no split 'test'"):
        Digits.load(ref, "test")
    with pytest.raises(InputError, match="has changed"):
        Digits.load(DataRef("digits", "0" * 40, ref.options, ref.location), "train")  # type: ignore[arg-type]


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from audit.data.digits import Digits\n"
        "from audit.data.images import ImageFolder\n"
        "from audit.data.python_reference import PythonReference\n"
        "from audit.data.text import TextFiles\n"
        "from audit.features.pixels import Pixels\n"
        "from audit.models.included import Included\n"
        "from audit.models.samples_on_disk import SamplesOnDisk\n"
        "from audit.models.torch_module import TorchModule\n"
        "Digits.refer({}); PythonReference.refer({}); Pixels.refer()\n"
        "Included.describe(Included.refer({'use': 'digits-vae'}))\n"
        "print([m for m in ('torch', 'sklearn', 'PIL', 'scipy', 'pyarrow', 'transformers') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
