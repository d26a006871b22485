"""Included language models: paragraphs about people who do not exist, a clean model and two defective twins."""
