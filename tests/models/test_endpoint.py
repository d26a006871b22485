"""The adapter endpoint against an honest server: samples, scores, names, limits, keys, and what it says of itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.rows import text_rows
from audit.models.endpoint import Endpoint
from audit.models.served import client
from audit.models.transformers import CausalLM
from audit.testing.models import check_adapter, check_capabilities
from tests.models.serving import Answer, Served, around, completion, echoing, serving

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.001)


def options(server: Served, **more: Any) -> dict[str, Any]:
    return {
        "url": server.url,
        "prompts": ["a", "b"],
        "max_new_tokens": 8,
        "timeout": 5.0,
        "retries": 2,
        **more,
    }


def opened(server: Served, **more: Any) -> Endpoint:
    return Endpoint.open(Endpoint.refer(options(server, **more)), "cpu")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def tiny(tiny_lm: Path) -> CausalLM:
    return CausalLM.open(CausalLM.refer({"path": str(tiny_lm), "max_new_tokens": 8}), "cpu")


@pytest.fixture(scope="module")
def honest(tiny: CausalLM) -> Iterator[Served]:
    with serving(around(tiny)) as server:
        yield server


def test_it_keeps_the_promises_of_an_adapter(honest: Served) -> None:
    model, card, offers = check_adapter(Endpoint, options(honest))
    assert offers == {Capability.SAMPLE, Capability.LOG_LIKELIHOOD}
    check_capabilities(model, offers, text_rows(["the nurse said", "the driver slept"]))
    assert not card.deterministic
    assert "weights are not known" in card.notes[0]
    assert Capability.TOKEN_SCORES in dict(card.withheld)


def test_scores_of_given_texts_are_those_of_the_model_behind_it(honest: Served, tiny: CausalLM) -> None:
    rows = text_rows(
        [" said that she would be late", "the driver said that he slept", "naïve 日本語 🙂", "", "x"],
        prefix=["the nurse", "", "the ", "the nurse", ""],
    )
    found = opened(honest).log_likelihood(rows)
    np.testing.assert_allclose(found, tiny.log_likelihood(rows), atol=1e-4)
    assert len({*found.tolist()}) == 5


def test_every_prompt_gets_its_own_answer_and_seed_however_they_come_in() -> None:
    first = threading.Event()

    def late(path: str, body: dict[str, Any]) -> Answer:
        if body.get("prompt") == "prompt 0":
            first.wait(5)  # the first to be asked is the last to be answered
        elif body.get("prompt") == "prompt 39":
            first.set()
        return echoing(path, body)

    with serving(late) as server:
        model = opened(server, concurrency=4)
        prompts = [f"prompt {i}" for i in range(40)]
        rows = model.sample(40, rng(), text_rows(prompts)).to_pylist()
        assert [row["prefix"] for row in rows] == prompts
        assert [row["text"].split("#")[0] for row in rows] == [f"<{prompt}" for prompt in prompts]
        assert len({row["text"].split("#")[1] for row in rows}) == 40
        assert 2 <= server.most_at_once <= 4


def test_one_example_has_its_own_seed_wherever_it_is_cut() -> None:
    with serving(echoing) as server:
        model = opened(server)
        whole = model.sample_each([rng(i) for i in range(6)]).to_pylist()
        parts = [model.sample_each([rng(i) for i in part]).to_pylist() for part in (range(4), range(4, 6))]
        assert whole == [row for part in parts for row in part]
        assert {row["prefix"] for row in whole} == {"a", "b"}
        assert whole[0] | {"text": "", "prefix": ""} == {
            **{"text": "", "prefix": "", "ended": "stop", "prompt_tokens": 2, "reply_tokens": 3}
        }


def test_a_chat_is_a_system_message_and_a_users() -> None:
    with serving(echoing) as server:
        model = opened(server, api="chat", system="Be brief.")
        (row,) = model.sample(1, rng(), text_rows(["Hello"])).to_pylist()
        assert row["text"] == "[system: Be brief. | user: Hello]"
        card, offers = Endpoint.describe(Endpoint.refer(options(server, api="chat")))
        assert offers == {Capability.SAMPLE}
        assert "chat" in dict(card.withheld)[Capability.LOG_LIKELIHOOD]


def test_the_name_covers_what_is_known_and_nothing_else() -> None:
    answers = {"system_fingerprint": "f1"}

    def acts(path: str, body: dict[str, Any]) -> Answer:
        answer = echoing(path, body)
        if "choices" in answer.body:
            answer.body.update(answers)
        return answer

    with serving(acts) as server:
        named = Endpoint.refer(options(server))
        assert named == Endpoint.refer(options(server))
        others = [
            Endpoint.refer(options(server, **more))
            for more in ({"temperature": 0.5}, {"prompts": ["c"]}, {"api": "chat"}, {"max_new_tokens": 9})
        ]
        assert len({ref.weights for ref in (named, *others)}) == 5
        prices = {"price_in": 1.0, "price_out": 3.0, "currency": "EUR"}
        transport = {"retries": 1, "timeout": 9.0, "concurrency": 2, **prices}
        assert Endpoint.refer(options(server, **transport)).weights == named.weights
        answers["system_fingerprint"] = "f2"
        assert Endpoint.refer(options(server)).weights != named.weights


def test_without_prompts_it_must_begin_by_itself() -> None:
    with serving(echoing) as server:
        model = opened(server, prompts=["x"], api="completions")
        free = {k: v for k, v in options(server).items() if k != "prompts"}
        drawn = Endpoint.open(Endpoint.refer(free), "cpu").sample(2, rng()).to_pylist()
        assert all(row["prefix"] == "" and row["text"].startswith("<#") for row in drawn)
        with pytest.raises(InputError, match="prompts ="):
            Endpoint.refer({**free, "api": "chat"})
        assert model.sample(0, rng()).num_rows == 0


def test_a_busy_server_is_asked_again_after_as_long_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(client.time, "sleep", slept.append)
    turns = iter(["7", "Thu, 01 Jan 1970 00:00:00 GMT"])

    def acts(path: str, body: dict[str, Any]) -> Answer:
        if body.get("prompt") == "busy" and (after := next(turns, None)):
            return Answer({"error": {"message": "slow down"}}, 429, {"Retry-After": after})
        return echoing(path, body)

    with serving(acts) as server:
        model = opened(server, concurrency=1)
        slept.clear()
        (row,) = model.sample(1, rng(), text_rows(["busy"])).to_pylist()
        assert row["text"].startswith("<busy#")
        assert sum(7 <= seconds <= 7.5 for seconds in slept) >= 1


def test_a_pause_of_hours_is_not_waited_for() -> None:
    def acts(path: str, body: dict[str, Any]) -> Answer:
        if body.get("prompt") == "busy":
            return Answer({"error": "quota"}, 429, {"Retry-After": "86400"})
        return echoing(path, body)

    with serving(acts) as server, pytest.raises(InputError, match=r"86,400 seconds.*requests_per_minute"):
        opened(server).sample(1, rng(), text_rows(["busy"]))


def test_requests_a_minute_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(client.time, "sleep", slept.append)
    with serving(echoing) as server:
        opened(server, requests_per_minute=60.0, concurrency=1).sample(4, rng())
    assert max(slept) > 3, "one a second, and no second passes here"


def test_tokens_and_cost_are_written_down(tmp_path: Path) -> None:
    with serving(echoing) as server:
        prices = {"price_in": 1e6, "price_out": 2e6, "currency": "EUR"}
        opened(server, usage=str(tmp_path / "usage.jsonl"), **prices).sample(5, rng())
    lines = [json.loads(line) for line in (tmp_path / "usage.jsonl").read_text().splitlines()]
    samples = [line for line in lines if line["what"] == "sample"]
    assert len(samples) == 5
    assert all(
        line == {"what": "sample", "prompt_tokens": 2, "reply_tokens": 3, "cost": 8.0} for line in samples
    )


def test_the_key_is_sent_and_is_nowhere_else(
    tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def repeats(path: str, body: dict[str, Any]) -> Answer:
        if body.get("prompt") == "fail":
            return Answer({"error": {"message": f"bad key {KEY}"}}, 400)
        return Answer(completion(f"your key is {KEY}", model=f"m {KEY}")) if body else echoing(path, body)

    monkeypatch.setenv("SERVED_KEY", KEY)
    with serving(repeats) as server:
        model = opened(server, key_env="SERVED_KEY")
        assert {headers["Authorization"] for _, _, headers in server.asked} == {f"Bearer {KEY}"}
        ref = Endpoint.refer(options(server, key_env="SERVED_KEY"))
        drawn = model.sample(2, rng()).to_pylist()
        with pytest.raises(ValueError, match=r"\[key\]") as error:
            model.sample(1, rng(), text_rows(["fail"]))
        for held in (repr(ref), repr(Endpoint.describe(ref)), repr(drawn), repr(error.value), repr(model)):
            assert KEY not in held
        (tmp_path / "holdout.jsonl").write_text('{"text": "a b"}\n{"text": "c d"}\n')
        spec = f"""
            name = "keyed"
            samples = 4
            [model]
            adapter = "endpoint"
            url = "{server.url}"
            prompts = ["a"]
            key_env = "SERVED_KEY"
            [data]
            use = "text"
            holdout = "holdout.jsonl"
            [[evaluators]]
            name = "quality.samples"
            [run]
            executor = "inline"
            """
        (tmp_path / "spec.toml").write_text(spec)
        said = cli("run", tmp_path / "spec.toml", "--store", tmp_path / "store")
    assert said.code in (0, 3), said.err
    assert KEY not in said.out + said.err
    kept = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"key_env": "NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE is not set"),
        ({"key_env": KEY}, "not the name of an environment variable"),
        ({"url": f"https://user:{KEY}@example.org/v1"}, "holds a user or a password"),
        ({"url": f"https://example.org/v1?key={KEY}"}, "query"),
        ({"url": "http://example.org/v1", "key_env": "SET_HERE"}, "unencrypted"),
        ({"url": "ftp://example.org"}, "no address"),
        ({"url": "http://127.0.0.1:1/v1/completions"}, "adds itself"),
        ({"url": "http://127.0.0.1:1/v1"}, "Nothing answers"),
        ({"url": "http://no-such-host.invalid/v1"}, "Nothing answers"),
        ({"temperature": -1}, "temperature"),
        ({"api": "completion"}, "Did you mean 'completions'"),
        ({"api": "completions", "system": "x"}, "Remove one"),
        ({"ca_file": "/no/such/file.pem"}, "does not exist"),
        ({"nam": "m"}, "Did you mean 'name'"),
        ({"price_in": 1.0}, "lacks 'price_out' and 'currency'"),
        ({"price_in": 1.0, "price_out": 2.0, "currency": "a b"}, "its name alone"),
    ],
)
def test_what_cannot_be_used_is_told_with_the_remedy(
    changed: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SET_HERE", KEY)
    with pytest.raises(InputError, match=said) as error:
        Endpoint.refer({"url": "http://127.0.0.1:1/v1", "prompts": ["a"], **changed})
    assert KEY not in str(error.value)


def test_a_key_with_a_line_end_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET_HERE", f"{KEY}\n")
    with pytest.raises(InputError, match="key alone") as error:
        Endpoint.refer({"url": "http://127.0.0.1:1/v1", "key_env": "SET_HERE"})
    assert KEY not in str(error.value)
