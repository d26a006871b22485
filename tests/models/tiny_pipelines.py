"""Tiny pipelines of diffusers with random weights, made and saved where a test asks for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    EulerDiscreteScheduler,
    LDMPipeline,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UNet2DModel,
    VQModel,
)
from diffusers.utils import import_utils, logging
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

SMALL = {"layers_per_block": 1, "norm_num_groups": 4}
LABELS = {0: "zero, nought", 1: "one", 2: "two"}


def unet(channels: int = 3, side: int = 8, **more: Any) -> UNet2DModel:
    return UNet2DModel(
        sample_size=side,
        in_channels=channels,
        **{"out_channels": channels, **more},
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        **SMALL,
    )


def kl(channels: int = 3, latents: int = 4) -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        latent_channels=latents,
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        **SMALL,
    )


def vq() -> VQModel:
    return VQModel(
        latent_channels=3,
        num_vq_embeddings=16,
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        **SMALL,
    )


def tiny_autoencoder() -> AutoencoderTiny:
    return AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )


def ddpm(**more: Any) -> DDPMPipeline:
    return DDPMPipeline(unet=unet(**more), scheduler=DDPMScheduler(num_train_timesteps=100))


def ddim() -> DDIMPipeline:
    return DDIMPipeline(unet=unet(channels=1), scheduler=DDIMScheduler(num_train_timesteps=100))


def ldm() -> LDMPipeline:
    return LDMPipeline(vqvae=vq(), unet=unet(side=4), scheduler=DDIMScheduler(beta_schedule="scaled_linear"))


def dit() -> DiTPipeline:
    transformer = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=4,
        patch_size=2,
        num_embeds_ada_norm=1000,
        norm_num_groups=4,
    )
    return DiTPipeline(transformer=transformer, vae=kl(), scheduler=DDIMScheduler())


def tokenizer() -> CLIPTokenizer:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    return CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=12)


def text_config(**more: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=54,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=12,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        **more,
    )


def text_unet(**more: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=4,
        block_out_channels=(8, 8),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=4,
        **{"cross_attention_dim": 16, **more},
        **SMALL,
    )


def stable_diffusion() -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=kl(),
        text_encoder=CLIPTextModel(text_config()),
        tokenizer=tokenizer(),
        unet=text_unet(),
        scheduler=PNDMScheduler(beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl() -> Any:
    # the library marks what this pipeline draws where a package is installed that needs OpenCV, which may not be
    import_utils._invisible_watermark_available = False
    from diffusers import StableDiffusionXLPipeline

    return StableDiffusionXLPipeline(
        vae=kl(),
        text_encoder=CLIPTextModel(text_config()),
        text_encoder_2=CLIPTextModelWithProjection(text_config(projection_dim=8)),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        unet=text_unet(
            cross_attention_dim=32,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=6 * 4 + 8,
            transformer_layers_per_block=1,
            use_linear_projection=True,
        ),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1),
        add_watermarker=False,
    )


MAKERS: Mapping[str, Callable[[], Any]] = {
    "ddpm": ddpm,
    "ddim": ddim,
    "labelled": lambda: ddpm(num_class_embeds=4),
    "ldm": ldm,
    "dit": dit,
    "stable-diffusion": stable_diffusion,
    "xl": stable_diffusion_xl,
    "kl": kl,
    "vq": vq,
    "tiny": tiny_autoencoder,
}


def saved(name: str, folder: Path) -> Path:
    """Save a pipeline or an autoencoder whose weights are random, larger than fresh ones, and the same each time."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = MAKERS[name]()
        for network in getattr(made, "components", {"it": made}).values():
            if isinstance(network, torch.nn.Module):
                _stirred(network)
        made.save_pretrained(folder)
    if name == "dit":  # the library reads names of labels from here and does not write them
        edited(folder / "model_index.json", id2label=LABELS)
    return folder


def _stirred(network: torch.nn.Module) -> None:
    """Make a fresh network's output depend on all its inputs: some layers begin at zero."""
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.add_(torch.randn_like(parameter) * 0.2)


def edited(path: Path, **changes: Any) -> None:
    """Change settings in a JSON file; None removes one."""
    said = json.loads(path.read_text())
    said |= changes
    path.write_text(json.dumps({name: value for name, value in said.items() if value is not None}))
