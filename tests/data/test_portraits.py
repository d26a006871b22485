"""The world of portraits: the same bytes everywhere, the documented distribution, the planted duplicates, visible factors."""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from audit.core.errors import InputError
from audit.core.references import DataRef
from audit.core.rows import images_of
from audit.data.worlds.portraits import world
from audit.data.worlds.portraits.canvas import ORIGIN
from audit.data.worlds.portraits.drawing import portraits
from audit.data.worlds.portraits.factors import FACTORS, distribution, network
from audit.data.worlds.portraits.look import MONK, look
from audit.data.worlds.portraits.people import People, people
from audit.data.worlds.portraits.tables import DOCUMENT, rendered
from audit.data.worlds.portraits.world import DOSES, Portraits, plan_of

FOLDER = Path(world.__file__).parent
SMALL = {"train": 400, "holdout": 100}


def digest(pixels: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=8).hexdigest()


@pytest.fixture(scope="module")
def crowd() -> tuple[People, np.ndarray]:
    who = people(7, range(3000), 0.5)
    return who, portraits(who)


GOLDEN = {
    0: "38993d501b8a288f",
    1: "960fc54dc8ea98a9",
    24_999: "3f54bf06b77aabd1",
    2**31: "acd401b3f287f1f4",
}


def test_the_same_bytes_as_ever() -> None:
    found = {number: digest(portraits(people(0, [number], 0.5))) for number in GOLDEN}
    assert found == GOLDEN
    assert digest(portraits(people(1, range(600), 0.9))) == "c1eb18b09b7714dc"


def test_anyone_can_be_made_alone_and_in_any_order(crowd: tuple[People, np.ndarray]) -> None:
    _, pixels = crowd
    for number in (0, 1, 300, 2999):
        np.testing.assert_array_equal(portraits(people(7, [number], 0.5))[0], pixels[number])
    some = [2500, 3, 3, 999, 17]
    np.testing.assert_array_equal(portraits(people(7, some, 0.5)), pixels[some])


def test_drawing_uses_exact_arithmetic_alone() -> None:
    """IEEE 754 defines these to the last bit; a sum over an axis, a power or a sine would depend on the machine."""
    exact = {
        "abs", "arange", "argsort", "asarray", "array", "broadcast_to", "clip", "empty", "flatnonzero", "lexsort",
        "float32", "floor", "generic", "int16", "int64", "intp", "maximum", "minimum", "sqrt", "uint8",
        "uint16", "where", "zeros", "bool_", "floating",
    }  # fmt: skip
    for name in ("canvas", "drawing", "dress", "hair", "headwear", "look"):
        tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
        used = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np"
        }
        assert used <= exact, name
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.Pow | ast.MatMult)], name


@pytest.mark.parametrize("skew", [0.0, 0.5, 1.0])
def test_shares_follow_the_documented_distribution(skew: float) -> None:
    from scipy.stats import chisquare

    n = 20_000
    codes = people(3, range(n), skew).codes
    sets = [(name,) for name in FACTORS]
    sets += [("occupation", "skin_tone"), ("occupation", "presentation"), ("skin_tone", "presentation")]
    sets += [("occupation", "headwear"), ("headwear", "hair"), ("age", "hair_colour"), ("age", "facial_hair")]
    sets += [
        ("occupation", "skin_tone", "presentation"),
        ("backdrop", "pattern", "expression"),
        ("skin_tone", "hair_colour"),
    ]
    for names in sets:
        expected = n * distribution(skew, *names)
        observed = np.zeros(expected.shape)
        np.add.at(observed, tuple(codes[name] for name in names), 1)
        possible = expected > 1e-9
        assert observed[~possible].sum() == 0, names
        assert chisquare(observed[possible], expected[possible]).pvalue > 1e-3, names


def test_the_associations_are_those_of_the_document() -> None:
    tones, occupations = FACTORS["skin_tone"], FACTORS["occupation"]
    for skew in (0.0, 0.25, 1.0):
        joint = distribution(skew, "occupation", "skin_tone", "presentation")
        np.testing.assert_allclose(joint.sum(axis=(0, 2)), 0.1)
        np.testing.assert_allclose(joint.sum(axis=(0, 1)), 0.5)
        np.testing.assert_allclose(joint.sum(axis=(1, 2)), [0.2] + [0.08] * 10)
        given = joint / joint.sum(axis=(1, 2), keepdims=True)
        nurse, judge = occupations.index("nurse"), occupations.index("judge")
        np.testing.assert_allclose(given[nurse].sum(axis=0)[0], 0.5 + skew * 0.4)
        np.testing.assert_allclose(given[judge].sum(axis=1)[0], 0.1 * (1 + skew * 0.8))
        darkest = given[judge, len(tones) - 1]
        np.testing.assert_allclose(darkest[0] / darkest.sum(), 0.5 + skew * (-0.15 - 0.15))
    np.testing.assert_allclose(
        distribution(0.0, "occupation", "skin_tone", "presentation"),
        np.einsum("i,j,k->ijk", [0.2] + [0.08] * 10, [0.1] * 10, [0.5, 0.5]),
    )


