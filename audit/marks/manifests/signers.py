"""Ephemeral signers for credentials: one that is trusted and several that must not be.

Keys and certificates live in memory for one shard and are never
stored. A signing library refuses certificates that are expired or made for
another purpose, but a forger does not ask it, so those signers are forged: the
library is shown a sound certificate and the unsound one of the same key and
length takes its place, inside the signature and in the manifest.

Every certificate is drawn again until its signature has the same length, so
that credentials have the same size each time although ECDSA is random.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

UNTRUSTED: Mapping[str, str] = {
    "unknown_authority": "a sound certificate from an authority nobody trusts",
    "impostor_authority": "an authority with the name and key identifier of the trusted one, and its own key",
    "expired": "a certificate of the trusted authority that ran out before it signed",
    "not_yet_valid": "a certificate of the trusted authority whose time has not come",
    "wrong_purpose": "a certificate of the trusted authority made for TLS servers",
}
"""The signers a verifier must not trust, and what is wrong with each."""

_DAY = dt.timedelta(days=1)
_SIGNATURE_BYTES = 71  # the commonest length of a P-256 signature in DER: every second draw has it
_FORGED = ("expired", "not_yet_valid", "wrong_purpose")


@dataclass(frozen=True, slots=True)
class Authority:
    """A self-made certificate authority."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return _pem(self.certificate)


@dataclass(frozen=True, slots=True)
class Signer:
    """A key with the certificate that the signing library sees, and the one that replaces it in a forgery."""

    key: ec.EllipticCurvePrivateKey
    shown: x509.Certificate
    authority: Authority
    forged: x509.Certificate | None = None

    def open(self) -> Any:
        """Return the library's signer, without a time-stamp authority: nothing is asked over the network."""
        import c2pa

        chain = _pem(self.shown) + self.authority.pem
        if self.forged is None:
            return c2pa.Signer.from_info(
                c2pa.C2paSignerInfo(b"es256", chain.encode(), _key_pem(self.key), None)
            )
        return c2pa.Signer.from_callback(self._sign_forged, c2pa.C2paSigningAlg.ES256, chain, None)

    def put_forged(self, manifest: bytes) -> bytes:
        """Return the manifest with the certificate that was signed for; same length."""
        if self.forged is None:
            return manifest
        shown, forged = _der(self.shown), _der(self.forged)
        if manifest.count(shown) != 1 or len(shown) != len(forged):
            raise ValueError("the certificate to be replaced is not in the manifest exactly once")
        return manifest.replace(shown, forged)

    def _sign_forged(self, message: bytes) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        der = self.key.sign(self.put_forged(message), ec.ECDSA(hashes.SHA256()))
        r, s = utils.decode_dss_signature(der)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@dataclass(frozen=True, slots=True)
class Signers:
    """One trusted signer, and by name those that a verifier must not trust.

    ``candid`` holds the unsound certificates shown to the library as they are,
    to learn whether it refuses to sign with them.
    """

    anchors: str
    trusted: Signer
    untrusted: Mapping[str, Signer]
    candid: Mapping[str, Signer]


def ephemeral_signers() -> Signers:
    """Make a trusted authority and every signer, valid from now. Takes a few milliseconds."""
    root = _authority("Ephemeral audit root")
    impostor = _authority("Ephemeral audit root", key_identifier_of=root)
    unknown = _authority("Another ephemeral root")
    trusted = _signer(root)
    unsound = {name: _leaf(root, trusted.key, name) for name in _FORGED}
    return Signers(
        anchors=root.pem,
        trusted=trusted,
        untrusted={
            "unknown_authority": _signer(unknown),
            "impostor_authority": _signer(impostor),
            **{name: Signer(trusted.key, trusted.shown, root, leaf) for name, leaf in unsound.items()},
        },
        candid={name: Signer(trusted.key, leaf, root) for name, leaf in unsound.items()},
    )


def text_signer(authority: Authority) -> tuple[ed25519.Ed25519PrivateKey, tuple[x509.Certificate]]:
    """Make an Ed25519 key, which credentials inside texts need, and its certificate from an authority."""
    from cryptography.hazmat.primitives.asymmetric import ed25519

    key = ed25519.Ed25519PrivateKey.generate()
    return key, (_leaf(authority, key, "sound"),)


def _signer(authority: Authority) -> Signer:
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return Signer(key, _leaf(authority, key, "sound"), authority)


def _authority(common_name: str, key_identifier_of: Authority | None = None) -> Authority:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    identifier = _identifier(key if key_identifier_of is None else key_identifier_of.key)
    name, now = _name(common_name), dt.datetime.now(dt.UTC)
    draft = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .not_valid_before(now - 365 * _DAY)
        .not_valid_after(now + 365 * _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .add_extension(identifier, critical=False)
    )
    return Authority(key, _issued(draft, key))


def _leaf(
    authority: Authority, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, variant: str
) -> x509.Certificate:
    """Issue an end-entity certificate: not an authority, for digital signatures, e-mail protection (C2PA's profile)."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    now = dt.datetime.now(dt.UTC)
    begins, ends = {
        "expired": (now - 60 * _DAY, now - 30 * _DAY),
        "not_yet_valid": (now + 30 * _DAY, now + 60 * _DAY),
    }.get(variant, (now - _DAY, now + 30 * _DAY))
    wrong = variant == "wrong_purpose"
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if wrong else ExtendedKeyUsageOID.EMAIL_PROTECTION
    issuer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    draft = (
        x509.CertificateBuilder()
        .subject_name(_name("Ephemeral audit signer"))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(_identifier(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
    )
    return _issued(draft, authority.key)


def _issued(draft: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    from cryptography.hazmat.primitives import hashes

    while True:
        serial = (0x70 << 56) | secrets.randbits(56)  # always eight bytes in DER
        certificate = draft.serial_number(serial).sign(key, hashes.SHA256())
        if len(certificate.signature) == _SIGNATURE_BYTES:
            return certificate


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test credentials, trusted by nobody"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _identifier(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> x509.SubjectKeyIdentifier:
    from cryptography import x509

    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
