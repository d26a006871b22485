"""The function that makes one shard or scores one evaluator, and what it may use while it does."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, overload

import numpy as np

from audit.core.errors import InputError
from audit.core.facts import BlobStore, Failed, Made, Task
from audit.core.identity import Digest
from audit.core.recipes import Bench, Recipe, generator, made_from, row_uniforms
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.rows import Matrix, Rng, Rows, Vector
from audit.core.usage import Usage, together
from audit.engine.devices import first_scale, memory_of, scale_at
from audit.registry import catalogue
from audit.store import codec
from audit.store.shared import blobs_at

_DETAIL = 8_000
_THREADED = ("numpy", "scipy", "scipy.linalg", "sklearn", "torch")
"""Modules that bring native thread pools with them."""
_SAY_HOW_MANY = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables such a library reads once, when it is imported."""


@dataclass
class Workbench:
    """What one worker process keeps between tasks: opened models, loaded splits, extractors."""

    device: str = "cpu"
    attempt: int = 0
    """How often the shard at hand was tried before: each time with less at once."""
    first: dict[ModelRef, float] = field(default_factory=dict)
    """How large each opened model's first batch is."""
    models: dict[ModelRef, Any] = field(default_factory=dict)
    splits: dict[tuple[DataRef, str], Rows] = field(default_factory=dict)
    extractors: dict[ExtractorRef, Any] = field(default_factory=dict)

    def model(self, ref: ModelRef) -> Any:
        if ref not in self.models:
            self.models[ref] = catalogue("models").load(ref.adapter).open(ref, self.device)
            self.first[ref] = first_scale(self.models[ref], memory_of(self.device))
        opened = self.models[ref]
        if hasattr(opened, "batch_scale"):
            opened.batch_scale = scale_at(self.attempt, self.first.get(ref, 1.0))
        return opened

    def spent(self) -> tuple[Usage, ...]:
        """Return what the opened models have spent since this was last asked, for those that count it."""
        found = [model.take_usage() for model in self.models.values() if hasattr(model, "take_usage")]
        return together(usage for usage in found if isinstance(usage, Usage) and usage.requests)

    def split(self, ref: DataRef, split: str) -> Rows:
        if (ref, split) not in self.splits:
            self.splits[ref, split] = catalogue("datasets").load(ref.loader).load(ref, split)
        return self.splits[ref, split]

    def extract(self, ref: ExtractorRef, rows: Rows) -> Matrix:
        if ref not in self.extractors:
            self.extractors[ref] = catalogue("extractors").load(ref.name).open(ref, self.device)
        features = np.asarray(self.extractors[ref].extract(rows), dtype=np.float64)
        if not np.isfinite(features).all():
            raise ValueError(f"extractor {ref.name} returned values that are not finite")
        return features


@dataclass(frozen=True, slots=True)
class ShardContext:
    """What one recipe may reach for while one of its shards is made."""

    bench: Bench
    recipe: Recipe[Any]
    shard: int

    def model(self, ref: ModelRef) -> Any:
        return self.bench.model(ref)

    def split(self, ref: DataRef, split: str) -> Rows:
        return self.bench.split(ref, split)

    def extract(self, ref: ExtractorRef, rows: Rows) -> Matrix:
        return self.bench.extract(ref, rows)

    def rng(self, stream: int | str | None = None) -> Rng:
        """Seed from what is being made: the same recipe and stream give the same numbers in any worker."""
        return generator(self.recipe.seed_key, self.shard if stream is None else stream)

    def uniforms(self, rows: range | None = None) -> Vector:
        return row_uniforms(self.recipe.seed_key, self.recipe.rows_of(self.shard) if rows is None else rows)


