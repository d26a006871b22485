"""Conformance suites for plugin authors, and planted defects."""