def test_every_association_can_occur() -> None:
    for node in network(1.0):
        assert node.weights.min() >= 0
        assert (node.weights.sum(axis=-1) > 0).all(), node.name


def test_duplicates_are_where_the_columns_say_and_nowhere_else() -> None:
    ref = Portraits.refer({"train": 4000, "holdout": 400})
    train, holdout = Portraits.load(ref, "train"), Portraits.load(ref, "holdout")
    looks = [digest(pixels) for pixels in images_of(train)]
    absent = {digest(pixels) for pixels in images_of(holdout)}
    assert len(absent) == 400
    assert absent.isdisjoint(looks)
    times = Counter(looks)
    assert Counter(times.values()) == {1: 4000 - 2 * sum(DOSES[1:]), **dict.fromkeys(DOSES[1:], 2)}
    ids, originals = train.column("id").to_pylist(), train.column("duplicate_of").to_pylist()
    assert len(set(ids) | set(holdout.column("id").to_pylist())) == 4400
    of = dict(zip(ids, looks, strict=True))
    assert train.column("dose").to_pylist() == [str(times[look]) for look in looks]
    assert all(original is None or of[original] == of[i] for i, original in zip(ids, originals, strict=True))
    assert sum(o is not None for o in originals) == 2 * sum(dose - 1 for dose in DOSES)
    assert set(holdout.column("dose").to_pylist()) == {"0"}
    chosen = [
        d
        for d, p, o in zip(
            train.column("dose").to_pylist(), train.column("planted").to_pylist(), originals, strict=True
        )
        if p == "yes" and o is None
    ]
    assert Counter(chosen) == {str(dose): 2 for dose in DOSES}


def test_splits_are_disjoint_and_dealt_by_the_seed() -> None:
    plan = plan_of(Portraits.refer(SMALL))
    members, others = set(plan.train.tolist()), set(plan.holdout.tolist())
    assert members.isdisjoint(others)
    assert len(plan.train) == 400
    assert sorted(members | others) == list(range(500 - sum(dose - 1 for dose in DOSES)))
    other = plan_of(Portraits.refer({**SMALL, "seed": 1}))
    assert set(other.holdout.tolist()) != others
    plain = plan_of(Portraits.refer({**SMALL, "duplicates": False}))
    assert len(set(plain.train.tolist())) == 400
    assert not plain.planted


def around_faces(who: People, pixels: np.ndarray) -> np.ndarray:
    """Return the pixels on a grid laid upon each figure, and how much each differs from its neighbours."""
    seen, steps, each = look(who), np.arange(-13, 14), np.arange(len(who))
    columns = np.floor(ORIGIN[0] + seen.across[:, None] + seen.scale[:, None] * steps)
    rows = np.floor(ORIGIN[1] + seen.down[:, None] + seen.scale[:, None] * (steps + 2))
    u, v = (np.clip(lines, 0, 31).astype(int) for lines in (columns, rows))
    laid = pixels[each[:, None, None], v[:, :, None], u[:, None, :]].astype(np.float32)
    beside, below = np.abs(np.diff(laid, axis=2))[:, :26], np.abs(np.diff(laid, axis=1))[:, :, :26]
    return np.concatenate([laid[:, :26, :26], beside, below], axis=3).reshape(len(who), -1) / 255


