"""Near copies: planted ones are found and named, clean and blurred models are not failed, and blanks are blank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind, detectable
from audit.core.data_facts import Copies, Overlap
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.register import AT_RISK
from audit.core.rows import image_rows, images_of, text_rows, texts_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.privacy.copies.alterations import COMPRESSED, CROPPED, MIRRORED, altered, beside
from audit.evaluators.privacy.copies.near_copies import NearCopies
from audit.stats.copying import DataCopying
from audit.testing.evaluators import check_evaluator, check_null, check_planted
from audit.testing.memory import HandedOut, Kitchen

SIDE = 8
TRAIN, HOLDOUT, SAMPLES = 600, 400, 400
SIZES = {"train": TRAIN, "holdout": HOLDOUT}


def pictures(rng: np.random.Generator, n: int) -> Any:
    """Smooth random pictures: eight grey blobs' worth of factors each, and a little noise."""
    coarse = rng.normal(size=(n, 4, 4))
    fine = np.kron(coarse, np.ones((2, 2))) + 0.05 * rng.normal(size=(n, SIDE, SIDE))
    return np.clip(128 + 40 * fine, 0, 255).astype(np.uint8)[..., None]


def vectors(rows: Any) -> Any:
    images = images_of(rows)
    return images.reshape(len(images), -1) / 255.0


class Painter:
    """Draws pictures; a share of them repeats the first ``known`` training pictures, through ``again``."""

    def __init__(
        self, train: Any, share: float, known: int = 20, again: Callable[[Any], Any] = lambda x: x
    ) -> None:
        self.train, self.share, self.known, self.again = train, share, known, again

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        drawn = pictures(rng, n)
        copied = rng.random(n) < self.share
        drawn[copied] = self.again(self.train[rng.integers(0, self.known, int(copied.sum()))])
        return image_rows(drawn)


def subject(
    doses: tuple[float, ...] = (), modality: str = "image", dimensions: int = SIDE * SIDE, **card: Any
) -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", modality, 1),
        offers=frozenset({Capability.SAMPLE}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard(modality, (("train", TRAIN), ("holdout", HOLDOUT)), randomised=True, **card),
        extractors=(("features", ExtractorRef("pixels", Digest("2" * 40), dimensions, modality)),),
        sample_size=SAMPLES,
        seed=0,
        shard_size=150,
        doses=doses,
    )


@pytest.fixture(scope="module")
def real() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"train": pictures(rng, TRAIN), "holdout": pictures(rng, HOLDOUT)}


def measured(
    real: dict[str, Any], model: Any, asked: Subject | None = None, **parameters: Any
) -> tuple[dict[str, Measurement], Any, Kitchen]:
    splits = {name: image_rows(images) for name, images in real.items()}
    kitchen = Kitchen(bench=HandedOut(model, splits, vectors))
    found = kitchen.ask(NearCopies(**{"permutations": 199, **parameters}), asked or subject())
    by_name = {
        o.metric.removeprefix("privacy.copies."): o for o in found.outcomes if isinstance(o, Measurement)
    }
    return by_name, found, kitchen


def listed(measurement: Measurement) -> list[dict[str, Any]]:
    (table,) = (e.content for e in measurement.evidence if e.kind == AT_RISK)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


@pytest.mark.parametrize("how", ["as it is", MIRRORED, COMPRESSED])
def test_copies_are_found_and_the_training_rows_are_named(real: dict[str, Any], how: str) -> None:
    again = (lambda x: x) if how == "as it is" else (lambda x: altered(x, how))
    found, _, _ = measured(real, Painter(real["train"], 0.3, again=again))
    excess = found["excess"]
    assert isinstance(excess.uncertainty, Interval)
    assert excess.uncertainty.low > 0.2
    rows = listed(excess)
    named = {row["row"] for row in rows}
    assert named >= set(range(20)), "every training row that was repeated"
    assert len(named) <= 21, "and at most one in twenty that was not"
    assert sum(row["times"] for row in rows) == pytest.approx(0.3 * SAMPLES, rel=0.2)
    (pairs,) = (e for e in excess.evidence if e.kind == "images")
    assert pairs.sensitive
    shown = images_of(pairs.content)
    assert shown.shape[1:] == (SIDE, 2 * SIDE + 2, 1), "the sample, two white columns, the original"
    numbers = pairs.content.column("training row").to_pylist()
    np.testing.assert_array_equal(shown[0][:, SIDE + 2 :], real["train"][numbers[0]])
    assert set(pairs.content.column("sample is").to_pylist()) == {MIRRORED if how == MIRRORED else "as it is"}


