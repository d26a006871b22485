"""The network that learns: Llama's, under Llama's names, on documents of different lengths without padding to one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-6
ROTARY = 10_000.0


class Decoder(nn.Module):  # type: ignore[misc]
    """The layers of ``transformers``' LlamaForCausalLM with its parameters' names and its logits; the test says so.

    It differs in what it costs to train on a processor. Attention is three plain products: for heads of 64 and
    documents of 128 tokens these take 14 ms forwards and backwards where torch's fused kernel takes 62
    (bfloat16, one core of a Zen 5). And documents of like length make a block of their own, so that nothing
    attends to another document and little is padding.
    """

    def __init__(
        self, vocabulary: int, width: int, layers: int, heads: int, inner: int, longest: int
    ) -> None:
        super().__init__()
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(vocabulary, width),
                "layers": nn.ModuleList(_Layer(width, heads, inner) for _ in range(layers)),
                "norm": _Norm(width),
            }
        )
        self.head_size = width // heads
        self.longest = longest
        deviation = 0.02
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                narrow = (2 * layers) ** -0.5 if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
                nn.init.normal_(weight, std=deviation * narrow)

    def forward(self, tokens: Tensor, blocks: Sequence[tuple[int, int]]) -> Tensor:
        """Return the states that times the embeddings are logits, (tokens, width).

        ``tokens`` is one row after another, ``blocks`` how many rows of which length follow each other.
        """
        turns = self._turns(blocks, tokens.device)
        future = [_future(length, tokens.device) for _, length in blocks]
        x = self.model["embed_tokens"](tokens)
        for layer in self.model["layers"]:
            x = layer(x, blocks, turns, future)
        return self.model["norm"](x)

    def logits(self, states: Tensor) -> Tensor:
        return functional.linear(states, self.model["embed_tokens"].weight)

    def _turns(self, blocks: Sequence[tuple[int, int]], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the cosines and sines of each token's rotary angles (Su et al. 2021), (tokens, 1, head size)."""
        halves = torch.arange(0, self.head_size, 2, device=device) / self.head_size
        positions = torch.cat([torch.arange(length, device=device).repeat(rows) for rows, length in blocks])
        angles = positions[:, None] * ROTARY**-halves
        angles = torch.cat([angles, angles], 1)[:, None]
        return angles.cos(), angles.sin()


class _Layer(nn.Module):  # type: ignore[misc]
    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.input_layernorm = _Norm(width)
        self.self_attn = _Attention(width, heads)
        self.post_attention_layernorm = _Norm(width)
        self.mlp = _Gated(width, inner)

    def forward(
        self,
        x: Tensor,
        blocks: Sequence[tuple[int, int]],
        turns: tuple[Tensor, Tensor],
        future: Sequence[Tensor],
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), blocks, turns, future)
        return x + self.mlp(self.post_attention_layernorm(x))


class _Attention(nn.Module):  # type: ignore[misc]
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )

    def forward(
        self,
        x: Tensor,
        blocks: Sequence[tuple[int, int]],
        turns: tuple[Tensor, Tensor],
        future: Sequence[Tensor],
    ) -> Tensor:
        q, k, v = (part(x).unflatten(1, (self.heads, -1)) for part in (self.q_proj, self.k_proj, self.v_proj))
        q, k = (_turned(part, turns).to(v.dtype) for part in (q, k))
        sizes = [rows * length for rows, length in blocks]
        parts = zip(blocks, future, *(part.split(sizes) for part in (q, k, v)), strict=True)
        return self.o_proj(torch.cat([_attend(shape, later, *qkv) for shape, later, *qkv in parts]))


class _Gated(nn.Module):  # type: ignore[misc]
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(width, inner, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class _Norm(nn.Module):  # type: ignore[misc]
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, EPSILON)


def _turned(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * turns[0] + torch.cat([-second, first], -1) * turns[1]


def _future(length: int, device: torch.device) -> Tensor:
    return torch.full((1, length, length), -1e4, device=device).triu(1)


def _attend(shape: tuple[int, int], later: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return what each token of a block sees: (rows × length, heads, size) in, (rows × length, width) out."""
    rows, length = shape
    q, k, v = (part.view(rows, length, *part.shape[1:]).transpose(1, 2).flatten(0, 1) for part in (q, k, v))
    scores = torch.baddbmm(later.to(q.dtype), q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5)
    seen = torch.bmm(scores.softmax(-1).to(v.dtype), v)
    return seen.unflatten(0, (rows, -1)).transpose(1, 2).flatten(2).flatten(0, 1)
