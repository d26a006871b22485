"""A factory and a safetensors file: the contract is kept, and what breaks it is refused with a reason."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.models.torch_module import TorchModule

_NAMES = (f"users_model_{n}" for n in itertools.count())

SOURCE = '''
import numpy as np
from audit.core.rows import image_rows

class Flat:
    """Images of one grey level, learnt as a mean."""
    modality = "image"
    family = "constant"

    def __init__(self, state, device):
        self.mean, self.device = state["mean"], device

    def sample(self, n, rng, condition=None):
        return image_rows(np.full((n, 4, 4, 1), int(self.mean[0]), np.uint8))

def build(state, device) -> Flat:
    return Flat(state, device)

def unannotated(state, device):
    return Flat(state, device)

def liar(state, device) -> Flat:
    return object()

class Idle:
    pass

number = 3
'''


def written(folder: Path, source: str = SOURCE, factory: str = "Flat") -> dict[str, str]:
    """Write a module of a name not used before and its weights; return options that name them."""
    name = next(_NAMES)
    (folder / f"{name}.py").write_text(source)
    save_file({"mean": torch.tensor([7.0, 8.0])}, folder / "w.safetensors")
    weights = str(folder / "w.safetensors")
    return {"factory": f"{name}:{factory}", "weights": weights, "python_path": str(folder)}


@pytest.mark.parametrize("factory", ["Flat", "build"])
def test_a_class_or_an_annotated_function_makes_the_model(tmp_path: Path, factory: str) -> None:
    ref = TorchModule.refer(written(tmp_path, factory=factory))
    card, offers = TorchModule.describe(ref)
    assert (card.family, card.modality, card.parameters) == ("constant", "image", 2)
    assert offers == {Capability.SAMPLE}
    model = TorchModule.open(ref, "cpu")
    assert model.device == "cpu"
    assert model.sample(3, np.random.default_rng(0)).num_rows == 3


def test_identity_is_weights_and_code_and_not_place(tmp_path: Path) -> None:
    options = written(tmp_path)
    ref = TorchModule.refer(options)
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in (*tmp_path.glob("*.py"), *tmp_path.glob("*.safetensors")):
        (moved / file.name).write_bytes(file.read_bytes())
    there = {**options, "weights": str(moved / "w.safetensors"), "python_path": str(moved)}
    assert TorchModule.refer(there) == ref
    (moved / "network.py").write_text("x = 1")  # a file beside it that it may import
    assert TorchModule.refer(there) != ref


@pytest.mark.parametrize("ending", [".pt", ".bin", ".pkl", ".ckpt", ".pth"])
def test_pickles_are_refused_unopened(tmp_path: Path, ending: str) -> None:
    options = written(tmp_path)
    file = tmp_path / f"w{ending}"
    file.write_bytes(pickle.dumps(Path))
    with pytest.raises(InputError, match="can be a pickle, and opening a pickle runs"):
        TorchModule.refer({**options, "weights": str(file)})


def test_a_pickle_by_another_name_is_refused_too(tmp_path: Path) -> None:
    options = written(tmp_path)
    Path(options["weights"]).write_bytes(pickle.dumps({"mean": 1}))
    with pytest.raises(InputError, match="not a whole safetensors file"):
        TorchModule.refer(options)


@pytest.mark.parametrize("keep", [0, 4, 20, -1])
def test_weights_cut_short_are_refused(tmp_path: Path, keep: int) -> None:
    options = written(tmp_path)
    file = Path(options["weights"])
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        TorchModule.refer(options)


def test_weights_or_code_changed_after_planning_are_refused(tmp_path: Path) -> None:
    options = written(tmp_path)
    ref = TorchModule.refer(options)
    file = Path(options["weights"])
    before = file.read_bytes()
    file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.raises(InputError, match="changed or damaged"):
        TorchModule.open(ref, "cpu")
    file.write_bytes(before)
    (tmp_path / f"{options['factory'].split(':')[0]}.py").write_text(SOURCE + "\n")
    with pytest.raises(InputError, match=r"source of .* has changed"):
        TorchModule.open(ref, "cpu")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("unannotated", "does not say which class it returns"),
        ("Idle", "has no capability method"),
        ("number", "cannot be called"),
        ("Flatt", "has no 'Flatt'. Did you mean 'Flat'"),
    ],
)
def test_factories_that_break_the_contract_are_refused(tmp_path: Path, factory: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TorchModule.describe(TorchModule.refer(written(tmp_path, factory=factory)))


def test_a_factory_that_raises_or_lies_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="returned object, which lacks sample"):
        TorchModule.open(TorchModule.refer(written(tmp_path, factory="liar")), "cpu")
    options = written(tmp_path, source=SOURCE.replace('state["mean"]', 'state["weight"]'))
    with pytest.raises(InputError, match=r"raised KeyError: 'weight'.*with 1 tensors: mean"):
        TorchModule.open(TorchModule.refer(options), "cpu")


def test_modules_that_do_not_import_or_exist_are_refused(tmp_path: Path) -> None:
    broken = TorchModule.refer(written(tmp_path, source="1 / 0\n"))
    with pytest.raises(InputError, match="raised ZeroDivisionError"):
        TorchModule.describe(broken)
    options = written(tmp_path)
    with pytest.raises(InputError, match="no Python module 'nowhere' in"):
        TorchModule.refer({**options, "factory": "nowhere:Flat"})
    for wrong in ("no_colon", "a:b:c", "../x:y", ":x", "a.b:"):
        with pytest.raises(InputError, match='write "module:callable"'):
            TorchModule.refer({**options, "factory": wrong})


def test_a_module_never_replaces_one_of_the_library(tmp_path: Path) -> None:
    options = written(tmp_path)
    (tmp_path / "random.py").write_text(SOURCE)
    with pytest.raises(InputError, match="The name 'random' is taken by"):
        TorchModule.describe(TorchModule.refer({**options, "factory": "random:Flat"}))


def test_options_are_checked(tmp_path: Path) -> None:
    options = written(tmp_path, source=SOURCE.replace('modality = "image"', ""))
    with pytest.raises(InputError, match="Add modality = "):
        TorchModule.describe(TorchModule.refer(options))
    card, _ = TorchModule.describe(TorchModule.refer({**options, "modality": "image"}))
    assert card.modality == "image"
    with pytest.raises(InputError, match="Did you mean 'image'"):
        TorchModule.refer({**options, "modality": "images"})
    with pytest.raises(InputError, match="Did you mean 'weights'"):
        TorchModule.refer({**options, "weigths": "x"})
    with pytest.raises(InputError, match="needs the option 'weights'"):
        TorchModule.refer({"factory": options["factory"]})
