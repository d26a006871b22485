"""What an audit can be started of: names from lists that this machine has, and nothing else that a browser sends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.config.limits import MOST_SAMPLES
from audit.config.ready import policy_names
from audit.core.errors import InputError, nearest
from audit.registry import catalogue
from audit.store.location import VARIABLE, StoreAddress
from reports.redact import visible

SPECS = "AUDIT_SPECS"
"""The variable that names the folder whose specs may be started: the one that ``audit dashboard`` was started in."""
USUAL_SAMPLES = 2_000
_MOST_SPECS = 200
_MOST_BYTES = 1_000_000
_MOST_NAME = 120
_PLAN_SECONDS = 300.0

PROGRAM = """\
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from audit.cli.main import main
main()
"""
"""The command ``audit``. A process that was started in the background would not hear Ctrl-C's signal otherwise."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to audit: an included model, or a spec by the name of its file; empty texts leave the rest to the card or the spec.

    ``samples`` of None leaves their number to the spec.
    """

    model: str = ""
    spec: str = ""
    data: str = ""
    policy: str = ""
    samples: int | None = None
    name: str = ""

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name or self.model or self.spec


def models() -> tuple[str, ...]:
    """Return the names of the included models. Imports none of them."""
    return tuple(catalogue("included").names())


def datasets() -> tuple[str, ...]:
    """Return the names of the datasets."""
    return tuple(catalogue("datasets").names())


def policies() -> tuple[str, ...]:
    """Return the names of the policies that ship with the package."""
    return policy_names()


def specs() -> dict[str, Path]:
    """Return the specs that may be started, by the name of their file: TOML files with [model] in one folder."""
    folder = os.environ.get(SPECS)
    if not folder or not Path(folder).is_dir():
        return {}
    found = sorted(path for path in Path(folder).glob("*.toml") if _is_spec(path))
    return {path.name: path for path in found[:_MOST_SPECS]}


def _is_spec(path: Path) -> bool:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return False
        return isinstance(tomllib.loads(path.read_text(encoding="utf-8")).get("model"), dict)
    except (OSError, ValueError, RecursionError):
        return False


def checked(choice: Choice) -> Choice:
    """Return the choice. Raise InputError for anything that is not offered: a browser can send what it likes."""
    for said, offered, noun in (
        (choice.model, models(), "included model"),
        (choice.spec, tuple(specs()), "spec in the folder of this dashboard"),
        (choice.data, datasets(), "dataset"),
        (choice.policy, policies(), "policy"),
    ):
        if said and said not in offered:
            raise InputError(
                f"There is no {noun} '{visible(said)[:200]}' here any more. {nearest(said, offered)}"
            )
    if bool(choice.model) == bool(choice.spec):
        raise InputError("Choose an included model or a spec, one of them.")
    if choice.spec and (choice.data or choice.policy or choice.name):
        raise InputError("A spec says itself which data and which policy: change them there.")
    if choice.samples is not None and not 1 <= choice.samples <= MOST_SAMPLES:
        raise InputError(f"The number of samples is {choice.samples}. Accepted: 1 to {MOST_SAMPLES:,}.")
    return choice


def spec_text(choice: Choice) -> str:
    """Return the spec of an audit of an included model, in TOML."""
    name = "".join(c for c in choice.name if c.isprintable()).strip()[:_MOST_NAME] or choice.model
    lines = [f"name = {_quoted(name)}", f"samples = {choice.samples or USUAL_SAMPLES}"]
    for table, use in (("model", choice.model), ("data", choice.data), ("policy", choice.policy)):
        lines += ["", f"[{table}]", f"use = {_quoted(use)}"] if use else []
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return printable text as a string of TOML, which spells it as JSON does."""
    return json.dumps(text.encode("utf-8", "replace").decode("utf-8"), ensure_ascii=False)


def placed(choice: Choice, folder: Path) -> tuple[Path, list[str]]:
    """Return the spec file of a choice, written into ``folder`` where there is none yet, and the options beside it."""
    if choice.spec:
        path = specs().get(choice.spec)
        if path is None:
            raise InputError(
                f"The spec '{visible(choice.spec)}' is not in the folder of this dashboard any more."
            )
        return path.absolute(), [] if choice.samples is None else [f"--samples={choice.samples}"]
    path = folder / "spec.toml"
    if not path.exists():
        path.write_text(spec_text(choice), encoding="utf-8")
    return path, []


def planned(address: StoreAddress, choice: Choice) -> Mapping[str, Any]:
    """Return what ``audit plan`` says of a choice, asked in a process of its own. Raise InputError with its sentence."""
    with tempfile.TemporaryDirectory() as folder:
        spec, options = placed(checked(choice), Path(folder))
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter, no shell
                [sys.executable, "-P", "-c", PROGRAM, "plan", *options, "--format=json", "--", str(spec)],
                cwd=folder,
                env=environment(address),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PLAN_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise InputError(
                f"The plan took more than {_PLAN_SECONDS:.0f} seconds; try 'audit plan'."
            ) from None
    if done.returncode:
        raise InputError(last_words(done.stderr))
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def environment(address: StoreAddress) -> dict[str, str]:
    """Return the environment of a command on this store: an address may hold a password, which other users would read in a command line."""
    return {**os.environ, VARIABLE: address.spelled, "PYTHONUNBUFFERED": "1"}


def last_words(said: bytes) -> str:
    """Return the sentence that a command ended with."""
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    named = [line.removeprefix("audit: ") for line in lines if line.startswith("audit: ")]
    return (named or lines or ["It said nothing."])[-1]
