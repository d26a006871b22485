"""Every measurement of a record as one row of CSV, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import ClassVar

from audit.core.measurements import Interval, Measurement, Unquantified
from audit.core.policy import Judgement, gravest
from audit.core.records import AuditRecord
from audit.core.renderers import EvidenceReader
from reports.failures import failed
from reports.findings import bound_of
from reports.judged import Judged, lacking
from reports.redact import shortened, visible
from reports.sections import dimension_of, group_name, owners

COLUMNS = (
    "run", "dimension", "metric", "group", "value", "low", "high", "level", "method", "unquantified", "n", "unit",
    "direction", "baseline", "noise_floor", "p_value", "void", "bound", "verdict", "standing",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute."""


class CsvReport:
    """Renders the measurements of a record as CSV (RFC 4180), numbers in full precision, with the verdict on each.

    A metric without a value has a row with the reason in ``unquantified``, as has a criterion that was not assessed, and a metric whose evaluator failed. Text that a spreadsheet would take for a
    formula begins with an apostrophe. The table holds no evidence, so ``show_sensitive`` changes nothing.
    """

    media_type: ClassVar[str] = "text/csv; charset=utf-8"
    suffix: ClassVar[str] = ".csv"

    def render(self, record: AuditRecord, evidence: EvidenceReader, *, show_sensitive: bool = False) -> bytes:
        """Return the document. Pure: same record, same bytes."""
        written = io.StringIO(newline="")
        writer = csv.writer(written)
        writer.writerow(COLUMNS)
        writer.writerows(_rows(record))
        return written.getvalue().encode("utf-8")


def _rows(record: AuditRecord) -> Iterator[list[object]]:
    owned, judged = owners(record), Judged.of(record.judgements)
    for m in record.measurements:
        yield [
            _text(record.run),
            _text(dimension_of(m.metric, owned)),
            _text(m.metric),
            _text(group_name(m.group)),
            m.value,
            *_spread(m),
            m.n,
            _text(m.unit),
            m.direction.value,
            *("" if x is None else x for x in (m.baseline, m.noise_floor, m.p_value)),
            _text(m.void),
            *_verdict(judged.about(m)),
        ]
    for u in record.undefined:
        dimension = dimension_of(u.metric, owned)
        yield _bare(record, dimension, u.metric, group_name(u.group), u.reason, judged.about(u))
    for j in judged.left([*record.measurements, *record.undefined]):
        metric, group = j.criterion.metric, "each group" if j.criterion.every_group else ""
        yield _bare(record, dimension_of(metric, owned), metric, group, lacking(j), [j])
    for metric, reason in _failed(record):
        yield _bare(record, dimension_of(metric, owned) if metric else "", metric, "", reason, ())


def _failed(record: AuditRecord) -> Iterator[tuple[str, str]]:
    """Return each metric that has no row because its evaluator failed, with the reason; no metric where none lacks one."""
    declared = {e.name: tuple(e.metrics) for e in record.evaluators}
    there = {m.metric for m in record.measurements} | {u.metric for u in record.undefined}
    there |= {j.criterion.metric for j in record.judgements}
    for failure in record.failures:
        lost = [metric for name in failure.evaluators for metric in declared.get(name) or (name,)]
        for metric in lost or [""]:
            if metric not in there:
                there.add(metric)
                yield metric, failed(failure)


def _bare(
    record: AuditRecord, dimension: str, metric: str, group: str, reason: str, about: Sequence[Judgement]
) -> list[object]:
    """Return the row of what has no number, with the reason and the verdict."""
    first = [_text(told) for told in (record.run, dimension, metric, group)]
    return [*first, *[""] * 5, _text(reason), *[""] * (len(COLUMNS) - 13), *_verdict(about, bare=True)]


def _verdict(about: Sequence[Judgement], *, bare: bool = False) -> list[object]:
    """Return bound, gravest verdict and standing: beside a number that no verdict rests on, why; a ``bare`` row has said it."""
    besides = [part for j in about for part in (j.standing, "" if bare else lacking(j)) if part]
    return [
        _text("; ".join(bound_of(j) for j in about)),
        gravest(j.verdict for j in about).value if about else "",
        _text("; ".join(dict.fromkeys(besides))),
    ]


def _spread(m: Measurement) -> list[object]:
    match m.uncertainty:
        case Interval(low=low, high=high, level=level, method=method):
            return [low, high, level, _text(method), ""]
        case Unquantified(reason=reason):
            return ["", "", "", "", _text(reason)]


def _text(value: str) -> str:
    said = visible(shortened(str(value), 2_000))
    return f"'{said}" if said.startswith(_FORMULA) else said
