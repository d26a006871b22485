"""The adapter of diffusers: each kind of pipeline against the library's own, and against closed forms."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDPMPipeline, DDPMScheduler, DiffusionPipeline, UNet2DModel

from audit.core.capabilities import Capability
from audit.core.rows import image_rows, images_of, text_rows
from audit.models.diffusers import Diffusers
from audit.models.pipelines.process import Process, along, bound, denoising_loss, shared_noise
from audit.testing.models import check_adapter, check_capabilities
from tests.models.tiny_pipelines import MAKERS, edited, saved, unet

QUICK = {"arithmetic": "float32"}
PIPELINES = ("ddpm", "ddim", "labelled", "ldm", "dit", "stable-diffusion", "xl")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pipelines")
    return {name: saved(name, root / name) for name in MAKERS}


def opened(folder: Path, **options: Any) -> Diffusers:
    return Diffusers.open(Diffusers.refer({"path": str(folder), **QUICK, **options}), "cpu")


def pictures(n: int = 3, side: int = 8, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, side, side, channels), dtype=np.uint8)


def rngs(n: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng((seed, i)) for i in range(n)]


@pytest.mark.parametrize("name", list(MAKERS))
def test_every_kind_keeps_the_promises_of_an_adapter(folders: dict[str, Path], name: str) -> None:
    drawn = {"steps": 3, "path_steps": 3, "loss_draws": 2} if name in PIPELINES else {}
    model, card, offers = check_adapter(Diffusers, {"path": str(folders[name]), **QUICK, **drawn})
    assert card.parameters > 1000
    assert card.modality == "image"
    everything = {
        Capability(c)
        for c in ("sample", "denoising_loss", "likelihood_bound", "encode", "decode", "reconstruct")
    }
    assert offers | dict(card.withheld).keys() == everything
    rows = image_rows(pictures(channels=1 if name == "ddim" else 3))
    check_capabilities(model, offers, rows)


def as_the_library_draws(name: str, pipe: Any, noise: list[torch.Tensor], steps: int) -> np.ndarray:
    """Have the library's own pipeline draw, from noise that is put in the place of its own."""
    from unittest.mock import patch

    given = torch.stack(noise)
    words: dict[str, Any] = {"num_inference_steps": steps, "output_type": "np"}
    match name:
        case "dit":
            words |= {"class_labels": [1, 2], "guidance_scale": 4.0}
        case "stable-diffusion":
            words |= {"prompt": ["a cat", "two dogs"], "guidance_scale": 7.5, "latents": given}
        case "xl":
            words |= {"prompt": ["a cat", "two dogs"], "guidance_scale": 5.0, "latents": given}
        case _:
            words |= {"batch_size": len(noise)}
    module = sys.modules[type(pipe).__module__]
    with patch.object(module, "randn_tensor", lambda *args, **named: given, create=True):
        return np.asarray(pipe(**words).images)


@pytest.mark.parametrize("name", ["ddim", "ldm", "dit", "stable-diffusion", "xl"])
def test_samples_are_those_of_the_library_given_the_same_noise(folders: dict[str, Path], name: str) -> None:
    model = opened(folders[name], steps=5)
    condition = {
        "dit": text_rows(["", ""], label=["one", "two"]),
        "stable-diffusion": text_rows(["a cat", "two dogs"]),
        "xl": text_rows(["a cat", "two dogs"]),
    }.get(name)
    ours = images_of(model.sample_each(rngs(2), condition))
    inner = model._facts.inner
    noise = [torch.from_numpy(rng.standard_normal(inner, dtype=np.float32)) for rng in rngs(2)]
    pipe = DiffusionPipeline.from_pretrained(
        folders[name], **({"safety_checker": None} if name == "stable-diffusion" else {})
    )
    pipe.set_progress_bar_config(disable=True)
    theirs = as_the_library_draws(name, pipe, noise, 5)
    assert ours.std() > 5, "the pictures are not of one colour"
    apart = np.abs(ours.astype(float) - theirs * 255)
    assert apart.max() <= 0.51, "equal up to rounding to bytes"


