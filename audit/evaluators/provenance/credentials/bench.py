"""What signing would give: every output signed, attacked and read back, in every format that fits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar

from audit.core.recipes import Context, Recipe
from audit.core.rows import IMAGE, TEXT, Rng, Rows, images_of, texts_of
from audit.evaluators.provenance.credentials.tampering import TAMPERS, same_to_a_reader, stripped, tampered
from audit.marks.manifests import reading as readings
from audit.marks.manifests.carriers import writable
from audit.marks.manifests.reading import Answer, Held, Reading
from audit.marks.manifests.signers import Signers, ephemeral_signers
from audit.marks.manifests.signing import Bench, Signed

INTACT, UNSIGNED, REFUSAL, TAMPER, SIGNER, STRIP = (
    "intact",
    "unsigned",
    "refusal",
    "tamper",
    "signer",
    "strip",
)
FAILED, INERT, REJECTED, REFUSED, INAPPLICABLE = "failed", "inert", "rejected", "refused", "not applicable"
"""Outcomes beside a verifier's answers: not signed; altered where nobody sees it; not accepted; not signed on purpose;
no file to sign, because the output is empty or the format cannot hold it."""

_RANDOM_NAME = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|0x[0-9a-f]{6,}")


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing done to one output in one format, and what the verifier made of it."""

    output: int
    format: str
    kind: str
    case: str
    outcome: str
    code: str = ""
    declared: bool = False
    added: int = 0


def libraries() -> tuple[str, ...]:
    """Return the versions of the libraries that write, sign and verify: part of what a result is about."""
    return tuple(f"{name} {version(name)}" for name in ("c2pa-python", "cryptography", "pillow"))


@dataclass(frozen=True)
class CredentialTrials(Recipe[Rows]):
    """One row per output, format and case, of the ``first`` outputs; the columns are the fields of ``Trial``.

    Signatures are random and certificates are made anew for each shard, so a
    shard holds outcomes and sizes only: they are the same each time. Of random
    damage it keeps whether it was accepted, not the parser's words for it.
    """

    kind: ClassVar[str] = "credential-trials"
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Rows]
    seed: int
    libraries: tuple[str, ...]
    first: int

    @property
    def label(self) -> str:
        return f"credentials of {self.source.label}"

    def make(self, context: Context, source: Rows) -> Rows:
        import pyarrow as pa

        left = max(0, self.first - self.source.rows_of(context.shard).start)
        trials = list(run_trials(source.slice(0, left), context.rng()))
        types = {"output": pa.int32(), "declared": pa.bool_(), "added": pa.int64()}
        return pa.table(
            {
                name: pa.array([getattr(t, name) for t in trials], types.get(name, pa.string()))
                for name in Trial.__slots__
            }
        )


@dataclass(frozen=True, slots=True)
class _Carrier:
    """A format as the trials see it: how each output becomes a file."""

    name: str
    mime: str
    encode: Callable[[Any], bytes]


def run_trials(rows: Rows, rng: Rng) -> Iterator[Trial]:
    """Yield every trial on these outputs, format by format."""
    signers = ephemeral_signers()
    bench = Bench(signers.anchors)
    outputs, carriers = _carriers(rows)
    for carrier in carriers:
        yield from _Format(carrier, bench, signers, rng).trials(outputs)


def _carriers(rows: Rows) -> tuple[Sequence[Any], tuple[_Carrier, ...]]:
    if IMAGE in rows.column_names:
        return list(images_of(rows)), tuple(_Carrier(f.name, f.mime, f.encode) for f in writable())
    return texts_of(rows, TEXT), (_Carrier("text", readings.TEXT, _encode_text),)


def _encode_text(text: str | None) -> bytes:
    if not text:
        raise ValueError("the output is empty")
    return text.encode()


