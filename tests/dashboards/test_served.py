"""The dashboard as ``audit dashboard`` serves it: to whom it answers, and which settings it obeys."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import dataclasses
import gc
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import dashboards
from audit.cli.dashboard import browse, names
from audit.core.errors import InputError
from audit.core.records import to_plain
from audit.store.location import resolve
from audit.store.runs import open_store
from dashboards import served as served_module

EVIL = "evil.example"
SETTINGS = """
[server]
address = "0.0.0.0"
port = 1
allowedHosts = ["*"]
corsAllowedOrigins = ["http://evil.example"]
enableCORS = false
enableXsrfProtection = false
enableStaticServing = true
baseUrlPath = "elsewhere"
[client]
toolbarMode = "developer"
"""


@pytest.fixture(scope="module")
def served(samples: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a dashboard that was started in a folder with settings and modules that are not ours."""
    tmp_path = tmp_path_factory.mktemp("served")
    current, store = tmp_path / "current", tmp_path / "audits"
    with open_store(resolve(str(store))) as opened:
        record = dataclasses.replace(samples.build().record, name="a run nobody else may read")
        run = opened.begin("plan", record.name, to_plain(dataclasses.replace(record, finished=None)))
        opened.finish(run, dataclasses.replace(record, run=run))
    (current / ".streamlit").mkdir(parents=True)
    (current / ".streamlit" / "config.toml").write_text(SETTINGS)
    for module in ("streamlit", "random", "altair", "dashboards"):
        (current / f"{module}.py").write_text(
            "raise SystemExit('a module of the current folder was imported')"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    audit = Path(sys.executable).with_name("audit")
    command = [
        str(audit),
        "dashboard",
        "--store",
        os.path.relpath(store, current),
        f"--port={port}",
        "--no-browser",
    ]
    process = subprocess.Popen(
        command,
        cwd=current,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        _wait_for(port, process)
        yield port
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.communicate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0].decode()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health"):
            return
        time.sleep(0.1)
    raise AssertionError("it does not answer")


def _read(port: int, host: str, origin: str | None) -> bytes:
    """Open the socket over which the pages come, as a browser would that believes ``host`` is here; return what comes."""
    import websockets
    from streamlit.proto.BackMsg_pb2 import BackMsg

    async def read() -> bytes:
        came = b""
        async with websockets.connect(
            f"ws://{host}:{port}/_stcore/stream",
            host="127.0.0.1",
            port=port,
            origin=origin,
            subprotocols=["streamlit"],
            max_size=None,
        ) as connection:
            message = BackMsg()
            message.rerun_script.query_string = ""
            await connection.send(message.SerializeToString())
            with contextlib.suppress(TimeoutError):
                while b"nobody else may read" not in came:
                    came += await asyncio.wait_for(connection.recv(), 30)
        return came

    return asyncio.run(read())


def test_it_answers_to_its_own_name_and_to_no_other(served: int) -> None:
    from websockets.exceptions import InvalidStatus

    for host in ("127.0.0.1", "localhost"):
        assert b"nobody else may read" in _read(served, host, f"http://{host}:{served}")
    for host, origin in (
        (EVIL, f"http://{EVIL}:{served}"),  # a name that was made to lead here
        (EVIL, None),
        ("127.0.0.1", f"http://{EVIL}"),  # a page of another site
        ("localhost.evil.example", "http://localhost.evil.example"),
        ("127.0.0.1.evil.example", None),
    ):
        with pytest.raises(InvalidStatus) as raised:
            _read(served, host, origin)
        assert raised.value.response.status_code == 403, (host, origin)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "LOCALHOST.evil.example",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost#.evil.example",
        "evil.example/localhost",
        "localhost?x",
        "localhost:99999",
        "localhost:x",
        "127.0.0.2",
        "0.0.0.0",
        "2130706433",
        "127.1",
        "[::ffff:127.0.0.1]",
        "localhost\r\nHost: evil.example",
        "evil.example\r\nHost: localhost",
    ],
)
def test_no_spelling_of_a_host_gets_around_it(served: int, host: str) -> None:
    request = (
        f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: streamlit\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served), 30) as connection:
        connection.sendall(request.encode())
        answer = connection.recv(4096).split(b"\r\n")[0]
    assert b" 101 " not in answer
    assert answer.split()[1] in (b"400", b"403"), answer