def test_ancestral_samples_are_those_of_the_library(folders: dict[str, Path]) -> None:
    model = opened(folders["ddpm"], steps=4)
    ours = images_of(model.sample_each(rngs(2)))
    noise, generators = [], []
    for rng in rngs(2):
        noise.append(torch.from_numpy(rng.standard_normal((3, 8, 8), dtype=np.float32)))
        generators.append(torch.Generator().manual_seed(int(rng.integers(1 << 62))))
    pipe = DDPMPipeline.from_pretrained(folders["ddpm"])
    pipe.set_progress_bar_config(disable=True)
    state, scheduler = torch.stack(noise), pipe.scheduler
    scheduler.set_timesteps(4)
    with torch.no_grad():
        for level in scheduler.timesteps:
            state = scheduler.step(
                pipe.unet(state, level).sample, level, state, generator=generators
            ).prev_sample
    theirs = ((state / 2 + 0.5).clamp(0, 1) * 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(ours.astype(float) - theirs).max() <= 0.51


@pytest.mark.parametrize("name", PIPELINES)
def test_a_sample_does_not_depend_on_what_is_drawn_beside_it(folders: dict[str, Path], name: str) -> None:
    model = opened(folders[name], steps=3)
    together = images_of(model.sample_each(rngs(5))).astype(int)
    apart = np.concatenate(
        [images_of(model.sample_each(part)) for part in (rngs(5)[:2], rngs(5)[2:])]
    ).astype(int)
    assert np.abs(together - apart).max() <= 1
    assert (together == apart).mean() > 0.99
    assert (together[0] != together[1]).mean() > 0.5, "samples differ from one another"


@pytest.mark.parametrize(
    "scheduler",
    [
        "DDPMScheduler",
        "DDIMScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "DEISMultistepScheduler",
        "EulerDiscreteScheduler",
        "EulerAncestralDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "LCMScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "UniPCMultistepScheduler",
    ],
)
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
@pytest.mark.parametrize("name", ["ddpm", "dit"])
def test_any_scheduler_draws_the_same_samples_twice(
    folders: dict[str, Path], name: str, scheduler: str
) -> None:
    model = opened(folders[name], scheduler=scheduler, steps=5)
    first, second = (images_of(model.sample_each(rngs(2))) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.std() > 1


def test_other_steps_and_guidance_are_other_models_and_other_samples(folders: dict[str, Path]) -> None:
    folder = str(folders["dit"])
    refs = [
        Diffusers.refer({"path": folder, **QUICK, **options})
        for options in ({"steps": 3}, {"steps": 4}, {"steps": 3, "guidance": 1.0})
    ]
    assert len({ref.options for ref in refs}) == 3
    drawn = [images_of(Diffusers.open(ref, "cpu").sample_each(rngs(1))) for ref in refs]
    assert not (drawn[0] == drawn[1]).all()
    assert not (drawn[0] == drawn[2]).all()


def test_labels_are_asked_for_by_number_and_by_name(folders: dict[str, Path]) -> None:
    model = opened(folders["dit"], steps=2)
    by = {
        "number": text_rows([""], label=[1]),
        "name": text_rows([""], label=["one"]),
        "prompt": text_rows(["a picture of one"]),
        "other": text_rows([""], label=["nought"]),
    }
    drawn = {word: images_of(model.sample_each(rngs(1), rows)) for word, rows in by.items()}
    np.testing.assert_array_equal(drawn["number"], drawn["name"])
    np.testing.assert_array_equal(drawn["number"], drawn["prompt"])
    assert (drawn["number"] != drawn["other"]).any()
    for wrong in ("three", 1000, -1, True):
        with pytest.raises(ValueError, match="no label"):
            model.sample_each(rngs(1), text_rows([""], label=[wrong]))
    with pytest.raises(ValueError, match="must name one"):
        model.sample_each(rngs(1), text_rows(["one or two"]))


def test_prompts_decide_free_samples(folders: dict[str, Path], tmp_path: Path) -> None:
    one, other = (opened(folders["stable-diffusion"], steps=2, prompts=[text]) for text in ("a cat", "zzz"))
    a, b = (images_of(model.sample_each(rngs(2))) for model in (one, other))
    assert (a != b).any()
    listed = tmp_path / "prompts.txt"
    listed.write_text("a cat\n\n  zzz \n")
    model = opened(folders["stable-diffusion"], steps=2, prompts=str(listed))
    assert model._prompts == ("a cat", "zzz")
    plain = opened(folders["stable-diffusion"], steps=2)
    asked = images_of(plain.sample_each(rngs(1), text_rows(["zzz"])))
    assert (asked != images_of(plain.sample_each(rngs(1), text_rows(["a cat"])))).any()


def test_what_the_library_says_to_an_outdated_scheduler_is_said_here_too(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(folders["stable-diffusion"], tmp_path / "old")
    edited(tmp_path / "old" / "scheduler" / "scheduler_config.json", steps_offset=None)
    old, new = (opened(place, steps=3) for place in (tmp_path / "old", folders["stable-diffusion"]))
    np.testing.assert_array_equal(images_of(old.sample_each(rngs(1))), images_of(new.sample_each(rngs(1))))
    edited(tmp_path / "old" / "scheduler" / "scheduler_config.json", beta_end=0.01)
    other = opened(tmp_path / "old", steps=3)
    assert (images_of(other.sample_each(rngs(1))) != images_of(new.sample_each(rngs(1)))).any()


class TestAPerfectDenoiser:
    """Pictures that are independent bytes of a known Gaussian have a denoiser in closed form."""

    def process(self, prediction: str = "epsilon") -> Process:
        return Process.of({"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"}, prediction)

    def predict(self, process: Process, spread: float) -> Any:
        """The best prediction for clean values of N(0, spread²)."""

        def said(noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
            a, s = (v[level].float()[:, None, None, None] for v in (process.a, process.s))
            clean = noisy * a * spread**2 / (a**2 * spread**2 + s**2)
            noise = (noisy - a * clean) / s
            match process.prediction:
                case "epsilon":
                    return noise
                case "sample":
                    return clean
            return a * noise - s * clean

        return said

    def expected_bits(self, process: Process, spread: float) -> float:
        """What the bound costs a byte, by quadrature: the noisiest level, every step between, and the byte at the end."""
        a, s = process.a.numpy(), process.s.numpy()
        ratio = (a / s) ** 2
        last = ((a[-1] * spread) ** 2 + s[-1] ** 2 - 1 - 2 * np.log(s[-1])) / 2
        between = (0.5 * (ratio[:-1] - ratio[1:]) / (1 / spread**2 + ratio[1:])).sum()
        n = np.linspace(-8, 8, 4001)
        weight = np.exp(-0.5 * n**2) / np.exp(-0.5 * n**2).sum()
        apart = np.arange(-255, 256)[:, None] * (2 / 255) * a[0] / s[0]
        first = (weight * np.log(np.exp(-0.5 * ((n + apart) ** 2 - n**2)).sum(axis=0))).sum()
        return float((last + between + first) / np.log(2))

    @pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
    def test_the_bound_is_what_its_steps_cost_and_no_less_than_the_entropy(self, prediction: str) -> None:
        rng, spread, n, side = np.random.default_rng(0), 0.3, 400, 8
        levels = np.rint((rng.normal(0, spread, (n, 3, side, side)).clip(-1, 1) + 1) * 127.5)
        clean = torch.from_numpy(levels / 127.5 - 1).float()
        process = self.process(prediction)
        found = bound(process, self.predict(process, spread), clean, rng, 64)
        bits = -found / (3 * side * side * np.log(2))
        error, expected = bits.std() / np.sqrt(n), self.expected_bits(process, spread)
        entropy = 0.5 * np.log2(2 * np.pi * np.e * spread**2) + np.log2(127.5)
        assert abs(bits.mean() - expected) < 4 * error + 0.01, (bits.mean(), expected, error)
        assert expected > entropy

    def test_the_loss_is_the_posterior_variance(self) -> None:
        rng, spread = np.random.default_rng(0), 0.5
        clean = torch.from_numpy(rng.normal(0, spread, (4000, 1, 8, 8)).astype(np.float32))
        process = self.process()
        for level in (100, 400, 800):
            found = denoising_loss(process, self.predict(process, spread), clean, level, 8)
            a, s = float(process.a[level]), float(process.s[level])
            expected = (a * spread) ** 2 / ((a * spread) ** 2 + s**2)
            np.testing.assert_allclose(found.mean(), expected, rtol=0.1)

    def test_the_path_to_noise_and_back_ends_where_it_began(self) -> None:
        rng, spread = np.random.default_rng(0), 0.5
        clean = torch.from_numpy(rng.normal(0, spread, (200, 1, 8, 8)).astype(np.float32))
        process = self.process("v_prediction")
        predict = self.predict(process, spread)
        noise = along(process, predict, clean, 500, to_noise=True)
        assert abs(float(noise.std()) - 1) < 0.02
        again = along(process, predict, noise, 500, to_noise=False)
        np.testing.assert_allclose(again, clean, atol=0.02)
        np.testing.assert_allclose(noise, clean / spread, atol=0.05)


def test_noise_is_shared_by_pictures_and_antithetic() -> None:
    first, second = shared_noise((3, 4, 4), 4), shared_noise((3, 4, 4), 4)
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(first[0], -first[1])
    assert not torch.equal(first[0], first[2])


@pytest.mark.parametrize("name", ["ddpm", "ldm", "stable-diffusion"])
def test_the_loss_of_a_picture_depends_on_nothing_beside_it(folders: dict[str, Path], name: str) -> None:
    model = opened(folders[name], loss_draws=4)
    rows = image_rows(pictures(4))
    whole = model.denoising_loss(rows, 0.4, np.random.default_rng(0))
    parts = [model.denoising_loss(rows.slice(i, 1), 0.4, np.random.default_rng(9 + i)) for i in range(4)]
    np.testing.assert_allclose(whole, np.concatenate(parts), rtol=1e-4)
    assert np.unique(whole.round(6)).size == 4, "pictures differ in their loss"


@pytest.mark.slow
def test_a_memorised_picture_has_the_smallest_loss(folders: dict[str, Path], tmp_path: Path) -> None:
    """Train a tiny network on one picture: the loss tells it from others."""
    torch.manual_seed(0)
    network: UNet2DModel = unet()
    rows = pictures(6)
    clean = torch.from_numpy(rows.transpose(0, 3, 1, 2).copy()).float() / 127.5 - 1
    scheduler = DDPMScheduler(num_train_timesteps=100)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(150):
        level = torch.randint(100, (16,))
        noise = torch.randn(16, 3, 8, 8)
        found = network(scheduler.add_noise(clean[:1].expand(16, -1, -1, -1), noise, level), level).sample
        optimiser.zero_grad()
        (found - noise).square().mean().backward()
        optimiser.step()
    DDPMPipeline(unet=network, scheduler=scheduler).save_pretrained(tmp_path / "memorised")
    model = opened(tmp_path / "memorised")
    loss = model.denoising_loss(image_rows(rows), 0.3, np.random.default_rng(0))
    assert loss.argmin() == 0
    assert loss[0] < 0.7 * loss[1:].min()
    found = model.likelihood_bound(image_rows(rows), np.random.default_rng(0))
    assert found.argmax() == 0


def test_inversion_and_back_is_near_the_picture(folders: dict[str, Path]) -> None:
    model = opened(folders["ddim"], path_steps=99)
    rows = image_rows(pictures(channels=1) // 3 + 80)
    again = images_of(model.decode(model.encode(rows), np.random.default_rng(0)))
    assert np.abs(again.astype(float) - images_of(rows)).mean() < 12


@pytest.mark.parametrize("name", ["kl", "vq", "tiny"])
def test_an_autoencoder_is_the_librarys(folders: dict[str, Path], name: str) -> None:
    model = opened(folders[name])
    rows = image_rows(pictures(side=16))
    x = torch.from_numpy(images_of(rows).transpose(0, 3, 1, 2).copy()).float() / 127.5 - 1
    library = type(MAKERS[name]()).from_pretrained(folders[name])
    with torch.no_grad():
        latents = library.encode(x)
        latents = latents.latent_dist.mode() if name == "kl" else latents.latents
        theirs = ((library.decode(latents).sample + 1) * 127.5).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(model.encode(rows), latents.flatten(1), atol=1e-5)
    ours = images_of(model.reconstruct(rows, np.random.default_rng(0)))
    assert np.abs(ours - theirs).max() <= 0.51
    np.testing.assert_array_equal(images_of(model.decode(model.encode(rows), np.random.default_rng(0))), ours)
    assert model.reconstruct(rows.slice(0, 0), np.random.default_rng(0)).num_rows == 0
    for wrong in (pictures(side=9), pictures(channels=1)):
        with pytest.raises(ValueError, match=r"multiples of 2|channels"):
            model.reconstruct(image_rows(wrong), np.random.default_rng(0))


def test_a_label_that_means_any_gives_back_what_needs_one(folders: dict[str, Path]) -> None:
    folder = str(folders["labelled"])
    card, offers = Diffusers.describe(Diffusers.refer({"path": folder}))
    assert offers == {Capability.SAMPLE}
    assert "null_label" in dict(card.withheld)[Capability.DENOISING_LOSS]
    ref = Diffusers.refer(
        {"path": folder, **QUICK, "null_label": 3, "guidance": 2.0, "steps": 2, "loss_draws": 1}
    )
    card, offers = Diffusers.describe(ref)
    assert offers >= {Capability.SAMPLE, Capability.DENOISING_LOSS, Capability.LIKELIHOOD_BOUND}
    model = Diffusers.open(ref, "cpu")
    named = Diffusers.open(
        Diffusers.refer(
            {"path": folder, **QUICK, "null_label": 3, "labels": ["cat", "dog"], "loss_draws": 1}
        ),
        "cpu",
    )
    by_name = named.denoising_loss(
        image_rows(pictures(2), label=["cat", "dog"]), 0.5, np.random.default_rng(0)
    )
    labelled = image_rows(pictures(2), label=[0, 1])
    own, none = (
        model.denoising_loss(rows, 0.5, np.random.default_rng(0))
        for rows in (labelled, image_rows(pictures(2)))
    )
    assert (own != none).all(), "a known label is used"
    np.testing.assert_array_equal(by_name, own)
    with pytest.raises(ValueError, match=r"no label 'cow'.*labels = "):
        named.denoising_loss(image_rows(pictures(1), label=["cow"]), 0.5, np.random.default_rng(0))


def test_samples_are_free_of_what_torch_drew_before(folders: dict[str, Path]) -> None:
    model = opened(folders["ddpm"], steps=3)
    torch.manual_seed(1)
    first = images_of(model.sample(2, np.random.default_rng(0)))
    torch.manual_seed(2)
    np.testing.assert_array_equal(first, images_of(model.sample(2, np.random.default_rng(0))))


def test_half_precision_files_are_found_and_computed_whole(folders: dict[str, Path], tmp_path: Path) -> None:
    pipe = DDIMPipeline.from_pretrained(folders["ddim"]).to(torch.float16)
    pipe.save_pretrained(tmp_path / "half", variant="fp16")
    from audit.core.errors import InputError

    with pytest.raises(InputError, match='variant = "fp16"'):
        Diffusers.refer({"path": str(tmp_path / "half")})
    half = opened(tmp_path / "half", variant="fp16", steps=3)
    assert next(half._opened.network.parameters()).dtype == torch.float32
    whole = opened(folders["ddim"], steps=3)
    a, b = (images_of(model.sample_each(rngs(2))).astype(int) for model in (half, whole))
    assert np.abs(a - b).mean() < 2


def test_planning_imports_neither_torch_nor_diffusers_nor_torchvision(folders: dict[str, Path]) -> None:
    code = (
        "import sys\nfrom audit.models.diffusers import Diffusers\n"
        f"for path in {[str(f) for f in folders.values()]}:\n"
        "    Diffusers.describe(Diffusers.refer({'path': path}))\n"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'torchvision') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
