"""Included models are found by name and nothing else."""

from __future__ import annotations

import pytest

from audit.core.errors import InputError
from audit.models.included import Included


def test_a_name_leads_to_a_model_and_stays_in_its_reference() -> None:
    ref = Included.refer({"use": "digits-vae"})
    assert ref.adapter == "included"
    assert dict(ref.options)["use"] == "digits-vae"
    card, offers = Included.describe(ref)
    assert card.modality == "image"
    assert type(Included.open(ref, "cpu")).__name__ == "DigitsVAE"
    assert offers


def test_wrong_names_and_options_are_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no included model 'digit-vae'. Did you mean 'digits-vae'"):
        Included.refer({"use": "digit-vae"})
    with pytest.raises(InputError, match="needs the option 'use'"):
        Included.refer({})
    with pytest.raises(InputError, match=r"'digits-vae'.* has no option 'weight'. Did you mean 'weights'"):
        Included.refer({"use": "digits-vae", "weight": "x"})
