"""A plugin with a model that attacks the command that audits it, in a way and at a moment that its options name.

``plugin_in`` writes it where ``sys.path`` leads, with the entry point of an installed package.
"""

# ruff: noqa: T201, PTH123, PTH207
from __future__ import annotations

import atexit
import contextlib
import ctypes
import glob
import json
import logging
import os
import shutil
import signal
import socket
import stat
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from audit.core.capabilities import Capability, implemented
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.references import ModelRef
from audit.core.rows import Rng, Rows, text_rows
from audit.core.subjects import ModelCard

ESCAPES = "\x1b[31mred\x1b[2J\x1b]0;title\x07\u202e\x9b1m"
LASTING = 1_000


def plugin_in(folder: Path) -> None:
    """Install this module there as a package that offers the adapter ``hostile``."""
    shutil.copy(__file__, folder / "hostile.py")
    info = folder / "hostile-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[audit.models]\nhostile = hostile:Hostile\n")


def exit_zero() -> None:
    os._exit(0)


def exit_one() -> None:
    os._exit(1)


def system_exit() -> None:
    sys.exit(0)


def refuse() -> None:
    raise InputError("The weights are cut short at byte 7. Fetch them again.")


def fail_with_places() -> None:
    raise RuntimeError(
        f"{__file__}: {Path.home()}/secret/notes.txt on {socket.gethostname()} is not readable"
    )


def abort() -> None:
    os.abort()


def segfault() -> None:
    ctypes.string_at(0)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_its_group() -> None:
    os.killpg(0, signal.SIGKILL)


def kill_its_parent() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(LASTING)


def interrupt() -> None:
    raise KeyboardInterrupt


def exit_in_a_thread() -> None:
    thread = threading.Thread(target=os._exit, args=(0,))
    thread.start()
    thread.join()


def exit_when_python_ends() -> None:
    atexit.register(os._exit, 0)


def hang_when_python_ends() -> None:
    atexit.register(time.sleep, LASTING)


def thread_without_end() -> None:
    threading.Thread(target=time.sleep, args=(LASTING,)).start()


def raise_in_a_thread() -> None:
    thread = threading.Thread(target=sys.exit, args=(ESCAPES,))
    thread.start()
    thread.join()


def deaf_to_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(LASTING)


def sleep() -> None:
    time.sleep(LASTING)


def fork_and_go_on() -> None:
    os.fork()


def fork_and_stay() -> None:
    if os.fork() == 0:
        time.sleep(LASTING)
        os._exit(0)


def fork_a_daemon() -> None:
    """Fork twice in a session of its own, as daemons do, and keep every pipe open."""
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if os.fork() == 0:
            time.sleep(LASTING)
        os._exit(0)
    os.waitpid(child, 0)


def fork_many() -> None:
    for _ in range(20):
        fork_a_daemon()


def fork_without_end() -> None:
    """Replace itself by a copy over and over, so that a list of processes is old once it is made."""
    if os.fork() == 0:
        while True:
            if os.fork():
                os._exit(0)
            time.sleep(0.001)


def close_the_output() -> None:
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            os.close(descriptor)
    with contextlib.suppress(Exception):
        print("x", flush=True)


def close_everything() -> None:
    os.closerange(3, 4_096)


def write_to_the_output() -> None:
    os.write(1, json.dumps({"verdict": "pass"}).encode() + b"\n")


def fill_the_output() -> None:
    with open("/dev/stdout", "wb") as out:
        out.write(b"\x1bx" * 500_000)


def write_to_the_terminal() -> None:
    with contextlib.suppress(OSError), open("/dev/tty", "w") as terminal:
        terminal.write(ESCAPES)


def print_escapes() -> None:
    print(ESCAPES)
    print(ESCAPES, file=sys.stderr)
    warnings.warn(ESCAPES, stacklevel=1)
    logging.getLogger("library").error(ESCAPES)
    os.write(2, ESCAPES.encode() + b"\xff\xfe\n")
    os.write(1, b"unfinished line " + ESCAPES.encode())


def raise_escapes() -> None:
    raise RuntimeError(ESCAPES)


def draw_a_progress_bar() -> None:
    from tqdm import tqdm

    for _ in tqdm(range(3), desc=ESCAPES):
        pass


def ask_for_input() -> None:
    with contextlib.suppress(EOFError):
        input("password: ")


def _pipes() -> list[int]:
    """Return the descriptors of this process that something at another end reads."""
    found = []
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
                found.append(descriptor)
    return found


def forge_the_end() -> None:
    """Say that the job is done wherever something listens, and leave."""
    for descriptor in _pipes():
        with contextlib.suppress(OSError):  # the end that is read
            os.write(descriptor, b'{"event": "done"}\n')
    os._exit(0)


def forge_answers() -> None:
    """Answer for work that was not asked for, and with a blob that is not there."""
    for descriptor in _pipes():
        with contextlib.suppress(OSError):
            for body in ({"of": ["x", 0, 0], "made": ["0" * 40, 0.0, "w"]}, ["no object"], {"made": 3}):
                line = json.dumps(body).encode()
                os.write(descriptor, len(line).to_bytes(4, "big") + line)


def patch_our_modules() -> None:
    import audit.engine.worker
    import audit.store.blobs

    os._exit = lambda code: None  # type: ignore[assignment]
    audit.store.blobs.FileBlobs.put = lambda self, data: Digest("0" * 40)  # type: ignore[method-assign]
    audit.engine.worker.worker_name = lambda: 7  # type: ignore[assignment, return-value]


def patch_the_store() -> None:
    import audit.store.runs

    audit.store.runs.Store.finish = lambda *_: None  # type: ignore[method-assign, assignment]


def delete_the_store() -> None:
    shutil.rmtree(os.environ["HOSTILE_STORE"])


def leave_the_folder() -> None:
    os.chdir("/")


def damage_the_store() -> None:
    for path in glob.glob(os.environ["HOSTILE_STORE"] + "/blobs/??/??/*"):
        Path(path).write_bytes(b"damaged")


def fill_the_memory() -> None:
    import numpy as np

    held = []
    while True:
        held.append(np.empty(1 << 30, np.uint8))


def do_nothing() -> None:
    pass


_WHEN = os.environ.get("HOSTILE_AT_IMPORT")
if _WHEN:
    globals()[_WHEN]()


class Hostile:
    """Writes letters, and attacks when it is referred to, described, opened or sampled."""

    def __init__(self, attack: Callable[[], None]) -> None:
        self._attack = attack

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        _attack(options, "refer")
        return ModelRef("hostile", Digest("11" * 20), tuple(sorted(options.items())))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        _attack(dict(ref.options), "describe")
        return ModelCard("letters", "text", 0), implemented(cls)

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> Self:
        options = dict(ref.options)
        _attack(options, "open")
        return cls(globals()[options["attack"]] if options["when"] == "sample" else do_nothing)

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        self._attack()
        return text_rows(["".join(chr(97 + c) for c in word) for word in rng.integers(0, 26, (n, 8))])


def _attack(options: dict[str, Any], when: str) -> None:
    if options["when"] == when:
        globals()[options["attack"]]()
