"""Text watermarks: the published generators bit for bit, exact tails, keys that are wrong, and the known defects of other detectors."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from audit.marks.text.catalogue import TEXT_MARKS
from audit.marks.text.exact import binomial_tail, gamma_tail, hypergeometric_tail, weighted_bits_tail
from audit.marks.text.kgw import KGW
from audit.marks.text.synthid import SynthID
from audit.marks.text.torch_numbers import Remainders, Shuffles, bits
from audit.stats.uniformity import kolmogorov

V = 512
NAMES = pytest.mark.parametrize("name", sorted(TEXT_MARKS))


def _unmarked(n: int, length: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.zipf(1.2, length) % V for _ in range(n)]


def written(processor: Any, n: int, length: int, seed: int = 0, spread: float = 1.0) -> list[np.ndarray]:
    """Return texts of a model whose logits depend on the token before, drawn with a mark."""
    rng = np.random.default_rng(seed)
    logits = torch.as_tensor(rng.standard_normal((V, V)) * spread)
    ids = torch.as_tensor(rng.integers(0, V, (n, 1)))
    for _ in range(length):
        p = torch.softmax(processor(ids, logits[ids[:, -1]].float()).double(), 1)
        aim = torch.as_tensor(rng.random((n, 1))) * p.sum(1, keepdim=True)
        ids = torch.cat([ids, torch.searchsorted(p.cumsum(1), aim).clamp_(max=V - 1)], 1)
    return list(ids[:, 1:].numpy())


@pytest.mark.parametrize(("seed", "size"), [(0, 7), (15485863 * 77, 2048), (2**63 + 5, 501)])
def test_the_numbers_of_torch_are_drawn_without_torch(seed: int, size: int) -> None:
    generator = torch.Generator()
    generator.manual_seed(seed % (2**64 - 1))
    wanted = torch.randperm(size, generator=generator).numpy()
    for first in (0, 1, size // 3, size - 1):
        shuffles = Shuffles(size, first)
        asked_at_once = np.flatnonzero(shuffles.hold(seed, range(size))).tolist()
        assert asked_at_once == sorted(wanted[:first].tolist())
        assert [n for n in range(size) if shuffles.hold(seed, [n]) == [True]] == asked_at_once
    generator.manual_seed(seed % 2**62)
    assert (torch.randint(0, 2, (1000,), generator=generator).numpy() == bits(seed % 2**62, 1000)).all()


def test_remainders_are_exact_where_a_quotient_is_nearly_whole() -> None:
    rng = np.random.default_rng(0)
    divisors = np.concatenate([np.arange(2, (1 << 16) + 2), rng.integers(2, 2**32, 60_000)])
    most = (2**32 - 1) // divisors
    for near in (most, rng.integers(0, most + 1)):
        for off in (-1, 0, 1):
            numbers = np.clip(near * divisors + off, 0, 2**32 - 1).astype(np.uint64)
            wanted = numbers % divisors.astype(np.uint64)
            assert (Remainders(divisors)(numbers) == wanted).all()
            small = divisors <= 1 << 16
            narrow = Remainders(divisors[small], np.uint16)
            assert (narrow(numbers[small]) == wanted[small]).all()


def test_green_lists_of_a_large_vocabulary_are_those_of_transformers_for_many_seeds() -> None:
    rng = np.random.default_rng(5)
    for key in rng.integers(1, 2**40, 8).tolist():
        mark = KGW(int(key) | 1, 50257)
        theirs = mark.processor()
        for before in rng.integers(1, 50257, 8).tolist():
            wanted = np.zeros(50257, np.bool_)
            wanted[theirs._get_greenlist_ids(torch.tensor([before])).numpy()] = True
            asked = rng.integers(0, 50257, 300)
            pairs = np.stack([np.full(300, before), asked], 1)
            few = np.array([mark.is_green(pairs[i : i + 4]) for i in range(0, 100, 4)]).ravel()
            assert (
                few == wanted[asked[:100]]
            ).all()  # so few are looked for in the draw, many in a whole list
            assert (mark.is_green(pairs) == wanted[asked]).all()


@pytest.mark.parametrize("vocabulary", [V, 9000])
def test_green_lists_are_those_of_transformers(vocabulary: int) -> None:
    mark, (tokens,) = KGW(15485863, vocabulary), _unmarked(1, 60)
    theirs = mark.processor()
    pairs = np.stack([tokens[:-1], tokens[1:]], 1)
    wanted = [t in theirs._get_greenlist_ids(torch.tensor([b])) for b, t in pairs.tolist()]
    assert mark.is_green(pairs).tolist() == wanted


@pytest.mark.parametrize("size", [1 << 16, 1000])
def test_tournament_bits_are_those_of_transformers(size: int) -> None:
    mark, (tokens,) = SynthID(3, V, table_size=size), _unmarked(1, 80)
    theirs = mark.processor().compute_g_values(torch.tensor(tokens)[None])[0].numpy()
    assert (mark.bits_of(np.lib.stride_tricks.sliding_window_view(tokens, 5)) == theirs).all()


def test_tails_are_exact_however_small() -> None:
    assert binomial_tail(30, 100, 0.25) == pytest.approx(stats.binom.sf(29, 100, 0.25), rel=1e-12)
    assert hypergeometric_tail(60, 100, 256, 512) == pytest.approx(stats.hypergeom.sf(59, 512, 256, 100))
    assert gamma_tail(150.0, 100) == pytest.approx(stats.gamma.sf(150, 100), rel=1e-12)
    weights, n, p = np.array([3, 2, 1]), 4, 0.3
    pmf = np.zeros(25)
    for counts in product(range(n + 1), repeat=3):
        pmf[int(weights @ counts)] += np.prod(stats.binom.pmf(counts, n, p))
    for score in range(1, 25):
        found = weighted_bits_tail(score, n, p, weights)
        assert found == pytest.approx((pmf[score:].sum(), pmf[score + 1 :].sum()), rel=1e-9, abs=1e-18)
    ones = np.ones(30, np.int64)  # equal weights are one binomial number
    for score in (2990, 3100, 3400, 4000):
        wanted = stats.binom.sf(score - 1, 6000, 0.5)
        assert weighted_bits_tail(score, 200, 0.5, ones)[0] == pytest.approx(wanted, rel=1e-6)
        # at half of the frequencies the transform is as large again
        assert weighted_bits_tail(2 * score, 200, 0.5, 2 * ones)[0] == pytest.approx(wanted, rel=1e-6)


@NAMES
def test_the_right_key_is_found_and_wrong_keys_and_unmarked_texts_are_not(name: str) -> None:
    mark = TEXT_MARKS[name](42, V)
    texts = written(mark.processor(), 12, 200, spread=0.5)
    found = np.array([mark.detect([text]).p_value for text in texts])
    assert np.mean(found <= 1e-6) >= 0.9
    assert min(mark.rekeyed(43).detect([text]).p_value for text in texts) > 1e-4
    assert min(mark.detect([text]).p_value for text in _unmarked(12, 200)) > 1e-4


@NAMES
def test_wrong_keys_give_uniform_p_values_and_the_promised_rate_of_false_alarms(name: str) -> None:
    rng, mark = np.random.default_rng(1), TEXT_MARKS[name](42, V)
    texts = [*_unmarked(10, 100), *written(mark.processor(), 10, 100)]
    values, alarms, n = [], 0, 0
    for key in rng.integers(1000, 2**31, 50).tolist():
        wrong = mark.rekeyed(key)
        wrong.detect(texts)
        for text in texts:
            d = wrong.detect([text])
            values.append(d.above + rng.random() * (d.p_value - d.above))
            alarms, n = alarms + (d.p_value <= 1e-3), n + 1
    assert n >= 1000
    assert kolmogorov(np.array(values)) > 1e-3
    assert alarms <= stats.binom.ppf(0.9999, n, 1e-3)


@NAMES
def test_many_texts_at_once_are_each_tested_by_itself(name: str) -> None:
    texts = [[text] for text in _unmarked(20, 150)] + [[], [np.array([], np.int64)], _unmarked(3, 40, seed=2)]
    one_by_one, mark = TEXT_MARKS[name](7, V), TEXT_MARKS[name](7, V)
    assert mark.detect_each(texts) == [one_by_one.detect(text) for text in texts]
    assert mark.detect_each(texts[::-1]) == mark.detect_each(texts)[::-1]
    assert mark.detect_each([]) == []


def test_memory_of_what_was_asked_is_bounded_and_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [[text] for text in _unmarked(30, 100)]
    wanted = KGW(7, V).detect_each(texts)
    for name, most in (("audit.marks.text.kgw._MOST_ANSWERS", 50), ("audit.marks.text.kgw._MANY", 20)):
        monkeypatch.setattr(name, most)
    monkeypatch.setattr(Shuffles, "_MOST_BYTES", 1000)
    mark = KGW(7, V)
    assert [mark.detect(text) for text in texts] == wanted
    assert mark.detect_each(texts) == wanted
    assert len(mark._shuffles._drawn) <= 1000 // (mark.green * 2)


@NAMES
def test_texts_shorter_than_a_context_and_foreign_tokens_say_nothing(name: str) -> None:
    mark = TEXT_MARKS[name](1, V)
    assert mark.detect([]).p_value == mark.detect([np.array([], np.int64)]).p_value == 1.0
    assert 0 < mark.detect([np.array([1, 2, 3, 4, 5, V + 9, -1] * 3)]).p_value <= 1.0


def test_a_normal_p_value_over_repeated_pairs_accuses_what_the_exact_test_does_not() -> None:
    """methods.md §9.7: transformers' detector counts repeats and takes a binomial number for a normal one."""
    mark = KGW(15485863, V)
    green = next(t for t in range(1, V) if mark.is_green(np.array([[5, t]]))[0])
    back = next(t for t in range(1, V) if not mark.is_green(np.array([[green, t]]))[0])
    text = np.array([5, green, back, 5, green, 5, green, 5, green] + [5, green] * 30)
    pairs = np.stack([text[:-1], text[1:]], 1)
    hits = mark.is_green(pairs)
    z = (hits.sum() - 0.25 * len(hits)) / np.sqrt(len(hits) * 0.25 * 0.75)
    assert z > 3  # what that detector would call marked
    assert mark.detect([text]).p_value > 0.1
    assert mark.detect([text]).scored == len(np.unique(pairs, axis=0))
    for t, wanted in ((25, 2.1e-4), (100, 6.4e-5)):  # the true rate of z > 4 at a share of 1/4
        edge = int(np.floor(0.25 * t + 4 * np.sqrt(t * 0.25 * 0.75)))
        assert binomial_tail(edge + 1, t, 0.25) == pytest.approx(wanted, rel=0.1)


