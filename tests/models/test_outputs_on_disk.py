"""Conversations, prompts, classes in subfolders and restorations that lie on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.rows import image_rows, images_of
from audit.data.images import ImageFolder
from audit.data.text import TextFiles
from audit.formats.conversations import reply_in
from audit.formats.hostile import UnreadableError
from audit.models.samples_on_disk import SamplesOnDisk
from audit.testing.models import check_adapter, check_capabilities

RNG = np.random.default_rng(0)


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


TALK = [said("system", "Be brief."), said("user", "Two and two?"), said("assistant", "Four.")]


def lines(path: Path, records: list[Any]) -> str:
    path.write_text("\n".join(json.dumps(record) for record in records))
    return str(path)


@pytest.mark.parametrize(
    ("messages", "prompt", "reply"),
    [
        (TALK, "Be brief.\n\nTwo and two?", "Four."),
        (TALK[1:], "Two and two?", "Four."),
        (
            [*TALK, said("user", "And three?"), said("assistant", "Seven.")],
            "Be brief.\n\nTwo and two?\n\nFour.\n\nAnd three?",
            "Seven.",
        ),
        ([*TALK, said("user", "Thanks")], "Be brief.\n\nTwo and two?", "Four."),
        ([said("assistant", "Hello")], "", "Hello"),
        ([{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}], "Hi", "Hello"),
        (
            [
                said("user", [{"type": "text", "text": "Hi "}, {"type": "text", "text": "there"}]),
                said("assistant", "Hello"),
            ],
            "Hi there",
            "Hello",
        ),
    ],
)
def test_a_conversation_is_its_last_reply_and_what_was_said_before(
    messages: Any, prompt: str, reply: str
) -> None:
    assert reply_in({"messages": messages}, "messages", 1000) == (prompt, reply)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"messages": []}, "'messages' is no list of messages"),
        ({"messages": "hello"}, "'messages' is no list of messages"),
        ({"chat": TALK}, "no field 'messages' among chat"),
        ({"messages": TALK[:2]}, "no message of the role 'assistant', only system, user"),
        ({"messages": ["hello"]}, "message 1 is no object"),
        ({"messages": [{"content": "x"}]}, "message 1 has no role"),
        ({"messages": [TALK[1], said("assistant", None)]}, "message 2 has no text as content"),
        (
            {"messages": [said("user", [{"type": "image_url"}]), TALK[2]]},
            r"message 1 holds a part that is no text \(image_url\)",
        ),
        ({"messages": [TALK[1], said("assistant", "  ")]}, "empty"),
    ],
)
def test_a_line_that_is_no_conversation_says_why(record: Any, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        reply_in(record, "messages", 1000)


def test_conversations_are_samples_with_prompts_and_bad_lines_are_named(tmp_path: Path) -> None:
    talks = [{"chat": [said("user", f"Question {n}"), said("assistant", f"Answer {n}")]} for n in range(40)]
    options = {"path": lines(tmp_path / "a.jsonl", [*talks, {"chat": TALK[:2]}]), "messages": "chat"}
    model, card, offers = check_adapter(SamplesOnDisk, options)
    assert offers == {Capability.SAMPLE}
    assert card.modality == "text"
    assert any(
        "line 41 (no message of the role 'assistant', only system, user)" in note for note in card.problems
    )
    rows = model.sample_range(0, 40).to_pylist()
    assert {(row["prefix"], row["text"]) for row in rows} == {
        (f"Question {n}", f"Answer {n}") for n in range(40)
    }
    for other in ("field", "prefix"):
        with pytest.raises(InputError, match=f"'messages' beside '{other}'"):
            SamplesOnDisk.refer({**options, other: "x"})


def test_completions_without_their_prompt_are_named_with_the_fields_there_are(tmp_path: Path) -> None:
    records = [{"question": f"q{n}", "completion": f"c{n}"} for n in range(40)]
    path = lines(tmp_path / "a.jsonl", [*records, {"completion": "alone"}])
    card, _ = SamplesOnDisk.describe(
        SamplesOnDisk.refer({"path": path, "field": "completion", "prefix": "question"})
    )
    assert any("line 41 (no field 'question' among completion)" in note for note in card.problems)
    with pytest.raises(InputError, match="no field 'prompt' among question, completion"):
        SamplesOnDisk.describe(SamplesOnDisk.refer({"path": path, "field": "completion", "prefix": "prompt"}))


def test_data_may_have_prompts_too(tmp_path: Path) -> None:
    talks = [
        {"messages": [said("user", f"Question {n}"), said("assistant", "Yes")], "topic": "a"}
        for n in range(4)
    ]
    path = lines(tmp_path / "a.jsonl", talks)
    ref = TextFiles.refer({"path": path, "messages": "messages", "groups": "topic"})
    rows = TextFiles.load(ref, "holdout").to_pylist()
    assert sorted(row["prefix"] for row in rows) == [f"Question {n}" for n in range(4)]
    assert {(row["text"], row["topic"]) for row in rows} == {("Yes", "a")}
    plain = lines(
        tmp_path / "b.jsonl",
        [{"p": f"Question {n}", "text": "Yes", "topic": "a"} for n in reversed(range(4))],
    )
    same = TextFiles.refer({"path": plain, "prefix": "p", "groups": "topic"})
    assert same.content == ref.content, "the data are their rows"
    assert TextFiles.load(same, "holdout").equals(TextFiles.load(ref, "holdout"))
    other = TextFiles.refer({"path": plain, "groups": "topic"})
    assert other.content != ref.content
    assert "prefix" not in TextFiles.load(other, "holdout").column_names
    with pytest.raises(InputError, match="'messages' beside 'field'"):
        TextFiles.refer({"path": path, "messages": "messages", "field": "text"})
    (tmp_path / "c.txt").write_text("text")
    with pytest.raises(InputError, match=r"'messages' of the dataset 'text' needs a \.jsonl file"):
        TextFiles.refer({"path": str(tmp_path / "c.txt"), "messages": "messages"})


def classes(root: Path, names: tuple[str, ...] = ("cat", "dog"), each: int = 4, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(each):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(root / name / f"{i}.png")
    return root


def test_classes_in_subfolders_are_groups_of_data_and_columns_of_samples(tmp_path: Path) -> None:
    root = classes(tmp_path / "a")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / "loose.png")
    ref = ImageFolder.refer({"path": str(root), "folders": "kind"})
    assert ImageFolder.describe(ref).groups == ("kind",)
    rows = ImageFolder.load(ref, "holdout")
    assert sorted(map(str, rows.column("kind").to_pylist())) == ["None", *["cat"] * 4, *["dog"] * 4]
    model = SamplesOnDisk.open(sampled := SamplesOnDisk.refer({"path": str(root), "folders": "kind"}), "cpu")
    drawn = model.sample_range(0, 9)
    known = {images_of(rows)[i].tobytes(): rows.column("kind")[i].as_py() for i in range(9)}
    assert [known[image.tobytes()] for image in images_of(drawn)] == drawn.column("kind").to_pylist()
    (root / "cat" / "0.png").rename(root / "dog" / "moved.png")
    assert SamplesOnDisk.refer({"path": str(root), "folders": "kind"}).weights != sampled.weights
    assert ImageFolder.refer({"path": str(root), "folders": "kind"}).content != ref.content
    assert SamplesOnDisk.refer({"path": str(root)}).weights != sampled.weights


def test_folders_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    flat = classes(tmp_path / "a", ("cat",)) / "cat"
    for adapter in (SamplesOnDisk, ImageFolder):
        with pytest.raises(InputError, match="in a subfolder"):
            adapter.describe(adapter.refer({"path": str(flat), "folders": "kind"}))
        with pytest.raises(InputError, match="folders is 'image'"):
            adapter.refer({"path": str(flat), "folders": "image"})
    table = tmp_path / "t.csv"
    table.write_text("file,kind\n0.png,cat\n")
    with pytest.raises(InputError, match="folders is 'kind', which is another column"):
        ImageFolder.refer({"path": str(flat), "metadata": str(table), "folders": "kind"})


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    """Forty originals, and their restorations two levels brighter, as files of another kind."""
    originals, restored = tmp_path / "originals", tmp_path / "restored"
    rng = np.random.default_rng(1)
    for folder in (originals / "a", restored / "a"):
        folder.mkdir(parents=True)
    for i in range(40):
        pixels = rng.integers(0, 250, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(originals / "a" / f"{i}.png")
        Image.fromarray(pixels + 2).save(restored / "a" / f"{i}.bmp")
    return originals, restored


def test_restorations_are_found_by_the_picture_that_they_restore(pairs: tuple[Path, Path]) -> None:
    originals, restored = pairs
    options = {"path": str(restored), "originals": str(originals)}
    model, card, offers = check_adapter(SamplesOnDisk, options)
    assert offers == {Capability.RECONSTRUCT}
    assert dict(card.withheld).keys() == {Capability.SAMPLE}
    rows = ImageFolder.load(ImageFolder.refer({"path": str(originals)}), "holdout")
    check_capabilities(model, offers, rows)
    made = images_of(model.reconstruct(rows, RNG)).astype(int)
    assert (made - images_of(rows) == 2).all()
    with pytest.raises(ValueError, match="1 of 1 pictures of the data are not among the originals"):
        model.reconstruct(image_rows(np.full((1, 8, 8, 3), 7, np.uint8)), RNG)
    ref = SamplesOnDisk.refer(options)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(restored / "a" / "0.bmp")
    with pytest.raises(InputError, match="have changed since the audit was planned"):
        SamplesOnDisk.open(ref, "cpu")


def test_restorations_without_an_original_of_their_size_are_named(pairs: tuple[Path, Path]) -> None:
    originals, restored = pairs
    Image.new("RGB", (8, 8), "red").save(restored / "a" / "further.png")
    Image.new("RGB", (4, 4), "red").save(restored / "a" / "3.bmp")
    card, _ = SamplesOnDisk.describe(
        SamplesOnDisk.refer({"path": str(restored), "originals": str(originals)})
    )
    noted = " ".join(card.problems)
    assert "further.png (has no partner in 'originals')" in noted
    assert "3.bmp (is 4×4 and its original 8×8)" in noted
    for path in list((restored / "a").iterdir())[:10]:
        path.unlink()
    with pytest.raises(InputError, match="More than 5%"):
        SamplesOnDisk.refer({"path": str(restored), "originals": str(originals)})
    with pytest.raises(InputError, match="'folders' beside 'originals'"):
        SamplesOnDisk.refer({"path": str(restored), "originals": str(originals), "folders": "kind"})


def test_restorations_on_disk_are_scored_by_the_spec_that_names_them(
    pairs: tuple[Path, Path], tmp_path: Path, cli: Any
) -> None:
    (tmp_path / "audit.toml").write_text(
        '[model]\nadapter = "samples_on_disk"\npath = "restored"\noriginals = "originals"\n'
        '[data]\nuse = "images"\npath = "originals"\n[features]\nuse = "pixels"\n'
        '[[evaluators]]\nname = "quality.reconstruction"\n[run]\nexecutor = "inline"\n'
    )
    done = cli("run", tmp_path / "audit.toml", "--store", tmp_path / "store")
    assert done.code in (0, 3), done.err
    cli("report", "--format", "json", "--store", tmp_path / "store", "-o", tmp_path / "record.json")
    record = json.loads((tmp_path / "record.json").read_text())
    found = {one["metric"]: one["value"] for one in record["measurements"]}
    np.testing.assert_allclose(found["quality.reconstruction.psnr_pooled"], 20 * np.log10(255 / 2), rtol=1e-6)
