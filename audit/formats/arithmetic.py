"""In which number format this machine multiplies matrices fastest, and how it is kept from rounding more than asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

FORMATS = ("auto", "float32", "bfloat16")
"""What the option ``arithmetic`` of a model takes."""


@cache
def _processor() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def multiplies_tiles() -> bool:
    """Say whether this machine has a GPU or AMX tiles, without importing torch."""
    return Path("/dev/nvidia0").exists() or "amx_bf16" in _processor()


def fastest() -> str:
    """Return ``bfloat16`` or ``float32``, from what the machine says of itself; torch is not imported.

    bfloat16 wins on a GPU, with AMX tiles, and on AMD's processors with AVX512-BF16 (measured on Zen 5: 500 against
    100 to 200 GFLOP/s a core; Zen 4 was not measured). On Intel's processors with AVX512-BF16 but without AMX it loses
    (175 against 330 on two cores).
    """
    full_width = "AuthenticAMD" in _processor() and "avx512_bf16" in _processor()
    return "bfloat16" if multiplies_tiles() or full_width else "float32"


@contextmanager
def exactly() -> Iterator[None]:
    """Ask a network inside: no gradients, and on a GPU no TF32, which would keep three digits of a float32 product."""
    import torch

    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with torch.inference_mode(), exact:
        yield
