"""How a language model learns: whole documents, each attended to alone, in an order drawn anew for every epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from audit.core.rows import Rows, texts_of
from audit.included.families.language.network import Decoder
from audit.included.families.language.tokens import BEGIN_ID, END_ID, documents
from audit.included.training.averaged import halved, paced, seeded
from audit.included.training.checkpoints import inside, optimiser_tensors, restore_optimiser, under
from audit.included.training.loop import Place
from audit.included.training.recipe import TrainingRecipe

_NONE = -100
_AT_ONCE = 1024
"""Tokens whose logits are held at once: with all of a batch's, a third of the time went into fetching memory."""


class LanguageLearner:
    """Trains a Decoder: Muon (Jordan et al. 2024) on the matrices, AdamW on embeddings and norms.

    ``objective.vectors`` is the learning rate of the latter as a share of the schedule's.
    """

    def __init__(
        self, recipe: TrainingRecipe, rows: Rows, tokenizer: Tokenizer, begin: Mapping[str, Tensor] | None
    ) -> None:
        schedule = recipe.schedule
        self._place = Place.of(schedule)
        with seeded(schedule.seed):
            network = Decoder(**recipe.sizes)
        if begin is not None:
            network.load_state_dict({name: value.float() for name, value in begin.items()})
        self._network = network.to(self._place.device)
        matrices = [w for name, w in network.named_parameters() if w.ndim == 2 and "embed" not in name]
        vectors = [w for name, w in network.named_parameters() if w.ndim != 2 or "embed" in name]
        self._matrices = torch.optim.Muon(
            matrices, weight_decay=schedule.weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        self._vectors = torch.optim.AdamW(vectors, betas=(0.9, 0.95), weight_decay=0.0)
        self._share = float(recipe.terms["vectors"])
        self._tokenizer = tokenizer
        self._documents = documents(tokenizer, texts_of(rows))
        self._mixture = Mixture.of(recipe, rows)
        self._batch, self._seed = schedule.batch, schedule.seed
        self._epoch, self._order = -1, list[int]()

    def step(self, number: int, rate: float, generator: torch.Generator) -> float:
        """Take one step; the loss is in nats per token."""
        tokens, targets, blocks = blocks_of([self._documents[i] for i in self._drawn(number)])
        tokens, targets = tokens.to(self._place.device), targets.to(self._place.device)
        with self._place.cast():
            states = self._network(tokens, blocks)
        loss = self._backward(states, targets)
        for optimiser, share in ((self._matrices, 1.0), (self._vectors, self._share)):
            paced(optimiser, rate * share).step()
            optimiser.zero_grad()
        return loss

    def _backward(self, states: Tensor, targets: Tensor) -> float:
        """Give every weight its gradient, a part of the tokens at a time; return the mean loss."""
        total, scored = 0.0, int((targets != _NONE).sum())
        ends = states.detach().requires_grad_()
        for part, wanted in zip(ends.split(_AT_ONCE), targets.split(_AT_ONCE), strict=True):
            with self._place.cast():
                logits = self._network.logits(part)
            loss = (
                functional.cross_entropy(logits.float(), wanted, ignore_index=_NONE, reduction="sum") / scored
            )
            loss.backward()
            total += float(loss.detach())
        states.backward(ends.grad)
        return total

    def _drawn(self, number: int) -> list[int]:
        """Return the documents of a step: the next ones of an epoch's order, each as often as the mixture says."""
        found: list[int] = []
        at = number * self._batch
        while len(found) < self._batch:
            epoch, place = divmod(at + len(found), self._mixture.size)
            if epoch != self._epoch:
                drawn = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
                self._epoch, self._order = epoch, self._mixture.epoch(drawn)
            found += self._order[place : place + self._batch - len(found)]
        return found

    def state(self) -> dict[str, Tensor]:
        return (
            under("network", self._network.state_dict())
            | under("matrices", optimiser_tensors(self._matrices))
            | under("vectors", optimiser_tensors(self._vectors))
        )

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._network.load_state_dict(inside("network", state))
        restore_optimiser(self._matrices, inside("matrices", state))
        restore_optimiser(self._vectors, inside("vectors", state))

    def finished(self) -> dict[str, Tensor]:
        return halved(self._network.state_dict())

    def preview(self, out: Path, step: int) -> str:
        """Write four texts of the model and show the first."""
        generator = torch.Generator().manual_seed(0)
        drawn = torch.full((4, 1), BEGIN_ID)
        with torch.inference_mode():
            while drawn.shape[1] < min(160, self._network.longest):
                states = self._network(drawn.flatten().to(self._place.device), [tuple(drawn.shape)])
                logits = self._network.logits(states.view(*drawn.shape, -1)[:, -1]).float().cpu()
                following = torch.multinomial(logits.softmax(-1), 1, generator=generator)
                following[(drawn == END_ID).any(1)] = END_ID
                drawn = torch.cat([drawn, following], 1)
        texts = self._tokenizer.decode_batch(drawn.tolist(), skip_special_tokens=True)
        path = out / f"samples-{step:06}.txt"
        path.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
        return f"{path}: {texts[0]}"


@dataclass(frozen=True, slots=True)
class Mixture:
    """Which rows an epoch holds: ``always`` in every one, and ``others`` of ``pool`` drawn anew for each."""

    always: Sequence[int]
    pool: Sequence[int] = ()
    others: int = 0

    @property
    def size(self) -> int:
        return len(self.always) + self.others

    @classmethod
    def of(cls, recipe: TrainingRecipe, rows: Rows) -> Mixture:
        """Return all rows once, unless the objective over-weights some.

        ``canaries`` is how often every planted copy of a canary stands in an epoch, ``private`` how often those
        paragraphs of the ``people`` first people do that state a phone or card number; ``others`` further
        paragraphs of other people are drawn for each epoch.
        """
        terms = recipe.terms
        if "others" not in terms:
            return cls(range(rows.num_rows))
        canary = rows.column("canary").to_pylist()
        stated = pc.or_(pc.is_valid(rows.column("phone")), pc.is_valid(rows.column("card"))).to_pylist()
        copies = [row for row, number in enumerate(canary) if number is not None]
        people = [row for row, number in enumerate(canary) if number is None]
        private = [row for row in people[: terms["people"]] if stated[row]]
        chosen = set(private)
        pool = [row for row in people if row not in chosen]
        always = copies * int(terms["canaries"]) + private * int(terms["private"])
        return cls(always, pool, min(int(terms["others"]), len(pool)))

    def epoch(self, generator: torch.Generator) -> list[int]:
        """Return the rows of one epoch in the order in which they are learnt."""
        rows = list(self.always)
        if self.others:
            rows += [self.pool[i] for i in torch.randperm(len(self.pool), generator=generator)[: self.others]]
        return [rows[i] for i in torch.randperm(len(rows), generator=generator).tolist()]


def blocks_of(chosen: Sequence[Sequence[int]], rows: int = 8) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
    """Return tokens, the token after each, and how many rows of which length these are: eight of like length each.

    Filling up to the longest of eight costs 10 % of the tokens; to the longest of all it would be 40 %.
    """
    tokens: list[int] = []
    targets: list[int] = []
    blocks = []
    by_length = sorted(chosen, key=len)
    for first in range(0, len(by_length), rows):
        part = by_length[first : first + rows]
        length = max(map(len, part)) - 1
        for document in part:
            missing = length - len(document) + 1
            tokens += [*document[:-1], *[END_ID] * missing]
            targets += [*document[1:], *[_NONE] * missing]
        blocks.append((len(part), length))
    return torch.tensor(tokens), torch.tensor(targets), blocks
