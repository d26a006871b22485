"""Opening stores that cannot be opened, and what is said then."""

from __future__ import annotations

import errno
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from audit.core.errors import InputError
from audit.core.facts import Failed, Made
from audit.core.identity import Key
from audit.core.policy import Verdict
from audit.core.records import AuditRecord, to_plain
from audit.store import ledger
from audit.store.location import resolve
from audit.store.runs import Store, open_store


def test_reading_makes_no_store(tmp_path: Path) -> None:
    for options in ({"create": False}, {"read_only": True}, {"create": True, "read_only": True}):
        with pytest.raises(InputError, match=r"no store at .*absent.*'audit run' makes one"):
            open_store(resolve(str(tmp_path / "absent")), **options)
    assert list(tmp_path.iterdir()) == []


def test_the_current_folder_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(
        InputError, match=r"current folder is gone, and the store 'audit-store' would lie in it"
    ):
        resolve("audit-store", {})
    assert resolve(str(tmp_path), {}).folder == tmp_path


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        open_store(resolve(str(tmp_path / "file")))
    with pytest.raises(InputError, match="cannot be written"):
        open_store(resolve(str(tmp_path / "file" / "below")))


@pytest.mark.parametrize("read_only", [False, True])
def test_a_name_that_no_folder_can_have(tmp_path: Path, read_only: bool) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for name in ("a" * 300, "a/" * 3000, "loop"):
        with pytest.raises(InputError, match=r"is no path|no store at|cannot be written"):
            open_store(resolve(str(tmp_path / name)), read_only=read_only)


@pytest.mark.parametrize("content", [b"not a database, but long enough to look like one" * 40, b"short"])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_ledger_that_is_no_database(tmp_path: Path, content: bytes, read_only: bool) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        open_store(resolve(str(tmp_path)), read_only=read_only)
    assert (tmp_path / "ledger.sqlite").read_bytes() == content


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_ledger_that_is_no_file_is_not_waited_for(tmp_path: Path, kind: str, read_only: bool) -> None:
    path = tmp_path / "ledger.sqlite"
    {"pipe": os.mkfifo, "folder": Path.mkdir, "device": lambda p: p.symlink_to("/dev/zero")}[kind](path)
    with pytest.raises(InputError, match="is no file"):
        open_store(resolve(str(tmp_path)), read_only=read_only)


def _ledger_with_a_run(folder: Path) -> Path:
    nothing: dict[str, Any] = {}
    record = AuditRecord(
        "", "a name", "2024", None, *(nothing,) * 5, *((),) * 7, Verdict.NOT_ASSESSED
    )  # a run that has only begun
    with open_store(resolve(str(folder))) as store:
        run = store.begin("plan", "a name", to_plain(record))
        for number in range(60):
            store.record(run, Made(Key(f"{number:040d}"), 0, store.blobs.put(b"x"), 1.0, "w"))
    return folder / "ledger.sqlite"


def _everything(store: Store) -> None:
    """Read all that a ledger holds; InputError and OSError are answers."""
    for ask in (
        store.list_runs,
        store.wanted_blobs,
        store.check_ledger,
        lambda: [store.read(line.run) for line in store.list_runs()],
        lambda: store.made(Key(f"{7:040d}")),
        lambda: store.failed(Key(f"{7:040d}")),
        lambda: store.scored(Key(f"{7:040d}")),
    ):
        with suppress(InputError, OSError):
            ask()


@pytest.mark.parametrize(
    "seed", [*range(25), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(25, 800))]
)
def test_a_damaged_ledger_is_said_to_be_damaged(tmp_path: Path, seed: int) -> None:
    """Whatever the bytes, what is raised is one of ours, with words for a user."""
    path, rng = _ledger_with_a_run(tmp_path), random.Random(seed)
    data = bytearray(path.read_bytes())
    match seed % 3:
        case 0:
            for _ in range(1 + seed % 40):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 1:
            page = rng.randrange(len(data) // 4096) * 4096
            data[page : page + 4096] = rng.randbytes(4096)
        case _:
            del data[rng.randrange(1, len(data)) :]
    path.write_bytes(data)
    for read_only in (True, False):
        with suppress(InputError, OSError), open_store(resolve(str(tmp_path)), read_only=read_only) as store:
            _everything(store)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("runs.name", b"\xff\xfe"),
        ("runs.run", b"\xff"),
        ("runs.snapshot", "[1"),
        ("runs.snapshot", "null"),
        ("runs.snapshot", "[" * 100_000),
        ("made.shard", "three"),
        ("made.seconds", "soon"),
        ("made.digest", 5),
    ],
)
def test_a_row_that_this_tool_never_wrote_is_damage(tmp_path: Path, column: str, value: object) -> None:
    path = _ledger_with_a_run(tmp_path)
    table, name = column.split(".")
    with closing(sqlite3.connect(path, isolation_level=None)) as ledger:
        ledger.execute(f"UPDATE {table} SET {name} = ? WHERE rowid = 8 OR '{table}' = 'runs'", (value,))
    with (
        open_store(resolve(str(tmp_path)), read_only=True) as store,
        pytest.raises(InputError, match="damaged"),
    ):
        _read_everything(store)


