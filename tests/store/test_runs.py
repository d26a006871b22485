"""The ledger on SQLite and on PostgreSQL: one promise, two databases."""

from __future__ import annotations

import json
import multiprocessing as mp
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from audit.core.errors import InputError
from audit.core.evaluators import Unmet
from audit.core.facts import Failed, Made, Scored
from audit.core.identity import Digest, Key
from audit.core.measurements import Direction, Evidence, Interval, Measurement, Undefined, Unquantified
from audit.core.policy import Criterion, Judgement, Verdict
from audit.core.records import (
    AuditRecord,
    RecordedArtifact,
    RecordedEvaluator,
    RecordedFailure,
    RecordedSkip,
    to_plain,
)
from audit.store.ledger import Ledger
from audit.store.location import StoreAddress
from audit.store.runs import Store, open_store

KEY = Key("a" * 40)
MEASURED = Measurement(
    "quality.frechet",
    1.25,
    Interval(1.0, 1.5, 0.95, "influence function"),
    n=500,
    direction=Direction.LOWER_IS_BETTER,
    noise_floor=0.125,
    notes=("of 500",),
)
GROUPED = Measurement(
    "fairness.gap",
    0.0,
    Unquantified("one group"),
    n=3,
    direction=Direction.NEITHER,
    group=(("sex", "F"), ("age", "old")),
)


def record_of(run: str, *, finished: str | None = "2024-05-01T10:05:00+00:00") -> AuditRecord:
    criterion = Criterion("quality.frechet", at_most=2.0, why="a test")
    return AuditRecord(
        run=run,
        name="a model before 1.0",
        began="2024-05-01T10:00:00+00:00",
        finished=finished,
        model={"adapter": "included", "weights": "w", "offers": ["sample"]},
        data={"loader": "digits", "splits": {"train": 5}},
        environment={"python": "3.11"},
        settings={"seed": 0, "samples": 10},
        policy={"name": "p", "version": "1", "criteria": []},
        evaluators=(
            RecordedEvaluator(
                "quality.frechet", "quality", "s", {"k": 3}, "src", {"m": "d"}, ("r",), "scored"
            ),
        ),
        measurements=(MEASURED, GROUPED),
        undefined=(Undefined("quality.kid", "too few rows"),),
        judgements=(
            Judgement(criterion, Verdict.PASS, MEASURED),
            Judgement(Criterion("x", at_least=1.0), Verdict.NOT_ASSESSED, (Unmet("a", "b", "c"),)),
        ),
        skipped=(RecordedSkip("privacy.membership", (Unmet("a", "b", "c"),)),),
        failures=(RecordedFailure("samples", KEY, 0, "E", "trace", 2, ("quality.kid",)),),
        artifacts=(RecordedArtifact("samples", KEY, 2, "d" * 40, 1.5),),
        verdict=Verdict.NOT_ASSESSED,
    )


def planned() -> dict[str, Any]:
    return to_plain(replace(record_of("", finished=None), measurements=(), judgements=(), undefined=()))


def begin(store: Store, plan: str = "plan") -> str:
    return store.begin(plan, "a model before 1.0", planned())


def test_a_row_may_wait_and_the_record_of_a_run_may_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.begin("plan", "n", to_plain(record_of("")))
    asked = "PRAGMA synchronous" if store.address.ledger is not None else "SHOW synchronous_commit"
    found: list[str] = []
    write = Ledger.write

    def noted(ledger: Ledger, work: Callable[[Any], Any], *, settle: bool = False) -> Any:
        def watched(connection: Any) -> Any:
            found.append(str(connection.execute(text(asked)).scalar_one()))
            return work(connection)

        return write(ledger, watched, settle=settle)

    monkeypatch.setattr(Ledger, "write", noted)
    store.record(run, Failed(KEY, 0, "E", "detail", 1))
    store.finish(run, record_of(run))
    store.record(run, Failed(KEY, 1, "E", "detail", 1))
    assert found in (["1", "2", "1"], ["off", "on", "off"])


def test_an_unfinished_run_is_taken_up_and_a_finished_one_is_not(store: Store) -> None:
    first = begin(store)
    assert begin(store) == first
    store.finish(first, record_of(first))
    second = begin(store)
    assert second != first
    assert begin(store, "another plan") not in (first, second)


