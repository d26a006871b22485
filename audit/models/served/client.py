"""Speaks to a server: bounded in time and size, patient with one that is busy, and silent about the key."""

from __future__ import annotations

import json
import os
import random
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, TypeVar

import httpx2

from audit.core.errors import InputError
from audit.core.usage import Usage
from audit.formats.hostile import shown
from audit.models.served.gate import Gate
from audit.models.served.settings import Line, key_of

T = TypeVar("T")

MOST_BYTES = 16 << 20
"""The longest answer that is read: more than 100 bytes for each of the most tokens that can be asked for."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0
_LONGEST_ASKED = 300.0
"""The longest pause that a server is granted; one that asks for more is done for today."""
_COUNTS, _MOST_TOKENS = ("prompt_tokens", "completion_tokens"), 1 << 40
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
KEPT = "What was made is kept: the same command resumes the run."


class RefusedError(ValueError):
    """The server understood and will not do it; the message is its reason."""


class BadAnswerError(ValueError):
    """An answer is not what the protocol says."""


class _AgainError(Exception):
    """It may work next time. ``after`` is how many seconds the server asked to wait."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class _LostError(_AgainError):
    """The request was sent and no whole answer came: whether it is billed, nobody here knows."""


class _AwayError(_AgainError):
    """Nobody answers at the address."""


