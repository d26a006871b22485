"""Bad input for audit detect and audit mark: a recorded reason or a clear error each time, and no file of the user's touched."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.cli.main import audit
from audit.core.errors import InputError
from audit.evaluators.provenance.text_watermark.evaluator import TextWatermark
from audit.marks.manifests.carriers import IMAGE_FORMATS
from audit.marks.manifests.reading import Held, Verifier
from audit.marks.manifests.signers import ephemeral_signers
from audit.marks.manifests.signing import Bench
from audit.marks.text.catalogue import TEXT_MARKS
from audit.marks.text.kgw import KGW
from audit.stats.uniformity import kolmogorov

PNG = IMAGE_FORMATS[0]
MARKS = ("--mark", "dwt_dct:7", "--mark", "kgw:7")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the user's."""
    place = tmp_path / "outputs"
    place.mkdir()
    return place


def _digests(place: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(place.iterdir())}


def _detect(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    before = _digests(folder)
    capsys.readouterr()
    code = audit.main(["detect", str(folder), *words, "--format", "json"], standalone_mode=False)
    found = {Path(one["file"]).name: one for one in json.loads(capsys.readouterr().out)}
    assert _digests(folder) == before
    return code, found


def _signed(seed: int = 0) -> bytes:
    signers = ephemeral_signers()
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return (
        Bench(signers.anchors)
        .sign(PNG.encode(pixels), PNG.mime, signers.trusted, signers.trusted.open())
        .held.file
    )


def _damaged(kind: str) -> bytes:
    file = bytearray(_signed())
    at = file.index(b"jumd")  # the description of the store
    if kind == "giant":  # a box that claims four gigabytes
        file[at - 4 : at] = b"\xff\xff\xff\xff"
    elif kind == "corrupt":
        file[at + 40 : at + 400] = np.random.default_rng(1).bytes(360)
    elif kind == "cut short":
        del file[at + 200 :]
    elif kind == "nested":
        file[at : at + 4000] = (b"\x00\x00\x10\x00jumb" * 500)[: len(file[at : at + 4000])]
    return bytes(file)


@pytest.mark.parametrize("kind", ["giant", "corrupt", "cut short", "nested"])
def test_hostile_manifests_are_named_and_never_an_error(
    kind: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "hostile.png").write_bytes(_damaged(kind))
    code, found = _detect(folder, capsys, *MARKS)
    assert code in (1, 3)
    credential = found["hostile.png"]["findings"][0]
    assert credential["state"] in ("broken", "absent")
    assert credential["said"]


def test_a_credential_under_a_wrong_ending_is_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("picture.jpg", "picture.txt.png", "picture"):
        (folder / name).write_bytes(_signed())
    _, found = _detect(folder, capsys)
    assert {one["findings"][0]["state"] for one in found.values()} == {"found"}


def test_animated_and_deep_pictures_have_a_reason_or_an_answer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "green")]
    for ending in ("gif", "webp", "png"):
        frames[0].save(folder / f"moving.{ending}", save_all=True, append_images=frames[1:])
    Image.new("I;16", (32, 32), 40_000).save(folder / "deep.png")
    Image.new("F", (32, 32)).save(folder / "float.tiff")
    Image.new("RGB", (3, 3)).save(folder / "tiny.png")
    (folder / "empty.png").write_bytes(b"")
    code, found = _detect(folder, capsys, *MARKS)
    assert code == 2  # no watermark can be looked for in float.tiff; nothing is broken
    for name, one in found.items():
        assert one["findings"], name
        assert all(finding["said"] for finding in one["findings"]), name
    assert [name for name, one in found.items() if one["verdict"] == "not read"] == ["float.tiff"]
    assert "too small" in found["tiny.png"]["findings"][-1]["said"]
    assert found["empty.png"]["findings"][0]["said"] == "it is empty"


def test_texts_shorter_than_a_context_say_that_they_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({f"w{i}": i for i in range(50)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model = folder.parent / "model"
    model.mkdir()
    tokenizer.save(str(model / "tokenizer.json"))
    (folder / "one.txt").write_text("w1", encoding="utf-8")
    (folder / "none.txt").write_text(" ", encoding="utf-8")
    (folder / "bytes.txt").write_bytes(b"\xff\xfe\x00 w1")
    marks = [word for name in ("kgw", "gumbel", "synthid") for word in ("--mark", f"{name}:7")]
    _, found = _detect(folder, capsys, *marks, "--tokenizer", str(model))
    for finding in found["one.txt"]["findings"][1:]:
        assert finding["state"] == "not asked"
        assert "too short: 1 tokens" in finding["said"]
    assert found["none.txt"]["findings"]


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("kgw:0", "hides nothing"),
        ("kgw:4294967296", "share one green list"),
        ("kgw:-1", "names no key"),
        ("kgw:9223372036854775808", "below 2"),
        ("dwt_dct:1.5", "names no key"),
        ("dwt_dct:", "names no key"),
        ("dwt_dct:0x10", "names no key"),
    ],
)
def test_keys_of_a_wrong_size_are_refused(mark: str, said: str, folder: Path) -> None:
    (folder / "text.txt").write_text("a text", encoding="utf-8")
    before = _digests(folder)
    with pytest.raises(InputError, match=said):
        audit.main(["detect", str(folder), "--mark", mark], standalone_mode=False)
    with pytest.raises(InputError, match=said):
        audit.main(
            ["mark", str(folder), str(folder.parent / "out"), "--test-identity", "--mark", mark],
            standalone_mode=False,
        )
    assert _digests(folder) == before
    assert not (folder.parent / "out").exists()


