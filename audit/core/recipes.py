"""Recipes: descriptions of what to compute and from what, never of where or when."""

from __future__ import annotations

import hashlib
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from audit.core.errors import PluginError
from audit.core.identity import Key, fields_of, key_of, name_of
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.rows import Matrix, Rng, Rows, Vector

T_co = TypeVar("T_co", covariant=True)

_BLOCK = 4096
"""Rows whose uniform numbers are drawn together."""

Shards: TypeAlias = Sequence
"""The values of all shards of a recipe, in shard order, each read when it is asked for: iterate to hold one at a time."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What making one shard needs of a machine."""

    cpus: float = 1
    gpus: float = 0
    memory_mb: int | None = None


class Bench(Protocol):
    """Where models, splits and extractors are found: what a worker keeps between tasks."""

    def model(self, ref: ModelRef) -> Any: ...
    def split(self, ref: DataRef, split: str) -> Rows: ...
    def extract(self, ref: ExtractorRef, rows: Rows) -> Matrix: ...


class Context(Bench, Protocol):
    """All that a recipe may reach for while it makes one shard."""

    @property
    def shard(self) -> int: ...
    def rng(self, stream: int | str | None = None) -> Rng:
        """Return random numbers seeded by the recipe and by ``stream``, the shard unless told: equal in any worker."""
        ...

    def uniforms(self, rows: range | None = None) -> Vector:
        """Return one number in [0, 1) for each row, by its place among all rows: the same however rows are cut into shards.

        Without ``rows``, those of this shard, counted along the lead parent.
        """
        ...


@dataclass(frozen=True, slots=True)
class Link:
    """One parent of a recipe: the field that names it, and its place there if the field holds several."""

    field: str
    parent: Recipe[Any]
    place: int | None = None


@dataclass(frozen=True)
class Recipe(Generic[T_co]):
    """A frozen dataclass whose fields are its whole identity. Equal recipes share one artifact.

    A field that is a recipe, or a tuple of recipes, is a parent, and ``make`` gets what its shards
    hold under the field's name:

    - a parent named in ``along`` arrives as the value of the shard with the same number; all of
      them have equally many shards, and so has this recipe;
    - any other parent arrives as :data:`Shards`, the values of all its shards.

    Without ``along`` there is one shard, made from everything; a recipe without parents says how
    many ``shards`` it has. A parent that is None is not passed, so give it a default in ``make``.

    What a shard holds is the generic parameter: ``Recipe[Rows]``, ``Recipe[Matrix]`` (any
    array) or a frozen dataclass of arrays, numbers, strings and the like. Bump ``version``
    when ``make`` changes meaning.
    """

    version: ClassVar[int] = 1
    resources: ClassVar[Resources] = Resources()
    along: ClassVar[tuple[str, ...]] = ()
    holds: ClassVar[Any] = None
    """What a shard holds: ``"rows"``, ``"array"`` or a dataclass type; read off the generic parameter."""

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        if "holds" not in vars(cls) and (found := _parameter(cls)) is not None:
            cls.holds = found

    @property
    def value(self) -> Any:
        """What a shard of this recipe holds, as the codec reads it back."""
        if self.holds is None:
            raise PluginError(
                f"The recipe {type(self).__name__} does not say what a shard of it holds. Derive it from Recipe[Rows], "
                "Recipe[Matrix] or Recipe[YourDataclass]."
            )
        return self.holds

    @cached_property
    def key(self) -> Key:
        return key_of(name_of(type(self)), self.version, fields_of(self))

    @cached_property
    def seed_key(self) -> Key:
        """What seeds its random numbers: its key without what only says how rows are cut into shards."""
        drawn = {
            f.name: replaced(getattr(self, f.name), lambda recipe: {"$seed": recipe.seed_key})
            for f in fields(self)
            if f.metadata.get("identity", True) and not f.metadata.get("layout", False)
        }
        return key_of(name_of(type(self)), self.version, drawn)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Every parent with the field that names it, in the order of the fields."""
        found: list[Link] = []
        for field in fields(self):
            match getattr(self, field.name):
                case Recipe() as recipe:
                    found.append(Link(field.name, recipe))
                case tuple() as several:
                    found += [Link(field.name, r, i) for i, r in enumerate(several) if isinstance(r, Recipe)]
        return tuple(found)

    @property
    def parents(self) -> tuple[Recipe[Any], ...]:
        return tuple(link.parent for link in self.links)

    @property
    def lead(self) -> Recipe[Any] | None:
        """The first parent that is read shard by shard, or None."""
        return next((link.parent for link in self.links if link.field in self.along), None)

    @property
    def shards(self) -> int:
        """How many shards this artifact has. Never the number of workers."""
        return 1 if self.lead is None else self.lead.shards

    @property
    def label(self) -> str:
        """A few words for a progress display."""
        words = name_of(type(self)).rpartition(":")[2].replace("-", " ")
        return words if self.lead is None else f"{words} of {self.lead.label}"

    def examples(self, shard: int) -> int:
        """How many examples a shard holds, exactly; 0 when the question makes no sense. Places of rows are counted by it."""
        return 0 if self.lead is None else self.lead.examples(shard)

    def rows_of(self, shard: int) -> range:
        """Return the places of a shard's examples among all of them."""
        return range(self._ends[shard], self._ends[shard + 1])

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate((self.examples(i) for i in range(self.shards)), initial=0))

    def needs(self, field: str, parent: Recipe[Any], shard: int) -> range:
        """Return which shards of a parent one shard of this artifact reads.

        Override it for a mixed need, such as a query shard against one reference shard; the field then
        arrives as the :data:`Shards` that were asked for.
        """
        return range(shard, shard + 1) if field in self.along else range(parent.shards)

    def refuse_unequal_shards(self) -> None:
        """Raise PluginError when what is read shard by shard does not have as many shards as this recipe."""
        for name in self.along:
            if name not in {field.name for field in fields(self)}:
                raise PluginError(
                    f"The recipe {type(self).__name__} goes along '{name}', which is no field of it."
                )
        for link in self.links:
            if link.field in self.along and link.parent.shards != self.shards:
                raise PluginError(
                    f"The recipe {type(self).__name__} ({self.label}) has {self.shards} shards and reads '{link.field}' "
                    f"shard by shard, which has {link.parent.shards}. Read it whole, or make both from rows cut alike."
                )

    @property
    def make(self) -> Callable[..., T_co]:
        """``make(context, **parents)`` computes one shard. Pure but for the context."""
        raise PluginError(f"The recipe {type(self).__name__} has no method 'make'.")


