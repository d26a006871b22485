"""audit mark and audit detect: a folder marked and read back, bad input, hostile files, and no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.cli.main import audit
from audit.core.errors import InputError

AUTHORITY = "TEST-AUTHORITY-NOT-TRUSTED.pem"


def _run(*words: object) -> Any:
    return audit.main([str(word) for word in words], standalone_mode=False)


def _found(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = _run("detect", *words, "--format", "json")
    read = json.loads(capsys.readouterr().out)
    return code, {Path(one["file"]).name: one for one in read}


def _state(one: dict[str, Any], technique: str) -> str:
    return next(f["state"] for f in one["findings"] if f["technique"].startswith(technique))


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    folder, rng = tmp_path / "outputs", np.random.default_rng(0)
    folder.mkdir()
    for i, ending in enumerate(("png", "jpg", "webp")):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize((96, 80), Image.Resampling.BICUBIC).save(folder / f"{i}.{ending}")
    (folder / "text.txt").write_text("A text that a model wrote.", encoding="utf-8")
    return folder


def test_a_folder_is_marked_with_every_layer_and_read_back(
    outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p.name: p.read_bytes() for p in outputs.iterdir()}
    out = tmp_path / "marked"
    options = ("--test-identity", "--mark", "dwt_dct:77", "--label", "--aigc-producer", 'A "<name>"')
    assert _run("mark", outputs, out, *options) == 0
    assert {p.name: p.read_bytes() for p in outputs.iterdir()} == before
    code, found = _found(capsys, out, "--trust", out / AUTHORITY, "--mark", "dwt_dct:77")
    assert code == 0
    assert set(found) == set(before)
    for name, one in found.items():
        (credential, *_) = one["findings"]
        assert credential["details"]["validation"] == "trusted"
        assert credential["details"]["declares_generated"]
        if name != "text.txt":
            assert [_state(one, t) for t in ("credential", "label", "watermark")] == ["found"] * 3
            label = next(f for f in one["findings"] if f["technique"] == "label")
            assert label["details"]["aigc"]["ContentProducer"] == 'A "<name>"'
    code, found = _found(capsys, out, "--mark", "dwt_dct:78")
    assert code == 0
    assert {_state(found[n], "watermark") for n in ("0.png", "1.jpg")} == {"absent"}
    assert found["0.png"]["findings"][0]["details"]["validation"] == "valid"  # nobody is trusted unasked


def test_a_text_carries_its_credential_inside_where_that_is_asked_for(
    outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("c2patxt")
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from audit.marks.manifests.signers import ephemeral_signers, text_signer

    said = "Gr\N{LATIN SMALL LETTER O WITH DIAERESIS}ße.\r\nA text that a model wrote."
    (outputs / "text.txt").write_bytes(said.encode())
    (outputs / "page.md").write_text("# A page", encoding="utf-8")
    (outputs / "latin.txt").write_bytes(said.encode("latin-1"))
    out, again = tmp_path / "marked", tmp_path / "again"
    assert _run("mark", outputs, out, "--test-identity", "--embed-texts") == 3
    assert "not marked: latin.txt: it is no UTF-8 text" in capsys.readouterr().out
    assert {p.name for p in out.iterdir() if p.suffix == ".c2pa"} == {"page.md.c2pa"}
    assert (out / "text.txt").read_bytes().startswith(said.encode() + "\ufeff".encode())
    code, found = _found(capsys, out, "--trust", out / AUTHORITY)
    assert code == 0
    assert {one["findings"][0]["details"]["validation"] for one in found.values()} == {"trusted"}
    (out / "text.txt").write_bytes(b"F" + (out / "text.txt").read_bytes()[1:])
    assert _found(capsys, out / "text.txt")[1]["text.txt"]["verdict"] == "broken"
    _run("mark", out, again, "--test-identity", "--embed-texts")
    assert "text.txt: it carries a credential inside already" in capsys.readouterr().out

    root = ephemeral_signers().trusted.authority
    key, (leaf,) = text_signer(root)
    (tmp_path / "chain.pem").write_bytes(leaf.public_bytes(Encoding.PEM) + root.pem.encode())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "root.pem").write_text(root.pem, encoding="utf-8")
    own = ("--certificate", tmp_path / "chain.pem", "--key", tmp_path / "key.pem", "--embed-texts")
    (outputs / "latin.txt").unlink()
    assert _run("mark", outputs, tmp_path / "own", *own) == 0
    _, found = _found(capsys, tmp_path / "own" / "text.txt", "--trust", tmp_path / "root.pem")
    assert found["text.txt"]["findings"][0]["details"]["validation"] == "trusted"


def test_without_a_watermark_pixels_are_signed_as_they_are(outputs: Path, tmp_path: Path) -> None:
    assert _run("mark", outputs, tmp_path / "marked", "--test-identity") == 0
    for name in ("0.png", "1.jpg", "2.webp"):
        one, two = (np.asarray(Image.open(folder / name)) for folder in (outputs, tmp_path / "marked"))
        assert (one == two).all()


def test_broken_stripped_and_renamed_files_are_named_as_what_they_are(
    outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "marked"
    _run("mark", outputs, out, "--test-identity")
    (out / "0.png").rename(out / "renamed.jpg")
    (out / "text.txt").write_text("A text that somebody changed.", encoding="utf-8")
    Image.open(out / "1.jpg").save(out / "1.jpg")
    code, found = _found(capsys, out, "--trust", out / AUTHORITY)
    assert code == 3
    assert {name: one["verdict"] for name, one in found.items()} == {
        "renamed.jpg": "marked",
        "1.jpg": "unmarked",
        "2.webp": "marked",
        "text.txt": "broken",
    }
    assert "assertion.dataHash.mismatch" in found["text.txt"]["findings"][0]["said"]


def test_a_text_watermark_is_found_from_a_tokenizer_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    from audit.marks.text.unigram import Unigram

    words = {f"w{i}": i for i in range(400)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    green = np.flatnonzero(Unigram(9, 400).green)[:60]
    (tmp_path / "answer.txt").write_text(" ".join(f"w{i}" for i in green), encoding="utf-8")
    asked = (tmp_path / "answer.txt", "--tokenizer", tmp_path, "--mark", "unigram:9", "--mark", "unigram:8")
    code, found = _found(capsys, *asked)
    right, wrong = found["answer.txt"]["findings"][1:]
    assert code == 0
    assert right["details"]["p_value"] < 1e-12
    assert wrong["state"] == "absent"
    _, found = _found(capsys, *asked[:3], "--mark", "unigram:9", "--vocabulary", "10")
    assert "beyond the vocabulary of 10" in found["answer.txt"]["findings"][1]["said"]
    _, found = _found(capsys, tmp_path / "answer.txt", "--mark", "unigram:9")
    assert "--tokenizer" in found["answer.txt"]["findings"][1]["said"]


def test_files_that_cannot_be_marked_are_named_and_the_others_are(
    outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (outputs / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no picture")
    (outputs / "note.bmp").write_bytes(b"BM")
    Image.new("I;16", (32, 32)).save(outputs / "deep.png")
    frames = [Image.new("RGB", (32, 32), c) for c in ("red", "blue")]
    frames[0].save(outputs / "moving.webp", save_all=True, append_images=frames[1:])
    assert _run("mark", outputs, tmp_path / "marked", "--test-identity", "--label") == 3
    said = capsys.readouterr().out
    assert all(
        f"not marked: {name}" in said for name in ("broken.png", "note.bmp", "deep.png", "moving.webp")
    )
    assert sorted(p.name for p in (tmp_path / "marked").iterdir()) == sorted(
        ["0.png", "1.jpg", "2.webp", "text.txt", "text.txt.c2pa", AUTHORITY]
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("detect", "{tmp}/nothing.png"), "There is no file"),
        (("detect", "{out}/0.png", "--mark", "dwt_dtc:1"), "Did you mean 'dwt_dct'"),
        (("detect", "{out}/0.png", "--mark", "dwt_dct"), "names no key"),
        (("detect", "{out}/0.png", "--mark", "dwt_dct:1", "--size", "20"), "multiple of 8"),
        (("detect", "{out}/0.png", "--mark", "dwt_dct:99999999999999999999"), "below 2\\*\\*63"),
        (("detect", "{out}/0.png", "--trust", "{out}/text.txt"), "holds no certificate"),
        (("detect", "{out}/0.png", "--trust", "{out}/none.pem"), "cannot be read"),
        (("detect", "{out}/0.png", "--tokenizer", "{out}/text.txt"), "no tokenizer.json"),
        (("mark", "{out}", "{tmp}/new"), "Say who signs"),
        (("mark", "{out}", "{tmp}/new", "--certificate", "{out}/text.txt"), "belong together"),
        (("mark", "{out}", "{tmp}/new", "--test-identity", "--mark", "kgw:1"), "mark of texts"),
        (("mark", "{out}", "{tmp}/new", "--test-identity", "--aigc-producer", " "), "producer is empty"),
        (("mark", "{out}", "{out}/inside", "--test-identity"), "inside SOURCE"),
        (("mark", "{out}", "{tmp}", "--test-identity"), "Nothing is overwritten"),
        (("mark", "{out}/0.png", "{tmp}/new", "--test-identity"), "is no folder"),
        (
            ("mark", "{out}", "{tmp}/new", "--certificate", "{out}/text.txt", "--key", "{out}/text.txt"),
            "no certificate",
        ),
    ],
)
def test_bad_input_says_what_to_do_and_writes_nothing(
    words: tuple[str, ...], said: str, outputs: Path, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir(exist_ok=True)
    with pytest.raises(InputError, match=said):
        _run(*(word.format(tmp=tmp_path, out=outputs) for word in words))
    assert not (tmp_path / "new").exists()


def test_a_certificate_of_ones_own_signs_and_a_foreign_key_does_not(
    outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from audit.marks.manifests.signers import _key_pem, _pem, ephemeral_signers

    signers = ephemeral_signers()
    mine, other = signers.trusted, signers.untrusted["unknown_authority"]
    (tmp_path / "chain.pem").write_text(_pem(mine.shown) + mine.authority.pem)
    (tmp_path / "key.pem").write_bytes(_key_pem(mine.key))
    (tmp_path / "other.pem").write_bytes(_key_pem(other.key))
    (tmp_path / "root.pem").write_text(signers.anchors)
    with pytest.raises(InputError, match="does not belong"):
        _run(
            "mark",
            outputs,
            tmp_path / "no",
            "--certificate",
            tmp_path / "chain.pem",
            "--key",
            tmp_path / "other.pem",
        )
    who = ("--certificate", tmp_path / "chain.pem", "--key", tmp_path / "key.pem")
    assert _run("mark", outputs, tmp_path / "marked", *who) == 0
    assert not (tmp_path / "marked" / AUTHORITY).exists()
    with pytest.raises(InputError, match="Ed25519 keys alone"):
        _run("mark", outputs, tmp_path / "no", *who, "--embed-texts")
    code, found = _found(capsys, tmp_path / "marked", "--trust", tmp_path / "root.pem")
    assert code == 0
    assert {one["findings"][0]["details"]["validation"] for one in found.values()} == {"trusted"}


def test_detecting_loads_neither_torch_nor_a_store(outputs: Path) -> None:
    heavy = ("torch", "transformers", "sqlalchemy", "pyarrow", "scipy.stats", "streamlit")
    code = (
        "import sys; from audit.cli.main import audit;"
        f"audit.main(['detect', {str(outputs / '0.png')!r}, '--mark', 'dwt_dct:1'], standalone_mode=False);"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