class _Format:
    """All trials in one format, with the signers opened once."""

    def __init__(self, carrier: _Carrier, bench: Bench, signers: Signers, rng: Rng) -> None:
        self._carrier, self._bench, self._signers, self._rng = carrier, bench, signers, rng
        self._trusted = signers.trusted.open()
        self._untrusted = {name: signer.open() for name, signer in signers.untrusted.items()}

    def trials(self, outputs: Sequence[Any]) -> Iterator[Trial]:
        done: list[tuple[int, Signed]] = []
        for index, output in enumerate(outputs):
            try:
                plain = self._carrier.encode(output)
            except Exception as error:  # what a format cannot hold is no failure to sign
                yield self._trial(index, INTACT, INTACT, INAPPLICABLE, _message(error))
                continue
            try:
                signed = self._bench.sign(plain, self._carrier.mime, self._signers.trusted, self._trusted)
            except Exception as error:  # an output no library takes is a finding, not the end of the audit
                yield self._trial(index, INTACT, INTACT, FAILED, _message(error))
                continue
            reading = self._bench.read(signed.held)
            yield Trial(
                index,
                self._carrier.name,
                INTACT,
                INTACT,
                str(reading.answer),
                ", ".join(reading.codes),
                declared=reading.answer is Answer.TRUSTED and reading.declares_generated,
                added=signed.added,
            )
            unsigned = self._bench.read(Held(self._carrier.mime, plain))
            yield self._read(index, UNSIGNED, UNSIGNED, unsigned)
            if reading.answer is Answer.TRUSTED:
                done.append((index, signed))
        if done:
            yield from self._refusals(*done[0])
        for place, (index, signed) in enumerate(done):
            before = (done[place - back][1] for back in range(1, len(done)))
            donor = next((other for other in before if other.plain != signed.plain), None)
            yield from self._tampers(index, signed, donor)
            yield from self._false_signers(index, signed.plain)
            yield from self._strips(index, signed)

    def _trial(self, index: int, kind: str, case: str, outcome: str, code: str = "") -> Trial:
        return Trial(index, self._carrier.name, kind, case, outcome, code)

    def _read(self, index: int, kind: str, case: str, reading: Reading) -> Trial:
        return self._trial(index, kind, case, str(reading.answer), ", ".join(reading.codes))

    def _tampers(self, index: int, signed: Signed, donor: Signed | None) -> Iterator[Trial]:
        for name in TAMPERS:
            try:
                held = tampered(name, signed, donor, self._rng)
                reading = self._bench.read(held)
                if name != "random_bytes":
                    yield self._read(index, TAMPER, name, reading)
                else:  # where they fall decides the parser's words, and some bytes are random
                    yield self._trial(index, TAMPER, name, self._random_outcome(signed, held, reading))
            except (
                Exception
            ) as error:  # a tamper that this file leaves no room for is no trial, and is counted
                yield self._trial(index, TAMPER, name, FAILED, _message(error))

    def _random_outcome(self, signed: Signed, held: Held, reading: Reading) -> str:
        if reading.answer not in (Answer.TRUSTED, Answer.VALID):
            return REJECTED
        claims = self._bench.read(signed.held).manifest
        inert = reading.manifest == claims and same_to_a_reader(signed.held, held)
        return INERT if inert else str(reading.answer)

    def _false_signers(self, index: int, plain: bytes) -> Iterator[Trial]:
        for name, opened in self._untrusted.items():
            signer = self._signers.untrusted[name]
            try:
                signed = self._bench.sign(plain, self._carrier.mime, signer, opened)
            except Exception as error:  # a forgery that could not be made tests nobody, and is counted
                yield self._trial(index, SIGNER, name, FAILED, _message(error))
            else:
                yield self._read(index, SIGNER, name, self._bench.read(signed.held))

    def _refusals(self, index: int, signed: Signed) -> Iterator[Trial]:
        """Show the library each unsound certificate as it is, once: the outcome does not depend on the output."""
        for name, signer in self._signers.candid.items():
            try:
                self._bench.sign(signed.plain, self._carrier.mime, signer, signer.open())
            except Exception as error:  # the refusal is the result
                yield self._trial(index, REFUSAL, name, REFUSED, _message(error))
            else:
                yield self._trial(index, REFUSAL, name, "signed")

    def _strips(self, index: int, signed: Signed) -> Iterator[Trial]:
        try:
            for name, held in stripped(signed):
                yield self._read(index, STRIP, name, self._bench.read(held))
        except Exception as error:  # a change that cannot be made to this output is no trial
            yield self._trial(index, STRIP, "not possible", FAILED, _message(error))


def _message(error: Exception) -> str:
    """Return what an error says in at most 200 characters, without names that are random."""
    name, said = type(error).__name__.removeprefix("_C2pa"), str(error)
    whole = said if said.startswith(name) else f"{name}: {said}"
    return _RANDOM_NAME.sub("…", whole)[:200]
