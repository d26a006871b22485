"""What a model can do. A capability is a method: a model offers what its class implements."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from audit.core.rows import Matrix, Rng, Rows, Vector


class CanSample(Protocol):
    """A model that draws examples."""

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        """Draw ``n`` examples, taking every random number from ``rng``.

        ``condition`` has ``n`` rows; example i is drawn given row i.
        """
        ...


class DrawsEach(Protocol):
    """What a model may have beside ``sample``: each example from numbers of its own.

    Its samples are then the same however an audit cuts them into shards, up to the rounding of a batch.
    """

    def sample_each(self, rngs: Sequence[Rng], condition: Rows | None = None) -> Rows:
        """Draw one example from each of ``rngs``, and given that row of ``condition``."""
        ...


class KeepsSamples(Protocol):
    """What a model may have beside ``sample`` when its samples were drawn before the audit.

    A shard cannot know what another shard drew, so such a model is asked for
    numbered samples and every one of them is used once.
    """

    def sample_range(self, start: int, stop: int) -> Rows:
        """Return samples ``start`` to ``stop`` of those it keeps."""
        ...


class KeepsFiles(Protocol):
    """What a model may have beside ``sample_range`` when its samples are files: a mark in a file is not in its pixels.

    Its card gives the files' digest as ``files``.
    """

    def sample_files(self, start: int, stop: int) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the bytes of samples ``start`` to ``stop`` and of each one's sidecar (``.c2pa``), None without one."""
        ...


class CanMark(Protocol):
    """A language model that lets a watermark change the logits of each token that it draws."""

    @property
    def vocabulary(self) -> int:
        """How many tokens its output has."""
        ...

    def marked_sample(
        self, n: int, rng: Rng, condition: Rows | None, mark: Callable[[str], Any], most: int
    ) -> Rows:
        """Draw ``n`` texts of at most ``most`` tokens; their tokens are in the column ``tokens``.

        ``mark(device)`` makes a function of the tokens so far and the logits, both tensors with a row per text.
        """
        ...


class HasTokenScores(Protocol):
    """A model that scores every token of a text."""

    def token_scores(self, rows: Rows) -> Rows:
        """Score every token of ``text`` given ``prefix``, in one forward pass.

        One row per text, in order, with list columns of one entry per scored
        token (``token``, ``logp``, ``rank``, ``top1``, ``entropy``, ``mean``,
        ``variance``; natural logarithms) and ``bytes``, the UTF-8 length of
        the scored text. A list ``end``, if there is one, says how many characters
        of ``text`` stand before the end of each token, a list ``best`` what the log-probability
        of ``top1`` is.
        """
        ...


class HasLogLikelihood(Protocol):
    """A model that knows the log density of an example."""

    def log_likelihood(self, rows: Rows) -> Vector:
        """Return one log density per example, in nats."""
        ...


class HasLikelihoodBound(Protocol):
    """A model that bounds the log density of an example from below."""

    def likelihood_bound(self, rows: Rows, rng: Rng) -> Vector:
        """Return one lower bound on the log density per example, in nats."""
        ...


class HasLogImportanceWeights(Protocol):
    """A latent-variable model that scores draws from its posterior: bounds of any tightness are functions of them."""

    def log_importance_weights(self, rows: Rows, rng: Rng, draws: int) -> Matrix:
        """Return ``log p(x, z) - log q(z | x)`` in nats for ``draws`` latent vectors z from each example's posterior, shape (n, draws)."""
        ...


class CanReconstruct(Protocol):
    """A model that passes examples through itself and back."""

    def reconstruct(self, rows: Rows, rng: Rng) -> Rows:
        """Pass each example through the model's bottleneck and back, in order."""
        ...


class CanDegrade(Protocol):
    """A model that restores pictures and can make what it is given of one."""

    def degrade(self, rows: Rows) -> Rows:
        """Return what the model would be given of each example to restore, in order."""
        ...


class CanEncode(Protocol):
    """A model with latent vectors of examples."""

    def encode(self, rows: Rows) -> Matrix:
        """Return one latent vector per example."""
        ...


class HasPosterior(Protocol):
    """A model whose encoder says how sure it is of a latent vector, under a standard normal prior."""

    def posterior(self, rows: Rows) -> Matrix:
        """Return mean and log variance of each example's normal posterior, shape (n, 2, latent); the prior is standard normal."""
        ...


class CanDecode(Protocol):
    """A model with examples of latent vectors."""

    def decode(self, latents: Matrix, rng: Rng) -> Rows:
        """Turn latent vectors into examples."""
        ...


class CanDrawLatents(Protocol):
    """A model that draws the latent vectors of its free samples."""

    def draw_latents(self, n: int, rng: Rng) -> Matrix:
        """Draw ``n`` latent vectors as for free samples; ``decode`` turns them into examples."""
        ...


class HasDenoisingLoss(Protocol):
    """A model that removes noise from an example, with a loss."""

    def denoising_loss(self, rows: Rows, level: float, rng: Rng) -> Vector:
        """Return one loss per example at a noise level between 0 (clean) and 1 (noise)."""
        ...


class CanPredictNoise(Protocol):
    """A diffusion model that says which noise it sees in an example."""

    def predicted_noise(self, rows: Rows, level: float, noise: Matrix | None = None) -> Matrix:
        """Return the noise that the model sees in each example at a level between 0 (clean) and 1 (noise), a row per example.

        Example x is shown as ``sqrt(1 - s) x + sqrt(s) noise`` with ``s = noise_share(level)``, where the model's values of x are
        of about unit size, or as it is without ``noise``. The model has a method ``noise_share`` beside this one.
        """
        ...

    def noise_share(self, level: float) -> float:
        """Return which share of the variance is noise at a level."""
        ...


class CanDiscriminate(Protocol):
    """A model with a critic that says how real an example is."""

    def realness(self, rows: Rows) -> Vector:
        """Return how real the model's own critic finds each example."""
        ...


class Capability(enum.StrEnum):
    """One member per protocol above; its value is that protocol's method name.

    A model offers what it implements, so declaring and doing cannot disagree.
    """

    SAMPLE = "sample"
    MARKED_SAMPLE = "marked_sample"
    TOKEN_SCORES = "token_scores"
    LOG_LIKELIHOOD = "log_likelihood"
    LIKELIHOOD_BOUND = "likelihood_bound"
    LOG_IMPORTANCE_WEIGHTS = "log_importance_weights"
    RECONSTRUCT = "reconstruct"
    DEGRADE = "degrade"
    ENCODE = "encode"
    POSTERIOR = "posterior"
    DECODE = "decode"
    DRAW_LATENTS = "draw_latents"
    DENOISING_LOSS = "denoising_loss"
    PREDICTED_NOISE = "predicted_noise"
    REALNESS = "realness"


def implemented(kind: type[Any]) -> frozenset[Capability]:
    """Return the capabilities whose methods a class has.

    >>> class Echo:
    ...     def reconstruct(self, rows, rng): return rows
    >>> sorted(implemented(Echo))
    [<Capability.RECONSTRUCT: 'reconstruct'>]
    """
    return frozenset(c for c in Capability if callable(getattr(kind, c.value, None)))
