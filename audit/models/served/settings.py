"""The options of the adapter ``endpoint``: which model is asked for what, and how its server is spoken to."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from audit.core.errors import InputError
from audit.core.options import OptionTable
from audit.formats.hostile import shown

OPTIONS = (
    "url",
    "name",
    "api",
    "prompts",
    "system",
    "max_new_tokens",
    "temperature",
    "top_p",
    "key_env",
    "ca_file",
    "concurrency",
    "timeout",
    "retries",
    "requests_per_minute",
    "price_in",
    "price_out",
    "currency",
    "usage",
)
COMPLETIONS, CHAT = "completions", "chat"
_PRICES = ("price_in", "price_out", "currency")


@dataclass(frozen=True, slots=True)
class Asking:
    """What changes the answers: it is part of the model's name."""

    name: str
    api: str
    system: str
    max_new_tokens: int
    temperature: float
    top_p: float


@dataclass(frozen=True, slots=True)
class Line:
    """How the server is spoken to: it changes no answer. ``key_env`` names the variable that holds the key, never the key.

    ``timeout`` is in seconds for a whole answer; prices are per million tokens, in ``currency``, which is empty where none
    were stated.
    """

    url: str
    key_env: str = ""
    ca_file: str = ""
    concurrency: int = 4
    timeout: float = 120.0
    retries: int = 5
    requests_per_minute: float = 0.0
    price_in: float = 0.0
    price_out: float = 0.0
    currency: str = ""
    usage: str = ""

    def cost(self, prompt_tokens: int, reply_tokens: int) -> float:
        """Return the price of one request, in the currency of the prices.

        >>> Line("http://localhost/v1", price_in=1.0, price_out=2.0, currency="EUR").cost(500_000, 1_000_000)
        2.5
        """
        return (prompt_tokens * self.price_in + reply_tokens * self.price_out) / 1e6


def settings_of(options: dict[str, Any]) -> tuple[Asking, Line]:
    """Return the checked options; ``name`` and ``api`` are empty where the spec leaves them to the server. Raise InputError."""
    table = OptionTable.of(
        "the adapter 'endpoint'", {n: v for n, v in options.items() if n != "prompts"}, OPTIONS
    )
    given = table.values
    asking = Asking(
        name=table.text("name") if "name" in given else "",
        api=table.choice("api", "", (COMPLETIONS, CHAT)) if "api" in given else "",
        system=table.text("system") if "system" in given else "",
        max_new_tokens=table.whole("max_new_tokens", 64, 1, 1 << 16),
        temperature=table.number("temperature", 1.0, 0.0, 100.0),
        top_p=table.number("top_p", 1.0, 1e-6, 1.0),
    )
    if asking.system and asking.api == COMPLETIONS:
        raise InputError(
            '[model] system is a message of a chat, and api is "completions". Remove one of the two.'
        )
    key_env = table.text("key_env") if "key_env" in given else ""
    ca_file = table.path("ca_file")
    usage = table.text("usage") if "usage" in given else ""
    _check_prices(given)
    line = Line(
        url=_url(table.text("url"), with_key=bool(key_env)),
        key_env=key_env,
        ca_file="" if ca_file is None else str(ca_file),
        concurrency=table.whole("concurrency", 4, 1, 256),
        timeout=table.number("timeout", 120.0, 0.1, 3600.0),
        retries=table.whole("retries", 5, 0, 20),
        requests_per_minute=table.number("requests_per_minute", 0.0, 0.0, 1e6),
        price_in=table.number("price_in", 0.0, 0.0, 1e9),
        price_out=table.number("price_out", 0.0, 0.0, 1e9),
        currency=table.text("currency") if "currency" in given else "",
        usage=usage,
    )
    key_of(line)
    return asking, line


def _check_prices(given: Mapping[str, Any]) -> None:
    """Raise InputError for a price whose currency, or whose fellow, is not said: neither is taken for granted."""
    said = [name for name in _PRICES if name in given]
    if said and len(said) < len(_PRICES):
        lacking = " and ".join(f"'{name}'" for name in _PRICES if name not in given)
        raise InputError(
            f"[model] has '{said[0]}' and lacks {lacking}. A cost needs both prices, per million tokens read and written "
            '(0 where it is free), and their currency: price_in = 0.5, price_out = 1.5, currency = "EUR".'
        )
    if said and not re.fullmatch(r"[^\W\d_]{1,12}|[$€£¥]", str(given["currency"])):
        raise InputError(
            f"[model] currency is '{shown(str(given['currency']))}'. Give its name alone, such as \"EUR\"."
        )


def key_of(line: Line) -> str:
    """Return the key from the environment, empty where the spec names none. Raise InputError, which never shows it."""
    if not line.key_env:
        return ""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", line.key_env):
        raise InputError(
            "[model] key_env is not the name of an environment variable. Put the key into a variable and write its name "
            'here, such as key_env = "API_KEY"; the key itself belongs in no spec.'
        )
    key = os.environ.get(line.key_env, "")
    if not key:
        raise InputError(
            f"The variable {line.key_env} is not set, and [model] key_env says that it holds the key. Set it."
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise InputError(
            f"The variable {line.key_env} holds spaces, line ends or letters that no key has. Set it to the key alone."
        )
    return key


def _url(given: str, *, with_key: bool) -> str:
    """Return the address without a closing slash. Raise InputError for one that is no base address or that holds a secret."""
    try:
        url = httpx2.URL(given.rstrip("/"))
    except (httpx2.InvalidURL, ValueError):
        raise InputError(f"[model] url is no address. {_EXAMPLE}") from None
    if url.userinfo or "@" in given:
        raise InputError(
            "[model] url holds a user or a password. Remove them, put the key into an environment variable and name that "
            "in key_env."
        )
    if url.scheme not in ("http", "https") or not url.host:
        raise InputError(f"[model] url is '{shown(given)}', which is no address of a server. {_EXAMPLE}")
    if url.query or url.fragment:
        raise InputError("[model] url has a query (?…) or a fragment (#…). Give the base address alone.")
    if with_key and url.scheme == "http" and not _is_this_machine(url.host):
        raise InputError(
            f"[model] url is '{shown(given)}': the key would travel unencrypted. Use https, or leave out key_env."
        )
    for ending in ("/chat/completions", "/completions", "/models"):
        if url.path.endswith(ending):
            raise InputError(
                f"[model] url ends in '{ending}', which the adapter adds itself. Give what stands before it."
            )
    return str(url).rstrip("/")


_EXAMPLE = 'Give the base address, such as url = "http://127.0.0.1:8080/v1".'


def _is_this_machine(host: str) -> bool:
    """Say whether a host is this machine.

    >>> _is_this_machine("127.0.0.1"), _is_this_machine("10.0.0.1"), _is_this_machine("localhost")
    (True, False, True)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
