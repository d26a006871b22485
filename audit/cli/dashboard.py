"""audit dashboard: the Streamlit dashboard over a store."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click

from audit.cli.descendants import be_told_of_parents_death
from audit.cli.main import INTERRUPTED
from audit.cli.options import OWN_NAMES, address, store_option
from audit.cli.visible import VisibleLines, say
from audit.config.tables import Table, read_toml
from audit.core.errors import InputError
from audit.store.location import StoreAddress

_EPILOG = """\
\b
Examples:
  audit dashboard
  audit dashboard --store ./audit-store --port 8600 --no-browser
  audit dashboard --host 0.0.0.0 --allow-host audits.example.com --login login.toml
"""

_SHORTEST = 12
"""Characters of a password."""
_BLOCK = 1 << 16
_PAUSE = 0.2
_FAREWELL = 2.0
"""Seconds that the server has to end by itself."""


@click.command("dashboard", epilog=_EPILOG)
@store_option
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    metavar="NAME",
    help="A further name that browsers may reach it by; may be repeated.",
)
@click.option(
    "--login",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A TOML file with a password, or with [auth] for a login by OpenID Connect.",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
def command(
    store: str | None, port: int, host: str, allowed: tuple[str, ...], login: Path | None, no_browser: bool
) -> int:
    """Serve the dashboard on this machine until Ctrl-C. Nothing is sent anywhere.

    It answers only to the names it knows, so that a page of another site whose name leads here reads nothing.
    """
    found = find_spec("dashboards")
    if find_spec("streamlit") is None or found is None or not found.submodule_search_locations:
        raise InputError("The dashboard needs streamlit. Run: pip install generative-audit")
    folder = Path(next(iter(found.submodule_search_locations)))
    where = address(store)
    _check(where)
    secrets = login_file(login)
    return _serve(
        [
            *(sys.executable, "-P", "-m", "dashboards.served", "run", str(folder / "app.py")),
            *(f"--server.allowedHosts={name}" for name in names(host, allowed)),
            f"--server.port={port}",
            f"--server.address={host}",
            "--server.headless=true",  # else it may offer to write files of its maker's into this package
            "--server.enableCORS=true",
            "--server.enableXsrfProtection=true",
            "--server.enableStaticServing=false",
            "--server.showEmailPrompt=false",
            "--server.fileWatcherType=none",
            "--runner.magicEnabled=false",  # a page shows what it is told to, not every sentence that stands in its source
            "--browser.gatherUsageStats=false",
            "--client.toolbarMode=minimal",
            "--client.showErrorDetails=none",
            f"--secrets.files={secrets}",  # the only file of secrets that is read
        ],
        folder,
        where.spelled,
        None if no_browser else ("localhost" if _stands_for_all(host) else host, port),
    )


def _check(where: StoreAddress) -> None:
    """See that there is a store to show, brought to this version where it is of an earlier one; InputError says what is wrong."""
    from audit.store.runs import open_store

    try:
        open_store(where, create=False, read_only=True).close()
    except InputError:
        open_store(
            where, create=False
        ).close()  # its error says more, and a store of an earlier version has none


def login_file(login: Path | None) -> str:
    """Return the path of the file that says who may log in, checked; that of no file where nobody has to.

    Raises InputError that says what is missing in it.
    """
    if login is None:
        return os.devnull
    table = Table(
        login.name, read_toml(login, "--login", 'it has password = "…", or [auth] for OpenID Connect.')
    )
    emails, password, auth = table.texts("emails"), table.text("password", ""), table.table("auth")
    if auth is None:
        if len(password) < _SHORTEST:
            raise InputError(
                f"{login.name} has no [auth], and no password of {_SHORTEST} or more characters. Write one of them."
            )
        if emails:
            raise InputError(f"{login.name}: 'emails' needs [auth]; a password does not say who somebody is.")
        table.close()
        return str(login.absolute())
    if password:
        raise InputError(f"{login.name} has both a password and [auth]. Keep one of them.")
    if find_spec("authlib") is None:
        raise InputError(
            "A login by OpenID Connect needs a library that is not installed: pip install 'generative-audit[login]'."
        )
    lacks = [name for name in ("redirect_uri", "cookie_secret") if not auth.values.get(name)]
    if lacks:
        raise InputError(
            f"[auth] of {login.name} lacks {' and '.join(lacks)}. Beside them stand client_id, client_secret and server_metadata_url, "
            "as Streamlit's st.login reads them."
        )
    table.close()
    return str(login.absolute())


def names(host: str, allowed: tuple[str, ...]) -> list[str]:
    """Return the names that the dashboard answers to, for the address it listens on."""
    for name in allowed:
        if not name or any(sign in name for sign in "/:@*, "):
            raise InputError(
                f"--allow-host is '{name}'. Write the name alone, without scheme, port or *, such as audits.example.com."
            )
    if not _stands_for_all(host):
        return list(dict.fromkeys([*OWN_NAMES, host, *allowed]))
    if not allowed:
        raise InputError(
            f"--host {host} listens on every address of this machine, and its names are not known. Add those by which "
            "browsers reach it: --allow-host NAME."
        )
    return list(dict.fromkeys([*OWN_NAMES, *allowed]))


def _stands_for_all(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def browse(host: str, port: int, alive: Callable[[], bool]) -> None:
    """Open a browser once the server listens, unless it ends before."""
    while alive():
        with suppress(OSError), socket.create_connection((host, port), 1):
            webbrowser.open(f"http://{f'[{host}]' if ':' in host else host}:{port}")
            return
        time.sleep(_PAUSE)


def _serve(command: list[str], folder: Path, store: str, shown_at: tuple[str, int] | None) -> int:
    """Run Streamlit in the package's own folder: settings that lie in the current one are not ours to obey."""
    lines = VisibleLines()
    with subprocess.Popen(  # noqa: S603 - our own interpreter and file, no shell
        command,
        cwd=folder,
        # A page is not worth the minutes for which a run waits for a server that is away.
        env={
            "AUDIT_BLOB_PATIENCE": "5",
            **os.environ,
            "AUDIT_STORE": store,
            "AUDIT_SPECS": str(Path.cwd()),
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=partial(be_told_of_parents_death, signal.SIGKILL),
    ) as process:
        if shown_at:
            watched = (*shown_at, lambda: process.poll() is None)
            threading.Thread(target=browse, args=watched, daemon=True).start()
        try:
            assert process.stdout is not None
            while chunk := process.stdout.read1(_BLOCK):  # type: ignore[attr-defined]  # a BufferedReader
                for line in lines.of(chunk):
                    say(line, err=True)
        except KeyboardInterrupt:  # the way to end it
            return INTERRUPTED
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_FAREWELL)
            process.kill()  # it waits for browsers to leave first
    return process.returncode