def _parameter(cls: type) -> Any:
    """Return what a subclass of ``Recipe[X]`` says that a shard holds, or None when it leaves that open."""
    for base in vars(cls).get("__orig_bases__", ()):
        origin, arguments = typing.get_origin(base), typing.get_args(base)
        if isinstance(origin, type) and issubclass(origin, Recipe) and arguments:
            return _held(arguments[0], cls)
    return None


def _held(parameter: Any, cls: type) -> Any:
    if isinstance(parameter, TypeVar) or parameter is Any:
        return None
    if parameter is Rows:
        return "rows"
    if typing.get_origin(parameter) is np.ndarray or parameter is np.ndarray:
        return "array"
    kind = typing.get_origin(parameter) or parameter
    if is_dataclass(kind):
        return parameter
    raise PluginError(
        f"The recipe {cls.__name__} holds {parameter}, which cannot be stored. A shard holds Rows, an array or a frozen dataclass."
    )


def generator(seed_key: Key, stream: int | str) -> Rng:
    """Return the random numbers of a recipe and a stream: the same wherever and whenever they are drawn."""
    seed = hashlib.blake2b(f"{seed_key}/{stream}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(seed, "big")))


def row_uniforms(seed_key: Key, rows: range) -> Vector:
    """Return a number in [0, 1) for each row; drawn by blocks, so that it depends on the row's place and on nothing else."""
    if not rows:
        return np.empty(0)
    first, last = rows.start // _BLOCK, (rows.stop - 1) // _BLOCK
    drawn = np.concatenate(
        [generator(seed_key, f"rows/{block}").random(_BLOCK) for block in range(first, last + 1)]
    )
    return np.asarray(drawn[rows.start - first * _BLOCK :][: len(rows)])


def made_from(recipe: Recipe[Any], shard: int, context: Context, read: Sequence[Shards[Any]]) -> Any:
    """Return one shard of a recipe; ``read`` holds, for each of its links in order, the shards it needs."""
    given: dict[str, Any] = {}
    for link, shards in zip(recipe.links, read, strict=True):
        value = (
            shards[recipe.needs(link.field, link.parent, shard).index(shard)]
            if link.field in recipe.along
            else shards
        )
        if link.place is None:
            given[link.field] = value
        else:
            given[link.field] = (*given.get(link.field, ()), value)
    return recipe.make(context, **given)


def lineage(wanted: Sequence[Recipe[Any]]) -> tuple[Recipe[Any], ...]:
    """Return recipes and everything they rest on, each once, parents before children."""
    found: dict[Key, Recipe[Any]] = {}
    stack: list[tuple[Recipe[Any], bool]] = [(recipe, False) for recipe in reversed(wanted)]
    while stack:
        recipe, entered = stack.pop()
        if recipe.key in found:
            continue
        if entered:
            found[recipe.key] = recipe
        else:
            stack.append((recipe, True))
            stack += [(parent, False) for parent in reversed(recipe.parents)]
    return tuple(found.values())


Inputs: TypeAlias = Mapping[str, Any]
"""What an evaluator asks for, by the names of ``measure``'s arguments: recipes, plain values, and tuples or mappings of both."""


def recipes_in(value: Any) -> Iterator[Recipe[Any]]:
    """Yield every recipe in a nested structure of inputs, in order."""
    match value:
        case Recipe():
            yield value
        case Mapping():
            for item in value.values():
                yield from recipes_in(item)
        case tuple() | list():
            for item in value:
                yield from recipes_in(item)


def replaced(value: Any, change: Callable[[Recipe[Any]], Any]) -> Any:
    """Return a nested structure of inputs with every recipe changed and everything else as it is."""
    match value:
        case Recipe():
            return change(value)
        case Mapping():
            return {name: replaced(item, change) for name, item in value.items()}
        case tuple() | list():
            return tuple(replaced(item, change) for item in value)
    return value


def shard_range(rows: int, shard_size: int, shard: int) -> range:
    """Return which rows a shard holds.

    >>> shard_range(25, 10, 2)
    range(20, 25)
    """
    return range(shard * shard_size, min(rows, (shard + 1) * shard_size))


def shard_count(rows: int, shard_size: int) -> int:
    """Return how many shards hold ``rows`` rows.

    >>> shard_count(25, 10), shard_count(0, 10)
    (3, 1)
    """
    return max(1, -(-rows // shard_size))
