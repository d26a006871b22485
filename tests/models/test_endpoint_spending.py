"""Tokens and cost of a served model: from what the server counts, by way of the shards, into the record and what shows it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.core.records import from_plain, to_plain
from audit.core.usage import Spending, Usage
from audit.models.endpoint import Endpoint
from audit.models.served import client
from reports.json import problems
from tests.models.serving import Answer, Served, completion, echoing, serving

SPEC = """
name = "{name}"
samples = 6
shard_size = 2
[model]
adapter = "endpoint"
url = "{url}"
prompts = ["one prompt"]
max_new_tokens = 8
retries = 3
{more}
[data]
use = "text"
holdout = "holdout.jsonl"
[[evaluators]]
name = "quality.samples"
[run]
executor = "{executor}"
workers = 1
"""
PRICED = 'price_in = 1000.0\nprice_out = 2000.0\ncurrency = "EUR"'


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.001)


class Flawed:
    """A server whose every third sample is no answer at first, though it is billed: two texts where one was asked for."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.lock = threading.Lock()

    def __call__(self, path: str, body: dict[str, Any]) -> Answer:
        answer = echoing(path, body)
        if body.get("max_tokens") != 8:  # a probe
            return answer
        with self.lock:
            self.seen[body["seed"]] = self.seen.get(body["seed"], 0) + 1
            bad = list(self.seen).index(body["seed"]) % 3 == 0 and self.seen[body["seed"]] == 1
        if bad:
            answer.body["choices"] = answer.body["choices"] * 2
        return answer


@pytest.fixture
def flawed() -> Iterator[Served]:
    with serving(Flawed()) as server:
        yield server


def spec(
    place: Path,
    server: Served,
    *,
    more: str = PRICED,
    name: str = "served",
    executor: str = "inline",
) -> Path:
    (place / "holdout.jsonl").write_text("".join(f'{{"text": "word {i} and more"}}\n' for i in range(20)))
    path = place / "spec.toml"
    path.write_text(SPEC.format(url=server.url, more=more, name=name, executor=executor))
    return path


def ran(cli: Callable[..., Any], path: Path, store: Path) -> dict[str, Any]:
    said = cli("run", path, "--store", store, "--format", "json")
    assert said.code in (0, 3), said.err
    record: dict[str, Any] = json.loads(said.out)
    assert problems(record) == []
    assert to_plain(from_plain(record))["spending"] == record["spending"]
    return record


@pytest.mark.parametrize("executor", ["inline", "pool"])
def test_a_record_holds_what_all_requests_counted_and_what_was_reused(
    cli: Callable[..., Any], flawed: Served, tmp_path: Path, executor: str
) -> None:
    """Six samples, two of which are asked again: eight times 2 tokens read and 3 written."""
    first = ran(cli, spec(tmp_path, flawed, executor=executor), tmp_path / "store")
    took = {"requests": 8, "prompt_tokens": 16, "reply_tokens": 24, "uncounted": 0, "currency": "EUR"}
    assert [{**one, "cost": round(one["cost"], 9)} for one in first["spending"]] == [
        {"reused": False, **took, "cost": round(8 * (2 * 1000 + 3 * 2000) / 1e6, 9)}
    ]
    again = ran(cli, spec(tmp_path, flawed, name="again", executor=executor), tmp_path / "store")
    assert [(one["reused"], one["requests"], one["reply_tokens"]) for one in again["spending"]] == [
        (True, 8, 24)
    ]
    shown = cli("show", "--store", tmp_path / "store")
    assert (
        "kept answers of earlier runs, paid for then: 8 requests, 16 tokens read, 24 written, 0.064 EUR"
        in " ".join(shown.out.split())
    )
    for form in ("html", "model-card"):
        cli(
            "report",
            first["run"],
            "--format",
            form,
            "--store",
            tmp_path / "store",
            "-o",
            tmp_path / f"r.{form}",
        )
        assert "8 requests, 16 tokens read, 24 written, 0.064 EUR" in (tmp_path / f"r.{form}").read_text()


