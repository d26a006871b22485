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
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from audit.core.errors import InputError
from audit.engine.executors import cluster
from audit.engine.executors.cluster import joined, unlike
from audit.testing.executors import check_executor

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


@contextlib.contextmanager
def node(
    address: str, *before: str, python: str = sys.executable, cpus: int = 1, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A machine of the cluster: a ``ray start`` in a process group of its own, which ends with the block."""
    command = [python, "-m", "ray.scripts.scripts", "start", f"--address={address}", f"--num-cpus={cpus}"]
    command += ["--object-store-memory=80000000", "--block"]
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
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
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
