"""Counts trials by output: an output is one unit, however many formats and cases it went through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from audit.core.rows import Rows
from audit.evaluators.provenance.trials import INTACT, Trial

Unit: TypeAlias = int
"""One output of the model."""

_OUTCOMES = ("trusted", "valid", "invalid", "absent", "unreadable", "rejected", "inert", "refused", "failed")


@dataclass(frozen=True, slots=True)
class Tally:
    """Trials of all shards, with outputs numbered across shards."""

    trials: tuple[Trial, ...]

    @classmethod
    def of(cls, pieces: Iterable[Rows]) -> Tally:
        found: list[Trial] = []
        first = 0
        for piece in pieces:
            rows = [Trial(**row) for row in piece.to_pylist()]
            found += [
                Trial(t.output + first, t.format, t.kind, t.case, t.outcome, t.code, t.declared, t.added)
                for t in rows
            ]
            first += 1 + max((t.output for t in rows), default=-1)
        return cls(tuple(found))

    @property
    def formats(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(t.format for t in self.trials))

    def cases(self, kind: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(t.case for t in self.trials if t.kind == kind))

    def without(self, *outcomes: str) -> Tally:
        """Return the trials that came out otherwise."""
        return Tally(tuple(t for t in self.trials if t.outcome not in outcomes))

    def outcomes(self, kind: str) -> list[str]:
        return [t.outcome for t in self.trials if t.kind == kind]

    def codes(self, kind: str, outcome: str) -> Counter[str]:
        return Counter(t.code for t in self.trials if t.kind == kind and t.outcome == outcome)

    def every(
        self, kind: str, holds: Callable[[str], bool], case: str | None = None, carrier: str | None = None
    ) -> dict[Unit, bool]:
        """Return for each output whether all its trials of this kind came out so."""
        units: dict[Unit, bool] = {}
        for t in self.trials:
            if t.kind == kind and case in (None, t.case) and carrier in (None, t.format):
                units[t.output] = units.get(t.output, True) and holds(t.outcome)
        return units

    def some(self, kind: str, holds: Callable[[str], bool], case: str | None = None) -> dict[Unit, bool]:
        """Return for each output whether any of its trials of this kind came out so."""
        never = self.every(kind, lambda outcome: not holds(outcome), case)
        return {unit: not held for unit, held in never.items()}

    def declared(self) -> dict[Unit, bool]:
        """Return for each signed output whether its manifest declares what made it, in every format."""
        units: dict[Unit, bool] = {}
        for t in self.trials:
            if t.kind == INTACT:
                units[t.output] = units.get(t.output, True) and t.declared
        return units

    def added(self, carrier: str | None = None) -> list[tuple[Unit, int]]:
        """Return how many bytes each signed file grew by, with its output."""
        return [(t.output, t.added) for t in self.trials if t.kind == INTACT and carrier in (None, t.format)]


def cell_table(tally: Tally, kinds: Sequence[str]) -> Rows:
    """Return one row per kind, case and format: how many trials came out how, and the commonest failure codes."""
    import pyarrow as pa

    cells: dict[tuple[str, str, str], list[Trial]] = {}
    for t in tally.trials:
        if t.kind in kinds:
            cells.setdefault((t.kind, t.case, t.format), []).append(t)
    rows = [_cell(key, trials) for key, trials in cells.items()]
    used = [name for name in _OUTCOMES if any(row[name] for row in rows)]
    columns = ["kind", "case", "format", "trials", *used, "codes"]
    return pa.table({name: [row[name] for row in rows] for name in columns})


def _cell(key: tuple[str, str, str], trials: Sequence[Trial]) -> dict[str, str | int]:
    outcomes = Counter(t.outcome for t in trials)
    codes = Counter(t.code for t in trials if t.code)
    kind, case, carrier = key
    return {
        "kind": kind,
        "case": case,
        "format": carrier,
        "trials": len(trials),
        **{name: outcomes[name] for name in _OUTCOMES},
        "codes": "; ".join(f"{count} × {code}" for code, count in codes.most_common(3)),
    }
