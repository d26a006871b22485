"""Assets: pinned files that audits may rest on, brought here by ``audit fetch`` and never during an audit."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from audit.assets import sources
from audit.assets.catalogue import Asset, PinnedFile, packaged
from audit.assets.sources import Progress, SourceError
from audit.core.errors import InputError, nearest

VARIABLE = "AUDIT_ASSETS"
_DAY = 86_400.0
_DRAFT = ".fetching-"


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One asset of the catalogue and whether it is here. ``path`` is that of its file, or the folder of several."""

    name: str
    summary: str
    licence: str
    attribution: str
    bytes: int
    sha256: str
    path: Path
    present: bool


def folder() -> Path:
    """Return where assets are kept: ``AUDIT_ASSETS``, else the user's data folder."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser().absolute()
    shared = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(shared).expanduser().absolute() / "generative-audit" / "assets"


def survey(catalogue: Mapping[str, Asset] | None = None) -> tuple[Surveyed, ...]:
    """Return every asset of the catalogue, by name."""
    return tuple(
        Surveyed(
            a.name,
            a.summary,
            a.licence,
            a.attribution,
            a.bytes,
            a.sha256,
            path=_place(a),
            present=_is_here(a),
        )
        for _, a in sorted((packaged() if catalogue is None else catalogue).items())
    )


def path(name: str, catalogue: Mapping[str, Asset] | None = None) -> Path:
    """Return where an asset lies: its file, or the folder of its files. Downloads nothing.

    One that is not here is an error that names the command which brings it,
    and the system package that holds it where there is one.
    """
    asset = _known(name, catalogue)
    if not _is_here(asset):
        raise InputError(
            f"The asset '{name}' is not here ({_place(asset)}): run 'audit fetch {name}' where there is a network"
            f"{_or_installed(asset)}, or 'audit fetch {name} --from FOLDER' where there is none."
        )
    return _place(asset)


def verified(name: str, catalogue: Mapping[str, Asset] | None = None) -> Path:
    """Return where an asset lies once every byte of it was compared with its pinned digest.

    A tenth of a second for 100 MB: for those who are about to load it.
    """
    asset, place = _known(name, catalogue), path(name, catalogue)
    for file in asset.files:
        if sources.sha256_of(_place_of(asset, file)) != file.sha256:
            raise InputError(
                f"{_place_of(asset, file)} is damaged: it no longer has the pinned SHA-256. Run 'audit fetch {name}'."
            )
    return place


def pinned(name: str, catalogue: Mapping[str, Asset] | None = None) -> str:
    """Return the SHA-256 that an asset's bytes must have: what belongs into the identity of what rests on it."""
    return _known(name, catalogue).sha256


def fetch(
    name: str,
    *,
    source_dir: Path | None = None,
    progress: Progress | None = None,
    catalogue: Mapping[str, Asset] | None = None,
) -> Path:
    """Bring an asset here, each file from the first source that has it, and return where it lies.

    With ``source_dir`` that folder is the only source: it holds the files
    themselves, the files packed with gzip, or the wheel with them. A file
    appears under its name only when its digest is the pinned one, so a fetch
    that was killed leaves nothing that could be mistaken for it, and the next
    one continues with the files that are missing. Raises InputError with what
    each source said.
    """
    asset = _known(name, catalogue)
    tell = progress or _silent
    missing = [file for file in asset.files if not _is_sound(asset, file)]
    if not missing:
        return _place(asset)
    if source_dir is not None and not source_dir.is_dir():
        raise InputError(
            f"There is no folder {source_dir}. --from names the one that holds {_listed(asset.files)}."
        )
    with _scratch(folder() / asset.name) as scratch:
        for file in missing:
            if source_dir is not None:
                _take_local(asset, file, source_dir, scratch, tell)
            else:
                _take_first(asset, file, scratch, tell)
    return _place(asset)


