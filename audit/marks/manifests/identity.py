"""Who signs: a certificate and key that somebody brings, or an identity made for a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audit.marks.manifests.embedding import Embed, embedding
from audit.marks.manifests.signers import ephemeral_signers, text_signer


@dataclass(frozen=True, slots=True)
class Identity:
    """The library's signer, its name, and, for a test identity alone, the authority that a reader would have to trust.

    ``embed`` puts a credential into a text itself, where that was asked for.
    """

    opened: Any
    name: str
    test_authority: str = ""
    embed: Embed | None = None

    @classmethod
    def for_tests(cls, *, inside_texts: bool = False) -> Identity:
        """Make an identity that nobody trusts; its key is thrown away when the program ends."""
        signers = ephemeral_signers()
        embed = embedding(*text_signer(signers.trusted.authority)) if inside_texts else None
        return cls(signers.trusted.open(), "a test identity that nobody trusts", signers.anchors, embed)

    @classmethod
    def of(cls, chain: bytes, key: bytes, *, inside_texts: bool = False) -> Identity:
        """Take a certificate chain and an unencrypted private key, both in PEM. Raise ValueError that says what is wrong."""
        import c2pa
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            certificates = x509.load_pem_x509_certificates(chain)
        except ValueError as error:
            raise ValueError("the certificate chain holds no certificate in PEM") from error
        try:
            private = load_pem_private_key(key, password=None)
        except TypeError as error:
            raise ValueError(
                "the private key is encrypted; decrypt it into a file that only you can read"
            ) from error
        except ValueError as error:
            raise ValueError("the private key cannot be read; it is expected in PEM (PKCS #8)") from error
        if private.public_key() != certificates[0].public_key():
            raise ValueError("the private key does not belong to the first certificate of the chain")
        info = c2pa.C2paSignerInfo(_algorithm(private), chain, key, None)
        embed = None
        if inside_texts:
            if not isinstance(private, Ed25519PrivateKey):
                raise ValueError(
                    "credentials inside texts are signed with Ed25519 keys alone; without --embed-texts they lie beside the texts"
                )
            embed = embedding(private, certificates)
        try:
            return cls(
                c2pa.Signer.from_info(info),
                certificates[0].subject.rfc4514_string(),
                embed=embed,
            )
        except c2pa.C2paError as error:
            raise ValueError(f"C2PA does not sign with this certificate: {error}") from error


def _algorithm(key: Any) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return b"ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return b"ps256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    raise ValueError("C2PA signs with keys on the curves P-256, P-384 and P-521, Ed25519 and RSA")


_CURVES = {"secp256r1": b"es256", "secp384r1": b"es384", "secp521r1": b"es512"}
