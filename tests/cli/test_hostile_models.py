"""A model that attacks the command that audits it gets no verdict, no terminal, and nothing that outlives the run."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from audit.store.location import resolve
from audit.store.runs import open_store

_SPEC = """
name = "hostile"
samples = 60
shard_size = 20
[model]
adapter = "hostile"
attack = "{attack}"
when = "{when}"
[data]
use = "letters"
[[evaluators]]
name = "quality.vowels"
[policy]
name = "test"
[[policy.criteria]]
metric = "quality.vowels"
at_least = 0.0
at_most = 1.0
why = "always"
[run]
executor = "{executor}"
workers = 2
time_limit = {time_limit}
"""


def _hostile() -> ModuleType:
    path = Path(__file__).with_name("hostile.py")
    spec = importlib.util.spec_from_file_location("hostile_source", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Ended:
    """How a command ended, what it wrote, and which processes it left."""

    code: int
    out: bytes
    err: bytes
    left: list[int]
    store: Path

    @property
    def finished(self) -> bool:
        if not (self.store / "ledger.sqlite").exists():
            return False
        with open_store(resolve(str(self.store)), create=False, read_only=True) as store:
            return any(line.finished for line in store.list_runs())

    @property
    def last_line(self) -> str:
        return self.err.decode().strip().splitlines()[-1]


class Attacker:
    """Starts commands on a hostile model and sees what is left when they have ended."""

    def __init__(self, folder: Path, path: str) -> None:
        self.folder, self.store, self.tag = (
            folder,
            folder / "store",
            f"HOSTILE_{os.getpid()}_{time.time_ns()}",
        )
        self.environment = {
            **os.environ,
            "PYTHONPATH": path,
            "HOSTILE_TAG": self.tag,
            "HOSTILE_STORE": str(self.store),
            "AUDIT_TRACEBACK": "",
        }

    def start(
        self,
        attack: str,
        when: str,
        executor: str,
        *,
        command: str = "run",
        time_limit: float = 60,
        options: Sequence[str] = (),
        **how: Any,
    ) -> subprocess.Popen[bytes]:
        spec = self.folder / "hostile.toml"
        spec.write_text(_SPEC.format(attack=attack, when=when, executor=executor, time_limit=time_limit))
        arguments = [sys.executable, "-m", "audit", command, str(spec), "--store", str(self.store)]
        return subprocess.Popen(
            [*arguments, *options, "--format", "json"],
            stdout=how.pop("stdout", subprocess.PIPE),
            stderr=how.pop("stderr", subprocess.PIPE),
            env={**self.environment, **how.pop("environment", {})},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            **how,
        )

    def end(self, process: subprocess.Popen[bytes]) -> Ended:
        try:
            out, err = process.communicate(timeout=120)
            if process.returncode < 0:  # what it started notices within a moment
                _wait_for(lambda: self.left() == [], 10)
        finally:
            left = self.left()
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            process.kill()
        return Ended(process.returncode, out or b"", err or b"", left, self.store)

    def run(self, attack: str, when: str = "sample", executor: str = "inline", **how: Any) -> Ended:
        return self.end(self.start(attack, when, executor, **how))

    def left(self) -> list[int]:
        """Return the processes that carry this test's mark, but for those that have ended and wait to be reaped."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and self.tag.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        return found


@pytest.fixture
def attacker(letters: Path, tmp_path: Path) -> Attacker:
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    _hostile().plugin_in(plugin)
    return Attacker(tmp_path, os.pathsep.join([str(plugin), os.environ["PYTHONPATH"]]))


def is_quiet(ended: Ended) -> None:
    """Nothing is left running, and no escape sequence, no traceback and no word of a model is on standard output."""
    assert ended.left == []
    for stream in (ended.out, ended.err):
        assert not {b"\x1b", b"\x07", "\u202e".encode(), b"\xc2\x9b"} & {
            stream[i : i + 1] for i in range(len(stream))
        }
        assert "\u202e".encode() not in stream
        assert b"\xc2\x9b" not in stream


def is_no_verdict(ended: Ended, *codes: int) -> None:
    is_quiet(ended)
    assert ended.code in (codes or (4,)), ended.err
    assert not ended.finished
    assert ended.out == b""
    assert ended.last_line.startswith("audit: ")
    assert b"Traceback" not in ended.err


def is_a_failed_piece(ended: Ended) -> None:
    """The record is kept and says that something failed."""
    assert ended.left == []
    assert ended.code == 4, ended.err
    assert ended.finished
    assert json.loads(ended.out)["failures"]


def is_a_verdict(ended: Ended) -> None:
    is_quiet(ended)
    assert ended.code == 0, ended.err
    assert ended.finished
    record = json.loads(ended.out)  # and nothing else was printed
    assert record["verdict"] == "pass"
    assert record["measurements"][0]["n"] == 60 * 8


ENDS_ITS_PROCESS = ["exit_zero", "exit_one", "abort", "segfault", "kill_itself", "exit_in_a_thread"]
some = pytest.mark.slow


