"""A user's own attribute classifier: a factory with weights, named columns, counted errors, abstention, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.core.errors import InputError
from audit.core.rows import image_rows
from audit.features.torch_module import TorchClassifier

CODE = """
import numpy as np
from audit.core.rows import images_of

class Reader:
    modality = "image"

    def __init__(self, state, device):
        self.bound = float(state["bound"])

    def encode(self, rows):
        light = images_of(rows).mean(axis=(1, 2, 3)) / 255
        found = np.stack([light > self.bound, light <= self.bound], axis=1).astype(float)
        found[light > 0.9] = np.nan
        found[light < 0.1] = 0.0
        return {answer}

class Silent:
    modality = "image"

    def __init__(self, state, device):
        pass

    def sample(self, n, rng, condition=None):
        return np.zeros((n, 4, 4, 3), np.uint8)
"""


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    return written(tmp_path, f"reader_of_{tmp_path.name}", "found")


def written(folder: Path, module: str, answer: str) -> dict[str, Any]:
    import torch
    from safetensors.torch import save_file

    (folder / f"{module}.py").write_text(CODE.replace("{answer}", answer), encoding="utf-8")
    save_file({"bound": torch.tensor(0.5)}, folder / "w.safetensors")
    (folder / "c.csv").write_text(
        "attribute,true,read,count\ntone,light,light,90\ntone,light,dark,10\ntone,dark,dark,100\n"
    )
    return {
        "factory": f"{module}:Reader",
        "weights": str(folder / "w.safetensors"),
        "python_path": str(folder),
        "values": ["tone=light, dark"],
        "confusion": str(folder / "c.csv"),
    }


def grey(*levels: int) -> Any:
    return image_rows(np.stack([np.full((4, 4, 3), level, np.uint8) for level in levels]))


def test_columns_are_named_errors_counted_and_abstention_is_no_reading(options: dict[str, Any]) -> None:
    ref = TorchClassifier.refer(options)
    (attribute,) = ref.attributes
    assert (attribute.name, attribute.values) == ("tone", ("light", "dark"))
    assert attribute.confusion == ((90, 10), (0, 100))
    assert ref == TorchClassifier.refer(options)
    found = TorchClassifier.open(ref, "cpu").extract(grey(200, 60, 250, 5))
    assert found.tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]


def test_other_counts_are_another_classifier(options: dict[str, Any]) -> None:
    before = TorchClassifier.refer(options)
    Path(options["confusion"]).write_text("attribute,true,read,count\ntone,light,light,1\n")
    assert TorchClassifier.refer(options).digest != before.digest


@pytest.mark.parametrize(
    ("answer", "said"),
    [("3 * found - 1", "no probabilities"), ("found[:, :1]", "returned shape"), ("found[:2]", "shape")],
)
def test_what_is_no_probability_is_refused(tmp_path: Path, answer: str, said: str) -> None:
    name = f"reader_{abs(hash(answer)) % 10**6}"
    ref = TorchClassifier.refer(written(tmp_path, name, answer))
    with pytest.raises(ValueError, match=said):
        TorchClassifier.open(ref, "cpu").extract(grey(200, 60, 100))


def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="needs a factory"):
        TorchClassifier.refer({})
    with pytest.raises(InputError, match="needs the option 'values'"):
        TorchClassifier.refer({k: v for k, v in options.items() if k != "values"})
    with pytest.raises(InputError, match="without 'encode'"):
        TorchClassifier.refer({**options, "factory": options["factory"].replace("Reader", "Silent")})
    with pytest.raises(InputError, match="no option 'value'"):
        TorchClassifier.refer({**options, "value": ["a=b, c"]})
