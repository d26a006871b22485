"""Servers for the tests of the adapter ``endpoint``: an honest one around a model that is here, and ones that lie."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from audit.core.rows import text_rows
from audit.models.transformers import CausalLM


@dataclass
class Answer:
    """What a server sends: a value as JSON, or bytes as they are. ``length`` is what it says that the body's length is."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None


Acts = Callable[[str, dict[str, Any]], Answer]
"""Makes an answer of a path and the body of a request."""


@dataclass
class Served:
    """A running server and what it was asked: path, body and headers of each request, and the most at once."""

    url: str
    asked: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    most_at_once: int = 0
    now: int = 0
    lock: Any = field(default_factory=threading.Lock)


@contextmanager
def serving(acts: Acts, context: Any = None) -> Iterator[Served]:
    """Serve on a free port of this machine until the end of the block, over TLS with a ``context``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._respond({})

        def do_POST(self) -> None:
            self._respond(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _respond(self, body: dict[str, Any]) -> None:
            with seen.lock:
                seen.asked.append((self.path, body, dict(self.headers)))
                seen.now += 1
                seen.most_at_once = max(seen.most_at_once, seen.now)
            try:
                answer = acts(self.path, body)
                data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data) if answer.length is None else answer.length))
                self.send_header(
                    "Connection", "close"
                )  # said, so that no client asks on a line that is being closed
                self.end_headers()
                self.wfile.write(data)
            except (ConnectionError, TimeoutError):
                pass
            finally:
                with seen.lock:
                    seen.now -= 1
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    scheme = "http"
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is meant
    seen = Served(f"{scheme}://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def completion(text: str, tokens: int = 3, **more: Any) -> dict[str, Any]:
    """Return an answer of the API for completions."""
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 2, "completion_tokens": tokens}
    return {"choices": [choice], "model": "m", "system_fingerprint": "f1", "usage": usage, **more}


def echoing(path: str, body: dict[str, Any]) -> Answer:
    """Serve one model, ``m``, whose text is its prompt and its seed: what is mixed up shows."""
    if path.endswith("/models"):
        return Answer({"data": [{"id": "m"}]})
    if path.endswith("/chat/completions"):
        said = " | ".join(f"{m['role']}: {m['content']}" for m in body["messages"])
        message = {"role": "assistant", "content": f"[{said}]"}
        return Answer(
            {**completion(""), "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        )
    return (
        Answer(completion(f"<{body['prompt']}#{body['seed']}>"))
        if "seed" in body
        else Answer(completion("no"))
    )


def around(model: CausalLM) -> Acts:
    """Serve the log-probabilities of given texts as vLLM does: tokens that join to the text, after one that begins it."""
    turn = threading.Lock()

    def acts(path: str, body: dict[str, Any]) -> Answer:
        if path.endswith("/models"):
            return Answer({"data": [{"id": "m"}]})
        if not body.get("echo"):
            with turn:
                rows = text_rows([body["prompt"]])
                drawn = model.sample(1, np.random.default_rng(body["seed"]), rows).to_pylist()[0]
            return Answer(completion(drawn["text"]))
        text = body["prompt"]
        with turn:
            row = model.token_scores(text_rows([text])).to_pylist()[0]
        tokens = [text[a:b] for a, b in zip([0, *row["end"]], row["end"], strict=False)]
        logprobs = {"tokens": ["<s>", *tokens], "token_logprobs": [None, *row["logp"]]}
        answer = completion("", 0)
        answer["choices"][0].update(text=text, logprobs=logprobs)
        answer["usage"]["prompt_tokens"] = len(tokens) + 1
        return Answer(answer)

    return acts