@pytest.mark.parametrize(
    ("attack", "when"),
    [
        ("exit_zero", "sample"),
        *(
            pytest.param(attack, when, marks=some)
            for attack in [*ENDS_ITS_PROCESS, "kill_its_group", "forge_the_end"]
            for when in ("refer", "describe", "open", "sample")
        ),
    ],
)
def test_a_model_that_ends_its_process_ends_no_run_with_a_verdict(
    attacker: Attacker, attack: str, when: str
) -> None:
    is_no_verdict(attacker.run(attack, when))
    assert attacker.run("do_nothing", when).code == 0, "the store is as good as before"


@pytest.mark.parametrize("attack", ["exit_zero", "segfault", pytest.param("system_exit", marks=some)])
def test_a_plugin_that_ends_the_process_that_imports_it(attacker: Attacker, attack: str) -> None:
    is_no_verdict(attacker.run("do_nothing", environment={"HOSTILE_AT_IMPORT": attack}), 2, 4)


@pytest.mark.parametrize("attack", ["exit_zero", *(pytest.param(a, marks=some) for a in ENDS_ITS_PROCESS)])
def test_a_model_that_ends_its_process_is_no_plan(attacker: Attacker, attack: str) -> None:
    ended = attacker.run(attack, "describe", command="plan")
    assert (ended.code, ended.out, ended.left) == (4, b"", [])
    assert ended.last_line.startswith("audit: ")


@pytest.mark.parametrize("attack", ["exit_zero", *(pytest.param(a, marks=some) for a in ENDS_ITS_PROCESS)])
@pytest.mark.parametrize("when", ["sample", pytest.param("open", marks=some)])
def test_a_model_that_ends_its_worker_is_a_failed_piece(attacker: Attacker, attack: str, when: str) -> None:
    is_a_failed_piece(attacker.run(attack, when, "pool"))


@pytest.mark.parametrize("executor", [pytest.param("inline", marks=some), "pool"])
@pytest.mark.parametrize("attack", ["kill_its_parent", pytest.param("kill_its_group", marks=some)])
def test_a_model_that_kills_who_started_it(attacker: Attacker, attack: str, executor: str) -> None:
    ended = attacker.run(attack, "sample", executor)
    assert ended.left == []
    assert ended.code in (4, -signal.SIGKILL)
    assert not ended.finished


@pytest.mark.parametrize(
    ("when", "executor"),
    [
        ("sample", "pool"),
        *(
            pytest.param(when, executor, marks=some)
            for when, executor in (
                ("refer", "inline"),
                ("refer", "pool"),
                ("open", "inline"),
                ("open", "pool"),
                ("sample", "inline"),
            )
        ),
    ],
)
def test_bad_input_is_bad_input_wherever_it_is_found(attacker: Attacker, when: str, executor: str) -> None:
    ended = attacker.run("refuse", when, executor)
    is_no_verdict(ended, 2)
    assert ended.last_line == "audit: The weights are cut short at byte 7. Fetch them again."
    with_cause_removed = attacker.run("do_nothing", when, executor)
    assert with_cause_removed.code == 0, "nothing was recorded as failed"


@pytest.mark.parametrize("executor", ["inline", pytest.param("pool", marks=some)])
def test_no_record_report_or_log_says_where_it_was_made(
    attacker: Attacker, executor: str, tmp_path: Path
) -> None:
    log, page = tmp_path / "log.jsonl", tmp_path / "page.html"
    process = attacker.start("fail_with_places", "sample", executor, options=["--log", str(log)])
    ended = attacker.end(process)
    is_a_failed_piece(ended)
    report = [sys.executable, "-m", "audit", "report", "--store", str(attacker.store), "-o", str(page)]
    subprocess.run(report, check=True, capture_output=True, env=attacker.environment)
    assert "…/notes.txt on this machine is not readable" in json.loads(ended.out)["failures"][0]["error"]
    for text in (
        ended.out.decode(),
        json.dumps(json.loads(ended.out), ensure_ascii=False),
        log.read_text(),
        page.read_text(),
    ):
        assert "notes.txt" in text
        for place in (str(tmp_path), str(Path.home()), sys.prefix):
            assert place not in text
        assert not re.search(rf"(?<![\w-]){re.escape(socket.gethostname())}(?![\w-])", text)


@pytest.mark.parametrize("executor", [pytest.param("inline", marks=some), "pool"])
@pytest.mark.parametrize("attack", ["interrupt", pytest.param("system_exit", marks=some)])
def test_a_model_that_raises_what_ends_programs(attacker: Attacker, attack: str, executor: str) -> None:
    is_a_failed_piece(attacker.run(attack, "sample", executor))


def test_a_model_that_interrupts_the_plan(attacker: Attacker) -> None:
    ended = attacker.run("interrupt", "describe")
    is_no_verdict(ended)
    assert "raised KeyboardInterrupt" in ended.last_line


