"""Run tasks on a Ray cluster: workers on many machines, which share the store's folder and keep their opened models."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from audit.core.errors import InputError
from audit.core.facts import Failed, Made, Task
from audit.core.recipes import Recipe, Resources
from audit.engine.attempts import LOST
from audit.engine.executors.cluster import Sharing, joined, look_around, looker, versions_here
from audit.engine.executors.locality import Whereabouts, local_reads, workers_cache
from audit.engine.executors.retrying import Retrying

_LOOK = 0.25
"""Seconds between looks at the clock while tasks run."""
_PATIENCE = 900.0
"""Seconds without any worker after which a run stops: a cluster may have to bring machines up first."""
_STARTS = 5
"""Workers in a row that may be lost before they have said a word."""
_SAID_LAST = 400
"""Characters of what Ray says about a lost worker."""


@dataclass
class _Worker:
    actor: Any
    holds: Resources
    ref: Any
    task: Task | None = None
    since: float = 0.0
    started: bool = False
    node: str = ""


class Ray(Retrying[_Worker]):
    """Actors on a Ray cluster, each with its own opened models; one that dies, or whose machine does, is replaced.

    ``address`` is HOST:PORT of a cluster that this machine belongs to, or ``auto``;
    else that of ``RAY_ADDRESS``; else a cluster of this machine alone is started and
    ended again. A worker holds what the recipes it makes ask for, and at least one
    core, or one GPU where ``device`` is one. Where machines cache the blobs, a worker is
    given what reads shards of its own machine before what reads those of others; none waits for it.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        device: str = "cpu",
        time_limit: float | None = 3600.0,
        address: str | None = None,
    ) -> None:
        super().__init__(time_limit)
        if device.startswith("cuda:"):
            raise InputError(
                f"Ray decides which GPU a worker has, so '{device}' cannot be kept to. Use --device cuda."
            )
        self._device = device
        self._least = Resources(gpus=1) if device == "cuda" else Resources()
        self._cluster = joined(address, workers)
        room = self._cluster.gpus if device == "cuda" else self._cluster.cpus
        if room == 0:
            self._cluster.leave()
            lacks = "GPU; use --device cpu" if device == "cuda" else "core to spare for work"
            raise InputError(f"The Ray cluster has no {lacks}.")
        self._size = workers or room
        self._sharing: Sharing | None = None
        self._where: Whereabouts | None = None
        self._unborn = 0
        self._last_seen = time.monotonic()

    @property
    def slots(self) -> int:
        """At least one more than can run, so that no worker waits for the driver; more where the next free one is to choose."""
        ahead = 1 if self._where is None else self._size + 1
        return self._size + ahead

    def submit(self, task: Task) -> None:
        """Take a task. Before the first, every machine is looked at, and one that will not do raises InputError."""
        if self._sharing is None:
            self._sharing = Sharing(task.blobs, versions_here())
            self._sharing.put()
            if not self._cluster.started:
                look_around(self._sharing)
                self._where = Whereabouts() if workers_cache(task.blobs) else None
        self._waiting.append(task)
        self._hand_out()

    def completed(self) -> Iterator[Made | Failed]:
        """Wait until at least one task has ended, and yield what has."""
        import ray

        outcomes: list[Made | Failed] = []
        while not outcomes and (self._waiting or any(w.task for w in self._workers)):
            self._hand_out()
            heard = {w.ref: w for w in self._workers if w.ref is not None}
            ready, _ = ray.wait(list(heard), num_returns=1, timeout=_LOOK)
            if ready:
                ready, _ = ray.wait(list(heard), num_returns=len(heard), timeout=0)
            for ref in ready:
                outcomes += self._receive(heard[ref])
            outcomes += self._overdue()
            self._see_that_work_goes_on()
        self._hand_out()
        yield from outcomes

    def close(self) -> None:
        """End every worker at once (no task leaves anything half done), and leave the cluster."""
        self._waiting.clear()
        for worker in list(self._workers):
            self._discard(worker)
        if self._sharing is not None:
            self._sharing.remove()
        self._cluster.leave()

    def _need(self, recipe: Recipe[Any]) -> Resources:
        asks, least = recipe.resources, self._least
        memory = max((m for m in (asks.memory_mb, least.memory_mb) if m is not None), default=None)
        return Resources(max(asks.cpus, least.cpus), max(asks.gpus, least.gpus), memory)

    def _hand_out(self) -> None:
        """Give idle workers what waits, the first first, and start workers for what no worker there is suits."""
        idle = [w for w in self._workers if w.started and w.task is None]
        coming = [w for w in self._workers if not w.started]
        where = self._where
        waiting = self._waiting if where is None else where.in_order(self._waiting, [w.node for w in idle])
        for task in list(waiting):
            need = self._need(task.recipe)
            if (worker := self._nearest(idle, need, task)) is not None:
                idle.remove(worker)
                self._waiting.remove(task)
                self._give(worker, task)
            elif (worker := _suited(coming, need)) is not None:
                coming.remove(worker)
            elif len(self._workers) < self._size:
                self._start(need, task.recipe)
            elif idle:  # as many as may be, and one holds too little and has nothing to do
                self._discard(idle.pop())
                self._start(need, task.recipe)

    def _nearest(self, idle: list[_Worker], need: Resources, task: Task) -> _Worker | None:
        """Return the worker that holds what is needed and has most of what is read in its machine's cache."""
        where = self._where
        if where is None:
            return _suited(idle, need)
        return _suited(sorted(idle, key=lambda worker: where.pull(task, worker.node)), need)

    def _give(self, worker: _Worker, task: Task) -> None:
        worker.task, worker.since = task, time.monotonic()
        worker.ref = worker.actor.perform.remote(task)

    def _start(self, need: Resources, recipe: Recipe[Any]) -> None:
        import ray

        assert self._sharing is not None
        options: dict[str, Any] = {"num_cpus": need.cpus, "num_gpus": need.gpus}
        if need.memory_mb is not None:
            options["memory"] = need.memory_mb << 20
        _refuse_too_large(options, recipe)
        kind = ray.remote(_worker_class()).options(max_restarts=0, scheduling_strategy="SPREAD", **options)
        actor = kind.remote(self._device)
        self._workers.append(_Worker(actor, need, actor.look.remote(looker(), *self._sharing.asked)))

    def _discard(self, worker: _Worker) -> None:
        import ray

        ray.kill(worker.actor)
        self._workers.remove(worker)

    def _receive(self, worker: _Worker) -> list[Made | Failed]:
        import ray

        try:
            said = ray.get(worker.ref)
        except (
            ray.exceptions.RayTaskError
        ) as error:  # recipes and stores raise nothing: it could not read the task
            raise InputError(f"A worker on the Ray cluster cannot do this work: {_end(error)}") from error
        except ray.exceptions.RayError as error:
            return self._lost(worker, error)
        worker.ref = None
        self._unborn, self._last_seen = 0, time.monotonic()
        if (task := worker.task) is None:
            assert self._sharing is not None
            self._sharing.check(said)
            worker.started, worker.node = True, str(said["node"])
            return []
        outcomes = self._answered(worker, said)
        if self._where is not None:
            made = [fact.digest for fact in outcomes if isinstance(fact, Made)]
            self._where.note(worker.node, [*made, *local_reads(task)])
        return outcomes

    def _lost(self, worker: _Worker, error: Exception) -> list[Made | Failed]:
        self._discard(worker)
        if worker.task is not None:
            return self._died(worker.task, LOST)
        self._unborn += 1
        if self._unborn >= _STARTS:
            raise OSError(
                errno.EIO,
                f"{_STARTS} workers on the Ray cluster were lost as they started; of the last it says: {_end(error)}",
            )
        return []

    def _see_that_work_goes_on(self) -> None:
        """Raise OSError when the cluster has had no room for any worker for long."""
        if any(w.started for w in self._workers):
            self._last_seen = time.monotonic()
        elif time.monotonic() - self._last_seen > _PATIENCE:
            raise OSError(
                errno.ETIMEDOUT,
                f"The Ray cluster had no room for a worker in {_PATIENCE:g} seconds: see 'ray status' for who uses it, and run "
                "the same command again.",
            )


