"""The built wheel holds everything that it needs, and runs from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEEDED = (
    "audit/demo.toml",
    "audit/policies/default.toml",
    "audit/policies/restoration.toml",
    "audit/schema/record.json",
    "audit/features/weights/NOTICE.md",
    "audit/features/weights/efficientnet-lite0.safetensors",
    "audit/included/weights/digits-vae.safetensors",
    "audit/py.typed",
    "dashboards/app.py",
    "reports/html.py",
)


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode in (0, 3), f"{command}: {done.stdout}\n{done.stderr}"
    return done  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_module_and_data_file_of_the_sources(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    tracked = run("git", "-C", ROOT, "ls-files", "audit", "reports", "dashboards").stdout.split()
    assert set(tracked) <= held
    assert set(NEEDED) <= held


def test_it_runs_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", target, wheel)
    environment = {**os.environ, "PYTHONPATH": str(target), "AUDIT_STORE": str(tmp_path / "store")}
    code = "import audit, reports, dashboards; print(audit.__file__, reports.__file__, dashboards.__file__)"
    for path in run(sys.executable, "-c", code, cwd=tmp_path, env=environment).stdout.split():
        assert Path(path).is_relative_to(target)
    said = run(sys.executable, "-m", "audit", "list", "models", cwd=tmp_path, env=environment)
    assert "digits-vae" in said.stdout


@pytest.mark.slow
def test_it_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    audit = tmp_path / "venv" / "bin" / "audit"
    run(audit, "demo", "--store", tmp_path / "store", cwd=tmp_path, env=environment)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    installed = run(python, "-m", "pip", "list", "--format", "freeze").stdout
    assert "torchvision" not in installed
