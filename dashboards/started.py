"""Audits that were started here: ordinary ``audit run`` processes, found again from files in the store's folder.

Each has a folder of its own below ``started``: what was chosen, and for each time it was started or resumed the output
and the events. The process holds a lock on a file there as long as it lives, and the operating system lets it go when it ends, however that
happens. So neither a restart of the dashboard nor a process number that was given to another process leads anyone astray.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.store.location import StoreAddress
from dashboards.choices import PROGRAM, Choice, checked, environment, last_words, placed
from reports.redact import visible

FOLDER = "started"
MOST_AT_ONCE = 3
MOST_LISTED = 20
_TAIL = 4_000
_PATIENCE = 2.0
"""Seconds that a look at a lock may hold it from whoever wants to start."""
_children: list[subprocess.Popen[bytes]] = []
"""Processes of this dashboard that have not been asked yet whether they ended."""


class State(StrEnum):
    """How an audit stands."""

    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


ALIVE = (State.RUNNING, State.STOPPING)


@dataclass(frozen=True, slots=True)
class Started:
    """One audit that was started here. ``message`` says why it failed, ``output`` is the end of what it printed."""

    id: str
    choice: Choice
    began: str
    state: State
    times: int
    run: str = ""
    verdict: str = ""
    made: int = 0
    total: int = 0
    doing: str = ""
    message: str = ""
    output: str = ""

    @property
    def share(self) -> float:
        """How much of the work is done, from 0 to 1."""
        return min(self.made / self.total, 1.0) if self.total else 0.0


def start(address: StoreAddress, choice: Choice) -> str:
    """Start an audit and return its id. Raise InputError where that is not possible."""
    checked(choice)
    known = every(address)
    alive = [one for one in known if one.state in ALIVE]
    if len(alive) >= MOST_AT_ONCE:
        raise InputError(f"{len(alive)} audits are running already; wait for one, or stop it.")
    if same := [one for one in alive if one.choice == choice]:
        raise InputError(f"This audit is running already, since {same[0].began}.")
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    folder = _home(address) / name
    try:
        folder.mkdir(parents=True)
        (folder / "choice.json").write_text(json.dumps({**asdict(choice), "began": _now()}), encoding="utf-8")
    except OSError as error:
        raise InputError(f"The store {address} cannot be written: {error.strerror}.") from None
    _launch(address, folder, choice)
    return name


def resume(address: StoreAddress, name: str) -> None:
    """Start the same command again: it goes on where it stopped. Raise InputError where that is not possible."""
    folder = _folder(address, name)
    _launch(address, folder, checked(_choice(folder)[0]))


def stop(address: StoreAddress, name: str) -> None:
    """Send what Ctrl-C sends; what was made is kept. One that has ended already is left alone."""
    folder = _folder(address, name)
    number = _times(folder)
    try:
        handle = os.pidfd_open(int((folder / f"{number}.pid").read_text(encoding="ascii")))
    except (OSError, ValueError):
        return
    try:
        if _held(folder):  # so the number still is that of the process that holds the lock
            (folder / f"{number}.stop").touch()
            signal.pidfd_send_signal(handle, signal.SIGINT)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def every(address: StoreAddress) -> list[Started]:
    """Return the audits that were started here, the newest first."""
    _children[:] = [child for child in _children if child.poll() is None]
    home = _home(address)
    names = sorted((p.name for p in home.iterdir() if p.is_dir()), reverse=True) if home.is_dir() else []
    return [one for name in names[:MOST_LISTED] if (one := _read(home / name)) is not None]


def _home(address: StoreAddress) -> Path:
    if address.folder is None:
        raise InputError("Audits are started on a store in a folder alone.")
    return address.folder / FOLDER


def _folder(address: StoreAddress, name: str) -> Path:
    home = _home(address)
    if not home.is_dir() or name not in {p.name for p in home.iterdir()}:
        raise InputError("That audit is not there any more.")
    return home / name


def _launch(address: StoreAddress, folder: Path, choice: Choice) -> None:
    """Start the command in a session of its own, with its own log; it outlives this process."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _taken(lock):
            raise InputError("This audit is running already.")
        spec, options = placed(choice, folder)
        number = _times(folder) + 1
        with (folder / f"{number}.log").open("xb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter, names from our own lists, no shell
                [
                    *(sys.executable, "-P", "-c", PROGRAM, "run", *options),
                    *(f"--log={folder / f'{number}.events'}", "--", str(spec)),
                ],
                cwd=folder,
                env=environment(address),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
                start_new_session=True,
            )
        (folder / f"{number}.pid").write_text(str(process.pid), encoding="ascii")
        _children.append(process)
    except OSError as error:
        raise InputError(f"The audit could not be started: {error.strerror}.") from None
    finally:
        os.close(lock)  # the process has its own descriptor, and the lock with it


def _taken(lock: int) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _held(folder: Path) -> bool:
    """Say whether the process of an audit lives."""
    try:
        lock = os.open(folder / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _times(folder: Path) -> int:
    """Return how often an audit was started and resumed."""
    return max((int(p.stem) for p in folder.glob("*.log") if p.stem.isdecimal()), default=0)


def _choice(folder: Path) -> tuple[Choice, str]:
    try:
        said = json.loads((folder / "choice.json").read_text(encoding="utf-8"))
        began = str(said.pop("began"))
        return Choice(**said), began
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"What was chosen for this audit cannot be read ({type(error).__name__}).") from None


def _read(folder: Path) -> Started | None:
    """Return how an audit stands; None for a folder that holds no audit."""
    try:
        choice, began = _choice(folder)
    except InputError:
        return None
    held = _held(folder)  # first: of one that ends meanwhile all events are read
    number = _times(folder)
    stopped = (folder / f"{number}.stop").exists()
    output = _tail(folder / f"{number}.log")
    seen = _seen(folder / f"{number}.events")
    if seen["verdict"]:  # the record is in the store; what is left is leaving
        state = State.FINISHED
    elif held:
        state = State.STOPPING if stopped else State.RUNNING
    else:
        state = State.STOPPED if stopped else State.FAILED
    return Started(
        id=folder.name,
        choice=choice,
        began=began,
        state=state,
        times=number,
        message=last_words(output) if state is State.FAILED else "",
        output=visible(output.decode("utf-8", "replace")),
        **seen,
    )


def _seen(path: Path) -> dict[str, Any]:
    """Return what the events of a run say: its id, how far it is, and its verdict once it has finished."""
    run = verdict = doing = ""
    made = total = 0
    labels: dict[str, str] = {}
    for event in _events(path):
        match event:
            case {"event": "began", "run": str(run)}:
                pass
            case {"event": "needed", "artifacts": list(artifacts)}:
                labels = {a["key"]: str(a["label"]) for a in artifacts}
                total, made = sum(int(a["missing"]) for a in artifacts), 0
            case {"event": "made" | "failed" | "no value", "key": key}:
                made, doing = made + 1, labels.get(key, "")
            case {"event": "assessed", "evaluator": str(doing)}:
                pass
            case {"event": "finished", "verdict": str(verdict)}:
                pass
    return {"run": run, "verdict": verdict, "made": made, "total": total, "doing": doing}


def _events(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    event = json.loads(line)
                except ValueError:  # the last one, not yet written to its end
                    continue
                if isinstance(event, dict):
                    yield event
    except OSError:
        return


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read()
    except OSError:
        return b""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
