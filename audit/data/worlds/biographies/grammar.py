"""Writes the paragraph about a person of the world 'biographies'."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import log2

from audit.data.worlds.biographies.chance import Stream
from audit.data.worlds.biographies.lexicon import gerund, past, third
from audit.data.worlds.biographies.people import Person
from audit.data.worlds.biographies.rules import PLANS, RULES

_PRONOUNS = {
    "she": {word: word for word in ("she", "her", "him", "herself")} | {"him": "her"},
    "he": {"she": "he", "her": "his", "him": "him", "herself": "himself"},
}
_TOKEN = re.compile(r"\[([a-z0-9 ]+@?)\]|\{([a-z]+)\}|<([A-Za-z]+)>")
_SENTENCE_START = re.compile(r"(^|[.?!] )([a-z])")
_ARTICLE = re.compile(r"\b([Aa])~ (\w)")
_DUTIES: dict[str, Callable[[str], str]] = {"do": str, "does": third, "did": past, "doing": gerund}
_HOBBIES: dict[str, Callable[[str], str]] = {"like": str, "likes": third, "liking": gerund}


def paragraph(seed: int, index: int, about: Person) -> str:
    """Return the paragraph about a person, worded by a stream that depends on seed and index only."""
    return _Writer(Stream(f"biographies/{seed}/words/{index}"), about).write()


def trace(seed: int, index: int, about: Person) -> Trace:
    """Return what was drawn to word the paragraph about a person."""
    writer = _Writer(Stream(f"biographies/{seed}/words/{index}"), about)
    writer.write()
    return Trace(writer.bits, frozenset(writer.used), dict(writer.taken))


@dataclass(frozen=True, slots=True)
class Trace:
    """What was drawn for one wording.

    ``bits`` is the surprisal of the plan and of every alternative, in bits;
    ``facts`` names the facts that the text states; ``taken`` counts the duties, gear and hobbies it took.
    """

    bits: float
    facts: frozenset[str]
    taken: dict[str, int]


def pattern(text: str, about: Person) -> str:
    """Return the paragraph with its names, numbers and dates taken out: what the grammar chose.

    Two paragraphs with one pattern differ only in the facts they state.
    """
    facts = (about.name, about.given, about.surname, about.employer, about.birthplace, about.home, about.kin)
    for fact in (about.email, about.phone, about.card, about.birthday, *facts):
        text = text.replace(fact, "_")
    return re.sub(r"\d+", "0", text)


class _Writer:
    """Expands rules for one person. The queues make sure that no duty, gear or hobby comes twice."""

    bits: float = 0.0

    def __init__(self, draw: Stream, about: Person) -> None:
        self.draw, self.about = draw, about
        self.status = "retired" if about.retired else "working"
        self.used: set[str] = set()
        self.taken = {"duties": 0, "gear": 0, "hobbies": 0}
        self.queues: dict[str, Sequence[str]] = {
            "duties": draw.order(about.occupation.duties),
            "gear": draw.order(about.occupation.gear),
            "hobbies": about.hobbies,
        }
        self.facts: dict[str, str] = {
            "name": about.name,
            "short": draw.choice((about.given, about.surname)),
            "occupation": about.occupation.name,
            "field": about.occupation.field,
            "employer": about.employer,
            "birthplace": about.birthplace,
            "home": about.home,
            "birthday": about.birthday,
            "relation": about.relation,
            "kin": about.kin,
            **{name: str(getattr(about, name)) for name in ("graduated", "started", "stopped", "honoured")},
            **{name: getattr(about, name) for name in ("email", "phone", "card")},
        }

    def write(self) -> str:
        order = ["intro", *self.draw.choice(PLANS)]
        self.bits += log2(len(PLANS))
        written = " ".join(self.expand(rule) for rule in [*order, *self.contact()])
        written = _ARTICLE.sub(_article, written)
        return _SENTENCE_START.sub(lambda found: found[1] + found[2].upper(), written)

    def contact(self) -> list[str]:
        ways = " ".join(name for name in ("email", "phone") if name in self.about.stated)
        rules = [rule for rule in (ways, "card" if "card" in self.about.stated else "") if rule]
        self.bits += log2(len(rules) or 1)  # there are two at most
        return self.draw.order(rules)

    def expand(self, rule: str) -> str:
        name = f"{rule[:-1]}.{self.status}" if rule.endswith("@") else rule
        parts, bits = self.draw.choice(_parsed()[name])
        self.bits += bits
        return "".join(self.spell(kind, value) for kind, value in parts)

    def spell(self, kind: str, value: str) -> str:
        match kind:
            case "text":
                return value
            case "rule":
                return self.expand(value)
            case "pronoun":
                form = _PRONOUNS[self.about.pronoun][value.lower()]
                return form.capitalize() if value[0].isupper() else form
            case "fact":
                return self.fact(value)
        raise AssertionError(kind)

    def fact(self, name: str) -> str:
        if name in _DUTIES:
            return _DUTIES[name](self.next("duties"))
        if name in _HOBBIES:
            return _HOBBIES[name](self.next("hobbies"))
        if name == "gear":
            return self.next("gear")
        self.used.add(name)
        return self.facts[name]

    def next(self, queue: str) -> str:
        self.taken[queue] += 1
        return self.queues[queue][self.taken[queue] - 1]


def _article(found: re.Match[str]) -> str:
    """Spell the indefinite article; the rules put it before no vowel letter that sounds as a consonant."""
    return f"{found[1]}{'n' if found[2] in 'aeiou' else ''} {found[2]}"


_Parts = tuple[tuple[str, str], ...]


@cache
def _parsed() -> dict[str, tuple[tuple[_Parts, float], ...]]:
    """Return each rule's alternatives and the surprisal of each in bits; equal ones count together."""
    return {
        name: tuple((tuple(_tokens(text)), -log2(texts.count(text) / len(texts))) for text in texts)
        for name, texts in RULES.items()
    }


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    end = 0
    for found in _TOKEN.finditer(text):
        if found.start() > end:
            yield "text", text[end : found.start()]
        end = found.end()
        yield ("rule", "fact", "pronoun")[(found.lastindex or 1) - 1], found[found.lastindex or 1]
    if end < len(text):
        yield "text", text[end:]
