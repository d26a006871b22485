"""Metrics of torchmetrics by name: its own values from merged shards, intervals that cover, and every reason why not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.measurements import Interval, Measurement, Unquantified
from audit.core.metrics import HIGHER, LOWER
from audit.core.rows import image_rows, images_of, text_rows
from audit.evaluators.quality.torchmetrics.catalogue import known, names
from audit.evaluators.quality.torchmetrics.evaluator import TorchMetric
from audit.evaluators.quality.torchmetrics.recipes import parsed
from tests.evaluators.test_kid import Planted, as_matrix, subject
from tests.evaluators.test_kid import splits as rows_of_features
from tests.evaluators.test_reconstruction import Noisy, case, pictures


class Darker:
    """Gives pictures back a little darker: the same however rows are cut."""

    def reconstruct(self, rows: Any, rng: np.random.Generator) -> Any:
        images = images_of(rows)
        return image_rows((images * (0.7 + 0.2 * (images[:, :1, :1] / 255))).astype(np.uint8))


DATA = {"holdout": image_rows(pictures(200, 24, 1)), "train": image_rows(pictures(200, 24, 2))}


def value(outcomes: Any) -> Measurement:
    (found,) = outcomes
    assert isinstance(found, Measurement), found.reason
    assert found.metric == "quality.torchmetrics"
    return found


def pair() -> tuple[Any, Any]:
    import torch

    originals = DATA["holdout"]
    made = Darker().reconstruct(originals, np.random.default_rng(0))
    return tuple(
        torch.from_numpy(images_of(r).transpose(0, 3, 1, 2).astype(np.float32) / 255)
        for r in (made, originals)
    )  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("metric", "options"),
    [
        ("image.PeakSignalNoiseRatio", ()),
        ("image.StructuralSimilarityIndexMeasure", ("kernel_size = 7",)),
        (
            "image.MultiScaleStructuralSimilarityIndexMeasure",
            ("kernel_size = 5", "betas = [0.5, 0.5]"),
        ),
        ("image.UniversalImageQualityIndex", ()),
        ("regression.MeanSquaredError", ()),
    ],
)
def test_a_metric_of_pairs_is_what_torchmetrics_gives_for_all_at_once(
    score: Any, metric: str, options: tuple[str, ...]
) -> None:
    import importlib

    given = dict(parsed(option) for option in options)
    if "data_range" in known(metric).accepts:
        given["data_range"] = 1.0
    domain, _, name = metric.partition(".")
    theirs = getattr(importlib.import_module(f"torchmetrics.{domain}"), name)(**given)
    made, originals = pair()
    expected = theirs(made, originals) if domain == "image" else theirs(made.flatten(), originals.flatten())
    found = value(score(TorchMetric(metric, options), case(), model=Darker(), splits=DATA))
    assert found.value == pytest.approx(float(expected), rel=2e-5)
    assert isinstance(found.uncertainty, Interval)
    assert found.uncertainty.low < found.value < found.uncertainty.high
    assert found.direction is known(metric).direction


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception")
def test_a_metric_of_distributions_gets_features_and_is_what_torchmetrics_gives(ask: Any) -> None:
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    data = rows_of_features()
    side = replace(
        subject(), card=replace(subject().card, modality="image"), data_card=replace(subject().data_card)
    )
    found = ask(
        TorchMetric("image.FrechetInceptionDistance"),
        side,
        model=Planted(shift=1.0),
        splits=data,
        extractor=as_matrix,
    )
    measured = value(found.outcomes)
    drawn = Planted(shift=1.0)
    assert measured.direction is LOWER
    assert measured.uncertainty.low > measured.noise_floor > 0  # type: ignore[union-attr]

    class Fixed:
        def sample_range(self, start: int, stop: int) -> Any:
            return made.slice(start, stop - start)

    made = drawn.sample(600, np.random.default_rng(3))
    network = torch.nn.Identity()
    network.num_features = 8  # type: ignore[assignment]
    theirs = FrechetInceptionDistance(feature=network)
    theirs.set_dtype(torch.float64)
    theirs.update(torch.from_numpy(as_matrix(made)), real=False)
    theirs.update(torch.from_numpy(as_matrix(data["holdout"])), real=True)
    few = replace(side, sample_size=600)
    ours = value(
        ask(
            TorchMetric("image.FrechetInceptionDistance"),
            few,
            model=Fixed(),
            splits=data,
            extractor=as_matrix,
        ).outcomes
    )
    assert ours.value == pytest.approx(float(theirs.compute()), rel=1e-6)
    whole = KernelInceptionDistance(feature=network, subset_size=600, subsets=1)
    whole.update(torch.from_numpy(as_matrix(made)), real=False)
    whole.update(torch.from_numpy(as_matrix(data["holdout"])), real=True)
    kid = TorchMetric("image.KernelInceptionDistance", ("subset_size = 600", "subsets = 1"))
    ours = value(ask(kid, few, model=Fixed(), splits=data, extractor=as_matrix).outcomes)
    assert ours.value == pytest.approx(float(whole.compute()[0]), rel=1e-6)
    assert isinstance(ours.uncertainty, Unquantified), (
        "a block fewer and the subset is larger than the sample"
    )


def test_a_metric_of_pictures_alone_is_asked_of_samples(score: Any) -> None:
    class Draws:
        def sample_range(self, start: int, stop: int) -> Any:
            return DATA["holdout"].slice(start, stop - start)

    import torch
    from torchmetrics.image import TotalVariation

    side = replace(case(), offers=frozenset({Capability.SAMPLE}), sample_size=200)
    found = value(
        score(TorchMetric("image.TotalVariation", ("reduction = 'mean'",)), side, model=Draws(), splits=DATA)
    )
    images = torch.from_numpy(images_of(DATA["holdout"]).transpose(0, 3, 1, 2) / 255)
    assert found.value == pytest.approx(float(TotalVariation(reduction="mean")(images)), rel=1e-5)


@pytest.mark.slow
def test_the_interval_covers(score: Any) -> None:
    kept, truth = 0, []
    intervals = []
    for seed in range(40):
        data = {"holdout": image_rows(pictures(100, 12, seed))}
        found = value(
            score(
                TorchMetric("regression.MeanSquaredError"),
                case(100),
                model=Darker(),
                splits={**data, "train": None},
            )
        )
        truth.append(found.value)
        intervals.append(found.uncertainty)
    kept = sum(i.low <= np.mean(truth) <= i.high for i in intervals)
    assert kept >= 34


@pytest.mark.parametrize(
    ("evaluator", "reason"),
    [
        (
            TorchMetric("image.MultiScaleStructuralSimilarityIndexMeasure"),
            "must be larger than or equal to 32",
        ),
        (TorchMetric("image.PeakSignalNoiseRatio", ("base = 'ten'",)), "from torchmetrics"),
        (TorchMetric("image.SpatialDistortionIndex"), "from torchmetrics"),
        (
            TorchMetric("image.StructuralSimilarityIndexMeasure", ("reduction = 'none'",)),
            "more than one number",
        ),
        (TorchMetric("regression.PearsonCorrCoef"), "no rule to merge it by"),
    ],
)
def test_what_a_metric_refuses_is_a_reason(score: Any, evaluator: TorchMetric, reason: str) -> None:
    (found,) = score(evaluator, case(), model=Noisy(9.0), splits=DATA)
    assert reason in found.reason


def test_names_and_options_are_checked_without_torch() -> None:
    with pytest.raises(InputError, match=r"Did you mean 'image\.PeakSignalNoiseRatio'"):
        TorchMetric("image.PeakSignalNoiseRation")
    with pytest.raises(InputError, match="NAME = VALUE"):
        TorchMetric("image.PeakSignalNoiseRatio", ("base 10",))
    with pytest.raises(InputError, match="takes p, q"):
        TorchMetric("regression.KLDivergence")
    assert TorchMetric("image.StructuralSimilarityIndexMeasure").about.metrics[0].direction is HIGHER
    assert "the name of a metric" in TorchMetric().unmet(case())[0].need
    assert len(names()) > 30
    code = (
        "import sys\nfrom audit.evaluators.quality.torchmetrics.evaluator import TorchMetric\n"
        "TorchMetric('image.PeakSignalNoiseRatio')\n"
        "print([m for m in ('torch', 'torchmetrics') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_subject_that_lacks_what_a_metric_takes_is_told() -> None:
    without = replace(case(), offers=frozenset({Capability.SAMPLE}), extractors=())
    assert "reconstruct" in TorchMetric("image.PeakSignalNoiseRatio").unmet(without)[0].need
    assert "feature extractor" in TorchMetric("image.FrechetInceptionDistance").unmet(without)[0].need


WORDS = np.array(
    [
        "the",
        "cat",
        "sat",
        "on",
        "a",
        "mat",
        "and",
        "saw",
        "one",
        "small",
        "red",
        "dog",
        "run",
        "by",
        "every",
        "old",
        "door",
    ]
)


def texts(n: int = 60, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 24)) for _ in range(n)]


class Continues:
    """Continues a prompt with what follows in the data, but for every third word."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        self.seen.append(condition)
        known = {text: text for text in texts()}
        found = []
        for prompt in condition.column("prefix").to_pylist():
            rest = next(text[len(prompt) :] for text in known if text.startswith(prompt)).split()
            found.append(" ".join(word if i % 3 else "word" for i, word in enumerate(rest)))
        return text_rows(found)


