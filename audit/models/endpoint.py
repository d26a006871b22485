"""Language models behind an address that speaks OpenAI's protocol: llama.cpp, vLLM, hosted ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np

from audit.core.capabilities import Capability, implemented
from audit.core.errors import InputError
from audit.core.identity import canonical, digest_of
from audit.core.references import ModelRef, Options
from audit.core.rows import PREFIX, TEXT, Rng, Rows, Vector, text_rows, texts_of
from audit.core.subjects import ModelCard
from audit.core.usage import Billing, Usage
from audit.models.pipelines.asked import prompts_in
from audit.models.served.client import Client
from audit.models.served.probes import Found, probe
from audit.models.served.settings import CHAT, COMPLETIONS, Asking, Line, settings_of
from audit.models.served.wire import PATHS, Reply, asked_for, echo_in, reply_in, scoring

A = TypeVar("A")
B = TypeVar("B")

_READING = 1
"""Version of how requests are made and answers read; raised when the same model then gives others."""
_WHOLE_DISTRIBUTION = (
    "an endpoint gives the log-probability of a token, not the ranks, entropies and variances of all tokens"
)
_LOGITS = "an endpoint lets nobody change the logits of a token before it is drawn"


class Endpoint:
    """A model that another program serves at ``url``; nothing of it is loaded here.

    ``name`` is the served model, ``api`` is ``"completions"`` (a text is continued) or ``"chat"`` (a user's message is
    replied to, after a message ``system`` if there is one); where one is left out, the server is asked. Free samples continue
    ``prompts`` (a list, or a text file with one on each line), each drawn by chance, or begin from nothing. A seed for each sample is
    sent along, which the server may ignore: the model counts as one that does not repeat itself. What it is known by is
    the address, the names and fingerprint that it gives itself and the parameters; its weights are not known.
    ``key_env`` names the environment variable with the key, ``ca_file`` a certificate to trust.
    ``concurrency``, ``timeout`` (seconds), ``retries``, ``requests_per_minute``, ``price_in`` and ``price_out`` (per million
    tokens, in ``currency``) and ``usage`` (a file that gets a line for each request) change no answer.
    """

    def __init__(self, ref: ModelRef) -> None:
        said = json.loads(ref.location)
        self._line = Line(**said["line"])
        self._asking = Asking(**said["asking"])
        self._tail: int = said["tail"]
        self._prompts = tuple(said["prompts"]) or ("",)
        self._client = Client(self._line)

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        """Check the options and ask the server what it serves. Raise InputError, with the remedy, where it cannot be used."""
        asking, line = settings_of(options)
        prompts = prompts_in(options["prompts"]) if "prompts" in options else ()
        client = Client(line)
        try:
            found = probe(client, asking, prompted=bool(prompts))
        finally:
            client.close()
        if not prompts and not found.begins:
            raise InputError(
                f"The model '{found.asking.name}' writes nothing without a prompt ({found.asking.api}). Say what free samples are "
                'to be drawn for: prompts = ["…", "…"] in [model], or a text file with one on each line.'
            )
        named = _identity(line.url, found, prompts)
        location = {
            "line": asdict(line),
            "asking": asdict(found.asking),
            "prompts": prompts,
            "tail": found.tail,
            "unscored": found.unscored,
            "scores_first": found.scores_first,
            "around": found.around,
        }
        return ModelRef("endpoint", digest_of(canonical(named)), named, json.dumps(location))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        """Say what the server showed when it was named; it is not asked again."""
        said = json.loads(ref.location)
        withheld = [(Capability.TOKEN_SCORES, _WHOLE_DISTRIBUTION), (Capability.MARKED_SAMPLE, _LOGITS)]
        if said["unscored"]:
            withheld.append((Capability.LOG_LIKELIHOOD, said["unscored"]))
        card = ModelCard(
            family="unknown (behind an endpoint)",
            modality="text",
            parameters=0,
            deterministic=False,
            withheld=tuple(withheld),
            notes=tuple(_notes(dict(ref.options), said)),
            billing=_billing(said),
        )
        return card, implemented(cls) - dict(withheld).keys()

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> Endpoint:
        """Read the key from the environment. Raise InputError where it is gone."""
        return cls(ref)

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        """Continue, or reply to, each row's ``prefix`` (else its ``text``); without rows, one of the prompts each."""
        return self.sample_each([np.random.default_rng(rng.integers(1 << 62)) for _ in range(n)], condition)

    def sample_each(self, rngs: Sequence[Rng], condition: Rows | None = None) -> Rows:
        """Draw one text for each of ``rngs``, which give the seeds that are sent; see ``sample``.

        Beside ``text`` and ``prefix``: ``ended`` (the server's word for why the text ends), ``prompt_tokens`` and
        ``reply_tokens`` (-1 where the server counts none).
        """
        prompts = self._asked(rngs, condition)
        seeds = [int(rng.integers(1 << 31)) for rng in rngs]
        replies = self._all(self._reply, list(zip(prompts, seeds, strict=True)))
        columns: dict[str, list[Any]] = {
            PREFIX: prompts,
            "ended": [self._client.cleaned(reply.ended) for reply in replies],
            "prompt_tokens": [reply.prompt_tokens for reply in replies],
            "reply_tokens": [reply.reply_tokens for reply in replies],
        }
        return text_rows([self._client.cleaned(reply.text) for reply in replies], **columns)

    def log_likelihood(self, rows: Rows) -> Vector:
        """Return log p(text | prefix) of each row in nats, as the server scores it; a token across the boundary counts whole.

        A server that puts no token before a text does not score its first token: then that is left out.
        """
        texts = texts_of(rows)
        prefixes = texts_of(rows, PREFIX) if PREFIX in rows.column_names else [""] * len(texts)
        if None in texts or None in prefixes:
            raise ValueError("some texts are null; a text may be empty but not absent")
        return np.array(self._all(self._score, list(zip(prefixes, texts, strict=True))), np.float64)

    def take_usage(self) -> Usage:
        """Return what the server counted since this was last asked; the engine asks after each shard."""
        return self._client.take_usage()

    def _asked(self, rngs: Sequence[Rng], condition: Rows | None) -> list[str]:
        if condition is None:
            return [self._prompts[int(rng.integers(len(self._prompts)))] for rng in rngs]
        if condition.num_rows != len(rngs):
            raise ValueError(
                f"{len(rngs)} samples were asked for, and {condition.num_rows} prompts were given"
            )
        return texts_of(condition, PREFIX if PREFIX in condition.column_names else TEXT)

    def _reply(self, asked: tuple[str, int]) -> Reply:
        prompt, seed = asked
        return self._client.ask(
            "sample",
            PATHS[self._asking.api],
            asked_for(self._asking, prompt, seed),
            lambda answer: reply_in(answer, self._asking),
        )

    def _score(self, given: tuple[str, str]) -> float:
        prefix, text = given
        if not text:
            return 0.0
        echo = self._client.ask(
            "score",
            PATHS[COMPLETIONS],
            scoring(self._asking, prefix + text, self._tail),
            lambda answer: echo_in(answer, prefix + text, self._tail),
        )
        return echo.log_likelihood(prefix)

    def _all(self, call: Callable[[A], B], asked: Sequence[A]) -> list[B]:
        """Return the answers in the order of what was asked, however they come in; the first error ends it."""
        pool = ThreadPoolExecutor(self._line.concurrency)
        try:
            return list(pool.map(call, asked))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _identity(url: str, found: Found, prompts: Sequence[str]) -> Options:
    """Return all that is known of which model answers, and what it is asked for."""
    asking = found.asking
    return (
        ("answers_as", found.answered),
        ("api", asking.api),
        ("fingerprint", found.fingerprint),
        ("max_new_tokens", asking.max_new_tokens),
        ("name", asking.name),
        ("prompts", digest_of(canonical(tuple(prompts)))),
        ("reading", _READING),
        ("scored_after", found.tail),
        ("system", asking.system),
        ("temperature", asking.temperature),
        ("top_p", asking.top_p),
        ("url", url),
    )


