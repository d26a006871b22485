"""Reads the options of one table of a spec and checks their names, types and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.core.errors import InputError, nearest

_HOMES = {
    **dict.fromkeys(
        ("groups", "metadata", "train", "holdout", "train_field", "holdout_field", "randomised"), "[data]"
    ),
    **dict.fromkeys(("adapter", "asset", "python_path"), "[model]"),
    **dict.fromkeys(("executor", "workers", "device", "time_limit", "address"), "[run]"),
    **dict.fromkeys(("criteria", "at_most", "at_least", "metric"), "[policy]"),
    **dict.fromkeys(("seed", "samples", "shard_size"), "the top of the spec, above the first table"),
}
"""In which table of a spec a key stands, for keys that mean the same to every plugin."""


def belongs(name: str, here: str) -> str:
    """Return a sentence and a space that say where a key belongs when that is elsewhere, else nothing.

    >>> belongs("groups", "[model]")
    "'groups' belongs in [data]. "
    """
    home = _HOMES.get(name, here)
    return "" if home == here else f"'{name}' belongs {'in' if home[0] == '[' else 'to'} {home}. "


def as_written(value: object) -> str:
    """Return a value as a spec writes it: booleans are lower case in TOML.

    >>> as_written(True), as_written(["a", False]), as_written(0.5)
    ('true', "['a', false]", '0.5')
    """
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return f"[{', '.join(map(as_written, value))}]"
    return repr(value)


@dataclass(frozen=True, slots=True)
class OptionTable:
    """Options given to an adapter or a dataset, read with their types checked.

    ``owner`` names in error messages what takes them, such as "the
    dataset 'digits'". A wrong name, type or value raises InputError.

    >>> OptionTable.of("the dataset 'digits'", {"seeed": 1}, ["seed", "train"])
    Traceback (most recent call last):
    audit.core.errors.InputError: The dataset 'digits' has no option 'seeed'. Did you mean 'seed'? ...
    """

    owner: str
    values: Mapping[str, Any]

    @classmethod
    def of(cls, owner: str, options: Mapping[str, Any], accepted: Iterable[str]) -> OptionTable:
        """Return the options once every name among them is known to be accepted."""
        names = list(accepted)
        for name in options:
            if name not in names:
                table = "[data]" if "dataset" in owner else "[model]"
                raise InputError(
                    f"{_first_upper(owner)} has no option '{name}'. {belongs(name, table)}{nearest(name, names)}"
                )
        return cls(owner[:1].lower() + owner[1:], dict(options))

    def text(self, name: str, default: str | None = None) -> str:
        """Return a string; without a default the option must be given."""
        value = self.values.get(name, default)
        if value is None:
            raise InputError(
                f"{_first_upper(self.owner)} needs the option '{name}'. Add {name} = \"…\" to its table."
            )
        if not isinstance(value, str) or not value:
            raise InputError(f"The option '{name}' of {self.owner} is {as_written(value)}; give a string.")
        return value

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number between ``least`` and ``most``."""
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InputError(
                f"The option '{name}' of {self.owner} is {as_written(value)}; give a whole number from {least:,} to {most:,}."
            )
        return value

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """Return a number between ``least`` and ``most``; NaN is refused."""
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise InputError(
                f"The option '{name}' of {self.owner} is {as_written(value)}; give a number from {least:g} to {most:g}."
            )
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(name, default)
        if not isinstance(value, bool):
            raise InputError(
                f"The option '{name}' of {self.owner} is {as_written(value)}; give true or false."
            )
        return value

    def choice(self, name: str, default: str, accepted: Iterable[str]) -> str:
        """Return one of the accepted words."""
        value = self.text(name, default)
        if value not in (words := list(accepted)):
            raise InputError(f"The option '{name}' of {self.owner} is '{value}'. {nearest(value, words)}")
        return value

    def names(self, name: str) -> tuple[str, ...]:
        """Return distinct names from a list or from a string with commas; none when the option is not given."""
        value = self.values.get(name, [])
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",")]
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) and v for v in value):
            raise InputError(
                f"The option '{name}' of {self.owner} is {as_written(value)}; give names with commas between them."
            )
        if len(set(value)) != len(value):
            raise InputError(
                f"The option '{name}' of {self.owner} names something twice: {as_written(value)}."
            )
        return tuple(value)

    def path(self, name: str) -> Path | None:
        """Return an existing path, absolute, or None when the option is not given."""
        if name not in self.values:
            return None
        given = self.text(name)
        try:
            path = Path(given).expanduser().absolute()
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"The option '{name}' of {self.owner} is '{path}', which does not exist."
            ) from None
        except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, an unknown user's home
            why = error.strerror if isinstance(error, OSError) else error
            raise InputError(
                f"The option '{name}' of {self.owner} is '{given[:60]}', which is no path: {why}."
            ) from error
        return path


def _first_upper(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
