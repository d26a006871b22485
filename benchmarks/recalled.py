"""What the register of a run recalls of what the world 'portraits' planted, by dose, and which altered copies are seen.

    audit run SPEC            # of portraits-ddpm-copying, say, with privacy.copies and privacy.membership
    python benchmarks/recalled.py register [RUN] [--store audit-store]
    python benchmarks/recalled.py given [--model portraits-ddpm-copying] [--samples 2000] [--keep FOLDER]
    python benchmarks/recalled.py members [--model portraits-ddpm-copying] [--rows 300]
    python benchmarks/recalled.py altered [--extractor pixels] [--rows 300]

The truth is the world's: who was planted at which dose. ``given`` asks without any detector how near the model's samples come to each planted person, in root mean square over
pixels: a person is given back whom a sample comes nearer than any of 5,000 unseen people and any sample of ``portraits-ddpm`` comes to any of the planted; ``--keep`` keeps the samples for the next call. ``members`` attacks all planted people, 200 others who were trained on and ``rows``
who were not, by denoising loss: an audit draws 10,000 of 20,000, and with them half of the planted. ``altered`` takes training images through an alteration and says which share is
closer to a training image than the closest hundredth (thousandth) of 5,000 unseen people, and closest to the right one.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from audit.cli.show import evidence_reader
from audit.core.register import register
from audit.core.rows import image_rows, images_of
from audit.data.worlds.portraits.world import DOSES, Portraits, plan_of
from audit.evaluators.privacy.attacks import LEVELS
from audit.evaluators.privacy.copies.alterations import COMPRESSED, CROPPED, MIRRORED, altered
from audit.models.included import Included
from audit.registry import catalogue
from audit.stats.at_risk import standing_out
from audit.stats.copying import closeness
from audit.stats.neighbours import Nearest
from audit.store.location import resolve
from audit.store.runs import open_store

K = 20


def recalled(run: str | None, place: str | None) -> None:
    """Print how many of the planted people are in a run's register, by dose and by attack."""
    store = open_store(resolve(place), create=False, read_only=True)
    latest = store.latest()
    record = store.read(run or (latest.run if latest else ""))
    plan = plan_of(Portraits.refer(dict(record.data["options"])))
    found: dict[str, set[int]] = defaultdict(set)
    for entry in register(record, evidence_reader(store)):
        person = int(plan.train[entry.found.row])
        found["any attack"].add(person)
        found[entry.found.attack].add(person)
    print(f"run {record.run}: {record.model['family']}, {record.settings['samples']} samples")
    for attack, people in sorted(found.items()):
        by_dose = {d: sum(n in people for n, dose in plan.planted.items() if dose == d) for d in DOSES}
        said = ", ".join(
            f"dose {d}: {n} of {sum(x == d for x in plan.planted.values())}" for d, n in by_dose.items()
        )
        others = len(people - set(plan.planted))
        print(
            f"{attack}: {sum(by_dose.values())} of {len(plan.planted)} planted people ({said}); {others} others listed"
        )


def drawn(model: str, count: int, keep: Path | None) -> np.ndarray:
    """Return samples of an included model, those kept by an earlier call first."""
    kept = None if keep is None else keep / f"{model}.npy"
    images = np.load(kept) if kept is not None and kept.exists() else np.empty((0, 32, 32, 3), np.uint8)
    opened = Included.open(Included.refer({"use": model}), "cpu") if len(images) < count else None
    while opened is not None and len(images) < count:
        more = opened.sample(250, np.random.default_rng([1, len(images)]))
        images = np.concatenate([images, images_of(more)])
        if kept is not None:
            np.save(kept, images)
    return images[:count]


def given_back(name: str, count: int, keep: Path | None) -> None:
    """Print which planted people a model's samples come nearer to than unseen people and the clean model's samples come to anybody."""
    ref = Portraits.refer({})
    plan, train = plan_of(ref), Portraits.load(ref, "train")
    places = [i for i, n in enumerate(plan.train) if n in plan.planted and not plan.copies[i]]
    doses = np.array([plan.planted[int(plan.train[i])] for i in places])
    people = images_of(train.take(places)).reshape(len(places), -1).astype(np.float64)

    def nearest(images: np.ndarray) -> np.ndarray:
        """Return the least distance of any image to each planted person, in levels of 255."""
        found = Nearest.among(people, images.reshape(len(images), -1).astype(np.float64), 1)
        return np.asarray(found.distances[:, 0] / np.sqrt(people.shape[1]))

    unseen = nearest(images_of(Portraits.load(ref, "holdout")))
    clean = nearest(drawn("portraits-ddpm", count, keep))
    bound = float(min(unseen.min(), clean.min()))
    ours = nearest(drawn(name, count, keep))
    print(
        f"{count} samples of {name}; the nearest of 5,000 unseen people to anybody planted: {unseen.min():.1f} levels, of {count} samples of portraits-ddpm: {clean.min():.1f}"
    )
    for dose in DOSES:
        near = np.sort(ours[doses == dose])
        print(
            f"dose {dose}: {(near < bound).sum()} of {len(near)} given back; nearest samples {', '.join(f'{x:.1f}' for x in near)} levels"
        )


