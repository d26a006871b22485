"""Asks every technique about one file: which of them answers, and what its answer does and does not prove."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audit.marks.image.catalogue import image_mark
from audit.marks.labels import labels_in
from audit.marks.manifests.carriers import kind_of
from audit.marks.manifests.reading import TEXT, Answer, Held, Reading, Verifier
from audit.marks.text.catalogue import TEXT_MARKS

FOUND, BROKEN, ABSENT, UNKNOWN, NOT_READ = "found", "broken", "absent", "not asked", "not read"
LEVEL = 1e-3
LEAST_SIDE = 16
TOO_SMALL = "the picture is too small for a watermark: it takes 16 pixels a side"

_PROVES: Mapping[str, tuple[str, str]] = {
    "trusted": (
        "The named signer, known to the trust list, made these statements, and nothing was changed since.",
        "That the statements are true.",
    ),
    "valid": (
        "Nothing was changed since somebody signed it.",
        "Who signed: no authority that is trusted here vouches for the signer, and anyone can make a certificate.",
    ),
    "invalid": (
        "The file or its credential was changed after signing, or the certificate did not hold.",
        "What it was before.",
    ),
    "absent": ("Nothing.", "That no model made it: a credential is lost whenever a file is saved again."),
    "label": ("What the metadata say.", "That it is true: anyone can write or remove a label."),
    "watermark": (
        "The key was used, but for the stated chance.",
        "Who used the key; with many marked outputs, others can put the mark into their own.",
    ),
    "no watermark": ("Nothing.", "That no model made it: other keys and other marks were not asked about."),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one technique says of a file. ``state`` is found, broken, absent, not asked or not read."""

    technique: str
    state: str
    said: str
    proves: str = ""
    does_not_prove: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def unread(why: str) -> Finding:
    """Return all that is said of a file that cannot be read."""
    return Finding("file", NOT_READ, why)


@dataclass(frozen=True, slots=True)
class Ask:
    """What to look for: watermarks by name and key.

    ``size`` is the square at which image marks were put in; None takes the image's own, at most 256. ``tokenizer`` turns a
    text into tokens, ``vocabulary`` is the width of the model's output.
    """

    marks: tuple[tuple[str, int], ...] = ()
    size: int | None = None
    tokenizer: Any = None
    vocabulary: int = 0


def credential(held: Held, verifier: Verifier) -> Finding:
    """Read a file's credential."""
    reading = verifier.read(held)
    known = _signer_is(reading, verifier)
    return Finding(
        "credential (C2PA)",
        _state(reading),
        _said(reading, known),
        *_PROVES[_answer(reading)],
        {**_details(reading), "signer_is": known} if reading.carried else {},
    )


def _signer_is(reading: Reading, verifier: Verifier) -> str:
    """Say what a trust list makes of the signer: trusted, untrusted, or unknown where there is no list or no valid credential."""
    if reading.answer is Answer.TRUSTED:
        return "trusted"
    return "untrusted" if reading.accepted and verifier.trusting else "unknown"


def _answer(reading: Reading) -> str:
    return "invalid" if reading.answer is Answer.UNREADABLE else str(reading.answer)


def _state(reading: Reading) -> str:
    return ABSENT if not reading.carried else FOUND if reading.accepted else BROKEN


_VALID = {
    "unknown": "valid, the signer unknown (no list of authorities was given)",
    "untrusted": "valid, the signer untrusted (not in the trust list)",
}


def _said(reading: Reading, signer_is: str) -> str:
    if not reading.carried:
        return "carries none"
    answer = _VALID[signer_is] if reading.answer is Answer.VALID else str(reading.answer)
    by = f", signed by {reading.signer}" if reading.signer else ""
    what = f", says {', '.join(reading.source_types)}" if reading.source_types else ""
    codes = f" ({', '.join(reading.codes)})" if reading.codes else ""
    return f"{answer}{by}{what}{codes}"


