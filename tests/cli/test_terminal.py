"""Commands on a terminal, and on streams that are closed, full, or of another encoding than UTF-8."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from audit.cli.descendants import descendants

Letters = Callable[..., Path]


@dataclass
class Terminal:
    """A command with a terminal of its own, as a shell would start it there."""

    process: subprocess.Popen[bytes]
    keys: int
    shown: bytes = b""
    below: set[int] = field(default_factory=set)

    def type(self, text: str) -> None:
        os.write(self.keys, text.encode())

    def read(self, until: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, self.shown.decode(errors="replace")
            if select.select([self.keys], [], [], 0.05)[0]:
                try:
                    self.shown += os.read(self.keys, 65_536)
                except OSError:  # nobody has the terminal open any more
                    self.process.wait(60)
                    return

    def end(self) -> int:
        self.read(lambda: False)
        return self.process.wait(60)


@contextlib.contextmanager
def on_a_terminal(*arguments: object) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()

    def take_the_terminal() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        for number in (signal.SIGINT, signal.SIGTSTP):
            signal.signal(number, signal.SIG_DFL)

    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "audit", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=take_the_terminal,
        env=environment,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_a_run_on_a_terminal_draws_a_bar_and_then_the_scorecard(
    letters_spec: Letters, tmp_path: Path
) -> None:
    with on_a_terminal("run", letters_spec(executor="pool"), "--store", tmp_path / "s") as terminal:
        assert terminal.end() == 0
    assert b"\x1b[?25l" in terminal.shown, "the cursor is hidden while the bar is drawn"
    assert b"PASS" in terminal.shown


@pytest.mark.parametrize("executor", ["inline", pytest.param("pool", marks=pytest.mark.slow)])
def test_what_a_model_prints_is_escaped_on_a_terminal_too(
    letters_spec: Letters, tmp_path: Path, executor: str
) -> None:
    spec = letters_spec("talks", executor=executor)
    with on_a_terminal("run", spec, "--store", tmp_path / "s") as terminal:
        assert terminal.end() == 0
    assert b"\\x1b]0;title\\x07" in terminal.shown
    assert b"\x1b]0;title" not in terminal.shown


@pytest.mark.parametrize("executor", ["inline", "pool"])
def test_ctrl_c_ends_a_run_and_all_below_it(letters_spec: Letters, tmp_path: Path, executor: str) -> None:
    spec = letters_spec("hangs", executor=executor)
    with on_a_terminal("run", spec, "--store", tmp_path / "s") as terminal:
        terminal.read(lambda: b"to make" in terminal.shown)
        below = set(descendants(terminal.process.pid))
        terminal.type("\x03")
        assert terminal.end() == 130
    assert b"interrupted; the same command resumes where it stopped" in terminal.shown
    assert b"Traceback" not in terminal.shown
    assert not [pid for pid in below if _state(pid) not in "ZX"]


def test_ctrl_z_suspends_all_and_the_run_finishes_once_it_is_continued(
    letters_spec: Letters, tmp_path: Path
) -> None:
    spec = letters_spec(samples=300, shard_size=1, executor="pool", workers=2)
    with on_a_terminal("run", spec, "--store", tmp_path / "s") as terminal:
        terminal.read(lambda: sum(1 for _ in tmp_path.glob("s/blobs/??/??/*")) > 5)
        terminal.type("\x1a")
        pid = terminal.process.pid
        terminal.read(lambda: _state(pid) == "T")
        terminal.read(lambda: {_state(below) for below in descendants(pid)} == {"T"})
        made = sum(1 for _ in tmp_path.glob("s/blobs/??/??/*"))
        time.sleep(0.5)
        assert sum(1 for _ in tmp_path.glob("s/blobs/??/??/*")) == made
        os.kill(pid, signal.SIGCONT)
        assert terminal.end() == 0


def test_a_suspended_run_that_is_killed_leaves_nothing(letters_spec: Letters, tmp_path: Path) -> None:
    spec = letters_spec("hangs", executor="pool", workers=2)
    with on_a_terminal("run", spec, "--store", tmp_path / "s") as terminal:
        pid = terminal.process.pid
        terminal.read(lambda: len(descendants(pid)) >= 4)
        terminal.type("\x1a")
        terminal.read(lambda: _state(pid) == "T")
        below = set(descendants(pid))
        terminal.process.kill()
        deadline = time.monotonic() + 60
        while [pid for pid in below if _state(pid) not in "ZX"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


@pytest.mark.parametrize(
    "closed", ["0 1 2", *(pytest.param(c, marks=pytest.mark.slow) for c in ("1", "0", "2", "0 1", "1 2"))]
)
def test_closed_streams_change_no_exit_code_and_no_file(
    letters_spec: Letters, tmp_path: Path, closed: str
) -> None:
    """A descriptor that is closed is given to the next file that is opened: the ledger, if nobody takes care."""
    store = tmp_path / "s"
    shell = f'exec "$@" {" ".join(f"{number}>&-" for number in closed.split())}'
    command = [
        sys.executable,
        "-m",
        "audit",
        "run",
        str(letters_spec("talks", executor="pool")),
        "--store",
        str(store),
    ]
    done = subprocess.run(["bash", "-c", shell, "x", *command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("1" in closed) is (done.stdout == b"")
    check = subprocess.run(
        [sys.executable, "-m", "audit", "store", "check", "--store", str(store)], check=False
    )
    assert check.returncode == 0


@pytest.mark.parametrize("form", ["text", pytest.param("json", marks=pytest.mark.slow)])
def test_a_full_standard_output_is_no_verdict(letters_spec: Letters, tmp_path: Path, form: str) -> None:
    command = [sys.executable, "-m", "audit", "run", str(letters_spec()), "--store", str(tmp_path / "s")]
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run([*command, "--format", form], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].startswith(b"audit: ")
    assert b"Traceback" not in done.stderr


ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "posix": {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "strict": {"PYTHONIOENCODING": "cp1252:strict"},
}
QUICK = (("posix", "run", "text"), ("strict", "show", "json"))
"""An encoding of the place and one of Python's own; ``make test-slow`` tries every pair."""


