"""Lists of authorities to trust, by the name of their asset or as a file of certificates (PEM)."""

from __future__ import annotations

from pathlib import Path

from audit import assets
from audit.core.errors import InputError
from audit.formats.hostile import UnreadableError, printable
from audit.formats.texts import read_whole

OFFICIAL = "c2pa-trust-lists"
_SIGNERS, _TIME_STAMPS = "C2PA-TRUST-LIST.pem", "C2PA-TSA-TRUST-LIST.pem"
_MARK = "-----BEGIN CERTIFICATE-----"
_MOST_CHARACTERS = 10_000_000


def authorities(said: str, base: Path) -> tuple[str, str]:
    """Return the certificates that vouch for signers and for time stamps, in PEM.

    ``said`` is the name of the official lists' asset, or a file whose authorities are trusted for both. Raise InputError.
    """
    place = base / Path(said).expanduser()
    if said == OFFICIAL and not place.exists():
        folder = assets.verified(OFFICIAL)
        return _certificates(folder / _SIGNERS), _certificates(folder / _TIME_STAMPS)
    found = _certificates(place)
    return found, found


def _certificates(place: Path) -> str:
    try:
        text = read_whole(place, _MOST_CHARACTERS)
    except UnreadableError as error:
        raise InputError(
            f"The list of authorities to trust, {printable(place)}, cannot be read: {error}. Name a file of certificates in PEM, or "
            f"'{OFFICIAL}' for the official lists (audit fetch {OFFICIAL})."
        ) from None
    if _MARK not in text:
        raise InputError(
            f"{printable(place)} holds no certificate. A list of authorities is in PEM: {_MARK} …"
        )
    return text
