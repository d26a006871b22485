"""An evaluator whose optional library is not installed."""

import not_a_real_library  # type: ignore[import-not-found]  # noqa: F401  # missing on purpose


class Broken:
    """Never reached."""
