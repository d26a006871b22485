"""Summaries of runs in the ledger: written with each run, asked for by page and by filter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select

from audit.core.errors import InputError
from audit.core.measurements import Direction, Group, Interval, Measurement, Unquantified
from audit.core.records import from_plain
from audit.core.run_summaries import UNFINISHED, Decisive, Summary, summary_of
from audit.store import schema
from audit.store.ledger import Ledger, readable
from audit.store.rows import text_of

_S = schema.summaries.c
_M = schema.measurements.c
_TEXTS = ("run", "name", "began", "finished", "verdict", "model", "model_key", "data", "data_key", "problem")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs a list is to show; what is empty asks for nothing.

    ``words`` is looked for in name, model and id, whatever the case. ``since`` and ``until`` are days as ISO 8601, both included.
    """

    words: str = ""
    models: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    since: str = ""
    until: str = ""

    def where(self) -> ColumnElement[bool]:
        """The condition on the table of summaries."""
        asked: list[ColumnElement[bool]] = [
            _S.words.contains(w, autoescape=True) for w in _folded(self.words)
        ]
        for column, values in ((_S.model, self.models), (_S.data, self.data), (_S.verdict, self.verdicts)):
            if values:
                asked.append(column.in_([text_of(v) for v in values]))
        if self.since:
            asked.append(_S.began >= self.since)
        if self.until:
            asked.append(_S.began < f"{self.until}T~")  # after every time of that day
        return and_(*asked) if asked else or_(_S.number.is_not(None))


@dataclass(frozen=True, slots=True)
class Choices:
    """What runs can be filtered by: every model and every data source that a run has, in order."""

    models: tuple[str, ...]
    data: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """One metric in one run, and whose it is."""

    run: str
    name: str
    began: str
    model: str
    model_key: str
    data: str
    data_key: str
    measurement: Measurement


