"""The jobs that import plugins and open models; ``audit.cli.apart`` has them done in a process of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from importlib.resources import files
from inspect import signature
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from audit.cli.descendants import adopt_orphans, be_told_of_parents_death, end_all
from audit.cli.main import UNFINISHED, JobError, ending, terminate
from audit.cli.options import address
from audit.config.assemble import Assembled, assemble
from audit.config.spec import AuditSpec, RunSettings, parse_spec, read_spec
from audit.core.errors import InputError
from audit.registry import catalogue

_BLOCK = 1 << 16
_END = "import sys; sys.path[:] = {path!r}; from audit.cli.descendants import end_all; end_all()"
"""What this process becomes once the command is gone."""


def run(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Run an audit, or resume it, and yield its events as plain values; the record is in the store once this ends."""
    from audit.cli.events import Plainly
    from audit.engine.audit import perform_audit
    from audit.engine.environment import environment
    from audit.engine.run import forget_failures
    from audit.store.runs import open_store

    assembled = _assembled(request)
    settings = {**assembled.settings, **_registered(assembled, request.get("lock"))}
    plainly = Plainly()
    with ExitStack() as stack:
        opened = stack.enter_context(open_store(address(request["store"])))
        if request.get("retry_failed") and (damaged := forget_failures(assembled.plan, opened)):
            yield {"event": "damaged", "digests": damaged}
        executor = stack.enter_context(closing(_executor(assembled.run)))
        for event in perform_audit(
            assembled.plan,
            opened,
            executor,
            settings=settings,
            environment=environment(assembled.run.device),
        ):
            yield plainly.said(event)


def plan(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the plan of an audit as one plain value."""
    from audit.cli.planned import cost, describe, made_so_far

    assembled = _assembled(request)
    where = address(request["store"])
    made = made_so_far(assembled.plan, where)
    lock = None
    if request.get("register"):
        from audit.engine.locks import lock_of
        from audit.engine.record import now

        lock = lock_of(assembled.plan, assembled.settings, now())
    costs = cost(assembled.plan, made, where)
    if costs is None and request.get("probe"):
        costs = _probed(request, assembled, made)
    yield {
        "event": "planned",
        "plan": {**describe(assembled.plan, made), "cost": costs, **_where(assembled)},
        "lock": lock,
    }


def _where(assembled: Assembled) -> dict[str, Any]:
    return {"device": assembled.run.device, "why_there": assembled.why_there}


def _probed(request: Mapping[str, Any], assembled: Assembled, made: dict[str, int]) -> dict[str, Any]:
    """Return what an audit should cost by a probe: the same audit in small shards, the first of which are made and thrown away."""
    from audit.config.limits import MOST_SHARDS
    from audit.engine.probing import EXAMPLES, probe

    subject = assembled.plan.subject
    rows = max(subject.sample_size, *(n for _, n in subject.data_card.splits))
    small = _assembled({**request, "shard_size": max(EXAMPLES, -(-rows // MOST_SHARDS))})
    with tempfile.TemporaryDirectory(prefix="audit-probe-") as folder:
        return probe(small.plan, Path(folder), small.run.device).cost(assembled.plan, made)


def qualify(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Ask an audit's evaluators of planted defects, and yield events as plain values, the result last."""
    from audit.cli.events import Plainly
    from audit.cli.qualified import plain
    from audit.engine.qualifying import Qualification, Repeat
    from audit.engine.qualifying import qualify as qualified
    from audit.store.runs import open_store

    assembled = _assembled(request)
    plainly = Plainly()
    with ExitStack() as stack:
        opened = stack.enter_context(open_store(address(request["store"])))
        executor = stack.enter_context(closing(_executor(assembled.run)))
        for event in qualified(assembled.plan, opened, executor, request["doses"], request["repeats"]):
            match event:
                case Repeat(number=number, of=of):
                    yield {"event": "repeat", "number": number, "of": of}
                case Qualification():
                    yield {"event": "qualified", "found": plain(event)}
                case _:
                    yield plainly.said(event)


JOBS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[dict[str, Any]]]] = {
    "run": run,
    "plan": plan,
    "qualify": qualify,
}


