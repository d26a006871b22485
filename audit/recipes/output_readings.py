"""What each output of a model carries as it is handed over: its credential, read against a list of authorities, and labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any, ClassVar

from audit.core.identity import layout
from audit.core.recipes import Context, Recipe, shard_count, shard_range
from audit.core.references import ModelRef
from audit.core.rows import FILE, TEXT, Rows, texts_of
from audit.core.subjects import Subject
from audit.marks.labels import Labels, labels_in
from audit.marks.manifests.carriers import kind_of
from audit.marks.manifests.reading import TEXT as PLAIN
from audit.marks.manifests.reading import Held, Reading, Verifier

PIXELS = "pixels"
"""The format of an output that is no file yet."""
_MOST_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class OutputReading:
    """What one output carries. ``inapplicable`` says why the question does not arise for it; empty where it does."""

    format: str
    inapplicable: str = ""
    answer: str = ""
    codes: tuple[str, ...] = ()
    declared: bool = False
    source_types: tuple[str, ...] = ()
    signer: str = ""
    signed_at: str = ""
    time_stamped: bool = False
    time_stamp_trusted: bool = False
    ingredients: int = 0
    soft_bindings: tuple[str, ...] = ()
    label_types: tuple[str, ...] = ()
    aigc: str = ""
    label_problems: tuple[str, ...] = ()
    says_generated: bool = False
    says_otherwise: bool = False

    @classmethod
    def of(cls, held: Held, verifier: Verifier) -> OutputReading:
        """Read a file, or a text."""
        if not held.file.strip():
            return cls("", "the output is empty")
        if len(held.file) > _MOST_BYTES:
            return cls("", f"a file of more than {_MOST_BYTES:,} bytes is not read")
        kind = kind_of(held.file) if held.mime != PLAIN else None
        if kind is None and held.mime != PLAIN:
            return cls("", "its format cannot hold a credential, or is not read here")
        mime = PLAIN if kind is None else kind.mime
        name = "text" if kind is None else kind.name
        reading = cls._read(name, verifier.read(Held(mime, held.file, held.sidecar)))
        return reading if kind is None else reading._with(labels_in(held.file))

    def _with(self, labels: Labels) -> OutputReading:
        aigc = "" if labels.aigc is None else "incomplete" if labels.problems else "complete"
        return replace(
            self,
            label_types=labels.source_types,
            aigc=aigc,
            label_problems=labels.problems,
            says_generated=labels.says_generated,
            says_otherwise=labels.says_otherwise,
        )

    @classmethod
    def _read(cls, name: str, reading: Reading) -> OutputReading:
        return cls(
            name,
            "",
            str(reading.answer),
            reading.codes,
            reading.accepted and reading.declares_generated,
            reading.source_types,
            reading.signer,
            reading.signed_at,
            reading.time_stamped,
            reading.time_stamp_trusted,
            reading.ingredients,
            reading.soft_bindings,
        )


@dataclass(frozen=True)
class OutputReadings(Recipe[Rows]):
    """One row per output of a model; the columns are the fields of ``OutputReading``.

    Outputs are the files that the model keeps (``files`` is their digest, ``n`` how many), or else those in
    ``source``: files in its column ``file``, or texts. ``anchors`` are the authorities to trust, ``time_stamps`` those that stamp
    times, as certificates in PEM.
    """

    kind: ClassVar[str] = "output-readings"
    version: ClassVar[int] = 4
    along: ClassVar[tuple[str, ...]] = ("source",)
    anchors: str
    libraries: tuple[str, ...]
    source: Recipe[Rows] | None = None
    model: ModelRef | None = None
    files: str = ""
    n: int = 0
    shard_size: int = layout(1000)
    time_stamps: str = ""

    @classmethod
    def of(cls, subject: Subject, n: int, anchors: str, time_stamps: str = "") -> OutputReadings:
        """Ask about ``n`` outputs, or as many as there are."""
        libraries = (f"c2pa-python {version('c2pa-python')}",)
        if not subject.card.files:
            return cls(anchors, libraries, subject.samples(n), time_stamps=time_stamps)
        most = subject.card.most_samples
        kept = n if most is None else min(n, most)
        return cls(
            anchors, libraries, None, subject.model, subject.card.files, kept, subject.shard_size, time_stamps
        )

    @property
    def shards(self) -> int:
        return shard_count(self.n, self.shard_size) if self.source is None else self.source.shards

    @property
    def label(self) -> str:
        return "what outputs carry"

    def examples(self, shard: int) -> int:
        if self.source is not None:
            return self.source.examples(shard)
        return len(shard_range(self.n, self.shard_size, shard))

    def make(self, context: Context, source: Rows | None = None) -> Rows:
        verifier = Verifier(self.anchors, self.time_stamps)
        if source is not None:
            return as_rows(
                OutputReading(PIXELS, "it is pixels, not a file")
                if held is None
                else OutputReading.of(held, verifier)
                for held in held_in(source)
            )
        assert self.model is not None, "outputs come from rows or from a model that keeps files"
        span = shard_range(self.n, self.shard_size, context.shard)
        kept = context.model(self.model).sample_files(span.start, span.stop)
        return as_rows(OutputReading.of(Held("", file, sidecar), verifier) for file, sidecar in kept)


def held_in(rows: Rows) -> Iterator[Held | None]:
    """Yield each output as a recipient has it; None for pixels, which are no file."""
    if FILE in rows.column_names:
        yield from (Held("", file or b"") for file in rows.column(FILE).to_pylist())
    elif TEXT in rows.column_names:
        yield from (Held(PLAIN, (text or "").encode()) for text in texts_of(rows))
    else:
        yield from (None for _ in range(rows.num_rows))


def as_rows(readings: Iterable[OutputReading]) -> Rows:
    """Return readings as rows."""
    import pyarrow as pa

    several = pa.list_(pa.string())
    fields = [
        *((name, pa.string()) for name in ("format", "inapplicable", "answer")),
        ("codes", several),
        ("declared", pa.bool_()),
        ("source_types", several),
        *((name, pa.string()) for name in ("signer", "signed_at")),
        *((name, pa.bool_()) for name in ("time_stamped", "time_stamp_trusted")),
        ("ingredients", pa.int32()),
        ("soft_bindings", several),
        ("label_types", several),
        ("aigc", pa.string()),
        ("label_problems", several),
        ("says_generated", pa.bool_()),
        ("says_otherwise", pa.bool_()),
    ]
    return pa.Table.from_pylist([asdict(r) for r in readings], schema=pa.schema(fields))


def readings_in(shards: Iterable[Rows]) -> list[OutputReading]:
    """Return the readings of all shards."""
    found: list[OutputReading] = []
    for shard in shards:
        for row in shard.to_pylist():
            values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
            found.append(OutputReading(**values))
    return found
