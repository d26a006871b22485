"""Quality parity: one group blurred, a fair model, small groups, models that are asked for a group, coverage of the gaps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind, Controlled
from audit.core.errors import InputError, UndefinedError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import Attribute, DataRef, ExtractorRef, ModelRef
from audit.core.rows import image_rows, images_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.fairness.quality_parity.evaluator import QualityParity
from audit.stats.group_quality import Standard, covered_share, frechet_share, kernel_distance, measured
from audit.testing.evaluators import check_evaluator, check_shard_sizes
from audit.testing.memory import Kitchen

TONES, LOOKS = ("light", "middle", "dark"), ("feminine", "masculine")
ATTRIBUTES = (Attribute("tone", TONES), Attribute("look", LOOKS))
D = 6
METRICS = [f"fairness.quality_parity.{m}" for m in ("kernel", "coverage", "frechet")]


def people(rng: np.random.Generator, n: int, narrow: float = 1.0, shares: Any = (0.5, 0.3, 0.2)) -> pa.Table:
    """Draw people as features; those of the first tone vary ``narrow`` times as much as they should."""
    tone, look = rng.choice(3, n, p=shares), rng.integers(0, 2, n)
    width = np.where(tone == 0, narrow, 1.0)[:, None] * (1 + 0.5 * tone)[:, None]
    features = tone[:, None] + look[:, None] + width * rng.normal(size=(n, D))
    return pa.table(
        {
            "tone": [TONES[t] for t in tone],
            "look": [LOOKS[x] for x in look],
            **{f"f{i}": features[:, i] for i in range(D)},
        }
    )


@dataclass
class Bench:
    """Hands out one model and splits; the extractor of a role is known by its name."""

    opened: Any
    splits: dict[str, pa.Table]

    def model(self, ref: ModelRef) -> Any:
        return self.opened

    def split(self, ref: DataRef, split: str) -> Any:
        return self.splits[split]

    def extract(self, ref: ExtractorRef, rows: Any) -> np.ndarray:
        if ref.name == "eyes":
            shown = [
                [[v == name for name in names] for v in rows.column(column).to_pylist()]
                for column, names in (("tone", TONES), ("look", LOOKS))
            ]
            return np.concatenate([np.array(part, float) for part in shown], axis=1)
        return np.stack([rows.column(f"f{i}").to_numpy() for i in range(D)], axis=1)


class Draws:
    def __init__(self, narrow: float = 1.0, shares: Any = (0.5, 0.3, 0.2)) -> None:
        self.narrow, self.shares = narrow, shares

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> pa.Table:
        if condition is None:
            return people(rng, n, self.narrow, self.shares)
        asked = condition.column("tone").to_pylist()
        assert condition.column_names == ["tone"], "the example itself is not given away"
        rows = people(rng, 20 * n, self.narrow)
        tones = np.array(rows.column("tone").to_pylist())
        places = [np.flatnonzero(tones == tone) for tone in TONES]
        return rows.take([int(rng.choice(places[TONES.index(tone)])) for tone in asked])


def subject(**changes: Any) -> Subject:
    nothing = Digest("0" * 40)
    given: dict[str, Any] = {
        "model": ModelRef("fake", nothing),
        "card": ModelCard("fake", "image", 1),
        "offers": frozenset({Capability.SAMPLE}),
        "data": DataRef("fake", nothing),
        "data_card": DataCard("image", (("train", 1200), ("holdout", 1200)), groups=("tone", "look")),
        "extractors": (
            ("attributes", ExtractorRef("eyes", nothing, 5, "image", ATTRIBUTES)),
            ("features", ExtractorRef("numbers", nothing, D, "image")),
        ),
        "sample_size": 1200,
        "seed": 0,
        "shard_size": 400,
    }
    return Subject(**{**given, **changes})


def asked(model: Any, evaluator: Any = None, case: Subject | None = None) -> Controlled:
    rng = np.random.default_rng(3)
    bench = Bench(model, {split: people(rng, 1200) for split in ("train", "holdout")})
    return Kitchen(bench=bench).ask(evaluator or QualityParity(), case or subject())


def overall(found: Controlled) -> dict[str, Any]:
    return {o.metric: o for o in found.outcomes if not o.group}


def spread(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


def test_a_group_that_is_all_alike_is_found_and_a_fair_model_is_not_accused() -> None:
    unfair, fair = asked(Draws(0.4)), asked(Draws())
    for metric in METRICS:
        assert spread(overall(fair)[metric]).low == 0.0, metric
        assert not overall(fair)[metric].void
    for metric in (METRICS[0], METRICS[2]):
        found = overall(unfair)[metric]
        assert spread(found).low > found.noise_floor > 0, metric
        assert "tone, light worse than" in found.notes[0]
        by = {o.group: o for o in unfair.outcomes if o.metric == metric}
        assert spread(by[(("attribute", "look"),)]).low < spread(found).low
    (table,) = next(
        o.evidence for o in unfair.outcomes if o.metric == METRICS[0] and o.group == (("attribute", "tone"),)
    )
    rows = table.content.to_pylist()
    assert [row["label"] for row in rows] == list(TONES)
    assert rows[0]["low"] > rows[1]["high"]


def test_groups_of_other_sizes_are_no_gap() -> None:
    """A raw distance of 60 rows is larger than one of 600; at equal numbers a fair model stays fair."""
    found = overall(asked(Draws(shares=(0.85, 0.09, 0.06))))
    for metric in METRICS[:2]:
        assert spread(found[metric]).low == 0.0


def test_a_planted_group_is_found() -> None:
    whole = asked(Draws(), case=subject(doses=(0.6,)))
    controls = [c for c in whole.controls if c.kind is CaseKind.PLANTED and not c.group]
    assert {c.metric: c.right for c in controls}[METRICS[0]]
    assert {c.metric: c.right for c in controls}[METRICS[2]]
    nulls = [c for c in whole.controls if c.kind is CaseKind.NULL]
    assert nulls
    assert all(c.right for c in nulls)


def test_a_model_that_is_asked_for_a_group_needs_no_classifier() -> None:
    case = subject(extractors=subject().extractors[1:])
    evaluator = QualityParity(condition="tone")
    assert evaluator.unmet(case) == ()
    (unmet,) = QualityParity().unmet(case)
    assert "attributes" in unmet.need
    found = overall(asked(Draws(0.4), evaluator, case))
    assert spread(found[METRICS[0]]).low > 0
    assert "light worse than" in found[METRICS[0]].notes[0]
    assert spread(overall(asked(Draws(), evaluator, case))[METRICS[0]]).low == 0
    (missing,) = QualityParity(condition="tones").unmet(case)
    assert "tone" in missing.remedy


def test_small_empty_and_single_groups_are_left_out_with_the_reason() -> None:
    found = overall(asked(Draws(shares=(0.998, 0.002, 0.0)), QualityParity(attributes=("tone",))))
    for metric in METRICS:
        assert isinstance(found[metric], Undefined)
        assert "no two groups" in found[metric].reason
    assert "fewer than 10" in found[METRICS[0]].reason, "a handful of people is not counted out"
    assert "dark (0 and" in found[METRICS[0]].reason


def test_features_that_cannot_be_compared_give_a_reason() -> None:
    class Constant(Draws):
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> pa.Table:
            rows = super().sample(n, rng, condition)
            for i in range(D):
                rows = rows.set_column(rows.column_names.index(f"f{i}"), f"f{i}", pa.array(np.ones(n)))
            return rows

    found = overall(asked(Constant()))
    assert set(found) == set(METRICS)
    for outcome in found.values():
        assert isinstance(outcome, Measurement) or outcome.reason


def test_bad_parameters_are_refused() -> None:
    for bad in ({"max_rows": 10}, {"level": 1.0}, {"condition": "tone", "attributes": ("tone",)}):
        with pytest.raises(InputError):
            QualityParity(**bad)


def test_measures_of_one_group_have_known_values() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 4)) * 0.5, rng.normal(size=(400, 4))
    standard = Standard.of(y, rng)
    value, error = frechet_share(x, y, rng, standard)
    assert value == pytest.approx(0.25, abs=3 * error), "4 (1 - ½)² over a variance of 4"
    same, error = covered_share(rng.normal(size=(400, 4)), y, rng)
    assert same == pytest.approx(1, abs=3 * error)
    half = np.concatenate([rng.normal(size=(200, 4)), np.full((200, 4), 50.0)])
    share, error = covered_share(half, y, rng)
    assert share == pytest.approx(0.5, abs=3 * error), "half of the samples are good"
    distance, error = kernel_distance(rng.normal(size=(400, 4)), y, standard)
    assert distance == pytest.approx(0, abs=3 * error)
    with pytest.raises(UndefinedError, match="few"):
        frechet_share(rng.normal(size=(60, 200)), rng.normal(size=(60, 200)), rng, standard)


def _alarms(runs: int, groups: int, n: int, narrow: float = 1.0) -> dict[str, float]:
    rng = np.random.default_rng(11)
    alarms = dict.fromkeys(("kernel", "coverage", "frechet"), 0)
    for _ in range(runs):
        pairs = [
            (
                (narrow if g == 0 else 1.0) * (1 + g) * rng.normal(size=(n, 5)),
                (1 + g) * rng.normal(size=(n, 5)),
            )
            for g in range(groups)
        ]
        for measure in alarms:
            alarms[measure] += measured(measure, pairs, rng, 0.95).spread.low > 0
    return {measure: count / runs for measure, count in alarms.items()}


@pytest.mark.slow
def test_equal_groups_are_hardly_ever_told_apart() -> None:
    assert max(_alarms(8, 4, 100).values()) <= 1 / 8
    assert _alarms(3, 3, 150, 0.4)["kernel"] == 1


@pytest.mark.slow
def test_false_alarms_over_two_hundred_audits_are_at_most_one_in_twenty() -> None:
    found = _alarms(200, 4, 100)
    assert max(found.values()) <= 0.05, found


def blurred(images: np.ndarray) -> np.ndarray:
    from PIL import Image, ImageFilter

    return np.stack([np.asarray(Image.fromarray(i).filter(ImageFilter.GaussianBlur(1.0))) for i in images])


@pytest.mark.slow
@pytest.mark.parametrize("blur", [True, False])
def test_portraits_of_which_one_presentation_is_blurred(blur: bool) -> None:
    """The world's own pictures stand in for the model's; the included encoder and classifier read them."""
    from audit.data.worlds.portraits.world import Portraits
    from audit.features.portraits_attributes import PortraitsAttributes
    from audit.features.portraits_encoder import PortraitsEncoder

    data = Portraits.refer({"train": 700, "holdout": 700, "duplicates": False})
    drawn = Portraits.load(
        Portraits.refer({"train": 700, "holdout": 1, "seed": 9, "duplicates": False}), "train"
    )

    class Draws:
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            pixels = images_of(drawn).copy()
            hit = np.array(drawn.column("presentation").to_pylist()) == "feminine"
            if blur:
                pixels[hit] = blurred(pixels[hit])
            return image_rows(pixels[:n])

    class Worlds(Bench):
        def extract(self, ref: ExtractorRef, rows: Any) -> np.ndarray:
            kind = PortraitsAttributes if ref.name == "portraits-attributes" else PortraitsEncoder
            return kind.open(ref, "cpu").extract(rows)

    bench = Worlds(Draws(), {split: Portraits.load(data, split) for split in ("train", "holdout")})
    case = subject(
        data=data,
        data_card=replace(Portraits.describe(data), copies=()),
        extractors=(("attributes", PortraitsAttributes.refer()), ("features", PortraitsEncoder.refer())),
        sample_size=700,
        shard_size=700,
    )
    found = overall(Kitchen(bench=bench).ask(QualityParity(attributes=("presentation",)), case))
    outcome = found[METRICS[0]]
    if blur:
        assert spread(outcome).low > outcome.noise_floor
        assert "feminine worse than masculine" in outcome.notes[0]
        pictures = outcome.evidence[0].content
        assert pictures.column("group").to_pylist()[0] == "presentation: feminine"
        assert pictures.num_rows == 12
    else:
        assert spread(outcome).low == 0


def test_the_contract_is_kept_however_rows_are_cut() -> None:
    rng = np.random.default_rng(3)
    bench = Bench(
        Drawn(people(np.random.default_rng(8), 1200)), {s: people(rng, 1200) for s in ("train", "holdout")}
    )
    assert check_evaluator(QualityParity(), subject(), Kitchen(bench=bench))
    check_shard_sizes(QualityParity(), subject(), 700, Kitchen(bench=bench))


class Drawn:
    """Samples that were drawn before, so that they are the same however they are cut."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows

    def sample_range(self, start: int, stop: int) -> pa.Table:
        return self.rows.slice(start, stop - start)
