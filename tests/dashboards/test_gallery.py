"""Evidence to page through: what can be sorted, filtered and searched, against the plain way of doing it; thumbnails."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from audit.core.errors import InputError
from audit.core.rows import image_column, image_rows, text_rows
from audit.store import codec
from audit.store.location import resolve
from audit.store.runs import open_store
from dashboards import gallery
from dashboards.thumbnails import MOST_PIXELS, MOST_SIDE, thumbnail


@pytest.fixture(autouse=True)
def _fresh_memory() -> None:
    gallery.index.clear()
    gallery.drawn.clear()


def table(n: int = 500) -> Any:
    rng = np.random.default_rng(0)
    scores = [None if i % 50 == 0 else float(v) for i, v in enumerate(rng.standard_normal(n).round(2))]
    return text_rows(
        [f"Line {i} of {'BLUE' if i % 3 else 'red'} ink" for i in range(n)],
        score=scores,
        group=[("a", "b", None)[i % 3] for i in range(n)],
        number=[str(i) for i in range(n)],
    )


def test_an_index_tells_scores_groups_and_words_apart() -> None:
    held = gallery.index_of(table())
    assert held.rows == 500
    assert held.scores == ("score",)
    assert set(held.groups) == {"group"}  # a number for each row is no group
    assert set(held.groups["group"]) == {"a", "b", "none"}
    assert held.words == ("text", "group", "number")


@pytest.mark.parametrize("descending", [False, True])
def test_rows_are_chosen_as_a_plain_loop_would(descending: bool) -> None:
    rows = table()
    held = gallery.index_of(rows)
    found = gallery.chosen(
        held, search="blue", wanted={"group": ["b", "none"]}, by="score", descending=descending
    ).tolist()
    listed = rows.to_pylist()
    kept = [i for i, r in enumerate(listed) if "blue" in r["text"].lower() and r["group"] in ("b", None)]
    sign = -1 if descending else 1
    told = sorted(
        (i for i in kept if listed[i]["score"] is not None), key=lambda i: sign * listed[i]["score"]
    )
    assert found == [*told, *(i for i in kept if listed[i]["score"] is None)]
    assert len(told) > 100


def test_pages_hold_every_row_once() -> None:
    places = np.arange(53)
    pages = [gallery.page_of(places, number, 10) for number in range(1, 7)]
    assert np.concatenate(pages).tolist() == places.tolist()
    assert len(pages[-1]) == 3


def put(folder: Path, rows: Any) -> Any:
    with open_store(resolve(str(folder))) as store:
        return store.blobs.put(codec.encode(rows))


def test_a_page_draws_its_own_rows_and_keeps_no_pictures(tmp_path: Path) -> None:
    shade = np.arange(200, dtype=np.uint8)
    images = np.broadcast_to(shade[:, None, None, None], (200, 4, 4, 3)).copy()
    rows = image_rows(images, score=list(range(200))).append_column("twin", image_column(255 - images))
    digest = put(tmp_path, rows)
    address = resolve(str(tmp_path))
    held = gallery.index(address, digest)
    assert held is not None
    assert held.pictures == ("image", "twin")
    assert held.columns.column_names == ["score"]
    found = gallery.drawn(address, digest, held.pictures, (190, 7))
    shown = [
        [int(np.asarray(Image.open(io.BytesIO(data)))[0, 0, 0]) for _, data in one.pictures] for one in found
    ]
    assert shown == [[190, 65], [7, 248]]


def test_what_the_store_lost_is_said(tmp_path: Path) -> None:
    digest = put(tmp_path, table(3))
    address = resolve(str(tmp_path))
    with open_store(address) as store:
        store.blobs.delete(digest)
    assert gallery.index(address, digest) is None
    with pytest.raises(InputError, match="no longer holds"):
        gallery.drawn(address, digest, ("image",), (0,))


def test_odd_columns_are_left_out_and_do_no_harm() -> None:
    column = pa.array([[1, 2], [3]])
    rows = pa.table([pa.array(["x", "y"]), pa.array(["x", "y"]), column, pa.array([b"1", b"2"])], names=["a", "a", "list", "raw"])  # fmt: skip
    held = gallery.index_of(rows)
    assert held.columns.column_names == ["list"]
    assert gallery.chosen(held, search="x").tolist() == []


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (8, 8, 1), (32, 20, 3), (5, 7, 4), (9, 9, 2), (6, 6, 13), (2000, 3, 3)]
)
def test_a_thumbnail_has_a_bounded_size_whatever_the_picture(shape: tuple[int, int, int]) -> None:
    picture = Image.open(io.BytesIO(thumbnail(np.full(shape, 77, np.uint8))))
    longer = max(picture.size)
    assert longer <= MOST_SIDE
    assert longer >= min(96, max(shape[:2]))
    assert np.asarray(picture).min() == 77


def test_a_picture_of_too_many_pixels_is_refused() -> None:
    huge = np.broadcast_to(np.uint8(0), (MOST_PIXELS // 1000 + 1, 1000, 3))  # takes no memory
    with pytest.raises(ValueError, match="is not drawn"):
        thumbnail(huge)
