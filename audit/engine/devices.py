"""Which device an audit runs on, and how large its first batches are: both from the memory that is free."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

ROOM = 2.0
"""How many times its weights a model needs in the free memory of a GPU: once to hold them, once more to compute."""
_QUARTER = 0.25
"""The share of what is free, once a model is opened, that its batches are made for: other workers may want as much."""
_MOST = 16.0
"""The largest first batch, as a multiple of the batch on a processor."""
_ASKS_WITHIN = 120.0
"""Seconds in which PyTorch has to say what GPUs there are."""
_ASK = (
    "import json, torch\n"
    "print(json.dumps([torch.cuda.mem_get_info(i) for i in range(torch.cuda.device_count())]))"
)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU by the number that PyTorch gives it, and its memory in bytes."""

    number: int
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """A device, why it is that one, and how many workers it has room for (0: memory sets no limit)."""

    device: str
    why: str
    workers: int = 0


def gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that PyTorch sees, none where it sees none. A process of its own asks, so this one does not load torch."""
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-P", "-c", _ASK], capture_output=True, timeout=_ASKS_WITHIN, check=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        return tuple(Gpu(number, int(free), int(total)) for number, (free, total) in enumerate(found))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, IndexError):
        return ()


def chosen(weights: int, *, one_name: bool, source: Callable[[], Sequence[Gpu]] = gpus) -> Chosen:
    """Choose the GPU with the most free memory if that holds ``ROOM`` times the ``weights`` (bytes), else the processor.

    With ``one_name`` every GPU is called ``cuda``, as on a cluster that hands them out itself.

    >>> chosen(14 << 30, one_name=False, source=lambda: [Gpu(0, 9 << 30, 80 << 30), Gpu(1, 60 << 30, 80 << 30)]).device
    'cuda:1'
    """
    found = source()
    if not found:
        return Chosen("cpu", "there is an NVIDIA driver, and PyTorch sees no GPU")
    best = max(found, key=lambda gpu: (gpu.free, -gpu.number))
    needs = int(weights * ROOM)
    takes = f"the model's weights of {_size(weights)} need {_size(needs)}"
    if needs > best.free:
        return Chosen("cpu", f"{takes} on a GPU, and the freest has {_size(best.free)}")
    room = best.free // needs if needs else 0
    device = "cuda" if one_name else f"cuda:{best.number}"
    return Chosen(device, f"{takes} and it has {_size(best.free)} free", min(room, os.cpu_count() or 1))


def weights_of(parameters: int, options: Sequence[tuple[str, Any]]) -> int:
    """Return how many bytes a model's weights take once opened: four a parameter, two where it computes in a format of two.

    >>> weights_of(7_000, [("arithmetic", "bfloat16"), ("dtype", "bfloat16")]), weights_of(7_000, [])
    (14000, 28000)
    """
    said = dict(options)
    computes = said.get("arithmetic", said.get("dtype", "float32"))
    return parameters * (2 if computes in ("bfloat16", "float16") else 4)


class Memory(Protocol):
    """The memory of a device, in bytes."""

    def free(self) -> int: ...
    def peak(self, call: Callable[[], Any]) -> int:
        """Return how much more than before is held at most while ``call`` runs."""
        ...


@dataclass(frozen=True, slots=True)
class CudaMemory:
    """The memory of a GPU, as PyTorch counts it."""

    device: str

    def free(self) -> int:
        import torch

        return int(torch.cuda.mem_get_info(self.device)[0])

    def peak(self, call: Callable[[], Any]) -> int:
        import torch

        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        call()
        torch.cuda.synchronize(self.device)
        return int(torch.cuda.max_memory_allocated(self.device) - before)


def memory_of(device: str) -> Memory | None:
    """Return the memory of a GPU; None for the processor, whose batches are as they are."""
    return CudaMemory(device) if device.startswith("cuda") else None


def first_scale(model: Any, memory: Memory | None) -> float:
    """Return how large the first batch of an opened model is, as a multiple of its usual one.

    A model that can tell has ``bytes_at_once(peak)``: the bytes that a usual batch takes beside the weights, stated or
    measured with ``peak`` on a small one. A quarter of the free memory is made use of. Where nothing is known, 1.
    """
    tell = getattr(model, "bytes_at_once", None)
    if memory is None or tell is None:
        return 1.0
    try:
        takes = int(tell(memory.peak))
        return min(_MOST, max(1 / _MOST, _QUARTER * memory.free() / takes)) if takes > 0 else 1.0
    except (
        Exception
    ):  # a model that cannot be tried has its usual batch, which is halved where it does not fit
        return 1.0


def scale_at(attempt: int, first: float) -> float:
    """Return the batch of an attempt: the first as planned, later ones from the usual batch down, so that three are enough.

    >>> [scale_at(attempt, 16.0) for attempt in range(3)], [scale_at(attempt, 0.5) for attempt in range(3)]
    ([16.0, 0.5, 0.25], [0.5, 0.25, 0.125])
    """
    return (first if attempt == 0 else min(1.0, first)) * 0.5**attempt


def _size(n: int) -> str:
    """Say how many bytes.

    >>> _size(14_000_000_000), _size(3_000_000)
    ('14.0 GB', '3.0 MB')
    """
    return f"{n / 1e9:.1f} GB" if n >= 1e8 else f"{n / 1e6:.1f} MB"
