"""audit dashboard: the Streamlit dashboard over a store."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from audit.cli.options import address, store_option
from audit.core.errors import InputError

_EPILOG = """\
\b
Examples:
  audit dashboard
  audit dashboard --store ./audit-store --port 8600 --no-browser
"""


@click.command("dashboard", epilog=_EPILOG)
@store_option
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
def command(store: str | None, port: int, host: str, no_browser: bool) -> int:
    """Serve the dashboard on this machine until Ctrl-C. Nothing is sent anywhere."""
    found = find_spec("dashboards")
    if find_spec("streamlit") is None or found is None or not found.submodule_search_locations:
        raise InputError("The dashboard needs streamlit. Run: pip install generative-audit")
    app = Path(next(iter(found.submodule_search_locations))) / "app.py"
    environment = {**os.environ, "AUDIT_STORE": store or os.environ.get("AUDIT_STORE", "./audit-store")}
    address(store)
    return subprocess.call(  # noqa: S603 - our own interpreter and file, no shell
        [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            str(app),
            f"--server.port={port}",
            f"--server.address={host}",
            f"--server.headless={'true' if no_browser else 'false'}",
            "--server.showEmailPrompt=false",
            "--browser.gatherUsageStats=false",
            "--server.fileWatcherType=none",
            "--client.toolbarMode=minimal",
        ],
        env=environment,
    )