class Summaries:
    """What lists and trends ask of the ledger; no record is read for it. Every list has the newest run first."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def page(self, wanted: Wanted | None = None, *, first: int = 0, most: int = 50) -> tuple[Summary, ...]:
        """Return at most ``most`` runs that are wanted, from the one at place ``first``."""
        statement = select(schema.summaries).where((wanted or Wanted()).where())
        return self._summaries(statement.order_by(_S.number.desc()).offset(first).limit(most))

    def one(self, run: str) -> Summary | None:
        """Return the summary of a run, or None where there is no such run."""
        return next(iter(self._summaries(select(schema.summaries).where(_S.run == run))), None)

    def counts(self, wanted: Wanted | None = None) -> dict[str, int]:
        """Return how many of the wanted runs have each verdict."""
        statement = select(_S.verdict, func.count()).where((wanted or Wanted()).where()).group_by(_S.verdict)
        return {str(verdict): int(count) for verdict, count in self._rows(statement)}

    def choices(self) -> Choices:
        """Return what there is to filter by."""
        found = [
            tuple(str(row[0]) for row in self._rows(select(column).distinct().order_by(column)) if row[0])
            for column in (_S.model, _S.data)
        ]
        return Choices(*found)

    def failing(self, wanted: Wanted | None = None) -> Decisive | None:
        """Return the failing criterion of the newest wanted run that has one, else its gravest."""
        for verdicts in (("fail",), ("inconclusive",)):
            where = ((wanted or Wanted()).where(), _S.verdict.in_(verdicts), _S.decisive.is_not(None))
            statement = select(schema.summaries).where(*where).order_by(_S.number.desc()).limit(1)
            for summary in self._summaries(statement):
                return summary.decisive
        return None

    def metrics(self, wanted: Wanted | None = None) -> tuple[tuple[str, Group], ...]:
        """Return every metric and group that was measured in a wanted run: those that a criterion asks for first, then those of most runs."""
        statement = select(_M.metric, _M.subgroup).group_by(_M.metric, _M.subgroup)
        if wanted not in (None, Wanted()):
            assert wanted is not None
            statement = statement.where(_M.run.in_(select(_S.run).where(wanted.where())))
        rows = self._rows(
            statement.order_by(
                _M.metric.in_(select(schema.judgements.c.metric)).desc(),
                func.count().desc(),
                func.length(_M.subgroup),
                _M.metric,
                _M.subgroup,
            )
        )
        with readable(self._ledger.address):
            return tuple((str(metric), _group(group)) for metric, group in rows)

    def trend(
        self, metric: str, group: Group, wanted: Wanted | None = None, *, most: int = 200
    ) -> tuple[Seen, ...]:
        """Return one metric in the newest ``most`` wanted runs that have it, the oldest first."""
        whose = (_S.run, _S.name, _S.began, _S.model, _S.model_key, _S.data, _S.data_key)
        said = [column for column in schema.measurements.columns if column.name not in ("run", "position")]
        statement = (
            select(*whose, *said)
            .join(schema.measurements, _M.run == _S.run)
            .where(_M.metric == text_of(metric), _M.subgroup == json.dumps(dict(group)))
            .where((wanted or Wanted()).where())
            .order_by(_S.number.desc())
            .limit(most)
        )
        rows = self._rows(statement)
        with readable(self._ledger.address):
            return tuple(
                Seen(r.run, r.name, r.began, r.model, r.model_key, r.data, r.data_key, _measurement(r))
                for r in reversed(rows)
            )

    def _summaries(self, statement: Any) -> tuple[Summary, ...]:
        rows = self._rows(statement)
        with readable(self._ledger.address):
            return tuple(_summary(row) for row in rows)

    def _rows(self, statement: Any) -> Sequence[Any]:
        return self._ledger.read(lambda connection: connection.execute(statement).all())


def put(connection: Connection, run: str, kept: str) -> None:
    """Write the summary of a run from its record or snapshot as JSON, in place of the one it had."""
    t = schema.runs.c
    where = t.run == run
    row = connection.execute(select(t.number, t.name, t.began, t.finished, t.verdict).where(where)).one()
    said = {"run": run, "name": row.name, "began": row.began, "finished": row.finished}
    try:
        found = summary_of(from_plain({**json.loads(kept), **said}))
    except (InputError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        found = Summary(**said, verdict=row.verdict or UNFINISHED, problem=str(error)[:300])
    connection.execute(delete(schema.summaries).where(_S.run == run))
    connection.execute(insert(schema.summaries).values(number=row.number, **_row(found)))


def _row(summary: Summary) -> dict[str, Any]:
    decisive = None if summary.decisive is None else asdict(summary.decisive)
    if decisive is not None:
        decisive["group"] = dict(decisive["group"])
    texts = {word: getattr(summary, word) for word in _TEXTS}
    return {
        **{word: None if text is None else text_of(text) for word, text in texts.items()},
        "words": text_of(f"{summary.name} {summary.model} {summary.run}".casefold()),
        "dimensions": json.dumps(dict(summary.dimensions or {})),
        "counts": json.dumps(dict(summary.counts or {})),
        "measurements": summary.measurements,
        "failures": summary.failures,
        "registers": summary.registers,
        "decisive": None if decisive is None else json.dumps(decisive),
    }


def _summary(row: Any) -> Summary:
    decisive = None
    if row.decisive:
        plain = json.loads(row.decisive)
        decisive = Decisive(**{**plain, "group": tuple(plain["group"].items())})
    return Summary(
        **{word: getattr(row, word) for word in _TEXTS},
        dimensions=json.loads(row.dimensions),
        counts=json.loads(row.counts),
        measurements=int(row.measurements),
        failures=int(row.failures),
        registers=bool(row.registers),
        decisive=decisive,
    )


def _measurement(row: Any) -> Measurement:
    quantified = row.low is not None and row.high is not None
    return Measurement(
        metric=row.metric,
        value=row.value,
        uncertainty=Interval(row.low, row.high, row.level, row.method)
        if quantified
        else Unquantified(row.unquantified or "none was recorded"),
        n=row.n,
        direction=Direction(row.direction),
        group=_group(row.subgroup),
        baseline=row.baseline,
        noise_floor=row.noise_floor,
        unit=row.unit,
        p_value=row.p_value,
        void=row.void or "",
    )


def _group(subgroup: str) -> Group:
    return tuple(json.loads(subgroup).items())


def _folded(words: str) -> list[str]:
    return [text_of(words.casefold())] if words.strip() else []
