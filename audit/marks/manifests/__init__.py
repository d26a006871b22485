"""Content credentials (C2PA): signed manifests in or beside a file, written and read."""
