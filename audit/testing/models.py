"""What every adapter and every model it opens promise, capability by capability."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from audit.core.capabilities import Capability, implemented
from audit.core.identity import canonical
from audit.core.rows import Rows, concat
from audit.core.subjects import ModelCard
from audit.store import codec
from audit.testing.refusals import check_refusal

_LEDGER_COLUMNS = ("token", "logp", "rank", "top1", "entropy", "mean", "variance")


def check_adapter(adapter: type[Any], options: Mapping[str, Any]) -> Any:
    """Check an adapter on one model and return the opened model with its card and offers."""
    ref = adapter.refer(dict(options))
    assert adapter.refer(dict(options)) == ref, "the same options name the same model"
    for value in options.values():
        if isinstance(value, str) and value.startswith("/"):
            assert value.encode() not in canonical(ref), "where a model lies is no part of its identity"
    check_refusal(lambda: adapter.refer({**options, "no_such_option": 1}), "no_such_option")
    card, offers = adapter.describe(ref)
    assert isinstance(card, ModelCard)
    assert offers, "a model offers something"
    for capability, reason in card.withheld:
        assert reason.strip(), f"{capability} is withheld for a reason"
        assert capability not in offers, f"{capability} is withheld and offered"
    opened = adapter.open(ref, "cpu")
    assert offers <= implemented(type(opened)), "it offers what it implements"
    return opened, card, offers


def check_capabilities(model: Any, offers: frozenset[Capability], rows: Rows) -> None:
    """Check each capability that a model offers on some rows of its modality."""
    for capability in sorted(offers):
        _CHECKS[capability](model, rows)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _sample(model: Any, rows: Rows) -> None:
    drawn = model.sample(5, _rng())
    assert set(drawn.column_names) & set(rows.column_names), "samples look like the data"
    assert drawn.num_rows == 5, "as many samples as were asked for"
    assert codec.encode(model.sample(5, _rng())) == codec.encode(drawn), (
        "the same numbers give the same samples"
    )


def _marked_sample(model: Any, _rows: Rows) -> None:
    calls: list[int] = []

    def mark(_device: str) -> Callable[[Any, Any], Any]:
        def unchanged(_ids: Any, scores: Any) -> Any:
            calls.append(len(scores))
            assert scores.shape[1] == model.vocabulary, "logits are over the whole vocabulary"
            return scores

        return unchanged

    drawn = model.marked_sample(3, _rng(), None, mark, 4)
    assert drawn.num_rows == 3
    assert calls, "a mark is asked about every token"
    assert all(len(tokens) <= 4 for tokens in drawn.column("tokens").to_pylist())


def _vector(call: Callable[[Any, Rows], Any]) -> Callable[[Any, Rows], None]:
    def check(model: Any, rows: Rows) -> None:
        values = np.asarray(call(model, rows))
        assert values.shape == (rows.num_rows,), "one number per example"
        assert np.isfinite(values).all(), "every number is finite"
        np.testing.assert_array_equal(values, call(model, rows), err_msg="the same numbers again")

    return check


def _reconstruct(model: Any, rows: Rows) -> None:
    again = model.reconstruct(rows, _rng())
    assert again.num_rows == rows.num_rows, "each example comes back, in order"
    assert codec.encode(model.reconstruct(rows, _rng())) == codec.encode(again), "the same numbers again"


def _degrade(model: Any, rows: Rows) -> None:
    small = model.degrade(rows)
    assert small.num_rows == rows.num_rows, "what a model is given of each example, in order"
    assert codec.encode(model.degrade(rows)) == codec.encode(small), "the same again"


def _latents(model: Any, rows: Rows) -> None:
    latents = model.encode(rows)
    assert latents.ndim == 2, "one latent vector per example"
    assert latents.shape[0] == rows.num_rows, "one latent vector per example"
    assert np.isfinite(latents).all(), "every latent is finite"


def _posterior(model: Any, rows: Rows) -> None:
    found = np.asarray(model.posterior(rows))
    assert found.shape[:2] == (rows.num_rows, 2), "mean and log variance of every example"
    assert np.isfinite(found).all(), "every posterior is finite"
    if hasattr(model, "encode"):
        assert found.shape[2] == model.encode(rows).shape[1], "a posterior of the latent vectors it encodes"


def _weights(model: Any, rows: Rows) -> None:
    found = np.asarray(model.log_importance_weights(rows, _rng(), 3))
    assert found.shape == (rows.num_rows, 3), "as many weights of each example as were asked for"
    assert np.isfinite(found).all(), "every weight is finite"
    again = model.log_importance_weights(rows, _rng(), 3)
    np.testing.assert_array_equal(found, again, err_msg="the same numbers again")


def _decode(model: Any, rows: Rows) -> None:
    latents = model.encode(rows) if hasattr(model, "encode") else None
    if latents is None:
        return
    assert model.decode(latents, _rng()).num_rows == rows.num_rows, "each latent vector becomes an example"


def _draw_latents(model: Any, rows: Rows) -> None:
    drawn = model.draw_latents(5, _rng())
    assert drawn.shape[0] == 5, "as many latent vectors as were asked for"
    assert np.isfinite(drawn).all(), "every latent is finite"
    np.testing.assert_array_equal(drawn, model.draw_latents(5, _rng()), "the same numbers again")
    made = model.decode(drawn, _rng())
    assert made.num_rows == 5, "each latent vector becomes an example"
    assert set(made.column_names) & set(rows.column_names), "and looks like the data"


def _token_scores(model: Any, rows: Rows) -> None:
    scores = model.token_scores(rows)
    assert scores.num_rows == rows.num_rows, "one row per text"
    for row in scores.to_pylist():
        lengths = {len(row[column]) for column in _LEDGER_COLUMNS}
        assert len(lengths) == 1, "one entry per scored token in every column"
        assert all(np.isfinite(row["logp"])), "log-probabilities are finite"
        assert max(row["logp"], default=0.0) <= 1e-3, "log-probabilities are not above 0"
    alone = concat([model.token_scores(rows.slice(i, 1)) for i in range(rows.num_rows)])
    for one, many in zip(alone.column("logp").to_pylist(), scores.column("logp").to_pylist(), strict=True):
        np.testing.assert_allclose(one, many, atol=1e-3, err_msg="a batch of one equals a batch of many")


def _predicted_noise(model: Any, rows: Rows) -> None:
    shares = [model.noise_share(level) for level in (0.1, 0.5, 0.9)]
    assert 0 < shares[0] < shares[1] < shares[2] < 1, "the share of noise grows with the level"
    clean = model.predicted_noise(rows, 0.1)
    assert clean.shape[0] == rows.num_rows, "a row of numbers per example"
    again = model.predicted_noise(rows, 0.1, clean)
    assert again.shape == clean.shape, "the noise it sees has the shape of the noise it is given"
    assert np.isfinite(again).all(), "every number is finite"
    np.testing.assert_array_equal(again, model.predicted_noise(rows, 0.1, clean), "the same numbers again")


_CHECKS: Mapping[Capability, Callable[[Any, Rows], None]] = {
    Capability.SAMPLE: _sample,
    Capability.MARKED_SAMPLE: _marked_sample,
    Capability.TOKEN_SCORES: _token_scores,
    Capability.LOG_LIKELIHOOD: _vector(lambda model, rows: model.log_likelihood(rows)),
    Capability.LIKELIHOOD_BOUND: _vector(lambda model, rows: model.likelihood_bound(rows, _rng())),
    Capability.LOG_IMPORTANCE_WEIGHTS: _weights,
    Capability.RECONSTRUCT: _reconstruct,
    Capability.DEGRADE: _degrade,
    Capability.ENCODE: _latents,
    Capability.POSTERIOR: _posterior,
    Capability.DECODE: _decode,
    Capability.DRAW_LATENTS: _draw_latents,
    Capability.DENOISING_LOSS: _vector(lambda model, rows: model.denoising_loss(rows, 0.3, _rng())),
    Capability.PREDICTED_NOISE: _predicted_noise,
    Capability.REALNESS: _vector(lambda model, rows: model.realness(rows)),
}
