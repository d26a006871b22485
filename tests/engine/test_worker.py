"""A worker's pieces are made with one thread, the one that loads torch too."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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
