"""Find which shards of a plan a store has lost or holds damaged, so that they are made again."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from audit.core.facts import Failed, Made
from audit.core.identity import Digest, Key
from audit.core.recipes import Recipe
from audit.store.rows import evidence_of
from audit.store.runs import Store

Place = tuple[Key, int]
"""A recipe's key and the number of a shard."""


def lost_shards(recipes: Iterable[Recipe[Any]], store: Store) -> dict[Place, Digest]:
    """Return the shards that were made and whose bytes are gone, with the digests that they had."""
    return {(fact.key, fact.shard): fact.digest for fact in store.lost([recipe.key for recipe in recipes])}


def read_by(recipe: Recipe[Any], shard: int) -> Iterator[Place]:
    """Yield every shard that one shard of a recipe reads, each once."""
    return iter(
        dict.fromkeys(
            (link.parent.key, needed)
            for link in recipe.links
            for needed in recipe.needs(link.field, link.parent, shard)
        )
    )


def read_in_parts(recipe: Recipe[Any], shard: int) -> tuple[dict[Key, Recipe[Any]], dict[Place, Recipe[Any]]]:
    """Return what one shard of a recipe reads: parents of which it reads every shard, and single shards of the others.

    A comparison of everything with everything has as many edges as the square of
    its shards; counted by whole parents, as many as it has shards.
    """
    whole: dict[Key, Recipe[Any]] = {}
    single: dict[Place, Recipe[Any]] = {}
    for link in recipe.links:
        needed = recipe.needs(link.field, link.parent, shard)
        if len(needed) == link.parent.shards:
            whole[link.parent.key] = link.parent
        else:
            single.update(((link.parent.key, one), link.parent) for one in needed)
    return whole, single


def still_read(
    lost: Collection[Place], recipes: Iterable[Recipe[Any]], made: Mapping[Key, Mapping[int, Made]]
) -> set[Place]:
    """Return which of the lost shards something was made from that is still there."""
    if not lost:
        return set()
    reads = (place for recipe in recipes for shard in made[recipe.key] for place in read_by(recipe, shard))
    return {place for place in reads if place in lost}


def check_same(fact: Made | Failed, before: Digest | None, label: str) -> None:
    """See that a lost shard came out as it was, where something that is kept was made from it.

    Raises OSError when it did not: the model is not as deterministic as it
    says, and a record would join numbers to samples that they were not computed from.
    """
    if before is not None and isinstance(fact, Made) and fact.digest != before:
        raise OSError(
            errno.EIO,
            f"Shard {fact.shard} of '{label}' was lost and came out differently when it was made again, while what was made "
            "from it is kept: this model does not repeat itself. Name another store with --store to make everything anew.",
        )


def discard_damaged(keys: Iterable[Key], scorings: Iterable[Key], store: Store) -> list[Digest]:
    """Delete the damaged blobs among the shards and the evidence that these keys name, so that they are made again.

    Reads every one of them. Returns what was damaged.
    """
    wanted = {fact.digest for made in store.made_of(list(keys)).values() for fact in made.values()}
    for key in scorings:
        if (scored := store.scored(key)) is not None:
            wanted.update(evidence_of(scored.outcomes))
    damaged = sorted(wanted - store.blobs.sound(wanted))
    for digest in damaged:
        store.blobs.delete(digest)
    return damaged
