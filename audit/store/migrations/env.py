"""What Alembic runs to migrate: on the connection the ledger hands over, inside its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
