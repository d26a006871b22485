"""Which label a row of conditions asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from audit.core.rows import PREFIX, TEXT, Rows


def asked_for(condition: Rows, n: int, column: str, names: Sequence[str], model: str) -> list[int | None]:
    """Return the number of the label that each row asks for, None where it asks for none.

    A row names it in ``column``, or in a prompt (``prefix`` or ``text``) that holds the name as a word, such as
    "a portrait of a nurse". Raise ValueError for a label that is not known and for a prompt that holds
    none or several.
    """
    if condition.num_rows != n:
        raise ValueError(f"{n} samples were asked for, and {condition.num_rows} conditions were given")
    if column in condition.column_names:
        return [_label(value, names, column, model) for value in condition.column(column).to_pylist()]
    for prompts in (PREFIX, TEXT):
        if prompts in condition.column_names:
            return [
                None if value is None else _mentioned(str(value), names, model)
                for value in condition.column(prompts).to_pylist()
            ]
    raise ValueError(
        f"'{model}' takes conditions with a column '{column}', '{PREFIX}' or '{TEXT}'; these have "
        f"{', '.join(condition.column_names)}"
    )


def _label(value: object, names: Sequence[str], column: str, model: str) -> int | None:
    if value is None:
        return None
    if value not in names:
        raise ValueError(f"'{model}' knows no {column} {value!r:.80}; it knows {', '.join(names)}")
    return list(names).index(str(value))


def _mentioned(prompt: str, names: Sequence[str], model: str) -> int:
    """Return the one label whose name is in the prompt; "T-shirt/top" answers to either of its halves."""
    found = set()
    for number, name in enumerate(names):
        spelt = "|".join(re.escape(part) for part in (name, *name.split("/")))
        if re.search(rf"(?<![\w-])(?:{spelt})(?![\w-])", prompt, flags=re.IGNORECASE):
            found.add(number)
    if len(found) != 1:
        raise ValueError(
            f"the prompt {prompt!r:.80} names {len(found) or 'none'} of what '{model}' can draw: {', '.join(names)}"
        )
    return found.pop()