def test_a_taken_up_run_keeps_what_it_began_with(store: Store) -> None:
    run = begin(store)
    store.begin("plan", "renamed", {**planned(), "began": "2030-01-01T00:00:00+00:00"})
    assert store.snapshot(run) == json.loads(json.dumps(planned()))
    assert store.list_runs()[0].began == "2024-05-01T10:00:00+00:00"


def test_runs_are_listed_newest_first(store: Store) -> None:
    assert store.list_runs() == ()
    assert store.latest() is None
    runs = [begin(store, f"plan {number}") for number in range(4)]
    store.finish(runs[1], record_of(runs[1]))
    lines = store.list_runs()
    assert [line.run for line in lines] == runs[::-1]
    assert store.latest() == lines[0]
    assert (lines[0].finished, lines[0].verdict) == (None, None)
    assert (lines[2].finished, lines[2].verdict) == ("2024-05-01T10:05:00+00:00", "not assessed")


def test_a_finished_record_comes_back_as_it_was(store: Store) -> None:
    run = begin(store)
    store.finish(run, record_of(run))
    assert to_plain(store.read(run)) == to_plain(record_of(run))
    assert store.read(run).measurements == (MEASURED, GROUPED)


def test_an_unfinished_run_can_be_read(store: Store) -> None:
    run = begin(store)
    record = store.read(run)
    assert (record.run, record.finished, record.measurements) == (run, None, ())
    assert record.skipped == record_of(run).skipped


def test_the_first_record_of_a_run_stays(store: Store) -> None:
    run = begin(store)
    store.finish(run, record_of(run))
    store.finish(run, replace(record_of(run), verdict=Verdict.PASS))
    assert store.read(run).verdict is Verdict.NOT_ASSESSED


def test_only_a_finished_record_ends_a_run(store: Store) -> None:
    run = begin(store)
    with pytest.raises(ValueError, match="has not finished"):
        store.finish(run, record_of(run, finished=None))
    with pytest.raises(InputError, match="no run"):
        store.finish("20200101T000000-000000", record_of("20200101T000000-000000"))


def test_numbers_of_a_finished_run_are_in_tables(store: Store) -> None:
    run = begin(store)
    store.finish(run, record_of(run))
    query = text(
        "SELECT metric, subgroup, value, low, high, unquantified FROM measurements ORDER BY position"
    )
    rows = store._ledger.read(lambda connection: connection.execute(query).all())
    assert [tuple(row) for row in rows] == [
        ("quality.frechet", "{}", 1.25, 1.0, 1.5, None),
        ("fairness.gap", json.dumps({"sex": "F", "age": "old"}), 0.0, None, None, "one group"),
    ]
    query = text("SELECT metric, verdict, value FROM judgements ORDER BY position")
    rows = store._ledger.read(lambda connection: connection.execute(query).all())
    assert [tuple(row) for row in rows] == [("quality.frechet", "pass", 1.25), ("x", "not assessed", None)]


def test_a_run_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    run, other = begin(store), begin(store, "another plan")
    assert store.read(run).run == run
    shared = next(i for i, (a, b) in enumerate(zip(run, other, strict=True)) if a != b)
    assert store.read(run[: shared + 1]).run == run
    with pytest.raises(InputError, match="begins the ids of several runs"):
        store.read(run[:2])
    for wrong in ("nonsense", "", "%", "_", run + "x"):
        with pytest.raises(InputError, match=f"newest are {other}"):
            store.read(wrong)


def test_an_empty_store_says_how_to_begin(store: Store) -> None:
    with pytest.raises(InputError, match="'audit run' makes one"):
        store.read("2024")


def test_a_fact_recorded_twice_is_one_fact(store: Store) -> None:
    run = begin(store)
    made = Made(KEY, 3, store.blobs.put(b"piece"), 0.25, "host/1")
    failed = Failed(KEY, 4, "ValueError: no", "trace", 3)
    for fact in (made, made, failed, failed):
        store.record(run, fact)
    store.record(run, replace(made, digest=store.blobs.put(b"other"), worker="host/2"))
    store.record(run, replace(failed, error="later"))
    assert store.made(KEY) == {3: made}
    assert store.failed(KEY) == {4: failed}
    assert store.made(Key("b" * 40)) == {}


