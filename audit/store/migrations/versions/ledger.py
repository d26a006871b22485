"""The tables of a format's ledger: runs, facts about shards and scorings, and the numbers of finished runs."""

import sqlalchemy as sa
from alembic import op

from audit.store.schema import VERSIONS

revision = VERSIONS[0]
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _runs()
    _facts()
    _numbers()


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run", sa.String(32), nullable=False, unique=True),
        sa.Column("plan_key", sa.String(64), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("began", sa.String(40), nullable=False),
        sa.Column("finished", sa.String(40)),
        sa.Column("verdict", sa.String(20)),
        sa.Column("snapshot", sa.Text, nullable=False),
        sa.Column("record", sa.Text),
    )
    op.create_index(
        "one_unfinished_run",
        "runs",
        ["plan_key"],
        unique=True,
        sqlite_where=sa.text("finished IS NULL"),
        postgresql_where=sa.text("finished IS NULL"),
    )


def _facts() -> None:
    op.create_table(
        "made",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("shard", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
    )
    op.create_table(
        "failed",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("shard", sa.Integer, primary_key=True),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
    )
    op.create_table(
        "scored",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("evaluator", sa.Text, nullable=False),
        sa.Column("outcomes", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
    )


def _numbers() -> None:
    op.create_table(
        "measurements",
        sa.Column("run", sa.String(32), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("subgroup", sa.Text, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("low", sa.Float),
        sa.Column("high", sa.Float),
        sa.Column("level", sa.Float),
        sa.Column("method", sa.Text),
        sa.Column("unquantified", sa.Text),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("direction", sa.String(20), nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("baseline", sa.Float),
        sa.Column("noise_floor", sa.Float),
        sa.Column("p_value", sa.Float),
    )
    op.create_table(
        "judgements",
        sa.Column("run", sa.String(32), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("at_most", sa.Float),
        sa.Column("at_least", sa.Float),
        sa.Column("within_floor", sa.Float),
        sa.Column("every_group", sa.Boolean, nullable=False),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("n_to_decide", sa.Float),
    )
