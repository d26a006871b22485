"""Labels of pictures or texts from a CSV file, in the place of an attribute classifier."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from audit.core.errors import InputError
from audit.core.identity import Digest, canonical, digest_file, digest_of
from audit.core.options import OptionTable
from audit.core.references import Attribute, ExtractorRef
from audit.core.rows import IMAGE, TEXT, Matrix, Rows, images_of, texts_of
from audit.formats.folders import listing
from audit.formats.hostile import printable
from audit.formats.images import IMAGE_OPTIONS, ImageRules, pictures
from audit.formats.labels import read_labels

_OPTIONS = ("path", "folder", "values", *IMAGE_OPTIONS)


class Labels:
    """The value that a CSV file gives each picture or text, as a probability of 1; 0 everywhere where there is no label.

    ``path`` is the file: a column ``file`` with names of pictures in ``folder`` (a folder or a list of them), or a column ``text`` with the texts themselves; perhaps
    ``annotator``; and a column for each attribute. Pictures are known by their pixels, so give ``size`` and ``mode`` as for
    the model's or the data's pictures. ``values = ["look=feminine, masculine"]`` says which labels are meant. A row of the data that the file
    does not name is labelled by its own column of the attribute's name, where it has one.
    """

    def __init__(self, ref: ExtractorRef, labels: Mapping[str, tuple[str | None, ...]]) -> None:
        self._ref, self._labels = ref, labels

    @classmethod
    def refer(cls, options: Mapping[str, Any] | None = None) -> ExtractorRef:
        table = OptionTable.of("the extractor 'labels'", options or {}, _OPTIONS)
        path = table.path("path")
        if path is None:
            raise InputError(
                "The extractor 'labels' needs a file. Write in the spec: [features] attributes = { use = \"labels\", "
                'path = "labels.csv", folder = "samples" }.'
            )
        known = _known(path, table)
        attributes = tuple(Attribute(name, values) for name, values in known.values.items())
        given = dict(options or {})
        return ExtractorRef(
            "labels",
            known.digest,
            sum(len(a.values) for a in attributes),
            known.modality,
            attributes,
            location=json.dumps(given),
            notes=known.notes,
        )

    @classmethod
    def open(cls, ref: ExtractorRef, device: str) -> Labels:
        options = json.loads(ref.location)
        ref.check_same_as(cls.refer(options))
        table = OptionTable.of("the extractor 'labels'", options, _OPTIONS)
        return cls(ref, _known(Path(options["path"]), table).labels)

    def extract(self, rows: Rows) -> Matrix:
        """Return 1 for the value that a row is labelled with, shape (rows, values of all attributes)."""
        if self._ref.modality == "image":
            keys = [_pixels(image) for image in images_of(rows, IMAGE)]
        else:
            keys = [_text(text) for text in texts_of(rows, TEXT)]
        parts = []
        for place, attribute in enumerate(self._ref.attributes):
            own = (
                rows.column(attribute.name).to_pylist()
                if attribute.name in rows.column_names
                else [None] * len(keys)
            )
            said = [
                self._labels[key][place] if key in self._labels else (None if value is None else str(value))
                for key, value in zip(keys, own, strict=True)
            ]
            parts.append(np.array([[value == v for v in attribute.values] for value in said], np.float64))
        return np.concatenate(parts, axis=1) if keys else np.empty((0, self._ref.dimensions))


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """Labels by the digest of what they are of, in the order of the attributes."""

    modality: str
    values: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, tuple[str | None, ...]]
    notes: tuple[str, ...]

    @property
    def digest(self) -> Digest:
        return digest_of(canonical({"labels": 1, "values": dict(self.values), "of": dict(self.labels)}))


def values_of(table: OptionTable, name: str) -> dict[str, tuple[str, ...]]:
    """Return the values of attributes from an option written ["look=feminine, masculine"]. Raise InputError."""
    given = table.values.get(name, [])
    lines = [given] if isinstance(given, str) else given
    found: dict[str, tuple[str, ...]] = {}
    for line in lines if isinstance(lines, list | tuple) else [None]:
        attribute, equals, rest = line.partition("=") if isinstance(line, str) else ("", "", "")
        values = tuple(value.strip() for value in rest.split(",") if value.strip())
        if not equals or not attribute.strip() or len(values) < 2 or len(set(values)) != len(values):
            raise InputError(
                f"The option '{name}' of {table.owner} is {line!r}; write [\"look=feminine, masculine\"], each value once."
            )
        found[attribute.strip()] = values
    return found


def _known(path: Path, table: OptionTable) -> _Known:
    folders = tuple(table.names("folder"))
    values = json.dumps({name: list(v) for name, v in values_of(table, "values").items()})
    stamp = digest_file(path)
    files = [place for folder in folders for place in listing(Path(folder)).files().values()]
    looked = digest_of(canonical([(str(f), (s := f.stat()).st_size, s.st_mtime_ns) for f in files]))
    return _read(path, folders, values, ImageRules.of(table), f"{stamp} {looked}")


@lru_cache(maxsize=4)
def _read(path: Path, folders: tuple[str, ...], values: str, rules: ImageRules, stamp: str) -> _Known:  # noqa: ARG001  # what is cached belongs to these files
    held = read_labels(path, {name: tuple(v) for name, v in json.loads(values).items()})
    attributes = list(held.values)
    if held.key == "text":
        by_text = {_text(text): tuple(each[a] for a in attributes) for text, each in held.labels.items()}
        return _Known("text", held.values, by_text, held.notes)
    if not folders:
        raise InputError(
            f'The labels {printable(path)} name files; say where they are: folder = "samples" beside path.'
        )
    labels: dict[str, tuple[str | None, ...]] = {}
    found: set[str] = set()
    entered = {_composed(name): name for name in held.labels}
    for folder in map(Path, folders):
        for picture in pictures(listing(folder), rules, []):
            tried = (_composed(f"{folder.name}/{picture.name}"), _composed(picture.name))
            name = next((entered[t] for t in tried if t in entered), None)
            if name is not None:
                found.add(name)
                labels[_pixels(picture.pixels)] = tuple(held.labels[name][a] for a in attributes)
    if not found:
        example = next(iter(held.labels))
        raise InputError(
            f"No name in {printable(path)} is that of a picture in {', '.join(map(printable, folders))}; it names '{example[:60]}'."
        )
    missing = len(held.labels) - len(found)
    said = (
        (f"{missing:,} of {len(held.labels):,} labels are of files that are not there.",) if missing else ()
    )
    return _Known("image", held.values, labels, (*held.notes, *said))


def _composed(name: str) -> str:
    """Return a name with its accents composed: macOS takes them apart, other systems do not."""
    return unicodedata.normalize("NFC", name)


def _pixels(image: np.ndarray[Any, np.dtype[np.uint8]]) -> str:
    return digest_of(canonical(image.shape) + np.ascontiguousarray(image).tobytes())


def _text(text: str) -> str:
    return digest_of(text.encode("utf-8", "surrogatepass"))
