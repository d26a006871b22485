"""Which pipelines are known: their parts, what draws a sample, and what the library does unless told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NETWORK, CODEC, READER, TOKENIZER, SCHEDULER = "network", "codec", "reader", "tokenizer", "scheduler"
READERS = ((READER, TOKENIZER), ("second reader", "second tokenizer"))
"""What a part is for: it predicts noise, it turns pictures into latents and back, it reads prompts, it cuts them up, it steps."""
NOTHING, LABEL, TEXT = "nothing", "label", "text"
"""What a sample may be asked for."""

CODECS = ("AutoencoderKL", "VQModel", "AutoencoderTiny")
_UNET, _TEXT_UNET = ("UNet2DModel",), ("UNet2DConditionModel",)
_TRANSFORMER = ("DiTTransformer2DModel", "Transformer2DModel")
_READERS, _POOLING = ("CLIPTextModel",), ("CLIPTextModelWithProjection",)
_TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast")
SCHEDULERS = (
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "UniPCMultistepScheduler",
)
"""Schedulers over a schedule of betas: each can take the place of any other."""


@dataclass(frozen=True, slots=True)
class Role:
    """What one part of a pipeline is for, and the classes it may be of."""

    use: str
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One class of pipelines. ``steps`` and ``guidance`` are those of the library; ``unused`` parts are never loaded.

    ``scheduler`` is what the library puts in the place of any other, and ``settings`` what it says to it whatever its file says.
    """

    title: str
    parts: Mapping[str, Role]
    steps: int
    condition: str = NOTHING
    guidance: float = 1.0
    unused: tuple[str, ...] = ()
    scheduler: str = ""
    settings: Mapping[str, int | bool] = field(default_factory=dict)
    remark: str = ""


_SCHEDULER = Role(SCHEDULER, SCHEDULERS)
_PIXELS = {"unet": Role(NETWORK, _UNET), "scheduler": _SCHEDULER}
PIPELINES: Mapping[str, Kind] = {
    "DDPMPipeline": Kind("diffusion", _PIXELS, 1000),
    "DDIMPipeline": Kind("diffusion", _PIXELS, 50, scheduler="DDIMScheduler"),
    "PNDMPipeline": Kind("diffusion", _PIXELS, 50, scheduler="PNDMScheduler"),
    "LDMPipeline": Kind("latent diffusion", {"vqvae": Role(CODEC, CODECS), **_PIXELS}, 50),
    "DiTPipeline": Kind(
        "diffusion transformer",
        {
            "transformer": Role(NETWORK, _TRANSFORMER),
            "vae": Role(CODEC, CODECS),
            "scheduler": _SCHEDULER,
        },
        50,
        LABEL,
        4.0,
    ),
    "StableDiffusionPipeline": Kind(
        "latent diffusion",
        {
            "unet": Role(NETWORK, _TEXT_UNET),
            "vae": Role(CODEC, CODECS),
            "text_encoder": Role(READER, _READERS),
            "tokenizer": Role(TOKENIZER, _TOKENIZERS),
            "scheduler": _SCHEDULER,
        },
        50,
        TEXT,
        7.5,
        unused=("safety_checker", "feature_extractor", "image_encoder"),
        settings={"steps_offset": 1, "clip_sample": False},
    ),
    "StableDiffusionXLPipeline": Kind(
        "latent diffusion",
        {
            "unet": Role(NETWORK, _TEXT_UNET),
            "vae": Role(CODEC, CODECS),
            "text_encoder": Role(READERS[0][0], _READERS),
            "tokenizer": Role(READERS[0][1], _TOKENIZERS),
            "text_encoder_2": Role(READERS[1][0], _POOLING),
            "tokenizer_2": Role(READERS[1][1], _TOKENIZERS),
            "scheduler": _SCHEDULER,
        },
        50,
        TEXT,
        5.0,
        unused=("feature_extractor", "image_encoder"),
        remark="The watermark that the library puts into such pictures where invisible-watermark is installed is not put in.",
    ),
}
AUTOENCODER = Kind("autoencoder", {"vae": Role(CODEC, CODECS)}, 0)
"""A folder with one autoencoder and no pipeline around it."""
TITLES = {"AutoencoderKL": "variational autoencoder", "VQModel": "vector-quantised autoencoder"}
