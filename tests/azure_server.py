"""Azurite, Microsoft's emulator of Azure's blob storage, from its npm package: no real Azure, and called an emulator."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from tests.s3_server import MissingServerError, free_ports

ACCOUNT = "devstoreaccount1"
SECRET = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key that Azurite documents for its one account."""
CONTAINER = "audits"
_VERSION = "2021-12-02"


@dataclass
class AzureServer:
    """Azurite's blob service, bound to this machine. ``AZURITE`` names the program where ``azurite-blob`` is not on the path."""

    folder: Path
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, seconds: float = 60.0) -> None:
        """Start the server and make the container. Returns once it takes objects."""
        program = shutil.which(os.environ.get("AZURITE") or "azurite-blob")
        if program is None or shutil.which("node") is None:
            raise MissingServerError(
                "Azurite is not installed: npm install -g azurite, or name its azurite-blob in AZURITE"
            )
        (self.port,) = free_ports(1)
        command = [
            program,
            "--silent",
            "--skipApiVersionCheck",
            "--disableTelemetry",
            "--location",
            self.folder,
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--blobPort", str(self.port)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + seconds
        while not self._made():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "log").read_text(errors="replace")[-500:]
                self.stop()
                raise MissingServerError(f"Azurite does not come up: {said}")
            time.sleep(0.1)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """Return the variables that lead to the server."""
        return {
            "AZURE_ENDPOINT": f"{endpoint or self.endpoint}/{ACCOUNT}",
            "AZURE_ALLOW_HTTP": "true",
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": SECRET,
        }

    def _made(self) -> bool:
        """Make the container, signed as Azure's documentation says (Shared Key); say whether it is there."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
        lines = ["PUT", *[""] * 11, *(f"{name}:{value}" for name, value in headers.items())]
        lines += [f"/{ACCOUNT}/{ACCOUNT}/{CONTAINER}", "restype:container"]
        signed = hmac.digest(base64.b64decode(SECRET), "\n".join(lines).encode(), hashlib.sha256)
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(signed).decode()}"
        place = f"{self.endpoint}/{ACCOUNT}/{CONTAINER}?restype=container"
        try:
            urllib.request.urlopen(
                urllib.request.Request(place, method="PUT", headers=headers), timeout=5
            ).close()
        except urllib.error.HTTPError as error:
            if error.code == 409:
                return True
            raise
        except OSError:
            return False
        return True
