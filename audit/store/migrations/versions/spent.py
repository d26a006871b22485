"""What served models counted for the shards of a run."""

import sqlalchemy as sa
from alembic import op

from audit.store.schema import VERSIONS

revision = VERSIONS[2]
down_revision = VERSIONS[1]
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; of what was made before nothing is known."""
    op.create_table(
        "spent",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("shard", sa.Integer, nullable=False),
        sa.Column("usage", sa.Text, nullable=False),
    )
    op.create_index("spent_on", "spent", ["key"])
