"""Reads the credential that a file carries, offline, and says what it vouches for."""

from __future__ import annotations

import enum
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from audit.marks.manifests.text_wrapper import NoSingleManifestError, wrapper_in

TEXT = "text/plain"
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = f"{SOURCE_TYPES}trainedAlgorithmicMedia"
"""What a manifest asserts of an output that a trained model created (IPTC digital source types)."""
MADE_WITH_MODELS = frozenset({GENERATED, f"{SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"})

OFFLINE: Mapping[str, Any] = {
    "remote_manifest_fetch": False,
    "ocsp_fetch": False,
    "verify_after_sign": False,  # each credential is read back explicitly instead
}


_HASH_FAILED, _HASH_RIGHT = "assertion.dataHash.mismatch", "assertion.dataHash.match"
_UNTRUSTED, _KNOWN_SIGNER = "signingCredential.untrusted", "signingCredential.trusted"


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
class Reading:
    """A verifier's answer, its failure codes in the verifier's order, and the manifest it read.

    ``passed`` holds the codes of what was checked and found right.
    """

    answer: Answer
    codes: tuple[str, ...] = ()
    manifest: Mapping[str, Any] | None = None
    passed: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether nothing was altered since it was signed, by somebody known or unknown."""
        return self.answer in (Answer.TRUSTED, Answer.VALID)

    @property
    def carried(self) -> bool:
        """Whether there is a credential, sound or not."""
        return self.answer is not Answer.ABSENT

    @property
    def declares_generated(self) -> bool:
        """Whether the manifest says that a trained model created the output."""
        return any(
            a.get("action") == "c2pa.created" and a.get("digitalSourceType") == GENERATED
            for a in self.actions()
        )

    @property
    def source_types(self) -> tuple[str, ...]:
        """The last words of the digital source types that its actions name, each once."""
        found = (str(a.get("digitalSourceType") or "") for a in self.actions())
        return tuple(dict.fromkeys(said.rpartition("/")[2] for said in found if said))

    @property
    def time_stamped(self) -> bool:
        """Whether a time-stamp authority signed when the credential was made, and its signature is right."""
        return "timeStamp.validated" in self.passed

    @property
    def time_stamp_trusted(self) -> bool:
        """Whether an authority that is trusted to stamp times vouches for the time stamp."""
        return self.time_stamped and "timeStamp.trusted" in self.passed

    @property
    def signer(self) -> str:
        """Who signed, as the certificate names it; empty where it does not say."""
        said = self._under("signature_info")
        names = (said.get("common_name"), said.get("issuer"))
        return ", ".join(str(name)[:120] for name in names if name)

    @property
    def signed_at(self) -> str:
        return str(self._under("signature_info").get("time") or "")[:40]

    @property
    def ingredients(self) -> int:
        """How many earlier works it says that this one was made from."""
        return len((self.manifest or {}).get("ingredients") or [])

    @property
    def soft_bindings(self) -> tuple[str, ...]:
        """The algorithms of the watermarks or fingerprints by which a stripped manifest could be found again."""
        found = (a.get("data") or {} for a in self._assertions("c2pa.soft-binding"))
        return tuple(dict.fromkeys(str(data.get("alg", "unnamed"))[:80] for data in found))

    def actions(self) -> Iterator[Mapping[str, Any]]:
        """Yield the actions that the manifest declares, in its order."""
        for assertion in self._assertions("c2pa.actions"):
            data = assertion.get("data")
            for action in (data.get("actions") or []) if isinstance(data, Mapping) else []:
                if isinstance(action, Mapping):
                    yield action

    def _assertions(self, label: str) -> Iterator[Mapping[str, Any]]:
        for assertion in (self.manifest or {}).get("assertions") or []:
            if str(assertion.get("label", "")).startswith(label):
                yield assertion

    def _under(self, name: str) -> Mapping[str, Any]:
        found = (self.manifest or {}).get(name)
        return found if isinstance(found, Mapping) else {}


class Verifier:
    """Reads credentials against the authorities in ``anchors`` (certificates in PEM); without any, none is trusted.

    ``time_stamps`` are those trusted to stamp times, by default the same. The library asks one pool of authorities whatever they are
    listed for, so a signer whom only a time-stamp authority vouches for would pass as trusted: that is looked at here.
    """

    def __init__(self, anchors: str = "", time_stamps: str = "") -> None:
        stamping = _certificates(time_stamps)
        known = _certificates(anchors)
        self.trusting = bool(known)
        only_stamping = [pem for pem in stamping if pem not in known]
        self._context = _context("".join([*known, *only_stamping]))
        self._only_stamping = _context("".join(only_stamping)) if only_stamping else None

    def read(self, held: Held) -> Reading:
        """Say what a verifier that trusts these authorities makes of it. Never raises."""
        reading = self._asked(held, self._context)
        if reading.answer is not Answer.TRUSTED or self._only_stamping is None:
            return reading
        if _KNOWN_SIGNER not in self._asked(held, self._only_stamping).passed:
            return reading
        passed = tuple(code for code in reading.passed if code != _KNOWN_SIGNER)
        return replace(reading, answer=Answer.VALID, codes=(*reading.codes, _UNTRUSTED), passed=passed)

    def _asked(self, held: Held, context: Any) -> Reading:
        if held.mime == TEXT and held.sidecar is None:
            return self._read_text(held, context)
        return self._read(held, context)[0]

    def _read(self, held: Held, context: Any) -> tuple[Reading, str]:
        """Return what the library says, and the whole store as JSON; empty where there is none."""
        import c2pa

        try:
            with c2pa.Reader(
                held.mime, io.BytesIO(held.file), manifest_data=held.sidecar, context=context
            ) as reader:
                results = reader.get_validation_results() or {}
                state = reader.get_validation_state()
                manifest = reader.get_active_manifest()
                details = reader.detailed_json()
        except c2pa.C2paError.ManifestNotFound:
            return Reading(Answer.ABSENT), ""
        except Exception as error:  # whatever a damaged file makes the parser say, the answer is the same
            return Reading(Answer.UNREADABLE, (type(error).__name__.removeprefix("_C2pa"),)), ""
        own = results.get("activeManifest") or {}
        codes, passed = (_codes(own.get(kind)) for kind in ("failure", "success"))
        return Reading(answer_of(state), codes, manifest, passed), str(details)

    def _read_text(self, held: Held, context: Any) -> Reading:
        """Read the manifest that a text carries in characters of no width, if it carries one.

        The library takes no manifest out of a text, so it finds the hash right and the place that the hash leaves
        out not to be the manifest's; whether it is the wrapper's is checked here.
        """
        text = held.file.decode("utf-8", errors="replace")
        try:
            found = wrapper_in(text)
        except NoSingleManifestError as error:
            return Reading(Answer.INVALID, (error.code,))
        if found is None:
            return Reading(Answer.ABSENT)
        reading, details = self._read(replace(held, sidecar=found.manifest), context)
        misplaced = _HASH_FAILED in reading.codes and _HASH_RIGHT in reading.passed
        if not misplaced or _left_out(details) != [(found.start, found.length)]:
            return reading
        codes = tuple(code for code in reading.codes if code != _HASH_FAILED)
        if set(codes) - {_UNTRUSTED}:
            return replace(reading, codes=codes)
        return replace(reading, codes=codes, answer=Answer.VALID if codes else Answer.TRUSTED)


def _context(anchors: str) -> Any:
    import c2pa

    trust = {"trust": {"trust_anchors": anchors}} if anchors else {}
    return c2pa.Context.from_dict({"verify": {**OFFLINE, "verify_trust": True}, **trust})


def _certificates(pem: str) -> list[str]:
    """Return certificates in PEM, each by itself. Raise ValueError for what holds none: the library passes over what it does not understand."""
    if not pem.strip():
        return []
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise ValueError(f"the certificates of the authorities to trust cannot be read: {error}") from error
    return list(dict.fromkeys(one.public_bytes(Encoding.PEM).decode() for one in found))


def _left_out(details: str) -> list[tuple[int, int]]:
    """Return the bytes that the active manifest's data hash leaves out, as starts and lengths."""
    try:
        store = json.loads(details)
        active = store["manifests"][store["active_manifest"]]["assertion_store"]
        return [(int(e["start"]), int(e["length"])) for e in active["c2pa.hash.data"]["exclusions"]]
    except (ValueError, KeyError, TypeError):
        return []


def _codes(entries: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(entry["code"]) for entry in entries or []))


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