class Client:
    """One server. Threads may share it; close it, or let it be collected."""

    def __init__(self, line: Line) -> None:
        self._line, self._key = line, key_of(line)
        self._gate = Gate(line.url, line.concurrency, line.requests_per_minute)
        self._jitter = random.SystemRandom()
        self._spent, self._counting = Usage(currency=line.currency), threading.Lock()
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._http = httpx2.Client(
            verify=_trusted(line.ca_file) if line.ca_file else True,
            headers=headers,
            timeout=httpx2.Timeout(line.timeout, connect=min(line.timeout, 20.0)),
            limits=httpx2.Limits(max_connections=line.concurrency),
            follow_redirects=False,
        )
        self.close = weakref.finalize(self, self._http.close)

    def listing(self) -> Any:
        """Return what the server says of its models, or None where it has no such page. Raise InputError."""
        try:
            return self._tried(lambda: self._exchange("GET", "/models", None), retries=0)
        except (RefusedError, BadAnswerError):
            return None

    def ask(
        self, what: str, path: str, body: Mapping[str, Any], read: Callable[[Any], T], *, patient: bool = True
    ) -> T:
        """Post ``body`` and return what ``read`` makes of the answer; ``what`` is the word for it in the file ``usage``.

        A server that is busy, stalls or drops the line is asked again, and so is one whose answer ``read`` refuses where
        ``patient``. Raise RefusedError or BadAnswerError for this one request, InputError where no other will fare better.
        """
        content = json.dumps(body, ensure_ascii=True).encode()
        retries = self._line.retries

        def once() -> T:
            try:
                answer = self._exchange("POST", path, content)
            except (_LostError, BadAnswerError):
                self._note(what, None)
                raise
            self._note(what, answer)
            try:
                return read(answer)
            except BadAnswerError as error:
                raise BadAnswerError(self.cleaned(str(error))) from None

        return self._tried(once, retries, patient=patient)

    def _tried(self, once: Callable[[], T], retries: int, *, patient: bool = False) -> T:
        attempt = 0
        while True:
            try:
                with self._gate.turn():
                    return once()
            except _AgainError as error:
                if isinstance(error, _AwayError) and not (patient and attempt < retries):
                    raise InputError(
                        f"Nothing answers at {self._line.url}: {error}. Start the server, or correct 'url' in [model]."
                        + (f" {KEPT}" if patient else "")
                    ) from None
                if attempt >= retries:
                    raise InputError(
                        f"{self._line.url} {error}, {attempt + 1} times. See whether the server is well, and raise 'timeout' or "
                        f"'retries' in [model] if it is only slow." + (f" {KEPT}" if patient else "")
                    ) from None
                self._wait(attempt, error.after)
            except BadAnswerError:
                if not patient or attempt >= retries:
                    raise
                self._wait(attempt, None)
            attempt += 1

    def _wait(self, attempt: int, asked: float | None) -> None:
        if asked is not None and asked > _LONGEST_ASKED:
            raise InputError(
                f"{self._line.url} asks for a pause of {asked:,.0f} seconds. Lower requests_per_minute in [model] and come back "
                f"later. {KEPT}"
            )
        if asked is not None:
            self._gate.pause(asked)
        grown = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt) * self._jitter.uniform(0.5, 1.0)
        time.sleep(grown if asked is None else asked + self._jitter.uniform(0.0, 0.5))

    def _exchange(self, method: str, path: str, content: bytes | None) -> Any:
        deadline = time.monotonic() + self._line.timeout
        try:
            with self._http.stream(method, self._line.url + path, content=content) as response:
                data = _read(response, deadline)
                status, headers = response.status_code, response.headers
        except httpx2.TimeoutException as error:
            unsent = isinstance(error, httpx2.ConnectTimeout | httpx2.PoolTimeout)
            kind = _AgainError if unsent else _LostError
            raise kind(f"did not answer within {self._line.timeout:g} seconds") from None
        except httpx2.ConnectError as error:
            self._unreachable(error)
        except httpx2.TransportError as error:
            raise _LostError(f"dropped the line ({type(error).__name__})") from None
        if status == 200:
            return _decoded(data)
        return self._refused(status, headers, data)

    def _unreachable(self, error: Exception) -> NoReturn:
        said = self.cleaned(str(error))
        if "CERTIFICATE_VERIFY_FAILED" in said or "certificate" in said.lower():
            raise InputError(
                f"The certificate of {self._line.url} cannot be trusted: {shown(said, 200)}. If it is your own, name the file of "
                'the authority that signed it, or of the certificate itself: ca_file = "server.pem" in [model].'
            ) from None
        raise _AwayError(shown(said, 200)) from None

    def _refused(self, status: int, headers: httpx2.Headers, data: bytes) -> NoReturn:
        """Raise what a status other than 200 means."""
        url, reason = self._line.url, self.cleaned(_reason(data))
        if status in _BUSY:
            raise _AgainError(f"answered {status} ({reason})", _retry_after(headers.get("retry-after")))
        if 300 <= status < 400:
            raise InputError(
                f"{url} redirects to another address ({shown(self.cleaned(headers.get('location', '?')), 120)}). It was not "
                "followed, so that no key goes there. Name the right address as 'url' in [model]."
            )
        if status in (401, 403):
            remedy = (
                f"See whether {self._line.key_env} holds a key of this server that may use the model"
                if self._key
                else 'Put its key into an environment variable and name that: key_env = "API_KEY"'
            )
            raise InputError(f"{url} refuses the credentials ({status}: {reason}). {remedy}.")
        raise RefusedError(f"the server answered {status}: {reason}")

    def cleaned(self, text: str) -> str:
        """Return text of the server without the key, should it repeat it, and without halves of characters."""
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return whole.replace(self._key, "[key]") if self._key else whole

    def take_usage(self) -> Usage:
        """Return what all requests since the last call counted, and begin anew."""
        with self._counting:
            spent, self._spent = self._spent, Usage(currency=self._line.currency)
        return spent

    def _note(self, what: str, answer: Any) -> None:
        """Count one request that may be billed, and append a line on it to the file of the option ``usage``."""
        counts = None if answer is None else counted(answer)
        if counts is None:
            said: dict[str, Any] = {"what": what, "prompt_tokens": None, "reply_tokens": None, "cost": None}
            spent = Usage(1, uncounted=1, currency=self._line.currency)
        else:
            cost = self._line.cost(*counts)
            said = {"what": what, "prompt_tokens": counts[0], "reply_tokens": counts[1], "cost": cost}
            spent = Usage(1, *counts, cost=cost, currency=self._line.currency)
        with self._counting:
            self._spent += spent
        if not self._line.usage:
            return
        place = os.open(self._line.usage, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(place, json.dumps(said).encode() + b"\n")
        finally:
            os.close(place)


def _trusted(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise InputError(
            f"[model] ca_file is '{shown(ca_file)}', which holds no certificate. Name a PEM file."
        ) from None


def _read(response: httpx2.Response, deadline: float) -> bytes:
    """Return the body as it was sent. Raise for one that is packed, too long or too slow."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise BadAnswerError("the answer is compressed, which was not asked for")
    data = bytearray()
    for part in response.iter_raw():
        data += part
        if len(data) > MOST_BYTES:
            raise BadAnswerError(f"the answer is longer than {MOST_BYTES >> 20} MiB")
        if time.monotonic() > deadline:
            raise httpx2.ReadTimeout("the whole answer took too long")
    return bytes(data)


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):  # UnicodeDecodeError is one of them
        raise BadAnswerError("the answer is not JSON in UTF-8") from None


def counted(answer: Any) -> tuple[int, int] | None:
    """Return how many tokens the server says that it read and wrote; None where it does not say both.

    >>> counted({"usage": {"prompt_tokens": 5, "completion_tokens": 2}}), counted({"usage": {"prompt_tokens": 5}})
    ((5, 2), None)
    """
    usage = answer.get("usage") if isinstance(answer, dict) else None
    found = [usage.get(name) for name in _COUNTS] if isinstance(usage, dict) else []
    match found:
        case [int(read), int(written)] if bool not in map(type, found):
            return (read, written) if min(read, written) >= 0 and max(read, written) < _MOST_TOKENS else None
    return None


def _reason(data: bytes) -> str:
    """Return the server's own sentence from the body of an error, on one line."""
    try:
        said = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return "no reason given"
    for name in ("error", "detail", "message"):
        if isinstance(said, dict) and name in said:
            said = said[name]
    return shown(said, 200) if isinstance(said, str) and said else "no reason given"


def _retry_after(value: str | None) -> float | None:
    """Return a Retry-After header in seconds: a number, or a date.

    >>> _retry_after("7"), _retry_after("soon"), _retry_after("Thu, 01 Jan 1970 00:00:00 GMT")
    (7.0, None, 0.0)
    """
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value.strip()[:12])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
