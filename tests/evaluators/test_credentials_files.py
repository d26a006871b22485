"""The pieces of the credentials audit: certificates, where payloads and manifests lie, and no network."""

from __future__ import annotations

import http.server
import io
import threading
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

from audit.evaluators.provenance.credentials.tampering import same_to_a_reader, tampered
from audit.marks.manifests.carriers import (
    IMAGE_FORMATS,
    ImageFormat,
    decode,
    manifest_offsets,
    sealed,
    writable,
)
from audit.marks.manifests.reading import TEXT, Answer, Held, Reading
from audit.marks.manifests.signers import UNTRUSTED, Signers, ephemeral_signers
from audit.marks.manifests.signing import CLAIM, Bench

FORMATS = pytest.mark.parametrize("form", IMAGE_FORMATS, ids=lambda f: f.name)


@pytest.fixture(scope="module")
def signers() -> Signers:
    return ephemeral_signers()


@pytest.fixture(scope="module")
def bench(signers: Signers) -> Bench:
    return Bench(signers.anchors)


def _pixels(side: int = 12, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, channels), dtype=np.uint8)


def test_certificates_follow_the_profile_and_an_independent_library_agrees(signers: Signers) -> None:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.x509.oid import ExtendedKeyUsageOID

    root, leaf = signers.trusted.authority.certificate, signers.trusted.shown
    leaf.verify_directly_issued_by(root)
    extensions = leaf.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.EMAIL_PROTECTION]
    issuer = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert issuer == root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest

    impostor = signers.untrusted["impostor_authority"]
    claimed = impostor.authority.certificate
    assert claimed.subject == root.subject
    assert (
        claimed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        == root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    )
    with pytest.raises(InvalidSignature):
        impostor.shown.verify_directly_issued_by(root)


def test_every_forged_certificate_is_issued_by_the_trusted_authority(signers: Signers) -> None:
    forged = {name: s.forged for name, s in signers.untrusted.items() if s.forged is not None}
    assert set(signers.untrusted) == set(UNTRUSTED)
    assert set(forged) == {"expired", "not_yet_valid", "wrong_purpose"}
    for certificate in forged.values():
        certificate.verify_directly_issued_by(signers.trusted.authority.certificate)
    now = signers.trusted.shown.not_valid_before_utc
    assert forged["expired"].not_valid_after_utc < now < forged["not_yet_valid"].not_valid_before_utc


def test_forging_works_so_a_sound_certificate_put_in_the_same_way_is_trusted(
    signers: Signers, bench: Bench
) -> None:
    """Without this control, a forgery that fails for being badly made would look like a refusal."""
    from dataclasses import replace

    from audit.marks.manifests import signers as module

    authority = signers.trusted.authority
    sound = replace(signers.trusted, forged=module._leaf(authority, signers.trusted.key, "sound"))
    for mime, plain in ((TEXT, b"a text"), *((f.mime, f.encode(_pixels())) for f in writable())):
        signed = bench.sign(plain, mime, sound, sound.open())
        assert bench.read(signed.held).answer is Answer.TRUSTED, mime


@FORMATS
def test_a_payload_is_coded_pixels_before_and_after_signing(
    form: ImageFormat, signers: Signers, bench: Bench
) -> None:
    pixels = _pixels()
    plain = form.encode(pixels)
    file = bench.sign(plain, form.mime, signers.trusted, signers.trusted.open()).held.file
    before, after = form.payload(plain), form.payload(file)
    assert plain[before.start : before.stop] == file[after.start : after.stop]
    coded = plain[before.start : before.stop]
    match form.name:
        case "png":
            assert len(zlib.decompress(coded)) == 12 * (12 * 3 + 1)
        case "tiff":
            assert coded == pixels.tobytes()
    damaged = bytearray(file)
    damaged[after.start : after.stop] = bytes(len(after))
    try:
        shown = np.asarray(decode(sealed(bytes(damaged))))
    except (OSError, ValueError, SyntaxError, RuntimeError):
        return
    assert not np.array_equal(shown, np.asarray(decode(file)))