def test_a_clean_model_and_a_blurred_one_repeat_nothing(real: dict[str, Any]) -> None:
    blurred = Painter(real["train"], 1.0, TRAIN)
    blurred.sample = lambda n, rng, condition=None: image_rows(  # type: ignore[method-assign]
        (128 + 0.3 * (pictures(rng, n).astype(float) - 128)).astype(np.uint8)
    )
    for model in (Painter(real["train"], 0.0), blurred):
        found, controls, _ = measured(real, model)
        excess = found["excess"]
        assert isinstance(excess.uncertainty, Interval)
        assert excess.uncertainty.low < 0 < 0.05 > excess.value
        assert listed(excess) == []
        assert all(e.kind != "images" for e in excess.evidence)
        assert not any(m.void for m in found.values())
        assert {c.kind for c in controls.controls} == {CaseKind.NULL}


def test_a_blurred_model_would_fail_by_bare_distances(real: dict[str, Any]) -> None:
    """Why closeness is relative: C_T and authenticity call a model copying that only draws typical pictures."""
    typical = Painter(real["train"], 0.0)
    typical.sample = lambda n, rng, condition=None: image_rows(  # type: ignore[method-assign]
        (128 + 0.3 * (pictures(rng, n).astype(float) - 128)).astype(np.uint8)
    )
    found, _, _ = measured(real, typical)
    assert found["data_copying"].value < -5
    assert found["excess"].value <= 0.01


def test_training_images_handed_in_as_samples_are_all_copies(real: dict[str, Any]) -> None:
    whole = Painter(real["train"], 1.0, TRAIN)
    found, _, _ = measured(real, whole)
    assert found["excess"].value == pytest.approx(0.99, abs=0.001)
    assert found["exact"].value == 1.0
    assert found["nearest_excess"].p_value == pytest.approx(1 / 200)
    assert found["inauthentic"].value > 0.2
    assert len(listed(found["excess"])) > 250


