"""Labels in metadata: the two that are read, in every format, whole, broken, contradictory and hostile."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.core.cases import CaseKind
from audit.core.identity import Digest
from audit.core.measurements import Undefined
from audit.core.references import DataRef
from audit.core.subjects import DataCard, Subject
from audit.evaluators.provenance.labels import MetadataLabels
from audit.marks.labels import AIGC_ENTRIES, labelled, labels_in, xmp
from audit.marks.manifests.signers import ephemeral_signers
from audit.marks.manifests.signing import Bench
from audit.models.samples_on_disk import SamplesOnDisk

AIGC = {"Label": "1", "ContentProducer": "a provider", "ProduceID": "42"}


def _image(seed: int = 0) -> Any:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8))


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "tiff"])
def test_both_labels_are_read_in_every_format(form: str) -> None:
    found = labels_in(labelled(_image(), form, xmp(aigc=AIGC)))
    assert found.source_types == ("trainedAlgorithmicMedia",)
    assert set(found.aigc or {}) == set(AIGC_ENTRIES)
    assert (found.aigc_says, found.problems, found.says_generated) == ("generated", (), True)
    file = io.BytesIO()
    _image().save(file, form.upper())
    assert labels_in(file.getvalue()) == labels_in(b"")


@pytest.mark.parametrize(
    ("packet", "types", "problem"),
    [
        (
            '<r:D Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"/>',
            ("digitalCapture",),
            "",
        ),
        (
            '<Iptc4xmpExt:DigitalSourceType rdf:resource="http://x/algorithmicMedia"/>',
            ("algorithmicMedia",),
            "",
        ),
        ("<T:AIGC>{not json</T:AIGC>", (), "not JSON"),
        ("<T:AIGC>[1]</T:AIGC>", (), "not an object"),
        ('<T:AIGC>{"Label":"9"}</T:AIGC>', (), "not 1, 2 or 3"),
        ('<r:D TC260:AIGC=\'{"Label":"1"}\'/>', (), "lacks ContentProducer"),
        ("<T:AIGC>" + "[" * 9000 + "</T:AIGC>", (), "not JSON"),
    ],
)
def test_other_spellings_and_broken_labels_are_named(
    packet: str, types: tuple[str, ...], problem: str
) -> None:
    found = labels_in(f"<x:xmpmeta>{packet}</x:xmpmeta>".encode())
    assert found.source_types == types
    assert problem in " ".join(found.problems)
    assert bool(problem) == bool(found.problems)


def test_compressed_packets_of_a_png_are_read_and_bombs_are_not() -> None:
    def png(body: bytes) -> bytes:
        chunk = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(body)
        head = len(chunk).to_bytes(4, "big") + b"iTXt"
        return b"\x89PNG\r\n\x1a\n" + head + chunk + zlib.crc32(b"iTXt" + chunk).to_bytes(4, "big")

    assert labels_in(png(xmp())).source_types == ("trainedAlgorithmicMedia",)
    assert labels_in(png(b"<x:xmpmeta>" + b" " * 50_000_000 + b"</x:xmpmeta>")).source_types == ()


def _read(ask: Any, folder: Path, doses: tuple[float, ...] = ()) -> Any:
    ref = SamplesOnDisk.refer({"path": str(folder)})
    card, offers = SamplesOnDisk.describe(ref)
    data = DataRef("fake", Digest("1" * 40))
    subject = Subject(ref, card, offers, data, DataCard("image", ()), (), 40, 0, 16, doses)
    return ask(MetadataLabels(n=40), subject, SamplesOnDisk.open(ref, "cpu"))


def test_files_are_judged_by_their_labels_and_by_their_manifest_beside_them(ask: Any, tmp_path: Path) -> None:
    signers = ephemeral_signers()
    bench, opened = Bench(signers.anchors), signers.trusted.open()

    def signed(packet: bytes, seed: int) -> bytes:
        return bench.sign(
            labelled(_image(seed), "png", packet), "image/png", signers.trusted, opened
        ).held.file

    files = {
        "good": labelled(_image(1), "png", xmp(aigc=AIGC)),
        "signed": signed(xmp(), 2),
        "camera": signed(xmp("digitalCapture"), 3),
        "incomplete": labelled(_image(4), "png", xmp(aigc={"Label": "1"})),
    }
    for name, file in files.items():
        (tmp_path / f"{name}.png").write_bytes(file)
    _image(5).save(tmp_path / "bare.png")
    found = {o.metric.rpartition(".")[2]: o for o in _read(ask, tmp_path).outcomes}
    assert (found["iptc"].value, found["iptc"].n) == (pytest.approx(3 / 5), 5)
    assert found["aigc"].value == pytest.approx(1 / 5)
    assert found["faulty"].value == pytest.approx(2 / 5)
    assert "the manifest says that a model made it" in " ".join(found["faulty"].notes)
    assert "ContentProducer and ProduceID are empty" in " ".join(found["faulty"].notes)


def test_one_empty_entry_is_named_in_the_singular() -> None:
    (problem,) = labels_in(xmp(aigc={**AIGC, "ContentProducer": " "})).problems
    assert problem == "the AIGC label's ContentProducer is empty"


def test_controls_find_labels_that_are_there_and_wrong_ones(ask: Any, tmp_path: Path) -> None:
    for i in range(30):
        (tmp_path / f"{i}.png").write_bytes(labelled(_image(i), "png", xmp(aigc=AIGC)))
    found = _read(ask, tmp_path, doses=(0.6,))
    assert all(c.right for c in found.controls)
    assert {c.kind for c in found.controls} == {CaseKind.NULL, CaseKind.PLANTED}
    assert all(o.void == "" for o in found.outcomes)


def test_pixels_have_no_metadata_and_say_where_to_look(ask: Any) -> None:
    from audit.core.capabilities import Capability
    from audit.core.references import ModelRef
    from audit.core.rows import image_rows
    from audit.core.subjects import ModelCard

    class Painter:
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            return image_rows(rng.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8))

    model, data = ModelRef("fake", Digest("0" * 40)), DataRef("fake", Digest("1" * 40))
    card = ModelCard("fake", "image", 1)
    subject = Subject(model, card, frozenset({Capability.SAMPLE}), data, DataCard("image", ()), (), 4, 0, 4)
    for outcome in ask(MetadataLabels(n=4), subject, Painter()).outcomes:
        assert isinstance(outcome, Undefined)
        assert "samples_on_disk" in outcome.reason or "no file" in outcome.reason
