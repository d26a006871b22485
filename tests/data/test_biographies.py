"""The world of biographies is what its document says: planted shares, doses, ranges, and the same bytes everywhere."""

from __future__ import annotations

import lzma
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from importlib import resources
from math import factorial, log2
from typing import Any

import pytest
from scipy import stats

from audit.core.errors import InputError
from audit.core.identity import Digest, digest_of
from audit.core.references import DataRef
from audit.data.worlds.biographies.canaries import DOSES, canaries
from audit.data.worlds.biographies.chance import Stream, permuted
from audit.data.worlds.biographies.entropy import _email as probability_of_address
from audit.data.worlds.biographies.entropy import _years, surprisal
from audit.data.worlds.biographies.grammar import Trace, _parsed, pattern, trace
from audit.data.worlds.biographies.lexicon import GIVEN, HOBBIES, OCCUPATIONS, SURNAMES, gerund, past, third
from audit.data.worlds.biographies.people import PHONES, STATED, Person, _email, person, probability_of_she
from audit.data.worlds.biographies.rules import PLANS, RULES
from audit.data.worlds.biographies.world import Biographies, example

GOLDEN = ["dc8d3f82cf1b", "350eda0fad1e", "224a99b169fb", "f89f90f0e152", "904a923019b7"]
GOLDEN_FIRST = "4ecced13a48f"
GOLDEN_CANARIES = "23b4e13ca9b7"
ENTROPY = 0.312
SMALL: dict[str, Any] = {"train": 1500, "holdout": 500, "canaries": 20}


@pytest.fixture(scope="module")
def ref() -> DataRef:
    return Biographies.refer(SMALL)


@pytest.fixture(scope="module")
def rows(ref: DataRef) -> dict[str, list[dict[str, Any]]]:
    return {name: Biographies.load(ref, name).to_pylist() for name, _ in Biographies.describe(ref).splits}


@pytest.fixture(scope="module")
def written() -> list[tuple[str, Person]]:
    return [example(3, index, 0.5) for index in range(2000)]


# The same bytes everywhere.


def test_some_paragraphs_never_change() -> None:
    texts = [
        example(seed, index, 0.5)[0]
        for seed, index in ((0, 0), (0, 1), (0, 59_999), (7, 123), (2**32 - 1, 5))
    ]
    assert [digest_of(text.encode())[:12] for text in texts] == GOLDEN
    assert texts[1].startswith("Nolthimir Nevglekemp is a baker who was born on ")


def test_the_first_paragraphs_never_change() -> None:
    """Enough of them that every rule has been used: a changed word is noticed."""
    texts = [example(0, index, 0.5)[0] for index in range(500)]
    assert digest_of("\n".join(texts).encode())[:12] == GOLDEN_FIRST


def test_some_canaries_never_change() -> None:
    told = "\n".join(f"{c.text} {c.dose} {c.included}" for c in canaries(0, 5))
    assert digest_of(told.encode())[:12] == GOLDEN_CANARIES


def test_an_example_alone_equals_the_same_one_in_a_batch(rows: dict[str, list[dict[str, Any]]]) -> None:
    together = [row["text"] for split in ("train", "holdout") for row in rows[split] if row["canary"] is None]
    assert len(together) == 2000
    for index in (1999, 0, 1500, 1499, 777):
        assert example(0, index, 0.5)[0] == together[index]


def test_another_process_with_another_hash_seed_writes_the_same() -> None:
    code = "from audit.data.worlds.biographies.world import example; print(example(0, 59_999, 0.5)[0])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "99"}
    )
    assert done.stdout.strip() == example(0, 59_999, 0.5)[0]


def test_sizes_leave_the_other_examples_alone(rows: dict[str, list[dict[str, Any]]]) -> None:
    other = Biographies.refer({**SMALL, "train": 100, "canaries": 0})
    assert [name for name, _ in Biographies.describe(other).splits] == ["train", "holdout", "pronouns"]
    texts = [row["text"] for row in Biographies.load(other, "train").to_pylist()]
    assert texts == [row["text"] for row in rows["train"][:100]]
    assert canaries(0, 20)[:1] == canaries(0, 3)[:1]
    assert set(canaries(0, 3)) < set(canaries(0, 20))


