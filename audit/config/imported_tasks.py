"""What the command says of the tasks of other tools: the dimension where each stands, and the range of its scores."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from audit.core.errors import InputError, nearest
from audit.core.evaluators import Dimension

_KNOWN = (
    ("garak.leakreplay.*", Dimension.PRIVACY),  # cloze and completion of texts it may have been trained on
    ("garak.propile.*", Dimension.PRIVACY),  # personal data of people in the training data
    ("garak.divergence.*", Dimension.PRIVACY),  # training data by repeating a word
    ("*.bbq*", Dimension.FAIRNESS),
    ("*.bold*", Dimension.FAIRNESS),
    ("*.crows_pairs*", Dimension.FAIRNESS),
    ("*.winogender*", Dimension.FAIRNESS),
    ("*.simple_cooccurrence_bias*", Dimension.FAIRNESS),
)

_LISTED = 5
"""How many names an error lists, the nearest first."""


def parse_dimensions(said: Sequence[str]) -> tuple[tuple[str, Dimension], ...]:
    """Return pattern and dimension of each ``PATTERN=DIMENSION``. Raises InputError with the nearest name."""
    found = []
    for one in said:
        pattern, equals, name = one.rpartition("=")
        if not equals or not pattern:
            raise InputError(
                f"--dimension takes PATTERN=DIMENSION, such as 'garak.leakreplay.*=privacy', not '{one}'."
            )
        if name not in set(Dimension):
            raise InputError(
                f"--dimension {one}: there is no dimension '{name}'. {nearest(name, list(Dimension))}"
            )
        found.append((pattern, Dimension(name)))
    return tuple(found)


def dimension_of(task: str, said: Sequence[tuple[str, Dimension]] = ()) -> str:
    """Return the dimension of ``TOOL.TASK``: the first pattern of the command that fits, then the table, else quality.

    >>> dimension_of("lm_eval.crows_pairs_english"), dimension_of("garak.promptinject.HijackKillHumans")
    ('fairness', 'quality')
    """
    return next(
        (d.value for pattern, d in (*said, *_KNOWN) if fnmatchcase(task, pattern)), Dimension.QUALITY.value
    )


def parse_ranges(said: Sequence[str]) -> tuple[tuple[str, float, float], ...]:
    """Return pattern, least and most of each ``PATTERN=LEAST:MOST``. Raises InputError with an example."""
    found = []
    for one in said:
        pattern, equals, ends = one.rpartition("=")
        try:
            least, most = map(float, ends.split(":"))
        except ValueError:
            least = most = math.nan
        if not (pattern and equals and math.isfinite(least) and math.isfinite(most) and least < most):
            raise InputError(
                f"--range takes PATTERN=LEAST:MOST, such as 'inspect.essay.*=1:10', not '{one}'."
            )
        found.append((pattern, least, most))
    return tuple(found)


def range_of(metric: str, said: Sequence[tuple[str, float, float]]) -> tuple[float, float] | None:
    """Return the range of a score of ``TOOL.TASK.METRIC`` by the first pattern that fits, None where none does."""
    return next(((least, most) for pattern, least, most in said if fnmatchcase(metric, pattern)), None)


def refuse_idle(option: str, patterns: Iterable[str], names: Sequence[str], what: str) -> None:
    """Raise InputError for the first pattern that fits none of ``names``, with the names there are; ``what`` is their noun."""
    for pattern in patterns:
        if any(fnmatchcase(name, pattern) for name in names):
            continue
        near = difflib.get_close_matches(pattern, names, n=_LISTED, cutoff=0)
        more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
        raise InputError(
            f"{option}: no {what} of the files fits the pattern '{pattern}'. They have {', '.join(near)}{more}."
        )
