"""Recipes read along fields and get their parents by name; a plan that cannot is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from audit.core.errors import PluginError
from audit.core.identity import layout
from audit.core.recipes import Context, Recipe, Shards, lineage, recipes_in, replaced
from audit.core.rows import Matrix, Rows, Vector
from audit.testing.memory import Kitchen


@dataclass(frozen=True)
class Numbers(Recipe[Matrix]):
    """``n`` shards of ``size`` rows: the shard's number, and a random number."""

    kind: ClassVar[str] = "test-numbers"
    n: int
    size: int = 2

    @property
    def shards(self) -> int:
        return self.n

    def make(self, context: Context) -> Matrix:
        return np.column_stack([np.full(self.size, float(context.shard)), context.rng().random(self.size)])


@dataclass(frozen=True)
class Against(Recipe[Vector]):
    """For each row of ``rows``, the sum of all of ``others`` and of every one of ``several``."""

    kind: ClassVar[str] = "test-against"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Matrix]
    others: Recipe[Matrix]
    several: tuple[Recipe[Matrix], ...] = ()

    def make(
        self, context: Context, rows: Matrix, others: Shards[Matrix], several: tuple[Shards[Matrix], ...] = ()
    ) -> Vector:
        total = sum(float(shard[:, 0].sum()) for shard in others)
        total += sum(float(shard[:, 0].sum()) for one in several for shard in one)
        return np.asarray(rows[:, 0] + total)


@dataclass(frozen=True)
class Paired(Recipe[Vector]):
    """Two parents read shard by shard."""

    kind: ClassVar[str] = "test-paired"
    along: ClassVar[tuple[str, ...]] = ("rows", "others")
    rows: Recipe[Matrix]
    others: Recipe[Matrix]

    def make(self, context: Context, rows: Matrix, others: Matrix) -> Vector:
        return np.asarray(rows[:, 0] - others[:, 0])


def test_a_parent_is_read_whole_unless_the_recipe_goes_along_it() -> None:
    """Equally many shards on both sides decide nothing: this once gave a third of the right number."""
    found = Kitchen().shards(Against(Numbers(3), Numbers(3, 4)))
    assert [shard.tolist() for shard in found] == [[12.0, 12.0], [13.0, 13.0], [14.0, 14.0]]


def test_the_same_recipe_may_be_read_along_and_whole() -> None:
    one = Numbers(3)
    assert Kitchen().shards(Against(one, one))[2].tolist() == [8.0, 8.0]


def test_a_field_of_several_parents_arrives_as_several() -> None:
    recipe = Against(Numbers(2), Numbers(1), (Numbers(2), Numbers(3)))
    assert [link.field for link in recipe.links] == ["rows", "others", "several", "several"]
    # others: 0; several: 2 rows of 1; 2 of 1 and 2 of 2
    assert Kitchen().shards(recipe)[1].tolist() == [9.0, 9.0]


def test_shards_labels_and_values_are_derived() -> None:
    recipe = Against(Numbers(5), Numbers(2))
    assert recipe.shards == 5
    assert recipe.label == "test against of test numbers"
    assert recipe.value == "array"
    assert Against(Numbers(5), Numbers(2)) == recipe
    assert Against(Numbers(5), Numbers(2)).key == recipe.key


def test_unequal_shards_are_refused_with_both_counts() -> None:
    with pytest.raises(PluginError, match=r"has 3 shards and reads 'others' shard by shard, which has 2"):
        Kitchen().shards(Paired(Numbers(3), Numbers(2)))


def test_going_along_what_is_no_field_is_refused() -> None:
    @dataclass(frozen=True)
    class Typo(Recipe[Vector]):
        along: ClassVar[tuple[str, ...]] = ("row",)
        rows: Recipe[Matrix]

    with pytest.raises(PluginError, match="goes along 'row', which is no field"):
        Typo(Numbers(1)).refuse_unequal_shards()


def test_what_a_shard_holds_is_read_off_the_parameter() -> None:
    @dataclass(frozen=True)
    class Texts(Recipe[Rows]):
        pass

    @dataclass(frozen=True)
    class Pair:
        a: int

    @dataclass(frozen=True)
    class Pairs(Recipe[Pair]):
        pass

    @dataclass(frozen=True)
    class Open(Recipe[Any]):
        pass

    assert Texts().value == "rows"
    assert Pairs().value is Pair
    with pytest.raises(PluginError, match="does not say what a shard of it holds"):
        _ = Open().value
    with pytest.raises(PluginError, match="cannot be stored"):

        @dataclass(frozen=True)
        class Bad(Recipe[dict[str, int]]):
            pass


def test_random_numbers_are_those_of_the_recipe_and_the_shard() -> None:
    one, again, other = (Kitchen().shards(r) for r in (Numbers(2), Numbers(2), Numbers(3)))
    assert one[0].tolist() == again[0].tolist()
    assert one[0][0, 1] != one[1][0, 1]
    assert one[0][0, 1] != other[0][0, 1]


def test_a_lineage_names_each_recipe_once_parents_first_however_it_is_shared() -> None:
    recipe: Recipe[Any] = Numbers(1)
    for _ in range(60):  # a walk that visits every path would not end
        recipe = Paired(recipe, recipe)
    found = lineage([recipe, recipe])
    assert len(found) == 61
    assert found[0] == Numbers(1)
    assert found[-1] == recipe


def test_inputs_are_searched_and_filled_in_any_nesting() -> None:
    a, b = Numbers(1), Numbers(2)
    inputs = {"one": a, "many": (b, {"deep": a}), "plain": 3, "none": None}
    assert list(recipes_in(inputs)) == [a, b, a]
    filled = replaced(inputs, lambda recipe: recipe.shards)
    assert filled == {"one": 1, "many": (2, {"deep": 1}), "plain": 3, "none": None}


@dataclass(frozen=True)
class Cut(Recipe[Matrix]):
    """Row numbers 0 … rows-1 in shards of ``size``."""

    kind: ClassVar[str] = "test-cut"
    rows: int
    size: int = layout()

    @property
    def shards(self) -> int:
        return -(-self.rows // self.size)

    def examples(self, shard: int) -> int:
        return min(self.rows, (shard + 1) * self.size) - shard * self.size

    def make(self, context: Context) -> Matrix:
        return np.full((self.examples(context.shard), 1), 1.0)


@dataclass(frozen=True)
class Drawn(Recipe[Vector]):
    """A uniform number for each row."""

    kind: ClassVar[str] = "test-drawn"
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Matrix]

    def make(self, context: Context, source: Matrix) -> Vector:
        return context.uniforms()


def test_how_rows_are_cut_is_no_second_seed() -> None:
    one, two = Drawn(Cut(10_000, 10_000)), Drawn(Cut(10_000, 333))
    assert one.key != two.key
    assert one.seed_key == two.seed_key
    whole = np.concatenate(Kitchen().shards(one))
    np.testing.assert_array_equal(whole, np.concatenate(Kitchen().shards(two)))
    assert len(np.unique(whole)) == 10_000
    assert abs(whole.mean() - 0.5) < 0.02
    assert Drawn(Cut(9_999, 333)).seed_key != two.seed_key
