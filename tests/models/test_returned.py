"""What users' models return: every usual form gives the same pixels, and every other is told what would be right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from audit.core.capabilities import implemented
from audit.core.rows import image_rows, images_of, text_rows, texts_of
from audit.models.returned import Form, adapted, rows_of

LEVELS = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype(np.uint8)
UNIT = LEVELS / 255.0
IMAGE = Form("image")


@pytest.mark.parametrize(
    ("found", "form"),
    [
        (image_rows(LEVELS), IMAGE),
        (LEVELS, IMAGE),
        (LEVELS.transpose(0, 3, 1, 2), IMAGE),
        (torch.from_numpy(LEVELS), IMAGE),
        (torch.from_numpy(LEVELS).permute(0, 3, 1, 2), IMAGE),
        (list(LEVELS), IMAGE),
        ([torch.from_numpy(one) for one in LEVELS], IMAGE),
        ([Image.fromarray(one) for one in LEVELS], IMAGE),
        (LEVELS.astype(np.int64), IMAGE),
        (UNIT, Form("image", "0..1")),
        (UNIT.astype(np.float32).transpose(0, 3, 1, 2), Form("image", "0..1")),
        (torch.from_numpy(UNIT).float().requires_grad_(), Form("image", "0..1")),
        (2 * UNIT - 1, Form("image", "-1..1")),
        (np.ma.masked_array(LEVELS), IMAGE),
        (torch.from_numpy(LEVELS[::-1].copy()).flip(0), IMAGE),
        (LEVELS.astype(">f4"), Form("image", "0..255")),
        (LEVELS.astype(np.float16), Form("image", "0..255")),
        (np.where(LEVELS == 255, 1.09, UNIT), Form("image", "0..1")),
    ],
)
def test_every_usual_form_is_the_same_pixels(found: Any, form: Form) -> None:
    np.testing.assert_array_equal(images_of(rows_of(found, 2, form)), LEVELS)


def test_half_precision_is_rounded_to_the_nearest_level() -> None:
    exact = np.linspace(0, 1, 256).reshape(1, 16, 16, 1)
    rows = rows_of(torch.from_numpy(exact).bfloat16(), 1, Form("image", "0..1"))
    assert np.abs(images_of(rows).ravel().astype(int) - np.arange(256)).max() <= 1
    eighth = torch.tensor([0.0, 0.5, 1.0, 0.25]).reshape(1, 2, 2, 1).to(torch.float8_e4m3fn)
    assert images_of(rows_of(eighth, 1, Form("image", "0..1"))).ravel().tolist() == [0, 128, 255, 64]
    grey = rows_of(LEVELS[..., 0], 2, IMAGE)
    np.testing.assert_array_equal(images_of(grey), LEVELS[..., :1])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_layout_that_shapes_leave_open_is_asked_for(layout: str) -> None:
    square = np.arange(2 * 3 * 5 * 3, dtype=np.uint8).reshape(2, 3, 5, 3)
    with pytest.raises(ValueError, match="cannot be told which axis holds the channels: declare layout"):
        rows_of(square, 2, IMAGE)
    expected = square if layout == "NHWC" else square.transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(images_of(rows_of(square, 2, Form("image", None, layout))), expected)


@pytest.mark.parametrize(
    ("found", "form", "said"),
    [
        (UNIT, IMAGE, r"float64 from 0 to 1, and nothing says .*pixel_range"),
        (2 * UNIT - 1, Form("image", "0..1"), 'pixel_range is "0..1": correct it'),
        (UNIT, Form("image", "0..255"), 'pixel_range is "0..255": correct it'),
        (255 * UNIT, Form("image", "-1..1"), 'pixel_range is "-1..1": correct it'),
        (UNIT * np.nan, Form("image", "0..1"), "NaN or infinite"),
        (LEVELS.astype(np.int64) + 1, IMAGE, "whole numbers from .* to 256; pixels are 0 to 255"),
        (LEVELS[0, 0], IMAGE, "images are"),
        (LEVELS.reshape(2, 6, 5, 2), IMAGE, "no axis has 1 or 3 channels"),
        (LEVELS[:1], IMAGE, "asked for 2 and returned 1"),
        (LEVELS > 4, IMAGE, "type bool; for images it must return an array or a tensor"),
        (torch.from_numpy(LEVELS[..., 0]).float().to_sparse(), IMAGE, r"type torch\.float32; for images"),
        (torch.empty(2, 4, 4, 1, device="meta"), IMAGE, r"Tensor of shape \(2, 4, 4, 1\) .*; for images"),
        (np.ma.masked_array(LEVELS, mask=LEVELS > 9), IMAGE, "returned MaskedArray of shape .*; for images"),
        (LEVELS[:, :0], IMAGE, r"shape \(2, 0, .*which has no pixels"),
        (None, IMAGE, "returned NoneType; for images it must return"),
        (["a", "b"], IMAGE, "a list of 2, the first str; for images"),
        ([LEVELS[0], LEVELS[1][:3]], IMAGE, "a list of 2"),
        (pa.table({"pixels": [1, 2]}), IMAGE, "columns pixels; for image it needs the column 'image'"),
        (pa.table({"image": [b"x", b"y"]}), IMAGE, "column 'image' holds binary; it must hold pixels"),
        (pa.table({"image": [[1, 2], [3, 4]]}), IMAGE, "it must hold pixels"),
        (LEVELS, Form("text"), "for text it must return a list of strings"),
        (["a", 1], Form("text"), "for text it must return a list of strings"),
        ([1, 2], Form("table"), r"for table it must return a pyarrow\.Table"),
    ],
)
def test_what_cannot_be_read_is_told_what_would_be_right(found: Any, form: Form, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rows_of(found, 2, form)


def test_texts_keep_the_prompts_they_continue() -> None:
    prompts = text_rows(["one", "two"])
    rows = rows_of(["a", "b"], 2, Form("text"), condition=prompts)
    assert (texts_of(rows), texts_of(rows, "prefix")) == (["a", "b"], ["one", "two"])
    assert rows_of(np.array(["a", "b"]), 2, Form("text")).column_names == ["text"]


class Floats:
    """A model of a user who has never heard of rows."""

    def __init__(self) -> None:
        self.batch_scale = 1.0

    def sample(self, n: int, rng: Any, condition: Any = None) -> Any:
        return torch.full((n, 3, 4, 4), self.batch_scale)

    def reconstruct(self, rows: Any, rng: Any) -> Any:
        return images_of(rows) / 255.0

    def log_likelihood(self, rows: Any) -> Any:
        return torch.arange(rows.num_rows)

    def encode(self, rows: Any) -> Any:
        return torch.ones(rows.num_rows, 2, requires_grad=True)


def test_an_adapted_model_offers_the_same_and_is_still_the_users() -> None:
    model = adapted(Floats(), Form("image", "0..1"))
    assert implemented(type(model)) == implemented(Floats)
    assert (images_of(model.sample(2, None)) == 255).all()
    model.batch_scale = 0.0
    assert (images_of(model.sample(n=2, rng=None, condition=None)) == 0).all()
    rows = image_rows(LEVELS)
    np.testing.assert_array_equal(images_of(model.reconstruct(rows, None)), LEVELS)
    assert model.log_likelihood(rows).dtype == model.encode(rows).dtype == np.float64
    assert not hasattr(model, "sample_range")
    with pytest.raises(AttributeError):
        model.nothing  # noqa: B018


def test_the_bytes_of_image_files_are_kept_beside_their_pixels() -> None:
    import io

    from PIL import Image

    from audit.core.rows import FILE, images_of

    def file(side: int) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", (side, 4), "red").save(out, "PNG")
        return out.getvalue()

    rows = rows_of([file(4), file(4)], 2, Form("image"))
    assert rows.column(FILE).to_pylist() == [file(4), file(4)]
    assert images_of(rows).shape == (2, 4, 4, 3)
    with pytest.raises(ValueError, match="different sizes"):
        rows_of([file(4), file(5)], 2, Form("image"))
    with pytest.raises(ValueError, match="no image file"):
        rows_of([b"\x89PNG\r\n\x1a\n", file(4)], 2, Form("image"))


def test_a_model_that_draws_each_example_by_itself_is_asked_that_way() -> None:
    class Each:
        def sample(self, n: int, rng: Any, condition: Any = None) -> Any:
            raise AssertionError("each example has numbers of its own")

        def sample_each(self, rngs: Any, condition: Any = None) -> Any:
            return np.stack([rng.integers(0, 256, (4, 4, 3)).astype(np.uint8) for rng in rngs])

    from audit.core.artifacts import Samples
    from audit.core.identity import Digest
    from audit.core.recipes import generator
    from audit.core.references import ModelRef

    model = adapted(Each(), IMAGE)

    class Here:
        def __init__(self, recipe: Samples, shard: int) -> None:
            self.recipe, self.shard = recipe, shard

        def model(self, ref: Any) -> Any:
            return model

        def rng(self, stream: str) -> Any:
            return generator(self.recipe.seed_key, stream)

    drawn = []
    for shard_size in (3, 10):
        recipe = Samples(ModelRef("x", Digest("")), 10, 0, shard_size)
        shards = [recipe.make(Here(recipe, i)) for i in range(recipe.shards)]  # type: ignore[arg-type]
        drawn.append(np.concatenate([images_of(one) for one in shards]))
    np.testing.assert_array_equal(*drawn)
    assert len(np.unique(drawn[0][:, 0, 0, 0])) > 5
    with pytest.raises(ValueError, match="asked for 2 and returned 3"):
        adapted(
            type("Few", (Each,), {"sample_each": lambda self, rngs, condition=None: LEVELS[[0, 1, 0]]})(),
            IMAGE,
        ).sample_each([1, 2])
