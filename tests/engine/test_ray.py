"""A run on a Ray cluster makes the same bytes as one process, whichever worker or machine is lost on the way.

What needs a cluster is slow and runs where the extra ``ray`` is installed, as ``make test-slow`` does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import audit
from audit.core.errors import InputError
from audit.core.facts import Made, Task
from audit.core.recipes import Resources
from audit.engine.attempts import LOST
from audit.engine.executors import cluster
from audit.engine.executors.cluster import joined, unlike
from audit.engine.executors.locality import Whereabouts, workers_cache
from audit.engine.worker import Workbench, perform
from audit.testing.executors import Draw, check_executor
from tests.engine.dawdling import Dawdle, Deadly, Doubled

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is not installed: pip install 'generative-audit[ray]'"
)


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def artifacts_of(said: Any) -> dict[str, str]:
    assert said.code == 0, said.err
    return {artifact["key"]: artifact["digest"] for artifact in json.loads(said.out)["artifacts"]}


def test_without_ray_the_extra_is_named(cli, letters_spec, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    said = cli("run", letters_spec(executor="ray"), "--store", tmp_path / "store")
    assert said.code == 2
    assert "pip install 'generative-audit[ray]'" in said.err


def test_only_an_executor_with_an_address_takes_one(cli, letters_spec, tmp_path: Path) -> None:
    said = cli(
        "run", letters_spec(executor="pool"), "--store", tmp_path / "store", "--address", "10.0.0.5:6379"
    )
    assert said.code == 2
    assert "The executor 'pool' has no address" in said.err


def test_qualify_takes_a_cluster_too(cli, letters_spec, tmp_path: Path, monkeypatch) -> None:
    given = ("--store", tmp_path / "store", "--address", "10.0.0.5:6379", "--repeats", "2")
    said = cli("qualify", letters_spec(executor="pool"), *given)
    assert (said.code, "The executor 'pool' has no address" in said.err) == (2, True)
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    said = cli("qualify", letters_spec(), *given, "--executor", "ray")
    assert (said.code, "pip install 'generative-audit[ray]'" in said.err) == (2, True)


def test_a_record_does_not_name_the_cluster(letters_spec) -> None:
    from audit.config.assemble import assemble
    from audit.config.spec import read_spec

    spec = letters_spec(executor="ray")
    spec.write_text(spec.read_text() + 'address = "10.0.0.5:6379"\n')
    assembled = assemble(read_spec(spec))
    assert assembled.run.address == "10.0.0.5:6379"
    assert "10.0.0.5" not in json.dumps(assembled.settings)


@needs_ray
@pytest.mark.parametrize("address", ["ray://10.0.0.5:10001", "10.0.0.5", "head:six", ":6379"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="no address of a Ray cluster"):
        joined(address, None)


@needs_ray
def test_an_address_that_nobody_answers_ends_with_2(cli, letters_spec, tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    said = cli("run", letters_spec(executor="ray"), "--store", tmp_path / "store", "--address", nobody)
    assert said.code == 2
    assert f"No Ray cluster answers at {nobody}" in said.err


@pytest.mark.parametrize(
    ("theirs", "says"),
    [
        ({"audit": False}, "lacks the package generative-audit"),
        ({"versions": {"numpy": "2.1", "torch": "2.8"}}, "torch 2.8, this one 2.9"),
        ({"versions": {"numpy": "2.1", "torch": ""}}, "torch (none), this one 2.9"),
        ({}, None),
    ],
)
def test_a_machine_that_would_make_other_bytes_is_told_apart(
    theirs: Mapping[str, Any], says: str | None
) -> None:
    here = {"numpy": "2.1", "torch": "2.9"}
    found = {"host": "b", "audit": True, "versions": here, "shared": "", **theirs}
    assert says is None if (why := unlike(here, found)) is None else says is not None and says in why


def reading(*links: tuple[str, ...]) -> Task:
    return Task(Dawdle(1, 0.0), 0, links, "nowhere")  # type: ignore[arg-type]  # digests are text


def test_tasks_are_pulled_to_where_what_they_read_is_cached() -> None:
    where = Whereabouts()
    where.note("a", ["a1", "both"])
    where.note("b", ["b1", "both"])
    free, there, elsewhere = reading(), reading(("a1",), ("both",)), reading(("b1",))
    assert [where.pull(task, "a") for task in (free, there, elsewhere)] == [0, 2, -1]
    assert where.pull(reading(tuple(["a1"] * 9)), "a") == 0, "a whole artifact is read from everywhere"
    assert where.pull(reading(("unknown",)), "a") == 0
    assert where.in_order([elsewhere, free, there], ["a"]) == [there, free, elsewhere]
    assert where.in_order([elsewhere, free, there], ["a", "b"]) == [there, elsewhere, free]
    assert Whereabouts().in_order([elsewhere, free], ["a"]) == [elsewhere, free]


def test_only_shared_blobs_are_cached(tmp_path: Path, monkeypatch) -> None:
    from audit.store.shared import blobs_at

    monkeypatch.setenv("AUDIT_BLOB_CACHE", str(tmp_path / "cache"))
    assert [workers_cache(place) for place in (str(tmp_path), f"file://{tmp_path}/cached")] == [False, True]
    monkeypatch.setenv("AUDIT_BLOB_CACHE", "off")
    blobs_at.cache_clear()
    assert not workers_cache(f"file://{tmp_path}/cached")


@contextlib.contextmanager
def node(
    address: str, *before: str, python: str = sys.executable, cpus: int = 1, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A machine of the cluster: a ``ray start`` in a process group of its own, which ends with the block."""
    command = [python, "-m", "ray.scripts.scripts", "start", f"--address={address}", f"--num-cpus={cpus}"]
    command += ["--object-store-memory=80000000", "--node-ip-address=127.0.0.2", "--block"]
    process = subprocess.Popen(
        [*before, *command],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a machine as a power cut would: every process of it at once."""
    from audit.cli.descendants import descendants

    for pid in [*descendants(process.pid), process.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def wait_for_nodes(address: str, count: int) -> None:
    from ray._raylet import GcsClient

    client, deadline = GcsClient(address=address), time.monotonic() + 240
    while time.monotonic() < deadline:
        alive = [n for n in client.get_all_node_info().values() if n.state == 0]
        if len(alive) == count:
            return
        time.sleep(0.2)
    raise AssertionError(f"the cluster has {len(alive)} machines and not {count}")


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """The address of a cluster whose only machine has one core."""
    pytest.importorskip("ray")
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"})
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000},
    )
    yield made.address
    made.shutdown()


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_of_this_machine_conforms(tmp_path: Path) -> None:
    from audit.engine.executors.ray import Ray

    before = signal.getsignal(signal.SIGTERM)
    check_executor(lambda: Ray(workers=2), tmp_path)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not list(tmp_path.rglob("shared-*"))


def made_by(
    executor: Any, tasks: list[Task], meanwhile: Callable[[list[Any]], None] = lambda _: None
) -> list[Any]:
    """Run tasks to their end and return the outcomes; ``meanwhile`` is called with those there are."""
    try:
        for task in tasks:
            executor.submit(task)
        outcomes: list[Any] = []
        while len(outcomes) < len(tasks):
            outcomes += executor.completed()
            meanwhile(outcomes)
        return outcomes
    finally:
        executor.close()


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_machine_killed_in_the_middle_costs_time_and_nothing_else(tmp_path: Path, head: str) -> None:
    from audit.engine.executors.ray import Ray

    recipe, killed = Dawdle(40, 0.5), []
    tasks = [Task(recipe, shard, (), str(tmp_path / "blobs")) for shard in range(recipe.shards)]
    with node(head) as second:
        wait_for_nodes(head, 2)

        def kill_second(outcomes: list[Any]) -> None:
            if not killed and len({fact.worker for fact in outcomes}) == 2:
                killed.append(len(outcomes))
                kill(second)

        outcomes = made_by(Ray(workers=2, address=head), tasks, kill_second)
    assert killed
    assert killed[0] < len(tasks) - 3, "it was killed at the end, which proves nothing"
    alone = {task.shard: perform(task, Workbench()).digest for task in tasks[:6]}
    assert {fact.shard for fact in outcomes if isinstance(fact, Made)} == set(range(recipe.shards))
    assert {fact.shard: fact.digest for fact in outcomes if fact.shard < 6} == alone
    wait_for_nodes(head, 1)


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_reads_a_shard_goes_to_the_machine_that_made_it(tmp_path: Path, head: str, monkeypatch) -> None:
    """Shards made on two machines, then as many tasks, each of which reads one: taken in turns, twelve of 24 stay at home."""
    from audit.engine.executors.ray import Ray
    from audit.store.shared import blobs_at

    monkeypatch.setenv("AUDIT_BLOB_CACHE", str(tmp_path / "cache"))
    blobs_at.cache_clear()
    (tmp_path / "blobs").mkdir()
    place, recipe = f"file://{tmp_path}/blobs", Dawdle(24, 0.1)
    executor = Ray(workers=2, address=head)
    with node(head), contextlib.closing(executor):
        wait_for_nodes(head, 2)

        def made(tasks: list[Task]) -> dict[int, Made]:
            found: dict[int, Made] = {}
            flying = 0
            while len(found) < recipe.shards:
                while tasks and flying < executor.slots:
                    executor.submit(tasks.pop(0))
                    flying += 1
                for fact in executor.completed():
                    assert isinstance(fact, Made)
                    found[fact.shard] = fact
                    flying -= 1
            return found

        first = made([Task(recipe, shard, (), place) for shard in range(recipe.shards)])
        of = {
            worker: [s for s in first if first[s].worker == worker]
            for worker in {f.worker for f in first.values()}
        }
        twos = [shards[i : i + 2] for i in range(0, recipe.shards, 2) for shards in of.values()]
        order = [
            shard for two in twos for shard in two
        ]  # two of one machine, two of the other: taken in turns, half go astray
        second = made([Task(Doubled(recipe), s, ((first[s].digest,),), place) for s in order])
    assert len({fact.worker for fact in first.values()}) == 2
    near = sum(second[shard].worker == fact.worker for shard, fact in first.items())
    assert near >= 16


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_machine_that_has_just_died_is_no_reason_to_refuse_a_run(tmp_path: Path, head: str) -> None:
    from audit.engine.executors.ray import Ray

    with node(head) as second:
        wait_for_nodes(head, 2)
        executor = Ray(workers=1, address=head)
        kill(second)  # Ray still lists it for some seconds
        (made,) = made_by(executor, [Task(Draw(5), 0, (), str(tmp_path))])
    assert isinstance(made, Made)
    wait_for_nodes(head, 1)


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_kills_every_worker_fails_after_three(tmp_path: Path, head: str) -> None:
    from audit.engine.executors.ray import Ray

    tasks = [Task(recipe, 0, (), str(tmp_path)) for recipe in (Deadly(), Draw(5))]
    failed, made = sorted(
        made_by(Ray(workers=1, address=head), tasks), key=lambda fact: isinstance(fact, Made)
    )
    assert (failed.attempts, failed.error) == (3, LOST)
    assert isinstance(made, Made)


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_shard_beyond_its_time_is_given_up(tmp_path: Path, head: str) -> None:
    from audit.engine.executors.ray import Ray

    tasks = [Task(Dawdle(1, 3600), 0, (), str(tmp_path))]
    (failed,) = made_by(Ray(workers=1, address=head, time_limit=2), tasks)
    assert "longer than the time limit of 2 seconds" in failed.error


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("asks", [Resources(cpus=64), Resources(gpus=2), Resources(memory_mb=1 << 40)])
def test_what_no_machine_has_is_refused(tmp_path: Path, head: str, asks: Resources, monkeypatch) -> None:
    from audit.engine.executors.ray import Ray

    monkeypatch.setattr(Draw, "resources", asks)
    with pytest.raises(InputError, match="no machine of the Ray cluster has as much"):
        made_by(Ray(workers=1, address=head), [Task(Draw(5), 0, (), str(tmp_path))])


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_another_version_of_python_is_refused(head: str, monkeypatch) -> None:
    import ray._private.utils as utils

    ours = utils.compute_version_info()
    monkeypatch.setattr(utils, "compute_version_info", lambda: (ours[0], "3.99.0"))
    with pytest.raises(InputError, match=r"other versions than this machine: .*3\.99\.0"):
        joined(head, None)


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_machines_that_will_not_do_are_refused_before_work_starts(tmp_path: Path, head: str) -> None:
    """Real machines: one with another numpy, one without this package, one to which the store's folder is another one."""
    from audit.engine.executors.ray import Ray

    store = tmp_path / "store"
    (store / "unfinished").mkdir(parents=True)
    other = tmp_path / "other" / "numpy-0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.1\n")
    cases: list[tuple[str, tuple[str, ...], dict[str, str]]] = [
        ("has numpy 0.1, this one", (), {"PYTHONPATH": str(other.parent)})
    ]
    if subprocess.run([*without(store), "true"], capture_output=True).returncode == 0:  # root alone may
        cases += [
            ("lacks the package generative-audit", without(Path(audit.__file__).parent), {}),
            ("does not reach the store at", without(store), {}),
        ]
    for says, before, words in cases:
        with node(head, *before, **words):
            wait_for_nodes(head, 2)
            with pytest.raises(InputError, match=says):
                made_by(Ray(address=head), [Task(Draw(5), 0, (), str(store))])
        wait_for_nodes(head, 1)
    assert not [path for path in store.rglob("*") if path.is_file()], "nothing was made, and nothing is left"


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_dies_resumes_with_the_same_digests(
    cli, letters_spec, tmp_path: Path, head: str, sig: signal.Signals
) -> None:
    store, whole = tmp_path / "store", tmp_path / "whole"
    spec = letters_spec(samples=300, shard_size=1, executor="ray")
    command = [
        sys.executable,
        "-m",
        "audit",
        "run",
        spec,
        "--store",
        store,
        "--address",
        head,
        "--workers",
        "1",
    ]
    process = subprocess.Popen(
        [*map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 240
    while shards_in(store) < 12 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(sig)
    _, heard = process.communicate(timeout=120)
    assert process.returncode == (130 if sig is signal.SIGINT else -signal.SIGKILL), heard.decode()
    resumed = cli("run", spec, "--store", store, "--format", "json", "--address", head, "--workers", "1")
    assert "resuming" in resumed.err
    assert "; 0 are here already" not in resumed.err
    ones = [
        cli("run", spec, "--store", whole / name, "--format", "json", "--executor", name)
        for name in ("inline", "pool")
    ]
    digests = [artifacts_of(said) for said in (resumed, *ones)]
    assert digests[0] == digests[1] == digests[2]


def without(folder: Path) -> tuple[str, ...]:
    """Return what to put before a command so that it finds an empty folder there."""
    return ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {folder} && exec "$@"', "sh")


def shards_in(store: Path) -> int:
    return sum(path.is_file() for path in (store / "blobs").rglob("*")) if store.exists() else 0
