"""The networks of the included image autoencoders, and the likelihood of the variational ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from audit.included.families.frames import Frame

_LEAST_LOG_SCALE = -7.0
"""Least logarithm of the logistic scale, on the axis from -1 to 1: there its standard deviation is a fifth of a grey level."""

_FIRST_LOG_SCALE = -3.5


class _Block(nn.Module):  # type: ignore[misc]  # mypy does not follow torch, whose classes are Any to it
    """A residual block without normalisation that begins as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.silu(self.first(functional.silu(x))))


class Autoencoder(nn.Module):  # type: ignore[misc]
    """Squeezes an image through ``latent`` numbers.

    ``widths`` are those at 16×16 patches of 2×2 pixels, at 8×8 and at 4×4. With ``variational`` the encoder gives a
    mean and a log-variance and the decoder a mean and a log-scale for each value; without it,
    one number for each.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        latent: int,
        widths: tuple[int, ...],
        blocks: int,
        *,
        variational: bool,
    ) -> None:
        super().__init__()
        self.channels, self.latent, self.variational = channels, latent, variational
        self.frame = Frame(size)
        each = 2 if variational else 1
        self.corner = self.frame.padded // 2 ** len(widths)
        down: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(4 * channels, widths[0], 3, padding=1)]
        up: list[nn.Module] = []
        for number, width in enumerate(widths):
            if number:
                before = widths[number - 1]
                down.append(nn.Conv2d(before, width, 4, stride=2, padding=1))
                up = [nn.Conv2d(width, 4 * before, 3, padding=1), nn.PixelShuffle(2), *up]
            down += [_Block(width) for _ in range(blocks)]
            up = [*(_Block(width) for _ in range(blocks)), *up]
        self.down, self.up = nn.Sequential(*down), nn.Sequential(*up)
        self.narrow = nn.Linear(widths[-1] * self.corner**2, each * latent)
        self.widen = nn.Linear(latent, widths[-1] * self.corner**2)
        self.paint = nn.Conv2d(widths[0], 4 * each * channels, 3, padding=1)
        if (
            variational
        ):  # begin with narrow logistics, or the latent variables stay unused while the image is blurred
            nn.init.constant_(self.paint.bias[4 * channels :], _FIRST_LOG_SCALE)

    def encode(self, images: Tensor) -> Tensor:
        """Return the code of images from -1 to 1: (n, latent), or (n, 2 latent) of means and log-variances."""
        h = self.down(self.frame.pad(images).contiguous(memory_format=torch.channels_last))
        return self.narrow(functional.silu(h).flatten(1))

    def decode(self, codes: Tensor) -> Tensor:
        """Return images, or means and log-scales side by side in the channels."""
        h = self.widen(codes).unflatten(1, (-1, self.corner, self.corner))
        h = self.up(h.contiguous(memory_format=torch.channels_last))
        return self.frame.crop(functional.pixel_shuffle(self.paint(functional.silu(h)), 2))


def log_probability(images: Tensor, painted: Tensor) -> Tensor:
    """Return the log probability of images under the logistic of each value, in nats, one number per image.

    The logistic is discretised to the 256 grey levels, the outer two taking the tails (Salimans et al. 2017),
    so these are probabilities of bytes. ``images`` are -1 … 1, ``painted`` has twice the channels.
    """
    mean, raw = painted.float().chunk(2, dim=-3)
    scale = raw.clamp(min=_LEAST_LOG_SCALE).exp()
    above, below = (images - mean + 1 / 255) / scale, (images - mean - 1 / 255) / scale
    # log(sigmoid(a) - sigmoid(b)) = log σ(a) + log σ(-b) + log(1 - exp(b - a)), stable for every a > b
    inner = functional.logsigmoid(above) + functional.logsigmoid(-below)
    inner = inner + torch.log(-torch.expm1(-2 / 255 / scale))
    value = torch.where(images < -0.999, functional.logsigmoid(above), inner)
    value = torch.where(images > 0.999, functional.logsigmoid(-below), value)
    return value.sum(dim=(-3, -2, -1))


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(posterior || standard normal) of each row in nats."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1)
