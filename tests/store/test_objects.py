"""Blobs in a bucket of a real server that speaks S3: whole or absent, over a bad line too, and errors that name them.

What is not about S3's own words is asked of Azurite too, an emulator of Azure.
"""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from audit.core.errors import InputError
from audit.core.identity import Digest, digest_of
from audit.store.blobs import FileBlobs
from audit.store.objects import ObjectBlobs
from audit.store.shared import SharedBlobs, blobs_at
from tests.azure_server import AzureServer
from tests.s3_server import KEY, SECRET, BadLine, S3Server

obstore = pytest.importorskip("obstore")
pytestmark = pytest.mark.xdist_group("s3")
LARGE = bytes(range(256)) * 40


SERVERS = {"s3": ("new_bucket", "s3_server"), "az": ("new_container", "azure_server")}


@pytest.fixture(params=["s3", pytest.param("az", marks=pytest.mark.slow)])
def bucket(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(SERVERS[request.param][0])())


@pytest.fixture
def s3_bucket(new_bucket: Callable[[], str]) -> str:
    return new_bucket()


@pytest.fixture
def blobs(bucket: str) -> ObjectBlobs:
    return ObjectBlobs(bucket)


@pytest.fixture
def line(bucket: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[BadLine]:
    """A line to the server that does as it is told; the environment leads over it."""
    server = request.getfixturevalue(SERVERS[bucket.partition(":")[0]][1])
    with BadLine(server.port).opened() as line:
        for name, value in server.environment(line.endpoint).items():
            monkeypatch.setenv(name, value)
        yield line


def keys(bucket: str) -> set[str]:
    """Return the names of all objects, asked for without any code of ours."""
    store = obstore.store.from_url(bucket, client_options={"allow_http": True})
    return {entry["path"] for some in obstore.list(store) for entry in some}


def overwrite(bucket: str, digest: Digest, data: bytes) -> None:
    store = obstore.store.from_url(bucket, client_options={"allow_http": True})
    obstore.put(store, f"{digest[:2]}/{digest[2:4]}/{digest}", data)


def test_a_blob_has_the_name_it_has_in_a_folder_and_nothing_else_is_left(
    blobs: ObjectBlobs, bucket: str
) -> None:
    digest = blobs.put(LARGE)
    assert blobs.get(digest) == LARGE
    assert keys(bucket) == {str(FileBlobs("/").path(digest))[1:]}
    assert blobs.path(digest) == f"{bucket}/{digest[:2]}/{digest[2:4]}/{digest}"
    empty = blobs.put(b"")
    assert blobs.get(empty) == b""
    assert [(found, kept.bytes) for found, kept in sorted(blobs.every())] == sorted(
        [(digest, len(LARGE)), (empty, 0)]
    )


def test_what_is_there_what_is_sound_and_what_is_gone(blobs: ObjectBlobs, bucket: str) -> None:
    sound, damaged, cut = (blobs.put(LARGE[n:]) for n in range(3))
    overwrite(bucket, damaged, LARGE[:-1])
    overwrite(bucket, cut, LARGE[2:-1])
    lost = digest_of(b"never written")
    everything = {sound, damaged, cut, lost}
    assert blobs.among(everything) == {sound, damaged, cut}
    assert blobs.sound(everything) == {sound}
    for digest in (damaged, cut):
        with pytest.raises(InputError, match=f"{digest} is damaged.*{bucket}.*--retry-failed"):
            blobs.get(digest)
    with pytest.raises(InputError, match=f"lost the blob {lost}.*{bucket}"):
        blobs.get(lost)
    blobs.put(LARGE[1:])
    blobs.delete(cut)
    blobs.delete(lost)  # no error
    assert blobs.sound(everything) == {sound, damaged}


def test_a_blob_in_parts(blobs: ObjectBlobs, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    part = 5 * 1024 * 1024  # the least that S3 takes
    monkeypatch.setattr("audit.store.objects._PART", part)
    data = LARGE * 600
    assert len(data) > part
    assert blobs.get(blobs.put(data)) == data
    assert len(keys(bucket)) == 1


def test_many_write_and_read_one_blob_at_once(blobs: ObjectBlobs, bucket: str) -> None:
    digests: set[Digest] = set()

    def work() -> None:
        for number in range(8):
            digests.add(blobs.put(LARGE[number % 2 :]))
            assert blobs.get(digest_of(LARGE)) == LARGE

    blobs.put(LARGE)
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blobs.sound(digests) == digests
    assert len(digests) == len(keys(bucket)) == 2


def test_what_a_killed_writer_left_is_deleted_once_it_is_old(blobs: ObjectBlobs, bucket: str) -> None:
    digest = blobs.put(LARGE)
    store = obstore.store.from_url(bucket, client_options={"allow_http": True})
    obstore.put(store, f"unfinished/{digest}.left", LARGE[:100])
    assert blobs.clean() == 0
    assert blobs.clean(older_than=-5.0) == 1
    assert blobs.has(digest)
    assert len(keys(bucket)) == 1


def test_only_what_was_not_touched_is_deleted(blobs: ObjectBlobs) -> None:
    digest = blobs.put(LARGE)
    (_, kept), *_ = blobs.every()
    assert not blobs.delete_untouched(digest, kept.touched - 1)
    assert blobs.delete_untouched(digest, kept.touched)
    assert not blobs.delete_untouched(digest, kept.touched)


def test_ledgers_leave_their_names(blobs: ObjectBlobs) -> None:
    assert blobs.claims() == set()
    like_a_digest = digest_of(b"a ledger's address")
    for name in ("one", like_a_digest, "one"):
        blobs.claim(name)
    assert blobs.claims() == {"one", like_a_digest}
    assert list(blobs.every()) == []


@pytest.mark.parametrize("trouble", ["drop", "cut", "garble"])
def test_over_a_line_that_breaks_everything_arrives(line: BadLine, bucket: str, trouble: str) -> None:
    blobs = blobs_at(bucket)
    assert isinstance(blobs, SharedBlobs)
    blobs = replace(blobs, cache=None)
    digest = blobs.put(LARGE)
    setattr(line, trouble, 3)
    if trouble == "drop":  # connections that are open stay so: a new client opens some
        blobs = SharedBlobs(ObjectBlobs(bucket), None)
        assert blobs.put(LARGE) == digest
    assert blobs.get(digest) == LARGE
    assert line.broken >= 2
    assert blobs.sound({digest}) == {digest}


@pytest.mark.parametrize("trouble", ["drop", "cut"])
def test_over_a_line_that_stays_bad_the_blob_is_named_and_nothing_is_half_there(
    line: BadLine, bucket: str, trouble: str
) -> None:
    digest = ObjectBlobs(bucket).put(LARGE)
    setattr(line, trouble, 10**6)
    blobs = SharedBlobs(ObjectBlobs(bucket), None, patience=0.5)
    with pytest.raises(OSError, match=f"The blob {bucket}/.*{digest} cannot be read") as raised:
        blobs.get(digest)
    assert raised.value.strerror.endswith(".")
    assert line.broken > 1
    if trouble == "drop":
        with pytest.raises(OSError, match=f"The blob {bucket}/.*{digest_of(b'more')} cannot be written"):
            blobs.put(b"more")
    setattr(line, trouble, 0)
    assert SharedBlobs(ObjectBlobs(bucket), None).get(digest) == LARGE
    assert not ObjectBlobs(bucket).has(digest_of(b"more"))


def test_a_server_that_stalls_is_given_up(
    line: BadLine, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = ObjectBlobs(bucket).put(LARGE)
    line.pause = 0.2  # slow storage is waited for
    assert ObjectBlobs(bucket).get(digest) == LARGE
    line.pause = 20.0
    monkeypatch.setattr("audit.store.objects._CLIENT", {"read_timeout": "300ms"})
    with pytest.raises(ConnectionError, match=f"{digest} cannot be read: it does not answer"):
        SharedBlobs(ObjectBlobs(bucket), None, patience=0.0).get(digest)


def test_what_keeps_everything_from_working_is_said_before_work_starts(
    s3_bucket: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(place: str = s3_bucket) -> str:
        blobs_at.cache_clear()
        blobs = blobs_at(place)
        assert isinstance(blobs, SharedBlobs)
        with pytest.raises(InputError) as raised:
            blobs.reach()
        said = str(raised.value)
        assert SECRET not in said
        assert KEY not in said
        assert "\n" not in said
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__
        return said

    monkeypatch.setattr("audit.store.shared._AT_FIRST", 0.2)
    assert "there is no bucket 'audit-absent'" in refused("s3://audit-absent/store")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{SECRET}x")
    assert "refuses (SignatureDoesNotMatch)" in refused()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"{KEY}X")
    assert "refuses (InvalidAccessKeyId)" in refused()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert "does not answer" in refused()
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    assert "AWS_ALLOW_HTTP=true" in refused()


def test_a_certificate_that_nobody_vouches_for(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a server")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "both.pem").write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{server.server_port}")
        with pytest.raises(PermissionError, match=r"certificate is not one to trust.*SSL_CERT_FILE"):
            ObjectBlobs(s3_bucket).reach()
        server.shutdown()


def test_without_credentials_their_variables_are_named(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch, s3_server: S3Server
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://169.254.169.254.invalid")  # nobody is asked
    monkeypatch.setattr("audit.store.shared._AT_FIRST", 0.2)
    blobs = blobs_at(s3_bucket)
    assert isinstance(blobs, SharedBlobs)
    with pytest.raises(InputError, match=r"no credentials for it. Set AWS_ACCESS_KEY_ID"):
        blobs.reach()


@pytest.mark.slow
def test_what_azure_refuses_is_said_before_work_starts_too(
    new_container: Callable[[], str], azure_server: AzureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = new_container()
    monkeypatch.setattr("audit.store.shared._AT_FIRST", 0.2)
    wrong = base64.b64encode(b"another key").decode()
    changes: list[tuple[str, str, str, str]] = [
        ("az://audit-absent/store", "", "", "there is no bucket 'audit-absent'"),
        (container, "AZURE_STORAGE_ACCOUNT_KEY", wrong, "refuses (AuthorizationFailure)"),
        (container, "AZURE_ENDPOINT", "http://127.0.0.1:1/devstoreaccount1", "does not answer"),
        (container, "AZURE_ALLOW_HTTP", "false", "AZURE_ALLOW_HTTP=true"),
    ]
    for place, name, value, said in changes:
        with monkeypatch.context() as changed:
            if name:
                changed.setenv(name, value)
            blobs_at.cache_clear()
            blobs = blobs_at(place)
            assert isinstance(blobs, SharedBlobs)
            with pytest.raises(InputError) as raised:
                blobs.reach()
        assert said in str(raised.value)
        assert azure_server.environment()["AZURE_STORAGE_ACCOUNT_KEY"] not in str(raised.value)
        assert wrong not in str(raised.value)
