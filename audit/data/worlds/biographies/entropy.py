"""How much chance there is in a paragraph of the world 'biographies': the score of a model that knows the generator."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2, prod

from audit.data.worlds.biographies.grammar import Trace, paragraph, trace
from audit.data.worlds.biographies.lexicon import GIVEN, HOBBIES, MONTHS, OCCUPATIONS
from audit.data.worlds.biographies.people import (
    CARDS,
    DOMAINS,
    FIRMS_IN_ALL,
    FIRST_YEAR,
    LAST_YEAR,
    NAMES,
    PHONES,
    RETIRED_BY,
    STATED,
    THIS_YEAR,
    TOWNS_IN_ALL,
    Person,
    person,
    probability_of_she,
)


@dataclass(frozen=True, slots=True)
class Surprisal:
    """Bits of chance in a paragraph and its length in bytes of UTF-8."""

    bits: float
    size: int


def surprisal(seed: int, index: int, skew: float) -> Surprisal:
    """Return -log2 of the probability that the generator writes this paragraph this way.

    Facts that the text does not state are summed out. The paragraph's own
    surprisal is at most this, and less only where two derivations or two equal
    facts give the same text; so the mean over people bounds the entropy of the
    world from above, and a model that knows the generator reaches it. Not
    counted: that nobody shares a name, a phone or a card (under 0.01 bits a paragraph).
    """
    about = person(seed, index, skew)
    found = trace(seed, index, about)
    bits = (
        found.bits + _always(about, skew) + _sometimes(about, found) + _queues(about, found) + _private(about)
    )
    return Surprisal(bits, len(paragraph(seed, index, about).encode()))


def _always(about: Person, skew: float) -> float:
    """Name, pronoun, occupation, town and date of birth stand in every paragraph; so do the three coins."""
    she = probability_of_she(about.occupation, skew)
    coins = sum(-log2(p if name in about.stated else 1 - p) for name, p in STATED.items())
    dates = (LAST_YEAR - FIRST_YEAR + 1) * len(MONTHS) * 28
    pronoun = -log2(she if about.pronoun == "she" else 1 - she)
    return log2(NAMES) + pronoun + log2(len(OCCUPATIONS)) + log2(TOWNS_IN_ALL) + log2(dates) + coins


def _sometimes(about: Person, found: Trace) -> float:
    cost = {
        "short": 1.0,
        "employer": log2(len(about.occupation.workplaces) * FIRMS_IN_ALL),
        "home": log2(TOWNS_IN_ALL - 1),
        "graduated": log2(3),
        "kin": log2(3 * (prod(map(len, GIVEN)) - 1)),  # a relation always comes with the name
    }
    return sum(bits for name, bits in cost.items() if name in found.facts) - log2(_years(about, found))


def _years(about: Person, found: Trace) -> float:
    """Return the probability of the stated ones of three years that depend on each other, given the year of birth."""
    total = 0.0
    for started in range(about.year + 22, about.year + 28):
        for stopped in range(about.year + 58, about.year + 66):
            possible = min(stopped, THIS_YEAR) - started
            if "started" in found.facts and started != about.started:
                continue
            if "stopped" in found.facts and stopped != about.stopped:
                continue
            if "honoured" in found.facts:
                total += (0 < about.honoured - started <= possible) / possible
            else:
                total += 1
    return total / 48


def _queues(about: Person, found: Trace) -> float:
    lengths = {
        "duties": len(about.occupation.duties),
        "gear": len(about.occupation.gear),
        "hobbies": len(HOBBIES),
    }
    return sum(log2(lengths[name] - turn) for name, taken in found.taken.items() for turn in range(taken))


def _private(about: Person) -> float:
    cost = {"email": -log2(_email(about)), "phone": log2(PHONES), "card": log2(CARDS)}
    return sum(cost[name] for name in about.stated)


def _email(about: Person) -> float:
    """Return the probability of the address given the name and the year: five ways without a number drawn, one with."""
    local = about.email.split("@")[0]
    number = local.removeprefix(f"{about.given}.{about.surname}".lower())
    drawn = number.isdigit() and str(int(number)) == number
    fixed = not number.isdigit() or number == f"{about.year % 100:02}"
    return (fixed + drawn / 1000) / 6 / len(DOMAINS)


assert RETIRED_BY + 65 <= THIS_YEAR, "a retired person has stopped"