def test_a_price_changes_no_measurement_and_no_key(
    cli: Callable[..., Any], flawed: Served, tmp_path: Path
) -> None:
    plans = [
        json.loads(
            cli("plan", spec(tmp_path, flawed, more=more), "--store", tmp_path / "s", "--format", "json").out
        )
        for more in ("", PRICED, PRICED.replace("2000", "3000"))
    ]
    assert len({plan["key"] for plan in plans}) == 1
    assert plans[0]["price"] is None
    # 2 tokens around a prompt, as the probe counted, and a prompt of 10 bytes; 8 written
    assert plans[1]["price"] == {
        "samples": 6, "read": 72, "written": 48, "cost": pytest.approx(0.168), "currency": "EUR", "besides": []
    }  # fmt: skip
    said = cli("plan", spec(tmp_path, flawed), "--store", tmp_path / "s").out
    assert "at most 0.168 EUR (72 tokens read, 48 written)" in " ".join(said.split())
    ran(cli, spec(tmp_path, flawed), tmp_path / "s")
    after = json.loads(cli("plan", spec(tmp_path, flawed), "--store", tmp_path / "s", "--format", "json").out)
    assert after["price"]["samples"] == 0, "what is made costs nothing again"


def test_a_server_that_counts_nothing_leaves_tokens_unknown(cli: Callable[..., Any], tmp_path: Path) -> None:
    def silent(path: str, body: dict[str, Any]) -> Answer:
        answer = echoing(path, body)
        answer.body.pop("usage", None)
        return answer

    with serving(silent) as server:
        record = ran(cli, spec(tmp_path, server, more=""), tmp_path / "store")
        plan = json.loads(
            cli("plan", spec(tmp_path, server), "--store", tmp_path / "n", "--format", "json").out
        )
    (one,) = record["spending"]
    assert (one["requests"], one["uncounted"], one["cost"], one["currency"]) == (6, 6, None, None)
    assert "the server counts no tokens" in " ".join(cli("show", "--store", tmp_path / "store").out.split())
    assert (plan["price"]["read"], plan["price"]["cost"]) == (None, None)


def test_what_a_failed_shard_took_is_counted_too(cli: Callable[..., Any], tmp_path: Path) -> None:
    """The server answers each seed with garbage for ever: what it billed stands in the record of the run that failed."""

    def garbage(path: str, body: dict[str, Any]) -> Answer:
        if body.get("max_tokens") == 8:
            return Answer({**completion("x"), "choices": []})
        return echoing(path, body)

    with serving(garbage) as server:
        path = spec(tmp_path, server, more="concurrency = 1\n")
        said = cli("run", path, "--store", tmp_path / "store", "--format", "json")
    assert said.code == 4
    (one,) = json.loads(said.out)["spending"]
    asked = sum(body.get("max_tokens") == 8 for _, body, _ in server.asked)
    assert one["requests"] == asked >= 3 * 4, (
        "of each of three shards the first sample at least, asked four times"
    )
    assert one["prompt_tokens"] == 2 * asked


def test_a_line_that_drops_may_be_billed_and_an_address_nobody_answers_is_not(flawed: Served) -> None:
    drops = iter([True])

    def dropping(path: str, body: dict[str, Any]) -> Answer:
        answer = echoing(path, body)
        if body.get("max_tokens") == 8 and next(drops, False):
            return Answer(answer.body, length=10_000)
        return answer

    options = {"prompts": ["a"], "max_new_tokens": 8, "timeout": 5.0, "retries": 2, "concurrency": 1}
    with serving(dropping) as server:
        model = Endpoint.open(Endpoint.refer({"url": server.url, **options}), "cpu")
        model.sample(1, np.random.default_rng(0))
        assert model.take_usage() == Usage(2, 2, 3, uncounted=1)
        assert model.take_usage() == Usage()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"requests": -1},
        {"requests": 1.5},
        {"cost": float("nan")},
        {"cost": "1"},
        {"currency": "x" * 13},
        [],
    ],
)
def test_counts_from_a_worker_are_not_taken_on_trust(wrong: Any) -> None:
    right = {
        "requests": 1,
        "prompt_tokens": 2,
        "reply_tokens": 3,
        "uncounted": 0,
        "cost": 0.5,
        "currency": "EUR",
    }
    assert Usage.of(right) == Usage(1, 2, 3, 0, 0.5, "EUR")
    with pytest.raises(ValueError, match="no count"):
        Usage.of({**right, **wrong} if wrong else wrong)


def test_two_currencies_stay_apart() -> None:
    with pytest.raises(ValueError, match="add up"):
        Usage(1, currency="EUR") + Usage(1, currency="USD")
    assert Spending(False, Usage(1, 1, 1)).sentence() == "this run: 1 requests, 1 tokens read, 1 written"
