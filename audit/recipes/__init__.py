"""Recipes that evaluators share, beside those that a subject's methods make.

Asked of the subject (``audit.core.artifacts``): samples, prompted samples, real rows, drawn rows, features, token
scores, signals, summaries of shards. Here, each in a module of its own: standardised features, kernel sums,
nearest neighbours. Third parties import them as our evaluators do; ``docs/plugins.md`` shows a complete recipe.
"""
