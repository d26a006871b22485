"""A worker's pieces are made with one thread, the one that loads torch too."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from audit.core.facts import Failed, Made, Task
from audit.core.identity import Digest
from audit.core.recipes import Context, Recipe
from audit.core.references import ModelRef
from audit.core.rows import Matrix
from audit.engine.attempts import OUT_OF_MEMORY
from audit.engine.executors.inline import Inline
from audit.engine.worker import one_thread

_CODE = """
import os, sys
from audit.engine.worker import one_thread
assert "torch" not in sys.modules
with one_thread(), one_thread():
    import torch
    inside = torch.get_num_threads()
between = torch.get_num_threads()
with one_thread():
    again = torch.get_num_threads()
print(inside, again, between == torch.get_num_threads(), between, os.environ.get("OMP_NUM_THREADS"))
"""


@pytest.mark.parametrize("given", [None, "3"])
def test_torch_has_one_thread_even_where_a_piece_loads_it(given: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if given:
        environment["OMP_NUM_THREADS"] = given
    done = subprocess.run(
        [sys.executable, "-c", _CODE], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["1", "1", "True", given or str(os.cpu_count()), str(given)]


def test_a_blas_that_a_piece_loads_begins_with_one_thread() -> None:
    code = (
        "import sys\nimport numpy, torch\nfrom threadpoolctl import threadpool_info\n"
        "from audit.engine.worker import one_thread\nassert 'scipy.linalg' not in sys.modules\n"
        "with one_thread():\n    import scipy.linalg\n    print({pool['num_threads'] for pool in threadpool_info()})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{1}"


def test_a_model_that_empties_the_environment_ends_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with one_thread():
        os.environ.clear()
    os.environ.update(before)


class Hungry:
    """A model on a device that is full with more than ``room`` rows at once."""

    def __init__(self, room: int) -> None:
        self.room, self.batch_scale = room, 1.0
        self.batches: list[int] = []

    def squares(self, rows: int) -> Matrix:
        import torch

        batch = max(1, int(8 * self.batch_scale))
        self.batches.append(batch)
        if batch > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        parts = [
            np.arange(i, min(rows, i + batch), dtype=np.float64)[:, None] ** 2 for i in range(0, rows, batch)
        ]
        return np.concatenate(parts)


@dataclass(frozen=True)
class Squares(Recipe[Matrix]):
    kind: ClassVar[str] = "tests.squares"
    ref: ModelRef

    def make(self, context: Context) -> Matrix:
        return np.asarray(context.model(self.ref).squares(19))


def squares_by(model: Hungry, folder: Path) -> Made | Failed:
    ref, executor = ModelRef("hungry", Digest("00" * 20), ()), Inline()
    executor._bench.models[ref] = model
    executor.submit(Task(Squares(ref), 0, (), str(folder)))
    (outcome,) = executor.completed()
    return outcome


def test_a_full_device_halves_the_batch_and_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    ample, tight = Hungry(8), Hungry(2)
    whole, halved = squares_by(ample, tmp_path), squares_by(tight, tmp_path)
    assert (ample.batches, tight.batches) == ([8], [8, 4, 2])
    assert isinstance(whole, Made)
    assert isinstance(halved, Made)
    assert halved.digest == whole.digest


def test_a_device_that_stays_full_is_a_failure_that_says_so(tmp_path: Path) -> None:
    failed = squares_by(Hungry(1), tmp_path)
    assert isinstance(failed, Failed)
    assert (failed.attempts, failed.error) == (3, OUT_OF_MEMORY)
