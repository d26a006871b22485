"""Conformance suites for plugin authors: call the check for your kind of plugin from a test of your own.

>>> from audit.testing.summaries import check_summary
"""
