"""What a model that somebody else serves has cost: requests, tokens and money, as its server counts them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """What some requests counted. ``uncounted`` of them may have been billed and came back without a count, so that the
    other numbers are at least these.

    ``cost`` is in ``currency``, by the prices that the user states; ``currency`` is empty, and ``cost`` 0, where none are.
    """

    requests: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0
    uncounted: int = 0
    cost: float = 0.0
    currency: str = ""

    def __add__(self, other: Usage) -> Usage:
        """Return both together. Raise ValueError for two currencies.

        >>> Usage(1, 5, 2) + Usage(2, 5, 2, uncounted=1)
        Usage(requests=3, prompt_tokens=10, reply_tokens=4, uncounted=1, cost=0.0, currency='')
        """
        if self.requests and other.requests and self.currency != other.currency:
            raise ValueError(f"{self.currency!r} and {other.currency!r} do not add up")
        return Usage(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.reply_tokens + other.reply_tokens,
            self.uncounted + other.uncounted,
            self.cost + other.cost,
            self.currency if self.requests else other.currency,
        )

    @classmethod
    def of(cls, plain: Any) -> Usage:
        """Return what a mapping says, which comes from elsewhere. Raise ValueError for anything that cannot be counted."""
        match plain:
            case {
                "requests": int(a),
                "prompt_tokens": int(b),
                "reply_tokens": int(c),
                "uncounted": int(d),
                **rest,
            }:
                cost: Any = rest.get("cost")
                currency = rest.get("currency")
                counts, price = (
                    (a, b, c, d),
                    isinstance(cost, int | float) and math.isfinite(cost) and cost >= 0,
                )
                if min(counts) >= 0 and price and isinstance(currency, str) and len(currency) <= 12:
                    return cls(*counts, float(cost), currency)
        raise ValueError("this is no count of requests and tokens")

    def sentence(self) -> str:
        """Say it in words.

        >>> Usage(1200, 30_000, 9_000, cost=0.125, currency="EUR").sentence()
        '1,200 requests, 30,000 tokens read, 9,000 written, 0.125 EUR'
        >>> Usage(3, 0, 0, uncounted=3).sentence()
        '3 requests; the server counts no tokens'
        """
        if self.uncounted == self.requests:
            return f"{self.requests:,} requests; the server counts no tokens"
        least = f"; at least, for {self.uncounted:,} came back without a count" if self.uncounted else ""
        cost = f", {self.cost:.4g} {self.currency}" if self.currency else ""
        return (
            f"{self.requests:,} requests, {self.prompt_tokens:,} tokens read, {self.reply_tokens:,} written"
            f"{cost}{least}"
        )


@dataclass(frozen=True, slots=True)
class Spending:
    """What an audit's requests counted in one currency: those of this run, or those that ``reused`` shards took in earlier runs."""

    reused: bool
    usage: Usage

    def sentence(self) -> str:
        """Say it in words, with whose it is."""
        what = "kept answers of earlier runs, paid for then" if self.reused else "this run"
        return f"{what}: {self.usage.sentence()}"


@dataclass(frozen=True, slots=True)
class Billing:
    """Prices per million tokens, as the user states them, and bounds: the most tokens that a free sample reads (None: not
    known) and that any sample writes."""

    read: float
    written: float
    currency: str
    most_read: int | None
    most_written: int

    def cost(self, prompt_tokens: int, reply_tokens: int) -> float:
        """Return the price of some tokens, in the currency of the prices.

        >>> Billing(1.0, 2.0, "EUR", None, 64).cost(500_000, 1_000_000)
        2.5
        """
        return (prompt_tokens * self.read + reply_tokens * self.written) / 1e6


def together(usages: Iterable[Usage]) -> tuple[Usage, ...]:
    """Return one usage for each currency."""
    found: dict[str, Usage] = {}
    for usage in usages:
        found[usage.currency] = found.get(usage.currency, Usage()) + usage
    return tuple(found.values())
