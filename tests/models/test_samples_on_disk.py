"""Samples on disk: each is used once, whatever the shards, and bad ones are left out."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.core.artifacts import Samples
from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.references import DataRef
from audit.core.rows import concat, images_of
from audit.core.subjects import DataCard, Subject
from audit.models.samples_on_disk import SamplesOnDisk
from audit.testing.memory import HandedOut, Kitchen


def jsonl(path: Path, count: int, **more: str) -> dict[str, str]:
    lines = [json.dumps({"text": f"text {n}", "prompt": f"prompt {n}"}) for n in range(count)]
    path.write_text("\n".join(lines))
    return {"path": str(path), **more}


def images(folder: Path, count: int) -> dict[str, str]:
    folder.mkdir()
    for n in range(count):
        Image.fromarray(np.full((4, 4), n, np.uint8)).save(folder / f"{n:03d}.png")
    return {"path": str(folder), "mode": "L"}


def test_samples_that_differ_from_the_real_pictures_before_anything_is_shown_say_so(tmp_path: Path) -> None:
    """pytorch-fid issues 1, 35 and 81: a number for 64×64 samples against 32×32 pictures said nothing of it."""
    card, offers = SamplesOnDisk.describe(ref := SamplesOnDisk.refer(images(tmp_path / "s", 23)))
    assert card.pictures is not None
    assert (card.pictures.total, card.pictures.sizes, card.pictures.grey) == (23, (((4, 4), 23),), 23)
    theirs = replace(card.pictures, split="test", sizes=(((8, 8), 40),), total=40, grey=0)
    data = DataCard("image", (("test", 40),), pictures=(theirs,))
    subject = Subject(ref, card, offers, DataRef("none", ref.weights), data, None, 23, 0, 100)
    (note,) = subject.unlike("test")
    assert "4×4 against 8×8" in note
    assert "100% against 0% are grey" in note
    assert subject.unlike("train") == ()


@pytest.mark.parametrize("shard_size", [3, 7, 100])
def test_shards_hold_every_sample_once_and_the_same_ones(tmp_path: Path, shard_size: int) -> None:
    ref = SamplesOnDisk.refer(images(tmp_path / "s", 23))
    kitchen = Kitchen(bench=HandedOut(SamplesOnDisk.open(ref, "cpu")))
    rows = concat(kitchen.shards(Samples(ref, 23, 0, shard_size)))
    values = images_of(rows)[:, 0, 0, 0].tolist()
    assert sorted(values) == list(range(23))
    assert values != sorted(values)
    again = concat(kitchen.shards(Samples(ref, 10, 0, shard_size)))
    assert images_of(again)[:, 0, 0, 0].tolist() == values[:10]


def test_a_plan_asks_for_no_more_than_there_are(tmp_path: Path) -> None:
    ref = SamplesOnDisk.refer(jsonl(tmp_path / "a.jsonl", 12))
    card, offers = SamplesOnDisk.describe(ref)
    assert offers == {Capability.SAMPLE}
    assert card.most_samples == 12
    assert "12 samples lie on disk" in card.notes[0]
    data = DataRef("x", ref.weights)
    subject = Subject(ref, card, offers, data, DataCard("text", ()), None, 5000, 0, 10)
    assert sum(subject.samples().examples(shard) for shard in range(2)) == 12
    assert subject.samples(5).examples(0) == 5
    model = SamplesOnDisk.open(ref, "cpu")
    with pytest.raises(ValueError, match="13 samples were asked for and 12 lie on disk"):
        model.sample(13, np.random.default_rng(0))
    with pytest.raises(ValueError, match="lie on disk"):
        model.sample_range(10, 13)
    with pytest.raises(ValueError, match="given condition"):
        model.sample(1, np.random.default_rng(0), model.sample_range(0, 1))


def test_texts_with_their_prefix(tmp_path: Path) -> None:
    ref = SamplesOnDisk.refer(jsonl(tmp_path / "a.jsonl", 5, prefix="prompt"))
    rows = SamplesOnDisk.open(ref, "cpu").sample(5, np.random.default_rng(0)).to_pylist()
    assert sorted(row["text"] for row in rows) == [f"text {n}" for n in range(5)]
    assert all(row["prefix"] == row["text"].replace("text", "prompt") for row in rows)


@pytest.mark.parametrize(
    ("key", "asked"),
    [("field", {"field": "txt"}), ("prefix", {"prefix": "promt"}), ("messages", {"messages": "massages"})],
)
def test_the_advice_names_the_key_that_asks_for_a_field_which_is_not_there(
    tmp_path: Path, key: str, asked: dict[str, str]
) -> None:
    with pytest.raises(InputError, match=rf"no field '{asked[key]}' among text, prompt.*spec: {key} = "):
        SamplesOnDisk.refer(jsonl(tmp_path / "a.jsonl", 5, **asked))


def test_sampling_draws_without_replacement_from_the_generator(tmp_path: Path) -> None:
    model = SamplesOnDisk.open(SamplesOnDisk.refer(jsonl(tmp_path / "a.jsonl", 50)), "cpu")
    one, same, other = (model.sample(20, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert len(set(one.column("text").to_pylist())) == 20


def test_bad_samples_are_left_out_and_counted(tmp_path: Path) -> None:
    options = images(tmp_path / "s", 40)
    (tmp_path / "s" / "bad.png").write_text("x")
    card, _ = SamplesOnDisk.describe(SamplesOnDisk.refer(options))
    assert card.most_samples == 40
    assert "bad.png (not an image)" in card.problems[0]
    (tmp_path / "s" / "worse.png").write_text("x")
    (tmp_path / "s" / "worst.png").write_text("x")
    with pytest.raises(InputError, match="More than 5%"):
        SamplesOnDisk.describe(SamplesOnDisk.refer(options))


def test_places_options_and_changes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs 'path'"):
        SamplesOnDisk.refer({})
    options = jsonl(tmp_path / "a.jsonl", 3)
    with pytest.raises(InputError, match="'size' means nothing for a file of texts"):
        SamplesOnDisk.refer({**options, "size": 8})
    with pytest.raises(InputError, match="Did you mean 'field'"):
        SamplesOnDisk.refer({**options, "filed": "x"})
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(InputError, match="neither a folder of images nor"):
        SamplesOnDisk.refer({"path": str(tmp_path / "a.csv")})
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no samples"):
        SamplesOnDisk.describe(SamplesOnDisk.refer({"path": str(tmp_path / "empty")}))
    ref = SamplesOnDisk.refer(options)
    jsonl(tmp_path / "a.jsonl", 4)
    with pytest.raises(InputError, match="have changed"):
        SamplesOnDisk.open(ref, "cpu")


def test_the_advice_for_mixed_sizes_is_the_most_frequent_one_and_names_the_table(tmp_path: Path) -> None:
    options = images(tmp_path / "s", 20)
    Image.new("L", (8, 8)).save(tmp_path / "s" / "000.png")
    with pytest.raises(InputError, match=r"4×4 \(19\), 8×8 \(1\)\. Add size = 4 to \[model\] to make all"):
        SamplesOnDisk.refer(options)


def patterns(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (6, 5, 3)).astype(np.uint8) for _ in range(count)]


def test_the_same_pixels_are_the_same_model_whatever_the_files_are_called(tmp_path: Path) -> None:
    pixels = patterns(9)
    pixels[4] = pixels[2]  # a copy among them
    refs, drawn = [], []
    for ending, name in (("png", "{n:03d}"), ("bmp", "z{m:03d}"), ("tiff", "sub/{n}"), ("png", "é{m} {n}")):
        folder = tmp_path / f"{ending}{len(refs)}"
        (folder / "sub").mkdir(parents=True)
        for n, image in enumerate(pixels):
            Image.fromarray(image).save(folder / f"{name.format(n=n, m=99 - n)}.{ending}")
        refs.append(SamplesOnDisk.refer({"path": str(folder)}))
        model = SamplesOnDisk.open(refs[-1], "cpu")
        drawn.append((model.sample_range(0, 4), model.sample(5, np.random.default_rng(1))))
    assert all(ref == refs[0] for ref in refs)
    assert all(rows == drawn[0] for rows in drawn)
    Image.fromarray(pixels[0] ^ 1).save(tmp_path / "png0" / "000.png")
    assert SamplesOnDisk.refer({"path": str(tmp_path / "png0")}) != refs[0]
    with pytest.raises(InputError, match="have changed"):
        SamplesOnDisk.open(refs[0], "cpu")


def test_the_order_of_lines_changes_nothing(tmp_path: Path) -> None:
    options = jsonl(tmp_path / "a.jsonl", 8, prefix="prompt")
    ref = SamplesOnDisk.refer(options)
    rows = SamplesOnDisk.open(ref, "cpu").sample_range(0, 8)
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    (tmp_path / "a.jsonl").write_text("\n\n".join(line.replace(": ", ":  ") for line in reversed(lines)))
    assert SamplesOnDisk.refer(options) == ref
    assert SamplesOnDisk.open(ref, "cpu").sample_range(0, 8) == rows
    assert "not the order of lines" in SamplesOnDisk.describe(ref)[0].notes[1]


def test_pipes_and_paths_that_are_none_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    for path, said in (
        (tmp_path / "a.jsonl", "is a named pipe"),
        ("/dev/zero", "is a device"),
        ("x" * 5000, "file name too long"),
        ("a\0b", "NUL character"),
        (tmp_path / "nowhere", "no samples at"),
    ):
        with pytest.raises(InputError, match=said):
            SamplesOnDisk.refer({"path": str(path)})