@pytest.mark.parametrize(
    ("encoding", "command", "form"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in itertools.product(ENCODINGS, ("run", "plan", "show", "list"), ("text", "json"))
    ],
)
def test_a_terminal_that_cannot_show_a_sign_gets_a_substitute(
    letters_spec: Letters, tmp_path: Path, encoding: str, command: str, form: str
) -> None:
    spec = letters_spec("talks")
    spec.write_text(spec.read_text().replace('name = "letters"', 'name = "Zürich — 東京 😀"', 1))
    environment = {**os.environ, **ENCODINGS[encoding], "COLUMNS": "200"}
    arguments = {"run": [str(spec)], "plan": [str(spec)], "show": [], "list": ["runs"]}

    def audit(name: str) -> subprocess.CompletedProcess[bytes]:
        words = [
            sys.executable,
            "-m",
            "audit",
            name,
            *arguments[name],
            "--store",
            str(tmp_path / "s"),
            "--format",
            form,
        ]
        return subprocess.run(words, capture_output=True, env=environment, check=False)

    done = audit("run")
    if command != "run":
        done = audit(command)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    said: Any = done.stdout.decode("latin-1")
    if form == "json":
        said = json.loads(done.stdout)
        said = said[0] if isinstance(said, list) else said
        assert said["name"] == "Zürich — 東京 😀"
    else:
        assert "rich" in said
        assert "\\u6771\\u4eac \\U0001f600" in said


@pytest.mark.slow
def test_what_a_library_prints_of_a_model_file_is_escaped(tiny_lm: Path, tmp_path: Path) -> None:
    """Transformers lists tensors that it did not expect by their names, which are whatever the file says."""
    import torch
    from safetensors.torch import load_file, save_file

    model, texts = tmp_path / "model", tmp_path / "texts"
    shutil.copytree(tiny_lm, model)
    tensors = load_file(model / "model.safetensors")
    save_file(
        {**tensors, "evil\x1b[31mred\x1b]0;title\x07": torch.zeros(3)},
        model / "model.safetensors",
        {"format": "pt"},
    )
    texts.mkdir()
    for number in range(60):
        (texts / f"{number}.txt").write_text(f"the nurse said that she would be late {number} times")
    (tmp_path / "spec.toml").write_text(
        'name = "a"\n[model]\nadapter = "transformers"\npath = "model"\nmax_new_tokens = 8\n'
        '[data]\nuse = "text"\nholdout = "texts"\n[[evaluators]]\nname = "quality.bits_per_byte"\n'
    )
    command = [
        sys.executable,
        "-m",
        "audit",
        "run",
        str(tmp_path / "spec.toml"),
        "--store",
        str(tmp_path / "s"),
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode in (0, 2, 3)  # read with the rest left out, or refused
    assert b"evil" in done.stderr  # named, by the library or by our refusal
    assert b"\x1b" not in done.stderr + done.stdout
    assert b"\x07" not in done.stderr + done.stdout