def _read_everything(store: Store) -> None:
    assert len(store.made(Key(f"{7:040d}"))) == 1
    assert store.read(store.list_runs()[0].run).name == "a name"


def test_a_row_that_this_tool_wrote_is_none(tmp_path: Path) -> None:
    _ledger_with_a_run(tmp_path)
    with open_store(resolve(str(tmp_path)), read_only=True) as store:
        _read_everything(store)
        _everything(store)


def test_a_ledger_that_is_deleted_or_replaced_under_its_writer(tmp_path: Path) -> None:
    """SQLite would go on writing to a file that nobody can find."""
    for replaced in (False, True):
        folder = tmp_path / f"{replaced}"
        with open_store(resolve(str(folder))) as store:
            run = store.begin("plan", "n", {"began": "2024"})
            shutil.rmtree(folder)
            if replaced:
                open_store(resolve(str(folder))).close()
            with pytest.raises(OSError, match="deleted, moved or replaced") as raised:
                store.record(run, Failed(Key("a" * 40), 0, "E", "", 1))
            assert raised.value.errno == errno.ESTALE


def test_a_ledger_with_broken_pages(tmp_path: Path) -> None:
    with open_store(resolve(str(tmp_path))) as store:
        for number in range(200):
            store.begin(f"plan {number}", "n", {"began": "2024"})
    path = tmp_path / "ledger.sqlite"
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    with (
        pytest.raises(InputError, match=r"is damaged.*Restore it from a backup"),
        open_store(resolve(str(tmp_path))) as store,
    ):
        store.list_runs()


