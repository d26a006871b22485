"""An opened pipeline as an audit sees it: what it draws, and what it says of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.core.rows import Images, Matrix, Rng, Rows, Vector, image_rows, images_read_by
from audit.formats.arithmetic import exactly
from audit.models.pipelines.asked import labels_asked, texts_asked
from audit.models.pipelines.facts import Facts
from audit.models.pipelines.kinds import LABEL, TEXT

if TYPE_CHECKING:
    from torch import Tensor

    from audit.models.pipelines.opening import Asked, Opened
    from audit.models.pipelines.process import Predict, Process

_MOST_AT_ONCE, _PIXELS_AT_ONCE = 64, 1 << 20


class PipelineModel:
    """Parts in memory, with the options that say how they are asked."""

    def __init__(
        self, opened: Opened, facts: Facts, options: Mapping[str, Any], prompts: Sequence[str], device: str
    ) -> None:
        self._opened, self._facts, self._options, self._device = opened, facts, options, device
        self._prompts = prompts
        self._column = str(options.get("column", ""))

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        """Draw ``n`` pictures: free ones of any label or for one of the prompts, or one for each row of ``condition``."""
        return self.sample_each([np.random.default_rng(rng.integers(1 << 62)) for _ in range(n)], condition)

    def sample_each(self, rngs: Sequence[Rng], condition: Rows | None = None) -> Rows:
        """Draw sample i from ``rngs[i]`` alone."""
        from audit.models.pipelines.drawing import draw, noise_of

        asked = self._wanted(rngs, condition)
        made = []
        for span in self._spans(len(rngs), *self._facts.shape[:2]):
            noise, generators = noise_of(rngs[span], self._facts.inner)
            with exactly(), self._computing():
                state = draw(
                    self._opened,
                    noise.to(self._device),
                    generators,
                    steps=int(self._options["steps"]),
                    guidance=float(self._options.get("guidance", 1.0)),
                    asked=self._read(asked[span]),
                    nothing=self._nothing(len(noise)),
                )
                made.append(_bytes_of(self._painted(state)))
        return image_rows(np.concatenate([np.empty((0, *self._facts.shape), np.uint8), *made]))

    def denoising_loss(self, rows: Rows, level: float, rng: Rng) -> Vector:
        """Return the mean squared error of the predicted noise at a level from 0 (clean) to 1 (noise), for each picture.

        The noise is the same for every picture and every model, so ``rng`` is not asked. Where rows have the column of
        labels or prompts, each is asked for by its own, else by none.
        """
        from audit.models.pipelines.process import denoising_loss

        if not 0 <= level <= 1:
            raise ValueError(f"a noise level lies between 0 and 1, not at {level}")
        step, draws = round(level * (self._facts.levels - 1)), int(self._options["loss_draws"])

        def loss(process: Process, predict: Predict, states: Tensor) -> Vector:
            return np.asarray(denoising_loss(process, predict, states, step, draws).cpu().numpy())

        return self._each(rows, loss, np.empty(0))

    def likelihood_bound(self, rows: Rows, rng: Rng) -> Vector:
        """Return an unbiased estimate of the variational bound on the log probability of each picture's bytes, in nats."""
        from audit.models.pipelines.process import bound

        draws = int(self._options["bound_draws"])
        return self._each(
            rows, lambda process, predict, x: bound(process, predict, x, rng, draws), np.empty(0)
        )

    def encode(self, rows: Rows) -> Matrix:
        """Return the noise that ``decode`` turns into each picture (DDIM inversion), or its latent in an autoencoder."""
        from audit.models.pipelines.process import along

        if self._opened.network is None:
            parts = [self._latents(part).double().flatten(1).cpu().numpy() for _, part in self._images(rows)]
            return np.concatenate(parts) if parts else np.empty((0, 0))
        steps = int(self._options["path_steps"])

        def noise(process: Process, predict: Predict, states: Tensor) -> Matrix:
            found = along(process, predict, states, steps, to_noise=True)
            return np.asarray(found.double().flatten(1).cpu().numpy())

        return self._each(rows, noise, np.empty((0, int(np.prod(self._facts.inner)))), own=False)

    def decode(self, latents: Matrix, rng: Rng) -> Rows:
        """Turn noise into pictures along the deterministic DDIM path, or latents through the decoder; ``rng`` is not asked."""
        import torch

        from audit.models.pipelines.process import along

        inner = self._inner(latents)
        made = []
        for span in self._spans(len(latents), *(side * self._facts.factor for side in inner[1:])):
            state = torch.from_numpy(latents[span].astype(np.float32)).to(self._device).unflatten(1, inner)
            with exactly(), self._computing():
                if self._opened.network is None:
                    assert self._opened.codec is not None
                    made.append(_bytes_of(self._opened.codec.decode(state)))
                    continue
                process, predict = self._process(), self._predict(self._nothing(len(state)))
                state = along(process, predict, state, int(self._options["path_steps"]), to_noise=False)
                made.append(_bytes_of(self._painted(state)))
        shape = (inner[1] * self._facts.factor, inner[2] * self._facts.factor, self._facts.channels)
        return image_rows(np.concatenate([np.empty((0, *shape), np.uint8), *made]))

    def reconstruct(self, rows: Rows, rng: Rng) -> Rows:
        """Pass each picture through the autoencoder and back: by the mean of its latent, so ``rng`` is not asked."""
        codec = self._opened.codec
        assert codec is not None
        made = []
        for _, part in self._images(rows):
            with exactly(), self._computing():
                made.append(_bytes_of(codec.decode(codec.encode(part))))
        images = images_read_by("the autoencoder", rows)
        return image_rows(np.concatenate([images[:0], *made]))

    def _wanted(self, rngs: Sequence[Rng], condition: Rows | None) -> list[Any]:
        """Return the label or prompt of each sample; a free one has it from its own numbers."""
        facts = self._facts
        if facts.condition == TEXT:
            if condition is not None:
                return list(texts_asked(condition, len(rngs), self._column))
            return [self._prompts[int(rng.integers(len(self._prompts)))] for rng in rngs]
        if facts.condition == LABEL:
            asked: list[int | None] = [None] * len(rngs)
            if condition is not None:
                asked = labels_asked(condition, len(rngs), self._column, dict(facts.names), facts.labels)
            free = [label for label in range(facts.labels) if label != facts.none]
            return [
                free[int(rng.integers(len(free)))] if label is None else label
                for label, rng in zip(asked, rngs, strict=True)
            ]
        if condition is not None:
            raise ValueError("this pipeline draws without conditions; none can be asked for")
        return [None] * len(rngs)

    def _read(self, asked: Sequence[Any]) -> Asked | None:
        """Return what the network reads of labels or prompts."""
        import torch

        if self._facts.condition == TEXT:
            assert self._opened.read is not None
            read = self._opened.read([str(prompt) for prompt in asked])
            return {**read, "time_ids": self._sizes(len(asked))} if "text_embeds" in read else read
        if self._facts.condition == LABEL:
            return {"class_labels": torch.tensor([int(label) for label in asked], device=self._device)}
        return None

    def _sizes(self, n: int) -> Tensor:
        """Return what a network that reads sizes is told: a picture that was never cropped, of the size that is drawn."""
        import torch

        height, width = self._facts.shape[:2]
        told = torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32, device=self._device)
        return told.expand(n, -1)

    def _nothing(self, n: int) -> Asked | None:
        """Return what the network reads where nothing is asked for; None where it knows no such thing."""
        if self._facts.condition == TEXT:
            read = self._read([""] * n)
            if read is None or not self._facts.zeros:
                return read
            return {word: value if word == "time_ids" else 0 * value for word, value in read.items()}
        return None if self._facts.none is None else self._read([self._facts.none] * n)

    def _known(self, rows: Rows) -> list[Any] | None:
        """Return the label or prompt of each picture where the rows have it, the one that means any where a row has none."""
        if not self._column or self._column not in rows.column_names:
            return None
        if self._facts.condition == TEXT:
            return list(texts_asked(rows, rows.num_rows, self._column))
        found = labels_asked(rows, rows.num_rows, self._column, dict(self._facts.names), self._facts.labels)
        return [self._facts.none if label is None else label for label in found]

    def _process(self) -> Process:
        from audit.models.pipelines.process import Process

        assert self._opened.scheduler is not None
        return Process.of(dict(self._opened.scheduler().config), self._facts.prediction)

    def _predict(self, asked: Asked | None) -> Predict:
        from audit.models.pipelines.drawing import asking

        ask, channels = asking(self._opened), self._facts.inner[0]
        return lambda states, levels: ask(states, levels, asked)[:, :channels]

    def _each(
        self,
        rows: Rows,
        what: Callable[[Process, Predict, Tensor], Matrix],
        nothing: Matrix,
        *,
        own: bool = True,
    ) -> Matrix:
        """Return something of each picture as the network sees it, chunk by chunk; ``nothing`` is what no picture gives.

        With ``own`` each is asked for by its own label or prompt, where the rows have them.
        """
        process, known, found = self._process(), self._known(rows) if own else None, [nothing]
        for span, part in self._images(rows, self._facts.shape):
            with exactly(), self._computing():
                asked = self._nothing(len(part)) if known is None else self._read(known[span])
                codec = self._opened.codec
                states = part if codec is None else codec.scaled(codec.encode(part))
                found.append(what(process, self._predict(asked), states))
        return np.concatenate(found)

    def _latents(self, images: Tensor) -> Tensor:
        assert self._opened.codec is not None
        with exactly(), self._computing():
            return self._opened.codec.encode(images)

    def _images(
        self, rows: Rows, shape: tuple[int, int, int] | None = None
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield the pictures on -1 to 1, chunk by chunk. Raise ValueError when they have another size than is read."""
        import torch

        pixels = images_read_by("this model", rows, shape=shape, channels=(self._facts.channels,))
        height, width = pixels.shape[1:3]
        if height % self._facts.grid or width % self._facts.grid:
            raise ValueError(
                f"the autoencoder reads pictures whose sides are multiples of {self._facts.grid}, not {height}x{width}"
            )
        for span in self._spans(len(pixels), height, width):
            part = torch.from_numpy(pixels[span].transpose(0, 3, 1, 2).copy()).to(self._device)
            yield span, part.float() / 127.5 - 1

    def _inner(self, latents: Matrix) -> tuple[int, int, int]:
        """Return channels, height and width of latents. Raise ValueError when they have another length."""
        wanted = int(np.prod(self._facts.inner))
        if self._opened.network is not None:
            if latents.ndim != 2 or latents.shape[1] != wanted:
                raise ValueError(f"latent vectors are (n, {wanted}), not {latents.shape}")
            return self._facts.inner
        config = self._opened.codec.network.config  # type: ignore[union-attr]  # an autoencoder has one
        channels = int(getattr(config, "vq_embed_dim", None) or config.latent_channels)
        side = round((latents.shape[1] / channels) ** 0.5) if latents.ndim == 2 else 0
        if side < 1 or side * side * channels != latents.shape[1]:
            raise ValueError(
                f"latent vectors of this autoencoder are those of square pictures, {channels} channels, not {latents.shape}"
            )
        return channels, side, side

    def _painted(self, state: Tensor) -> Tensor:
        """Return pictures of what the network made."""
        codec = self._opened.codec
        return state if codec is None else codec.decode(codec.unscaled(state))

    def _spans(self, n: int, height: int, width: int) -> list[slice]:
        at_once = max(1, min(_MOST_AT_ONCE, _PIXELS_AT_ONCE // max(1, height * width)))
        return [slice(start, min(n, start + at_once)) for start in range(0, n, at_once)]

    def _computing(self) -> AbstractContextManager[Any]:
        import torch

        if self._options["arithmetic"] == "float32":
            return nullcontext()
        cast: AbstractContextManager[Any] = torch.autocast(torch.device(self._device).type, torch.bfloat16)
        return cast


def _bytes_of(values: Tensor) -> Images:
    """Return pictures on -1 to 1 as bytes (n, height, width, channels). Raise ValueError when they are not finite."""
    import torch

    if not bool(torch.isfinite(values).all()):
        raise ValueError("the model returned pixels that are not finite; its weights may be damaged")
    rounded = ((values.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(0, 2, 3, 1).cpu().numpy())
