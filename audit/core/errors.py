"""The three kinds of error, and the sentence that names the nearest accepted name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """What the user gave cannot be used: a spec, a path, an option, a store. Exit code 2, nothing written.

    The message says what happened, what was found and what to do about it.
    """


class PluginError(InputError):
    """A plugin does not exist, cannot be loaded, or breaks its contract."""


class UndefinedError(Exception):
    """A statistic has no value for this input, such as a covariance of one row."""


def nearest(found: str, names: Iterable[str]) -> str:
    """Return a sentence naming the accepted names, the closest first.

    >>> nearest("quality.frechett", ["quality.kid", "quality.frechet"])
    "Did you mean 'quality.frechet'? Accepted: quality.frechet, quality.kid."
    >>> nearest("zzz", [])
    'Nothing is accepted here.'
    """
    accepted = sorted(names)
    if not accepted:
        return "Nothing is accepted here."
    listing = f"Accepted: {', '.join(accepted)}."
    close = difflib.get_close_matches(found, accepted, n=1, cutoff=0.5)
    return f"Did you mean '{close[0]}'? {listing}" if close else listing