def test_a_piece_whose_blob_is_gone_counts_as_missing_and_is_recorded_anew(store: Store) -> None:
    run = begin(store)
    first, second = store.blobs.put(b"first"), store.blobs.put(b"second")
    store.record(run, Made(KEY, 0, first, 1.0, "w"))
    store.blobs.path(first).unlink()
    assert store.made(KEY) == {}
    store.record(run, Made(KEY, 0, second, 2.0, "w"))
    assert store.made(KEY) == {0: Made(KEY, 0, second, 2.0, "w")}


def test_what_is_lost_is_known_with_the_digest_it_had(store: Store) -> None:
    run = begin(store)
    kept, lost = (Made(KEY, shard, store.blobs.put(bytes([shard])), 1.0, "w") for shard in range(2))
    for fact in (kept, lost):
        store.record(run, fact)
    assert store.lost([KEY]) == []
    store.blobs.delete(lost.digest)
    assert (store.made(KEY), store.lost([KEY])) == ({0: kept}, [lost])


def test_failures_are_forgotten_on_request(store: Store) -> None:
    run = begin(store)
    keys = [Key(f"{number:040x}") for number in range(1_200)]
    for key in (keys[0], keys[1_100], KEY):
        store.record(run, Failed(key, 0, "E", "", 1))
    assert store.forget_failures(keys) == 2
    assert store.failed(keys[1_100]) == {}
    assert list(store.failed(KEY)) == [0]
    assert store.forget_failures([]) == 0


def test_scored_outcomes_come_back_with_their_evidence(store: Store) -> None:
    run = begin(store)
    digest = store.blobs.put(b"evidence")
    shown = replace(MEASURED, evidence=(Evidence("texts", "the worst", digest, sensitive=False),))
    undefined = Undefined("quality.kid", "too few rows", (("sex", "F"),))
    scored = Scored(KEY, "quality.frechet", (shown, GROUPED, undefined), 0.5)
    assert store.scored(KEY) is None
    store.record(run, scored)
    store.record(run, replace(scored, seconds=9.0))
    assert store.scored(KEY) == scored
    store.blobs.path(digest).unlink()
    assert store.scored(KEY) is None
    store.record(run, replace(scored, outcomes=(GROUPED,)))
    assert store.scored(KEY) == replace(scored, outcomes=(GROUPED,))


def test_text_no_database_could_hold_is_escaped(store: Store) -> None:
    run = store.begin("plan", "name \x00 \udc80 ü", planned())
    store.record(run, Failed(KEY, 0, "E: \x00\ud800", "tr\x00ace", 1))
    assert store.failed(KEY)[0].error == "E: \\x00\\ud800"
    assert store.list_runs()[0].name == "name \\x00 \\udc80 ü"
    odd = replace(GROUPED, group=(("name", "a\x00\ud800"),), metric="m\x00")
    store.finish(run, replace(record_of(run), measurements=(odd,)))
    assert store.read(run).measurements == (odd,)


def test_a_store_opens_again_with_all_it_held(opened: Callable[..., Store]) -> None:
    first = opened()
    run = begin(first)
    first.record(run, Made(KEY, 0, first.blobs.put(b"x"), 1.0, "w"))
    first.close()
    again = opened(create=False)
    assert list(again.made(KEY)) == [0]
    assert begin(again) == run


def test_what_is_opened_for_reading_reads_and_does_not_write(opened: Callable[..., Store]) -> None:
    run = begin(opened())
    reader = opened(read_only=True)
    assert reader.read(run).run == run
    for write in (
        lambda: begin(reader, "new"),
        lambda: reader.record(run, Failed(KEY, 0, "E", "", 1)),
        lambda: reader.forget_failures([KEY]),
        lambda: reader.finish(run, record_of(run)),
    ):
        with pytest.raises(InputError, match="cannot be written"):
            write()


def test_a_store_of_a_newer_version_is_refused(opened: Callable[..., Store]) -> None:
    store = opened()
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    store._ledger.write(lambda connection: connection.execute(newer))
    for options in ({}, {"read_only": True}):
        with pytest.raises(InputError, match=r"of version 9999, newer than this tool.*Upgrade"):
            opened(**options)


