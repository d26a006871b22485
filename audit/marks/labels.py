"""Machine-readable labels in a file's metadata: the IPTC digital source type, and China's AIGC label (GB 45438-2025).

Both stand in XMP: ``Iptc4xmpExt:DigitalSourceType`` names a term of the IPTC's list, and ``AIGC`` in the namespace of TC260 holds a JSON object
of seven entries (GB 45438-2025, annex E; TC260's guide for files). Neither is signed: anyone can write or remove them.
"""

from __future__ import annotations

import html
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = "trainedAlgorithmicMedia"
MADE_WITH_MODELS = frozenset(
    {GENERATED, "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic", "algorithmicMedia"}
)
AIGC_NAMESPACE = "http://www.tc260.org.cn/ns/AIGC/1.0/"
AIGC_ENTRIES = (
    "Label",
    "ContentProducer",
    "ProduceID",
    "ReservedCode1",
    "ContentPropagator",
    "PropagateID",
    "ReservedCode2",
)
_AIGC_NEEDED = ("ContentProducer", "ProduceID")
_AIGC_LABELS: Mapping[str, str] = {
    "1": "generated",
    "2": "possibly generated",
    "3": "suspected to be generated",
}

_MOST = 1 << 20
_PACKET = re.compile(rb"<x:xmpmeta.{0,%d}?</x:xmpmeta>" % _MOST, re.DOTALL)
_SOURCE = re.compile(
    r"DigitalSourceType(?:\s*=\s*[\"']([^\"']{1,300})|\s+rdf:resource\s*=\s*[\"']([^\"']{1,300})|[^<>]{0,200}>\s*([^<\s]{1,300}))"
)
_AIGC = re.compile(
    r"<\w+:AIGC(?:\s[^<>]{0,500})?>([^<]{0,20000})</\w+:AIGC>|\s\w+:AIGC\s*=\s*(?:\"([^\"]*)\"|'([^']*)')"
)


@dataclass(frozen=True, slots=True)
class Labels:
    """The digital source types that a file names (their last words), its AIGC label, and what is wrong with either."""

    source_types: tuple[str, ...] = ()
    aigc: Mapping[str, str] | None = None
    problems: tuple[str, ...] = ()

    @property
    def says_generated(self) -> bool:
        """Whether some label says that a model made it, or took part."""
        return self.aigc_says != "" or not MADE_WITH_MODELS.isdisjoint(self.source_types)

    @property
    def says_otherwise(self) -> bool:
        """Whether a digital source type says that it was made in another way, such as by a camera."""
        return any(said not in MADE_WITH_MODELS for said in self.source_types)

    @property
    def aigc_says(self) -> str:
        """What the AIGC label says in words; empty where there is no readable one."""
        return _AIGC_LABELS.get((self.aigc or {}).get("Label", ""), "")


def labels_in(file: bytes) -> Labels:
    """Read the labels in a file's metadata. Never raises; what cannot be read is a problem that is named."""
    types: list[str] = []
    aigc: Mapping[str, str] | None = None
    problems: list[str] = []
    for packet in _packets(file):
        text = packet.decode("utf-8", errors="replace")
        for groups in _SOURCE.findall(text):
            said = html.unescape(next(g for g in groups if g)).strip()
            types.append(said.rstrip("/").rpartition("/")[2][:80])
        for groups in _AIGC.findall(text):
            found, wrong = _aigc(html.unescape(next((g for g in groups if g), "")))
            aigc = found if aigc is None else aigc
            problems += wrong
    return Labels(tuple(dict.fromkeys(types)), aigc, tuple(dict.fromkeys(problems)))


def _aigc(text: str) -> tuple[Mapping[str, str] | None, list[str]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None, ["the AIGC label is not JSON"]
    if isinstance(found, dict) and isinstance(found.get("AIGC"), dict):
        found = found["AIGC"]
    if not isinstance(found, dict):
        return None, ["the AIGC label is not an object"]
    label = {str(k)[:80]: str(v)[:500] for k, v in found.items()}
    problems = []
    if missing := [name for name in AIGC_ENTRIES if name not in label]:
        problems.append(f"the AIGC label lacks {', '.join(missing)}")
    if label.get("Label") not in _AIGC_LABELS:
        problems.append("the AIGC label's 'Label' is not 1, 2 or 3")
    if empty := [name for name in _AIGC_NEEDED if name in label and not label[name].strip()]:
        problems.append(f"the AIGC label's {' and '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty")
    return label, problems


def _packets(file: bytes) -> Iterator[bytes]:
    """Yield XMP packets: as they stand in a file, and those that a PNG holds compressed."""
    yield from (match.group() for match in _PACKET.finditer(file))
    if not file.startswith(b"\x89PNG\r\n\x1a\n"):
        return
    at = 8
    while at + 12 <= len(file):
        size = int.from_bytes(file[at : at + 4], "big")
        body = file[at + 8 : at + 8 + size]
        if file[at + 4 : at + 8] == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0\1\0"):
            packed = body[20:].split(b"\0", 2)
            try:
                whole = zlib.decompressobj().decompress(packed[-1], _MOST)
            except zlib.error:
                whole = b""
            yield from (match.group() for match in _PACKET.finditer(whole))
        at += 12 + size


def xmp(source_type: str = GENERATED, aigc: Mapping[str, str] | None = None) -> bytes:
    """Return an XMP packet with a digital source type, and an AIGC label where one is given.

    >>> labels_in(xmp()).source_types
    ('trainedAlgorithmicMedia',)
    """
    label = ""
    if aigc is not None:
        whole = {name: aigc.get(name, "") for name in AIGC_ENTRIES}
        said = escape(json.dumps(whole, ensure_ascii=False))
        label = f'<TC260:AIGC xmlns:TC260="{AIGC_NAMESPACE}">{said}</TC260:AIGC>'
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
        f"<Iptc4xmpExt:DigitalSourceType>{IPTC}{escape(source_type)}</Iptc4xmpExt:DigitalSourceType>{label}"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def labelled(image: object, form: str, packet: bytes, **options: object) -> bytes:
    """Return a Pillow image as a file with an XMP packet. Raise ValueError for a format without a place for one.

    ``form`` is png, jpeg, webp, tiff or avif.
    """
    file = io.BytesIO()
    if form == "png":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        options = {**options, "pnginfo": info}
    elif form in ("jpeg", "webp", "avif"):
        options = {**options, "xmp": packet}
    elif form == "tiff":
        options = {**options, "tiffinfo": {700: packet}}
    else:
        raise ValueError(f"no XMP is written into {form} here")
    image.save(file, form.upper(), **options)  # type: ignore[attr-defined]
    return file.getvalue()
