"""Findings in order of gravity, and everything that a run says of one measurement."""

from __future__ import annotations

import shlex

import streamlit as st

from audit.core.measurements import Interval, Measurement
from audit.core.records import AuditRecord
from dashboards import widgets
from dashboards.widgets import plain
from reports import numbers
from reports.findings import Finding, bound_of
from reports.judged import Judged
from reports.redact import shortened, visible
from reports.sections import DIRECTIONS, group_name, owners

_AT_ONCE = 12


def ranked(findings: tuple[Finding, ...]) -> None:
    """Show what did not pass, the gravest first, in sentences."""
    for finding in findings[:_AT_ONCE]:
        with st.container(border=True):
            widgets.badge(finding.verdict.value, f"{finding.verdict.value}: {finding.name}")
            st.text(visible(shortened(finding.message, 1_200)))
            for note in finding.notes:
                st.caption(plain(note))
    if len(findings) > _AT_ONCE:
        st.caption(f"{len(findings) - _AT_ONCE} more are in the table below.")


@st.fragment
def one(record: AuditRecord) -> None:
    """Let a person choose one measurement and show all that is known of it; choosing another redraws this part alone."""
    judged = Judged.of(record.judgements)
    ordered = sorted(
        range(len(record.measurements)), key=lambda i: judged.verdict(record.measurements[i]) is None
    )
    if not ordered:
        st.caption("This run recorded no measurement.")
        return
    place = st.selectbox(
        "Measurement",
        ordered,
        format_func=lambda i: shortened(visible(_name(record.measurements[i])), 120),
        key=f"measurement-{record.run}",
    )
    m = record.measurements[place]
    _definition(record, m)
    _number(m, judged)
    _rest(record, m)


def _name(m: Measurement) -> str:
    return f"{m.metric} · {group_name(m.group)}" if m.group else m.metric


def _definition(record: AuditRecord, m: Measurement) -> None:
    owner = owners(record).get(m.metric)
    if owner is None:
        st.caption("No evaluator of this record describes it.")
        return
    declared = owner.declared.get(m.metric, {})
    if question := owner.question(m.metric):
        st.markdown(f"**{plain(question)}**")
    st.text(visible(str(declared.get("meaning") or owner.metrics[m.metric])))
    if declared.get("null"):
        st.text(visible(f"By chance alone: {declared['null']}"))
    st.caption(plain(f"{DIRECTIONS[m.direction]} · measured by {owner.name}", 300))


def _number(m: Measurement, judged: Judged) -> None:
    interval = m.uncertainty if isinstance(m.uncertainty, Interval) else None
    reason = "" if isinstance(m.uncertainty, Interval) else m.uncertainty.reason
    rows = [
        ("Value", f"{numbers.value_of(m)} {m.unit}".strip()),
        ("Interval", numbers.interval_of(m) or f"none: {reason}"),
        ("Method", f"{numbers.percent(interval.level)}, {interval.method}" if interval else ""),
        ("n", numbers.count(m.n)),
        ("Noise floor", "" if m.noise_floor is None else numbers.plain(m.noise_floor)),
        ("Baseline", "" if m.baseline is None else numbers.plain(m.baseline)),
        ("p", "" if m.p_value is None else numbers.p_value(m.p_value)),
        ("Void", m.void),
        *(("Bound", f"{bound_of(j)}: {j.verdict.value}. {j.criterion.why}") for j in judged.on(m)),
        *(("Note", note) for note in m.notes),
    ]
    widgets.table(("What", "As measured"), [row for row in rows if row[1]], key="one-number")


def _rest(record: AuditRecord, m: Measurement) -> None:
    st.subheader("Controls")
    widgets.table(
        ("Asked", "Value", "Right", "Because"),
        [
            (
                c.asked,
                "" if c.value is None else numbers.plain(c.value),
                {True: "as it should be", False: "wrong", None: ""}[c.right],
                c.because,
            )
            for c in record.controls
            if (c.metric, c.group) == (m.metric, m.group)
        ],
        empty="No control was run for it.",
        key="one-controls",
    )
    st.subheader("Evidence")
    widgets.table(
        ("Kind", "What it shows", "Digest", "Sensitive"),
        [(e.kind, e.caption, str(e.content), "yes" if e.sensitive else "") for e in m.evidence],
        empty="No evidence was kept for it.",
        key="one-evidence",
    )
    st.subheader("How to repeat it")
    st.caption(
        "With the spec of this run, the same weights and the same data; what is made already is used again."
    )
    st.code(
        f"audit run SPEC.toml\naudit compare {shlex.quote(visible(record.run))} NEW_RUN",
        language="shell",
        wrap_lines=True,
    )
