"""The review log: it survives a writer that is killed, and shows every line that was changed, removed or inserted afterwards."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from audit.core.errors import InputError
from audit.core.identity import digest_of
from audit.core.policy import Verdict
from audit.core.records import AuditRecord, to_plain
from audit.core.review import MOST_COMMENT, UNNAMED, Action, Head, Review, parse
from audit.store import reviews
from audit.store.location import StoreAddress, resolve
from audit.store.runs import Store

_KILLED = """
import os, signal, sys
from audit.core.review import Action
from audit.store import reviews
from audit.store.location import resolve

address, run, cut, real = resolve(sys.argv[1]), sys.argv[2], int(sys.argv[3]), os.write

def write(descriptor, data):
    real(descriptor, bytes(data)[:cut])
    os.kill(os.getpid(), signal.SIGKILL)

os.write = write
reviews.add(address, run, Action.ACCEPT, who="killed", about="quality.kid at most 1", comment="half of this")
"""
_MANY = """
import sys
from audit.core.review import Action
from audit.store import reviews
from audit.store.location import resolve

for number in range(int(sys.argv[4])):
    reviews.add(resolve(sys.argv[1]), sys.argv[2], Action.ACCEPT, who=sys.argv[3], about=f"finding {number}")
"""


@pytest.fixture
def run(store: Store) -> str:
    return begun(store)


def begun(store: Store) -> str:
    record = AuditRecord(
        run="",
        name="a run",
        began="2026-01-01T00:00:00+00:00",
        finished=None,
        model={},
        data={},
        environment={},
        settings={},
        policy={},
        evaluators=(),
        measurements=(),
        undefined=(),
        judgements=(),
        skipped=(),
        failures=(),
        artifacts=(),
        verdict=Verdict.NOT_ASSESSED,
    )
    return store.begin("plan", record.name, to_plain(record))


def decide(address: StoreAddress, run: str, count: int = 4) -> Path:
    """Write some lines, and return where they are."""
    for number in range(count):
        reviews.add(address, run, Action.ACCEPT, who="Ada", about=f"finding {number}", comment="seen")
    return (address.folder or address.blobs) / "reviews" / f"{run}.jsonl"


def test_a_run_that_nobody_reviewed_has_none(address: StoreAddress, run: str) -> None:
    assert reviews.review_of(address, run) is None


def test_each_line_holds_the_digest_of_the_line_before(address: StoreAddress, run: str) -> None:
    path = decide(address, run)
    lines = path.read_bytes().splitlines(keepends=True)
    said = [json.loads(line) for line in lines]
    assert [one["before"] for one in said] == ["", *(digest_of(line) for line in lines[:-1])]
    assert [one["number"] for one in said] == [1, 2, 3, 4]
    review = reviews.review_of(address, run)
    assert review is not None
    assert (review.faults, review.aside, review.unconfirmed) == ((), 0, False)
    assert review.head == digest_of(lines[-1])


def test_decisions_and_sign_off_are_the_last_ones(address: StoreAddress, run: str) -> None:
    def now() -> Review:
        found = reviews.review_of(address, run)
        assert found is not None
        return found

    reviews.add(address, run, Action.REJECT, who="Ada", about="one", comment="no")
    reviews.add(address, run, Action.APPROVE, who="Grace")
    reviews.add(address, run, Action.REVEAL, who="", about="sensitive evidence")
    assert (signed := now().sign_off()) is not None
    assert signed.who == "Grace"
    assert now().entries[-1].who == UNNAMED
    reviews.add(address, run, Action.ACCEPT, who="Ada", about="one")
    assert now().decisions()["one"].action is Action.ACCEPT
    assert now().sign_off() is None  # what was signed is no longer what stands
    assert now().signed()


@pytest.mark.parametrize("cut", [1, 200, 10_000])
def test_the_log_goes_on_after_kill_9_in_the_middle_of_a_write(
    cut: int, address: StoreAddress, run: str
) -> None:
    path = decide(address, run, 2)
    before = path.read_bytes()
    killed = subprocess.run([sys.executable, "-c", _KILLED, address.spelled, run, str(cut)], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = path.read_bytes()[len(before) :]
    whole = left.endswith(b"\n")
    assert len(left) == cut or whole
    found = reviews.review_of(address, run)
    assert found is not None
    assert found.faults == ()
    assert (len(found.entries), found.aside) == ((3, 0) if whole else (2, 1))
    assert found.unconfirmed is whole
    entry = reviews.add(address, run, Action.REJECT, who="Ada", about="next", comment="on it goes")
    assert entry.number == len(found.entries) + 1
    after = reviews.review_of(address, run)
    assert after is not None
    assert after.faults == ()
    assert after.entries[-1].about == "next"
    assert after.aside == found.aside
    assert not after.unconfirmed
    assert path.read_bytes().startswith(before + left)  # nothing that stood there was touched


def test_a_killed_writer_can_leave_the_first_line_half_written(address: StoreAddress, run: str) -> None:
    subprocess.run([sys.executable, "-c", _KILLED, address.spelled, run, "30"], check=False)
    decide(address, run, 2)
    found = reviews.review_of(address, run)
    assert found is not None
    assert (len(found.entries), found.aside, found.faults) == (2, 1, ())


Edit = Callable[[list[bytes]], list[bytes]]
EDITS: dict[str, tuple[Edit, str]] = {
    "a comment changed": (lambda ls: [ls[0].replace(b"seen", b"SEEN"), *ls[1:]], "Line 1 was changed"),
    "a name changed": (lambda ls: [ls[0], ls[1].replace(b"Ada", b"Bob"), *ls[2:]], "Line 2 was changed"),
    "a space added": (lambda ls: [ls[0], b" " + ls[1], *ls[2:]], "Line 2 was changed"),
    "a line cut": (lambda ls: [ls[0], ls[1][:20] + b"\n", *ls[2:]], "Line 2 was changed beyond reading"),
    "an empty line": (lambda ls: [ls[0], b"\n", *ls[1:]], "Line 1 was changed"),
    "the last changed": (lambda ls: [*ls[:3], ls[3].replace(b"Ada", b"Bob")], "Line 4 was changed"),
    "the first removed": (lambda ls: ls[1:], "Line 1 was removed"),
    "one removed": (lambda ls: [ls[0], *ls[2:]], "Line 2 was removed"),
    "two removed": (lambda ls: [ls[0], ls[3]], "Lines 2 to 3 were removed"),
    "the last removed": (lambda ls: ls[:3], "Line 4 was removed from the end"),
    "all removed": (lambda ls: [], "Lines 1 to 4 were removed from the end"),
    "one doubled": (lambda ls: [ls[0], ls[0], *ls[1:]], "inserted or moved"),
    "two exchanged": (lambda ls: [ls[0], ls[2], ls[1], ls[3]], "inserted or moved"),
    "one forged in between": (lambda ls: [ls[0], _forged(ls[0]), *ls[1:]], "inserted or moved"),
    "junk in between": (lambda ls: [ls[0], b"{}\n", *ls[1:]], "inserted before line 2"),
}


def _forged(before: bytes) -> bytes:
    """A line that follows ``before`` as a writer would have written it."""
    said = {**json.loads(before), "number": 2, "action": "reject", "before": digest_of(before)}
    return json.dumps(said).encode() + b"\n"


@pytest.mark.parametrize("name", EDITS)
def test_what_was_changed_afterwards_is_named_and_nothing_is_added(name: str, tmp_path: Path) -> None:
    address = resolve(str(tmp_path / "store"))
    with reviews.open_store(address) as store:
        run = begun(store)
    path = decide(address, run)
    edit, says = EDITS[name]
    edited = b"".join(edit(path.read_bytes().splitlines(keepends=True)))
    path.write_bytes(edited)
    found = reviews.review_of(address, run)
    assert found is not None
    assert says in " ".join(found.faults)
    with pytest.raises(InputError, match="was changed after it was written"):
        reviews.add(address, run, Action.ACCEPT, who="Ada", about="more")
    assert path.read_bytes() == edited


def test_a_log_that_is_gone_is_missed(address: StoreAddress, run: str) -> None:
    decide(address, run, 2).unlink()
    found = reviews.review_of(address, run)
    assert found is not None
    assert found.faults == ("Lines 1 to 2 were removed from the end.",)


def test_a_record_that_is_not_the_one_reviewed_is_said(store: Store, address: StoreAddress, run: str) -> None:
    decide(address, run, 2)
    store._ledger.write(lambda connection: connection.execute(text("UPDATE runs SET snapshot = '{}'")))
    found = reviews.review_of(address, run)
    assert found is not None
    assert found.faults == ("The record of this run is not the one that was reviewed in line 1, 2.",)


def test_reviewers_at_once_make_one_chain(address: StoreAddress, run: str) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _MANY, address.spelled, run, name, "10"])
        for name in ("Ada", "Grace", "Alan")
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    found = reviews.review_of(address, run)
    assert found is not None
    assert found.faults == ()
    assert [entry.number for entry in found.entries] == list(range(1, 31))
    assert {entry.who for entry in found.entries} == {"Ada", "Grace", "Alan"}


def test_kill_9_at_any_moment_leaves_a_sound_log(tmp_path: Path) -> None:
    address = resolve(str(tmp_path / "store"))
    with reviews.open_store(address) as store:
        run = begun(store)
    path = (address.folder or address.blobs) / "reviews" / f"{run}.jsonl"
    for _ in range(2):
        grown = path.stat().st_size if path.exists() else 0
        writer = subprocess.Popen([sys.executable, "-c", _MANY, str(address.folder), run, "Ada", "100000"])
        while not path.exists() or path.stat().st_size < grown + 2_000:
            assert writer.poll() is None
            time.sleep(0.001)
        writer.kill()
        writer.wait()
        found = reviews.review_of(address, run)
        assert found is not None
        assert found.faults == ()
        assert [entry.number for entry in found.entries] == list(range(1, len(found.entries) + 1))


def test_texts_of_any_kind_are_kept_on_one_line(address: StoreAddress, run: str) -> None:
    said = 'a\nb\r\u2028"},{"number": 9}\x00\ud800\u202e<b>'
    reviews.add(address, run, Action.REJECT, who=said, about=said, comment=said + "x" * 10_000)
    reviews.add(address, run, Action.ACCEPT, who="Ada", about="next")
    found = reviews.review_of(address, run)
    assert found is not None
    assert found.faults == ()
    first = found.entries[0]
    assert first.about == said.replace("\ud800", "?")
    assert len(first.comment) == MOST_COMMENT


@pytest.mark.parametrize("name", ["../../etc/passwd", "", ".hidden", "a/b", "a\x00b", "x" * 100])
def test_a_run_whose_name_is_a_path_has_no_log(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        reviews.review_of(resolve(str(tmp_path)), name)


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    address = resolve(str(tmp_path / "store"))
    with reviews.open_store(address) as store:
        run = begun(store)
    (tmp_path / "store" / "reviews").write_text("a file where the folder belongs")
    with pytest.raises(InputError, match="Nothing was recorded"):
        reviews.add(address, run, Action.ACCEPT, who="Ada", about="one")


@pytest.mark.parametrize(
    "data", [b"", b"\x00\xff", b"null\n", b"[1]\n", b'{"number": true}\n', b"[" * 100_000]
)
def test_bytes_that_are_no_log_are_set_aside(data: bytes) -> None:
    found = parse(data, None)
    assert found.entries == ()
    assert found.aside == int(bool(data))
    assert parse(data, Head(1, "x")).faults == ("Line 1 was removed from the end.",)


def test_the_command_shows_the_log_and_says_where_it_was_changed(
    cli: Callable[..., Any], address: StoreAddress, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_STORE", address.spelled)
    path = decide(address, run, 2)
    reviews.add(address, run, Action.REJECT, who="\x1b[31mEve", about="one", comment="no\nyes")
    found = reviews.review_of(address, run)
    assert found is not None
    head = found.head
    sound = cli("review", "--check", "--head", head)
    assert sound.code == 0, sound
    assert "\x1b" not in sound.out
    assert f"sound: 3 lines; the last is {head}" in sound.out
    assert cli("review", "--check", "--head", "feed").code == 1
    path.write_bytes(path.read_bytes().replace(b"finding 0", b"finding 9"))
    assert cli("review").code == 0
    changed = cli("review", run, "--check", "--format", "json")
    assert changed.code == 1
    assert json.loads(changed.out)["faults"] == ["Line 1 was changed: line 2 holds another digest of it."]
