"""What a pipeline's settings say: the size of its pictures, what it can be asked for, and what it cannot do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from audit.core.capabilities import Capability
from audit.core.errors import InputError, nearest
from audit.models.pipelines.folder import Part, Pipeline
from audit.models.pipelines.kinds import CODEC, LABEL, NETWORK, NOTHING, READERS, SCHEDULER, TEXT

_PREDICTIONS = ("epsilon", "sample", "v_prediction")
_TEXT_ONLY = (
    "addition_embed_type",
    "class_embed_type",
    "num_class_embeds",
    "encoder_hid_dim",
    "encoder_hid_dim_type",
    "time_cond_proj_dim",
)
_BY_ITSELF = "a pipeline has no bottleneck that a picture passes through; audit the folder of its autoencoder as a model of its own"
_NO_BOTTLENECK = "a diffusion model has no bottleneck that a picture passes through"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a pipeline makes and takes. ``inner`` is what its network sees: channels, height, width.

    ``labels`` is how many labels there are, 0 without; ``none`` is the label that means any, where there is one.
    ``names`` are the labels' names. ``zeros`` says that no prompt is read as zeros, not as an empty prompt. ``grid`` is what sides of pictures are multiples of.
    """

    channels: int
    grid: int
    inner: tuple[int, int, int] = (0, 0, 0)
    factor: int = 1
    condition: str = NOTHING
    labels: int = 0
    none: int | None = None
    names: tuple[tuple[str, int], ...] = ()
    levels: int = 0
    prediction: str = ""
    zeros: bool = False
    withheld: tuple[tuple[Capability, str], ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the pictures that are drawn."""
        return self.inner[1] * self.factor, self.inner[2] * self.factor, self.channels


def facts_of(
    found: Pipeline, size: int = 0, null_label: int | None = None, names: Sequence[str] = ()
) -> Facts:
    """Return what the settings say. Raise InputError when they contradict each other or leave the size open.

    ``size``, ``null_label`` and ``names`` of the labels in their order are what the spec says about what the settings leave
    open.
    """
    codec = found.part(CODEC)
    channels, factor = (0, 1) if codec is None else (_channels(codec), _factor(codec))
    network = found.part(NETWORK)
    if network is None:
        return Facts(channels, factor, factor=factor, withheld=_of_an_autoencoder())
    seen = network.whole("in_channels")
    _check_ends(network, codec, seen)
    condition, labels, none = _condition(found, network, null_label)
    side, grid = _sides(network, factor, size)
    scheduler = found.needed(SCHEDULER)
    draft = Facts(
        channels or seen,
        grid,
        (seen, *side),
        factor,
        condition,
        labels,
        none,
        _in_order(names, labels) if names and labels else _named(found.index, labels),
        scheduler.whole("num_train_timesteps"),
        _prediction(scheduler),
        found.part(READERS[1][0]) is not None
        and found.index.get("force_zeros_for_empty_prompt", True) is True,
    )
    if draft.channels not in (1, 3):
        raise InputError(
            f"'{found.place.name}' makes pictures of {draft.channels} channels; an audit reads grey and RGB."
        )
    return replace(draft, withheld=tuple(sorted(_withheld(draft, codec, scheduler).items())))


def _channels(codec: Part) -> int:
    first, last = codec.whole("in_channels"), codec.whole("out_channels")
    if first != last or first not in (1, 3):
        raise InputError(
            f"The autoencoder '{codec.name}' takes pictures of {first} channels and gives {last}; an audit reads grey and RGB."
        )
    return first


def _factor(codec: Part) -> int:
    """Return how many pixels of a side become one number of a latent's side."""
    tiny = codec.kind == "AutoencoderTiny"
    widths = codec.listed("encoder_block_out_channels" if tiny else "block_out_channels")
    return int(2 ** (len(widths) - 1))


def _check_ends(network: Part, codec: Part | None, seen: int) -> None:
    """Raise InputError unless the network takes and gives what there is to be denoised."""
    if codec is not None:
        wide = codec.config.get("vq_embed_dim") or codec.whole("latent_channels")
        if wide != seen:
            raise InputError(
                f"'{network.name}' takes {seen} channels, and latents of '{codec.name}' have {wide}: it needs more than noise and "
                "what is asked for (as for inpainting), or the two parts are of different models."
            )
    given = network.config.get("out_channels") or seen
    if given not in (seen, 2 * seen):
        raise InputError(
            f"'{network.name}' takes {seen} channels and gives {given}; a denoiser gives as many, or twice."
        )


def _condition(found: Pipeline, network: Part, null_label: int | None) -> tuple[str, int, int | None]:
    """Return what a sample is asked for by, how many labels there are, and which of them means none."""
    condition, config = found.kind.condition, network.config
    if condition == TEXT:
        _check_reading(found, network)
        return TEXT, 0, None
    if condition == LABEL:
        labels = network.whole("num_embeds_ada_norm")
        return LABEL, labels, labels if null_label is None else null_label
    if config.get("class_embed_type") is not None:
        raise InputError(
            f"'{network.name}' takes labels as '{config['class_embed_type']!s:.40}', which is not known here; labels that are "
            "looked up in a table are (num_class_embeds)."
        )
    if config.get("num_class_embeds") is None:
        return NOTHING, 0, None
    labels = network.whole("num_class_embeds")
    if null_label is not None and not 0 <= null_label < labels:
        raise InputError(f"null_label is {null_label}; '{network.name}' has the labels 0 to {labels - 1}.")
    return LABEL, labels, null_label


def _check_reading(found: Pipeline, network: Part) -> None:
    """Raise InputError unless what the network reads is what the text encoders give."""
    config, readers = network.config, [part for use, _ in READERS if (part := found.part(use)) is not None]
    pooled = "text_time" if len(readers) > 1 else None
    right = {**dict.fromkeys(_TEXT_ONLY), "addition_embed_type": pooled}
    further = next((field for field, value in right.items() if config.get(field) != value), None)
    if further:
        raise InputError(
            f"'{network.name}' does not read prompts as {found.title} does ({further} = {config.get(further)!r:.40}): it is of "
            "another kind of pipeline."
        )
    given = {"cross_attention_dim": sum(part.whole("hidden_size") for part in readers)}
    if pooled:
        summary = readers[-1].whole("projection_dim")
        given["projection_class_embeddings_input_dim"] = (
            6 * network.whole("addition_time_embed_dim") + summary
        )
    for field, numbers in given.items():
        if config.get(field) != numbers:
            raise InputError(
                f"'{network.name}' reads {config.get(field)!r:.40} numbers of a prompt ({field}) and is given {numbers}: it and the "
                "text encoder are parts of different models."
            )


def _sides(network: Part, factor: int, size: int) -> tuple[tuple[int, int], int]:
    """Return height and width of what the network sees, and what sides of pictures are multiples of."""
    said: Any = network.config.get("sample_size")
    sides = said if isinstance(said, list) and len(said) == 2 else [said, said]
    whole = all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)
    fixed = "patch_size" in network.config and network.kind.endswith("Transformer2DModel")
    halved = 1 if fixed else 2 ** (len(network.listed("block_out_channels")) - 1)
    grid = factor * halved
    if not whole and not size:
        raise InputError(
            f"'{network.name}' does not say at which size it draws. Add size = … (pixels) to [model]."
        )
    if fixed and size and size != sides[0] * factor:
        raise InputError(
            f"size is {size}; '{network.name}' draws at {sides[0] * factor} pixels and no other size."
        )
    if size and size % grid:
        raise InputError(f"size is {size}; this pipeline draws at multiples of {grid} pixels.")
    return ((size // factor,) * 2 if size else (int(sides[0]), int(sides[1]))), grid


def _prediction(scheduler: Part) -> str:
    said = scheduler.config.get("prediction_type", "epsilon")
    if said not in _PREDICTIONS:
        raise InputError(
            f"The scheduler's settings say prediction_type = {said!r:.40}. {nearest(str(said), _PREDICTIONS)}"
        )
    return str(said)


def _named(index: Mapping[str, Any], labels: int) -> tuple[tuple[str, int], ...]:
    """Return the labels' names from the index, a name for each part of "tench, Tinca tinca"."""
    said = index.get("id2label")
    if not isinstance(said, dict) or not labels:
        return ()
    found: dict[str, int] = {}
    for key, value in said.items():
        if not str(key).isdigit() or int(key) >= labels or not isinstance(value, str):
            raise InputError(
                f"The index names the label {key!r:.40} {value!r:.40}; there are {labels} labels."
            )
        for name in value.split(","):
            found[name.strip()] = int(key)
    return tuple(sorted(found.items()))


def _in_order(names: Sequence[str], labels: int) -> tuple[tuple[str, int], ...]:
    if len(names) > labels:
        raise InputError(f"labels gives {len(names)} names, and the network has {labels} labels.")
    return tuple(sorted((name, number) for number, name in enumerate(names)))


def _of_an_autoencoder() -> tuple[tuple[Capability, str], ...]:
    return (
        (Capability.DENOISING_LOSS, "an autoencoder removes no noise"),
        (
            Capability.LIKELIHOOD_BOUND,
            "its files do not say how likely the decoder finds a picture: they hold no noise model of pixels",
        ),
        (
            Capability.SAMPLE,
            "an autoencoder alone does not say how its latents are distributed; a pipeline over it draws them",
        ),
    )


def _withheld(facts: Facts, codec: Part | None, scheduler: Part) -> dict[Capability, str]:
    """Return what this pipeline cannot do, with the reason."""
    found = {Capability.RECONSTRUCT: _NO_BOTTLENECK if codec is None else _BY_ITSELF}
    if codec is not None:
        found[Capability.LIKELIHOOD_BOUND] = (
            "the bound of a latent diffusion model needs the probability of a picture given its latent, and its autoencoder "
            "gives none"
        )
    if facts.condition == LABEL and facts.none is None:
        why = (
            "it needs the label of every picture, and this network has none that means any; where one does, say so: "
            "null_label = …"
        )
        for capability in (
            Capability.DENOISING_LOSS,
            Capability.LIKELIHOOD_BOUND,
            Capability.ENCODE,
            Capability.DECODE,
        ):
            found.setdefault(capability, why)
    if scheduler.config.get("rescale_betas_zero_snr") and facts.prediction == "epsilon":
        why = "its schedule ends in pure noise, of which the noise that the network predicts says nothing"
        for capability in (Capability.LIKELIHOOD_BOUND, Capability.ENCODE, Capability.DECODE):
            found.setdefault(capability, why)
    return found
