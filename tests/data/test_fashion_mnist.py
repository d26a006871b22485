"""Fashion-MNIST: small files written here, and the publisher's own where they are."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audit import assets
from audit.core.errors import InputError
from audit.core.references import DataRef
from audit.core.rows import images_of
from audit.data.fashion_mnist import CLASSES, FashionMNIST
from audit.stats.shuffling import shuffled

SYSTEM = Path("/usr/share/datasets/fashion-mnist")


def write(path: Path, array: np.ndarray, *, packed: bool = False) -> None:
    data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.with_name(f"{path.name}.gz" if packed else path.name).write_bytes(
        gzip.compress(data) if packed else data
    )


Arrays = dict[str, np.ndarray]


def arrays() -> Arrays:
    rng = np.random.default_rng(1)
    return {
        "train-images-idx3-ubyte": rng.integers(0, 256, (50, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": np.arange(50, dtype=np.uint8) % 10,
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": np.arange(20, dtype=np.uint8) % 10,
    }


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of the four files, with some of them other ones."""

    def folder(name: str = "data", *, packed: bool = False, **other: np.ndarray) -> Path:
        place = tmp_path / name
        place.mkdir()
        for stem, array in {**arrays(), **{k.replace("_", "-"): v for k, v in other.items()}}.items():
            write(place / stem, array, packed=packed)
        return place

    return folder


def refer(folder: Path, **options: int) -> DataRef:
    return FashionMNIST.refer({"path": str(folder), "train": 30, "holdout": 15, **options})


def test_a_coin_splits_the_training_pictures_and_the_test_pictures_stay(make: Callable[..., Path]) -> None:
    ref, known = refer(make(), seed=3), arrays()
    order = shuffled(50, 3)
    for split, stem, rows in (
        ("train", "train", order[:30]),
        ("holdout", "train", order[30:45]),
        ("test", "t10k", range(20)),
    ):
        loaded = FashionMNIST.load(ref, split)
        np.testing.assert_array_equal(
            images_of(loaded)[..., 0], known[f"{stem}-images-idx3-ubyte"][list(rows)]
        )
        assert loaded.column("label").to_pylist() == [
            CLASSES[label] for label in known[f"{stem}-labels-idx1-ubyte"][list(rows)]
        ]
    card = FashionMNIST.describe(ref)
    assert card.splits == (("train", 30), ("holdout", 15), ("test", 20))
    assert (card.modality, card.groups, card.randomised, card.problems) == ("image", ("label",), True, ())


def test_the_reference_is_of_what_the_files_hold(make: Callable[..., Path]) -> None:
    plain = refer(make())
    assert refer(make("packed", packed=True)) == plain
    assert refer(make("again")) == plain
    pixels = arrays()["t10k-images-idx3-ubyte"]
    pixels[7, 3, 3] ^= 1
    assert refer(make("other", t10k_images_idx3_ubyte=pixels)).content != plain.content
    assert refer(make("seed"), seed=1).options != plain.options


def test_twins_in_two_splits_are_reported(make: Callable[..., Path]) -> None:
    pixels = arrays()["t10k-images-idx3-ubyte"]
    pixels[:2] = arrays()["train-images-idx3-ubyte"][shuffled(50, 0)[:2]]
    (problem,) = FashionMNIST.describe(refer(make(t10k_images_idx3_ubyte=pixels))).problems
    assert problem.startswith("2 of 20 rows of 'test' nearly equal a row of 'train' (2 of them exactly)")


def test_files_that_do_not_fit_are_refused(make: Callable[..., Path]) -> None:
    labels = arrays()["train-labels-idx1-ubyte"]
    for number, (other, said) in enumerate(
        [
            ({"train_images_idx3_ubyte": np.zeros((50, 32, 32), np.uint8)}, "holds 50×32×32 values"),
            ({"train_images_idx3_ubyte": np.zeros((0, 28, 28), np.uint8)}, "holds 0×28×28 values"),
            ({"train_labels_idx1_ubyte": labels[1:]}, "50 pictures and train-labels-idx1-ubyte 49 labels"),
            ({"train_labels_idx1_ubyte": labels + 1}, "holds the label 10; there are 10 classes"),
            ({"train_labels_idx1_ubyte": labels[None]}, "begins with 00000802"),
        ]
    ):
        with pytest.raises(InputError, match=said):
            refer(make(str(number), **other))
    folder = make("cut")
    whole = (folder / "train-images-idx3-ubyte").read_bytes()
    (folder / "train-images-idx3-ubyte").write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"39,199 are there. Replace it, or run 'audit fetch fashion-mnist'"):
        refer(folder)
    (folder / "train-images-idx3-ubyte").unlink()
    with pytest.raises(InputError, match=r"no train-images-idx3-ubyte or train-images-idx3-ubyte.gz"):
        refer(folder)


