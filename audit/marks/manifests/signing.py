"""Signs an output, without a network and without a stored key.

An image carries its manifest inside. The manifest that this module makes for a text
is a sidecar: a ``.c2pa`` file beside the text, bound to it by a SHA-256 over every byte of
its UTF-8 form and by nothing else. The name of the text file is not bound, and
the text alone does not show that a sidecar ever existed. ``embedding`` puts one inside instead.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audit.marks.manifests.carriers import manifest_offsets, sealed
from audit.marks.manifests.reading import GENERATED, OFFLINE, TEXT, Held, Verifier
from audit.marks.manifests.signers import Signer

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


class Bench(Verifier):
    """The library set up twice: to sign without thumbnails, and to verify against one trusted authority."""

    def __init__(self, anchors: str) -> None:
        super().__init__(anchors)
        self._signing = signing_context(anchors)

    def sign(self, plain: bytes, mime: str, signer: Signer, opened: Any) -> Signed:
        """Sign a file; a text gets a sidecar. ``opened`` is ``signer.open()``. Raise what the library raises."""
        signed = sign_with(self._signing, plain, mime, opened)
        if signer.forged is None:
            return signed
        forged = signer.put_forged(signed.manifest)
        return Signed(plain, signed.with_manifest(forged), forged)


def signing_context(anchors: str = "") -> Any:
    """Return the library set up to sign without thumbnails and without a network."""
    import c2pa

    trust = {"trust": {"trust_anchors": anchors}} if anchors else {}
    return c2pa.Context.from_dict(
        {"builder": {"thumbnail": {"enabled": False}}, "verify": {**OFFLINE}, **trust}
    )


def sign_with(context: Any, plain: bytes, mime: str, opened: Any) -> Signed:
    """Sign a file with the library's signer ``opened``; a text gets a sidecar. Raise what the library raises."""
    import c2pa

    sidecar, out = mime == TEXT, io.BytesIO()
    with c2pa.Builder(CLAIM, context=context) as builder:
        if sidecar:
            builder.set_no_embed()
        manifest = bytes(builder.sign(opened, mime, io.BytesIO(plain), out))
    held = Held(mime, plain, manifest) if sidecar else Held(mime, out.getvalue())
    return Signed(plain, held, manifest)
