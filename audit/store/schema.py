"""The tables of the ledger, as the code reads and writes them; ``migrations`` makes them."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text, text

FORMAT = 2
"""The contract of what a store holds: keys, encodings, the shape of records.

Raise it when one of them changes: a store of an earlier format is refused, because what it
holds would be read as something else.
"""

VERSIONS = (f"{FORMAT:04d}", f"{FORMAT:04d}01", f"{FORMAT:04d}02")
"""Every revision of the ledger this code knows, oldest first: the tables of this format, and what was added to them since.
The last one is what it writes. The first four digits are the format, two more count what was added to it."""

metadata = MetaData()

version = Table("alembic_version", metadata, Column("version_num", String(32), primary_key=True))

runs = Table(
    "runs",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("run", String(32), nullable=False, unique=True),
    Column("plan_key", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("began", String(40), nullable=False),
    Column("finished", String(40)),
    Column("verdict", String(20)),
    Column("snapshot", Text, nullable=False),
    Column("record", Text),
)
# One unfinished run a plan: two drivers that begin it at once share it.
Index(
    "one_unfinished_run",
    runs.c.plan_key,
    unique=True,
    sqlite_where=text("finished IS NULL"),
    postgresql_where=text("finished IS NULL"),
)

made = Table(
    "made",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("shard", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("seconds", Float, nullable=False),
    Column("worker", Text, nullable=False),
    Column("run", String(32), nullable=False),
)

spent = Table(
    "spent",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("run", String(32), nullable=False),
    Column("key", String(64), nullable=False),
    Column("shard", Integer, nullable=False),
    Column("usage", Text, nullable=False),
)
Index("spent_on", spent.c.key)

failed = Table(
    "failed",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("shard", Integer, primary_key=True),
    Column("error", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("run", String(32), nullable=False),
)

scored = Table(
    "scored",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("evaluator", Text, nullable=False),
    Column("outcomes", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("run", String(32), nullable=False),
)

measurements = Table(
    "measurements",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("metric", Text, nullable=False),
    Column("subgroup", Text, nullable=False),
    Column("value", Float, nullable=False),
    Column("low", Float),
    Column("high", Float),
    Column("level", Float),
    Column("method", Text),
    Column("unquantified", Text),
    Column("n", BigInteger, nullable=False),
    Column("direction", String(20), nullable=False),
    Column("unit", Text, nullable=False),
    Column("baseline", Float),
    Column("noise_floor", Float),
    Column("p_value", Float),
    Column("void", Text),
)
Index("one_metric", measurements.c.metric, measurements.c.subgroup)

judgements = Table(
    "judgements",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("metric", Text, nullable=False),
    Column("at_most", Float),
    Column("at_least", Float),
    Column("within_floor", Float),
    Column("every_group", Boolean, nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("value", Float),
    Column("n_to_decide", Float),
)

summaries = Table(
    "summaries",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("began", String(40), nullable=False),
    Column("finished", String(40)),
    Column("verdict", String(20), nullable=False),
    Column("model", Text, nullable=False),
    Column("model_key", String(64), nullable=False),
    Column("data", Text, nullable=False),
    Column("data_key", String(64), nullable=False),
    Column("dimensions", Text, nullable=False),
    Column("counts", Text, nullable=False),
    Column("measurements", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("decisive", Text),
    Column("registers", Boolean, nullable=False),
    Column("problem", Text, nullable=False),
)
Index("newest_summary", summaries.c.number, unique=True)


@cache
def insertion(table: Table, dialect: str) -> Any:
    """Return the statement that adds a row unless one with its key is there, and tells the key of what it added."""
    from sqlalchemy.dialects import postgresql, sqlite

    insert: Any = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[dialect]
    return insert(table).on_conflict_do_nothing().returning(*table.primary_key)