def language() -> Any:
    card = replace(subject().card, modality="text")
    data = replace(subject().data_card, modality="text", splits=(("holdout", 60),))
    return replace(subject(samples=60), card=card, data_card=data, shard_size=25)


@pytest.mark.parametrize(
    ("metric", "options", "part", "nested"),
    [
        ("text.BLEUScore", ("n_gram = 2",), "", True),
        ("text.CHRFScore", (), "", True),
        ("text.WordErrorRate", (), "", False),
        ("text.EditDistance", (), "", False),
        ("text.TranslationEditRate", (), "", True),
        ("text.ROUGEScore", ("rouge_keys = ['rouge1', 'rougeL']",), "rougeL_fmeasure", True),
    ],
)
def test_a_metric_of_texts_is_asked_of_continuations(
    score: Any, metric: str, options: tuple[str, ...], part: str, nested: bool
) -> None:
    import torchmetrics

    model = Continues()
    evaluator = TorchMetric(metric, options, part=part, prompt_words=10)
    found = value(score(evaluator, language(), model=model, splits={"holdout": text_rows(texts())}))
    references = [" " + " ".join(text.split()[10:]) for text in texts()]
    made = [" ".join(w if i % 3 else "word" for i, w in enumerate(r.split())) for r in references]
    given = dict(parsed(option) for option in options)
    theirs = getattr(torchmetrics.text, metric.partition(".")[2])(**given)
    theirs.update(made, [[r] for r in references] if nested else references)
    expected = theirs.compute()
    assert found.value == pytest.approx(float(expected[part] if part else expected), rel=1e-5)
    assert isinstance(found.uncertainty, Interval)
    assert found.noise_floor is not None, "the references in place of continuations"
    assert all(condition.column_names == ["prefix"] for condition in model.seen), "references are not shown"


