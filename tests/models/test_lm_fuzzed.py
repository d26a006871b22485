"""Files with random damage are read or refused in words; nothing else is raised, whatever the damage."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from audit.models.lm.files import check
from tests.formats.test_fuzz import survives

some_or_all = pytest.mark.parametrize(
    "times", [pytest.param(8, id="some"), pytest.param(1500, id="all", marks=pytest.mark.slow)]
)
ODD = [
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    1e308,
    "",
    "x",
    "../x",
    [],
    [3],
    {},
    {"a": {"b": [None]}},
    [[]],
    "\u0000",
]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Change, cut, double or insert a few bytes, most of them near the beginning, where headers are."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = min(int(rng.expovariate(1 / 400)), len(out) - 1)
        match rng.randrange(5):
            case 0:
                out[at] = rng.randrange(256)
            case 1:
                out[at : at + 8] = rng.choice((0, 1, 2**32, 2**63, 2**64 - 1)).to_bytes(8, "little")
            case 2:
                del out[at : at + rng.randint(1, 40)]
            case 3:
                out[at:at] = out[at : at + rng.randint(1, 40)]
            case 4:
                out = out[: rng.randint(1, len(out))]
    return bytes(out) or b"x"


def changed(value: Any, rng: random.Random) -> Any:
    """Replace something somewhere in a JSON value by something odd."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        return {**value, key: changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], changed(value[place], rng), *value[place + 1 :]]
    return rng.choice(ODD)


FILES = [
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
]


@some_or_all
@pytest.mark.parametrize("name", FILES)
def test_damaged_folders(tiny_lm: Path, tmp_path: Path, name: str, times: int) -> None:
    rng = random.Random(name)
    folder = Path(shutil.copytree(tiny_lm, tmp_path / "model"))
    whole = (folder / name).read_bytes()
    refused = 0
    for _ in range(times):
        odd = (
            json.dumps(changed(json.loads(whole), rng)).encode()
            if name.endswith(".json") and rng.random() < 0.7
            else None
        )
        (folder / name).write_bytes(odd or damaged(whole, rng))
        refused += not survives(check, folder)
    assert refused > 0.07 * times or times < 100


@some_or_all
def test_damaged_gguf_files(tiny_lm: Path, tmp_path: Path, times: int) -> None:
    from tests.models.test_lm_gguf import write_gguf

    rng = random.Random("gguf")
    write_gguf(tiny_lm, tmp_path / "m.gguf")
    whole = (tmp_path / "m.gguf").read_bytes()
    for _ in range(3 * times):
        (tmp_path / "m.gguf").write_bytes(damaged(whole, rng))
        survives(check, tmp_path / "m.gguf")
