"""What a number was computed with: versions and machine facts, nothing that names a person or a secret."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = (
    "generative-audit",
    "numpy",
    "scipy",
    "pyarrow",
    "torch",
    "transformers",
    "tokenizers",
    "scikit-learn",
    "pillow",
    "c2pa-python",
    "cryptography",
    "safetensors",
    "gguf",
)


def environment(device: str) -> dict[str, str]:
    """Return names and versions that a repetition would have to match."""
    facts = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "device": device,
    }
    return {**facts, **libraries()}


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that numbers are computed with, of those that are installed."""
    found: dict[str, str] = {}
    for library in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def best_device() -> str:
    """Return ``cuda`` where an NVIDIA driver answers, else ``cpu``; decided without loading torch."""
    return "cuda" if Path("/dev/nvidiactl").exists() else "cpu"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
