"""Where the review of a run is kept: one log a run, beside what it is about, only ever added to."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from audit.core.errors import InputError
from audit.core.records import AuditRecord
from audit.core.review import Action, Entry, Head, Review, next_entry, parse
from audit.store.blobs import flush_folder
from audit.store.location import StoreAddress, folder_at
from audit.store.runs import open_store

FOLDER = "reviews"
_RUN = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")


def review_of(address: StoreAddress, run: str) -> Review | None:
    """Return what the log of a run says, or None where nobody ever wrote one, or could."""
    if folder_at(address.folder or address.blobs) is None:
        return None
    path = _path(address, run)
    try:
        head = _head(path)
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None if head is None else parse(b"", head)
    except OSError as error:
        raise InputError(f"The review log {path} cannot be read: {error.strerror}.") from None
    with _locked(descriptor, fcntl.LOCK_SH):
        review = parse(_all(descriptor), _head(path))
    now = _digest_of_record(address, run)
    other = [str(e.number) for e in review.entries if e.action is not Action.REVEAL and e.record != now]
    if other:
        said = f"The record of this run is not the one that was reviewed in line {', '.join(other)}."
        review = replace(review, faults=(*review.faults, said))
    return review


def reviewed(address: StoreAddress, record: AuditRecord) -> AuditRecord:
    """Return the record with what its review log says, for a report to show."""
    return replace(record, review=review_of(address, record.run))


def add(
    address: StoreAddress, run: str, action: Action, *, who: str, about: str = "", comment: str = ""
) -> Entry:
    """Add one line to the log of a run and return it once it would survive a power cut.

    Writers take turns. What a killed writer left is set aside. Raises InputError where the log cannot be
    written, or was changed since it was written.
    """
    path, record = _path(address, run), _digest_of_record(address, run)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise InputError(
            f"The review log {path} cannot be written: {error.strerror}. Nothing was recorded; ask whoever owns the store."
        ) from None
    with _locked(descriptor, fcntl.LOCK_EX):
        data = _all(descriptor)
        review = parse(data, _head(path))
        if review.faults:
            raise InputError(
                f"The review log of run {run} was changed after it was written ({review.faults[0]} 'audit review --check' "
                "names every place). Nothing is added to it: bring it back from a backup, or move it away to begin another."
            )
        said = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "who": who,
            "action": action.value,
            "about": about,
            "comment": comment,
            "run": run,
            "record": record,
        }
        added, entry = next_entry(data, review, said)
        _write(descriptor, added)
        if not data:
            flush_folder(path.parent)
        _keep_head(path, Head(entry.number, entry.digest))
    return entry


def _path(address: StoreAddress, run: str) -> Path:
    """Return where the log of a run lies: in the store's folder, else beside the blobs of a store whose ledger is a database."""
    if not _RUN.fullmatch(run):
        raise InputError(f"{run!r} is no id of a run, so it has no review log.")
    place = folder_at(address.folder or address.blobs)
    if place is None:
        raise InputError(
            f"A store whose ledger is a database and whose blobs are in a bucket ({address.blobs}) has no folder for a review log: "
            "a bucket cannot add a line to a file. Keep the blobs in a folder that all share, or review reports of another store."
        )
    return place / FOLDER / f"{run}.jsonl"


def _digest_of_record(address: StoreAddress, run: str) -> str:
    with open_store(address, create=False, read_only=True) as store:
        return store.record_digest(run)


@contextlib.contextmanager
def _locked(descriptor: int, how: int) -> Iterator[None]:
    """Hold the lock of an open log, and close it afterwards."""
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _all(descriptor: int) -> bytes:
    return b"".join(iter(lambda: os.read(descriptor, 1 << 20), b""))


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def _head(path: Path) -> Head | None:
    """Return the last line that a writer confirmed; None where none was, or what says so cannot be read."""
    try:
        said = json.loads(path.with_suffix(".head").read_bytes())
        return Head(int(said["number"]), str(said["digest"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _keep_head(path: Path, head: Head) -> None:
    unfinished = path.with_suffix(".head.unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        _write(descriptor, json.dumps({"number": head.number, "digest": head.digest}).encode())
    finally:
        os.close(descriptor)
    unfinished.replace(path.with_suffix(".head"))
    flush_folder(path.parent)
