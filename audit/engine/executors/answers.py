"""What a worker says of a task, as plain JSON: the driver unpickles nothing that a model could have written."""

from __future__ import annotations

import errno
import json
from dataclasses import asdict, dataclass
from typing import Any

from audit.core.errors import InputError
from audit.core.facts import Failed, Made, Task
from audit.core.identity import Digest
from audit.core.usage import Usage
from audit.engine.attempts import OUT_OF_MEMORY, UNREADABLE
from audit.engine.worker import Workbench, perform
from audit.store.shared import blobs_at


@dataclass(frozen=True, slots=True)
class Death:
    """The worker cannot be used any more; ``how`` says why, for the shard that was under way."""

    how: str


def answer(task: Task, bench: Workbench) -> bytes:
    """Make a shard and return what became of it. Raises nothing that a recipe or a store raises."""
    return json.dumps({"of": _name(task), **_outcome(task, bench)}).encode()


def understood(task: Task, said: bytes) -> Made | Failed | Death:
    """Read an answer, which comes from a process that has run a model: nothing in it is taken on trust.

    Raises InputError and OSError where the worker met one: neither is a property of the recipe.
    """
    try:
        plain = json.loads(said)
    except (ValueError, RecursionError):
        return Death(UNREADABLE)
    if not isinstance(plain, dict) or plain.pop("of", None) != _name(task):
        return Death(UNREADABLE)
    try:
        spent = tuple(Usage.of(usage) for usage in plain.pop("spent", ()))
    except (ValueError, TypeError):
        return Death(UNREADABLE)
    match plain:
        case {"failed": [str(error), str(detail), int(attempts)]}:
            return Failed(task.recipe.key, task.shard, error, detail, attempts, spent)
        case {"made": [str(digest), float(seconds), str(name)]} if _is_there(task, digest):
            return Made(task.recipe.key, task.shard, Digest(digest), seconds, name, spent)
        case {"input": str(message)}:
            raise InputError(message)
        case {"store": [int(number), str(why), where]}:
            raise OSError(number, why, where)
        case {"memory": True}:
            return Death(OUT_OF_MEMORY)
    return Death(UNREADABLE)


def _outcome(task: Task, bench: Workbench) -> dict[str, Any]:
    try:
        outcome = perform(task, bench)
    except MemoryError:
        return {"memory": True}
    except InputError as error:
        return {"input": str(error)}
    except OSError as error:
        where = None if error.filename is None else str(error.filename)
        return {"store": [error.errno or errno.EIO, error.strerror or str(error), where]}
    spent = {"spent": [asdict(usage) for usage in outcome.spent]} if outcome.spent else {}
    if isinstance(outcome, Failed):
        return {"failed": [outcome.error, outcome.detail, outcome.attempts], **spent}
    return {"made": [outcome.digest, outcome.seconds, outcome.worker], **spent}


def _name(task: Task) -> list[Any]:
    """Return what tells a task from any other, and an attempt from the one before."""
    return [task.recipe.key, task.shard, task.attempt]


def _is_there(task: Task, digest: str) -> bool:
    try:
        return blobs_at(task.blobs).has(Digest(digest))
    except InputError:  # it is no digest
        return False