def test_every_factor_can_be_read_from_the_pixels(crowd: tuple[People, np.ndarray]) -> None:
    """A ridge regression on 2,200 people reads each factor of 800 others with at most 3/4 of the errors of the best constant guess."""
    who, pixels = crowd
    shown = around_faces(who, pixels)
    X = np.hstack([shown, np.ones((len(shown), 1), np.float32)])
    answers = np.hstack([np.eye(len(v), dtype=np.float32)[who.codes[n]] for n, v in FACTORS.items()])
    learnt, seen = slice(0, 2200), slice(2200, None)
    gram = X[learnt] @ X[learnt].T
    gram[np.diag_indices_from(gram)] += 30
    scores = X[seen] @ (X[learnt].T @ np.linalg.solve(gram, answers[learnt]))
    ends = np.cumsum([len(values) for values in FACTORS.values()])[:-1]
    for name, block in zip(FACTORS, np.split(scores, ends, axis=1), strict=True):
        truth = who.codes[name][seen]
        wrong, guessing = (block.argmax(axis=1) != truth).mean(), 1 - np.bincount(truth).max() / len(truth)
        assert wrong < 0.75 * guessing, f"{name}: {wrong:.2f} against {guessing:.2f}"


def test_changing_any_factor_changes_what_is_seen() -> None:
    """Bare-headed adults: any two values of a factor differ on everybody by much more than the noise."""
    who = people(11, range(60), 0.5).wearing(
        age="adult",
        presentation="masculine",
        headwear="none",
        hair="short",
        facial_hair="none",
        glasses="none",
    )
    for name, values in FACTORS.items():
        drawn = [portraits(who.wearing(**{name: value})).astype(float) for value in values]
        for i, one in enumerate(drawn):
            for other in drawn[:i]:
                changed = (np.abs(one - other).max(axis=3) > 2).sum(axis=(1, 2))
                assert np.median(changed) >= 5, (name, changed)


def test_skin_has_the_published_colours() -> None:
    """Median cheek of a bare face: at most two levels (one of variation, one of noise) from the published colour."""
    who = people(0, range(40), 0.0)
    for code, tone in zip(MONK, FACTORS["skin_tone"], strict=True):
        bare = who.wearing(
            skin_tone=tone, age="adult", facial_hair="none", glasses="none", hair="bald", headwear="none"
        )
        face = portraits(bare)[:, 13:19, 13:19].reshape(40, -1, 3)
        wanted = np.array(list(bytes.fromhex(code)))
        near = (np.abs(face.astype(int) - wanted).max(axis=2) <= 2).mean(axis=1)
        assert near.min() > 0.15, tone


def test_two_people_of_the_same_factors_differ_much() -> None:
    alike = people(5, range(200), 0.5).wearing(**{name: values[0] for name, values in FACTORS.items()})
    pixels = portraits(alike).reshape(200, -1).astype(int)
    apart = np.sqrt(((pixels[:100] - pixels[100:]) ** 2).mean(axis=1))
    assert apart.min() > 3


def test_the_document_states_what_the_code_does() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert rendered(text) == text
    for name, values in FACTORS.items():
        assert f"`{name}`" in text
        assert all(value in text for value in values)


def test_wrong_options_splits_and_bytes_are_refused() -> None:
    for options, said in (
        ({"skwe": 0.1}, "Did you mean 'skew'"),
        ({"skew": 1.5}, "number from 0"),
        ({"skew": float("nan")}, "number from 0"),
        ({"skew": "much"}, "number from 0"),
        ({"skew": True}, "number from 0"),
        ({"train": 0}, "whole number from 1"),
        ({"train": 100}, "duplicates = false"),
        ({"holdout": 2.5}, "whole number"),
        ({"seed": -1}, "whole number from 0"),
        ({"duplicates": "no"}, "true or false"),
    ):
        with pytest.raises(InputError, match=said):
            Portraits.refer(options)
    ref = Portraits.refer(SMALL)
    with pytest.raises(InputError, match="no split 'test'"):
        Portraits.load(ref, "test")
    with pytest.raises(InputError, match="has changed"):
        Portraits.load(DataRef("portraits", "0" * 40, ref.options), "train")  # type: ignore[arg-type]


def test_the_card_says_what_is_known() -> None:
    card = Portraits.describe(Portraits.refer({}))
    assert card.splits == (("train", 20_000), ("holdout", 5_000))
    assert card.randomised
    assert card.groups == tuple(FACTORS)
    assert any("60 people" in note for note in card.notes)
    assert Portraits.refer({}) == Portraits.refer({"skew": 0.5, "seed": 0})
    assert Portraits.refer({}) != Portraits.refer({"skew": 0.4})


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from audit.data.worlds.portraits.world import Portraits\n"
        "Portraits.describe(Portraits.refer({}))\n"
        "print([m for m in ('torch', 'sklearn', 'PIL', 'scipy', 'pyarrow', 'transformers') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