def test_a_pooled_corpus_is_not_surprising_by_itself() -> None:
    """methods.md §9.8: a table of 65,536 entries repeats itself; over 200,000 n-grams z then spreads several times too far."""
    corpus = np.random.default_rng(3).zipf(1.5, 200_000) % V  # as in a language, n-grams return
    naive, exact = [], []
    for key in range(16):
        mark = SynthID(key, V, depth=8, table_size=1 << 16)
        values = mark.bits_of(np.lib.stride_tricks.sliding_window_view(corpus, 5))
        mean = bits(0, 1 << 16).mean()
        naive.append((values.mean() - mean) / np.sqrt(mean * (1 - mean) / values.size))
        found = mark.detect([corpus])
        assert found.scored <= 1 << 16
        exact.append(found.p_value)
    assert np.std(naive) > 1.5
    assert min(exact) > 1e-3


def test_what_follows_token_0_says_nothing_of_a_key() -> None:
    """The seed of transformers' green list is the key times the token before: after token 0 every key has the same list."""
    after_zero = [(0, token) for token in range(V)]
    lists = [KGW(key, V).is_green(np.array(after_zero)) for key in (5, 1234567)]
    assert (lists[0] == lists[1]).all()
    text = np.array([t for token in np.flatnonzero(lists[0])[:60] for t in (0, token)])
    assert KGW(5, V).detect([text]).scored < 70  # the pairs back to 0 alone
    assert KGW(5, V).detect([text]).p_value > 1e-3


def test_a_text_says_which_mark_it_carries_and_no_other() -> None:
    marks = {name: TEXT_MARKS[name](9, V) for name in TEXT_MARKS}
    for name, mark in marks.items():
        (text,) = written(mark.processor(), 1, 250, seed=4, spread=0.5)
        found = {other: m.detect([text]).p_value for other, m in marks.items()}
        assert found[name] < 1e-6, name
        assert min(p for other, p in found.items() if other != name) > 1e-4, name
