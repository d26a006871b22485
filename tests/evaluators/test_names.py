"""Names as random effects: a planted gap, names that are only rarer, judgements that follow nothing, and names of a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.errors import InputError
from audit.core.measurements import Interval, Measurement, Undefined
from audit.data.text import TextFiles
from audit.evaluators.fairness.names.effects import dealt, effects, flips, group_means
from audit.evaluators.fairness.names.evaluator import NameSubstitution
from audit.evaluators.fairness.names.own import own_names, sentences
from audit.stats.clusters import crossed_difference
from audit.stats.simultaneous import mean_gaps
from audit.testing.evaluators import check_evaluator, check_planted
from tests.evaluators.conftest import kitchen
from tests.evaluators.fake_language import language_subject, noise

QUICK = NameSubstitution(permutations=199)
COLUMNS = dict(own_names().columns)
GROUP = dict(zip(COLUMNS["name"], COLUMNS["group"], strict=True))
GOOD = {f" {s.favourable}" for s in sentences()}
BAD = {f" {s.unfavourable}" for s in sentences()}


class Judge:
    """Judges people of some groups better by some nats, each name a little differently, and follows praise and complaints."""

    def __init__(
        self,
        better: dict[str, float],
        *,
        each: float = 0.2,
        follows: float = 2.0,
        rare: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.better, self.each, self.follows, self.rare, self.seed = better, each, follows, rare, seed

    def score(self, prefix: str, text: str) -> float:
        name = next((n for n in GROUP if f"{n} " in f"{prefix} " or f"{n}," in prefix), "")
        if text.strip() in GROUP:
            return -8.0 + noise(text, "common", seed=self.seed)
        if text not in GOOD | BAD:
            return -9.0
        lean = self.better.get(GROUP.get(name, ""), 0.0) + self.each * noise(name, seed=self.seed)
        lean += 0.3 * noise(name, prefix.replace(name, "{}"), seed=self.seed) + self.rare * noise(
            f" {name}", "common", seed=self.seed
        )
        lean += self.follows * (("praises" in prefix) - ("complains" in prefix))
        return -4.0 + (lean / 2 if text in GOOD else -lean / 2)

    def token_scores(self, rows: Any) -> Any:
        columns = (rows.column(name).to_pylist() for name in ("prefix", "text"))
        found = [[self.score(*asked)] for asked in zip(*columns, strict=True)]
        return pa.table({"logp": pa.array(found, pa.list_(pa.float64()))})


def by_metric(outcomes: Any) -> dict[str, Any]:
    return {o.metric.removeprefix("fairness.names."): o for o in outcomes if not o.group}


def interval(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


def test_a_planted_gap_is_in_its_interval_and_named(score: Any) -> None:
    outcomes = score(QUICK, language_subject(), model=Judge({"Black": -0.5, "white": 0.2}))
    found = by_metric(outcomes)
    assert interval(found["gap"]).low <= 0.7 <= interval(found["gap"]).high
    assert interval(found["gap"]).low > 0.4
    assert found["gap"].p_value == pytest.approx(1 / 200)
    assert "white above Black" in found["gap"].notes[0]
    assert found["gap"].n == 128
    sides = {o.group: o for o in outcomes if o.group}
    assert set(sides) == {(("names", g),) for g in set(GROUP.values())} | {
        (("gender", "women"),),
        (("gender", "men"),),
    }
    assert interval(sides[(("names", "Black"),)]).high < 0
    picture, table, units = found["gap"].evidence
    assert picture.content.num_rows == 6
    assert table.content.num_rows == 20
    assert set(table.content.column("group").to_pylist()[:5]) == {"Black"}
    assert units.content.num_rows == 128


def test_a_model_that_judges_nobody_by_name_is_cleared(score: Any) -> None:
    found = by_metric(score(QUICK, language_subject(), model=Judge({}, seed=4)))
    assert interval(found["gap"]).low == 0.0
    assert found["gap"].p_value > 0.02
    assert found["gap"].value > 0, "the largest of six gaps is never quite 0"


def test_the_null_case_deals_names_out_and_a_planted_gap_is_found() -> None:
    made = kitchen(Judge({"Black": -0.6}, each=0.1))
    outcomes = check_evaluator(QUICK, language_subject(), made)
    gap = next(o for o in outcomes if o.metric == "fairness.names.gap")
    assert gap.value > gap.noise_floor
    controls = check_planted(QUICK, language_subject(), 1.0, made)
    assert [c.right for c in controls] == [True, True]
    groups, genders = np.array(COLUMNS["group"]), np.array(COLUMNS["gender"])
    mixed = dealt(groups, genders, np.random.default_rng(0))
    counts = {(a, b): int(((groups == a) & (mixed == b)).sum()) for a in set(groups) for b in set(groups)}
    assert set(counts.values()) == {8}, "each group's names are dealt out evenly"


def test_a_gap_of_frequency_alone_goes_when_names_are_compared_as_common(score: Any) -> None:
    class Rarer(Judge):
        def score(self, prefix: str, text: str) -> float:
            value = super().score(prefix, text)
            return value - 2.0 * (GROUP.get(text.strip()) == "Asian")

    class Follows(Rarer):
        """What it says of a name goes with how common the name is, and with nothing else."""

        def score(self, prefix: str, text: str) -> float:
            name = next((n for n in GROUP if f"{n} " in f"{prefix} " or f"{n}," in prefix), "")
            common = super().score("", f" {name}") + 8.0 if name else 0.0
            shift = 0.4 * common if text in GOOD else 0.0
            return super().score(prefix, text) + shift

    found = by_metric(score(QUICK, language_subject(), model=Follows({}, each=0.05)))
    assert interval(found["gap"]).low > 0.3
    assert interval(found["gap_at_equal_frequency"]).low == 0.0
    assert found["gap_at_equal_frequency"].value < 0.2


@pytest.mark.parametrize(
    ("follows", "wrong", "why"), [(0.0, -9.0, "follow nothing"), (2.0, -1.0, "does not know the language")]
)
def test_a_model_whose_judgement_follows_nothing_is_not_called_fair(
    score: Any, follows: float, wrong: float, why: str
) -> None:
    class Odd(Judge):
        def score(self, prefix: str, text: str) -> float:
            return (
                wrong if text not in GOOD | BAD and text.strip() not in GROUP else super().score(prefix, text)
            )

    found = by_metric(score(QUICK, language_subject(), model=Odd({"Black": -1.0}, follows=follows)))
    assert isinstance(found.pop("competence"), Measurement)
    assert set(found) == {"gap", "gap_at_equal_frequency", "difference"}
    for outcome in found.values():
        assert isinstance(outcome, Undefined)
        assert why in outcome.reason


def test_names_that_the_training_texts_do_not_hold_are_left_out(score: Any) -> None:
    def told(names: list[str]) -> dict[str, Any]:
        splits = {"train": pa.table({"text": [f"This is {n}." for n in names for _ in range(5)] + ["."]})}
        return by_metric(score(QUICK, language_subject(splits, learnt=True), model=Judge({}), splits=splits))

    some = told([n for n, g in GROUP.items() if g in ("Black", "white")][:60])
    assert some["gap"].n == 60
    assert (
        "Left out, with fewer than 10 names named in five training texts or more: Hispanic, Asian."
        in some["gap"].notes
    )
    none = told(["Brebbabin"])
    assert isinstance(none["gap"], Undefined)
    assert "bring names that the model has read" in none["gap"].reason


def test_names_of_any_script_come_from_a_file(score: Any, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    file = tmp_path / "names.csv"
    lines = [
        f"{n}{i},{g}"
        for g, n in (("ΕΛ", "Ελένη"), ("ไทย", "สมชาย"), ("few", "Kim"))
        for i in range(12 if g != "few" else 3)
    ]
    file.write_text("name,group\n" + "\n".join(lines) + "\nalone\n", encoding="utf-8")
    ref = TextFiles.refer({"path": str(tmp_path / "texts.txt"), "names": str(file)})
    assert "row 29 (1 cells under 2 headings)" in " ".join(TextFiles.describe(ref).problems)
    names = TextFiles.load(ref, "names")
    splits = {"names": names}
    known = dict(zip(names.column("name").to_pylist(), names.column("group").to_pylist(), strict=True))

    class Local(Judge):
        def score(self, prefix: str, text: str) -> float:
            name = max((n for n in known if n in prefix), key=len, default="")
            bonus = 1.0 * (known.get(name) == "ไทย") * (text in GOOD)
            return super().score(prefix, text) + bonus + 0.1 * noise(name)

    found = by_metric(score(QUICK, language_subject(splits), model=Local({}), splits=splits))
    assert interval(found["gap"]).low <= 1.0 <= interval(found["gap"]).high
    assert any("Left out" in note and "few" in note for note in found["gap"].notes)
    file.write_text("person,group\na,b\n", encoding="utf-8")
    with pytest.raises(InputError, match="no field 'name'"):
        TextFiles.refer({"path": str(tmp_path / "texts.txt"), "names": str(file)})


def test_a_name_that_was_given_before_is_left_out_with_its_row(tmp_path: Path) -> None:
    first = "\n".join(f"Name{i},{'ab'[i % 2]}" for i in range(30))
    (tmp_path / "names.csv").write_text(f"name,group\nŠárka,a\n{first}\nS\u030cárka,b\n", "utf-8")
    (tmp_path / "texts.txt").write_text("Some words.\n")
    given = {"names": str(tmp_path / "names.csv"), "holdout": str(tmp_path / "texts.txt")}
    assert TextFiles.load(TextFiles.refer(given), "names").num_rows == 31
    (problem,) = (p for p in TextFiles.describe(TextFiles.refer(given)).problems if "names.csv" in p)
    assert "row 33" in problem
    assert "given before in the group a" in problem


def test_two_groups_are_the_crossed_difference() -> None:
    rng = np.random.default_rng(1)
    y, which = rng.normal(size=(40, 10)) + rng.normal(size=(40, 1)), np.repeat([0, 1], 20)
    means, covariance, _ = group_means(y, which)
    rows, columns = (labels.ravel() for labels in np.indices(y.shape))
    gap, found = crossed_difference(y.ravel(), rows, columns, (which == 1)[rows])
    assert means[1] - means[0] == pytest.approx(gap)
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    from scipy import stats

    assert error == pytest.approx(found.half_width / stats.t.ppf(0.975, 9), rel=0.06)


def test_flips_are_counted_by_hand() -> None:
    decided = np.array([[1, 1], [1, 0], [0, 0], [0, 0]], dtype=bool)
    within, across = flips(decided, np.array([0, 0, 1, 1]))
    assert within == pytest.approx((0 + 1 + 0 + 0) / 4)
    assert across == pytest.approx((1.0 + 0.5) / 2)


def covered(repeats: int, spreads: tuple[float, float], true: np.ndarray, seed: int = 2) -> float:
    """Return how often the interval of the largest gap holds it: names vary by one spread, sentences move groups by the other."""
    rng, held = np.random.default_rng(seed), 0
    which = np.repeat(np.arange(4), 32)
    for _ in range(repeats):
        y = true[which][:, None] + spreads[0] * rng.normal(size=(128, 1)) + rng.normal(size=(1, 12))
        y = y + spreads[1] * rng.normal(size=(4, 12))[which] + 0.5 * rng.normal(size=(128, 12))
        means, covariance, degrees = group_means(y, which)
        found = mean_gaps(means, covariance, rng, degrees=degrees, draws=2000).spread
        held += found.low <= true.max() - true.min() <= found.high
    return held / repeats


def test_the_interval_of_the_largest_gap_covers() -> None:
    assert covered(80, (0.3, 0.1), np.zeros(4)) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("spreads", [(0.3, 0.0), (0.3, 0.2), (0.05, 0.3)])
@pytest.mark.parametrize(
    "true", [np.zeros(4), np.array([0.0, 0.0, 0.0, 0.5]), np.array([0.0, 0.1, 0.2, 0.3])]
)
def test_the_interval_of_the_largest_gap_covers_at_its_level(
    spreads: tuple[float, float], true: np.ndarray
) -> None:
    assert covered(500, spreads, true) >= 0.93


@pytest.mark.slow
def test_false_alarms_are_rare_over_repeats() -> None:
    """Over 200 models that judge nobody by name, the p-value is below .05 and the interval above 0 in about one of twenty or fewer."""
    from audit.evaluators.fairness.names.effects import Answers

    rng, alarms, excluded = np.random.default_rng(8), 0, 0
    groups, genders = np.array(COLUMNS["group"]), np.array(COLUMNS["gender"])
    for _ in range(200):
        y = 0.3 * rng.normal(size=(128, 1)) + rng.normal(size=(1, 12)) + 0.5 * rng.normal(size=(128, 12))
        yes = np.ones((8, 12), dtype=bool)
        asked = Answers(COLUMNS["name"], groups, genders, y, rng.normal(size=128), np.ones(128), yes, yes)
        found = effects(asked, np.ones(128, bool), rng, permutations=199)
        alarms += found.p <= 0.05
        excluded += found.gap_interval.low > 0
    assert alarms <= 18
    assert excluded <= 18


def test_the_own_names_are_what_they_say() -> None:
    assert len(set(COLUMNS["name"])) == len(COLUMNS["name"])
    for group in set(COLUMNS["group"]):
        assert COLUMNS["group"].count(group) >= 30
    assert len(set(COLUMNS["group"])) >= 4
    assert len(sentences()) >= 10
    assert all(
        "{name}" in s.beginning and len({s.favourable, s.unfavourable, *s.wrong}) == 4 for s in sentences()
    )


def test_bad_parameters_are_refused() -> None:
    for wrong in ({"probes": "x"}, {"permutations": 5}, {"level": 0.1}):
        with pytest.raises(InputError, match=r"fairness\.names"):
            NameSubstitution(**wrong)
    assert len(NameSubstitution(probes="data").unmet(language_subject())) == 1
