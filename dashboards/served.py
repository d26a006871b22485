"""What ``audit dashboard`` runs: Streamlit, with what its first page needs loaded before anybody opens it."""

from __future__ import annotations

import gc
import importlib
import sys
from functools import lru_cache

LOADED_FIRST = (
    "pandas",
    "PIL.Image",
    "dashboards.charts",
    "dashboards.views.overview",
    "dashboards.views.run",
)
"""Else whoever opens the dashboard first waits for them."""


def main() -> None:
    """Load, then serve as ``streamlit`` with the same arguments would."""
    from streamlit.web.cli import main as streamlit

    for name in LOADED_FIRST:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # Streamlit looks through every object there is after each page; what is loaded here never goes
    sys.argv[0] = "streamlit"
    streamlit()


@lru_cache(maxsize=1)
def settle() -> None:
    """Set aside, once, what the first page has loaded beside that; only where :func:`main` serves."""
    if gc.get_freeze_count():
        gc.collect()
        gc.freeze()


if __name__ == "__main__":
    main()