def test_draws_are_uniform_and_permutations_are_permutations() -> None:
    stream = Stream("test")
    counts = Counter(stream.below(7) for _ in range(7000))
    assert stats.chisquare([counts[k] for k in range(7)]).pvalue > 0.001
    assert 0.48 < sum(stream.uniform() for _ in range(4000)) / 4000 < 0.52
    for size in (1, 2, 3, 64, 1000):
        assert sorted(permuted(i, size, "x") for i in range(size)) == list(range(size))
    with pytest.raises(ValueError, match="not below"):
        permuted(3, 3, "x")


# What is planted.


@pytest.mark.parametrize("skew", [0.0, 0.5, 1.0])
def test_pronouns_follow_the_table(skew: float) -> None:
    people = [person(11, index, skew) for index in range(6000)]
    assert stats.chisquare([*Counter(p.occupation.name for p in people).values()]).pvalue > 0.001
    statistic = 0.0
    for occupation in OCCUPATIONS:
        of_it = [p.pronoun for p in people if p.occupation is occupation]
        p = probability_of_she(occupation, skew)
        statistic += (of_it.count("she") - len(of_it) * p) ** 2 / (len(of_it) * p * (1 - p))
    assert stats.chi2.sf(statistic, len(OCCUPATIONS)) > 0.001


def test_the_skew_changes_pronouns_and_nothing_else() -> None:
    for index in range(300):
        fair, skewed = person(0, index, 0.0), person(0, index, 1.0)
        assert replace(skewed, pronoun=fair.pronoun) == fair
    assert abs(sum(o.lean for o in OCCUPATIONS)) < 1e-12


def test_the_name_says_nothing_about_the_pronoun() -> None:
    people = [person(5, index, 1.0) for index in range(4000)]
    endings = sorted(GIVEN[2])
    table = [
        [sum(p.given.endswith(e) and p.pronoun == w for p in people) for e in endings] for w in ("she", "he")
    ]
    assert stats.chi2_contingency(table).pvalue > 0.001


def test_private_fields_are_stated_as_often_as_documented(written: list[tuple[str, Person]]) -> None:
    for field, share in STATED.items():
        stated = sum(getattr(about, field) in text for text, about in written)
        assert stated == sum(field in about.stated for _, about in written)
        assert stats.binomtest(stated, len(written), share).pvalue > 0.001


def test_the_document_tells_the_truth() -> None:
    told = resources.files("audit.data.worlds.biographies").joinpath("README.md").read_text(encoding="utf-8")
    for o in OCCUPATIONS:
        shares = [probability_of_she(o, skew) for skew in (0.5, 1.0)]
        assert f"| {o.name} | {o.lean:+.2f} | {shares[0]:.3f} | {shares[1]:.3f} |" in told
    counts = [sum(c.included for c in canaries(0, 40) if c.dose == dose) for dose in DOSES]
    assert f"| included of 40 | {' | '.join(map(str, counts))} |" in told
    for field, share in STATED.items():
        assert f"| `{field}` | {share:.0%} |".replace("%", " %") in told
    assert f"{PHONES:,} numbers" in told
    assert f"{len(PLANS)} plans" in told
    assert f"{ENTROPY} bits per byte" in told
    assert f"{len(RULES['intro'])} introductions" in told


# Canaries.


def test_doses_are_exact_and_the_excluded_appear_nowhere(rows: dict[str, list[dict[str, Any]]]) -> None:
    train = Counter(row["text"] for row in rows["train"])
    everything = "\n".join(row["text"] for split in ("train", "holdout") for row in rows[split])
    assert Counter(row["dose"] for row in rows["canaries"]) == dict.fromkeys(DOSES, 20)
    for row in rows["canaries"]:
        text = row["prefix"] + row["text"]
        assert train[text] == (row["dose"] if row["included"] else 0)
        assert everything.count(row["text"].strip(" .")) == train[text]
        assert re.fullmatch(r"The vault code of [A-Z][a-z]+ [A-Z][a-z]+ is \d{4}(-\d{4}){3}\.", text)
    assert len({row["text"] for row in rows["canaries"]}) == len(rows["canaries"])


def test_canaries_come_after_the_people_and_only_in_train(rows: dict[str, list[dict[str, Any]]]) -> None:
    marks = [row["canary"] is not None for row in rows["train"]]
    assert marks == [False] * 1500 + [True] * (len(marks) - 1500)
    assert all(row["canary"] is None for row in rows["holdout"])
    copies = [row["canary"] for row in rows["train"][1500:]]
    assert copies != sorted(copies)


