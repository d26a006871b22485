"""Device and batch are chosen from memory, here from memory that is made up; what needs a real GPU is skipped without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.core.identity import Digest
from audit.core.references import ModelRef
from audit.core.rows import text_rows
from audit.engine import worker
from audit.engine.devices import ROOM, Gpu, chosen, first_scale, gpus, memory_of
from audit.engine.worker import Workbench
from audit.models.transformers import CausalLM
from tests.models.serving import echoing, serving

GB = 10**9
TWO = (Gpu(0, 20 * GB, 80 * GB), Gpu(1, 60 * GB, 80 * GB))


@dataclass
class Made:
    """Memory that is made up: ``held`` is what a call takes, by the number of the call."""

    left: int
    held: list[int] = field(default_factory=list)

    def free(self) -> int:
        return self.left

    def peak(self, call: Callable[[], Any]) -> int:
        call()
        return self.held.pop(0)


@pytest.mark.parametrize(
    ("weights", "device", "workers"),
    [(14, "cuda:1", 2), (30, "cuda:1", 1), (31, "cpu", 0)],
)
def test_the_freest_gpu_has_to_hold_the_weights_and_as_much_again(
    weights: int, device: str, workers: int
) -> None:
    found = chosen(weights * GB, one_name=False, source=lambda: TWO)
    assert ROOM == 2.0
    assert (found.device, min(found.workers, 2)) == (device, workers)
    assert f"need {weights * 2}.0 GB" in found.why
    assert "60.0 GB" in found.why


def test_a_driver_without_a_gpu_is_no_gpu() -> None:
    found = chosen(1, one_name=False, source=lambda: ())
    assert (found.device, "PyTorch sees no GPU" in found.why) == ("cpu", True)


ENDPOINT = """
samples = 4
[model]
adapter = "endpoint"
url = "{url}"
prompts = ["a"]
[data]
use = "text"
holdout = "holdout.jsonl"
[[evaluators]]
name = "quality.samples"
"""


def test_a_plan_says_where_it_runs_and_why_and_which_of_two_gpus_is_in_no_key(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is one that does not repeat itself, so that it counts whether a GPU made its samples."""
    monkeypatch.setattr("audit.config.assemble.best_device", lambda: "cuda")
    (tmp_path / "holdout.jsonl").write_text('{"text": "a b"}\n{"text": "c d"}\n')
    plans = []
    with serving(echoing) as server:
        (tmp_path / "spec.toml").write_text(ENDPOINT.format(url=server.url))
        for there in (TWO, TWO[:1], ()):
            choose = partial(chosen, source=lambda there=there: there)
            monkeypatch.setattr("audit.config.assemble.chosen", choose)
            said = cli("plan", tmp_path / "spec.toml", "--store", "nowhere", "--format", "json")
            plans.append(json.loads(said.out))
        said = cli("plan", tmp_path / "spec.toml", "--store", "nowhere").out
    assert [plan["device"] for plan in plans] == ["cuda:1", "cuda:0", "cpu"]
    assert plans[0]["key"] == plans[1]["key"] != plans[2]["key"]
    assert "device: cpu: there is an NVIDIA driver, and PyTorch sees no GPU" in " ".join(said.split())


def test_the_first_batch_is_a_quarter_of_what_is_free_within_bounds() -> None:
    @dataclass
    class Stated:
        takes: int

        def bytes_at_once(self, peak: Callable[[Callable[[], Any]], int]) -> int:
            return self.takes

    class Broken:
        def bytes_at_once(self, peak: Callable[[Callable[[], Any]], int]) -> int:
            raise MemoryError

    memory = Made(80)
    assert [first_scale(Stated(n), memory) for n in (5, 10, 20, 40, 1, 10_000)] == [
        4.0,
        2.0,
        1.0,
        0.5,
        16.0,
        1 / 16,
    ]
    assert (
        first_scale(Stated(5), None) == first_scale(Broken(), memory) == first_scale(object(), memory) == 1.0
    )
    assert memory_of("cpu") is None


def test_a_worker_sets_the_batch_it_found_room_for_and_less_at_each_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Model:
        batch_scale = 1.0

        def bytes_at_once(self, peak: Callable[[Callable[[], Any]], int]) -> int:
            return 2 * peak(lambda: None)

    opened = Model()
    adapter = type("Adapter", (), {"open": staticmethod(lambda ref, device: opened)})
    monkeypatch.setattr(
        worker, "catalogue", lambda group: type("C", (), {"load": staticmethod(lambda n: adapter)})
    )
    monkeypatch.setattr(worker, "memory_of", lambda device: Made(64, [1]))
    bench, ref, seen = Workbench(device="cuda"), ModelRef("any", Digest("00" * 20)), []
    for attempt in range(3):
        bench.attempt = attempt
        bench.model(ref)
        seen.append(opened.batch_scale)
    assert seen == [8.0, 0.5, 0.25], "measured once: Made knows one peak"


def test_a_language_model_measures_an_eighth_of_a_batch_and_its_numbers_do_not_depend_on_it(
    tiny_lm: Path,
) -> None:
    model = CausalLM.open(CausalLM.refer({"path": str(tiny_lm), "max_new_tokens": 8}), "cpu")
    memory = Made(16 * 8 * 700, [300, 700])
    rows = text_rows([f"the nurse said {'word ' * (i % 7)}" for i in range(90)])
    usual = model.log_likelihood(rows)
    model.batch_scale = first_scale(model, memory)
    assert model.batch_scale == 4.0, "a quarter of the memory, and the larger of both peaks"
    np.testing.assert_allclose(model.log_likelihood(rows), usual, atol=1e-3)
    drawn = model.sample(40, np.random.default_rng(3))
    model.batch_scale = 1.0
    assert drawn.equals(model.sample(40, np.random.default_rng(3)))


def test_gpus_are_those_that_pytorch_sees() -> None:
    torch = pytest.importorskip("torch")
    assert len(gpus()) == torch.cuda.device_count()


@pytest.mark.skipif(
    not gpus(), reason="no GPU here: batches and devices chosen from real memory are unchecked"
)
def test_a_real_gpu_has_room_for_a_small_model_and_gives_the_numbers_of_the_processor(tiny_lm: Path) -> None:
    found = chosen(1 << 20, one_name=False)
    assert found.device.startswith("cuda:")
    options = {"path": str(tiny_lm), "max_new_tokens": 8, "dtype": "float32", "arithmetic": "float32"}
    ref = CausalLM.refer(options)
    there, here = CausalLM.open(ref, found.device), CausalLM.open(ref, "cpu")
    there.batch_scale = first_scale(there, memory_of(found.device))
    assert there.batch_scale > 1.0
    rows = text_rows([f"the nurse said {'word ' * (i % 7)}" for i in range(90)])
    np.testing.assert_allclose(there.log_likelihood(rows), here.log_likelihood(rows), atol=1e-3)
