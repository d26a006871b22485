"""Makes the shards of a plan that are missing: which ones, where they run, in which order."""
