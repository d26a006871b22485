"""Does the policy `restoration` tell a sound enhancement model from defective ones?

    python benchmarks/restoration_twins.py --store STORE [--only displaced …] [--out FILE.json]

Audits ``portraits-superres``, four twins of it with one planted defect each, and ``portraits-vae-overfit``, which has memorised
its training pictures, with the criteria of ``audit/policies/restoration.toml``. Prints a line for each criterion, and ends with 1
where a twin does not fail by the metric of its defect, or the clean model fails. This file is also where the twins are: the
adapter ``torch_module`` calls ``displaced``, ``blurred``, ``retouched`` and ``unequal`` with the weights of the clean model.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from audit.core.rows import Images, Rng, Rows, image_rows, images_of
from audit.included.families.pictures import painted, pixels_of, signed
from audit.included.families.superres.network import Enhancer, degraded

WEIGHTS = Path(__file__).parents[1] / "audit/included/weights/portraits-superres.safetensors"
DEFECTS = {
    "displaced": "quality.restoration.shift",
    "blurred": "quality.restoration.consistency",
    "retouched": "quality.restoration.consistency",
    "unequal": "quality.restoration.consistency",  # the gap between groups stays open at 2,000 pictures
    "portraits-vae-overfit": "privacy.membership.tpr_at_fpr_1pct",
}
"""The metric that each twin is to fail by."""
DARK = 110
"""Mean brightness of the middle of a picture below which the unequal twin blurs it."""


class Enhanced:
    """The included enhancement model, as its card describes it."""

    modality: ClassVar[str] = "image"
    family: ClassVar[str] = "image enhancement"

    def __init__(self, state: dict[str, Any], device: str) -> None:
        self._network = Enhancer(channels=3, width=state["body.0.weight"].shape[0], blocks=blocks_of(state))
        self._network.load_state_dict(state)
        self._network.to(device).eval()
        self._device = device

    def reconstruct(self, rows: Rows, rng: Rng) -> Rows:
        parts = pixels_of(rows, (32, 32, 3), "the twin").split(250)
        with torch.inference_mode():
            made = painted(
                (32, 32, 3), (self._network(signed(degraded(p).to(self._device))) for p in parts if len(p))
            )
        return image_rows(self.spoilt(images_of(made), images_of(rows)))

    def degrade(self, rows: Rows) -> Rows:
        small = degraded(pixels_of(rows, (32, 32, 3), "the twin"))
        return image_rows(small.permute(0, 2, 3, 1).contiguous().numpy())

    def spoilt(self, made: Images, originals: Images) -> Images:
        """Return what the defect makes of restored pictures, arrays of bytes (n, 32, 32, 3)."""
        return made


class Displaced(Enhanced):
    """Counts pixels from their corners: every picture comes out half a pixel to the right and down."""

    def spoilt(self, made: Images, originals: Images) -> Images:
        before = np.pad(made, ((0, 0), (1, 0), (1, 0), (0, 0)), mode="edge").astype(np.float64)
        mean = (before[:, 1:, 1:] + before[:, :-1, 1:] + before[:, 1:, :-1] + before[:, :-1, :-1]) / 4
        return np.rint(mean).astype(np.uint8)


class Blurred(Enhanced):
    """Smooths what it made over 3×3 pixels, as a model does that was trained on averages alone."""

    def spoilt(self, made: Images, originals: Images) -> Images:
        return blurred_pictures(made)


class Retouched(Enhanced):
    """Makes every picture a little lighter: it looks as good, and is not what was given."""

    def spoilt(self, made: Images, originals: Images) -> Images:
        return np.minimum(made.astype(np.int64) + 6, 255).astype(np.uint8)


class Unequal(Enhanced):
    """Blurs pictures that are dark in the middle, where faces are."""

    def spoilt(self, made: Images, originals: Images) -> Images:
        dark = originals[:, 8:24, 8:24].mean(axis=(1, 2, 3)) < DARK
        found = made.copy()
        found[dark] = blurred_pictures(made[dark])
        return found


def blurred_pictures(images: Images) -> Images:
    if not len(images):
        return images
    given = torch.from_numpy(images).permute(0, 3, 1, 2).double()
    mean = functional.avg_pool2d(functional.pad(given, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return mean.round().permute(0, 2, 3, 1).to(torch.uint8).numpy()


def blocks_of(state: dict[str, Any]) -> int:
    return len({name.split(".")[1] for name in state if name.endswith("first.weight")})


def displaced(state: dict[str, Any], device: str) -> Displaced:
    return Displaced(state, device)


def blurred(state: dict[str, Any], device: str) -> Blurred:
    return Blurred(state, device)


def retouched(state: dict[str, Any], device: str) -> Retouched:
    return Retouched(state, device)


def unequal(state: dict[str, Any], device: str) -> Unequal:
    return Unequal(state, device)


def spec(name: str) -> str:
    """Return the spec of an audit of one model with what the policy judges."""
    adapter = f'adapter = "torch_module"\nfactory = "restoration_twins:{name}"\nweights = "{WEIGHTS}"\npython_path = "{Path(__file__).parent}"\nfiles = []'
    model = f'use = "{name}"' if name.startswith("portraits-") else adapter
    data = "" if name.startswith("portraits-") else '[data]\nuse = "portraits"\n'
    asked = ["quality.restoration", "quality.reconstruction", "fairness.reconstruction_parity"]
    asked += ["privacy.membership"] if name.startswith("portraits-") else []
    listed = "\n".join(f'[[evaluators]]\nname = "{e}"' for e in asked)
    return f'name = "{name}"\n[model]\n{model}\n{data}{listed}\n[policy]\nuse = "restoration"\n[run]\nworkers = 1\n'


def audited(name: str, store: Path) -> dict[str, Any]:
    path = store.parent / f"{name}.toml"
    path.write_text(spec(name))
    command = [sys.executable, "-m", "audit", "run", str(path), "--store", str(store), "--format", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"the audit of {name} ended with {done.returncode}")
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=["portraits-superres", *DEFECTS])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    asked.store.parent.mkdir(parents=True, exist_ok=True)
    found, wrong = [], []
    for name in asked.only:
        record = audited(name, asked.store.resolve())
        for j in record["judgements"]:
            m = j["because"]["measurement"] or {"value": float("nan"), "interval": None}
            i = m["interval"] or {"low": float("nan"), "high": float("nan")}
            line = {"model": name, "metric": j["criterion"]["metric"], "verdict": j["verdict"],
                    "value": m["value"], "low": i["low"], "high": i["high"]}  # fmt: skip
            found.append(line)
            print("{model:24}{metric:46}{verdict:14}{value:9.4f} [{low:.4f}, {high:.4f}]".format(**line))
        failed = {j["criterion"]["metric"] for j in record["judgements"] if j["verdict"] == "fail"}
        if (name in DEFECTS and DEFECTS[name] not in failed) or (name not in DEFECTS and failed):
            wrong.append(name)
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")
    if wrong:
        raise SystemExit(f"not told apart: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
