"""What the dashboard asks of a store: summaries of runs a page at a time, one record, evidence, and one metric over time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Group
from audit.core.records import AuditRecord
from audit.core.renderers import Renderer
from audit.core.rows import Rows
from audit.core.run_summaries import Summary
from audit.registry import Unavailable, catalogue
from audit.store.location import StoreAddress, resolve
from audit.store.runs import Store, open_store
from audit.store.summaries import Choices, Seen, Wanted
from dashboards import small_groups
from reports import numbers
from reports.view import View, view

MOST_RUNS = 100
"""Runs in a list to choose from: the newest. Any other is found in the overview, or by its address."""
_MOST_METRICS = 400
"""Metrics to choose from in a trend."""


@dataclass(frozen=True, slots=True)
class Overview:
    """One run as a row of a list. Its record is read when it is first asked for, and not before."""

    address: StoreAddress
    summary: Summary

    @property
    def run(self) -> str:
        return self.summary.run

    @property
    def name(self) -> str:
        return self.summary.name

    @property
    def began(self) -> str:
        return self.summary.began

    @property
    def finished(self) -> str | None:
        return self.summary.finished

    @property
    def verdict(self) -> str:
        return self.summary.verdict

    @property
    def model(self) -> str:
        """What the audit calls its model, else what kind it is."""
        return self.summary.model

    @property
    def seconds(self) -> float | None:
        return numbers.elapsed(self.began, self.finished)

    @property
    def record(self) -> AuditRecord | None:
        """The whole record; None when it cannot be read, and ``problem`` says why."""
        return _record(self.address, self.run, self.finished)[0]

    @property
    def problem(self) -> str:
        return _record(self.address, self.run, self.finished)[1]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a store holds in all: how many runs of each verdict, and what they can be filtered by."""

    counts: dict[str, int]
    choices: Choices


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the overview: some runs, and how many of each verdict are wanted in all."""

    runs: tuple[Summary, ...]
    counts: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


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


def standing(address: StoreAddress) -> Standing:
    """Return what a store holds in all; InputError says why it cannot be read."""
    with reading(address) as store:
        return Standing(store.summaries.counts(), store.summaries.choices())


def overview(address: StoreAddress) -> list[Overview]:
    """Return the newest runs of a store; InputError says why there is none to read."""
    with reading(address) as store:
        return [Overview(address, found) for found in store.summaries.page(most=MOST_RUNS)]


def of_data(address: StoreAddress, line: Overview) -> list[Overview]:
    """Return the newest runs of the data that a run is about, by what the data are called."""
    asked = Wanted(data=(line.summary.data,)) if line.summary.data else Wanted()
    with reading(address) as store:
        return [Overview(address, found) for found in store.summaries.page(asked, most=MOST_RUNS)]


def one(address: StoreAddress, run: str) -> Overview | None:
    """Return one run by its id, or None where the store has no such run."""
    with reading(address) as store:
        found = store.summaries.one(run)
    return None if found is None else Overview(address, found)


def page(address: StoreAddress, wanted: Wanted, first: int, most: int) -> Page:
    """Return one page of the wanted runs; InputError says why there is none to read."""
    with reading(address) as store:
        return Page(
            store.summaries.page(wanted, first=first, most=most),
            store.summaries.counts(wanted),
        )


def metrics(address: StoreAddress, wanted: Wanted) -> list[tuple[str, Group]]:
    """Return what was measured in a wanted run, metric and group: first what fails in the newest run that fails, then what is in
    most runs."""
    with reading(address) as store:
        failing = store.summaries.failing(wanted)
        found = list(store.summaries.metrics(wanted))
    first = None if failing is None else (failing.metric, failing.group)
    found.sort(key=lambda choice: choice != first)
    return found[:_MOST_METRICS]


def trend(address: StoreAddress, wanted: Wanted, metric: str, group: Group) -> tuple[Seen, ...]:
    """Return one metric over the newest wanted runs that have it, the oldest first."""
    with reading(address) as store:
        return store.summaries.trend(metric, group, wanted)


def _record(address: StoreAddress, run: str, finished: str | None) -> tuple[AuditRecord | None, str]:
    return _finished(address, run) if finished is not None else _read(address, run)


@lru_cache(maxsize=4)
def _finished(address: StoreAddress, run: str) -> tuple[AuditRecord | None, str]:
    """Read a finished run, which never changes; a page asks for the same one again and again."""
    return _read(address, run)


def _read(address: StoreAddress, run: str) -> tuple[AuditRecord | None, str]:
    try:
        with reading(address) as store:
            return store.read(run), ""
    except InputError as error:
        return None, str(error)
    except (KeyError, TypeError, ValueError) as error:
        return (
            None,
            f"its record has not the shape that this version writes ({type(error).__name__}: {error})",
        )


@lru_cache(maxsize=256)
def evidence(address: StoreAddress, digest: Digest) -> Rows | None:
    """Return the rows kept under a digest, or None when the store does not hold them."""
    with reading(address) as store:
        return store.rows(digest)


def shown(line: Overview, record: AuditRecord, sensitive: bool) -> View:
    """Return what a report shows of a run, but for small groups. That of a finished run is kept for a few runs; with sensitive evidence, never."""
    if sensitive or line.finished is None:
        return _without_small_groups(line.address, record, sensitive)
    return _shown(line.address, line.run)


@lru_cache(maxsize=4)
def _shown(address: StoreAddress, run: str) -> View:
    record, problem = _finished(address, run)
    if record is None:
        raise InputError(problem)
    return _without_small_groups(address, record, False)


def _without_small_groups(address: StoreAddress, record: AuditRecord, sensitive: bool) -> View:
    read = small_groups.reader(record, partial(evidence, address))
    return view(small_groups.without(record), read, show_sensitive=sensitive)


def renderers() -> dict[str, type[Renderer]]:
    """Return the report formats that can be loaded, by name."""
    return {
        name: found
        for name, found in catalogue("reports").survey().items()
        if not isinstance(found, Unavailable)
    }
