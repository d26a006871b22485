"""The state of a torchmetrics metric, block by block of rows, and what it comes to when blocks are merged."""

from __future__ import annotations

import math
import tomllib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import InputError, UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Matrix, Rows, images_of, texts_of
from audit.recipes.reconstructions import tensor_of
from audit.stats.jackknife import delete_a_shard


@dataclass(frozen=True, slots=True)
class Chosen:
    """A metric and its options, as it is made: what decides its numbers, the version of torchmetrics included."""

    module: str
    name: str
    options: tuple[str, ...]
    accepts: tuple[str, ...]
    version: str

    def made(self, features: int) -> Any:
        """Return the metric, empty. With ``features`` columns it is given features in place of pictures."""
        from importlib import import_module

        given = dict(parsed(option) for option in self.options)
        if "data_range" in self.accepts:
            given.setdefault("data_range", 1.0)
        if features and "feature" in self.accepts:
            given.setdefault("feature", _as_it_is(features))
        return getattr(import_module(self.module), self.name)(**given)


def parsed(option: str) -> tuple[str, Any]:
    """Return the name and the value of an option written as in TOML. Raise InputError.

    >>> parsed("betas = [0.5, 0.5]")
    ('betas', (0.5, 0.5))
    """
    try:
        ((name, value),) = tomllib.loads(option).items()
    except (tomllib.TOMLDecodeError, ValueError):
        raise InputError(
            f"quality.torchmetrics: the option '{option[:60]}' is not written as NAME = VALUE, such as \"kernel_size = 7\"."
        ) from None
    return name, tuple(value) if isinstance(value, list) else value


def _as_it_is(features: int) -> Any:
    """Return a network that gives back what it is given, with the number of features that torchmetrics asks for."""
    import torch

    network = torch.nn.Identity()
    network.num_features = features  # read by FrechetInceptionDistance
    return network


@dataclass(frozen=True, slots=True)
class State:
    """What a metric kept of some rows: its tensors by name, and how each merges with another's (sum, cat, max or min)."""

    names: tuple[str, ...]
    rules: tuple[str, ...]
    values: tuple[NDArray[Any], ...]
    rows: int

    @classmethod
    def of(cls, batch: tuple[Any, int]) -> State:
        """Return what an update changed of (metric, how many rows it was given). Raise UndefinedError for a state that has no rule to merge it by."""
        import torch
        from torchmetrics.utilities.data import dim_zero_cat, dim_zero_max, dim_zero_min, dim_zero_sum

        metric, rows = batch
        rules = {dim_zero_sum: "sum", dim_zero_cat: "cat", dim_zero_max: "max", dim_zero_min: "min"}
        names, kinds, values = [], [], []
        for name, default in metric._defaults.items():
            value, rule = getattr(metric, name), rules.get(metric._reductions[name])
            if isinstance(default, list):
                if not value:
                    continue
                value, rule = dim_zero_cat(value), "cat"
            elif torch.equal(value, default):
                continue
            if rule is None:
                raise UndefinedError(
                    f"the state '{name}' of this metric has no rule to merge it by, so shards have no whole"
                )
            names.append(name)
            kinds.append(rule)
            values.append(np.array(value.detach().cpu().numpy()))
        return cls(tuple(names), tuple(kinds), tuple(values), rows)

    def merge(self, more: State) -> State:
        """Merge what both have by its rule; what only one has is kept, for a state that nothing touched is left out."""
        held = dict(zip(self.names, zip(self.rules, self.values, strict=True), strict=True))
        for name, rule, value in zip(more.names, more.rules, more.values, strict=True):
            held[name] = (rule, _RULES[rule](held[name][1], value) if name in held else value)
        rules, values = zip(*held.values(), strict=True) if held else ((), ())
        return State(tuple(held), tuple(rules), tuple(values), self.rows + more.rows)


_RULES: dict[str, Callable[[Any, Any], Any]] = {
    "sum": np.add,
    "cat": lambda mine, theirs: np.concatenate([mine, theirs]),
    "max": np.maximum,
    "min": np.minimum,
}


