"""The people of the world 'biographies': every fact of one invented person, from a seed and an index alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from audit.data.worlds.biographies.chance import Stream, permuted
from audit.data.worlds.biographies.lexicon import (
    FIRMS,
    GIVEN,
    HOBBIES,
    MONTHS,
    OCCUPATIONS,
    SURNAMES,
    TOWNS,
    Occupation,
)

FIRST_YEAR, LAST_YEAR = 1938, 1994
RETIRED_BY = 1958
"""Born in this year or before: retired. Later: working."""
THIS_YEAR = 2024

STATED = {"email": 0.6, "phone": 0.5, "card": 0.3}
"""The probability that a paragraph states a private field, each by a coin of its own."""
DOMAINS = ("example.com", "example.org", "example.net")
"""Reserved for documentation (RFC 2606)."""
ISSUER = "999999"
"""Industry digit 9 is for national use and 999 is no country's code (ISO/IEC 7812, ISO 3166-1), so no card begins so."""

NAMES = prod(map(len, GIVEN)) * prod(map(len, SURNAMES))
PHONES = 8 * 9 * 9 * 100
CARDS = 10**9


@dataclass(frozen=True, slots=True)
class Person:
    """Everything the world knows about one person. ``email``, ``phone`` and ``card`` exist whether stated or not."""

    given: str
    surname: str
    pronoun: str
    occupation: Occupation
    employer: str
    birthplace: str
    home: str
    year: int
    month: int
    day: int
    graduated: int
    started: int
    stopped: int
    honoured: int
    relation: str
    kin: str
    hobbies: tuple[str, ...]
    email: str
    phone: str
    card: str
    stated: frozenset[str]

    @property
    def name(self) -> str:
        return f"{self.given} {self.surname}"

    @property
    def retired(self) -> bool:
        return self.year <= RETIRED_BY

    @property
    def born(self) -> str:
        """The date of birth in ISO 8601."""
        return f"{self.year}-{self.month:02}-{self.day:02}"

    @property
    def birthday(self) -> str:
        """The date of birth as the paragraph spells it."""
        return f"{self.day} {MONTHS[self.month - 1]} {self.year}"


def probability_of_she(occupation: Occupation, skew: float) -> float:
    """Return P(she | occupation): the planted association."""
    return 0.5 + skew * occupation.lean


def person(seed: int, index: int, skew: float) -> Person:
    """Return the person with this index. Distinct indices never share a full name, a phone number or a card number.

    The pronoun compares a uniform draw of its own with P(she | occupation):
    another ``skew`` changes the pronouns of some people and nothing else about anyone.
    """
    draw = Stream(f"biographies/{seed}/person/{index}")
    uniform = Stream(f"biographies/{seed}/pronoun/{index}").uniform()
    given, surname = full_name(seed, index)
    occupation = draw.choice(OCCUPATIONS)
    year = FIRST_YEAR + draw.below(LAST_YEAR - FIRST_YEAR + 1)
    started = year + 22 + draw.below(6)
    stopped = year + 58 + draw.below(8)
    last = min(stopped, THIS_YEAR)
    birthplace = draw.below(TOWNS_IN_ALL)
    home = (birthplace + 1 + draw.below(TOWNS_IN_ALL - 1)) % TOWNS_IN_ALL
    return Person(
        given=given,
        surname=surname,
        pronoun="she" if uniform < probability_of_she(occupation, skew) else "he",
        occupation=occupation,
        employer=draw.choice(occupation.workplaces).format(_word(FIRMS, draw.below(FIRMS_IN_ALL))),
        birthplace=_word(TOWNS, birthplace),
        home=_word(TOWNS, home),
        year=year,
        month=1 + draw.below(12),
        day=1 + draw.below(28),
        graduated=year + 19 + draw.below(3),
        started=started,
        stopped=stopped,
        honoured=started + 1 + draw.below(last - started),
        relation=draw.choice(("sister", "brother", "cousin")),
        kin=_another(given, draw),
        hobbies=tuple(draw.order(HOBBIES)[:2]),
        email=_email(given, surname, year, draw),
        phone=_phone(permuted(index % PHONES, PHONES, f"biographies/{seed}/phone")),
        card=with_check_digit(
            f"{ISSUER}{permuted(index, CARDS, f'biographies/{seed}/card'):09}",
        ),
        stated=frozenset(name for name, share in STATED.items() if draw.uniform() < share),
    )


def full_name(seed: int, index: int) -> tuple[str, str]:
    """Return a given name and a surname; distinct indices below ``NAMES`` get distinct pairs."""
    which = permuted(index, NAMES, f"biographies/{seed}/name")
    surname, given = divmod(which, prod(map(len, GIVEN)))
    return _word(GIVEN, given), _word(SURNAMES, surname)


def with_check_digit(digits: str) -> str:
    """Append the digit that makes the number pass the check of Luhn (ISO/IEC 7812-1, annex B), in groups of four.

    >>> with_check_digit("7992739871")
    '7992 7398 713'
    """
    doubled = (int(d) * (2 if place % 2 == 0 else 1) for place, d in enumerate(reversed(digits)))
    total = sum(value - 9 if value > 9 else value for value in doubled)
    number = f"{digits}{-total % 10}"
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4))


def _phone(which: int) -> str:
    """A North American number ending in 555-0100 … 555-0199, the lines kept for fiction.

    The area code is any but those with two equal last digits, which are service codes (toll-free among them).
    """
    which, line = divmod(which, 100)
    which, last = divmod(which, 9)
    first, middle = divmod(which, 9)
    return f"+1-{first + 2}{middle}{last + (last >= middle)}-555-01{line:02}"


def _email(given: str, surname: str, year: int, draw: Stream) -> str:
    g, s = given.lower(), surname.lower()
    forms = (
        f"{g}.{s}",
        f"{s}.{g}",
        f"{g}_{s}",
        f"{g}.{s}{year % 100:02}",
        f"{g}-{s}",
        f"{g}.{s}{draw.below(1000)}",
    )
    return f"{draw.choice(forms)}@{draw.choice(DOMAINS)}"


def _another(given: str, draw: Stream) -> str:
    """A relative's given name, never the person's own."""
    names = prod(map(len, GIVEN))
    while (found := _word(GIVEN, draw.below(names))) == given:
        pass
    return found


def _word(syllables: Sequence[Sequence[str]], which: int) -> str:
    parts = []
    for choices in syllables:
        which, at = divmod(which, len(choices))
        parts.append(choices[at])
    return "".join(parts)


def town(which: int) -> str:
    """Return the name of a town."""
    return _word(TOWNS, which)


TOWNS_IN_ALL = prod(map(len, TOWNS))
FIRMS_IN_ALL = prod(map(len, FIRMS))