def _take_local(asset: Asset, file: PinnedFile, source_dir: Path, scratch: Path, progress: Progress) -> None:
    try:
        with sources.local(source_dir, file) as stream:
            _keep(file, _place_of(asset, file), stream, scratch, progress)
    except SourceError as error:
        raise InputError(
            f"The asset '{asset.name}' cannot be taken from {source_dir}: {error}. "
            f"Put {file.name} with SHA-256 {file.sha256} there."
        ) from None


def _take_first(asset: Asset, file: PinnedFile, scratch: Path, progress: Progress) -> None:
    refusals = []
    for source in file.sources:
        try:
            with sources.blocks(source, file, scratch, progress) as stream:
                _keep(file, _place_of(asset, file), stream, scratch, progress)
        except SourceError as error:
            refusals.append(f"\n  {source}: {error}")
        else:
            return
    packages = f" (or install {' or '.join(asset.system_packages)})" if asset.system_packages else ""
    raise InputError(
        f"The asset '{asset.name}' could not be fetched from anywhere:{''.join(refusals)}\n"
        f"Bring {_listed(asset.files)} by hand and run 'audit fetch {asset.name} --from FOLDER'{packages}."
    )


def _keep(file: PinnedFile, place: Path, stream: Iterator[bytes], scratch: Path, progress: Progress) -> None:
    """Write what a source gives, as long as it may be the file, and give it its name when it is."""
    draft, state, size = scratch / secrets.token_hex(8), hashlib.sha256(), 0
    with draft.open("xb") as written:
        for block in stream:
            size += len(block)
            if size > file.bytes:
                raise SourceError(f"it gives more than the {file.bytes:,} bytes that were pinned")
            state.update(block)
            written.write(block)
            progress(size, file.bytes)
        written.flush()
        os.fsync(written.fileno())
    if size != file.bytes:
        raise SourceError(f"it gives {size:,} bytes, not the {file.bytes:,} that were pinned")
    if state.hexdigest() != file.sha256:
        raise SourceError(f"what it gives has SHA-256 {state.hexdigest()}, not the pinned {file.sha256}")
    draft.replace(place)


@contextlib.contextmanager
def _scratch(place: Path) -> Iterator[Path]:
    """Make a folder for drafts beside the place, on the same disk, and delete it with what is in it."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=place))
    except OSError as error:
        raise InputError(
            f"Assets cannot be kept in {place}: {error.strerror}. Name a folder you may write with {VARIABLE}."
        ) from None
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        _sweep(place)


def _sweep(place: Path) -> None:
    """Delete the drafts of fetches that were killed more than a day ago."""
    for left in place.glob(f"{_DRAFT}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _DAY:
                shutil.rmtree(left)


def _known(name: str, catalogue: Mapping[str, Asset] | None) -> Asset:
    known = packaged() if catalogue is None else catalogue
    if name not in known:
        raise InputError(f"There is no asset '{name}'. {nearest(name, known)}")
    return known[name]


def _place(asset: Asset) -> Path:
    own = folder() / asset.name
    return own / asset.files[0].name if len(asset.files) == 1 else own


def _place_of(asset: Asset, file: PinnedFile) -> Path:
    return folder() / asset.name / file.name


def _is_here(asset: Asset) -> bool:
    """Say whether each file is there with its size; its digest was checked before it got its name."""
    try:
        return all(_place_of(asset, file).stat().st_size == file.bytes for file in asset.files)
    except OSError:
        return False


def _is_sound(asset: Asset, file: PinnedFile) -> bool:
    place = _place_of(asset, file)
    try:
        return place.stat().st_size == file.bytes and sources.sha256_of(place) == file.sha256
    except OSError:
        return False


def _or_installed(asset: Asset) -> str:
    named = " or ".join(asset.system_packages)
    return f" or once the system package {named} is installed (apt-get install {named})" if named else ""


def _listed(files: Iterable[PinnedFile]) -> str:
    return ", ".join(file.name for file in files)


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
