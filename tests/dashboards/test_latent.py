"""The page of latent spaces: a real model, and what is said where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from audit.core.errors import InputError
from audit.registry import Catalogue, Unavailable, catalogue
from dashboards import latent
from tests.dashboards.test_app import opened, words

NAME = "digits-vae"


@pytest.fixture(autouse=True)
def _fresh_memory() -> None:
    latent.held_out_code.clear()


@pytest.fixture(scope="module")
def held() -> latent.Opened:
    return latent.opened(NAME, latent.weights(NAME))


def test_every_included_model_is_offered_or_says_why_not() -> None:
    models = latent.offered()
    assert set(models) == set(catalogue("included").names())
    usable = {name for name, lacking in models.items() if not lacking}
    assert {"digits-vae", "fashion-vae", "portraits-ae", "portraits-gan", "portraits-vae"} <= usable
    assert "noise" in models["portraits-ddpm"]
    assert "no code" in models["biographies-lm"]
    assert "no code" in models["portraits-superres"]


def test_models_of_other_packages_are_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Catalogue, "provider", lambda self, name: "stranger 1.0")
    assert all(latent.offered().values())
    assert "another package" in latent.offered()[NAME]


def test_a_model_that_cannot_be_loaded_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Unavailable("x-vae", "ModuleNotFoundError: No module named 'torch'", "Run: pip install torch")
    monkeypatch.setattr(Catalogue, "survey", lambda self: {"x-vae": gone})
    app = opened("latent")
    assert not app.exception
    said = words(app)
    assert "No included model with a code is installed." in said
    assert "Run: pip install torch" in said


def test_directions_move_the_code_by_standard_deviations(held: latent.Opened) -> None:
    spread = held.codes.std(axis=0)
    assert held.codes.shape[1] == 12
    for unit, name in zip(held.units, held.names, strict=True):
        place = int(name.removeprefix("unit ")) - 1
        assert np.flatnonzero(unit).tolist() == [place]
        assert unit[place] == pytest.approx(spread[place])
    lengths = np.linalg.norm(held.principal / np.where(spread > 0, spread, 1), axis=1)
    assert lengths == pytest.approx(np.ones(len(lengths)))
    assert list(held.shares) == sorted(held.shares, reverse=True)


def test_the_first_direction_changes_more_than_the_last(held: latent.Opened) -> None:
    def change(direction: np.ndarray) -> float:
        ends = held.codes.mean(axis=0) + np.array([[-2.0], [2.0]]) * direction
        low, high = held.pictures(ends).astype(float)
        return float(np.abs(high - low).mean())

    assert change(held.principal[0]) > 1.5 * change(held.principal[-1])


def test_a_sample_is_the_same_for_the_same_number(held: latent.Opened) -> None:
    assert latent.sample_code(held, 4).tolist() == latent.sample_code(held, 4).tolist()
    assert latent.sample_code(held, 4).tolist() != latent.sample_code(held, 5).tolist()


@pytest.mark.parametrize("way", latent.WAYS)
def test_a_way_begins_and_ends_at_its_examples(held: latent.Opened, way: str) -> None:
    first, last = latent.sample_code(held, 0), latent.held_out_code(held, 0)
    codes = latent.between(first, last, 5, way)
    assert codes.shape == (5, 12)
    assert codes[0] == pytest.approx(first[0])
    assert codes[-1] == pytest.approx(last[0])


def test_the_page_moves_a_picture_and_back_again() -> None:
    app = opened("latent", model=NAME)
    assert not app.exception
    assert app.title[0].value == "Latent space"
    assert len(app.slider) == latent.MOST_SLIDERS
    before = _sources(app)
    app.slider[0].set_value(3.0).run()
    assert not app.exception
    moved = _sources(app)
    assert moved[0] != before[0]
    assert moved[1:] == before[1:]  # the sample as it was, and the ways between examples
    next(b for b in app.button if b.label == "Back to the middle").click().run()
    assert [s.value for s in app.slider] == [0.0] * latent.MOST_SLIDERS
    assert _sources(app) == before


def _sources(app: AppTest) -> list[str]:
    """Return where each picture comes from: the same bytes, the same address."""
    return [image.url for element in app.image for image in element.proto.imgs]


def test_single_units_and_held_out_examples_can_be_chosen() -> None:
    app = opened("latent", model=NAME)
    app.button_group(key=f"along-{NAME}").set_value("single units").run()
    assert not app.exception
    assert all(s.label.startswith("unit ") for s in app.slider)
    app.button_group(key=f"source-{NAME}").set_value("held-out examples").run()
    assert not app.exception
    assert "not the example itself" in words(app)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nobody", "no included model of that name"),
        ("portraits-ddpm", "noise of the size"),
        ("<b>x</b>", "no included model"),
    ],
)
def test_a_model_that_cannot_be_shown_is_said_and_the_first_shown(model: str, said: str) -> None:
    app = opened("latent", model=model)
    assert not app.exception
    assert said in app.warning[0].value.replace("\\", "")
    assert app.slider


def test_missing_weights_are_a_message_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(options: dict[str, object]) -> None:
        raise InputError(
            "The weights of 'digits-vae' in this installation are damaged. Reinstall generative-audit."
        )

    monkeypatch.setattr(catalogue("included").load(NAME), "refer", damaged)
    app = opened("latent", model=NAME)
    assert not app.exception
    assert "This model cannot be opened here." in words(app)
    assert "Reinstall" in words(app)


def test_an_installation_without_included_models_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent, "offered", dict)
    app = opened("latent")
    assert not app.exception
    assert "No included model with a code is installed." in words(app)


def test_data_that_are_not_here_are_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise InputError("The asset is not here. Run: audit fetch digits")

    app = opened("latent", model=NAME)
    monkeypatch.setattr(latent, "held_out", absent)
    app.button_group(key=f"source-{NAME}").set_value("held-out examples").run()
    assert not app.exception
    assert "audit fetch digits" in words(app)
