"""What the dashboard asks of a store: runs, records, evidence, and one metric over time."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Group, Measurement
from audit.core.policy import GRAVEST_FIRST, Verdict
from audit.core.records import AuditRecord
from audit.core.renderers import Renderer
from audit.core.rows import Rows
from audit.registry import Unavailable, catalogue
from audit.store import codec
from audit.store.location import StoreAddress, resolve
from audit.store.runs import RunLine, Store, open_store
from reports import numbers
from reports.view import model_name

MOST_RUNS = 300
"""Runs an overview reads; a store with more shows the newest."""


@dataclass(frozen=True, slots=True)
class Overview:
    """One run as a row of the overview. ``record`` is None when it cannot be read, and ``problem`` says why."""

    run: str
    name: str
    began: str
    finished: str | None
    verdict: str
    record: AuditRecord | None
    problem: str = ""

    @property
    def model(self) -> str:
        """What the audit calls its model, else what kind it is."""
        if self.record is None:
            return ""
        model = self.record.model
        return model_name(model) or str(model.get("family") or model.get("adapter") or "")

    def count(self, verdict: Verdict) -> int | None:
        """How many judgements have a verdict; None where the record cannot be read."""
        return None if self.record is None else sum(j.verdict is verdict for j in self.record.judgements)

    @property
    def seconds(self) -> float | None:
        return numbers.elapsed(self.began, self.finished)


@dataclass(frozen=True, slots=True)
class Point:
    """One metric in one run."""

    run: str
    name: str
    began: str
    measurement: Measurement
    series: str = ""
    """Model and data: points of one series may be joined by a line, others not."""


def asked_for(arguments: Sequence[str] = ()) -> StoreAddress:
    """Return the store named by ``--store`` after ``--``, else by ``AUDIT_STORE``, else ./audit-store."""
    given = list(arguments or sys.argv[1:])
    for position, word in enumerate(given):
        if word.startswith("--store="):
            return resolve(word.removeprefix("--store="))
        if word == "--store" and position + 1 < len(given):
            return resolve(given[position + 1])
    return resolve(None)


def reading(address: StoreAddress) -> Store:
    """Open a store to look at; nothing is made or brought up to date."""
    return open_store(address, create=False, read_only=True)


def overview(address: StoreAddress) -> list[Overview]:
    """Return the newest runs of a store; InputError says why there is none to read."""
    with reading(address) as store:
        return [_line(store, line) for line in store.list_runs()[:MOST_RUNS]]


def _line(store: Store, line: RunLine) -> Overview:
    verdict = line.verdict or "unfinished"
    common = (line.run, line.name, line.began, line.finished, verdict)
    try:
        record = _record(store, line.run, line.finished)
    except InputError as error:
        return Overview(*common, None, str(error))
    except (KeyError, TypeError, ValueError) as error:
        shape = f"its record has not the shape that this version writes ({type(error).__name__}: {error})"
        return Overview(*common, None, shape)
    return Overview(*common, record)


_FINISHED: dict[tuple[str, str, str], AuditRecord] = {}
"""Records of finished runs: they never change, so one that was read need not be read again."""


def _record(store: Store, run: str, finished: str | None) -> AuditRecord:
    if finished is None:
        return store.read(run)
    key = (str(store.address), run, finished)
    if key not in _FINISHED:
        if len(_FINISHED) >= 2 * MOST_RUNS:
            _FINISHED.clear()
        _FINISHED[key] = store.read(run)
    return _FINISHED[key]


@lru_cache(maxsize=256)
def evidence(address: StoreAddress, digest: Digest) -> Rows | None:
    """Return the rows kept under a digest, or None when the store does not hold them."""
    with reading(address) as store:
        return codec.decode("rows", store.blobs.get(digest)) if store.blobs.has(digest) else None


def metrics(runs: Iterable[Overview]) -> list[tuple[str, Group]]:
    """Return what was measured in any of the runs, metric and group: what fails in the newest run that judges it first, then what
    some run judges, of these what is in most runs."""
    counted: dict[tuple[str, Group], int] = {}
    grave: dict[tuple[str, Group], int] = {}
    for line in runs:
        if line.record is not None:
            for found in {(m.metric, m.group) for m in line.record.measurements}:
                counted[found] = counted.get(found, 0) + 1
            for j in line.record.judgements:
                if isinstance(j.because, Measurement):
                    grave.setdefault((j.because.metric, j.because.group), GRAVEST_FIRST.index(j.verdict))
    return sorted(
        counted,
        key=lambda found: (grave.get(found, len(GRAVEST_FIRST)), -counted[found], bool(found[1]), found),
    )


def trend(runs: Iterable[Overview], metric: str, group: Group) -> list[Point]:
    """Return one metric over the runs, the oldest first; ``runs`` come newest first."""
    points = [
        Point(line.run, line.name, line.began, m, f"{line.model} on {line.record.data.get('loader', '')}")
        for line in reversed(list(runs))
        if line.record is not None
        for m in line.record.measurements
        if (m.metric, m.group) == (metric, group)
    ]
    return sorted(points, key=lambda point: point.began)


def renderers() -> dict[str, type[Renderer]]:
    """Return the report formats that can be loaded, by name."""
    return {
        name: found
        for name, found in catalogue("reports").survey().items()
        if not isinstance(found, Unavailable)
    }