def _registered(assembled: Assembled, lock: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the record says of a pre-registration: when it was written, and everything in which the run departs from it."""
    if lock is None:
        return {}
    from audit.engine.locks import deviations, lock_of

    says = lock_of(assembled.plan, assembled.settings, "")["says"]
    departs = deviations(lock["says"], says)
    return {"lock": {"written": lock["written"], "digest": lock["digest"], "deviations": departs}}


def _assembled(request: Mapping[str, Any]) -> Assembled:
    """Return the plan of the spec that a request names, with what the command line says instead."""
    spec = _spec(request["spec"])
    changed = {
        name: request[name] for name in ("samples", "seed", "shard_size") if request.get(name) is not None
    }
    settings = {
        name: request[name] for name in ("executor", "workers", "device", "address") if request.get(name)
    }
    spec = replace(spec, **changed, run=replace(spec.run, **settings))
    assembled = assemble(spec.only(tuple(request["only"])) if request.get("only") else spec)
    if not any(criterion.baseline for criterion in assembled.plan.policy.criteria):
        return assembled
    from audit.cli.baselines import baseline_reader
    from audit.engine.baselines import with_baselines

    found = with_baselines(assembled.plan, baseline_reader(address(request["store"])))
    settings = {**assembled.settings, "baselines": found.baseline_digests}
    return replace(assembled, plan=found, settings=settings)


def _spec(path: str | None) -> AuditSpec:
    """Return a spec that a user wrote, or that of the demo."""
    if path is not None:
        return read_spec(Path(path))
    text = files("audit").joinpath("demo.toml").read_text(encoding="utf-8")
    return parse_spec(tomllib.loads(text), Path.cwd())


def _executor(settings: RunSettings) -> Any:
    start = catalogue("executors").load(settings.executor)
    given: dict[str, Any] = {"workers": settings.workers} if settings.workers else {}
    if settings.address is not None:
        if "address" not in signature(start).parameters:
            raise InputError(
                f"The executor '{settings.executor}' has no address. Leave it out, or use --executor ray."
            )
        given["address"] = settings.address
    return start(**given, device=settings.device, time_limit=settings.time_limit)


def main() -> None:
    """Do the job that the line on standard input asks for, and say its events on the channel that it names."""
    adopt_orphans()
    be_told_of_parents_death(signal.SIGCONT)  # one that is suspended would not notice
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command hears it, and asks this process to leave
    signal.signal(signal.SIGTERM, terminate)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what a model printed before it crashed is worth reading
    request, lifeline = _request()
    threading.Thread(target=_leave_with, args=(lifeline,), daemon=True).start()
    channel = _Channel(request["channel"])
    try:
        for event in JOBS[request["job"]](request):
            channel.say(event)
        channel.say({"event": "done"})
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):  # nobody's Ctrl-C comes here
            error = JobError(UNFINISHED, "a model or a plugin raised KeyboardInterrupt")
        code, message = ending(error)
        channel.say({"event": "ended", "code": code, "message": message})
    _leave()


class _Channel:
    """Where events are said, one line of JSON each, by the process that was asked and by no copy of it."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor
        self._pipe = os.fstat(descriptor).st_ino
        self._owner = os.getpid()

    def say(self, event: Mapping[str, Any]) -> None:
        if os.getpid() != self._owner:  # a model forked, and its copy came here too
            os._exit(UNFINISHED)
        line = memoryview(json.dumps(event).encode() + b"\n")
        try:
            if (
                os.fstat(self._descriptor).st_ino != self._pipe
            ):  # closed by a model, and given to another file since
                os._exit(UNFINISHED)
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError:  # the command is gone, or a model closed what it found open
            os._exit(UNFINISHED)


def _request() -> tuple[dict[str, Any], int]:
    """Read the request, and return it with a descriptor that comes to its end when the command is gone."""
    read = b""
    while not read.endswith(b"\n"):
        chunk = os.read(0, _BLOCK)
        if not chunk:
            os._exit(UNFINISHED)
        read += chunk
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a model that asks for input gets none
    os.close(nothing)
    request: dict[str, Any] = json.loads(read)
    return request, lifeline


def _leave_with(lifeline: int) -> None:
    """End this process and all below it once the command is gone, in the middle of the work if need be.

    It becomes another program to do so, which ends all of its threads at once: a driver that still worked would
    start its workers anew, see them killed again, and record their shards as failed.
    """
    with contextlib.suppress(OSError):
        os.read(lifeline, 1)
    with contextlib.suppress(OSError):
        os.execv(sys.executable, [sys.executable, "-P", "-c", _END.format(path=sys.path)])  # noqa: S606 - our own program
    end_all()


def _leave() -> None:
    """End this process: threads that a model left are not waited for."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    if any(not t.daemon for t in threading.enumerate() if t is not threading.main_thread()):
        os._exit(0)
