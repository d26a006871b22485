"""Counts trials by output: an output is one unit, however many formats and cases it went through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from audit.core.rows import Rows
from audit.evaluators.provenance.credentials.bench import (
    FAILED,
    INAPPLICABLE,
    INERT,
    INTACT,
    REFUSAL,
    SIGNER,
    STRIP,
    TAMPER,
    UNSIGNED,
    Trial,
)
from audit.evaluators.provenance.credentials.tampering import STRIPS, TAMPERS
from audit.marks.manifests.signers import UNTRUSTED

_ACCEPTED = ("trusted", "valid")
_WANTED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    INTACT: ("trusted", ("trusted",)),
    UNSIGNED: ("absent", ("absent",)),
    TAMPER: ("not accepted", ("invalid", "absent", "unreadable", "rejected")),
    SIGNER: ("not trusted", ("valid", "invalid", "absent", "unreadable")),
    REFUSAL: ("refused", ("refused",)),
    STRIP: ("", ()),
}
"""What each kind of trial should come to; nothing is asked of a change in passing, which is only shown."""
_MEANING: Mapping[str, str] = {
    INTACT: "signed and read back",
    UNSIGNED: "not signed",
    REFUSAL: "the library is asked to sign with an unsound certificate",
    **{name: f"tampered: {words}" for name, words in TAMPERS.items()},
    **{name: f"signed by {words}" for name, words in UNTRUSTED.items()},
    **{name: f"changed: {words}" for name, words in STRIPS.items()},
}


@dataclass(frozen=True, slots=True)
class Tally:
    """Trials of all shards, with outputs numbered across shards."""

    trials: tuple[Trial, ...]

    @classmethod
    def of(cls, shards: Iterable[Rows]) -> Tally:
        found: list[Trial] = []
        first = 0
        for shard in shards:
            rows = [Trial(**row) for row in shard.to_pylist()]
            found += [replace(t, output=t.output + first) for t in rows]
            first += 1 + max((t.output for t in rows), default=-1)
        return cls(tuple(found))

    @property
    def formats(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(t.format for t in self.trials))

    def outcomes(self, kind: str) -> list[str]:
        return [t.outcome for t in self.trials if t.kind == kind]

    @property
    def void(self) -> str:
        """Why attacks on these credentials would show nothing; empty when they do."""
        blanks = self.outcomes(UNSIGNED)
        accepted = sum(outcome in _ACCEPTED for outcome in blanks)
        if accepted:
            return f"void: the verifier accepted {accepted} of {len(blanks)} outputs that carry no credential"
        return ""

    @property
    def sound(self) -> dict[int, bool]:
        """For each output that could become a file: whether every trial of it came to what it should."""
        units: dict[int, bool] = {}
        for t in self.trials:
            if t.outcome == INAPPLICABLE or (t.outcome in (FAILED, INERT) and t.kind != INTACT):
                continue
            wanted = _WANTED[t.kind][1]
            if wanted and t.kind != REFUSAL:
                units[t.output] = units.get(t.output, True) and t.outcome in wanted
        return units

    def inapplicable(self) -> list[str]:
        """Say how many outputs make no file: they are no failure to sign, and belong to no rate."""
        intact = [t for t in self.trials if t.kind == INTACT]
        lacking = Counter((t.format, t.code) for t in intact if t.outcome == INAPPLICABLE)
        outputs = len({t.output for t in intact})
        return [
            f"Not applicable to {count} of {outputs} outputs as {name}, and left out: {code}."
            for (name, code), count in lacking.most_common()
        ]

    def mean_added(self) -> float | None:
        """Return the mean number of bytes that a credential adds to a file."""
        added = [t.added for t in self.trials if t.kind == INTACT and t.added]
        return sum(added) / len(added) if added else None


def block(tally: Tally) -> Rows:
    """Return the bench in one table: a row per case, what was wanted, how often it came so, and the failure codes."""
    import pyarrow as pa

    cells: dict[tuple[str, str], list[Trial]] = {}
    for t in tally.trials:
        if t.outcome != INAPPLICABLE:
            cells.setdefault((t.kind, t.case), []).append(t)
    rows = [_row(kind, case, trials) for (kind, case), trials in cells.items()]
    columns = ("case", "trials", "should be", "is", "came out", "codes")
    return pa.table({name: [row[name] for row in rows] for name in columns})


def _row(kind: str, case: str, trials: Sequence[Trial]) -> dict[str, str | int]:
    wanted, outcomes = _WANTED[kind]
    came, codes = Counter(t.outcome for t in trials), Counter(t.code for t in trials if t.code)
    asked = [t for t in trials if t.outcome not in ((INERT,) if kind == INTACT else (INERT, FAILED))]
    said = _MEANING.get(kind, case) if kind != REFUSAL else f"{_MEANING[REFUSAL]}: {case}"
    return {
        "case": said if kind in (INTACT, UNSIGNED, REFUSAL) else _MEANING.get(case, case),
        "trials": len(trials),
        "should be": wanted,
        "is": f"{sum(t.outcome in outcomes for t in asked)} of {len(asked)}" if outcomes else "",
        "came out": "; ".join(f"{n} {outcome}" for outcome, n in came.most_common()),
        "codes": "; ".join(f"{n} × {code}" for code, n in codes.most_common(3)),
    }
