"""One audit from its plan to its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from audit.core.facts import Executor, Failed, Scored
from audit.core.plan import AuditPlan
from audit.core.records import AuditRecord, to_plain
from audit.engine.record import build, now
from audit.engine.run import Assessed, Event, run
from audit.store.runs import Store


@dataclass(frozen=True, slots=True)
class Began:
    """The run has a place in the ledger; ``run`` names it, ``resumed`` says that it was there before."""

    run: str
    resumed: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is complete and its record is kept."""

    record: AuditRecord


AuditEvent: TypeAlias = Began | Event | Finished


def perform_audit(
    plan: AuditPlan,
    store: Store,
    executor: Executor,
    *,
    settings: Mapping[str, Any],
    environment: Mapping[str, str],
) -> Iterator[AuditEvent]:
    """Begin or resume a run, make what is missing, score, judge and keep the record.

    Whatever ends this iterator early (Ctrl-C, a full disk, a kill) leaves the
    run unfinished in the ledger, and the next call with the same plan resumes it.
    """
    known = {line.run for line in store.list_runs()}
    planned = build(
        plan,
        run="",
        began=now(),
        finished=None,
        settings=settings,
        environment=environment,
        store=None,
        scored={},
    )
    run_id = store.begin(plan.key, plan.name, to_plain(planned))
    yield Began(run_id, run_id in known)
    scored: dict[tuple[str, int], Scored | Failed] = {}
    for event in run(plan, run_id, store, executor):
        if isinstance(event, Assessed):
            scored[event.label, event.case] = event.fact
        yield event
    record = build(
        plan,
        run=run_id,
        began=str(store.snapshot(run_id)["began"]),
        finished=now(),
        settings=settings,
        environment=environment,
        store=store,
        scored=scored,
    )
    store.finish(run_id, record)
    yield Finished(record)