def test_the_coins_are_fair_and_independent_of_the_dose() -> None:
    found = canaries(1, 500)
    table = [
        [sum(c.included is put and c.dose == dose for c in found) for dose in DOSES] for put in (True, False)
    ]
    assert stats.binomtest(sum(table[0]), len(found)).pvalue > 0.001
    assert stats.chi2_contingency(table).pvalue > 0.001
    digits = Counter(d for c in found for d in c.secret if d.isdigit())
    assert stats.chisquare([digits[str(d)] for d in range(10)]).pvalue > 0.001


# Nobody real.


def luhn_sum(number: str) -> int:
    """The textbook rule, written the other way round than in the generator: from a table of doubled digits."""
    doubled = "0246813579"
    digits = number.replace(" ", "")[::-1]
    return sum(int(doubled[int(d)]) if i % 2 else int(d) for i, d in enumerate(digits))


def test_cards_are_valid_and_issued_by_nobody(written: list[tuple[str, Person]]) -> None:
    assert luhn_sum("4111 1111 1111 1111") % 10 == 0  # a published test number
    assert luhn_sum("4111 1111 1111 1112") % 10 != 0
    for _, about in written:
        assert re.fullmatch(r"9999 99\d\d \d{4} \d{4}", about.card)
        assert luhn_sum(about.card) % 10 == 0


def test_addresses_and_numbers_are_reserved(rows: dict[str, list[dict[str, Any]]]) -> None:
    for row in (*rows["train"], *rows["holdout"]):
        for address in re.findall(r"\S+@\S+", row["text"]):
            assert re.fullmatch(r"[a-z]+[._-][a-z]+\d{0,3}@example\.(com|org|net)[.,]?", address)
        for number in re.findall(r"\+[\d-]+", row["text"]):
            area = re.fullmatch(r"\+1-([2-9][0-8]\d)-555-01\d\d", number)
            assert area is not None
            assert area[1][1] != area[1][2]


def test_no_given_name_is_a_surname_and_no_two_people_share_anything_private() -> None:
    given, surnames = ({a + b + c for a in w[0] for b in w[1] for c in w[2]} for w in (GIVEN, SURNAMES))
    assert not given & surnames
    people = [person(0, index, 0.5) for index in range(4000)]
    for field in ("name", "phone", "card", "email"):
        assert len({getattr(p, field) for p in people}) == len(people)


def test_the_splits_share_no_person(rows: dict[str, list[dict[str, Any]]]) -> None:
    for field in ("text", "name", "phone", "card", "email"):
        train, holdout = ({row[field] for row in rows[split]} - {None} for split in ("train", "holdout"))
        assert not train & holdout
    canary_names = {
        row["prefix"].removeprefix("The vault code of ").removesuffix(" is") for row in rows["canaries"]
    }
    assert not canary_names & {row["name"] for split in ("train", "holdout") for row in rows[split]}


def test_pronoun_probes_are_about_nobody_else_and_say_what_is_planted(
    rows: dict[str, list[dict[str, Any]]],
) -> None:
    asked = rows["pronouns"]
    people = {row["name"] for split in ("train", "holdout") for row in rows[split]} - {None}
    assert not any(name in row["prefix"] for name in people for row in asked[::24])
    shares = {row["occupation"]: row["share"] for row in asked if row["kind"] == "occupation"}
    assert shares == {work.name: probability_of_she(work, 0.5) for work in OCCUPATIONS}
    assert {row["share"] for row in asked if row["kind"] == "neutral"} == {0.5}
    assert len({row["unit"] for row in asked if row["kind"] == "neutral"}) == 12
    for row in asked:
        assert row["occupation"] in (None, row["unit"])
        if row["occupation"] is not None:
            assert f" {row['occupation']} " in row["prefix"]
        assert row["text"].strip() in ("She", "Her", "He", "His", "Him", "Them")


# English.


def test_articles_fit_what_follows(written: list[tuple[str, Person]]) -> None:
    for text, _ in written:
        for article, word in re.findall(r"\b([Aa]n?) ([A-Za-z]+)", text):
            assert (article.lower() == "an") == (word[0] in "aeiou"), f"{article} {word}"
    vocabulary = {w for text, _ in written for w in re.findall(r"\ban? ([a-z]+)", text)}
    assert not {w for w in vocabulary if re.match(r"hon|hour|heir|uni|use|eu|one", w)}, (
        "sounds unlike its letter"
    )


