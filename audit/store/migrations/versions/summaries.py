"""A summary of each run, the reason why a number is void, and an index by metric; filled in for the runs that are there."""

import json

import sqlalchemy as sa
from alembic import op

from audit.store import schema, summaries
from audit.store.schema import VERSIONS

revision = VERSIONS[1]
down_revision = VERSIONS[0]
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and read each record once."""
    op.create_table(
        "summaries",
        sa.Column("run", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("began", sa.String(40), nullable=False),
        sa.Column("finished", sa.String(40)),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("model_key", sa.String(64), nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("data_key", sa.String(64), nullable=False),
        sa.Column("dimensions", sa.Text, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("measurements", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("decisive", sa.Text),
        sa.Column("registers", sa.Boolean, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
    )
    op.create_index("newest_summary", "summaries", ["number"], unique=True)
    op.add_column("measurements", sa.Column("void", sa.Text))
    op.create_index("one_metric", "measurements", ["metric", "subgroup"])
    connection = op.get_bind()
    for run in (
        connection.execute(sa.select(schema.runs.c.run).order_by(schema.runs.c.number)).scalars().all()
    ):
        _fill(connection, run)


def _fill(connection: sa.Connection, run: str) -> None:
    row = connection.execute(sa.select(schema.runs).where(schema.runs.c.run == run)).one()
    summaries.put(connection, run, row.record or row.snapshot)
    try:
        measured = json.loads(row.record or "{}").get("measurements", [])
        void = [(position, str(m["void"])) for position, m in enumerate(measured) if m.get("void")]
    except (ValueError, TypeError, AttributeError):  # a record that cannot be read; its summary says so
        return
    t = schema.measurements
    for position, why in void:
        where = (t.c.run == run, t.c.position == position)
        connection.execute(sa.update(t).where(*where).values(void=why))
