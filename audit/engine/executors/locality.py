"""Which machine of a cluster has a shard in its cache, so that what reads it goes there if it can."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from audit.core.facts import Task
from audit.core.identity import Digest
from audit.store.shared import SharedBlobs, blobs_at

_FEW = 8
"""Shards of one parent that a task may read for their place to count: what reads all of them reads from everywhere."""


@dataclass
class Whereabouts:
    """The nodes on which blobs were made or read, and so are cached. It forgets nothing; what a cache dropped is fetched again."""

    _at: dict[Digest, set[str]] = field(default_factory=dict)

    def note(self, node: str, digests: Iterable[Digest]) -> None:
        for digest in digests:
            self._at.setdefault(digest, set()).add(node)

    def pull(self, task: Task, node: str) -> int:
        """Return how many shards that a task reads are cached on a node, less those that are on others alone.

        A task that reads nothing, or what nobody has cached, is pulled nowhere: 0.
        """
        found = [self._at[digest] for digest in local_reads(task) if digest in self._at]
        return sum(1 if node in nodes else -1 for nodes in found)

    def in_order(self, tasks: Iterable[Task], nodes: Sequence[str]) -> list[Task]:
        """Return tasks with those first that some of the nodes pull most; the order stays where they pull alike."""
        if not self._at or not nodes:
            return list(tasks)
        return sorted(tasks, key=lambda task: -max(self.pull(task, node) for node in set(nodes)))


def local_reads(task: Task) -> list[Digest]:
    """Return the digests that a task reads shard by shard."""
    return [digest for digests in task.reads if len(digests) <= _FEW for digest in digests]


def workers_cache(blobs: str) -> bool:
    """Say whether workers keep what they read from these blobs, as far as this machine's settings tell: a plain folder is not cached."""
    found = blobs_at(blobs)
    return isinstance(found, SharedBlobs) and found.cache is not None