def _billing(said: dict[str, Any]) -> Billing | None:
    """Return the prices that the user states, if any. No token has less than a byte of a prompt, so its bytes bound its tokens."""
    asking, line = Asking(**said["asking"]), Line(**said["line"])
    if not line.currency:
        return None
    longest = max((len(prompt.encode()) for prompt in said["prompts"]), default=0)
    most_read = None if said["around"] < 0 else said["around"] + longest
    return Billing(line.price_in, line.price_out, line.currency, most_read, asking.max_new_tokens)


def _notes(options: dict[str, Any], said: dict[str, Any]) -> Iterable[str]:
    asking, line = Asking(**said["asking"]), Line(**said["line"])
    fingerprint = options["fingerprint"] or "none"
    yield (
        f"Served as '{asking.name}' at {line.url}. Its weights are not known: its name covers the address, the names and the "
        f"fingerprint that the server gives ({options['answers_as'] or 'no name'}, {fingerprint}) and the parameters. Other "
        "weights behind the same names would not be noticed."
    )
    yield "It does not repeat itself: a seed is sent with every request, and whether it is heeded depends on the server."
    what = (
        "The last reply to one user's message"
        if asking.api == CHAT
        else "A text is continued as it stands, without a chat template"
    )
    yield (
        f"{what}; temperature {asking.temperature:g}, top-p {asking.top_p:g}, at most {asking.max_new_tokens} tokens."
    )
    if said["prompts"]:
        yield f"Free samples are drawn for {len(said['prompts']):,} prompts, each by chance."
    if not said["unscored"]:
        first = "" if said["scores_first"] else " The first token of a text is not scored."
        yield f"Log-probabilities of given texts are the server's own; they were probed before the audit.{first}"
