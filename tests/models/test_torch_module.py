"""A factory and a safetensors file: the contract is kept, and what breaks it is refused with a reason."""

from __future__ import annotations

import itertools
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.rows import images_of
from audit.models import reads
from audit.models.torch_module import TorchModule
from audit.models.trial import tried

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
    with pytest.raises(InputError, match="not a safetensors file"):
        TorchModule.refer(options)


@pytest.mark.parametrize("keep", [0, 4, 20, -1])
def test_weights_cut_short_are_refused(tmp_path: Path, keep: int) -> None:
    options = written(tmp_path)
    file = Path(options["weights"])
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"not a safetensors file|is empty|is cut short"):
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


READER = '''
import json, pathlib
import numpy as np

HERE = pathlib.Path(__file__).parent

class Reader:
    """Images as dark as a settings file says."""
    modality = "image"

    def __init__(self, state, device):
        NAME
        self.level = json.loads(path.read_text())["level"]

    def sample(self, n, rng, condition=None):
        LATE
        return np.full((n, 4, 4, 1), self.level, np.uint8)
'''
LITERAL, BUILT = 'path = HERE / "inner" / "set.json"', 'path = HERE / "inner" / ("se" + "t.json")'


def reading(folder: Path, name: str = LITERAL, late: str = "pass") -> dict[str, str]:
    (folder / "inner").mkdir(exist_ok=True)
    (folder / "inner" / "set.json").write_text('{"level": 100}')
    return written(folder, READER.replace("NAME", name).replace("LATE", late), "Reader")


def levels(ref: Any) -> int:
    return int(images_of(TorchModule.open(ref, "cpu").sample(1, np.random.default_rng(0)))[0, 0, 0, 0])


def test_a_file_that_the_source_names_is_part_of_the_identity(tmp_path: Path) -> None:
    options = reading(tmp_path)
    before = TorchModule.refer(options)
    assert levels(before) == 100
    (tmp_path / "inner" / "set.json").write_text('{"level": 200}')
    with pytest.raises(InputError, match=r"inner/set\.json.* has changed since the audit was planned"):
        TorchModule.open(before, "cpu")
    after = TorchModule.refer(options)
    assert after != before
    assert levels(after) == 200
    (tmp_path / "other.json").write_text("{}")  # nothing reads it
    assert TorchModule.refer(options) == after


def test_a_file_that_only_running_the_code_reveals_is_refused_until_it_is_declared(tmp_path: Path) -> None:
    options = reading(tmp_path, BUILT)
    with pytest.raises(
        InputError,
        match=r"set\.json, which is no part .*files = \[\"inner/set\.json\"\] or, .* files = \[\"inner\"\]",
    ):
        TorchModule.open(TorchModule.refer(options), "cpu")
    for files in (["inner/set.json"], ["inner"], "inner"):
        declared = {**options, "files": files}
        ref = TorchModule.refer(declared)
        assert levels(ref) == 100
        (tmp_path / "inner" / "set.json").write_text('{"level": 7}')
        assert levels(TorchModule.refer(declared)) == 7
        assert TorchModule.refer(declared) != ref
        (tmp_path / "inner" / "set.json").write_text('{"level": 100}')
    with pytest.raises(InputError, match=r"names 'no\.json', which is missing"):
        TorchModule.refer({**options, "files": ["no.json"]})


