"""Pronouns after occupations: the evaluator, what it asks and how answers become scores."""
