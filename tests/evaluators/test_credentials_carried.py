"""Credentials that outputs carry already: files on disk, files that a model returns, texts with a manifest inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.core.identity import Digest
from audit.core.measurements import Undefined
from audit.core.references import DataRef
from audit.core.subjects import DataCard, Subject
from audit.evaluators.provenance.credentials.evaluator import ContentCredentials
from audit.evaluators.provenance.credentials.tampering import tampered
from audit.marks.manifests.carriers import IMAGE_FORMATS, sealed
from audit.marks.manifests.reading import TEXT, Answer, Held, Verifier
from audit.marks.manifests.signers import Signers, ephemeral_signers
from audit.marks.manifests.signing import Bench, Signed
from audit.models.samples_on_disk import SamplesOnDisk

PNG = IMAGE_FORMATS[0]


@pytest.fixture(scope="module")
def signers() -> Signers:
    return ephemeral_signers()


def _signed(signers: Signers, seed: int, form: Any = PNG, signer: str = "") -> Signed:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    chosen = signers.untrusted[signer] if signer else signers.trusted
    return Bench(signers.anchors).sign(form.encode(pixels), form.mime, chosen, chosen.open())


def _read(ask: Any, folder: Path, anchors: str) -> dict[str, Any]:
    ref = SamplesOnDisk.refer({"path": str(folder)})
    card, offers = SamplesOnDisk.describe(ref)
    data = DataRef("fake", Digest("1" * 40))
    subject = Subject(ref, card, offers, data, DataCard("image", ()), (), 10, 0, 3)
    evaluator = ContentCredentials(n=40, signed=1, anchors=anchors)
    found = ask(evaluator, subject, SamplesOnDisk.open(ref, "cpu")).outcomes
    return {o.metric.rpartition(".")[2]: o for o in found}


def test_a_folder_of_signed_files_is_found_valid_trusted_and_declared(
    ask: Any, tmp_path: Path, signers: Signers
) -> None:
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(_signed(signers, i).held.file)
    (tmp_path / "wrong_ending.jpg").write_bytes(_signed(signers, 3).held.file)
    found = _read(ask, tmp_path, signers.anchors)
    assert (found["carried"].value, found["carried"].n) == (1.0, 4)
    assert found["broken"].value == 0.0
    assert found["trusted"].value == found["declared"].value == 1.0
    assert found["time_stamped"].value == 0.0
    (row,) = found["carried"].evidence[0].content.to_pylist()
    assert (row["outputs"], row["format"], row["answer"]) == (4, "png", "trusted")
    assert "Ephemeral audit signer" in row["signer"]
    assert row["source type"] == "trainedAlgorithmicMedia"
    unknown = _read(ask, tmp_path, "")
    assert isinstance(unknown["trusted"], Undefined)
    assert 'trust = "c2pa-trust-lists"' in unknown["trusted"].reason
    assert unknown["broken"].value == 0.0


def test_stripped_altered_transplanted_and_foreign_manifests_are_named_as_what_they_are(
    ask: Any, tmp_path: Path, signers: Signers
) -> None:
    one, two = _signed(signers, 1), _signed(signers, 2)
    files = {
        "stripped.png": one.plain,
        "altered.png": tampered("assertion_altered", one, None, np.random.default_rng(0)).file,
        "transplanted.png": one.with_manifest(two.manifest).file,
        "foreign.png": _signed(signers, 5, signer="unknown_authority").held.file,
        "expired.png": _signed(signers, 6, signer="expired").held.file,
        "sound.png": two.held.file,
    }
    for name, file in files.items():
        (tmp_path / name).write_bytes(file)
    found = _read(ask, tmp_path, signers.anchors)
    assert (found["carried"].value, found["carried"].n) == (pytest.approx(5 / 6), 6)
    assert found["broken"].value == pytest.approx(3 / 6)
    assert found["trusted"].value == found["declared"].value / 2 == pytest.approx(1 / 5)
    codes = {row["codes"]: row["answer"] for row in found["carried"].evidence[0].content.to_pylist()}
    assert codes == {
        "": "trusted",
        "assertion.hashedURI.mismatch": "invalid",
        "assertion.dataHash.mismatch": "invalid",
        "signingCredential.untrusted": "valid",
        "signingCredential.untrusted, signingCredential.expired": "invalid",
    }


def test_a_mark_that_is_taken_off_asks_again_although_the_pixels_are_the_same(
    ask: Any, tmp_path: Path, signers: Signers
) -> None:
    signed = _signed(signers, 1)
    (tmp_path / "a.png").write_bytes(signed.held.file)
    before = SamplesOnDisk.refer({"path": str(tmp_path)})
    first = SamplesOnDisk.describe(before)[0].files
    assert _read(ask, tmp_path, "")["carried"].value == 1.0
    (tmp_path / "a.png").write_bytes(signed.plain)
    after = SamplesOnDisk.refer({"path": str(tmp_path)})
    assert after.weights == before.weights
    assert SamplesOnDisk.describe(after)[0].files != first
    assert _read(ask, tmp_path, "")["carried"].value == 0.0


def test_sidecars_are_read_and_formats_without_room_are_counted_apart(
    ask: Any, tmp_path: Path, signers: Signers
) -> None:
    import io

    import c2pa

    from audit.marks.manifests.signing import CLAIM

    plain = PNG.encode(np.zeros((16, 16, 3), np.uint8))
    context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
    with c2pa.Builder(CLAIM, context=context) as builder:
        builder.set_no_embed()
        manifest = bytes(builder.sign(signers.trusted.open(), PNG.mime, io.BytesIO(plain), io.BytesIO()))
    (tmp_path / "beside.png").write_bytes(plain)
    (tmp_path / "beside.c2pa").write_bytes(manifest)
    Image.new("RGB", (16, 16), "red").save(tmp_path / "no_room.bmp")
    found = _read(ask, tmp_path, signers.anchors)
    assert (found["carried"].value, found["carried"].n, found["trusted"].value) == (1.0, 1, 1.0)
    assert "Not applicable to 1 of 2 outputs" in " ".join(found["carried"].notes)


@pytest.mark.parametrize("damage", ["giant", "zeros", "truncated", "nested"])
def test_hostile_manifests_are_an_answer_and_never_an_error(
    ask: Any, tmp_path: Path, signers: Signers, damage: str
) -> None:
    signed = _signed(signers, 1)
    manifest = bytearray(signed.manifest)
    if damage == "giant":
        manifest[:4] = b"\xff\xff\xff\xff"
    elif damage == "zeros":
        manifest[60:] = bytes(len(manifest) - 60)
    elif damage == "truncated":
        manifest[len(manifest) // 2 :] = b"\xa1" * (len(manifest) - len(manifest) // 2)
    else:
        manifest[100:] = b"\x81" * (len(manifest) - 100)  # CBOR: one array inside another, thousands deep
    (tmp_path / "a.png").write_bytes(signed.with_manifest(bytes(manifest)).file)
    (tmp_path / "b.png").write_bytes(_signed(signers, 2).held.file)
    found = _read(ask, tmp_path, signers.anchors)
    assert (found["trusted"].n, found["broken"].value) in (
        (2, 0.5),
        (2, 0.0),
        (1, 0.0),
    )  # the outermost length is not signed


def test_a_text_with_a_manifest_inside_is_read_as_an_independent_writer_means_it() -> None:
    pytest.importorskip("c2patxt")
    from audit.marks.manifests.embedding import embedding
    from audit.marks.manifests.signers import text_signer

    root = ephemeral_signers().trusted.authority
    key, (leaf,) = text_signer(root)
    text = embedding(key, (leaf, root.certificate))("Größe: a generated text.".encode()).decode()
    verifier = Verifier(root.pem)

    def read(changed: str) -> tuple[Answer, tuple[str, ...]]:
        found = verifier.read(Held(TEXT, changed.encode()))
        return found.answer, found.codes

    assert read(text) == (Answer.TRUSTED, ())
    assert verifier.read(Held(TEXT, text.encode())).declares_generated
    assert Verifier().read(Held(TEXT, text.encode())).answer is Answer.VALID
    assert read("g" + text[1:]) == (Answer.INVALID, ("assertion.dataHash.mismatch",))
    assert read(text[:-5]) == (Answer.INVALID, ("manifest.text.corruptedWrapper",))
    assert read(text + text) == (Answer.INVALID, ("manifest.text.multipleWrappers",))
    assert read("Another text." + text[text.index("\ufeff") :])[0] is Answer.INVALID
    assert read(text.replace("\ufeff", "")) == (Answer.ABSENT, ())
    other = pytest.importorskip("encypher_c2pa")
    options = {"trust_pem": root.pem, "no_default_trust": True, "telemetry": False, "online": False}
    said, refused = (str(other.verify(t.encode(), "text/plain", **options)) for t in (text, "g" + text[1:]))
    assert "assertion.dataHash.match" in said
    assert "assertion.dataHash.mismatch" in refused


def test_an_independent_verifier_reads_what_is_signed_here(signers: Signers) -> None:
    other = pytest.importorskip("encypher_c2pa")
    sound, altered = _signed(signers, 1), _signed(signers, 1)
    file = bytearray(altered.held.file)
    file[-20] ^= 1
    options = {"trust_pem": signers.anchors, "no_default_trust": True, "telemetry": False, "online": False}
    said, refused = (
        str(other.verify(data, "image/png", **options)) for data in (sound.held.file, sealed(bytes(file)))
    )
    assert "assertion.dataHash.match" in str(said)
    assert "assertion.dataHash.mismatch" in str(refused)


def test_certificates_that_cannot_be_read_say_so() -> None:
    with pytest.raises(ValueError, match="certificates of the authorities to trust cannot be read"):
        Verifier("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----")