def test_what_needs_no_socket_tells_another_name_nothing(served: int) -> None:
    for path in (
        "",
        "/run",
        "/_stcore/health",
        "/_stcore/host-config",
        "/media/x",
        "/app/static/x",
        "/elsewhere",
    ):
        request = urllib.request.Request(
            f"http://127.0.0.1:{served}{path}", headers={"Host": EVIL, "Origin": f"http://{EVIL}"}
        )
        try:
            with urllib.request.urlopen(request) as answer:
                body, headers = answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            body, headers = error.read(), error.headers
        assert b"nobody else" not in body
        assert headers.get("Access-Control-Allow-Origin") not in ("*", f"http://{EVIL}"), path


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_it_is_served_with_uvloop(served: int) -> None:
    """A first visit asks for 150 files; on asyncio, as Streamlit uses it, each waits 40 ms for the one before to be acknowledged."""
    servers = [
        place
        for place in Path("/proc").glob("[0-9]*")
        if str(served).encode() in _bytes_of(place / "cmdline")
    ]
    assert any(b"uvloop" in _bytes_of(place / "maps") for place in servers)


def _bytes_of(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


def test_it_listens_on_this_machine_alone(served: int) -> None:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = [line.split()[1] for line in lines if line.split()[3] == "0A"]
    assert [address for address in listening if address.endswith(f":{served:04X}")] == [
        f"0100007F:{served:04X}"
    ]


@pytest.mark.parametrize(
    ("host", "allowed", "expected"),
    [
        ("127.0.0.1", (), ["localhost", "127.0.0.1", "::1"]),
        ("10.0.0.7", (), ["localhost", "127.0.0.1", "::1", "10.0.0.7"]),
        ("0.0.0.0", ("audits.example.com",), ["localhost", "127.0.0.1", "::1", "audits.example.com"]),
        ("::", ("a", "b"), ["localhost", "127.0.0.1", "::1", "a", "b"]),
    ],
)
def test_the_names_it_knows(host: str, allowed: tuple[str, ...], expected: list[str]) -> None:
    assert names(host, allowed) == expected


@pytest.mark.parametrize("allowed", ["*", "*.example.com", "http://a", "a:80", "", "a,b"])
def test_names_that_are_none(allowed: str) -> None:
    with pytest.raises(InputError, match="Write the name alone"):
        names("127.0.0.1", (allowed,))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0:0:0:0:0:0:0:0", ""])
def test_an_address_that_stands_for_all_needs_names(host: str) -> None:
    with pytest.raises(InputError, match="--allow-host NAME"):
        names(host, ())


def test_a_browser_is_opened_once_the_server_listens_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("audit.cli.dashboard._PAUSE", 0.0)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        turns = iter([True, True, False])
        browse("127.0.0.1", port, lambda: next(turns))  # it ends before it listens
        assert opened == []
        server.listen()
        browse("127.0.0.1", port, lambda: True)
    assert opened == [f"http://127.0.0.1:{port}"]


def test_no_page_shows_a_sentence_of_its_source() -> None:
    """Streamlit writes bare strings of a page's source onto the page, unless it is told not to."""
    for view in sorted((Path(dashboards.__file__).parent / "views").glob("*.py")):
        after = ast.parse(view.read_text(encoding="utf-8")).body[1:]
        bare = [s.value for s in after if isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)]
        assert not bare, view.name


def test_what_is_loaded_first_is_not_looked_through_after_each_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit collects garbage after every page. All sessions wait for that, a tenth of a second each time."""
    frozen: list[int] = []
    monkeypatch.setattr(sys, "argv", ["served"])
    monkeypatch.setattr("streamlit.web.cli.main", lambda: frozen.append(gc.get_freeze_count()))
    before = gc.get_freeze_count()
    try:
        served_module.main()
    finally:
        gc.unfreeze()
    assert frozen[0] - before > 10_000