class StoreFailure(BaseException):
    """The store could not be read: no fault of the recipe that asked, so nothing that recipes catch."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class StoredShards(Sequence[Any]):
    """The shards of one artifact, each read from the blob store when it is asked for and not kept."""

    def __init__(self, recipe: Recipe[Any], digests: Sequence[Digest], blobs: BlobStore) -> None:
        self._recipe, self._digests, self._blobs = recipe, digests, blobs

    def __len__(self) -> int:
        return len(self._digests)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return StoredShards(self._recipe, self._digests[index], self._blobs)
        try:
            return codec.decode(self._recipe.value, self._blobs.get(self._digests[index]))
        except InputError as error:  # it is lost, damaged, or of another version
            raise StoreFailure(OSError(errno.EIO, str(error))) from error
        except OSError as error:
            raise StoreFailure(error) from error

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))


@cache
def _thread_pools(loaded: tuple[str, ...]) -> Any:
    """Return a handle on the thread pools of the libraries ``loaded``; finding them takes a millisecond, so once."""
    from threadpoolctl import ThreadpoolController

    controller = ThreadpoolController()
    assert controller.lib_controllers or not loaded, "numpy and its kin bring thread pools"
    return controller


@contextmanager
def one_thread() -> Iterator[None]:
    """Run with one thread in BLAS and torch, so that sums are taken in one order everywhere.

    With several threads the same product may differ in its last bits from one
    machine or executor to the next, and digests with it. Work is spread over
    cores by making shards side by side instead.
    """
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else _threads_torch_would_take()
    pools = _thread_pools(tuple(name for name in _THREADED if name in sys.modules))
    with pools.limit(limits=1), _one_thread_from_the_start():
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch := sys.modules.get("torch"):
                torch.set_num_threads(before)


@contextmanager
def _one_thread_from_the_start() -> Iterator[None]:
    """Have libraries that are imported meanwhile begin with one thread.

    Making a shard is often what imports torch or scipy.linalg first. The same shard
    made again later, with the library already there, would differ: 1e-5 in
    convolutional features was seen, and the last bit of a matrix square root.
    """
    before = {name: os.environ.get(name) for name in _SAY_HOW_MANY}
    os.environ.update(dict.fromkeys(_SAY_HOW_MANY, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)  # a model may have emptied it
            else:
                os.environ[name] = value


def _threads_torch_would_take() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else os.cpu_count() or 1


def worker_name() -> str:
    """Return a name for this process in the ledger."""
    return f"{socket.gethostname()}/{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Drafted:
    """One shard's bytes, which nobody keeps yet, and the time that making them took, in seconds."""

    data: bytes
    seconds: float
    spent: tuple[Usage, ...] = ()


def perform(task: Task, bench: Workbench) -> Made | Failed:
    """Make one shard and keep its bytes. What the recipe raises becomes a Failed, a model's ``sys.exit`` included.

    A full disk is no property of the recipe, so OSErrors of the blob store are
    raised: the run stops, and resumes at the same place once there is room. So
    is an InputError: what the user gave cannot be used, here as in the plan.
    Lack of memory, of a GPU's too, is a MemoryError: the executor tries again with half the batch.
    """
    drafted = draft(task, bench)
    return drafted if isinstance(drafted, Failed) else keep(task, drafted)


def keep(task: Task, drafted: Drafted) -> Made:
    """Put the bytes of a shard into the blob store; an OSError says that they cannot be kept."""
    began = time.perf_counter()
    digest = blobs_at(task.blobs).put(drafted.data)
    seconds = drafted.seconds + time.perf_counter() - began
    return Made(task.recipe.key, task.shard, digest, seconds, worker_name(), drafted.spent)


def draft(task: Task, bench: Workbench) -> Drafted | Failed:
    """Make one shard as ``perform`` does, and return its bytes."""
    began, process = time.perf_counter(), os.getpid()
    recipe, blobs = task.recipe, blobs_at(task.blobs)
    bench.attempt = task.attempt
    read = [
        StoredShards(parent, digests, blobs)
        for parent, digests in zip(recipe.parents, task.reads, strict=True)
    ]
    context = ShardContext(bench, recipe, task.shard)
    with one_thread():
        try:
            data = codec.encode(made_from(recipe, task.shard, context, read))
        except (MemoryError, InputError):
            raise
        except StoreFailure as failure:
            raise failure.error from failure
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # models and plugins may raise anything
            if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
                raise  # it may be the user's Ctrl-C
            if _device_is_full(error):
                raise MemoryError(sentence(error)) from None  # its frames would keep what fills the device
            said, spent = sentence(error), bench.spent()
            return Failed(recipe.key, task.shard, said, detail_of(error), task.attempt + 1, spent)
        finally:
            if os.getpid() != process:  # the model forked, and this copy is not the one that was asked
                os._exit(1)
    return Drafted(data, time.perf_counter() - began, bench.spent())


def _device_is_full(error: BaseException) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def detail_of(error: BaseException) -> str:
    """Return the end of an exception's traceback."""
    return "".join(traceback.format_tb(error.__traceback__))[-_DETAIL:]


def sentence(error: BaseException) -> str:
    """Say what was raised, even if the exception cannot say it itself."""
    try:
        said = str(error)
        return (f"{type(error).__name__}: {said}" if said else type(error).__name__)[:1_000]
    except Exception:  # a __str__ that raises is one more thing a plugin may bring
        return type(error).__name__