def _details(reading: Reading) -> dict[str, Any]:
    if not reading.carried:
        return {}
    return {
        "validation": str(reading.answer),
        "codes": list(reading.codes),
        "signer": reading.signer,
        "signed_at": reading.signed_at,
        "time_stamped": reading.time_stamped,
        "time_stamp_trusted": reading.time_stamp_trusted,
        "declares_generated": reading.accepted and reading.declares_generated,
        "source_types": list(reading.source_types),
        "ingredients": reading.ingredients,
        "soft_bindings": list(reading.soft_bindings),
    }


def label(file: bytes) -> Finding:
    """Read a file's labels."""
    found = labels_in(file)
    names = [*found.source_types, *([f"AIGC: {found.aigc_says}"] if found.aigc_says else [])]
    details = {
        "source_types": list(found.source_types),
        "aigc": None if found.aigc is None else dict(found.aigc),
        "problems": list(found.problems),
    }
    if found.problems:
        return Finding("label", BROKEN, "; ".join(found.problems), *_PROVES["label"], details)
    if not names:
        return Finding("label", ABSENT, "carries none", *_PROVES["no watermark"])
    return Finding("label", FOUND, ", ".join(names), *_PROVES["label"], details)


def square(pixels: np.ndarray) -> int:
    """Return the side of the square at which marks are put into a picture, where nobody names one."""
    height, width = pixels.shape[:2]
    return min(256, int(height) // 8 * 8, int(width) // 8 * 8)


def watermarks(pixels: np.ndarray | None, text: str | None, ask: Ask) -> Iterator[Finding]:
    """Test a picture's pixels, or a text, for each mark that was asked about. Raise KeyError for an unknown mark."""
    for name, key in ask.marks:
        if name in TEXT_MARKS:
            if text is not None:
                yield _of_text(name, key, text, ask)
        elif pixels is not None:
            side = square(pixels) if ask.size is None else ask.size
            if side < LEAST_SIDE:
                yield Finding(f"watermark {name}", UNKNOWN, TOO_SMALL)
                continue
            (found,) = image_mark(name)(key, side).detect(pixels[None])
            yield _watermark(name, found.p_value, found.scored, "bits")


def _of_text(name: str, key: int, text: str, ask: Ask) -> Finding:
    if ask.tokenizer is None:
        return Finding(f"watermark {name}", UNKNOWN, "give --tokenizer: the mark is in the choice of tokens")
    tokens = np.array(ask.tokenizer.encode(text, add_special_tokens=False).ids, np.int64)
    found = TEXT_MARKS[name](key, ask.vocabulary).detect([tokens])
    if not found.scored:
        return Finding(f"watermark {name}", UNKNOWN, f"the text is too short: {len(tokens)} tokens")
    beyond = int((tokens >= ask.vocabulary).sum())
    left_out = (
        f"; {beyond} tokens lie beyond the vocabulary of {ask.vocabulary} and are left out" if beyond else ""
    )
    return _watermark(name, found.p_value, found.scored, f"different n-grams{left_out}")


def _watermark(name: str, p: float, scored: int, what: str) -> Finding:
    said = f"p {f'= {p:.3g}' if p else '< 1e-300'} over {scored} {what}"
    details = {"p_value": p, "scored": scored}
    state, proof = (FOUND, "watermark") if p <= LEVEL else (ABSENT, "no watermark")
    return Finding(f"watermark {name}", state, said, *_PROVES[proof], details)


def held_of(file: bytes, sidecar: bytes | None, is_text: bool) -> Held | None:
    """Return a file with its sidecar as a verifier takes it; None for a format that can hold no credential."""
    if is_text:
        return Held(TEXT, file, sidecar)
    kind = kind_of(file)
    return None if kind is None else Held(kind.mime, file, sidecar)


def verdict(findings: Sequence[Finding]) -> str:
    """Say of a file: marked, broken, unmarked or not read. Labels alone mark it, for a reader who believes them.

    >>> verdict([]), verdict([Finding("label", "broken", "")]), verdict([unread("it is a pipe")])
    ('unmarked', 'broken', 'not read')
    """
    states = {finding.state for finding in findings}
    if NOT_READ in states:
        return NOT_READ
    return "broken" if BROKEN in states else "marked" if FOUND in states else "unmarked"
