"""The distribution over the next token in blocks that stay in cache: log-sum-exp, rank, best token and moments.

A matrix of logits for a thousand tokens over fifty thousand words is 200 MB. Writing it to memory and reading
it back for a softmax takes longer than computing it, so a block of words is multiplied, reduced and forgotten
while it is still in the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ROWS, COLUMNS = 1024, 512
"""Tokens and words of a block: 2 MB of float32, which fits a second-level cache. Many rows, because a matrix
library rearranges the words' part of the weights once per block."""

_TIE = 1e-5
"""Two logits closer than this, relatively, are the same but for rounding, and neither outranks the other."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One entry per scored token: float32, natural logarithms; ``rank`` counts from 1, ``best`` is log p of ``top1``."""

    logp: Tensor
    rank: Tensor
    top1: Tensor
    best: Tensor
    mean: Tensor
    variance: Tensor


@dataclass(frozen=True, slots=True)
class Head:
    """What turns states into logits: a matrix, and a bias where there is one.

    ``weight`` is None for a model whose head is more than that; its states are then its logits.
    """

    weight: Tensor | None
    bias: Tensor | None = None

    def words(self, states: Tensor) -> int:
        return int(states.shape[1] if self.weight is None else self.weight.shape[0])

    def block(self, states: Tensor, start: int, stop: int, product: Tensor, out: Tensor) -> Tensor:
        """Return float32 logits of the words from ``start`` to ``stop``; ``product`` and ``out`` are scratch."""
        if self.weight is None:
            return out.copy_(states[:, start:stop])
        torch.mm(states, self.weight[start:stop].t(), out=product)
        if self.bias is not None:
            product += self.bias[start:stop]
        return product if product.dtype == torch.float32 else out.copy_(product)

    def of_targets(self, states: Tensor, targets: Tensor) -> Tensor:
        """Return the float32 logit of one word per state, rounded as a block would round it."""
        if self.weight is None:
            return states.gather(1, targets[:, None]).squeeze(1).float()
        logits = torch.linalg.vecdot(states.float(), self.weight[targets].float())
        if self.bias is not None:
            logits = logits + self.bias[targets].float()
        return logits.to(states.dtype).float()


def log_probabilities(head: Head, states: Tensor, targets: Tensor) -> Tensor:
    """Return log p(target | state), shape (n,), float32.

    Log-sum-exp with a running maximum, so any finite logits are safe; what is not finite comes out as NaN.
    """
    parts = [_log_probabilities(head, s, t) for s, t in _rows(states, targets)]
    return torch.cat(parts) if parts else torch.empty(0)


def _log_probabilities(head: Head, states: Tensor, targets: Tensor) -> Tensor:
    n = len(states)
    peak = torch.full((n,), -torch.inf, device=states.device)
    total = torch.zeros(n, device=states.device)
    for _, logits in _blocks(head, states):
        higher = torch.maximum(peak, logits.amax(1))
        total *= torch.exp(peak - higher)
        peak = higher
        logits.sub_(peak[:, None]).exp_()
        total += logits.sum(1)
    return (head.of_targets(states, targets) - peak - total.log()).clamp_(max=0.0)


def statistics(head: Head, states: Tensor, targets: Tensor) -> Scores:
    """Return the token scores' columns, each of shape (n,).

    With p the distribution after a state and y = log p: ``mean`` is sum p y (minus the entropy) and ``variance``
    is sum p y^2 - mean^2. Moments are kept about the running maximum, so there is no cancellation of large
    numbers: float32 within a block, float64 between blocks.
    """
    parts = [_statistics(head, s, t) for s, t in _rows(states, targets)]
    if not parts:
        none = torch.empty(0)
        return Scores(none, none.int(), none.int(), none, none, none)
    return Scores(
        *(
            torch.cat([getattr(p, name) for p in parts])
            for name in ("logp", "rank", "top1", "best", "mean", "variance")
        )
    )


def _statistics(head: Head, states: Tensor, targets: Tensor) -> Scores:
    n, device = len(states), states.device
    target = head.of_targets(states, targets)
    threshold = (target + _TIE * target.abs())[:, None]
    peak = torch.full((n,), -torch.inf, device=device)
    best = torch.zeros(n, dtype=torch.int64, device=device)
    above = torch.zeros(n, device=device)
    sums = torch.zeros(3, n, dtype=torch.float64, device=device)
    scratch = torch.empty(n, min(COLUMNS, head.words(states)), device=device)
    for start, logits in _blocks(head, states):
        spare = scratch[:, : logits.shape[1]]
        above += torch.gt(logits, threshold, out=spare).sum(1)
        block_peak = logits.amax(1)
        rises = (block_peak > peak).nonzero().squeeze(1)
        best[rises] = start + logits[rises].argmax(1)
        higher = torch.maximum(peak, block_peak)
        _recentre(sums, (higher - peak).double())
        peak = higher
        logits.sub_(peak[:, None])
        p = torch.exp(logits, out=spare)
        sums[0] += p.sum(1)
        sums[1] += p.mul_(logits).sum(1)
        sums[2] += p.mul_(logits).sum(1)
    log_total = sums[0].log()
    mean, square = sums[1] / sums[0], sums[2] / sums[0]
    return Scores(
        logp=(target.double() - peak - log_total).clamp_(max=0.0).float(),
        rank=above.int() + 1,
        top1=best.int(),
        best=(-log_total).clamp_(max=0.0).float(),
        mean=(mean - log_total).clamp_(max=0.0).float(),
        variance=(square - mean * mean).clamp_(min=0.0).float(),
    )


def _recentre(sums: Tensor, by: Tensor) -> None:
    """Move the moments sum e^y, sum y e^y, sum y^2 e^y from y to y - ``by``."""
    by = torch.where(torch.isinf(by), 0.0, by)  # nothing has been summed yet
    shrink = torch.exp(-by)
    zeroth, first, second = sums[0].clone(), sums[1].clone(), sums[2].clone()
    sums[0] = zeroth * shrink
    sums[1] = (first - by * zeroth) * shrink
    sums[2] = (second - 2 * by * first + by * by * zeroth) * shrink


def _rows(states: Tensor, targets: Tensor) -> Any:
    return zip(states.split(ROWS), targets.split(ROWS), strict=True) if len(states) else ()


def _blocks(head: Head, states: Tensor) -> Any:
    """Yield (first word, float32 logits) of each block; the logits are overwritten by the next one."""
    words, n = head.words(states), len(states)
    width = min(COLUMNS, words)
    out = torch.empty(n, width, device=states.device)
    product = out if states.dtype == torch.float32 else torch.empty_like(out, dtype=states.dtype)
    for start in range(0, words, COLUMNS):
        stop = min(words, start + COLUMNS)
        if stop - start < width:
            out, product = out[:, : stop - start].contiguous(), product[:, : stop - start].contiguous()
        yield start, head.block(states, start, stop, product, out)