def test_wrong_options_splits_and_bytes_are_refused(make: Callable[..., Path]) -> None:
    folder = make()
    with pytest.raises(InputError, match="Did you mean 'train'"):
        refer(folder, trian=5)
    with pytest.raises(InputError, match="add up to 51, and there are 50 training pictures"):
        refer(folder, train=36)
    ref = refer(folder)
    with pytest.raises(InputError, match="no split 'valid'; it has train, holdout, test"):
        FashionMNIST.load(ref, "valid")
    write(folder / "t10k-labels-idx1-ubyte", arrays()["t10k-labels-idx1-ubyte"][::-1])
    with pytest.raises(InputError, match="have changed since"):
        FashionMNIST.load(ref, "train")


def test_without_the_asset_the_error_names_the_command_and_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_ASSETS", str(tmp_path))
    with pytest.raises(InputError, match=r"audit fetch fashion-mnist.* dataset-fashion-mnist "):
        FashionMNIST.refer({})


def test_planning_imports_nothing_heavy(make: Callable[..., Path]) -> None:
    code = (
        "import sys\nfrom audit.data.fashion_mnist import FashionMNIST\n"
        f"FashionMNIST.refer({{'path': {str(make())!r}, 'train': 30, 'holdout': 15}})\n"
        "print([m for m in ('torch', 'sklearn', 'PIL', 'scipy', 'pyarrow', 'transformers') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def real() -> DataRef:
    """The publisher's pictures: the asset, else the files of Debian's package."""
    try:
        return FashionMNIST.refer({})
    except InputError:
        if not SYSTEM.is_dir():
            pytest.skip("run 'audit fetch fashion-mnist' or install dataset-fashion-mnist first")
        return FashionMNIST.refer({"path": str(SYSTEM)})


def test_the_publisher_s_pictures_are_as_the_paper_says(real: DataRef) -> None:
    splits = {split: FashionMNIST.load(real, split) for split in ("train", "holdout", "test")}
    counts = {split: Counter(rows.column("label").to_pylist()) for split, rows in splits.items()}
    assert dict(counts["train"] + counts["holdout"]) == dict.fromkeys(CLASSES, 6000)
    assert dict(counts["test"]) == dict.fromkeys(CLASSES, 1000)
    observed = np.array([counts["holdout"][name] for name in CLASSES])
    assert (
        (observed - 1000) ** 2 / 1000
    ).sum() < 21.67 * 5 / 6  # chi-squared with 9 degrees, 1 %, without replacement
    pixels = np.concatenate([images_of(splits["train"]), images_of(splits["holdout"])])
    assert pixels.mean() / 255 == pytest.approx(0.2860, abs=5e-5)  # the constants everybody normalises with
    assert pixels.std() / 255 == pytest.approx(0.3530, abs=5e-5)


def test_debian_s_files_and_the_asset_are_one_dataset(real: DataRef) -> None:
    if not SYSTEM.is_dir() or Path(real.location) == SYSTEM:
        pytest.skip("only one of the two is here")
    assert FashionMNIST.refer({"path": str(SYSTEM)}) == real
    assert assets.verified("fashion-mnist") == Path(real.location)


def test_the_card_of_the_publisher_s_pictures(real: DataRef) -> None:
    card = FashionMNIST.describe(real)
    assert card.splits == (("train", 50_000), ("holdout", 10_000), ("test", 10_000))
    assert card.randomised
    assert [problem.split(" nearly")[0] for problem in card.problems] == [
        "7 of 10,000 rows of 'holdout'",
        "7 of 10,000 rows of 'test'",
        "4 of 10,000 rows of 'test'",
        "20 of 50,000 rows of 'train'",
        "1 of 10,000 rows of 'holdout'",
        "1 of 10,000 rows of 'test'",
    ]
