"""The ledger: which runs there were, which shards are made, and what was measured."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Table, delete, insert, select, text, update

from audit.core.errors import InputError
from audit.core.facts import Failed, Made, Scored
from audit.core.identity import Digest, Key, digest_of
from audit.core.records import AuditRecord, from_plain, to_plain
from audit.core.rows import Rows
from audit.core.usage import Spending
from audit.store import schema, spent, summaries
from audit.store.blobs import CLAIMS
from audit.store.collect import claim
from audit.store.ledger import Ledger, damaged, readable
from audit.store.location import StoreAddress
from audit.store.rows import (
    add_row,
    evidence_of,
    judgement_rows,
    measurement_rows,
    outcome_to_plain,
    outcomes_of,
    text_of,
)
from audit.store.shared import SharedBlobs, blobs_at

_AT_ONCE = 500
"""Keys in one statement; SQLite takes 32,766 parameters, older ones 999."""
_Fact = TypeVar("_Fact", Made, Failed)


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in a list. ``finished`` and ``verdict`` are None while it has not come to its end."""

    run: str
    name: str
    began: str
    finished: str | None
    verdict: str | None
    plan_key: str


def open_store(address: StoreAddress, *, create: bool = True, read_only: bool = False) -> Store:
    """Open a store, made or brought to this version first where that is wanted and needed.

    A store opened with ``read_only`` may lie where nothing can be written.
    Raises InputError when there is none, it is damaged, newer than this tool,
    or cannot be written, or when its blobs cannot be reached.
    """
    store = Store(address, Ledger(address, create=create, read_only=read_only))
    try:
        if isinstance(store.blobs, SharedBlobs):
            store.blobs.reach()
            store.check_blobs_belong()
        if not read_only:
            claim(address, store.blobs)
            store.blobs.clean()
    except BaseException:
        store.close()
        raise
    return store


