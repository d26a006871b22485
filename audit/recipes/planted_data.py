"""Personal data that nobody has, put into texts on purpose: how many of them the patterns find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Rng, Rows
from audit.recipes.personal_data import NAMES, luhn, mod97, personal_data

_CARRIER = "This is what stands around it, before and behind, in a text that says nothing else."


@dataclass(frozen=True, slots=True)
class Planted:
    """Per kind of personal data: how many were planted, how many of those were found, and how many false ones were."""

    planted: NDArray[np.int64]
    found: NDArray[np.int64]
    false: NDArray[np.int64]


@dataclass(frozen=True)
class PlantData(Recipe[Planted]):
    """Puts ``each`` made-up data of each kind into texts of ``source``, written in several ways, and as many with a wrong checksum."""

    kind: ClassVar[str] = "planted-data"
    source: Recipe[Rows]
    each: int
    seed: int

    @property
    def label(self) -> str:
        return "planted personal data"

    def make(self, context: Context, source: Shards[Rows]) -> Planted:
        rng = context.rng()
        texts = [text for rows in source for text in rows.column("text").to_pylist() if text] or [_CARRIER]
        planted, found, false = (np.zeros(len(NAMES), np.int64) for _ in range(3))
        for kind, name in enumerate(NAMES):
            for number in range(self.each):
                carrier = texts[int(rng.integers(len(texts)))]
                value = MAKERS[name](rng, number)
                planted[kind] += 1
                found[kind] += _states(_inserted(carrier, value, rng), kind, value)
                if name in ("card", "iban"):
                    wrong = value[:-1] + str((int(value[-1]) + 1) % 10)
                    false[kind] += _states(_inserted(carrier, wrong, rng), kind, wrong)
        return Planted(planted, found, false)


def _states(text: str, kind: int, value: str) -> bool:
    return any(d.kind == kind and text[d.start : d.stop] == value for d in personal_data(text))


def _inserted(carrier: str, value: str, rng: Rng) -> str:
    spaces = [i for i, letter in enumerate(carrier) if letter == " "] or [len(carrier)]
    at = spaces[int(rng.integers(len(spaces)))]
    return f"{carrier[:at]} {value}{('', ',', '.')[int(rng.integers(3))]}{carrier[at:]}"


def _digits(rng: Rng, count: int) -> str:
    return "".join(str(d) for d in rng.integers(0, 10, count))


def _grouped(digits: str, sizes: Sequence[int], between: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(digits[at : at + size])
        at += size
    return between.join(parts)


def _card(rng: Rng, number: int) -> str:
    """Cards of an issuer that does not exist (ISO/IEC 7812: 9, then no country's code)."""
    digits = "999999" + _digits(rng, 9)
    whole = next(digits + str(last) for last in range(10) if luhn(digits + str(last)))
    return _grouped(whole, (4, 4, 4, 4), ("", " ", "-")[number % 3])


def _iban(rng: Rng, number: int) -> str:
    body = _digits(rng, 18)
    whole = next(a for check in range(2, 99) if mod97(a := f"DE{check:02}{body}"))
    return whole if number % 2 else _grouped(whole, (4, 4, 4, 4, 4, 2), " ")


def _phone(rng: Rng, number: int) -> str:
    """Numbers kept for fiction; the last way to write one is national and looks like any other number."""
    area, line = f"{rng.integers(201, 989)}", f"01{_digits(rng, 2)}"
    ways = (
        f"+1-{area}-555-{line}",
        f"+1 {area} 555 {line}",
        f"({area}) 555-{line}",
        f"{area}.555.{line}",
        f"+44 20 7946 0{line[1:]}",
        f"020 7946 0{line[1:]}",
    )
    return ways[number % len(ways)]


def _email(rng: Rng, number: int) -> str:
    ways = (
        "ann.lee{}@example.com",
        "a_lee-{}@mail.example.co.uk",
        "Lee+{}@EXAMPLE.org",
        "{} at example dot com",
    )
    return ways[number % len(ways)].format(_digits(rng, 4))


def _social(rng: Rng, number: int) -> str:
    area = 1 + (int(rng.integers(600)) + number) % 600
    return f"{area:03}-{rng.integers(1, 100):02}-{rng.integers(1, 10_000):04}"


MAKERS: dict[str, Callable[[Rng, int], str]] = {
    "email": _email,
    "phone": _phone,
    "card": _card,
    "iban": _iban,
    "us_ssn": _social,
}
