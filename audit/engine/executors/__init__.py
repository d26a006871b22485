"""Places to run tasks."""