def test_one_exact_copy_is_listed_though_no_share_shows_it(real: dict[str, Any]) -> None:
    model = Painter(real["train"], 0.0)
    plain = model.sample

    def one(n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        drawn = images_of(plain(n, rng)).copy()
        drawn[3] = real["train"][77]
        return image_rows(drawn)

    model.sample = one  # type: ignore[method-assign]
    found, _, _ = measured(real, model)
    assert [row["row"] for row in listed(found["excess"])] == [77]


def test_copies_within_the_training_data_hide_nothing(real: dict[str, Any]) -> None:
    """A picture that occurs 200 times is its own neighbourhood; one of its copies is kept."""
    train = real["train"].copy()
    train[100:300] = train[5]
    rows = (5, *range(100, 300))
    asked = subject(copies=(Copies("train", (rows,), 200, TRAIN, TRAIN),))
    again = Painter(train, 0.3, again=lambda x: np.repeat(train[5:6], len(x), axis=0) + np.uint8(1))
    found, _, _ = measured({**real, "train": train}, again, asked)
    assert found["excess"].value > 0.2
    assert [row["row"] for row in listed(found["excess"])] == [5]


def test_planted_copies_are_found_down_to_a_dose_that_is_said(real: dict[str, Any]) -> None:
    found, controls, _ = measured(real, Painter(real["train"], 0.0), subject(doses=(0.05, 0.2, 0.4)))
    assert not found["excess"].void
    caught = detectable(controls.controls)
    assert caught["privacy.copies.excess", (), "copies"] <= 0.2


def test_the_evaluator_keeps_its_contract(real: dict[str, Any]) -> None:
    splits = {name: image_rows(images) for name, images in real.items()}
    kitchen = Kitchen(bench=HandedOut(Painter(real["train"], 0.0), splits, vectors))
    assert check_planted(NearCopies(permutations=99), subject(), 0.3, kitchen)
    assert check_null(NearCopies(permutations=99), subject(), kitchen)
    assert check_evaluator(NearCopies(permutations=99), subject(), kitchen)


def test_a_holdout_that_was_trained_on_is_refused_and_a_few_rows_of_it_left_out(real: dict[str, Any]) -> None:
    many = Overlap("train", "holdout", tuple(range(40)), (), HOLDOUT, HOLDOUT)
    (gap,) = NearCopies().unmet(subject(overlaps=(many,)))
    assert "40 of 400" in gap.found
    few = Overlap("train", "holdout", (0, 1), (), HOLDOUT, HOLDOUT)
    asked = subject(overlaps=(few,))
    assert NearCopies().unmet(asked) == ()
    holdout = real["holdout"].copy()
    holdout[:2] = real["train"][:2]
    found, _, _ = measured({**real, "holdout": holdout}, Painter(real["train"], 0.3), asked)
    assert any("2 rows of 'holdout'" in note for note in found["excess"].notes)
    assert found["excess"].value > 0.2


def test_rows_of_numbers_and_of_words_are_compared_as_well() -> None:
    rng = np.random.default_rng(1)
    parts = {name: rng.normal(size=(n, 4)) for name, n in (("train", TRAIN), ("holdout", HOLDOUT))}

    def table(values: Any) -> Any:
        return pa.table({f"c{i}": column for i, column in enumerate(values.T)})

    class Teller:
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            drawn = rng.normal(size=(n, 4))
            drawn[::3] = parts["train"][rng.integers(0, 10, len(drawn[::3]))]
            return table(drawn)

    def read(rows: Any) -> Any:
        return np.column_stack([rows.column(i).to_numpy() for i in range(rows.num_columns)])

    splits = {name: table(values) for name, values in parts.items()}
    kitchen = Kitchen(bench=HandedOut(Teller(), splits, read))
    excess = kitchen.measure(NearCopies(permutations=99), subject(modality="table", dimensions=4))[0]
    assert isinstance(excess, Measurement)
    assert excess.value > 0.25
    (pairs,) = (e.content for e in excess.evidence if e.kind == "table")
    assert pairs.column("sample: c0").to_pylist() == pairs.column("training: c0").to_pylist()


def test_cropped_training_images_are_found_where_they_are_asked_for(real: dict[str, Any]) -> None:
    model = Painter(real["train"], 0.3, again=lambda x: altered(x, CROPPED))
    without, _, _ = measured(real, model)
    found, _, _ = measured(real, model, variants=(MIRRORED, CROPPED))
    assert found["excess"].value > 0.25 > without["excess"].value
    (pairs,) = (e.content for e in found["excess"].evidence if e.kind == "images")
    assert set(pairs.column("sample is").to_pylist()) == {CROPPED}


@pytest.mark.parametrize(
    "wrong", [{"k": 1}, {"permutations": 10}, {"examples": -1}, {"variants": ("tilted",)}]
)
def test_parameters_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        NearCopies(**wrong)


def test_one_record_over_and_over_is_no_training_set_to_compare_with() -> None:
    copies = Copies("train", (tuple(range(TRAIN - 50)),), TRAIN - 51, TRAIN, TRAIN)
    (gap,) = NearCopies().unmet(subject(copies=(copies,)))
    assert gap.found == "51 different ones among 600 rows"


def test_texts_stand_one_after_the_other() -> None:
    rng = np.random.default_rng(2)
    texts = {
        name: [" ".join(map(str, rng.integers(0, 99, 6))) for _ in range(n)] for name, n in SIZES.items()
    }

    class Reciter:
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            drawn = [" ".join(map(str, rng.integers(0, 99, 6))) for _ in range(n)]
            drawn[::4] = [texts["train"][i] for i in rng.integers(0, 5, len(drawn[::4]))]
            return text_rows(drawn)

    def read(rows: Any) -> Any:
        return np.array([[float(word) for word in text.split()] for text in texts_of(rows)])

    splits = {name: text_rows(values) for name, values in texts.items()}
    kitchen = Kitchen(bench=HandedOut(Reciter(), splits, read))
    excess = kitchen.measure(NearCopies(permutations=99), subject(modality="text", dimensions=6))[0]
    assert isinstance(excess, Measurement)
    assert excess.value > 0.2
    (pairs,) = (e for e in excess.evidence if e.kind == "texts")
    assert pairs.content.column("text").to_pylist() == pairs.content.column("prefix").to_pylist()


@pytest.mark.slow
def test_blanks_give_false_alarms_no_more_often_than_they_say() -> None:
    """200 models that learnt nothing of their training pictures: excess above 0, records named, p-values of the shuffled split."""
    alarms = named = 0
    p_values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        parts = {"train": pictures(rng, TRAIN), "holdout": pictures(rng, HOLDOUT)}
        found, _, _ = measured(parts, Painter(parts["train"], 0.0), replace(subject(), seed=seed))
        interval = found["excess"].uncertainty
        assert isinstance(interval, Interval)
        alarms += interval.low > 0
        named += bool(listed(found["excess"]))
        p_values.append(found["nearest_excess"].p_value)
    assert alarms <= 10, "5 % of 200"
    assert named <= 10
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_a_picture_cropped_is_the_same_picture_a_little_larger(real: dict[str, Any]) -> None:
    cropped = altered(real["train"][:5], CROPPED)
    assert cropped.shape == (5, SIDE, SIDE, 1)
    with pytest.raises(ValueError, match="not altered by 'tilted'"):
        altered(real["train"][:5], "tilted")


def test_a_sample_and_its_original_stand_side_by_side_whatever_their_size_and_colour(
    real: dict[str, Any],
) -> None:
    large = np.zeros((2, 12, 10, 3), np.uint8)
    pairs = images_of(beside(image_rows(large), image_rows(real["train"][:2]), {}))
    assert pairs.shape == (2, 12, 22, 3)
    assert beside(image_rows(large[:0]), image_rows(real["train"][:0]), {}).num_rows == 0


@pytest.mark.parametrize(("cells", "said"), [(1, "Over 1 region with"), (3, "Over 3 regions with")])
def test_the_note_on_regions_agrees_with_their_number(cells: int, said: str) -> None:
    found = DataCopying(-1.0, Interval(-2.0, 0.0, 0.95, "z"), 0.5, cells, 1.0)
    outcome = NearCopies()._copying(found, 100)
    assert isinstance(outcome, Measurement)
    assert outcome.notes[0].startswith(said)
