"""Asks a server what it can do before an audit, and believes only what its answers show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from audit.core.errors import InputError, nearest
from audit.formats.hostile import shown
from audit.models.served.client import BadAnswerError, Client, RefusedError
from audit.models.served.settings import CHAT, COMPLETIONS, Asking
from audit.models.served.wire import PATHS, Echo, Reply, asked_for, echo_in, reply_in, scoring

VARIES = "varies"
_TOLERANCE = 0.05
"""Nats by which the score of one token may differ between two calls: what bfloat16 and the make-up of a batch do."""
_SAID = "The nurse said that the patient had slept well before the storm."
_LATER = "The nurse said that the patient had slept well before the music."
_EARLIER = "A wet dog said that the patient had slept well before the storm."
_ACCENTS = "Zoë’s café in 東京 is open 🙂 today."


@dataclass(frozen=True, slots=True)
class Found:
    """What the answers of a server show. ``unscored`` is why it scores no given text; empty where it does.

    ``tail`` is how many tokens it has to write after a text to score it; ``scores_first`` says whether it scores a text's
    first token; ``begins`` whether it writes without a prompt; ``around`` how many tokens it reads besides a prompt, at most,
    -1 where it does not count them.
    """

    asking: Asking
    answered: str
    fingerprint: str
    unscored: str
    tail: int = 0
    scores_first: bool = False
    begins: bool = False
    around: int = -1


def probe(client: Client, asking: Asking, *, prompted: bool) -> Found:
    """Ask the server about one model. Raise InputError, with the remedy, where it is not there or does not answer as it should."""
    asking = replace(asking, name=_named(client, asking.name))
    asking, first = _answering(client, asking)
    second = _write(client, asking, "Once")
    begins = asking.api == COMPLETIONS and not prompted and _begins(client, asking)
    unscored, tail, scores_first = _scoring(client, asking)
    return Found(
        asking,
        _same(first.model, second.model),
        _same(first.fingerprint, second.fingerprint),
        unscored,
        tail,
        scores_first,
        begins,
        first.prompt_tokens,
    )


def _same(first: str, second: str) -> str:
    return first if first == second else VARIES


def _named(client: Client, name: str) -> str:
    """Return the model's name; the only one on the server's list where the spec gives none. Raise InputError."""
    listing = client.listing()
    rows = listing.get("data") if isinstance(listing, dict) else None
    known = [row["id"] for row in rows or () if isinstance(row, dict) and isinstance(row.get("id"), str)][
        :1000
    ]
    if name:
        if known and name not in known and not _aliased(rows or (), name):
            raise InputError(
                f"[model] name is '{shown(name)}', and the server does not list it. "
                + nearest(name, [shown(client.cleaned(n), 100) for n in known[:20]])
            )
        return name
    if len(known) == 1:
        return str(client.cleaned(known[0]))
    listed = f" It lists {', '.join(shown(client.cleaned(n), 100) for n in known[:20])}." if known else ""
    raise InputError(f'[model] needs the name of the model that the server is to use: name = "…".{listed}')


def _aliased(rows: Sequence[Any], name: str) -> bool:
    return any(isinstance(row, dict) and name in (row.get("aliases") or ()) for row in rows)


def _answering(client: Client, asking: Asking) -> tuple[Asking, Reply]:
    """Return the API that answers, completions first where the spec leaves it open. Raise InputError where none does."""
    apis = (asking.api,) if asking.api else ((CHAT,) if asking.system else (COMPLETIONS, CHAT))
    reasons: list[str] = []
    for api in apis:
        tried = replace(asking, api=api)
        try:
            return tried, _write(client, tried, "Once")
        except (RefusedError, BadAnswerError) as error:
            reasons.append(f"{api}: {error}")
    raise InputError(
        f"The model '{shown(asking.name)}' cannot be used as asked ({'; '.join(reasons)}). See whether 'name' is a model of this "
        "server, whether 'url' ends as the server wants it (most often in /v1), and whether it takes the sampling parameters."
    )


def _write(client: Client, asking: Asking, prompt: str) -> Reply:
    short = replace(asking, max_new_tokens=min(asking.max_new_tokens, 4))
    body = asked_for(short, prompt, 1)
    reply = client.ask(
        "probe", PATHS[asking.api], body, lambda answer: reply_in(answer, short), patient=False
    )
    return replace(reply, model=client.cleaned(reply.model), fingerprint=client.cleaned(reply.fingerprint))


def _begins(client: Client, asking: Asking) -> bool:
    try:
        return any(_write(client, asking, "").text for _ in range(2))
    except (RefusedError, BadAnswerError):
        return False


def _scoring(client: Client, asking: Asking) -> tuple[str, int, bool]:
    """Return why given texts are not scored (empty where they are), the tail that it takes, and whether the first token is."""
    if asking.api == CHAT:
        return "a chat replies to messages and is given no text to score", 0, False
    reason = ""
    for tail in (0, 1):
        try:
            echoes = [
                _echo(client, asking, text, tail) for text in (_SAID, _SAID, _LATER, _EARLIER, _ACCENTS)
            ]
        except (RefusedError, BadAnswerError) as error:
            reason = reason or f"asked for them, {error}" if isinstance(error, RefusedError) else str(error)
        else:
            return _doubt(*echoes[:4]), tail, echoes[0].logps[0] is not None
    return reason, 0, False


def _echo(client: Client, asking: Asking, text: str, tail: int) -> Echo:
    read = partial(echo_in, text=text, tail=tail)
    return client.ask("probe", PATHS[COMPLETIONS], scoring(asking, text, tail), read, patient=False)


def _doubt(said: Echo, again: Echo, later: Echo, earlier: Echo) -> str:
    """Return why the log-probabilities are not believed; empty where they behave as those of a model that reads from left to right."""
    if said.prompt_tokens >= 0 and said.prompt_tokens - len(said.tokens) not in (0, 1):
        return f"it counts {said.prompt_tokens} tokens in a text and gives log-probabilities of {len(said.tokens)}"
    if len(set(said.logps)) < 3:
        return "it gives one log-probability for every token"
    if said.tokens != again.tokens or not _close(said.logps, again.logps):
        return "two calls score the same text differently"
    shared = next(
        (i for i, (a, b) in enumerate(zip(said.tokens, later.tokens, strict=False)) if a != b),
        min(len(said.tokens), len(later.tokens)),
    )
    if shared < 3 or not _close(said.logps[:shared], later.logps[:shared]):
        return "a later word changes the scores of the words before it"
    if said.tokens[-2:] == earlier.tokens[-2:] and said.logps[-2:] == earlier.logps[-2:]:
        return "an earlier word does not change the scores of the words after it"
    return ""


def _close(first: Sequence[float | None], second: Sequence[float | None]) -> bool:
    return all(
        (a is None) == (b is None) and (a is None or b is None or abs(a - b) <= _TOLERANCE)
        for a, b in zip(first, second, strict=True)
    )
