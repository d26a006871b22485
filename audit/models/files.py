"""Files of weights: which formats are opened, and whether the bytes are the ones that were named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.core.identity import Digest, digest_file
from audit.formats.files import require
from audit.formats.hostile import UnreadableError, shown
from audit.formats.tensors import Tensor, tensors_in

_PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz")


def safetensors_file(path: Path) -> Path:
    """Return the path when its name and header are those of a whole safetensors file. Raise InputError with the reason."""
    if path.suffix.lower() in _PICKLES:
        raise InputError(
            f"{shown(path.name)} can be a pickle, and opening a pickle runs whatever code is in it. Convert it where you "
            "trust it: safetensors.torch.save_file(torch.load(old, weights_only=True), new)."
        )
    if path.suffix.lower() != ".safetensors":
        raise InputError(
            f"{shown(path.name)} is not a .safetensors file. Weights are read from safetensors alone."
        )
    header(path)
    return path


def header(path: Path) -> dict[str, Tensor]:
    """Return every tensor's type and shape from the header alone. Raise InputError when it is damaged or cut short."""
    require(path)
    try:
        return tensors_in(path)
    except UnreadableError as error:
        raise InputError(f"{shown(str(path))} {error}.") from None


def load_tensors(path: Path, expected: Digest) -> dict[str, Any]:
    """Return the tensors of a file on the processor. Raise InputError unless its bytes are the expected ones."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_digest(path, expected)
    header(path)
    try:
        tensors: dict[str, Any] = load_file(path, device="cpu")
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(
            f"{shown(str(path))} cannot be opened by safetensors ({error}). Save it again."
        ) from error
    return tensors


def check_digest(path: Path, expected: Digest) -> None:
    """Raise InputError unless the file's bytes are the ones that were named when the audit was planned."""
    try:
        found = digest_file(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if found != expected:
        raise InputError(
            f"{path} has the digest {found}; {expected} was expected. The file was changed or damaged: "
            "restore it, or plan the audit again with the new one."
        )
