"""Where the splits of a dataset lie: the options that name them, and how a reference remembers them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from audit.core.errors import InputError
from audit.core.options import OptionTable
from audit.core.references import DataRef
from audit.formats.files import reason
from audit.formats.hostile import printable


def folders_of(table: OptionTable) -> dict[str, Path]:
    """Return the place of each split: ``path`` is a holdout alone; ``train`` and ``holdout`` say which is which."""
    path, train, holdout = (table.path(name) for name in ("path", "train", "holdout"))
    if path is not None and (train is not None or holdout is not None):
        raise InputError(
            f"{table.owner} has 'path' beside 'train' or 'holdout'. Give path, or train and holdout."
        )
    if path is not None:
        return {"holdout": path}
    found = {name: place for name, place in (("train", train), ("holdout", holdout)) if place is not None}
    if not found:
        raise InputError(f'{table.owner} needs a place. Add path = "…", or train = "…" and holdout = "…".')
    if train is not None and holdout is not None:
        one, other = train.resolve(), holdout.resolve()
        if one.is_relative_to(other) or other.is_relative_to(one):
            raise InputError(
                f"{table.owner} has 'train' and 'holdout' that overlap: {printable(one)} and {printable(other)}. "
                "Splits must be disjoint."
            )
    return found


def randomised(table: OptionTable) -> bool:
    """Return whether the user says that chance alone decided between two splits; with one there is nothing to say."""
    said = table.flag("randomised", default=False)
    if said and not {"train", "holdout"} <= set(table.values):
        raise InputError(
            f"{table.owner} has 'randomised', which speaks of two splits. Give train and holdout."
        )
    return said


def notes_on(splits: Iterable[str]) -> tuple[str, ...]:
    """Say what a missing split means."""
    if "train" in splits:
        return ()
    return ("Which examples the model was trained on is unknown, so there is no split 'train'.",)


def placed(places: Mapping[str, Path]) -> str:
    """Spell places for the ``location`` of a reference, which is no part of its identity."""
    return json.dumps({name: str(path.absolute()) for name, path in places.items()})


def places(ref: DataRef) -> dict[str, Path]:
    """Read back what :func:`placed` wrote."""
    return {name: Path(path) for name, path in json.loads(ref.location).items()}


def stamp_of(paths: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Return what the system says of each file that changes with every write."""
    found = []
    for path in paths:
        try:
            known = path.stat()
        except OSError as error:
            raise InputError(f"{printable(path)} cannot be read: {reason(error, path)}.") from error
        found.append((str(path), known.st_size, known.st_ctime_ns))
    return found
