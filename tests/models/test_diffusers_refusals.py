"""What the adapter of diffusers refuses before a run, in words; what it reads, and nothing beside it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from audit.core.errors import InputError
from audit.core.rows import text_rows
from audit.models.diffusers import Diffusers
from audit.models.pipelines.folder import read_pipeline
from tests.models.tiny_pipelines import edited, saved

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + 64 * "0" + "\nsize 1024\n"
WEIGHTS = "diffusion_pytorch_model.safetensors"
KEPT = ("ddpm", "dit", "stable-diffusion", "xl", "kl")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("kept")
    return {name: saved(name, root / name) for name in KEPT}


@pytest.fixture
def copy(kept: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    def made(name: str) -> Path:
        return Path(shutil.copytree(kept[name], tmp_path / "model"))

    return made


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "unet" / WEIGHTS), folder / "unet" / "diffusion_pytorch_model.bin")
    (folder / "unet" / WEIGHTS).unlink()


def written(name: str, text: str = "raise SystemExit('code ran')") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text(text)

    return change


def index(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: edited(folder / "model_index.json", **changes)


def settings(part: str, name: str = "config.json", **changes: Any) -> Callable[[Path], None]:
    return lambda folder: edited(folder / part / name, **changes)


def cut(folder: Path) -> None:
    path = folder / "unet" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


def in_one_file(folder: Path) -> None:
    (folder / "model_index.json").unlink()
    shutil.copy(folder / "unet" / WEIGHTS, folder / "sd.safetensors")


def without_words(folder: Path) -> None:
    for path in (folder / "tokenizer").glob("*"):
        if path.name != "tokenizer_config.json":
            path.unlink()


REFUSED: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "pickles alone": ("ddpm", pickled, r"diffusion_pytorch_model\.bin, a pickle, .* runs the code in it"),
    "no weights": ("ddpm", lambda f: (f / "unet" / WEIGHTS).unlink(), r"'unet' holds no \.safetensors file"),
    "cut weights": ("ddpm", cut, r"of 'unet' is cut short"),
    "pointer": (
        "ddpm",
        written(f"unet/{WEIGHTS}", POINTER),
        "Git LFS pointer",
    ),
    "no settings": ("ddpm", lambda f: (f / "unet/config.json").unlink(), r"'unet' has no config\.json"),
    "no part": ("ddpm", lambda f: shutil.rmtree(f / "unet"), r"lacks the folder 'unet'"),
    "null part": ("ddpm", index(unet=[None, None]), r"cannot draw without that part"),
    "unknown pipeline": (
        "ddpm",
        index(_class_name="DDPMPipelines"),
        r"'DDPMPipelines', which is not known here\. Did you mean 'DDPMPipeline'",
    ),
    "own pipeline": (
        "ddpm",
        index(_class_name=["pipeline", "Mine"]),
        r"pipeline of its own .* does not run such code",
    ),
    "own network": (
        "ddpm",
        index(unet=["my_module", "UNet2DModel"]),
        r"code that comes with a model is never run",
    ),
    "unknown network": ("ddpm", index(unet=["diffusers", "UNet1DModel"]), r"Did you mean 'UNet2DModel'"),
    "pipeline.py": ("ddpm", written("pipeline.py"), r"holds code \(pipeline\.py\).*runs none"),
    "code of a part": ("ddpm", written("unet/my_unet.py"), r"holds code \(unet/my_unet\.py\)"),
    "lora": ("ddpm", written("pytorch_lora_weights.safetensors"), r"an audit applies none\. Merge it"),
    "auto_map": ("ddpm", settings("unet", auto_map={"AutoModel": "x.Y"}), r"asks for code .* \(auto_map\)"),
    "quantised": ("ddpm", settings("unet", quantization_config={"a": 1}), r"weights are quantised"),
    "other class": ("ddpm", settings("unet", _class_name="UNet1DModel"), r"the index says UNet2DModel"),
    "further part": (
        "ddpm",
        index(vae=["diffusers", "AutoencoderKL"]),
        r"names the part 'vae', which DDPMPipeline does not have",
    ),
    "unknown scheduler": (
        "ddpm",
        index(scheduler=["diffusers", "FlowMatchEulerDiscreteScheduler"]),
        "not known here",
    ),
    "unknown prediction": (
        "ddpm",
        settings("scheduler", "scheduler_config.json", prediction_type="flow"),
        r"prediction_type = 'flow'",
    ),
    "endless layers": (
        "ddpm",
        settings("unet", layers_per_block=10**9),
        r"layers_per_block = 1000000000; no network",
    ),
    "endless blocks": ("ddpm", settings("unet", block_out_channels=[8] * 1000), r"no network is that large"),
    "huge width": ("ddpm", settings("unet", block_out_channels=[8, 1 << 40]), r"no network is that large"),
    "endless text": (
        "stable-diffusion",
        settings("text_encoder", num_hidden_layers=10**9),
        r"no network is that large",
    ),
    "endless schedule": (
        "ddpm",
        settings("scheduler", "scheduler_config.json", num_train_timesteps=10**12),
        "no network is that",
    ),
    "five channels": ("ddpm", settings("unet", in_channels=5, out_channels=5), r"pictures of 5 channels"),
    "odd channels": ("ddpm", settings("unet", out_channels=5), r"takes 3 channels and gives 5"),
    "size left open": ("ddpm", settings("unet", sample_size=None), r"Add size = "),
    "timestep labels": ("ddpm", settings("unet", class_embed_type="timestep"), r"takes labels as 'timestep'"),
    "inpainting": ("stable-diffusion", settings("unet", in_channels=9), r"needs more than noise"),
    "other text encoder": (
        "stable-diffusion",
        settings("unet", cross_attention_dim=8),
        r"parts of different models",
    ),
    "distilled": ("stable-diffusion", settings("unet", time_cond_proj_dim=8), r"another kind of pipeline"),
    "one text encoder of two": (
        "xl",
        lambda f: shutil.rmtree(f / "text_encoder_2"),
        r"lacks the folder 'text_encoder_2'",
    ),
    "other sizes of XL": ("xl", settings("unet", addition_time_embed_dim=8), r"parts of different models"),
    "XL without sizes": (
        "xl",
        settings("unet", addition_embed_type="text"),
        r"addition_embed_type = 'text'\): it is of another",
    ),
    "no vocabulary": (
        "stable-diffusion",
        without_words,
        r"neither tokenizer\.json nor vocab\.json",
    ),
    "wrong label": ("dit", index(id2label={"2000": "far"}), r"there are 1000 labels"),
    "no autoencoder": (
        "kl",
        lambda f: edited(f / "config.json", _class_name="UNet2DModel"),
        r"one network of a pipeline",
    ),
    "a language model": (
        "kl",
        lambda f: edited(f / "config.json", _class_name=None),
        r"adapter 'transformers'",
    ),
    "not JSON": ("ddpm", written("model_index.json", "{"), r"model_index\.json of 'model' is not JSON"),
    "a list": ("ddpm", written("unet/config.json", "[]"), r"not a JSON object"),
    "a checkpoint in one file": (
        "ddpm",
        in_one_file,
        r"from_single_file",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_is_unsafe_or_another_kind_is_refused_before_the_run(
    copy: Callable[[str], Path], case: str
) -> None:
    name, change, said = REFUSED[case]
    folder = copy(name)
    change(folder)
    with pytest.raises(InputError, match=said):
        Diffusers.describe(Diffusers.refer({"path": str(folder)}))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("ddpm", {"guidance": 2.0}, r"'guidance' means nothing for 'model' \(DDPMPipeline\)"),
        ("ddpm", {"prompts": ["a"]}, "'prompts' means nothing"),
        ("ddpm", {"null_label": 1}, "'null_label' means nothing"),
        ("dit", {"prompts": ["a"]}, "'prompts' means nothing"),
        ("ddpm", {"labels": ["a"]}, "'labels' means nothing"),
        ("dit", {"labels": [str(n) for n in range(1001)]}, "1001 names, and the network has 1000 labels"),
        ("dit", {"bound_draws": 4}, "'bound_draws' means nothing"),
        ("kl", {"steps": 4}, "'steps' means nothing"),
        ("ddpm", {"steps": 0}, "whole number from 1 to 100"),
        ("ddpm", {"steps": 101}, "whole number from 1 to 100"),
        ("ddpm", {"scheduler": "DDIMSchedulers"}, "Did you mean 'DDIMScheduler'"),
        ("ddpm", {"size": 9}, "multiples of 2 pixels"),
        ("dit", {"size": 16}, "draws at 8 pixels and no other size"),
        ("stable-diffusion", {"prompts": []}, "prompts is a list of 1 to"),
        ("stable-diffusion", {"prompts": ["a", ""]}, "Prompt 2 cannot be used: empty"),
        ("stable-diffusion", {"prompts": "nowhere.txt"}, "which is no file"),
        ("ddpm", {"hub": "a/b"}, "not both"),
        ("ddpm", {"revision": "main"}, "'revision' belongs to 'hub'"),
        ("ddpm", {"arithmetic": "float16"}, "option 'arithmetic'"),
    ],
)
def test_wrong_options_are_refused_in_words(
    copy: Callable[[str], Path], name: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        Diffusers.refer({"path": str(copy(name)), **options})


def test_places_that_hold_no_model_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for options, said in (
        ({}, "needs either 'path'"),
        ({"path": str(tmp_path / "none")}, "There is no model at"),
        ({"path": str(tmp_path)}, r"neither model_index\.json"),
        ({"path": str(Path(__file__))}, "is not a folder"),
    ):
        with pytest.raises(InputError, match=said):
            Diffusers.refer(options)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        InputError, match="not in the local Hugging Face cache, and an audit downloads nothing"
    ):
        Diffusers.refer({"hub": "someone/something"})


def test_a_cached_hub_id_is_the_same_model(
    kept: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "models--someone--faces" / "snapshots" / "abc"
    shutil.copytree(kept["ddpm"], snapshot)
    (tmp_path / "models--someone--faces" / "refs").mkdir()
    (tmp_path / "models--someone--faces" / "refs" / "main").write_text("abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert (
        Diffusers.refer({"hub": "someone/faces"}).weights
        == Diffusers.refer({"path": str(kept["ddpm"])}).weights
    )


@pytest.mark.parametrize("change", ["missing", "further", "shape"])
def test_weights_that_do_not_belong_to_the_settings_are_refused_when_opened(
    copy: Callable[[str], Path], change: str
) -> None:
    folder = copy("ddpm")
    tensors = load_file(folder / "unet" / WEIGHTS)
    name = "conv_in.weight"
    match change:
        case "missing":
            del tensors[name]
        case "further":
            tensors["conv_further.weight"] = tensors[name].clone()
        case _:
            tensors[name] = tensors[name][:, :1].clone()
    save_file(tensors, folder / "unet" / WEIGHTS, {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks weights|holds further weights|do not belong together"):
        Diffusers.open(Diffusers.refer({"path": str(folder)}), "cpu")


@pytest.mark.parametrize("name", KEPT)
def test_the_digest_covers_every_file_that_is_opened_and_no_other_is(
    copy: Callable[[str], Path], name: str
) -> None:
    folder = copy(name)
    for beside in ("extra.safetensors", "diffusion_pytorch_model.bin", "train.txt", "model.ckpt"):
        (folder / beside).write_bytes(b"\x80\x04code")
    digest, read = Diffusers.refer({"path": str(folder)}).weights, read_pipeline(folder).files
    for path in read.values():
        before = path.read_bytes()
        path.write_bytes(
            before + b" " if path.suffix != ".safetensors" else before[:-1] + bytes([before[-1] ^ 1])
        )
        assert Diffusers.refer({"path": str(folder)}).weights != digest, path
        path.write_bytes(before)
    seen: set[str] = set()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | Path) and watching:
            seen.add(str(Path(arguments[0]).resolve()))

    watching = True
    sys.addaudithook(hook)
    model = Diffusers.open(
        Diffusers.refer({"path": str(folder), **({} if name == "kl" else {"steps": 1})}), "cpu"
    )
    watching = False
    inside = {path for path in seen if path.startswith(str(folder.resolve()))}
    assert inside <= {str(path.resolve()) for path in read.values()}
    assert model is not None
    ref = Diffusers.refer({"path": str(folder)})
    place = next(path for path in read.values() if path.name.endswith("config.json"))
    place.write_text(json.dumps(json.loads(place.read_text()), indent=7))
    with pytest.raises(InputError, match="has changed since the audit was planned"):
        Diffusers.open(ref, "cpu")


def test_a_safety_checker_and_pickles_beside_are_named_and_not_read(copy: Callable[[str], Path]) -> None:
    folder = copy("stable-diffusion")
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "pytorch_model.bin").write_bytes(b"\x80")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80")
    edited(folder / "model_index.json", safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])
    card, _ = Diffusers.describe(Diffusers.refer({"path": str(folder)}))
    said = " ".join(card.notes)
    assert "safety checker was not loaded" in said
    assert "unet/diffusion_pytorch_model.bin" in said
    assert "safety_checker/pytorch_model.bin" in said


def test_prompts_that_changed_since_the_plan_are_refused(copy: Callable[[str], Path], tmp_path: Path) -> None:
    listed = tmp_path / "prompts.txt"
    listed.write_text("a cat\n")
    ref = Diffusers.refer({"path": str(copy("stable-diffusion")), "prompts": str(listed), "steps": 1})
    listed.write_text("a dog\n")
    with pytest.raises(InputError, match="prompts have changed"):
        Diffusers.open(ref, "cpu")


def test_conditions_that_a_pipeline_does_not_take_are_refused(kept: dict[str, Path]) -> None:
    import numpy as np

    for name, rows, said in (
        ("ddpm", text_rows(["a"]), "draws without conditions"),
        ("dit", text_rows(["a"]).rename_columns(["other"]), "need a column 'label'"),
        ("stable-diffusion", text_rows(["a"]).rename_columns(["other"]), "need a column 'prompt'"),
        ("dit", text_rows(["a", "b"]), "2 conditions were given"),
    ):
        model = Diffusers.open(Diffusers.refer({"path": str(kept[name]), "steps": 1}), "cpu")
        with pytest.raises(ValueError, match=said):
            model.sample(1, np.random.default_rng(0), rows)