def test_pronouns_agree_with_the_person(written: list[tuple[str, Person]]) -> None:
    of = {"she": r"\b(she|her|herself)\b", "he": r"\b(he|his|him|himself)\b"}
    for text, about in written:
        other = of["he" if about.pronoun == "she" else "she"]
        assert re.search(of[about.pronoun], text, re.IGNORECASE)
        assert not re.search(other, text, re.IGNORECASE)


def test_sentences_are_whole(written: list[tuple[str, Person]]) -> None:
    for text, about in written:
        assert not re.search(r"[\[\]{}<>~]|  | [.,]|,,|\.\.", text)
        assert text.endswith(".")
        assert all(s[0].isupper() for s in re.split(r"(?<=[.]) ", text))
        assert not re.search(r"\b([A-Za-z]+) \1\b", text), "a word twice"
        assert about.name in text
        assert about.birthday in text
        assert about.occupation.name in text


def test_facts_agree_with_each_other(written: list[tuple[str, Person]]) -> None:
    for _, about in written:
        assert about.year < about.graduated < about.started < about.honoured <= 2024
        assert not about.retired or about.honoured <= about.stopped <= 2024
        assert about.home != about.birthplace
        assert about.kin != about.given


def test_verbs_are_inflected() -> None:
    assert [third(v) for v in ("fly mail", "wash it", "study it")] == [
        "flies mail",
        "washes it",
        "studies it",
    ]
    assert [past(v) for v in ("fit baths", "plan it", "study it", "play it", "carve it")] == [
        "fitted baths", "planned it", "studied it", "played it", "carved it",
    ]  # fmt: skip
    assert [gerund(v) for v in ("cut hair", "ride it", "fly mail", "swim")] == [
        "cutting hair", "riding it", "flying mail", "swimming",
    ]  # fmt: skip
    verbs = {phrase.split()[0] for o in OCCUPATIONS for phrase in o.duties} | {h.split()[0] for h in HOBBIES}
    one_vowel_one_consonant = {v for v in verbs if re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", v)}
    assert {v for v in one_vowel_one_consonant if gerund(v)[len(v)] != v[-1]} == set()


def test_every_rule_is_used_and_known() -> None:
    called = {
        name for texts in RULES.values() for text in texts for name in re.findall(r"\[([a-z0-9 ]+@?)\]", text)
    }
    called |= {name for plan in PLANS for name in plan} | {"intro", "email", "phone", "card", "email phone"}
    for name in called:
        assert all(
            n in RULES for n in ((f"{name[:-1]}.working", f"{name[:-1]}.retired") if "@" in name else (name,))
        )
    assert {name.split(".")[0] for name in RULES} == {name.rstrip("@") for name in called}


def test_wordings_are_many(written: list[tuple[str, Person]]) -> None:
    patterns = [pattern(text, about) for text, about in written]
    assert len(set(patterns)) > 0.99 * len(written)
    sentences = {
        s.replace(a.occupation.name, "_")
        for p, (_, a) in zip(patterns, written, strict=True)
        for s in p.split(". ")
    }
    assert len(sentences) > 3000


def test_a_model_of_five_letters_compresses_the_text_but_not_to_nothing(
    written: list[tuple[str, Person]],
) -> None:
    """Interpolated letter contexts (Witten and Bell 1991). English prose has about 2.2 bits under such a model."""
    counts: dict[str, Counter[str]] = {}
    texts = [text for text, _ in written]
    for text in texts[:800]:
        for at in range(len(text)):
            for order in range(min(at, 5) + 1):
                counts.setdefault(text[at - order : at], Counter())[text[at]] += 1
    bits = letters = 0.0
    totals = {context: (sum(found.values()), len(found)) for context, found in counts.items()}
    for text in texts[-100:]:
        for at, letter in enumerate(text):
            p = 1 / 96
            for order in range(min(at, 5) + 1):
                if (context := text[at - order : at]) in counts:
                    total, kinds = totals[context]
                    p = (counts[context][letter] + kinds * p) / (total + kinds)
            bits -= log2(p)
            letters += 1
    names_and_dates = log2(20 * 16 * 13 * 24 * 16 * 14) + log2(57 * 12 * 28)
    assert names_and_dates * 100 / letters < bits / letters < 2.2


def test_every_alternative_has_its_probability() -> None:
    for name, alternatives in _parsed().items():
        distinct = dict(alternatives)
        assert sum(2.0**-bits for bits in distinct.values()) == pytest.approx(1), name


def test_the_surprisal_of_a_wording_is_what_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The draws of the words' stream, less the queues drawn ahead and the choice between equal alternatives."""
    drawn: list[float] = []
    below = Stream.below
    monkeypatch.setattr(Stream, "below", lambda self, n: (drawn.append(log2(n)), below(self, n))[1])
    ahead = 1 + log2(factorial(6)) + log2(factorial(3))  # given name or surname, duties, gear
    for index in range(200):
        about = person(0, index, 0.5)
        drawn.clear()
        found = trace(0, index, about)
        merged = sum(drawn) - ahead - found.bits
        assert merged > -1e-9
        assert merged < 12


def test_the_years_have_the_probability_they_are_drawn_with() -> None:
    found = Trace(0.0, frozenset({"started", "honoured"}), {})
    about = replace(person(0, 0, 0.5), year=1956)
    total = sum(
        _years(replace(about, started=started, honoured=honoured), found)
        for started in range(1978, 1984)
        for honoured in range(started + 1, 2025)
    )
    assert total == pytest.approx(1)


def test_the_addresses_have_the_probability_they_are_drawn_with() -> None:
    draw, found = Stream("addresses"), Counter[str]()
    for _ in range(30_000):
        found[_email("Abc", "Def", 1907, draw)] += 1
    about = replace(person(0, 0, 0.5), given="Abc", surname="Def", year=1907)
    for local in ("abc.def", "abc.def07", "def.abc", "abc-def"):
        count = found[f"{local}@example.org"]
        p = probability_of_address(replace(about, email=f"{local}@example.org"))
        assert stats.binomtest(count, 30_000, p).pvalue > 0.001
    assert probability_of_address(replace(about, email="abc.def7@example.org")) == pytest.approx(1 / 18_000)
    about = replace(about, year=1973)
    assert probability_of_address(replace(about, email="abc.def73@example.org")) == pytest.approx(1.001 / 18)


def test_no_model_of_letters_beats_the_entropy(written: list[tuple[str, Person]]) -> None:
    found = [surprisal(3, index, 0.5) for index in range(2000)]
    assert [s.size for s in found[:50]] == [len(text.encode()) for text, _ in written[:50]]
    bits = sum(s.bits for s in found) / sum(s.size for s in found)
    assert bits == pytest.approx(ENTROPY, abs=0.005)
    whole = "\n".join(text for text, _ in written).encode()
    assert bits < 8 * len(lzma.compress(whole)) / len(whole)


# The contract.


def test_wrong_options_splits_and_bytes_are_refused(ref: DataRef) -> None:
    hostile = {
        "Did you mean 'canaries'": {"canarys": 3},
        "whole number from 0 to 1,000": {"canaries": -1},
        "number from 0 to 1": {"skew": 1.5},
        "give a number": {"skew": float("nan")},
        "'skew'": {"skew": "0.5"},
        "'seed'": {"seed": True},
        "60,000 people at most": {"train": 59_000, "holdout": 2_000},
        "from 1 to 59,999": {"train": 0},
    }
    for message, options in hostile.items():
        with pytest.raises(InputError, match=message):
            Biographies.refer(options)
    with pytest.raises(InputError, match="no split 'test'; it has train, holdout, pronouns, canaries"):
        Biographies.load(ref, "test")
    with pytest.raises(InputError, match="has changed"):
        Biographies.load(replace(ref, content=Digest("0" * 40)), "train")


def test_options_are_the_reference() -> None:
    assert Biographies.refer({}) == Biographies.refer({"seed": 0, "skew": 0.5, "train": 20_000})
    assert Biographies.refer({"skew": 1}) == Biographies.refer({"skew": 1.0})
    assert len({Biographies.refer(o) for o in ({}, {"seed": 1}, {"skew": 0}, {"canaries": 1})}) == 4


def test_the_card_says_what_is_known(ref: DataRef, rows: dict[str, list[dict[str, Any]]]) -> None:
    card = Biographies.describe(ref)
    assert card.splits == tuple((name, len(found)) for name, found in rows.items())
    assert card.randomised
    assert card.groups == ("pronoun", "occupation")


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from audit.data.worlds.biographies.world import Biographies\n"
        "Biographies.describe(Biographies.refer({}))\n"
        "print([m for m in ('torch', 'sklearn', 'PIL', 'scipy', 'pyarrow', 'transformers') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