@pytest.mark.parametrize("executor", ["inline", pytest.param("pool", marks=some)])
@pytest.mark.parametrize(
    "attack",
    [
        "fork_a_daemon",
        *(
            pytest.param(attack, marks=some)
            for attack in (
                "thread_without_end",
                "fork_and_go_on",
                "fork_and_stay",
                "fork_many",
                "fork_without_end",
                "exit_when_python_ends",
                "hang_when_python_ends",
                "raise_in_a_thread",
                "write_to_the_output",
                "ask_for_input",
                "leave_the_folder",
                "close_the_output",
            )
        ),
    ],
)
def test_what_a_model_leaves_behind_ends_with_the_run(attacker: Attacker, attack: str, executor: str) -> None:
    is_a_verdict(attacker.run(attack, "sample", executor))


@pytest.mark.parametrize("when", ["refer", "describe", "open"])
@pytest.mark.slow
def test_a_model_that_forks_before_it_is_sampled(attacker: Attacker, when: str) -> None:
    for attack in ("fork_and_go_on", "fork_a_daemon", "thread_without_end"):
        is_a_verdict(attacker.run(attack, when))


@pytest.mark.parametrize("executor", [pytest.param("inline", marks=some), "pool"])
@pytest.mark.parametrize(
    "attack",
    [
        "print_escapes",
        *(
            pytest.param(a, marks=some)
            for a in ("fill_the_output", "draw_a_progress_bar", "write_to_the_terminal")
        ),
    ],
)
def test_what_a_model_prints_is_shown_and_not_obeyed(attacker: Attacker, attack: str, executor: str) -> None:
    ended = attacker.run(attack, "sample", executor)
    is_a_verdict(ended)
    if attack == "print_escapes":
        assert ended.err.count(b"\\x1b[31mred\\x1b[2J\\x1b]0;title\\x07\\u202e\\x9b1m") >= 5


def test_what_a_model_prints_while_it_is_described_is_shown_and_not_obeyed(attacker: Attacker) -> None:
    ended = attacker.run("print_escapes", "describe", command="plan")
    assert ended.code == 0
    assert b"\\x1b[31mred" in ended.err
    assert not {0x1B, 0x07} & {*ended.err, *ended.out}
    assert json.loads(ended.out)["name"] == "hostile"


@pytest.mark.parametrize(
    "attack",
    ["forge_answers", *(pytest.param(a, marks=some) for a in ("close_everything", "patch_our_modules"))],
)
def test_a_worker_that_answers_what_it_was_not_asked(attacker: Attacker, attack: str) -> None:
    ended = attacker.run(attack, "sample", "pool")
    is_quiet(ended)
    assert ended.code in (0, 4)
    assert ended.finished
    if ended.code == 0:  # then the work was done all the same
        is_a_verdict(ended)


@pytest.mark.parametrize(
    "attack",
    ["patch_the_store", *(pytest.param(a, marks=some) for a in ("close_everything", "forge_the_end"))],
)
def test_a_record_that_was_not_kept_is_no_verdict(attacker: Attacker, attack: str) -> None:
    is_no_verdict(attacker.run(attack, "sample", "inline"))


@pytest.mark.parametrize("executor", [pytest.param("inline", marks=some), "pool"])
@pytest.mark.parametrize("attack", ["delete_the_store", pytest.param("damage_the_store", marks=some)])
def test_a_store_that_is_lost_under_a_run_is_no_verdict(
    attacker: Attacker, attack: str, executor: str
) -> None:
    ended = attacker.run(attack, "sample", executor)
    is_quiet(ended)
    assert ended.code == 4, ended.err
    assert ended.out == b""
    assert "store" in ended.last_line


@pytest.mark.slow
def test_a_model_that_fills_the_memory(attacker: Attacker) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, before[1]))
    try:
        process = attacker.start("fill_the_memory", "sample", "pool")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    is_a_failed_piece(attacker.end(process))


@pytest.mark.slow
@pytest.mark.parametrize(
    "sign",
    [signal.SIGINT, *(pytest.param(s, marks=some) for s in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP))],
)
@pytest.mark.parametrize("attack", ["deaf_to_signals"])
def test_a_model_that_does_not_listen_ends_with_the_command(
    attacker: Attacker, attack: str, sign: signal.Signals
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, by what is started too
    try:
        process = attacker.start(attack, "sample", "inline")
    finally:
        signal.signal(signal.SIGHUP, before)
    _wait_for(lambda: (attacker.store / "ledger.sqlite").exists() and _deaf(attacker.left()))
    process.send_signal(sign)
    ended = attacker.end(process)
    assert ended.code == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(sign, -sign)
    assert ended.left == []
    assert not ended.finished


@pytest.mark.parametrize("executor", ["inline", pytest.param("pool", marks=some)])
def test_daemons_of_a_killed_command_end_with_it(attacker: Attacker, executor: str) -> None:
    process = attacker.start("fork_a_daemon", "sample", executor)
    _wait_for(lambda: len(attacker.left()) > 5 or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    assert attacker.end(process).left == []


def _deaf(processes: list[int]) -> bool:
    """Say whether one of them ignores SIGTERM (bit 14 of the mask) and SIGHUP (bit 0)."""
    for pid in processes:
        with contextlib.suppress(OSError):
            lines = dict(
                line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            )
            if int(lines["SigIgn"], 16) & 0x4001 == 0x4001:
                return True
    return False


def _wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
