"""The handmade record of the reports' tests, for tests of what reads records."""

from __future__ import annotations

from tests.reports.conftest import sample  # noqa: F401 - a fixture
