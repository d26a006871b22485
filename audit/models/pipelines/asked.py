"""What a sample is asked for: a label of a table, or a prompt; and the prompts that free samples are drawn for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.core.rows import PREFIX, TEXT, Rows
from audit.formats.files import is_there
from audit.formats.hostile import UnreadableError, shown
from audit.formats.texts import checked, read_text

_MOST_PROMPTS, _MOST_CHARACTERS = 100_000, 10_000


def prompts_in(given: Any) -> tuple[str, ...]:
    """Return the prompts of an option: a list, or a text file with one on each line. Raise InputError."""
    if isinstance(given, str):
        path = Path(given).expanduser()
        if not is_there(path):
            raise InputError(
                f"prompts is '{shown(given)}', which is no file. Name a text file with a prompt on each line."
            )
        try:
            lines = read_text(path, _MOST_PROMPTS * 100).split("\n")
        except UnreadableError as error:
            raise InputError(f"The prompts in '{shown(given)}' cannot be read: {error}.") from None
        given = [line.strip() for line in lines if line.strip()]
    if not isinstance(given, list | tuple) or not given or len(given) > _MOST_PROMPTS:
        raise InputError(
            f"prompts is a list of 1 to {_MOST_PROMPTS:,} texts or a file with one on each line, not {shown(repr(given))}."
        )
    for number, one in enumerate(given, 1):
        try:
            checked(one, _MOST_CHARACTERS)
        except UnreadableError as error:
            raise InputError(f"Prompt {number} cannot be used: {error}.") from None
    return tuple(given)


def labels_asked(
    condition: Rows, n: int, column: str, names: Mapping[str, int], labels: int
) -> list[int | None]:
    """Return the label that each row asks for, None for any.

    A row names it in ``column``, by its number or its name, or in a prompt (``prefix`` or ``text``) that holds one
    name as words. Raise ValueError for a label that is not known and for a prompt that names none or several.
    """
    _as_many(condition, n)
    if column in condition.column_names:
        return [_label(value, names, labels) for value in condition.column(column).to_pylist()]
    for prompts in (PREFIX, TEXT):
        if prompts in condition.column_names and names:
            return [
                None if v is None else _mentioned(str(v), names)
                for v in condition.column(prompts).to_pylist()
            ]
    also = f", or a prompt that names one ('{PREFIX}' or '{TEXT}')" if names else ""
    raise ValueError(
        f"conditions need a column '{column}' with labels{also}; these have {', '.join(condition.column_names)}"
    )


def texts_asked(condition: Rows, n: int, column: str) -> list[str]:
    """Return the prompt of each row: in ``column``, else in ``prefix`` or ``text``; an empty one asks for anything."""
    _as_many(condition, n)
    for name in (column, PREFIX, TEXT):
        if name in condition.column_names:
            return ["" if value is None else str(value) for value in condition.column(name).to_pylist()]
    raise ValueError(
        f"conditions need a column '{column}', '{PREFIX}' or '{TEXT}' with prompts; these have {', '.join(condition.column_names)}"
    )


def _as_many(condition: Rows, n: int) -> None:
    if condition.num_rows != n:
        raise ValueError(f"{n} samples were asked for, and {condition.num_rows} conditions were given")


def _label(value: Any, names: Mapping[str, int], labels: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and value in names:
        return names[value]
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < labels:
        return value
    known = f"the names {', '.join(list(names)[:5])}, … and " if names else ""
    raise ValueError(
        f"there is no label {value!r:.80}; known are {known}the numbers 0 to {labels - 1}. Where labels have other names, give "
        "them in order in [model]: labels = […]; where they are in another column, name it: column = …"
    )


def _mentioned(prompt: str, names: Mapping[str, int]) -> int:
    found = {
        number
        for name, number in names.items()
        if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", prompt, flags=re.IGNORECASE)
    }
    if len(found) != 1:
        raise ValueError(
            f"the prompt {prompt!r:.80} names {len(found) or 'none'} of {len(names)} labels; it must name one"
        )
    return found.pop()


def located(place: Path, prompts: Any) -> str:
    """Return where a model and its prompts are, as one string."""
    file = str(Path(prompts).expanduser().absolute()) if isinstance(prompts, str) else prompts
    return json.dumps({"path": str(place.absolute()), "prompts": file})


def place_in(location: str) -> tuple[Path, Sequence[str] | str | None]:
    """Return where a model and its prompts are from one string."""
    said = json.loads(location)
    return Path(said["path"]), said["prompts"]
