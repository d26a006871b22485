"""The bodies of requests and what answers must look like: OpenAI's completions and chat, as llama.cpp and vLLM speak them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit.models.served.client import BadAnswerError
from audit.models.served.settings import CHAT, Asking

PATHS: Mapping[str, str] = {"completions": "/completions", CHAT: "/chat/completions"}
_CHARACTERS = 512
"""More characters than a token of any known tokenizer has."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One text that the server wrote. ``ended`` is its own word for why: "stop", "length"; counts are -1 where it gave none."""

    text: str
    ended: str
    prompt_tokens: int
    reply_tokens: int
    model: str
    fingerprint: str


def asked_for(asking: Asking, prompt: str, seed: int) -> dict[str, Any]:
    """Return the body of a request for one text that continues, or replies to, a prompt."""
    body: dict[str, Any] = {
        "model": asking.name,
        "max_tokens": asking.max_new_tokens,
        "temperature": asking.temperature,
        "top_p": asking.top_p,
        "seed": seed,
        "n": 1,
        "stream": False,
    }
    if asking.api != CHAT:
        return {**body, "prompt": prompt}
    system = [{"role": "system", "content": asking.system}] if asking.system else []
    return {**body, "messages": [*system, {"role": "user", "content": prompt}]}


def reply_in(answer: Any, asking: Asking) -> Reply:
    """Return the text of an answer. Raise BadAnswerError for an answer without text, or that cannot be of this request."""
    choice = choice_in(answer)
    text = _of_chat(choice) if asking.api == CHAT else choice.get("text")
    if not isinstance(text, str):
        raise BadAnswerError("the answer holds no text")
    prompt_tokens, reply_tokens = _usage(answer)
    if len(text) > _CHARACTERS * asking.max_new_tokens or reply_tokens > asking.max_new_tokens + 1:
        raise BadAnswerError(
            f"the answer is longer than the {asking.max_new_tokens} tokens that were asked for"
        )
    ended = choice.get("finish_reason")
    return Reply(
        text,
        ended if isinstance(ended, str) and len(ended) <= 40 else "unsaid",
        prompt_tokens,
        reply_tokens,
        _word(answer, "model"),
        _word(answer, "system_fingerprint"),
    )


def choice_in(answer: Any) -> Mapping[str, Any]:
    """Return the one choice of an answer. Raise BadAnswerError unless there is exactly one."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        found = len(choices) if isinstance(choices, list) else "no"
        raise BadAnswerError(f"one text was asked for, and the answer holds {found} choices")
    if choices[0].get("index", 0) not in (0, None):
        raise BadAnswerError("one text was asked for, and the answer holds another's number")
    return choices[0]


def _of_chat(choice: Mapping[str, Any]) -> Any:
    """Return what a message says; nothing where the model spent its tokens on thoughts or a call of a tool."""
    message = choice.get("message")
    if not isinstance(message, dict) or message.get("role", "assistant") != "assistant":
        return None
    said = message.get("content")
    if said is None and "content" in message:
        refusal = message.get("refusal")
        return refusal if isinstance(refusal, str) else ""
    return said


def _usage(answer: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many tokens the server counts in the prompt and in its reply, -1 where it does not say."""
    usage = answer.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    found = (counts.get("prompt_tokens"), counts.get("completion_tokens"))
    first, second = (
        n if isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 40 else -1 for n in found
    )
    return first, second


def _word(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    return value[:200] if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Echo:
    """A given text as the server cut and scored it: tokens that join to it, and log p of each in nats (None: not scored)."""

    tokens: tuple[str, ...]
    logps: tuple[float | None, ...]
    prompt_tokens: int

    def log_likelihood(self, prefix: str) -> float:
        """Return the sum of log p over the tokens that end after ``prefix``; one across the boundary counts whole."""
        end, found = 0, 0.0
        for token, logp in zip(self.tokens, self.logps, strict=True):
            end += len(token)
            if end > len(prefix) and logp is not None:
                found += logp
        return found


def scoring(asking: Asking, text: str, tail: int) -> dict[str, Any]:
    """Return the body of a request for the log-probabilities of a given text; ``tail`` is how many tokens to write after it."""
    return {
        "model": asking.name,
        "prompt": text,
        "max_tokens": tail,
        "echo": True,
        "logprobs": 1,
        "temperature": 1.0,
        "n": 1,
        "stream": False,
    }


def echo_in(answer: Any, text: str, tail: int) -> Echo:
    """Return how a given text was scored. Raise BadAnswerError unless the answer is about this text, token by token."""
    choice = choice_in(answer)
    logprobs = choice.get("logprobs")
    echoed = choice.get("text")
    if not isinstance(echoed, str) or not echoed.startswith(text):
        raise BadAnswerError("the server does not give back the text that it was to score (echo)")
    if not isinstance(logprobs, dict) or not isinstance(logprobs.get("tokens"), list):
        raise BadAnswerError("the answer holds no log-probabilities of the text's tokens")
    tokens, logps = logprobs["tokens"], logprobs.get("token_logprobs")
    if not isinstance(logps, list) or len(logps) != len(tokens) or not tokens:
        raise BadAnswerError("the answer does not hold one log-probability for each token")
    if not all(isinstance(token, str) for token in tokens):
        raise BadAnswerError("the answer's tokens are no texts")
    if not "".join(tokens).startswith(text) and logps[0] is None:
        tokens, logps = tokens[1:], logps[1:]  # a token that begins every text, such as <s>
    kept = _cut(tokens, text, tail)
    if any(not _is_logp(logp) for logp in logps[1:kept]) or not (
        logps[:1] == [None] or _is_logp(next(iter(logps), None))
    ):
        raise BadAnswerError("a token's log-probability is missing, above 0 or no number")
    found = tuple(None if logp is None else min(0.0, float(logp)) for logp in logps[:kept])
    return Echo(tuple(tokens[:kept]), found, _usage(answer)[0])


def _cut(tokens: list[str], text: str, tail: int) -> int:
    """Return how many tokens make the text. Raise BadAnswerError where they do not join to it."""
    length = 0
    for number, token in enumerate(tokens):
        if length == len(text) and number >= len(tokens) - tail:
            return number
        length += len(token)
    if length != len(text) or "".join(tokens) != text:
        raise BadAnswerError("the tokens of the answer do not join to the text that was to be scored")
    return len(tokens)


def _is_logp(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value <= 1e-3
    )