class Store:
    """The ledger and the blobs of one place. One driver writes; readers may look on.

    Facts are only ever added. Recording one again changes nothing, so two drivers may work on one plan; a
    fact whose blob is gone counts as absent, so a lost or deleted blob is made again without a repair.
    """

    def __init__(self, address: StoreAddress, ledger: Ledger) -> None:
        self.address = address
        self.blobs = blobs_at(address.blobs)
        self._ledger = ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._ledger.close()

    def begin(self, plan_key: str, name: str, snapshot: Mapping[str, Any]) -> str:
        """Return the id of the unfinished run of this plan, or of a new one.

        ``snapshot`` is the plain form of a record that says what was planned;
        a run that is taken up keeps the one it began with.
        """
        began = str(snapshot.get("began") or _now())
        kept = json.dumps(dict(snapshot), allow_nan=False)

        def work(connection: Connection) -> str:
            for _ in range(8):
                known = connection.execute(
                    select(schema.runs.c.run).where(
                        schema.runs.c.plan_key == plan_key, schema.runs.c.finished.is_(None)
                    )
                ).scalar()
                if known is not None:
                    return str(known)
                row = {"plan_key": plan_key, "name": text_of(name), "began": began, "snapshot": kept}
                run = _run_id()
                if add_row(connection, schema.runs, {"run": run, **row}):
                    summaries.put(connection, run, kept)
            raise AssertionError("eight random run ids were all taken")

        return self._ledger.write(work)

    def made(self, key: Key) -> dict[int, Made]:
        """Return the shards that are made and whose bytes are there, by shard."""
        return self.made_of([key])[key]

    def made_of(self, keys: Sequence[Key]) -> dict[Key, dict[int, Made]]:
        """Return the shards of several recipes that are made and whose bytes are there, by recipe and shard."""
        made = self._made(keys)
        there = self.blobs.among({fact.digest for fact in made})
        return _by_place(keys, (fact for fact in made if fact.digest in there))

    def lost(self, keys: Sequence[Key]) -> list[Made]:
        """Return the shards of some recipes that were made and whose bytes are gone."""
        made = self._made(keys)
        there = self.blobs.among({fact.digest for fact in made})
        return [fact for fact in made if fact.digest not in there]

    def failed(self, key: Key) -> dict[int, Failed]:
        """Return the shards that could not be made, by shard."""
        return self.failed_of([key])[key]

    def failed_of(self, keys: Sequence[Key]) -> dict[Key, dict[int, Failed]]:
        """Return the shards of several recipes that could not be made, by recipe and shard."""
        rows = self._rows_of(schema.failed, keys)
        with readable(self.address):
            return _by_place(
                keys, (Failed(r.key, int(r.shard), r.error, r.detail, int(r.attempts)) for r in rows)
            )

    def scored(self, key: Key) -> Scored | None:
        """Return the outcomes of a scoring, if it was done and its evidence is there."""
        rows = self._rows(select(schema.scored).where(schema.scored.c.key == key))
        if not rows:
            return None
        row = rows[0]
        with readable(self.address):
            scored = Scored(key, row.evaluator, outcomes_of(row.outcomes), float(row.seconds))
        there = all(self.blobs.has(digest) for digest in evidence_of(scored.outcomes))
        return scored if there else None

    def record(self, run: str, fact: Made | Failed | Scored) -> None:
        """Add a fact. One that is known already stays as it is, unless the bytes it names are gone."""

        def work(connection: Connection) -> None:
            match fact:
                case Made():
                    self._record_made(connection, run, fact)
                case Failed():
                    said = {"error": text_of(fact.error), "detail": text_of(fact.detail)}
                    row = {"key": fact.key, "shard": fact.shard, "run": run, "attempts": fact.attempts}
                    add_row(connection, schema.failed, {**row, **said})
                case Scored():
                    self._record_scored(connection, run, fact)
            if not isinstance(fact, Scored):
                spent.put(connection, run, fact)

        self._ledger.write(work)

    def spending(self, run: str, keys: Sequence[Key]) -> tuple[Spending, ...]:
        """Return what served models counted for some recipes, in this run and for what it reuses of others."""
        rows = self._rows_of(schema.spent, keys)
        with readable(self.address):
            return spent.spending(run, spent.shards_of(rows, self._made(keys), run)) if rows else ()

    def forget_failures(self, keys: Iterable[Key]) -> int:
        """Forget that shards or scorings of these keys failed, so that they are tried again; return how many."""
        wanted = list(keys)

        def work(connection: Connection) -> int:
            forgotten = 0
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                forgotten += connection.execute(
                    delete(schema.failed).where(schema.failed.c.key.in_(some))
                ).rowcount
            return forgotten

        return self._ledger.write(work)

    def finish(self, run: str, record: AuditRecord) -> None:
        """Keep the record of a run that came to its end. The first record of a run stays.

        Once this returns, the record, what it rests on and its evidence survive a power cut.
        """
        if record.finished is None:
            raise ValueError(f"the record of run {run} says that it has not finished")
        plain = to_plain(record)
        kept = json.dumps(plain, allow_nan=False)

        def work(connection: Connection) -> None:
            ended = connection.execute(
                update(schema.runs)
                .where(schema.runs.c.run == run, schema.runs.c.finished.is_(None))
                .values(finished=record.finished, verdict=record.verdict.value, record=kept)
            )
            if ended.rowcount:
                for table, rows in (
                    (schema.measurements, measurement_rows(run, plain["measurements"])),
                    (schema.judgements, judgement_rows(run, plain["judgements"])),
                ):
                    if rows:
                        connection.execute(insert(table), rows)
                summaries.put(connection, run, kept)

        self._find(run)
        self.blobs.settle(Digest(e["digest"]) for m in plain["measurements"] for e in m["evidence"])
        self._ledger.write(work, settle=True)

    def read(self, run: str) -> AuditRecord:
        """Return the record of a run, named by its id or the beginning of it.

        One that has not finished has the record it began with.
        """
        row = self._find(run)
        with readable(self.address):
            if row.record is not None:
                return from_plain(json.loads(row.record))
            began = {"run": row.run, "name": row.name, "began": row.began, "finished": None}
            return from_plain({**json.loads(row.snapshot), **began})

    def record_digest(self, run: str) -> Digest:
        """Return the digest of the record of a run as the ledger keeps it."""
        row = self._find(run)
        return digest_of((row.record or row.snapshot).encode("utf-8"))

    def snapshot(self, run: str) -> dict[str, Any]:
        """Return what the run began with."""
        row = self._find(run)
        with readable(self.address):
            plain: dict[str, Any] = json.loads(row.snapshot)
            return plain

    @property
    def summaries(self) -> summaries.Summaries:
        """What lists of runs show, filtered and counted by the ledger."""
        return summaries.Summaries(self._ledger)

    def list_runs(self) -> tuple[RunLine, ...]:
        """Return every run, the newest first."""
        t = schema.runs.c
        rows = self._rows(
            select(t.run, t.name, t.began, t.finished, t.verdict, t.plan_key).order_by(t.number.desc())
        )
        with readable(self.address):
            return tuple(_run_line(row) for row in rows)

    def latest(self) -> RunLine | None:
        """Return the run that began last, or None in an empty store."""
        return next(iter(self.list_runs()), None)

    def rows(self, digest: Digest) -> Rows | None:
        """Return the rows that are kept under a digest, or None where they are gone."""
        from audit.store import codec  # loads pyarrow

        return codec.decode("rows", self.blobs.get(digest)) if self.blobs.has(digest) else None

    def wanted_blobs(self) -> set[Digest]:
        """Return the digest of every blob the ledger refers to, as a shard or as evidence."""
        wanted = {Digest(row.digest) for row in self._rows(select(schema.made.c.digest))}
        outcomes = self._rows(select(schema.scored.c.outcomes))
        records = self._rows(select(schema.runs.c.record).where(schema.runs.c.record.is_not(None)))
        with readable(self.address):
            for row in outcomes:
                wanted.update(evidence_of(outcomes_of(row.outcomes)))
            for row in records:
                wanted.update(
                    Digest(e["digest"]) for m in json.loads(row.record)["measurements"] for e in m["evidence"]
                )
        return wanted

    def check_blobs_belong(self) -> None:
        """See that blobs of some store lie where this ledger's should. Raises InputError where nothing does, such as in
        the folder on which a network share should be mounted: everything would be made again there."""
        if not self.blobs.claims() and self._rows(select(schema.made.c.key).limit(1)):
            raise InputError(
                f"The store {self.address} has made shards, but nothing of a store is at {self.address.blobs}. Check the "
                "address of the blobs, and that their folder is mounted. To make everything anew there, put an empty file "
                f"or object '{CLAIMS}/anew' there first."
            )

    def check_ledger(self) -> None:
        """Have SQLite check the file of the ledger. Raises InputError when it is damaged; a database server checks its own."""
        if self.address.ledger is not None:
            said = [str(row[0]) for row in self._rows(text("PRAGMA integrity_check(1)"))]
            if said != ["ok"]:
                raise damaged(self.address, said[0].splitlines()[-1])

    def _made(self, keys: Sequence[Key]) -> list[Made]:
        rows = self._rows_of(schema.made, keys)
        with readable(self.address):
            return [
                Made(r.key, int(r.shard), Digest(str(r.digest)), float(r.seconds), str(r.worker))
                for r in rows
            ]

    def _rows_of(self, table: Table, keys: Sequence[Key]) -> list[Any]:
        """Return the rows of some keys, those of one key in the order of its shards."""
        found: list[Any] = []
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            found += self._rows(
                select(table).where(table.c.key.in_(some)).order_by(table.c.key, table.c.shard)
            )
        return found

    def _rows(self, statement: Any) -> Sequence[Any]:
        return self._ledger.read(lambda connection: connection.execute(statement).all())

    def _find(self, run: str) -> Any:
        """Return the row of the one run whose id is, or begins with, ``run``."""
        t = schema.runs
        found = self._rows(
            select(t).where(t.c.run.startswith(run, autoescape=True)).order_by(t.c.number.desc()).limit(6)
        )
        exact = [row for row in found if row.run == run]
        if exact or (run and len(found) == 1):
            return (exact or found)[0]
        if run and found:
            raise InputError(
                f"'{run}' begins the ids of several runs: {', '.join(row.run for row in found[:5])}"
                f"{' and more' if len(found) > 5 else ''}. Give more of the id."
            )
        some = [line.run for line in self.list_runs()[:5]]
        raise InputError(
            f"The store {self.address} has no run '{run}'. "
            + (
                f"The newest are {', '.join(some)}."
                if some
                else "It has no run at all; 'audit run' makes one."
            )
        )

    def _record_made(self, connection: Connection, run: str, fact: Made) -> None:
        values = {"digest": fact.digest, "seconds": fact.seconds, "worker": text_of(fact.worker), "run": run}
        t = schema.made
        if add_row(connection, t, {"key": fact.key, "shard": fact.shard, **values}):
            return
        where = (t.c.key == fact.key, t.c.shard == fact.shard)
        before = connection.execute(select(t.c.digest).where(*where)).scalar_one()
        if before != fact.digest and not self.blobs.has(Digest(before)):
            connection.execute(update(t).where(*where).values(**values))

    def _record_scored(self, connection: Connection, run: str, fact: Scored) -> None:
        values = {
            "evaluator": text_of(fact.evaluator),
            "outcomes": json.dumps([outcome_to_plain(o) for o in fact.outcomes], allow_nan=False),
            "seconds": fact.seconds,
            "run": run,
        }
        t = schema.scored
        if add_row(connection, t, {"key": fact.key, **values}):
            return
        before = connection.execute(select(t.c.outcomes).where(t.c.key == fact.key)).scalar_one()
        if not all(self.blobs.has(digest) for digest in evidence_of(outcomes_of(before))):
            connection.execute(update(t).where(t.c.key == fact.key).values(**values))


def _by_place(keys: Iterable[Key], facts: Iterable[_Fact]) -> dict[Key, dict[int, _Fact]]:
    found: dict[Key, dict[int, _Fact]] = {key: {} for key in keys}
    for fact in facts:
        found[fact.key][fact.shard] = fact
    return found


def _run_line(row: Any) -> RunLine:
    run, name, began, finished, verdict, plan_key = row
    if not all(isinstance(text, str) for text in (run, name, began, plan_key, finished or "", verdict or "")):
        raise TypeError("a run is described by text")
    return RunLine(run, name, began, finished, verdict, plan_key)


def _run_id() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
