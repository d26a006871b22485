"""Blobs as objects in a bucket: Amazon S3 and what speaks like it, Google Cloud Storage, Azure."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from audit.core.errors import InputError
from audit.core.identity import Digest, digest_of
from audit.store.blobs import CLAIMS, DIGEST, UNFINISHED, Kept, key_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")

_DAY = 86_400.0
_AT_ONCE = 16
"""Requests in flight when many blobs are asked about."""
_CLIENT = {"connect_timeout": "10s", "read_timeout": "60s", "timeout": "10min"}
"""A server that sends nothing for a minute is given up; a large blob may take ten, if bytes keep coming."""
_PART = 64 * 1024 * 1024
"""Bytes from which on a blob is sent in parts: one request has to fit into the minute above."""
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_METADATA = ("169.254.169.254", "metadata.google.internal", "169.254.170.2")
"""Where a virtual machine of a cloud is asked for credentials, if the environment has none."""
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
_ALLOW_HTTP = {"s3": "AWS_ALLOW_HTTP", "gs": "GOOGLE_ALLOW_HTTP", "az": "AZURE_ALLOW_HTTP"}
_KINDS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, and AWS_ENDPOINT_URL for a server of your own",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


@dataclass(frozen=True)
class ObjectBlobs:
    """Blobs as objects ``prefix/ab/cd/abcd…`` of a bucket, ``s3://bucket/prefix`` or the like, without a second try.

    A blob is sent under a temporary name, copied to its own by the server, and
    the temporary one deleted: on a server whose writes are not atomic, too, a
    reader sees all of it or nothing. Credentials come from the environment.

    Raises OSError with a sentence that names the blob, never the text of the
    server, which may hold the name of an account or a signed address.
    """

    root: str

    def __post_init__(self) -> None:
        if find_spec("obstore") is None:
            raise InputError(
                f"Blobs at {self.root} need a library that is not installed: "
                "pip install 'generative-audit[shared]'."
            )

    def put(self, data: bytes) -> Digest:
        """Send some bytes and return their digest. One that is there already is sent again: it is young then, and sound."""
        import obstore

        digest = digest_of(data)
        draft = f"{UNFINISHED}/{digest}.{secrets.token_hex(6)}"

        def work() -> None:
            try:
                obstore.put(self._store, draft, data, use_multipart=len(data) > _PART, chunk_size=_PART)
                obstore.rename(self._store, draft, key_of(digest))
            except BaseException:
                with contextlib.suppress(Exception):
                    obstore.delete(self._store, draft)
                raise

        self._do(f"The blob {self.path(digest)} cannot be written", work)
        return digest

    def get(self, digest: Digest) -> bytes:
        """Return the bytes a digest names, having checked that they are those bytes."""
        data = self._read(digest)
        if data is None:
            raise InputError(
                f"The store has lost the blob {digest}: there is no object {self.path(digest)}. "
                "Run the audit again: what is lost is made again."
            )
        if digest_of(data) != digest:
            raise InputError(
                f"The blob {digest} is damaged: the bytes of {self.path(digest)} have another digest. "
                "Run the audit again with --retry-failed: everything that is damaged is made again."
            )
        return data

    def has(self, digest: Digest) -> bool:
        return self._touched(digest) is not None

    def is_sound(self, digest: Digest) -> bool:
        data = self._read(digest)
        return data is not None and digest_of(data) == digest

    def among(self, digests: Collection[Digest]) -> set[Digest]:
        return _kept(self.has, digests)

    def sound(self, digests: Collection[Digest]) -> set[Digest]:
        return _kept(self.is_sound, digests)

    def settle(self, digests: Iterable[Digest]) -> None:
        """Do nothing: what a server has acknowledged survives a power cut here."""

    def delete(self, digest: Digest) -> None:
        import obstore

        def work() -> None:
            try:
                obstore.delete(self._store, key_of(digest))
            except FileNotFoundError as error:  # Azure minds, S3 does not
                if _code(error) in _NO_BUCKET:
                    raise

        self._do(f"The blob {self.path(digest)} cannot be deleted", work)

    def delete_untouched(self, digest: Digest, since: float) -> bool:
        touched = self._touched(digest)
        if touched is None or touched > since:
            return False
        self.delete(digest)
        return True

    def path(self, digest: Digest) -> str:
        """Return the address of a blob."""
        return f"{self.root}/{key_of(digest)}"

    def every(self) -> Iterator[tuple[Digest, Kept]]:
        for entry in self._listed(None):
            name = str(entry["path"]).rpartition("/")[2]
            if DIGEST.fullmatch(name) and entry["path"] == key_of(
                Digest(name)
            ):  # a ledger's name may look like one
                yield Digest(name), Kept(int(entry["size"]), entry["last_modified"].timestamp())

    def claim(self, ledger: str) -> None:
        import obstore

        self._do(
            f"Nothing can be written below {self.root}",
            lambda: obstore.put(self._store, f"{CLAIMS}/{ledger}", b""),
        )

    def claims(self) -> set[str]:
        return {str(entry["path"]).rpartition("/")[2] for entry in self._listed(CLAIMS)}

    def clean(self, older_than: float = _DAY) -> int:
        """Delete what killed writers left, if it is older than ``older_than`` seconds. Where nobody may list, nothing."""
        import obstore

        with contextlib.suppress(OSError):
            old = [
                str(entry["path"])
                for entry in self._listed(UNFINISHED)
                if time.time() - entry["last_modified"].timestamp() > older_than
            ]
            if old:
                self._do("What killed runs left cannot be deleted", lambda: obstore.delete(self._store, old))
            return len(old)
        return 0

    def reach(self) -> None:
        """See that the bucket is there and lets in who asks. Raises OSError."""
        import obstore

        self._do(
            f"What is below {self.root} cannot be read",
            lambda: obstore.list_with_delimiter(self._store, CLAIMS),
        )

    def _read(self, digest: Digest) -> bytes | None:
        import obstore

        key = key_of(digest)

        def work() -> bytes | None:
            try:
                return bytes(obstore.get(self._store, key).bytes())
            except FileNotFoundError as error:
                if _code(error) in _NO_BUCKET:
                    raise
                return None

        return self._do(f"The blob {self.path(digest)} cannot be read", work)

    def _touched(self, digest: Digest) -> float | None:
        """Return when a blob was last written, or None if it is not there."""
        import obstore

        key = key_of(digest)

        def work() -> float | None:
            try:
                return obstore.head(self._store, key)["last_modified"].timestamp()
            except FileNotFoundError:
                return None

        return self._do(f"The blob {self.path(digest)} cannot be looked for", work)

    def _listed(self, folder: str | None) -> list[Any]:
        import obstore

        return self._do(
            f"What is below {self.root} cannot be listed",
            lambda: [entry for some in obstore.list(self._store, folder) for entry in some],
        )

    def _do(self, failed: str, work: Callable[[], T]) -> T:
        """Return what ``work`` asks of the server; what the library raises becomes an OSError that begins with ``failed``."""
        from obstore.exceptions import BaseError

        try:
            return work()
        except (BaseError, OSError, ValueError) as error:
            raise self._meaning(failed, error) from None

    def _meaning(self, failed: str, error: Exception) -> OSError:
        """Say what happened without quoting the server."""
        said, code = str(error), _code(error)
        status = int(found[1]) if (found := _STATUS.search(said)) else 0
        scheme, _, rest = self.root.partition("://")
        if any(place in said for place in _METADATA):
            why = f"the environment has no credentials for it. Set {_KINDS[scheme]}."
            return PermissionError(errno.EACCES, f"{failed}: {why}")
        if code in _NO_BUCKET or (status == 404 and "list request" in said):
            why = f"there is no bucket '{rest.partition('/')[0]}' there. Make it, or check the address."
            return FileNotFoundError(errno.ENOENT, f"{failed}: {why}")
        if status in (401, 403) or type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
            why = f"the server refuses ({code or status}). Check the credentials in the environment ({_KINDS[scheme]})."
            return PermissionError(errno.EACCES, f"{failed}: {why}")
        if "InvalidCertificate" in said:
            why = "its certificate is not one to trust. If it is your own, name its authority's file in SSL_CERT_FILE."
            return PermissionError(errno.EACCES, f"{failed}: {why}")
        if "builder error" in said:
            why = f"its address in the environment is no https:// address. For http:// set {_ALLOW_HTTP[scheme]}=true."
            return PermissionError(errno.EACCES, f"{failed}: {why}")
        if 400 <= status < 500 and status not in (404, 408, 425, 429):
            why = f"the server does not take the request ({code or status}). Check the address and the region in the environment."
            return PermissionError(errno.EPERM, f"{failed}: {why}")
        why = f"it answers {code or status}" if status else "it does not answer, or breaks off"
        return ConnectionError(
            errno.ECONNABORTED, f"{failed}: {why}. Run the same command again when the server is well."
        )

    @cached_property
    def _store(self) -> ObjectStore:
        from obstore.store import from_url

        scheme = self.root.partition("://")[0]
        plain = os.environ.get(_ALLOW_HTTP[scheme], "").lower() in ("true", "1", "yes", "on")
        client = {**_CLIENT, "allow_http": plain}
        # One place tries again, audit.store.shared: it also knows a blob that came damaged, and that any write may be repeated.
        try:
            return from_url(self.root, client_options=client, retry_config={"max_retries": 0})  # type: ignore[call-overload, no-any-return]
        except Exception as error:  # a variable of the environment that it cannot read
            raise InputError(
                f"Blobs at {self.root} cannot be opened ({type(error).__name__}). "
                f"Check these variables of the environment: {_KINDS[scheme]}."
            ) from None


def _kept(test: Callable[[Digest], bool], digests: Collection[Digest]) -> set[Digest]:
    """Return which digests pass a test that waits for a server, several at a time."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return {digest for digest, good in zip(digests, threads.map(test, digests), strict=True) if good}


def _code(error: Exception) -> str:
    """Return the word by which S3 or Azure says what is wrong, such as SignatureDoesNotMatch, or nothing."""
    found = _CODE.search(str(error))
    return found[1] if found else ""
