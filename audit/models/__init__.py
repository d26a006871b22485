"""Model adapters: one storage format or library per file."""
