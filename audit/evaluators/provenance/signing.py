"""Signs an output and reads its credential back, without a network and without a stored key.

An image carries its manifest inside. A text has no room for one, so its manifest
is a sidecar: a ``.c2pa`` file beside the text, bound to it by a SHA-256 over every byte of
its UTF-8 form and by nothing else. The name of the text file is not bound, and
the text alone does not show that a sidecar ever existed.
"""

from __future__ import annotations

import enum
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audit.evaluators.provenance.carriers import manifest_offsets, sealed
from audit.evaluators.provenance.signers import Signer

TEXT = "text/plain"
GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""What the manifest asserts: the output was created by a trained model (IPTC digital source types)."""

_OFFLINE: Mapping[str, Any] = {
    "remote_manifest_fetch": False,
    "ocsp_fetch": False,
    "verify_after_sign": False,  # each credential is read back explicitly instead
}
CLAIM = json.dumps(
    {
        "claim_generator_info": [{"name": "generative-audit"}],
        "assertions": [
            {
                "label": "c2pa.actions",
                "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": GENERATED}]},
            }
        ],
    }
)


class Answer(enum.StrEnum):
    """What a verifier says of a credential. Only ``trusted`` vouches for anything.

    ``valid`` means that nothing was altered since somebody unknown signed it:
    anyone can reach that with an authority of their own.
    """

    TRUSTED = "trusted"
    VALID = "valid"
    INVALID = "invalid"
    ABSENT = "absent"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Held:
    """What a recipient has in hand: a file and, for a text, the sidecar that came with it."""

    mime: str
    file: bytes
    sidecar: bytes | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """An output before and after signing, and its manifest."""

    plain: bytes
    held: Held
    manifest: bytes

    @property
    def added(self) -> int:
        """How many bytes the credential costs, sidecar included."""
        return len(self.held.file) + len(self.held.sidecar or b"") - len(self.plain)

    def with_manifest(self, manifest: bytes) -> Held:
        """Return what a recipient holds when this manifest takes the place of the true one; same length."""
        if len(manifest) != len(self.manifest):
            raise ValueError("only a manifest of the same length fits")
        if self.held.sidecar is not None:
            return replace(self.held, sidecar=manifest)
        file = np.frombuffer(self.held.file, np.uint8).copy()
        file[manifest_offsets(self.held.file, self.manifest)] = np.frombuffer(manifest, np.uint8)
        return replace(self.held, file=sealed(file.tobytes()))


@dataclass(frozen=True, slots=True)
class Reading:
    """A verifier's answer, its failure codes in the verifier's order, and the manifest it read."""

    answer: Answer
    codes: tuple[str, ...] = ()
    manifest: Mapping[str, Any] | None = None

    @property
    def declares_generated(self) -> bool:
        """Whether the manifest says that a trained model created the output."""
        assertions = (self.manifest or {}).get("assertions", [])
        actions = [
            action
            for assertion in assertions
            if str(assertion.get("label", "")).startswith("c2pa.actions")
            for action in assertion.get("data", {}).get("actions", [])
        ]
        return any(
            a.get("action") == "c2pa.created" and a.get("digitalSourceType") == GENERATED for a in actions
        )


class Bench:
    """The library set up twice: to sign without thumbnails, and to verify against one trusted authority."""

    def __init__(self, anchors: str) -> None:
        import c2pa

        trust = {"trust_anchors": anchors}
        self._signing = c2pa.Context.from_dict(
            {"builder": {"thumbnail": {"enabled": False}}, "verify": {**_OFFLINE}, "trust": trust}
        )
        self._verifying = c2pa.Context.from_dict(
            {"verify": {**_OFFLINE, "verify_trust": True}, "trust": trust}
        )

    def sign(self, plain: bytes, mime: str, signer: Signer, opened: Any) -> Signed:
        """Sign a file; a text gets a sidecar. ``opened`` is ``signer.open()``. Raise what the library raises."""
        import c2pa

        sidecar, out = mime == TEXT, io.BytesIO()
        with c2pa.Builder(CLAIM, context=self._signing) as builder:
            if sidecar:
                builder.set_no_embed()
            manifest = bytes(builder.sign(opened, mime, io.BytesIO(plain), out))
        held = Held(mime, plain, manifest) if sidecar else Held(mime, out.getvalue())
        signed = Signed(plain, held, manifest)
        if signer.forged is None:
            return signed
        forged = signer.put_forged(manifest)
        return Signed(plain, signed.with_manifest(forged), forged)

    def read(self, held: Held) -> Reading:
        """Say what a verifier that trusts one authority makes of it. Never raises."""
        import c2pa

        try:
            with c2pa.Reader(
                held.mime, io.BytesIO(held.file), manifest_data=held.sidecar, context=self._verifying
            ) as reader:
                results = reader.get_validation_results() or {}
                state = reader.get_validation_state()
                manifest = reader.get_active_manifest()
        except c2pa.C2paError.ManifestNotFound:
            return Reading(Answer.ABSENT)
        except Exception as error:  # whatever a damaged file makes the parser say, the answer is the same
            if held.mime == TEXT and held.sidecar is None:  # a text has no manifest of its own to look for
                return Reading(Answer.ABSENT)
            return Reading(Answer.UNREADABLE, (type(error).__name__.removeprefix("_C2pa"),))
        failures = (results.get("activeManifest") or {}).get("failure") or []
        codes = tuple(dict.fromkeys(str(failure["code"]) for failure in failures))
        return Reading(answer_of(state), codes, manifest)


def answer_of(state: str | None) -> Answer:
    """Translate the library's validation state. What it does not name is not trusted.

    >>> answer_of("Trusted"), answer_of("Valid"), answer_of(None)
    (<Answer.TRUSTED: 'trusted'>, <Answer.VALID: 'valid'>, <Answer.INVALID: 'invalid'>)
    """
    match state:
        case "Trusted":
            return Answer.TRUSTED
        case "Valid":
            return Answer.VALID
        case _:
            return Answer.INVALID
