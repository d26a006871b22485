"""Files of evaluation logs, of whatever tool, into what they say: which kind each is, and which samples belong to which."""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.imported import Log, Origin
from audit.formats.evaluations import every_eval_ever, garak_log, inspect_log, lm_eval_log
from audit.formats.evaluations.json_stream import JsonDocument
from audit.formats.files import opened, reason, require
from audit.formats.hostile import UnreadableError, printable, shown

Watched = Callable[[BinaryIO, int, str], BinaryIO]
"""Returns a file that reads as the one given, of so many bytes and called so, and shows how far it has been read."""
_DATE = re.compile(r"\d{4}-\d\d-\d\dT[\d-]+\.\d+")


class Kind(enum.StrEnum):
    """What a file is."""

    INSPECT_ARCHIVE = "a log of Inspect"
    INSPECT_JSON = "a log of Inspect (JSON)"
    LM_EVAL_RESULTS = "results of lm_eval"
    LM_EVAL_SAMPLES = "samples of lm_eval"
    GARAK = "a report of garak"
    EEE_RESULTS = "results in Every Eval Ever"
    EEE_SAMPLES = "samples in Every Eval Ever"


@dataclass(frozen=True)
class _Found:
    path: Path
    kind: Kind
    origin: Origin


def read_logs(paths: Sequence[Path], watched: Watched = lambda file, size, name: file) -> tuple[Log, ...]:
    """Return the logs that some files hold, in the order of the files. Raises InputError that names the file.

    Samples of lm_eval and of Every Eval Ever are read with the results that they belong to, whatever the order.
    """
    found = [_identified(path, watched) for path in paths]
    digests = [one.origin.digest for one in found]
    for place, digest in enumerate(digests):
        if digest in digests[:place]:
            raise InputError(f"{_name(paths[place])} was given twice, or is a copy of another file that was.")

    def reading(one: _Found) -> BinaryIO:
        return watched(opened(one.path), one.origin.size, one.path.name)

    kept = [samples for one in found if (samples := _samples(one, reading)) is not None]
    logs = tuple(log for one in found if (log := _log(one, kept, reading)) is not None)
    used = {origin.digest for log in logs for origin in log.origins}
    for one in found:
        if one.origin.digest not in used:
            raise InputError(
                f"{_name(one.path)} holds {one.kind.value}, and the results that they belong to were not given. Name that file as well."
            )
    return logs


Reading = Callable[[_Found], BinaryIO]
Samples = lm_eval_log.Samples | every_eval_ever.Samples


def _samples(one: _Found, reading: Reading) -> Samples | None:
    with _naming(one.path):
        match one.kind:
            case Kind.LM_EVAL_SAMPLES:
                with reading(one) as file:
                    return lm_eval_log.read_samples(file, one.origin, one.path.name)
            case Kind.EEE_SAMPLES:
                with reading(one) as file:
                    return every_eval_ever.read_samples(file, one.origin)
    return None


def _log(one: _Found, kept: Sequence[Samples], reading: Reading) -> Log | None:
    """Return the log of a file, None for one of samples."""
    if one.kind in (Kind.LM_EVAL_SAMPLES, Kind.EEE_SAMPLES):
        return None
    with _naming(one.path), reading(one) as file:
        match one.kind:
            case Kind.INSPECT_ARCHIVE:
                return inspect_log.read_archive(file, one.origin)
            case Kind.INSPECT_JSON:
                return inspect_log.read_json(file, one.origin)
            case Kind.GARAK:
                return garak_log.read(file, one.origin)
            case Kind.LM_EVAL_RESULTS:
                own = [
                    s
                    for s in kept
                    if isinstance(s, lm_eval_log.Samples) and _one_run(one.path.name, s.file.file)
                ]
                return lm_eval_log.read_results(file, one.origin, own)
            case _:
                return every_eval_ever.read_results(
                    file, one.origin, [s for s in kept if isinstance(s, every_eval_ever.Samples)]
                )


def _one_run(results: str, samples: str) -> bool:
    """Say whether the dates in the names of two files of lm_eval are the same; a file without one may be of any run."""
    dates = [_DATE.search(name) for name in (results, samples)]
    return None in dates or dates[0][0] == dates[1][0]  # type: ignore[index]  # neither is None here


def _identified(path: Path, watched: Watched) -> _Found:
    """Return what a file is, and its digest. Raises InputError when it is of no kind that is read here."""
    if path.is_dir():
        raise InputError(f"{_name(path)} is a folder. Name the files in it.")
    require(path)
    with _naming(path), opened(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        kind = _kind(file)
        file.seek(0)
        state = hashlib.blake2b(digest_size=20)
        reader = watched(file, size, path.name)
        while block := reader.read(1 << 20):
            state.update(block)
    return _Found(path, kind, Origin("", "", "", printable(path.name), Digest(state.hexdigest()), size))


def _kind(file: BinaryIO) -> Kind:
    """Tell the kind of a file by what it begins with: the names in its first JSON object."""
    if file.peek(4)[:4] in (b"PK\x03\x04", b"PK\x05\x06"):  # type: ignore[attr-defined]
        return Kind.INSPECT_ARCHIVE
    seen: set[str] = set()
    for name in JsonDocument(file).names():
        seen.add(name)
        for kind, names in _MARKS.items():
            if names <= seen:
                return kind
        if len(seen) > _MOST_NAMES:
            break
    if not seen:
        raise UnreadableError("it is empty: a JSON object that holds nothing")
    raise UnreadableError(
        f"it is JSON of no kind that is read here (it begins with {', '.join(shown(n) for n in list(seen)[:3])}). Read are logs of "
        "Inspect (.eval, .json), lm_eval (results and samples), garak (report.jsonl) and Every Eval Ever"
    )


_MARKS = {
    Kind.INSPECT_JSON: {"status", "eval"},
    Kind.LM_EVAL_SAMPLES: {"doc_id"},
    Kind.GARAK: {"entry_type"},
    Kind.EEE_RESULTS: {"schema_version", "evaluation_results"},
    Kind.EEE_SAMPLES: {"evaluation_id", "sample_id"},
    Kind.LM_EVAL_RESULTS: {"results", "configs"},
}
_MOST_NAMES = 200


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what is wrong with a file into an error that names it."""
    try:
        yield
    except UnreadableError as error:
        raise InputError(f"{_name(path)} cannot be read: {error}. Nothing was imported.") from error
    except OSError as error:
        raise InputError(
            f"{_name(path)} cannot be read: {reason(error, path)}. Nothing was imported."
        ) from error


def _name(path: Path) -> str:
    return shown(path.name, 120)
