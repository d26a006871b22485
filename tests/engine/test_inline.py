"""One process: the next shard is made while the last one is written, unless that one was dear."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.core.facts import Made, Task
from audit.engine.executors import inline
from audit.engine.executors.inline import Inline
from audit.testing.executors import Draw


@pytest.fixture
def executor() -> Iterator[Inline]:
    made = Inline()
    yield made
    made.close()


def given(executor: Inline, blobs: Path, n: int = 2) -> list[Task]:
    tasks = [Task(Draw(65), shard, (), str(blobs)) for shard in range(n)]
    for task in tasks:
        executor.submit(task)
    return tasks


def test_a_shard_is_made_while_another_one_is_written(
    executor: Inline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_is_made, keep, draft = threading.Event(), inline.keep, inline.draft

    def slow_disk(*args: Any) -> Made:
        assert second_is_made.wait(60), "the disk was waited for"
        return keep(*args)

    def noted(task: Task, bench: Any) -> Any:
        outcome = draft(task, bench)
        if task.shard == 1:
            second_is_made.set()
        return outcome

    monkeypatch.setattr(inline, "keep", slow_disk)
    monkeypatch.setattr(inline, "draft", noted)
    given(executor, tmp_path)
    assert [fact.shard for fact in executor.completed() if isinstance(fact, Made)] == [0]
    assert [fact.shard for fact in executor.completed() if isinstance(fact, Made)] == [1]
    assert list(executor.completed()) == []


def test_what_took_long_is_reported_before_the_next_one_begins(
    executor: Inline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, draft = [], inline.draft

    def noted(task: Task, bench: Any) -> Any:
        begun.append(task.shard)
        return draft(task, bench)

    monkeypatch.setattr(inline, "draft", noted)
    monkeypatch.setattr(inline, "_CHEAP", 0.0)
    given(executor, tmp_path)
    facts = executor.completed()
    assert isinstance(next(facts), Made)
    assert begun == [0]
    assert isinstance(next(facts), Made)
    assert begun == [0, 1]


def test_a_full_disk_is_raised_from_the_thread_that_met_it(
    executor: Inline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> Made:
        raise OSError(28, "no room is left")

    monkeypatch.setattr(inline, "keep", full)
    given(executor, tmp_path)
    with pytest.raises(OSError, match="no room is left"):
        list(executor.completed())