def _suited(workers: list[_Worker], need: Resources) -> _Worker | None:
    """Return the last worker that holds at least what is needed: the one whose model is most likely still in its caches."""
    for worker in reversed(workers):
        held = worker.holds
        if (
            held.cpus >= need.cpus
            and held.gpus >= need.gpus
            and (held.memory_mb or 0) >= (need.memory_mb or 0)
        ):
            return worker
    return None


def _refuse_too_large(options: dict[str, Any], recipe: Recipe[Any]) -> None:
    """Raise InputError when no machine of the cluster could ever hold such a worker."""
    import ray

    names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    wanted = {names[option]: amount for option, amount in options.items()}
    if machines and not any(all(m.get(name, 0) >= n for name, n in wanted.items()) for m in machines):
        asks = ", ".join(f"{n:g} {name}" for name, n in wanted.items() if n)
        raise InputError(
            f"A shard of '{recipe.label}' asks for {asks}, and no machine of the Ray cluster has as much. Add one that "
            "has ('ray start --address …'), or run with --executor pool."
        )


def _worker_class() -> type:
    """Return the class of the actors; made here so that Ray sends its code, which then says what a machine lacks."""

    class Worker:
        def __init__(self, device: str) -> None:
            import signal

            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
            self._device = device
            self._bench: Any = None

        def look(self, look: Any, *asked: Any) -> dict[str, Any]:
            import ray

            return {**look(*asked), "node": ray.get_runtime_context().get_node_id()}

        def perform(self, task: Task) -> bytes:
            from audit.engine.executors.answers import answer
            from audit.engine.worker import Workbench

            self._bench = self._bench or Workbench(device=self._device)
            return answer(task, self._bench)

    return Worker


def _end(error: Exception) -> str:
    """Return the last line of what Ray says, which names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:_SAID_LAST]