def test_a_weak_key_would_accuse_texts_and_a_sound_one_does_not() -> None:
    """Pairs count as independent; where every token has the same green list, the same token is counted again and again."""
    rng = np.random.default_rng(0)
    texts = [rng.zipf(1.3, 200) % 512 for _ in range(300)]
    weak = [KGW(1 << 32, 512).detect([text]).p_value for text in texts]
    assert np.mean(np.array(weak) <= 1e-3) > 0.01
    found = [KGW(int(rng.integers(1, 1 << 31)) | 1, 512).detect([text]) for text in texts]
    values = np.array([d.above + rng.random() * (d.p_value - d.above) for d in found])
    assert kolmogorov(values) > 1e-3
    for settings in ({"key": 0}, {"own": ("kgw:0",)}):
        with pytest.raises(InputError, match="green list"):
            TextWatermark(**settings)


@pytest.mark.parametrize("name", sorted(TEXT_MARKS))
def test_detectors_take_keys_at_both_ends(name: str) -> None:
    for key in (1, (1 << 63) - 1):
        assert 0 < TEXT_MARKS[name](key, 300).detect([np.arange(300)]).p_value <= 1


def test_a_giant_file_is_refused_by_its_size_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from audit.cli import detect

    monkeypatch.setattr(detect, "_MOST_BYTES", 1000)
    (folder / "large.png").write_bytes(b"\x89PNG" + b"\0" * 2000)
    with pytest.raises(InputError, match="at most 1,000 are read"):
        audit.main(["detect", str(folder / "large.png")], standalone_mode=False)
    code, found = _detect(folder, capsys)
    assert (code, found["large.png"]["verdict"]) == (2, "not read")
    assert "at most 1,000 are read" in found["large.png"]["findings"][0]["said"]


def test_a_verifier_survives_random_bytes_in_every_format() -> None:
    rng, verifier = np.random.default_rng(0), Verifier()
    for form in IMAGE_FORMATS:
        head = form.encode(np.zeros((8, 8, 3), np.uint8))[:16]
        for _ in range(5):
            assert not verifier.read(Held(form.mime, head + rng.bytes(400))).accepted
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "BMP")
    assert not verifier.read(Held("image/bmp", buffer.getvalue())).accepted


def test_what_cannot_be_read_in_a_folder_is_named_and_the_rest_is_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere.txt").write_text("A text outside of the folder.", encoding="utf-8")
    (folder / "link.txt").symlink_to(tmp_path / "elsewhere.txt")
    (folder / "text.txt").write_text("A text.", encoding="utf-8")
    (folder / "text.txt.c2pa").write_bytes(b"")
    (folder / "picture.txt").write_bytes(_signed())
    code, found = _detect(folder, capsys)
    said = {name: one["findings"][0]["said"] for name, one in found.items()}
    assert code == 2
    assert {name: one["verdict"] for name, one in found.items()} == {
        "link.txt": "not read",
        "text.txt": "unmarked",
        "picture.txt": "marked",
    }
    assert "leads out of the folder" in said["link.txt"]
    assert "is empty" in said["text.txt"]
    assert found["picture.txt"]["findings"][0]["details"]["validation"] == "valid"  # what it holds decides
    (folder / "text.txt.c2pa").unlink()
    out = tmp_path / "out"
    assert audit.main(["mark", str(folder), str(out), "--test-identity"], standalone_mode=False) == 3
    assert "not marked: link.txt: it is not read" in capsys.readouterr().out
    assert not (out / "picture.txt.c2pa").exists()


@pytest.mark.parametrize("words", [(), ("--mark", "dwt_dct:7")])
def test_a_picture_that_cannot_be_read_is_not_called_unmarked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    (folder / "junk.png").write_text("junk", encoding="utf-8")
    (folder / "data.bin").write_text("no picture", encoding="utf-8")
    Image.new("RGB", (32, 32)).save(folder / "sound.bmp")
    code, found = _detect(folder, capsys, *words)
    assert code == 2
    assert {name: one["verdict"] for name, one in found.items()} == {
        "junk.png": "not read",
        "data.bin": "unmarked",
        "sound.bmp": "unmarked",
    }
    assert found["junk.png"]["findings"][0]["said"] == "it is no picture that can be read: not an image"
    out = tmp_path / "out"
    assert audit.main(["mark", str(folder), str(out), "--test-identity"], standalone_mode=False) == 3
    said = capsys.readouterr().out
    assert "not marked: junk.png: it is no picture that can be read: not an image" in said
    assert "not marked: sound.bmp: its format cannot hold a credential" in said


def test_a_watermark_that_a_picture_does_not_hold_is_not_claimed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(folder / "noise.png")
    Image.new("RGB", (64, 9)).save(folder / "thin.png")
    Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((64, 64), 3).save(
        folder / "good.png"
    )
    asked = ["mark", str(folder), str(tmp_path / "out"), "--test-identity", "--mark", "spread_spectrum:5"]
    assert audit.main(asked, standalone_mode=False) == 3
    said = capsys.readouterr().out
    assert (
        "not marked: noise.png: it is written, but not found again in it: watermark spread_spectrum" in said
    )
    assert "not marked: thin.png: the picture is too small for a watermark" in said
    assert "1 of 3 outputs marked" in said
