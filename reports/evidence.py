"""Evidence as a reader sees it: pictures, texts, tables and curves, and what is hidden or missing."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from markupsafe import Markup

from audit.core.errors import InputError
from audit.core.measurements import Evidence
from audit.core.renderers import EvidenceReader
from audit.core.rows import IMAGE, PREFIX, TEXT, Images, Rows, images_of
from audit.core.words import counted
from reports import charts, numbers
from reports.curves import Curve
from reports.redact import shortened

MOST_IMAGES, MOST_TEXTS, MOST_ROWS, MOST_COLUMNS = 60, 40, 100, 16
MOST_TOGETHER = 4
MOST_CHARACTERS = 16_000_000
"""Of evidence in one report: what a mail and a browser still take without complaint."""
_LEAST_SIDE, _MOST_SIDE = 96, 512


@dataclass(frozen=True, slots=True)
class Picture:
    """One image: its PNG as a data URI, the size to show it at, its text alternative and its attributes."""

    source: str
    width: int
    height: int
    alternative: str
    attributes: str


@dataclass(frozen=True, slots=True)
class Together:
    """Images that belong to one another, each under its name, and the attributes of the whole."""

    pictures: tuple[tuple[str, Picture], ...]
    attributes: str


@dataclass(frozen=True, slots=True)
class Passage:
    """One text: what the model was given, what it said, and its attributes."""

    prefix: str
    text: str
    attributes: str


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One item of evidence, ready to show. ``message`` stands where there is nothing to show."""

    kind: str
    caption: str
    digest: str
    sensitive: bool
    message: str = ""
    pictures: tuple[Picture, ...] = ()
    together: tuple[Together, ...] = ()
    passages: tuple[Passage, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    curve: Curve | None = None
    drawing: Markup | None = None
    left_out: str = ""

    @property
    def characters(self) -> int:
        """How many characters the content takes, most of it pictures."""
        pictures = [*self.pictures, *(picture for each in self.together for _, picture in each.pictures)]
        texts = [passage.prefix + passage.text for passage in self.passages]
        cells = [cell for row in self.rows for cell in row]
        return sum(map(len, [*(picture.source for picture in pictures), *texts, *cells]))


@dataclass(slots=True)
class Exhibition:
    """Shows the evidence of one report, in order, until ``left`` characters of it are spent."""

    read: EvidenceReader
    show_sensitive: bool = False
    left: int = MOST_CHARACTERS

    def show(self, evidence: Evidence) -> Exhibit:
        """Return evidence ready to show; what is sensitive is not even read unless asked for."""
        about = Exhibit(evidence.kind, evidence.caption, str(evidence.content), evidence.sensitive)
        if evidence.sensitive and not self.show_sensitive:
            return replace(about, message="Hidden: it may show training examples.")
        try:
            rows = self.read(evidence.content)
        except InputError:
            return replace(about, message="The store's copy of this evidence is damaged.")
        except ConnectionError:
            return replace(
                about,
                message="The store's copy of this evidence is out of reach: its server does not answer.",
            )
        if rows is None:
            return replace(about, message="The store no longer holds the content of this evidence.")
        found = _content(about, rows)
        if (size := found.characters) > self.left:
            return replace(about, message="Left out: the evidence before it fills this report.")
        self.left -= size
        return found


def _content(about: Exhibit, rows: Rows) -> Exhibit:
    names = {name for name in rows.column_names if rows.column_names.count(name) == 1}
    if rows.num_rows == 0:
        return replace(about, message="There is not a single example to show.")
    match about.kind:
        case "images" if IMAGE in names and is_image(rows.schema.field(IMAGE).type):
            return _pictures(about, rows)
        case "texts" if TEXT in names:
            return _passages(about, rows)
        case "curve" if {"x", "y"} <= names:
            curve = _curve(rows)
            return replace(about, curve=curve) if curve is not None else _table(about, rows)
        case "intervals" if names >= charts.INTERVALS:
            return replace(_table(about, rows), drawing=charts.interval_chart(rows, about.caption))
        case "heatmap" if names >= charts.HEATMAP:
            return replace(_table(about, rows), drawing=charts.heat_map(rows, about.caption))
        case _:
            return _table(about, rows)


def is_image(kind: Any) -> bool:
    """Say whether a column's type is that of ``audit.core.rows.image_rows``, with at least one pixel."""
    shape = tuple(getattr(kind, "shape", ()))
    return len(shape) == 3 and min(shape) > 0 and str(kind.value_type) == "uint8"


def _pictures(about: Exhibit, rows: Rows) -> Exhibit:
    """Show images, or, where there are several columns of them, the images of each row side by side."""
    columns = [f.name for f in rows.schema if is_image(f.type) and rows.column_names.count(f.name) == 1]
    columns = sorted(columns, key=lambda name: name != IMAGE)[:MOST_TOGETHER]
    shown = rows.slice(0, MOST_IMAGES // len(columns))
    images = [images_of(shown, name) for name in columns]
    attributes = attributes_of(shown, {f.name for f in rows.schema if is_image(f.type)})
    left_out = _left_out(rows.num_rows, shown.num_rows, "image" if len(columns) == 1 else "set")
    sets = []
    for row, words in enumerate(attributes):
        where = f"{about.caption}, image {row + 1} of {rows.num_rows}" + (f": {words}" if words else "")
        names = [shortened(name, 40) for name in columns]
        said = [where if name == IMAGE else f"{name}, beside image {row + 1}" for name in names]
        sets.append([_picture(of[row], word, words) for of, word in zip(images, said, strict=True)])
    if len(columns) == 1:
        return replace(about, pictures=tuple(picture for (picture,) in sets), left_out=left_out)
    together = tuple(
        Together(tuple(zip(names, pictures, strict=True)), words)
        for pictures, words in zip(sets, attributes, strict=True)
    )
    return replace(about, together=together, left_out=left_out)


def _picture(pixels: Images, alternative: str, words: str) -> Picture:
    height, width = _display_size(pixels.shape[0], pixels.shape[1])
    return Picture(_data_uri(pixels), width, height, alternative, words)


def _display_size(height: int, width: int) -> tuple[int, int]:
    """Return the size to show an image at: small ones enlarged by a whole factor, large ones made smaller."""
    factor = max(1, math.ceil(_LEAST_SIDE / max(height, width, 1)))
    shrink = min(1.0, _MOST_SIDE / max(height, width, 1))
    return max(1, round(height * factor * shrink)), max(1, round(width * factor * shrink))


def _data_uri(pixels: Images) -> str:
    """Return an image as a PNG data URI; channels beyond red, green, blue and alpha are left out."""
    from PIL import Image

    channels = pixels.shape[2]
    kept = pixels[:, :, 0] if channels in (1, 2) else pixels[:, :, :4] if channels == 4 else pixels[:, :, :3]
    image = Image.fromarray(np.ascontiguousarray(kept))
    image.thumbnail((_MOST_SIDE, _MOST_SIDE), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _passages(about: Exhibit, rows: Rows) -> Exhibit:
    shown = rows.slice(0, MOST_TEXTS)
    texts = shown.column(TEXT).to_pylist()
    given = shown.column(PREFIX).to_pylist() if PREFIX in shown.column_names else [""] * len(texts)
    attributes = attributes_of(shown, {TEXT, PREFIX, IMAGE})
    passages = tuple(
        Passage(shortened(str(prefix or "")), shortened(str(text or "")), words)
        for prefix, text, words in zip(given, texts, attributes, strict=True)
    )
    return replace(about, passages=passages, left_out=_left_out(rows.num_rows, len(passages), "text"))


def _curve(rows: Rows) -> Curve | None:
    columns = {
        name: rows.column(name).to_pylist()
        for name in ("x", "y", "low", "high", "reference")
        if name in rows.column_names
    }
    if any(not isinstance(value, int | float | None) for column in columns.values() for value in column):
        return None
    return Curve.of(
        columns["x"], columns["y"], columns.get("low"), columns.get("high"), columns.get("reference")
    )


def _table(about: Exhibit, rows: Rows) -> Exhibit:
    shown = rows.slice(0, MOST_ROWS)
    kept = [i for i, name in enumerate(rows.column_names) if name != IMAGE][:MOST_COLUMNS]
    columns = [[cell_of(value) for value in shown.column(i).to_pylist()] for i in kept]
    names = [shortened(rows.column_names[i], 80) for i in kept]
    hidden = len(rows.column_names) - len(kept)
    left_out = _left_out(rows.num_rows, shown.num_rows, "row")
    if hidden:
        left_out = f"{left_out} {counted(hidden, 'column')} not shown.".strip()
    return replace(about, columns=tuple(names), rows=tuple(zip(*columns, strict=True)), left_out=left_out)


def cell_of(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return numbers.plain(value) if math.isfinite(value) else str(value)
        case _:
            return shortened(str(value), 300)


def attributes_of(rows: Rows, without: set[str]) -> list[str]:
    kept = [i for i, name in enumerate(rows.column_names) if name not in without][:6]
    names = [rows.column_names[i] for i in kept]
    columns = [rows.column(i).to_pylist() for i in kept]
    return [
        " · ".join(
            f"{shortened(name, 40)} {shortened(cell_of(column[row]), 80)}"
            for name, column in zip(names, columns, strict=True)
        )
        for row in range(rows.num_rows)
    ]


def _left_out(total: int, shown: int, noun: str) -> str:
    return f"The first {numbers.count(shown)} of {counted(total, noun)}." if shown < total else ""