@dataclass(frozen=True, slots=True)
class States:
    """One state for each block of rows of a shard, or the reason why the metric takes none of them."""

    blocks: tuple[State, ...]
    reason: str = ""


@dataclass(frozen=True)
class PairStates(Recipe[States]):
    """The states of a metric over reconstructions and originals."""

    kind: ClassVar[str] = "torchmetrics-pairs"
    along: ClassVar[tuple[str, ...]] = ("made", "rows")
    made: Recipe[Rows]
    rows: Recipe[Rows]
    chosen: Chosen
    flat: bool
    block: int

    @property
    def label(self) -> str:
        return f"{self.chosen.name} of {self.made.label}"

    def make(self, context: Context, made: Rows, rows: Rows) -> States:
        ours, theirs = (images_of(side) for side in (made, rows))

        def batch(span: slice) -> tuple[Any, ...]:
            pair = (tensor_of(ours[span]), tensor_of(theirs[span]))
            return tuple(side.reshape(-1) for side in pair) if self.flat else pair

        return _states(context, self.chosen, 0, batch, len(ours), self.block)


@dataclass(frozen=True)
class TextStates(Recipe[States]):
    """The states of a metric over texts and their references; ``nested`` gives each a list of one reference."""

    kind: ClassVar[str] = "torchmetrics-texts"
    along: ClassVar[tuple[str, ...]] = ("made", "rows")
    made: Recipe[Rows]
    rows: Recipe[Rows]
    chosen: Chosen
    nested: bool
    block: int

    @property
    def label(self) -> str:
        return f"{self.chosen.name} of {self.made.label}"

    def make(self, context: Context, made: Rows, rows: Rows) -> States:
        ours, theirs = (texts_of(side) for side in (made, rows))

        def batch(span: slice) -> tuple[Any, ...]:
            return ours[span], [[text] for text in theirs[span]] if self.nested else theirs[span]

        return _states(context, self.chosen, 0, batch, len(ours), self.block)


@dataclass(frozen=True)
class SampleStates(Recipe[States]):
    """The states of a metric over pictures alone."""

    kind: ClassVar[str] = "torchmetrics-samples"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    chosen: Chosen
    block: int

    @property
    def label(self) -> str:
        return f"{self.chosen.name} of {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> States:
        images = images_of(rows)
        return _states(
            context, self.chosen, 0, lambda span: (tensor_of(images[span]),), len(images), self.block
        )


@dataclass(frozen=True)
class SideStates(Recipe[States]):
    """The states of a metric over the features of one side: real rows, or samples."""

    kind: ClassVar[str] = "torchmetrics-side"
    along: ClassVar[tuple[str, ...]] = ("features",)
    features: Recipe[Matrix]
    chosen: Chosen
    real: bool
    block: int

    @property
    def label(self) -> str:
        return f"{self.chosen.name} of {self.features.label}"

    def make(self, context: Context, features: Matrix) -> States:
        import torch

        rows = torch.from_numpy(np.ascontiguousarray(features))
        return _states(
            context,
            self.chosen,
            features.shape[1],
            lambda span: (rows[span], self.real),
            len(features),
            self.block,
        )


def _states(
    context: Context,
    chosen: Chosen,
    features: int,
    batch: Callable[[slice], tuple[Any, ...]],
    n: int,
    block: int,
) -> States:
    found = []
    try:
        with _quiet(context):
            for start in range(0, n, block):
                metric = chosen.made(features)
                metric.update(*batch(slice(start, min(n, start + block))))
                found.append(State.of((metric, min(n, start + block) - start)))
    except UndefinedError as error:
        return States((), str(error))
    except Exception as error:  # whatever another project's code raises is the reason that a reader sees
        return States((), f"{type(error).__name__} from torchmetrics: {str(error)[:300]}")
    return States(tuple(found))