def test_the_database_of_another_program(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "ledger.sqlite")
    connection.execute("CREATE TABLE alembic_version (revision TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(InputError, match="not one this tool wrote"):
        open_store(resolve(str(tmp_path)))


def test_an_empty_file_becomes_a_store_when_written_to(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").touch()
    with pytest.raises(InputError, match="is empty and was opened for reading"):
        open_store(resolve(str(tmp_path)), read_only=True)
    open_store(resolve(str(tmp_path))).close()
    open_store(resolve(str(tmp_path)), read_only=True).close()


@pytest.mark.parametrize("name", ["a b", "per%20cent", "ask?mode=memory", "hash#tag", "ümläut", "quo'te"])
def test_odd_names_of_folders(tmp_path: Path, name: str) -> None:
    with open_store(resolve(str(tmp_path / name))) as store:
        run = store.begin("plan", "n", {"began": "2024"})
    with open_store(resolve(str(tmp_path / name)), read_only=True) as store:
        assert store.list_runs()[0].run == run
    assert (tmp_path / name / "ledger.sqlite").exists()


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Act without the rights of root, whom no mode of a file keeps out."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def frozen() -> Iterator[Path]:
    """A store with one run in a folder nobody may write."""
    folder = Path(tempfile.mkdtemp(prefix="audit-frozen-"))
    with open_store(resolve(str(folder))) as store:
        store.begin("plan", "n", {"began": "2024"})
        store.blobs.put(b"x")
    _modes(folder, 0o444, 0o555)
    yield folder
    _modes(folder, 0o644, 0o755)
    shutil.rmtree(folder)


def _modes(folder: Path, files: int, folders: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(folders if path.is_dir() else files)


def test_a_read_only_store_can_be_read_and_refuses_to_be_written(frozen: Path) -> None:
    with _as_nobody():
        with open_store(resolve(str(frozen)), read_only=True) as store:
            assert len(store.list_runs()) == 1
        with pytest.raises(InputError, match=r"cannot be written.*--store.*'audit show'"):
            open_store(resolve(str(frozen)))
        with pytest.raises(InputError, match="cannot be written"):
            open_store(resolve(str(frozen / "new")))


def test_a_read_only_store_with_the_journal_of_a_killed_run(frozen: Path) -> None:
    """SQLite would write beside such a ledger to read it; where it may not, the file alone is read."""
    (frozen / "ledger.sqlite-wal").write_bytes(b"")
    (frozen / "ledger.sqlite-wal").chmod(0o444)
    with _as_nobody(), open_store(resolve(str(frozen)), read_only=True) as store:
        assert len(store.list_runs()) == 1


def test_a_store_nobody_else_may_look_into(frozen: Path) -> None:
    frozen.chmod(0o700)
    if os.geteuid() != 0:
        pytest.skip("another user is needed, which only root can be")
    with _as_nobody():
        for read_only in (False, True):
            with pytest.raises(InputError, match="may not be read"):
                open_store(resolve(str(frozen)), read_only=read_only)


def test_a_ledger_on_a_full_disk(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted without being root")
    try:
        with open_store(resolve(str(tmp_path))) as store:
            run = store.begin("plan", "n", {"began": "2024"})
            (tmp_path / "filler").write_bytes(bytes(_room(tmp_path)))
            facts = [Failed(Key(f"{number:040d}"), 0, "E", "x" * 5_000, 1) for number in range(100)]
            with pytest.raises(OSError, match="no room is left for the ledger") as raised:
                _record_all(store, run, facts)
            assert raised.value.errno == errno.ENOSPC
            (tmp_path / "filler").unlink()
            store.record(run, Failed(Key("b" * 40), 0, "E", "", 1))
            assert list(store.failed(Key("b" * 40))) == [0]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def _record_all(store: Store, run: str, facts: list[Failed]) -> None:
    for fact in facts:
        store.record(run, fact)


def _room(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_bsize


def test_a_writer_waits_for_another_and_says_so_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "BUSY_SECONDS", 0.05)
    with open_store(resolve(str(tmp_path))) as store:
        run = store.begin("plan", "n", {"began": "2024"})
        other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert store.list_runs()[0].run == run  # readers need not wait
        with pytest.raises(OSError, match="Another process has held the store"):
            store.record(run, Failed(Key("a" * 40), 0, "E", "", 1))
        other.execute("ROLLBACK")
        other.close()
        store.record(run, Failed(Key("a" * 40), 0, "E", "", 1))


def test_a_killed_driver_leaves_a_store_that_opens(tmp_path: Path) -> None:
    program = (
        "import os, sys, signal\n"
        "from audit.store.location import resolve\n"
        "from audit.store.runs import open_store\n"
        "store = open_store(resolve(sys.argv[1]))\n"
        "print(store.begin('plan', 'n', {'began': '2024'}), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -9
    assert (tmp_path / "ledger.sqlite-wal").stat().st_size > 0
    run = killed.stdout.strip()
    with open_store(resolve(str(tmp_path)), read_only=True) as store:
        assert store.list_runs()[0].run == run
    with open_store(resolve(str(tmp_path))) as store:
        assert store.begin("plan", "n", {"began": "2024"}) == run


@pytest.mark.parametrize("read_only", [False, True])
def test_a_database_that_does_not_answer(tmp_path: Path, read_only: bool) -> None:
    address = resolve(f"postgresql://me:s3cret@127.0.0.1:1/audits?blobs={tmp_path / 'blobs'}")
    with pytest.raises(InputError, match="cannot be reached") as raised:
        open_store(address, read_only=read_only)
    assert "s3cret" not in str(raised.value)


def test_a_database_that_is_not_there(postgresql: str, tmp_path: Path) -> None:
    address = resolve(postgresql.replace("/postgres?", "/nowhere?") + f"&blobs={tmp_path}")
    with pytest.raises(InputError, match=r"cannot be reached.*nowhere"):
        open_store(address)


def test_a_missing_driver_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"generative-audit\[postgres\]"):
        open_store(resolve(f"postgresql://db/audits?blobs={tmp_path}"))


def test_a_current_store_opens_without_the_machinery_of_migrations(tmp_path: Path) -> None:
    open_store(resolve(str(tmp_path))).close()
    program = (
        "import sys\n"
        "from audit.store.location import resolve\n"
        "from audit.store.runs import open_store\n"
        "open_store(resolve(sys.argv[1])).close()\n"
        "print([name for name in ('alembic', 'torch', 'pyarrow', 'psycopg') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
