"""The page on models behind an address: its example is served by a real llama.cpp, audited and reported."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.models.endpoint import Endpoint
from audit.models.served.settings import OPTIONS
from tests.models.test_lm_gguf import write_gguf

PAGE = (Path(__file__).parents[2] / "docs" / "endpoint.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """Return the block of the page that is headed by a file's name."""
    (found,) = re.findall(rf"\*{re.escape(name)}\*\n\n```\w+\n(.*?)```", PAGE, flags=re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def port(tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the page's server, with a tiny model behind it."""
    pytest.importorskip("xllamacpp")
    folder = tmp_path_factory.mktemp("llama")
    write_gguf(tiny_lm, folder / "model.gguf")
    one = "settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1\nserver ="
    (folder / "serve.py").write_text(block("serve.py").replace("server =", one, 1), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = int(free.getsockname()[1])
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "serve.py", "model.gguf", str(number)], cwd=folder, stdout=log, stderr=log
        )
    try:
        for _ in range(600):
            try:
                Endpoint.refer({"url": f"http://127.0.0.1:{number}/v1", "prompts": ["the nurse"]})
                break
            except InputError as error:
                assert server.poll() is None, (folder / "log").read_text(errors="replace")[-2000:]
                last = error
                time.sleep(0.1)
        else:
            raise AssertionError(f"the server does not answer: {last}")
        yield number
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()


def test_every_option_stands_on_the_page() -> None:
    table = PAGE.split("## Options")[1].split("##")[0]
    assert set(re.findall(r"`(\w+)`", table)) >= set(OPTIONS)


def test_the_example_goes_from_a_server_to_a_report_and_asks_nothing_twice(
    port: int, tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = block("endpoint.toml").replace(":8080", f":{port}")
    (tmp_path / "endpoint.toml").write_text(spec, encoding="utf-8")
    texts = [f"the nurse said that she would be late, {i} times" for i in range(60)]
    (tmp_path / "holdout.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    planned = cli("plan", "endpoint.toml", "--store", "store")
    assert planned.code == 0, planned.err
    ran = cli("run", "endpoint.toml", "--store", "store")
    assert ran.code in (0, 3), ran.err
    lines = [json.loads(line) for line in Path("usage.jsonl").read_text().splitlines()]
    samples = [line for line in lines if line["what"] == "sample"]
    assert len(samples) == 100
    assert all(0 < line["reply_tokens"] <= 24 for line in samples)
    assert {line["prompt_tokens"] for line in samples} == {13, 17, 19}, "the prompts as they stand"
    reported = cli("report", "--store", "store", "-o", "report.html")
    assert reported.code == 0, reported.err
    page = Path("report.html").read_text(encoding="utf-8")
    for said in ("weights are not known", "does not give the same output twice", "give back the text"):
        assert said in page
    cli("run", "endpoint.toml", "--store", "store")
    again = [json.loads(line)["what"] for line in Path("usage.jsonl").read_text().splitlines()]
    assert again.count("sample") == 100, "the shards are there"


def test_what_llama_does_not_score_is_not_believed(port: int) -> None:
    """It answers a request for echo and logprobs with 200, and with the log-probabilities of other tokens."""
    for api in ("completions", "chat"):
        ref = Endpoint.refer({"url": f"http://127.0.0.1:{port}/v1", "prompts": ["the nurse"], "api": api})
        card, offers = Endpoint.describe(ref)
        assert offers == {Capability.SAMPLE}
        assert dict(card.withheld)[Capability.LOG_LIKELIHOOD]
        assert dict(ref.options)["name"].endswith("model.gguf")


def test_a_wrong_name_and_a_wrong_address_of_it_are_told(port: int) -> None:
    url = f"http://127.0.0.1:{port}/v1"
    with pytest.raises(InputError, match="does not list it"):
        Endpoint.refer({"url": url, "prompts": ["a"], "name": "another"})
    with pytest.raises(InputError, match=r"cannot be used as asked|needs the name"):
        Endpoint.refer({"url": url.replace("/v1", "/v9"), "prompts": ["a"], "api": "completions"})


def test_the_example_spec_is_planned(port: int, tmp_path: Path, cli: Callable[..., Any]) -> None:
    example = Path(__file__).parents[2] / "examples" / "endpoint.toml"
    spec = example.read_text(encoding="utf-8").replace(":8080", f":{port}")
    (tmp_path / "endpoint.toml").write_text(spec, encoding="utf-8")
    planned = cli("plan", tmp_path / "endpoint.toml", "--store", tmp_path / "store")
    assert planned.code == 0, planned.err
    assert "unknown (behind an endpoint)" in planned.out