@FORMATS
def test_a_manifest_put_back_where_it_was_changes_nothing(
    form: ImageFormat, signers: Signers, bench: Bench
) -> None:
    signed = bench.sign(form.encode(_pixels()), form.mime, signers.trusted, signers.trusted.open())
    offsets = manifest_offsets(signed.held.file, signed.manifest)
    assert len(offsets) == len(signed.manifest)
    assert signed.with_manifest(signed.manifest) == signed.held
    with pytest.raises(ValueError, match="not in the file"):
        manifest_offsets(signed.plain, signed.manifest)


@FORMATS
def test_signing_leaves_the_picture_as_it_was(form: ImageFormat, signers: Signers, bench: Bench) -> None:
    plain = form.encode(_pixels())
    signed = bench.sign(plain, form.mime, signers.trusted, signers.trusted.open())
    assert same_to_a_reader(Held(form.mime, plain), signed.held)
    assert not same_to_a_reader(Held(form.mime, form.encode(255 - _pixels())), signed.held)
    assert not same_to_a_reader(signed.held, Held(form.mime, b"not a picture"))


def test_a_seal_repairs_checksums_and_nothing_else() -> None:
    plain = next(f for f in IMAGE_FORMATS if f.name == "png").encode(_pixels())
    assert sealed(plain) == plain
    end = plain.index(b"IEND") - 8  # the checksum of the chunk before it
    broken = bytearray(plain)
    broken[end] ^= 0xFF
    assert bytes(broken) != plain
    assert sealed(bytes(broken)) == plain
    assert sealed(b"GIF89a") == b"GIF89a"


def test_each_tamper_changes_what_the_recipient_holds(signers: Signers, bench: Bench) -> None:
    opened = signers.trusted.open()
    signed, donor = (bench.sign(t, TEXT, signers.trusted, opened) for t in (b"one text", b"its neighbour"))
    rng = np.random.default_rng(0)
    one = tampered("asset_altered", signed, donor, rng)
    assert sum(a != b for a, b in zip(one.file, signed.plain, strict=True)) == 1
    assert one.sidecar == signed.manifest
    lie = tampered("assertion_altered", signed, donor, rng).sidecar
    assert lie is not None
    assert b"humanMadeDigitalCapture" in lie
    assert tampered("transplanted", signed, donor, rng).sidecar == donor.manifest
    assert tampered("truncated", signed, donor, rng).file == b"one tex"
    with pytest.raises(ValueError, match="no other output"):
        tampered("transplanted", signed, None, rng)


def test_a_manifest_that_says_something_else_declares_nothing() -> None:
    def reading(label: str, action: str, source: str) -> Reading:
        actions = [{"action": action, "digitalSourceType": source}]
        return Reading(Answer.TRUSTED, (), {"assertions": [{"label": label, "data": {"actions": actions}}]})

    generated = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    assert reading("c2pa.actions.v2", "c2pa.created", generated).declares_generated
    assert not reading("c2pa.actions.v2", "c2pa.edited", generated).declares_generated
    assert not reading("c2pa.actions.v2", "c2pa.created", generated + "x").declares_generated
    assert not reading("cawg.metadata", "c2pa.created", generated).declares_generated
    assert not Reading(Answer.TRUSTED).declares_generated


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/manifest.c2pa", asked
        server.shutdown()
        thread.join()


def test_reading_never_asks_the_network_even_when_the_file_names_an_address(
    listener: tuple[str, list[str]], signers: Signers, bench: Bench
) -> None:
    import c2pa

    url, asked = listener
    out = io.BytesIO()
    plain = IMAGE_FORMATS[0].encode(_pixels())
    with c2pa.Builder(CLAIM) as builder:
        builder.set_no_embed()
        builder.set_remote_url(url)
        builder.sign(signers.trusted.open(), "image/png", io.BytesIO(plain), out)
    asked.clear()
    assert bench.read(Held("image/png", out.getvalue())).answer in (Answer.ABSENT, Answer.UNREADABLE)
    assert asked == []
    with pytest.raises(c2pa.C2paError):  # the control: left to its defaults, the library does ask
        c2pa.Reader("image/png", io.BytesIO(out.getvalue()))
    assert asked == ["/manifest.c2pa"]