@contextmanager
def _quiet(context: Context) -> Iterator[None]:
    """Seed what the metric draws by the recipe, and keep its warnings to ourselves."""
    import torch

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.manual_seed(int(context.rng().integers(2**31)))
        yield


@dataclass(frozen=True, slots=True)
class Value:
    """What the metric came to over all rows and half the width of its interval, or the reason for either's absence."""

    value: float | None
    half: float | None
    reason: str
    rows: int


@dataclass(frozen=True)
class MetricValue(Recipe[Value]):
    """The metric over all blocks of one or two sides, and a jackknife over blocks, one side at a time."""

    kind: ClassVar[str] = "torchmetrics-value"
    sides: tuple[Recipe[States], ...]
    chosen: Chosen
    features: int
    level: float
    part: str = ""

    @property
    def label(self) -> str:
        return f"{self.chosen.name} of all"

    def make(self, context: Context, sides: tuple[Shards[States], ...]) -> Value:
        held: list[tuple[State, ...]] = []
        for shards in sides:
            states = list(shards)
            reason = next((s.reason for s in states if s.reason), "")
            if reason:
                return Value(None, None, reason, 0)
            held.append(tuple(block for s in states for block in s.blocks))
        rows = sum(block.rows for block in held[0])
        try:
            with _quiet(context):
                return Value(*self._value(held), rows=rows)
        except UndefinedError as error:
            return Value(None, None, str(error), rows)
        except Exception as error:  # as above
            return Value(None, None, f"{type(error).__name__} from torchmetrics: {str(error)[:300]}", rows)

    def _value(self, held: Sequence[tuple[State, ...]]) -> tuple[float, float | None, str]:
        whole = [_merged(blocks) for blocks in held]
        value, squares = self._computed(whole), 0.0
        for place, blocks in enumerate(held):

            def statistic(state: State, place: int = place) -> float:
                return self._computed([*whole[:place], state, *whole[place + 1 :]])

            try:
                _, interval = delete_a_shard(blocks, [b.rows for b in blocks], statistic, self.level)
            except UndefinedError as error:
                return value, None, f"{error}."
            except Exception as error:  # as above: without one block the metric may refuse what is left
                return (
                    value,
                    None,
                    f"without a block of rows: {type(error).__name__} from torchmetrics: {str(error)[:200]}.",
                )
            squares += interval.half_width**2
        return value, math.sqrt(squares), ""

    def _computed(self, states: Sequence[State]) -> float:
        """Return what the metric makes of a state, those of two sides added. Raise UndefinedError when that is no single number."""
        import torch

        state = states[0] if len(states) == 1 else _merged(states)
        metric = self.chosen.made(self.features)
        for name, value in zip(state.names, state.values, strict=True):
            tensor = torch.from_numpy(np.ascontiguousarray(value))
            if isinstance(
                metric._defaults[name], list
            ):  # without a rule, as ROUGE has it, entries are one number a text
                each = metric._reductions[name] is None and tensor.ndim == 1
                setattr(metric, name, list(tensor) if each else [tensor])
            else:
                setattr(metric, name, tensor)
        metric._update_count = 1
        metric.orig_dtype = torch.float64  # FrechetInceptionDistance sets it in update alone
        found = metric.compute()
        if isinstance(found, dict):
            if self.part not in found:
                raise UndefinedError(
                    f"the metric gives {', '.join(map(str, found))}; name one of them in 'part'"
                )
            found = found[self.part]
        if isinstance(found, tuple) and found:
            found = found[0]  # a mean with the spread over its subsets
        if not (torch.is_tensor(found) and found.numel() == 1):
            raise UndefinedError(
                "the metric gives more than one number here; choose options that reduce it to one"
            )
        number = float(found)
        if not math.isfinite(number):
            raise UndefinedError(f"the metric gives {number}")
        return number


def _merged(blocks: Sequence[State]) -> State:
    whole = blocks[0]
    for block in blocks[1:]:
        whole = whole.merge(block)
    return whole
