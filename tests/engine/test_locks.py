"""A plan that was registered: the same run departs in nothing, another in what differs, and a registration is not changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audit.core.errors import InputError
from audit.engine.locks import deviations, read_lock


@pytest.fixture
def locked(cli: Any, letters_spec: Any, tmp_path: Path) -> tuple[Path, Path]:
    spec, lock = letters_spec(), tmp_path / "before.json"
    said = cli("plan", spec, "--store", tmp_path / "store", "--lock", lock)
    assert said.code == 0, said.err
    return spec, lock


def recorded(cli: Any, tmp_path: Path, *arguments: Any) -> Any:
    said = cli("run", *arguments, "--store", tmp_path / "store", "--format", "json")
    return json.loads(said.out)["settings"]["lock"]


def test_the_registered_run_departs_in_nothing(cli: Any, locked: tuple[Path, Path], tmp_path: Path) -> None:
    spec, lock = locked
    found = recorded(cli, tmp_path, spec, "--lock", lock)
    assert found["deviations"] == []
    assert found["digest"] == read_lock(lock)["digest"]
    page = cli("report", "--store", tmp_path / "store", "--format", "markdown").out
    assert "no deviation" in page


def test_every_deviation_is_said(cli: Any, locked: tuple[Path, Path], tmp_path: Path) -> None:
    spec, lock = locked
    text = spec.read_text().replace("at_most = 0.3", "at_most = 0.9")
    spec.write_text(text)
    found = recorded(cli, tmp_path, spec, "--samples", "300", "--lock", lock)["deviations"]
    assert any("the criteria of the policy" in said for said in found)
    assert any("the setting 'samples'" in said and "400" in said and "300" in said for said in found)
    assert not any("weights" in said or "evaluator" in said for said in found)
    shown = cli("show", "--store", tmp_path / "store")
    assert "deviates" in shown.out
    assert (
        "departs from what was registered"
        in cli("report", "--store", tmp_path / "store", "--format", "markdown").out
    )


def test_a_registration_is_not_changed_afterwards(
    cli: Any, locked: tuple[Path, Path], tmp_path: Path
) -> None:
    spec, lock = locked
    before = lock.read_bytes()
    said = cli("plan", spec, "--store", tmp_path / "store", "--lock", lock)
    assert said.code == 2
    assert "is there already" in said.err
    assert lock.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"lock": 2, "says": {}, "written": "x"}', '{"lock": 1, "says": 3, "written": "x"}'],
)
def test_what_is_no_registration_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "lock.json"
    path.write_text(content)
    with pytest.raises(InputError, match="no pre-registration"):
        read_lock(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_lock(tmp_path / "absent.json")


def test_evaluators_that_come_and_go_are_deviations() -> None:
    found = deviations({"a": 1, "b": 2}, {"b": 3, "c": None})
    assert found == [
        "a was registered and is not there",
        "b: 2 was registered, it is 3",
        "c was not registered",
    ]
