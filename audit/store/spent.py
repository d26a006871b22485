"""What served models counted: a row for each time that a shard was made, or was tried, and never one less."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, insert

from audit.core.facts import Failed, Made
from audit.core.usage import Spending, Usage, together
from audit.store import schema


def put(connection: Connection, run: str, fact: Made | Failed) -> None:
    """Add what a shard took in this run."""
    place = {"run": run, "key": fact.key, "shard": fact.shard}
    rows = [{**place, "usage": json.dumps(asdict(usage), allow_nan=False)} for usage in fact.spent]
    if rows:
        connection.execute(insert(schema.spent), rows)


def spending(run: str, rows: Iterable[Any]) -> tuple[Spending, ...]:
    """Return what some rows say, for each currency: what this run took, then what its reused shards took in others."""
    found: dict[bool, list[Usage]] = {False: [], True: []}
    for row in rows:
        found[row.run != run].append(Usage.of(json.loads(row.usage)))
    return tuple(Spending(reused, usage) for reused in (False, True) for usage in together(found[reused]))


def shards_of(rows: Sequence[Any], made: Iterable[Made], run: str) -> list[Any]:
    """Return the rows of this run, and those of others on shards that are made."""
    there = {(fact.key, fact.shard) for fact in made}
    return [row for row in rows if row.run == run or (row.key, row.shard) in there]
