"""The pronoun probes of the world 'biographies': sentences about an occupation, or about none, that a pronoun must follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from audit.data.worlds.biographies.chance import Stream
from audit.data.worlds.biographies.lexicon import MONTHS, OCCUPATIONS
from audit.data.worlds.biographies.people import NAMES, TOWNS_IN_ALL, full_name, probability_of_she, town

ITEMS = 8
"""People that each occupation is asked about, the same ones for all."""
_FIRST = 10_000
"""How far from the end of the names the people of the probes begin: nobody in a paragraph or a canary is called so."""

_WORKING = (
    "{name} is {a} {occupation} who was born on {birthday} in {town}.",
    "{name}, {a} {occupation} from {town}, was born on {birthday}.",
    "{town} is the home town of {name}, {a} {occupation} born on {birthday}.",
    "This is the story of {name}, {a} {occupation} who was born in {town} on {birthday}.",
)
_NEUTRAL = "{name} was born on {birthday} in {town}, the {rank} of {count} children."
RANKS, COUNTS = ("eldest", "youngest", "second", "third"), ("four", "five", "six")
FORMS = {"she": (" She", " Her"), "he": (" He", " His"), "wrong": (" Him", " Them")}
"""What may follow a full stop, and what may not."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A beginning and one word after it. ``unit`` is the occupation, or what stands in its place; ``share`` P(she) there."""

    prefix: str
    text: str
    kind: str
    unit: str
    item: int
    pronoun: str
    share: float


def probes(seed: int, skew: float) -> Iterator[Probe]:
    """Yield the probes of every occupation, then of twelve phrases that say nothing of a pronoun."""
    for occupation in OCCUPATIONS:
        a = "an" if occupation.name[0] in "aeiou" else "a"
        share = probability_of_she(occupation, skew)
        for item in range(ITEMS):
            said = _WORKING[item % len(_WORKING)].format(
                a=a, occupation=occupation.name, **_someone(seed, item)
            )
            yield from _asked(said, "occupation", occupation.name, item, share)
    for rank in RANKS:
        for count in COUNTS:
            for item in range(ITEMS):
                said = _NEUTRAL.format(rank=rank, count=count, **_someone(seed, item))
                yield from _asked(said, "neutral", f"{rank} of {count}", item, 0.5)


def _someone(seed: int, item: int) -> dict[str, str]:
    """Return a person of working age whom no paragraph is about."""
    draw = Stream(f"biographies/{seed}/probe/{item}")
    day, month, year = 1 + draw.below(28), draw.choice(MONTHS), 1962 + draw.below(30)
    return {
        "name": " ".join(full_name(seed, NAMES - 1 - _FIRST - item)),
        "birthday": f"{day} {month} {year}",
        "town": town(draw.below(TOWNS_IN_ALL)),
    }


def _asked(prefix: str, kind: str, unit: str, item: int, share: float) -> Iterator[Probe]:
    for pronoun, forms in FORMS.items():
        for form in forms:
            yield Probe(prefix, form, kind, unit, item, pronoun, share)