def members(name: str, rows: int) -> None:
    """Print which planted people a diffusion model's denoising loss names, by dose, and how many others."""
    model = Included.open(Included.refer({"use": name}), "cpu")
    ref = Portraits.refer({})
    plan, train = plan_of(ref), Portraits.load(ref, "train")
    planted = [i for i, n in enumerate(plan.train) if n in plan.planted and not plan.copies[i]]
    others = [i for i, n in enumerate(plan.train) if n not in plan.planted][:200]
    sides = train.take([*planted, *others]), Portraits.load(ref, "holdout").slice(0, rows)
    ours, theirs = (
        -np.stack([model.denoising_loss(side, level, np.random.default_rng(0)) for level in LEVELS], axis=1)
        for side in sides
    )
    found = standing_out(ours, theirs)
    doses = [plan.planted[int(plan.train[i])] for i in planted]
    named = [doses[i] for i in found.places if i < len(planted)]
    said = ", ".join(f"dose {d}: {named.count(d)} of {doses.count(d)}" for d in DOSES)
    print(
        f"{name}: {len(named)} of {len(planted)} planted people named ({said}); {len(found.places) - len(named)} of {len(others)} others"
    )


def noisy(images: np.ndarray, how: str) -> np.ndarray:
    """Return images altered, or with noise of eight levels."""
    if how == "as they are":
        return images
    if how != "noise":
        return altered(images, how)
    noise = np.random.default_rng(0).normal(0, 8, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def seen(name: str, rows: int) -> None:
    """Print which altered copies are told from unseen people in some features."""
    kind = catalogue("extractors").load(name)
    extractor = kind.open(kind.refer(), "cpu")
    ref = Portraits.refer({"train": 8000, "holdout": 5000, "duplicates": False})
    train, holdout = (images_of(Portraits.load(ref, split)) for split in ("train", "holdout"))

    def nearest(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how close each image is, it or its mirror image, to training images or cropped ones, and the place of the closest."""
        own, mirror = (extractor.extract(image_rows(side)) for side in (images, altered(images, MIRRORED)))
        both = [Nearest.among(*pair, K) for pair in ((own, known), (mirror, known), (own, cropped))]
        close = np.stack([closeness(found) for found in both])
        which, places = close.argmin(axis=0), np.arange(close.shape[1])
        return close[which, places], np.stack([found.indices[:, 0] for found in both])[which, places]

    known, cropped = (extractor.extract(image_rows(side)) for side in (train, altered(train, CROPPED)))
    unseen = np.sort(nearest(holdout)[0])
    for how in ("as they are", MIRRORED, COMPRESSED, CROPPED, "noise"):
        close, place = nearest(noisy(train[:rows], how))
        right = place == np.arange(rows)
        shares = [
            float(((close < unseen[round(rate * len(unseen)) - 1]) & right).mean()) for rate in (0.01, 0.001)
        ]
        print(
            f"{name}, {how}: {shares[0]:.1%} closer than one unseen person in 100, {shares[1]:.1%} than one in 1,000"
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("what", choices=("register", "given", "members", "altered"))
    options.add_argument("run", nargs="?")
    options.add_argument("--store")
    options.add_argument("--model", default="portraits-ddpm-copying")
    options.add_argument("--extractor", default="pixels")
    options.add_argument("--keep", type=Path)
    options.add_argument("--samples", type=int, default=2000)
    options.add_argument("--rows", type=int, default=300)
    given = options.parse_args()
    if given.what == "register":
        recalled(given.run, given.store)
    elif given.what == "given":
        given_back(given.model, given.samples, given.keep)
    elif given.what == "members":
        members(given.model, given.rows)
    else:
        seen(given.extractor, given.rows)


if __name__ == "__main__":
    main()