def test_prompts_and_references_of_rows_that_have_both(make_shards: Any) -> None:
    from audit.evaluators.quality.torchmetrics.prompts import CutTexts

    rows = language().real("holdout")
    asked = text_rows(["four", ""], prefix=["two and two is", "say nothing"])
    parts = [
        make_shards(CutTexts(replace(rows, rows=2), 3, prompts), splits={"holdout": asked})[0]
        for prompts in (True, False)
    ]
    assert parts[0].to_pylist() == [{"prefix": "two and two is"}, {"prefix": "say nothing"}]
    assert parts[1].to_pylist() == [{"text": "four"}, {"text": ""}]


def test_metrics_of_texts_that_cannot_be_asked_say_why(score: Any) -> None:
    for metric, said in (
        ("text.BERTScore", "downloads a language model"),
        ("text.SQuAD", "takes TARGETS_TYPE as targets"),
        ("text.Perplexity", "takes Tensor as targets"),
    ):
        with pytest.raises(InputError, match=said):
            TorchMetric(metric)
    with pytest.raises(InputError, match="prompt_words"):
        TorchMetric("text.BLEUScore", prompt_words=0)
    several = TorchMetric("text.ROUGEScore", options=("rouge_keys = 'rouge1'",))
    (undefined,) = score(several, language(), model=Continues(), splits={"holdout": text_rows(texts())})
    assert "name one of them in 'part'" in undefined.reason
    drawn = replace(language(), card=replace(language().card, most_samples=60))
    (unmet,) = TorchMetric("text.BLEUScore").unmet(drawn)
    assert "drawn before" in unmet.found
    assert "a model of text" in TorchMetric("text.BLEUScore").unmet(case())[0].need


def test_the_inception_score_comes_with_its_limits() -> None:
    assert "sees no real example" in TorchMetric("image.InceptionScore").about.caveats[-1]
    assert "sees no real example" not in " ".join(TorchMetric("image.TotalVariation").about.caveats)
