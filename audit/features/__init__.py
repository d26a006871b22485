"""Feature extractors: rows to a matrix, one extractor per file."""
