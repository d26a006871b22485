"""Extractors by role, evaluators under other names, and policies that can mean something."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.config.assemble import Assembled, assemble
from audit.config.spec import parse_spec
from audit.core.errors import InputError
from audit.core.plan import Planned

SPEC = """
name = "x"
samples = 600
[model]
use = "digits-vae"
[data]
use = "digits"
"""


def assembled(more: str) -> Assembled:
    return assemble(parse_spec(tomllib.loads(SPEC + more), Path()))


def planned(more: str) -> dict[str, Planned]:
    return {step.about.called: step for step in assembled(more).plan.planned}


def encoder(step: Planned) -> str:
    return str(step.cases.subject["encoder"])


def test_extractors_have_roles_and_use_is_the_role_features() -> None:
    for table in ('[features]\nuse = "pixels"', '[features]\nfeatures = "pixels"', ""):
        subject = assembled(table).plan.subject
        assert [(role, ref.name) for role, ref in subject.extractors] == [("features", "pixels")]
    more = '[features]\nuse = "pixels"\nattributes = "portraits-attributes"'
    found = dict(assembled(more).plan.subject.extractors)
    assert {role: ref.name for role, ref in found.items()} == {
        "features": "pixels",
        "attributes": "portraits-attributes",
    }
    with pytest.raises(InputError, match="both 'use' and 'features'"):
        assembled('[features]\nuse = "pixels"\nfeatures = "pixels"')
    text = SPEC.replace("digits-vae", "biographies-lm").replace("digits", "biographies")
    with pytest.raises(
        InputError, match=r"features\.attributes is 'pixels', which reads image; this model makes text"
    ):
        assemble(parse_spec(tomllib.loads(f'{text}[features]\nattributes = "pixels"'), Path()))


def test_images_are_compared_in_the_best_features_that_ship_unless_the_spec_says(tmp_path: Path) -> None:
    from PIL import Image

    for place in range(3):
        Image.fromarray(np.full((8, 8), place, np.uint8)).save(tmp_path / f"{place}.png")
    folder = f'[model]\nadapter = "samples_on_disk"\npath = "{tmp_path}"\n[data]\nuse = "images"\npath = "{tmp_path}"'
    for tables, expected in (
        ('[model]\nuse = "portraits-gan"', "portraits-encoder"),
        ('[model]\nuse = "digits-vae"', "pixels"),
        (folder, "efficientnet-lite0"),
    ):
        subject = assemble(parse_spec(tomllib.loads(f'name = "x"\n{tables}'), Path())).plan.subject
        assert dict(subject.extractors)["features"].name == expected
        assert f"Read with the features '{expected}'" in subject.data_card.notes[-1]
    assert "default" not in " ".join(assembled('[features]\nuse = "pixels"').plan.subject.data_card.notes)


def test_one_evaluator_may_be_asked_twice_in_two_feature_spaces() -> None:
    steps = planned("""
        [[evaluators]]
        name = "quality.frechet"
        [[evaluators]]
        name = "quality.frechet"
        as = "frechet_faces"
        features = "portraits-encoder"
        [policy]
        [[policy.criteria]]
        metric = "quality.frechet_faces.relative"
        at_most = 1.0
        why = "a test"
    """)
    assert list(steps) == ["quality.frechet", "quality.frechet_faces"]
    assert [encoder(step) for step in steps.values()] == ["pixels", "portraits-encoder"]
    assert list(steps["quality.frechet_faces"].about.declared) == [
        "quality.frechet_faces",
        "quality.frechet_faces.relative",
        "quality.frechet_faces.raw",
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            'name = "quality.frechet"\n[[evaluators]]\nname = "quality.frechet"',
            "2 evaluators are called 'quality.frechet'",
        ),
        ('name = "quality.frechet"\nas = "Fréchet!"', "Accepted: a name of small letters"),
        ('name = "quality.frechet"\nas = "privacy.frechet"', "Accepted: a name of small letters"),
        ('name = "quality.frechet"\nfeatures = "pixel"', "Did you mean 'pixels'"),
        ('name = "quality.frechet"\nfeatures = 3', "a table"),
        ('name = "quality.frechet"\nas = ""', "not empty"),
    ],
)
def test_a_name_or_extractor_that_cannot_be_is_refused(entry: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        assembled(f"[[evaluators]]\n{entry}")


@pytest.mark.parametrize(
    ("criterion", "said"),
    [
        (
            'metric = "quality.frechet.relativ"\nat_most = 1\nwhy = "w"',
            "Did you mean 'quality.frechet.relative'",
        ),
        (
            'metric = "quality.frechet.relative"\nat_least = 1\nwhy = "w"',
            "lower is better, so at_least = 1 asks for a bad value",
        ),
        (
            'metric = "quality.precision_recall.recall"\nat_most = 1\nwhy = "w"',
            "higher is better, so at_most = 1 asks for a bad value",
        ),
        ('metric = "quality.frechet.relative"\nat_most = 1', "why is missing"),
        ('metric = "quality.frechet.relative"\nat_most = 1\nwhy = " "', "not empty"),
    ],
)
def test_a_criterion_that_can_mean_nothing_is_refused_before_anything_runs(criterion: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        assembled(f"[policy]\n[[policy.criteria]]\n{criterion}")


def test_a_neither_metric_may_be_bounded_on_both_sides() -> None:
    more = '[policy]\n[[policy.criteria]]\nmetric = "privacy.membership.blind_auc"\nat_most = 0.6\nat_least = 0.4\nwhy = "w"'
    assert assembled(more).plan.policy.criteria[0].at_least == 0.4


def test_the_label_and_the_roles_are_part_of_what_the_plan_is() -> None:
    plain: Any = assembled('[[evaluators]]\nname = "quality.frechet"').plan.key
    renamed = assembled('[[evaluators]]\nname = "quality.frechet"\nas = "fd"').plan.key
    elsewhere = assembled('[[evaluators]]\nname = "quality.frechet"\nfeatures = "portraits-encoder"').plan.key
    assert len({plain, renamed, elsewhere}) == 3


@pytest.mark.parametrize(
    "name", ["portraits-vae-overfit", "biographies-lm-biased", "portraits-gan", "digits-vae"]
)
def test_an_included_model_brings_the_data_of_its_card_with_their_options(name: str) -> None:
    spec = parse_spec({"model": {"use": name}}, Path(), "twin")
    subject = assemble(spec).plan.subject
    assert spec.name == "twin"
    assert subject.data == subject.card.trained_on
    step = next(s for s in assemble(spec).plan.steps if s.about.name == "privacy.membership")
    if "sample" in subject.offers and name != "portraits-gan":
        assert isinstance(step, Planned), "its own members are at hand, so membership can be asked"


def test_other_models_have_to_name_their_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data is missing.*only an included model brings its own data"):
        parse_spec({"model": {"adapter": "samples_on_disk", "path": "x"}}, tmp_path)


def test_a_skip_says_what_to_write() -> None:
    values = {"model": {"use": "portraits-vae-overfit"}, "data": {"use": "portraits"}}
    plan = assemble(parse_spec(values, Path())).plan
    (skip,) = [s for s in plan.skipped if s.about.name == "privacy.membership"]
    remedy = skip.unmet[0].remedy
    assert remedy.startswith('write in the spec: [data] use = "portraits", duplicates = ')
    assert '"' not in remedy.partition("train = ")[2].partition(";")[0], "numbers stay numbers"


TEXTS = SPEC.replace("digits-vae", "biographies-lm-leaky").replace("digits", "biographies")


def beside(*tables: str) -> Assembled:
    more = "".join(f"[[reference_models]]\n{table}\n" for table in tables)
    return assemble(parse_spec(tomllib.loads(TEXTS + more), Path()))


def test_reference_models_are_named_as_the_model_is_and_are_part_of_the_plan() -> None:
    alone, compared = beside(), beside('use = "biographies-lm"')
    (reference,) = compared.plan.subject.reference_models
    assert dict(reference.model.options)["use"] == "biographies-lm"
    assert reference.called.startswith("transformer of 1,541,760 parameters, weights ")
    assert alone.plan.key != compared.plan.key
    assert alone.settings["reference_models"] == []
    assert compared.settings["reference_models"][0]["weights"] == reference.model.weights


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (('use = "digits-vae"',), "reference_models\\[0\\] makes image, and the audited model makes text"),
        (('use = "biographies-lm-leaky"',), "is the audited model itself"),
        (('use = "biographies-lm"', 'use = "biographies-lm"'), "reference_models\\[1\\] is named twice"),
        (('path = "x"',), "\\[reference_models\\[0\\]\\] names no model"),
        (('use = "biographies-ml"',), "Did you mean 'biographies-lm'"),
    ],
)
def test_a_reference_model_that_cannot_be_compared_is_refused(tables: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        beside(*tables)


def test_a_reference_model_with_another_tokenizer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from audit.models.included import Included

    described = Included.describe

    def other(ref: Any) -> Any:
        card, offers = described(ref)
        own = dict(ref.options)["use"] == "biographies-lm"
        return (replace(card, tokens="another") if own else card), offers

    monkeypatch.setattr(Included, "describe", other)
    with pytest.raises(InputError, match="cuts texts into other tokens"):
        beside('use = "biographies-lm"')
