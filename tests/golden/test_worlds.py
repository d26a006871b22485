"""A world's rows do not change unless its version does: models were trained on them, and their members are named by it.

When the same options give other rows, raise ``VERSION`` in the world's ``world.py``, record the digests here anew, and
train the included models of that world again.
"""

from __future__ import annotations

from typing import Any

import pytest

from audit.core.identity import digest_of
from audit.registry import catalogue
from audit.store import codec

GOLDEN: dict[tuple[str, int], list[tuple[dict[str, Any], dict[str, str]]]] = {
    ("portraits", 1): [
        (
            {"train": 500, "holdout": 300, "skew": 1.0, "duplicates": False, "seed": 3},
            {
                "train": "17b190f05a08fa7ba6c214b321d1ff35951049a6",
                "holdout": "650bf05e8155674cec1894d5628d427969b3fd5a",
            },
        ),
        (
            {},
            {
                "train": "813d027b118f0f0dc1b23d147a5a8c45da27f285",
                "holdout": "a2158ee012469ad3c405d9c0dca0ea069f50dd6c",
            },
        ),
    ],
    ("biographies", 1): [
        (
            {"train": 500, "holdout": 300, "skew": 1.0, "canaries": 2, "seed": 3},
            {
                "train": "9db9f74884c22843cc1174b8d9c96569cad30d94",
                "holdout": "67d6a2446eaa8725992b4c70a9939bb212004bdd",
                "pronouns": "f08940759d74f7221fd811435c277ae86c06e39e",
                "canaries": "61853bb0076f105f4e72d5593aff52aa37bce7d3",
            },
        ),
        (
            {},
            {
                "train": "b134f688840c1bd793afa2c2cfd56ff25542cc19",
                "holdout": "c367596f902eae7e5f7e3c1311a16e044becfcb8",
                "pronouns": "f3af0f97f1851554f5e0c7041d31d0d871047756",
                "canaries": "7c8e09bd42a7360337169018c2b12ba95f975ed3",
            },
        ),
    ],
}


@pytest.mark.parametrize("name", ["portraits", "biographies"])
def test_a_version_of_a_world_always_has_the_same_rows(name: str) -> None:
    import importlib

    version = importlib.import_module(f"audit.data.worlds.{name}.world").VERSION
    loader = catalogue("datasets").load(name)
    for options, digests in GOLDEN[name, version]:
        ref = loader.refer(options)
        assert [split for split, _ in loader.describe(ref).splits] == list(digests)
        for split, digest in digests.items():
            assert digest_of(codec.encode(loader.load(ref, split))) == digest, f"{options}, split {split}"
