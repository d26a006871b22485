"""Numbered migrations of the ledger, run by Alembic."""
