"""Models in the local Hugging Face cache, by their hub id."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from audit.core.errors import InputError
from audit.formats.files import is_there
from audit.formats.hostile import shown


def cached(hub: str, revision: str, needed: Sequence[str] = ("config.json",)) -> Path:
    """Return the folder of a hub id in the local cache, which holds one of the files ``needed``. Raise InputError.

    Nothing is ever downloaded.
    """
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    if (
        ".." in hub
        or hub.startswith("/")
        or hub.count("/") > 1
        or ".." in revision
        or revision.startswith("/")
    ):
        raise InputError(f"'{shown(hub)}' is not a hub id; one looks like 'organisation/name'.")
    folder = cache / ("models--" + hub.replace("/", "--"))
    reference = folder / "refs" / revision
    try:
        commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The cache of '{shown(hub)}' is damaged: refs/{shown(revision)} cannot be read."
        ) from error
    snapshot = folder / "snapshots" / commit
    if ".." in commit or "/" in commit or not any(is_there(snapshot / n) for n in needed):
        raise InputError(
            f"'{shown(hub)}' ({shown(revision)}) is not in the local Hugging Face cache, and an audit downloads nothing. "
            f"Use 'audit fetch' for a model of the catalogue, or run 'hf download {shown(hub)}' beforehand."
        )
    return snapshot