def test_a_file_read_while_sampling_is_refused_and_one_the_model_wrote_is_not(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("12")
    late = '(HERE / "".join(("sec", "ret"))).read_text()'
    model = TorchModule.open(TorchModule.refer(reading(tmp_path, late=late)), "cpu")
    with pytest.raises(InputError, match="secret, which is no part of the model's name"):
        model.sample(1, np.random.default_rng(0))
    cache = 'p = HERE / ("cac" + "he"); p.write_text("1"); p.read_text()'
    assert levels(TorchModule.refer(reading(tmp_path, late=cache))) == 100
    assert (tmp_path / "secret").read_text() == "12", "only the user's code is watched"


def test_a_library_on_the_search_path_may_read_its_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packages that PYTHONPATH, a .pth file or the machine's own folder brings are no part of a model either."""
    library = tmp_path / "packages"
    (library / "some-1.0.dist-info").mkdir(parents=True)
    (library / "some-1.0.dist-info" / "METADATA").write_text("Name: some")
    (model := tmp_path / "model").mkdir()
    late = f'pathlib.Path("{library}/some-1.0.dist-info/METADATA").read_text()'
    options = reading(model, late=late)
    with pytest.raises(InputError, match="METADATA, which is no part of the model's name"):
        levels(TorchModule.refer(options))
    monkeypatch.syspath_prepend(str(library))
    reads._machines_own.cache_clear()
    assert levels(TorchModule.refer(options)) == 100
    monkeypatch.undo()
    reads._machines_own.cache_clear()


FLOATS = SOURCE.replace(
    "return image_rows(np.full((n, 4, 4, 1), int(self.mean[0]), np.uint8))",
    "return np.ones((n, 3, 4, 4)) / 2",
)


def test_a_wrong_return_is_told_before_the_run(tmp_path: Path) -> None:
    options = written(tmp_path, FLOATS)
    with pytest.raises(
        InputError, match=r"was tried: sample returned float64 from 0\.5 to 0\.5.*pixel_range"
    ):
        TorchModule.describe(TorchModule.refer(options))
    ref = TorchModule.refer({**options, "pixel_range": "0..1"})
    assert TorchModule.describe(ref)[0].modality == "image"
    assert levels(ref) == 128
    assert levels(TorchModule.refer({**options, "pixel_range": "-1..1"})) == 191
    assert TorchModule.refer({**options, "pixel_range": [0, 1]}) == ref
    numbers = written(tmp_path, FLOATS.replace('"image"', '"image"\n    pixel_range = (0, 1)', 1))
    assert levels(TorchModule.refer(numbers)) == 128
    declared = written(tmp_path, FLOATS.replace('"image"', '"image"\n    pixel_range = "0..1"', 1))
    assert levels(TorchModule.refer(declared)) == 128
    wrong = written(tmp_path, FLOATS.replace('"image"', '"image"\n    pixel_range = (0, 2)', 1))
    with pytest.raises(
        InputError, match=r"says pixel_range = \(0, 2\)\. Accepted: -1\.\.1, 0\.\.1, 0\.\.255"
    ):
        TorchModule.describe(TorchModule.refer(wrong))


def test_samples_that_cannot_be_drawn_again_are_told_before_the_run(tmp_path: Path) -> None:
    drawn = "        import torch\n        return (torch.rand(n, 3, 4, 4) * 255).to(torch.uint8)"
    source = SOURCE.replace(
        "        return image_rows(np.full((n, 4, 4, 1), int(self.mean[0]), np.uint8))", drawn
    )
    assert source != SOURCE
    with pytest.raises(InputError, match=r"drew other examples from the same rng.*manual_seed"):
        TorchModule.describe(TorchModule.refer(written(tmp_path, source)))
    seeded = "generator=torch.Generator().manual_seed(int(rng.integers(1 << 62)))"
    TorchModule.describe(
        TorchModule.refer(written(tmp_path, source.replace("(n, 3, 4, 4)", f"(n, 3, 4, 4, {seeded})")))
    )
    own = source.replace("        import torch\n", "        import torch\n        torch.manual_seed(0)\n")
    with pytest.raises(InputError, match=r"drew the same examples from every rng.*seed of its own"):
        TorchModule.describe(TorchModule.refer(written(tmp_path, own)))
    two = "rng.integers(0, 2, (n, 1, 1, 1)).astype(np.uint8) * np.ones((1, 4, 4, 3), np.uint8)"
    TorchModule.describe(TorchModule.refer(written(tmp_path, source.replace(drawn, f"        return {two}"))))
    said = source.replace('family = "constant"', 'family = "constant"\n    deterministic = False')
    assert not TorchModule.describe(TorchModule.refer(written(tmp_path, said)))[0].deterministic


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (
            "log_likelihood(self, rows): return 1.0",
            r"log_likelihood was asked about 2 and returned float; .* shape \(2,\)",
        ),
        ("log_likelihood(self, rows): return np.ones((2, 1))", ""),
        (
            "likelihood_bound(self, rows, rng): return np.ones(3)",
            r"shape \(3,\) .*one number for each example",
        ),
        ("denoising_loss(self, rows, level, rng): return None", "returned NoneType"),
        ("realness(self, rows): return np.ones((2, 2))", "not their mean"),
        (
            "encode(self, rows): return np.ones((2, 4, 3, 3))",
            r"shape \(2, values\), as \.flatten\(1\) makes it",
        ),
        ("encode(self, rows): return np.ones((2, 36))", ""),
        (
            "reconstruct(self, rows, rng): return np.ones((2, 3, 4, 4))",
            "reconstruct returned float64 .*pixel_range",
        ),
        ("encode(self, rows): raise ValueError('too few rows')", ""),
    ],
)
def test_every_answer_is_tried_before_the_run(tmp_path: Path, method: str, said: str) -> None:
    source = SOURCE.replace("    def sample(self", f"    def {method}\n\n    def sample(self", 1)
    ref = TorchModule.refer(written(tmp_path, source))
    if not said:
        assert len(TorchModule.describe(ref)[1]) == 2
        return
    with pytest.raises(InputError, match=f"was tried: .*{said}"):
        TorchModule.describe(ref)


