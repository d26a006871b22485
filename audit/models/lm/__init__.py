"""Language models: reading their files, scoring tokens, sampling."""
