"""Puts a credential into a plain text, as characters of no width behind it (C2PA 2.4, A.8), by the library ``c2patxt``.

The claim names how long the wrapper is, the wrapper holds the signed claim, and each of its bytes takes three or four bytes of UTF-8: the
library finds the padding at which all of it agrees. It signs with Ed25519 alone, and writes texts in Unicode's form NFC, which is what is
hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.x509 import Certificate

Embed = Callable[[bytes], bytes]
GENERATOR = "generative-audit"


def embedding(key: Ed25519PrivateKey, chain: Sequence[Certificate]) -> Embed:
    """Return ``f(UTF-8 text) -> the same with its credential``. Raise ValueError that says why this key or chain, or a text, cannot be used.

    ``chain`` begins with the signer's own certificate. Authorities that signed themselves are left out: a reader brings those it trusts.
    """
    try:
        import c2patxt
    except ModuleNotFoundError as error:
        raise ValueError(
            "credentials inside texts are written by c2patxt: install generative-audit[text-credentials]"
        ) from error
    carried = tuple(c for i, c in enumerate(chain) if i == 0 or c.subject != c.issuer)
    signer = c2patxt.Signer(key, carried)
    disclosure = c2patxt.Disclosure("text/plain", c2patxt.ModelType.GENERIC)

    def embed(text: bytes) -> bytes:
        try:
            plain = text.decode()
        except UnicodeDecodeError as error:
            raise ValueError("it is no UTF-8 text") from error
        context = c2patxt.EmbedContext(generator_name=GENERATOR)
        try:
            return c2patxt.embed(plain, signer, disclosure, context=context).encode()
        except c2patxt.AlreadyMarkedError as error:
            raise ValueError("it carries a credential inside already") from error
        except c2patxt.C2paTextError as error:
            raise ValueError(f"no credential can be put inside: {error}") from error

    return embed
