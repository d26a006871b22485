"""What tests of the whole share: the command line in this process, and the third-party plugin package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest

# Before anything imports torch: two test processes with two threads each wait for one another on two cores, and what
# takes seconds takes minutes. Recipes are made with one thread anyway.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Hundreds of processes are started: each would compile all sources anew where the environment forbids to keep what is compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from hypothesis import HealthCheck, settings

from audit import registry
from audit.store.shared import blobs_at
from tests.azure_server import CONTAINER, AzureServer
from tests.s3_server import BUCKET, MissingServerError, S3Server

settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")  # no test fails on a clock, and a failure is the same for everybody

Server = TypeVar("Server", S3Server, AzureServer)
PLUGIN_PACKAGE = Path(__file__).parent / "plugin_package"


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run ``audit`` in this process."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*args: object) -> Said:
        from audit.cli.main import _main

        monkeypatch.setattr(sys, "argv", ["audit", *map(str, args)])
        capsys.readouterr()
        code = _main()
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return call


@pytest.fixture(scope="session")
def plugin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the third-party package installed in it, as pip would install it."""
    folder = tmp_path_factory.mktemp("plugins")
    source = folder / "source"
    target = folder / "installed"
    subprocess.run(["cp", "-r", str(PLUGIN_PACKAGE), str(source)], check=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return target


@pytest.fixture
def letters(plugin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The third-party package, importable here and in processes started from here."""
    monkeypatch.syspath_prepend(str(plugin_folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(plugin_folder), os.environ.get("PYTHONPATH", "")]))
    registry.catalogue.cache_clear()
    yield plugin_folder
    registry.catalogue.cache_clear()


LETTERS_SPEC = """
name = "letters"
samples = {samples}
shard_size = {shard_size}
[model]
adapter = "letters"
mood = "{mood}"
[data]
use = "letters"
[[evaluators]]
name = "quality.vowels"
[[evaluators]]
name = "quality.familiar"
[policy]
name = "test"
[[policy.criteria]]
metric = "quality.vowels"
at_least = 0.1
at_most = 0.3
why = "5 of 26 letters are vowels"
[run]
executor = "{executor}"
workers = {workers}
time_limit = {time_limit}
"""


@pytest.fixture
def letters_spec(letters: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a spec for the letters model."""

    def write(
        mood: str = "good",
        *,
        samples: int = 400,
        shard_size: int = 100,
        executor: str = "inline",
        workers: int = 1,
        time_limit: float = 60.0,
        evaluators: tuple[str, ...] = ("quality.vowels",),
    ) -> Path:
        text = LETTERS_SPEC.format(
            mood=mood,
            samples=samples,
            shard_size=shard_size,
            executor=executor,
            workers=workers,
            time_limit=time_limit,
        )
        if "quality.familiar" not in evaluators:
            text = text.replace('[[evaluators]]\nname = "quality.familiar"\n', "")
        path = tmp_path / f"{mood}.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a random two-layer Llama of 300 words and a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny_lm")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|begin|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(
        ["the nurse said that she would be late", "the driver said that he slept"], trainer
    )
    wrapped = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<|begin|>", eos_token="<|end|>")
    wrapped.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(wrapped),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        tie_word_embeddings=True,
        bos_token_id=wrapped.bos_token_id,
        eos_token_id=wrapped.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a server that lives as long as the tests; skipped where it cannot be started."""
    pytest.importorskip("psycopg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where its lock lies without XDG_RUNTIME_DIR is no concern here
        pgserver = pytest.importorskip("pgserver")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: the server's socket lies in it
    try:
        server = pgserver.get_server(folder / "data", cleanup_mode="delete")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL does not start here: {error}")
    _without_care(server.get_uri())
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def _without_care(server: str) -> None:
    """Spare the disk: what the server holds need not survive the tests."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture
def new_database(postgresql: str) -> Callable[[], str]:
    """Make an empty database on the server and return its address."""

    def make() -> str:
        return _new_database(postgresql)

    return make


def _new_database(server: str) -> str:
    import psycopg

    name = f"audit_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real server that speaks S3; skipped on a machine without one. Tests that use it belong to the group ``s3``."""
    pytest.importorskip("obstore")
    yield from _served(S3Server)


@pytest.fixture
def new_bucket(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., str]]:
    """Return the address of an empty folder in a bucket on the server, with the variables set that lead there."""
    _lead_to(s3_server.environment(), tmp_path, monkeypatch)
    yield lambda: f"s3://{BUCKET}/{uuid4().hex[:12]}"
    blobs_at.cache_clear()


@pytest.fixture(scope="session")
def azure_server() -> Iterator[AzureServer]:
    """Azurite, an emulator of Azure; skipped on a machine without it."""
    pytest.importorskip("obstore")
    yield from _served(AzureServer)


@pytest.fixture
def new_container(
    azure_server: AzureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., str]]:
    """The same in a container of Azurite."""
    _lead_to(azure_server.environment(), tmp_path, monkeypatch)
    yield lambda: f"az://{CONTAINER}/{uuid4().hex[:12]}"
    blobs_at.cache_clear()


def _served(kind: Callable[[Path], Server]) -> Iterator[Server]:
    """Start a server in a folder of its own; skip where it is not installed."""
    folder = Path(tempfile.mkdtemp(prefix="s"))  # short: the server's sockets lie in it
    server = kind(folder)
    try:
        server.start()
    except MissingServerError as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(str(error))
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def _lead_to(variables: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_")):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AUDIT_BLOB_CACHE", str(folder / "cache"))
    monkeypatch.setenv("AUDIT_BLOB_PATIENCE", "20")
    blobs_at.cache_clear()