def test_the_migrated_tables_are_the_ones_the_code_declares(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from audit.store.schema import metadata

    differences = store._ledger.read(
        lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)
    )
    assert differences == []


def test_the_migrations_end_at_the_version_the_code_knows() -> None:
    from pathlib import Path

    from alembic.script import ScriptDirectory

    import audit.store
    from audit.store.schema import VERSIONS

    scripts = ScriptDirectory(str(Path(audit.store.__file__).parent / "migrations"))
    assert tuple(s.revision for s in reversed(list(scripts.walk_revisions()))) == VERSIONS


@pytest.mark.parametrize("read_only", [False, True])
def test_a_store_of_an_older_format_is_refused_in_one_sentence(
    opened: Callable[..., Store], read_only: bool
) -> None:
    """What it holds has other keys and other shapes: read as today's it would be wrong without a word."""
    from audit.store.schema import FORMAT

    store = opened()
    begin(store)
    older = text("UPDATE alembic_version SET version_num = :version")
    store._ledger.write(lambda connection: connection.execute(older, {"version": f"{FORMAT - 1:04d}"}))
    with pytest.raises(InputError) as raised:
        opened(read_only=read_only)
    said = str(raised.value)
    assert said.startswith(f"The store {store.address} was written by an older generative-audit")
    assert "--store" in said
    assert said.count(". ") == 0
    assert len(store.list_runs()) == 1, "and is left as it is"


def _drive(address: StoreAddress, worker: int, answers: Any) -> None:
    """Begin the shared plan and record facts, half of them the same as the other driver's."""
    with open_store(address) as store:
        run = begin(store)
        for shard in range(12):
            digest = store.blobs.put(f"shared {shard}".encode())
            store.record(run, Made(KEY, shard, digest, 1.0, f"driver {worker}"))
            own = Key(f"{worker:040d}")
            store.record(run, Made(own, shard, store.blobs.put(f"{worker} {shard}".encode()), 1.0, "w"))
        answers.put(run)


def test_two_drivers_on_one_store_at_once(address: StoreAddress, opened: Callable[..., Store]) -> None:
    """Both processes find an empty place: they make it, migrate it and write to it side by side."""
    context = mp.get_context("spawn")
    answers = context.Queue()
    drivers = [context.Process(target=_drive, args=(address, worker, answers)) for worker in (1, 2)]
    for driver in drivers:
        driver.start()
    runs = {answers.get(timeout=60) for _ in drivers}
    for driver in drivers:
        driver.join(60)
    assert [driver.exitcode for driver in drivers] == [0, 0]
    assert len(runs) == 1
    store = opened(create=False)
    assert len(store.list_runs()) == 1
    for key in (KEY, Key(f"{1:040d}"), Key(f"{2:040d}")):
        assert sorted(store.made(key)) == list(range(12))


def test_a_damaged_digest_in_the_ledger_is_named(store: Store) -> None:
    run = begin(store)
    store.record(run, Made(KEY, 0, Digest("../../etc/passwd"), 1.0, "w"))
    with pytest.raises(InputError, match="not the digest of a blob"):
        store.made(KEY)


def test_sqlite_is_told_to_wait_and_to_keep_a_journal(tmp_path: Any) -> None:
    from audit.store.location import resolve

    with open_store(resolve(str(tmp_path / "s"))):
        raw = sqlite3.connect(tmp_path / "s" / "ledger.sqlite")
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        raw.close()


def test_a_migration_that_breaks_off_leaves_nothing_half_done(
    opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic.migration import MigrationContext

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MigrationContext, "stamp", killed)
        with pytest.raises(KeyboardInterrupt):
            opened()
    store = opened()
    assert store.list_runs() == ()
    assert begin(store)


def test_a_lost_connection_is_taken_up_again(postgresql: str, tmp_path: Any) -> None:
    import psycopg

    from audit.store.location import resolve

    with open_store(resolve(f"{postgresql}&blobs={tmp_path}")) as store:
        run = begin(store)
        with psycopg.connect(postgresql, autocommit=True) as connection:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            connection.execute(others + " AND datname = current_database()")
        store.record(run, Failed(KEY, 0, "E", "", 1))
        assert list(store.failed(KEY)) == [0]
