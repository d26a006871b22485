"""Outputs that the audit signs itself and reads back: what its reading says where the answer is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from audit.core.recipes import Context, Recipe
from audit.core.rows import IMAGE, TEXT, Rng, Rows, images_of, texts_of
from audit.evaluators.provenance.credentials.tampering import tampered
from audit.marks.manifests.carriers import IMAGE_FORMATS
from audit.marks.manifests.reading import TEXT as PLAIN
from audit.marks.manifests.reading import Held
from audit.marks.manifests.signers import ephemeral_signers
from audit.marks.manifests.signing import Bench
from audit.marks.manifests.text_wrapper import without_wrapper
from audit.recipes.output_readings import OutputReading, as_rows


@dataclass(frozen=True)
class SignedReadings(Recipe[Rows]):
    """Readings of outputs that were signed for the test by an authority that the reader trusts.

    Of a share ``stripped`` the credential is taken off again, and a further share ``altered`` is changed after
    signing. Signatures are random and certificates made anew, so a reading keeps nothing of either.
    """

    kind: ClassVar[str] = "signed-readings"
    version: ClassVar[int] = 2
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Rows]
    libraries: tuple[str, ...]
    altered: float = 0.0
    stripped: float = 0.0

    @property
    def label(self) -> str:
        return f"signed {self.source.label}"

    def make(self, context: Context, source: Rows) -> Rows:
        return as_rows(self._readings(source, context.uniforms().tolist(), context.rng()))

    def _readings(self, rows: Rows, uniforms: list[float], rng: Rng) -> Iterator[OutputReading]:
        signers = ephemeral_signers()
        bench, opened = Bench(signers.anchors), signers.trusted.open()
        for plain, share in zip(plain_files(rows), uniforms, strict=True):
            if not plain.file:
                yield OutputReading("", "the output makes no file")
                continue
            signed = bench.sign(plain.file, plain.mime, signers.trusted, opened)
            held = signed.held
            if share < self.stripped:
                held = plain
            elif share < self.stripped + self.altered:
                held = tampered("asset_altered", signed, None, rng)
            yield _anonymous(OutputReading.of(held, bench))


def plain_files(rows: Rows) -> Iterator[Held]:
    """Yield each output as a PNG or as UTF-8, without a credential of its own; without bytes where it is empty or no picture."""
    if IMAGE not in rows.column_names:
        yield from (Held(PLAIN, without_wrapper(text or "").encode()) for text in texts_of(rows, TEXT))
        return
    png = IMAGE_FORMATS[0]
    for pixels in images_of(rows):
        try:
            yield Held(png.mime, png.encode(pixels))
        except ValueError:
            yield Held(png.mime, b"")


def _anonymous(reading: OutputReading) -> OutputReading:
    return replace(reading, signer="", signed_at="")
