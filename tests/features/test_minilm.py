"""MiniLM's vectors are those its authors publish the recipe of, and do not depend on the neighbours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from audit import assets
from audit.core.errors import InputError
from audit.core.rows import image_rows, text_rows
from audit.features.minilm import MiniLM

TEXTS = [
    "A man is eating food.",
    "Somebody has a meal.",
    "The girl is carrying a baby.",
    "A cheetah chases prey across a field, and the prey, which is quicker to turn, gets away.",
    "a",
    "",
    "word " * 600,
]


@pytest.fixture(scope="module")
def extractor() -> MiniLM:
    """The extractor with its weights."""
    try:
        return MiniLM.open(MiniLM.refer(), "cpu")
    except InputError as error:
        pytest.skip(str(error))


def test_the_vectors_are_those_of_the_published_recipe(extractor: MiniLM) -> None:
    """The model card's own: a padded batch, the mean under the attention mask, length 1."""
    from transformers import BertTokenizerFast

    tokenizer = BertTokenizerFast(tokenizer_file=str(assets.path("minilm-l6-v2") / "tokenizer.json"))
    given = tokenizer(TEXTS, padding=True, truncation=True, max_length=256, return_tensors="pt")
    assert given["input_ids"].shape[1] == 256
    with torch.inference_mode():
        states = extractor._network(**given).last_hidden_state
        mask = given["attention_mask"][..., None]
        expected = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)
    np.testing.assert_allclose(extractor.extract(text_rows(TEXTS)), expected, atol=1e-6)


def test_a_text_is_seen_the_same_alone_and_among_others(extractor: MiniLM) -> None:
    rows = text_rows([*TEXTS, *reversed(TEXTS)])
    together = extractor.extract(rows)
    alone = np.concatenate([extractor.extract(rows.slice(i, 1)) for i in range(rows.num_rows)])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


def test_a_paraphrase_lies_closer_than_another_subject(extractor: MiniLM) -> None:
    meal, paraphrase, girl, cheetah, *_ = extractor.extract(text_rows(TEXTS))
    assert meal @ paraphrase > max(meal @ girl, meal @ cheetah) + 0.2


def test_what_comes_after_256_tokens_and_case_are_not_seen(extractor: MiniLM) -> None:
    long = "word " * 254
    features = extractor.extract(text_rows([long, long + "apple", "Word " * 254, long[5:]]))
    np.testing.assert_allclose(features[1:3], features[[0, 0]], atol=1e-6)
    assert np.abs(features[3] - features[0]).max() > 1e-4


def test_other_rows_are_refused_and_none_is_fine(extractor: MiniLM) -> None:
    with pytest.raises(ValueError, match="reads texts; these rows have image"):
        extractor.extract(image_rows(np.zeros((1, 8, 8, 1), np.uint8)))
    assert extractor.extract(text_rows([])).shape == (0, 384)


def test_without_its_weights_it_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_ASSETS", str(tmp_path))
    with pytest.raises(InputError, match="run 'audit fetch minilm-l6-v2'"):
        MiniLM.refer()
