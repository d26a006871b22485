"""Join a Ray cluster, and see that its machines would make the same bytes: same versions, same folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audit import __version__
from audit.core.errors import InputError
from audit.engine.environment import libraries
from audit.registry import GROUPS
from audit.store.blobs import UNFINISHED
from audit.store.location import folder_at

_ANSWERS_WITHIN = 5.0
"""Seconds in which something has to listen at an address."""
_LOOKS_WITHIN = 300.0
"""Seconds in which every machine of a cluster has to have looked: a Python process is started on each."""
_NOTICES_WITHIN = 40.0
"""Seconds in which Ray notices a dead machine: it asks every 3 seconds and gives up after five silences, by default."""
_OBJECTS = 100 << 20
"""Bytes of shared memory of a cluster of our own: shards travel through the store, so next to none is used."""
_START = "Start one with 'ray start --head' and name its HOST:PORT, or leave --address out to use this machine alone."


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster that this process has joined; ``started`` says that it began with this process."""

    started: bool
    cpus: int
    gpus: int

    def leave(self) -> None:
        """Give back what this process holds there, and end the cluster if it is ours."""
        import ray

        if self.started or ray.is_initialized():
            ray.shutdown()


def joined(address: str | None, workers: int | None) -> Cluster:
    """Join the cluster at ``address`` (HOST:PORT, or ``auto`` for one that runs here), or start one of this machine alone.

    Raises InputError when Ray is not installed, nobody answers, or what answers
    is another version of Ray or Python.
    """
    if find_spec("ray") is None:
        raise InputError(
            "The executor 'ray' needs the package ray. Run: pip install 'generative-audit[ray]', here and on "
            "every machine of the cluster."
        )
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    _refuse_silent(where)
    cores = workers or len(os.sched_getaffinity(0))
    own: dict[str, Any] = {"num_cpus": cores, "object_store_memory": _OBJECTS, "include_dashboard": False}
    _init(where, own if where == "local" else {})
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus, gpus = (int(sum(node.get(kind, 0) for node in alive)) for kind in ("CPU", "GPU"))
    return Cluster(where == "local", cpus, gpus)


def _refuse_silent(where: str) -> None:
    """Raise InputError for an address that cannot be used, or at which nothing listens."""
    if where in ("local", "auto"):
        return
    host, _, port = where.rpartition(":")
    if "://" in where or not host or not port.isdigit():
        raise InputError(
            f"'{where}' is no address of a Ray cluster. Accepted: HOST:PORT of its head, such as 10.0.0.5:6379, "
            "from a machine that belongs to the cluster ('ray start --address HOST:PORT' joins one); 'auto' for the cluster "
            "that this machine belongs to; 'local' for this machine alone."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWERS_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"No Ray cluster answers at {where}: {error}. {_START}") from None


def _init(where: str, options: Mapping[str, Any]) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere during an audit
    if (
        where == "local"
    ):  # Ray has workers give way to everything else on the machine (15), as those of the pool do not
        os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    if ray.is_initialized():  # somebody who uses this package from Python has joined one
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(address=where, logging_level="warning", namespace="audit", **options)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        ray.shutdown()
        if "ersion mismatch" in str(error):
            said = " ".join(str(error).split())
            raise InputError(
                f"The Ray cluster at {where} is of other versions than this machine: {said} Install the same versions of "
                "Python and ray on both."
            ) from error
        raise InputError(f"The Ray cluster at {where} cannot be joined: {error} {_START}") from error
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)  # Ray sets one that ends the process with code 15


def looker() -> Callable[..., dict[str, Any]]:
    """Return a function that says what a machine has: versions, and whether it shares a folder with this one.

    It is made anew by each call, so that Ray sends its code and not its name: it
    runs where this package may be missing.
    """

    def look(packages: Sequence[str], folder: str, token: str, path: Sequence[str]) -> dict[str, Any]:
        import socket
        import sys
        from importlib import import_module
        from importlib.metadata import PackageNotFoundError, version
        from importlib.util import find_spec
        from pathlib import Path

        sys.path += [place for place in path if place not in sys.path]  # plugins may lie where the spec says
        found = getattr(import_module("audit"), "__version__", "") if find_spec("audit") else ""
        versions = {}
        for package in packages:
            try:
                versions[package] = version(package)
            except PackageNotFoundError:
                versions[package] = ""
        if found:
            versions["generative-audit"] = found  # that of the code, which may lie elsewhere
        host, shared = socket.gethostname(), ""
        try:
            # without a folder blobs are in a bucket: the first shard finds out whether this machine may write there
            if folder and (Path(folder) / token).is_file():
                (Path(folder) / f"{token}.{host}").write_text(host)
            elif folder:
                shared = "there is no such folder, or it is another one than here"
        except OSError as error:
            shared = str(error)
        return {"host": host, "audit": bool(found), "versions": versions, "shared": shared}

    return look