def test_a_factory_that_fails_is_told_before_the_run(tmp_path: Path) -> None:
    options = written(tmp_path, SOURCE.replace('state["mean"]', 'state["weight"]'))
    with pytest.raises(InputError, match="raised KeyError: 'weight'"):
        TorchModule.describe(TorchModule.refer(options))
    options = written(tmp_path, SOURCE.replace("n, rng, condition=None", "n"))
    with pytest.raises(InputError, match=r"cannot be called as sample\(n, rng, condition\)"):
        TorchModule.describe(TorchModule.refer(options))


@pytest.mark.parametrize(
    "misbehaves",
    ["while True: pass", "import os; os._exit(3)", "import os; os.kill(os.getpid(), 9)", "1 / 0"],
)
def test_a_model_that_misbehaves_when_tried_is_left_to_the_run(
    tmp_path: Path, misbehaves: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.models.torch_module._SECONDS", 0.5)
    source = SOURCE.replace("        return image_rows", f"        {misbehaves}\n        return image_rows")
    _, offers = TorchModule.describe(TorchModule.refer(written(tmp_path, source)))
    assert offers == {Capability.SAMPLE}


def test_what_a_trial_says_is_passed_on() -> None:
    assert tried(lambda: "said", 60) == "said"
    assert tried(lambda: "", 60) == ""
    assert tried(lambda: "x" * 100_000, 60) == "x" * (1 << 16)
    assert (
        tried(lambda: "a" if torch.ones(300, 300).mm(torch.ones(300, 300))[0, 0] == 300 else "b", 60) == "a"
    )


def test_pipes_devices_and_paths_that_are_none_are_refused_at_once(tmp_path: Path) -> None:
    options = written(tmp_path)
    os.mkfifo(tmp_path / "pipe.safetensors")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "zero.safetensors").symlink_to("/dev/zero")
    TorchModule.refer(options)
    for changes, said in (
        ({"weights": str(tmp_path / "pipe.safetensors")}, "is a named pipe"),
        ({"weights": str(tmp_path / "zero.safetensors")}, "is a device"),
        ({"weights": "x" * 5000}, "file name too long"),
        ({"python_path": "y/" * 3000}, "file name too long"),
        ({"python_path": str(tmp_path / "none")}, "does not exist"),
        ({"factory": "pipe:Flat"}, "no Python module 'pipe'"),
        ({"files": [str(tmp_path / "pipe.safetensors")]}, "is a named pipe"),
    ):
        with pytest.raises(InputError, match=said):
            TorchModule.refer({**options, **changes})


def test_a_pointer_in_place_of_weights_is_named(tmp_path: Path) -> None:
    options = written(tmp_path)
    Path(options["weights"]).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    with pytest.raises(InputError, match=r"w\.safetensors .*is a Git LFS pointer"):
        TorchModule.refer(options)


def test_strings_that_are_no_names_of_files_harm_nothing(tmp_path: Path) -> None:
    odd = ["日" * 250, "a" * 4000, "../w", "/etc/passwd", "~/x", ".", "", "nul\0", "x/" * 120, "\n"]
    options = reading(tmp_path)
    before = TorchModule.refer(options)
    module = tmp_path / f"{options['factory'].split(':')[0]}.py"
    module.write_text(module.read_text() + f"\nODD = {odd!r}\n")
    after = TorchModule.refer(options)
    assert dict(after.options)["files"] == dict(before.options)["files"]


def test_a_packages_own_data_files_are_part_of_it(tmp_path: Path) -> None:
    name = next(_NAMES)
    package = tmp_path / name
    package.mkdir()
    source = READER.replace("NAME", 'path = HERE / "set.json"').replace("LATE", "pass")
    (package / "__init__.py").write_text(source)
    (package / "set.json").write_text('{"level": 3}')
    (package / "notes.txt").write_text("x")
    save_file({"mean": torch.zeros(1)}, tmp_path / "w.safetensors")
    options = {
        "factory": f"{name}:Reader",
        "weights": str(tmp_path / "w.safetensors"),
        "python_path": str(tmp_path),
    }
    ref = TorchModule.refer(options)
    assert levels(ref) == 3
    (package / "notes.txt").write_text("y")
    assert TorchModule.refer(options) == ref
    (package / "set.json").write_text('{"level": 4}')
    assert TorchModule.refer(options) != ref