@dataclass
class Sharing:
    """A file in the store that every worker has to find before it is given work."""

    blobs: str
    versions: Mapping[str, str]
    token: str = field(default_factory=lambda: f"shared-{secrets.token_hex(8)}")

    @property
    def folder(self) -> Path | None:
        """Where the file lies; None where blobs are in a bucket, in which nothing has to be mounted."""
        folder = folder_at(self.blobs)
        return None if folder is None else folder / UNFINISHED

    @property
    def asked(self) -> tuple[list[str], str, str, list[str]]:
        """What a machine is asked to look for."""
        return [*self.versions], str(self.folder or ""), self.token, [*sys.path]

    def put(self) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / self.token).write_text(
            "A worker that finds this shares the store.\n", encoding="utf-8"
        )

    def remove(self) -> None:
        for path in self.folder.glob(f"{self.token}*") if self.folder else ():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def check(self, found: Mapping[str, Any]) -> None:
        """Raise InputError when a machine that has looked would not make the same bytes, or keep them where this one reads."""
        if (why := unlike(self.versions, found)) is not None:
            raise InputError(why)
        if found["shared"]:
            raise InputError(
                f"The machine '{found['host']}' does not reach the store at {self.blobs} ({found['shared']}). Every machine of "
                "the cluster needs it under the same path: name a shared folder with --store, or run with --executor pool."
            )
        if self.folder and not (self.folder / f"{self.token}.{found['host']}").is_file():
            raise InputError(
                f"What the machine '{found['host']}' writes to {self.blobs} does not arrive here. Name a folder that "
                "all machines share with --store."
            )


def unlike(here: Mapping[str, str], found: Mapping[str, Any]) -> str | None:
    """Say in what a machine differs from this one, or return None.

    >>> unlike({"numpy": "2.1"}, {"host": "b", "audit": True, "versions": {"numpy": "2.2"}})
    "The machine 'b' has numpy 2.2, this one 2.1. A record names one version of each, so install the same ones everywhere."
    """
    if not found["audit"]:
        return (
            f"The machine '{found['host']}' lacks the package generative-audit. Run there, in the environment in which Ray was "
            f"started: pip install 'generative-audit[ray]=={here.get('generative-audit', '')}'"
        )
    theirs = found["versions"]
    others = [
        f"{name} {theirs.get(name) or '(none)'}, this one {v}"
        for name, v in here.items()
        if theirs.get(name) != v
    ]
    if not others:
        return None
    return (
        f"The machine '{found['host']}' has {'; '.join(others)}. A record names one version of each, so install the same "
        "ones everywhere."
    )


def versions_here() -> dict[str, str]:
    """Return the version of each package that brings a plugin or computes numbers."""
    plugins = {
        entry.dist.name: entry.dist.version
        for group in GROUPS.values()
        for entry in entry_points(group=group)
        if entry.dist is not None
    }
    return {**plugins, **libraries(), "generative-audit": __version__}


def look_around(sharing: Sharing) -> None:
    """Have every machine of the cluster look, before any work starts. Raises InputError for the first that will not do.

    Ray goes on listing a dead machine for some seconds. Such a machine does not take part in the run, and does not stop it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    look = ray.remote(looker())
    looks = {
        look.options(num_cpus=0, max_retries=0, scheduling_strategy=On(node["NodeID"], soft=False)).remote(
            *sharing.asked
        ): node
        for node in ray.nodes()
        if node["Alive"]
    }
    ready, silent = ray.wait(list(looks), num_returns=len(looks), timeout=_LOOKS_WITHIN)
    failed: dict[str, Exception] = {}
    for ref in ready:
        try:
            sharing.check(ray.get(ref))
        except ray.exceptions.RayError as error:
            failed[looks[ref]["NodeID"]] = error
    alive = _still_alive({*failed, *(looks[ref]["NodeID"] for ref in silent)})
    if why := next((why for node, why in failed.items() if node in alive), None):
        raise InputError(
            f"A machine of the Ray cluster does not answer: {str(why).strip().splitlines()[-1]} See 'ray status'."
        ) from why
    if hosts := ", ".join(
        looks[ref]["NodeManagerHostname"] for ref in silent if looks[ref]["NodeID"] in alive
    ):
        raise InputError(
            f"{hosts} did not start a Python process within {_LOOKS_WITHIN:g} seconds. See 'ray status' and Ray's logs there."
        )


def _still_alive(asked: set[str]) -> set[str]:
    """Return which of some nodes Ray holds for alive once it has had the time to notice that one is dead."""
    import ray

    until = time.monotonic() + _NOTICES_WITHIN
    while alive := asked & {node["NodeID"] for node in ray.nodes() if node["Alive"]}:
        if time.monotonic() > until:
            break
        time.sleep(0.5)
    return alive
