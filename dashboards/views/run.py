"""One run: its scorecard, criteria, measurements, evidence, gaps, limits and what repeats it."""

from __future__ import annotations

import base64
import io
from functools import partial
from typing import Any

import streamlit as st

from audit.core.records import AuditRecord
from audit.core.renderers import Renderer
from audit.store.location import StoreAddress
from audit.store.reviews import reviewed
from dashboards import charts, drill, queries, small_groups, widgets
from dashboards.reveals import revealed
from dashboards.widgets import plain
from reports.evidence import Exhibit, Picture
from reports.judged import Judged
from reports.redact import shortened, visible
from reports.sections import Section
from reports.view import View

PARTS = (
    "Summary",
    "What it makes",
    "Measurements",
    "One measurement",
    "Evidence",
    "Not measured",
    "Limits",
    "How to repeat it",
)
_READ = "html"  # the format that people read; the others are for programs


def show() -> None:
    """Show the page."""
    address, runs = widgets.runs_or_stop()
    line = widgets.chosen_run(runs)
    record = widgets.record_or_stop(line)
    sensitive = bool(st.session_state.get(f"sensitive-{line.run}", False))
    shown = queries.shown(line, record, sensitive)
    _head(shown)
    with st.container(horizontal=True, vertical_alignment="center"):
        _downloads(address, record, sensitive)
        revealed(
            address,
            line.run,
            "Show sensitive evidence",
            "sensitive evidence",
            key=f"sensitive-{line.run}",
            help="It may show training examples. Reports downloaded while this is on hold it too.",
        )
    if note := small_groups.said(len(small_groups.withheld(record))):
        st.caption(plain(note))
    _parts(shown, small_groups.without(record))


@st.fragment
def _parts(shown: View, record: AuditRecord) -> None:
    """Draw the part that is looked at; choosing another one redraws nothing else."""
    fills = (
        partial(_summary, shown),
        partial(_samples, shown),
        partial(_measurements, shown, Judged.of(record.judgements)),
        partial(drill.one, record),
        partial(_evidence, shown),
        partial(_gaps, shown),
        partial(_limits, shown),
        partial(_repeat, shown),
    )
    for tab, fill in zip(st.tabs(PARTS, key="part", bind="query-params"), fills, strict=True):
        if tab.open:
            with tab:
                fill()


def _head(shown: View) -> None:
    st.title(plain(shown.title, 200))
    verdict = shown.verdict if shown.finished else "unfinished"
    widgets.banner(verdict, shown.headline, shown.sentence)
    with st.container(horizontal=True):
        for name, value in shown.facts:
            with st.container(gap=None, width="content"):
                st.caption(plain(name))
                st.text(visible(value))


def _downloads(address: StoreAddress, record: AuditRecord, sensitive: bool) -> None:
    """Offer the report that people read beside a list of the other formats."""
    formats = queries.renderers()
    if _READ in formats:
        _download(_READ, formats[_READ], address, record, sensitive)
    with st.popover("Other formats", icon=":material/download:"):
        for name in sorted({*formats} - {_READ}):
            _download(name, formats[name], address, record, sensitive)


def _download(
    name: str, renderer: type[Renderer], address: StoreAddress, record: AuditRecord, sensitive: bool
) -> None:
    st.download_button(
        f"Report as {plain(name)}",
        partial(_report, renderer, address, record, sensitive),
        file_name=f"audit-{_file_name(record.run)}{renderer.suffix}",
        mime=renderer.media_type,
        icon=":material/download:",
        on_click="ignore",
        key=f"download-{name}",
    )


def _report(renderer: type[Renderer], address: StoreAddress, record: AuditRecord, sensitive: bool) -> bytes:
    """Return a report as ``audit report`` writes it, with what people said of the run until now."""
    read = partial(queries.evidence, address)
    return renderer().render(reviewed(address, record), read, show_sensitive=sensitive)


def _file_name(run: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in run)[:60]


def _summary(shown: View) -> None:
    if shown.findings:
        st.subheader("What to look at")
        drill.ranked(shown.findings)
    st.subheader("Scorecard")
    for column, card in zip(st.columns(len(shown.cards)), shown.cards, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{plain(card.dimension.capitalize())}**")
            st.caption(plain(card.question))
            with st.container(horizontal=True, gap="small"):
                for tally in card.tallies:
                    widgets.badge(tally.verdict, f"{tally.count} {tally.verdict}")
            if not card.tallies:
                st.caption("The policy asks nothing here.")
            st.caption(plain(f"Measurements: {card.measurements}. Evaluators: {card.evaluators or 'none'}."))
    st.subheader("Criteria")
    st.caption("Each bound was chosen before the run. The whole interval decides.")
    widgets.table(
        (
            "Verdict",
            "Metric",
            "Group",
            "Bound",
            "Value",
            "Interval",
            "Method",
            "n",
            "n that would decide",
            "Why this bound",
            "Why not assessed",
        ),
        [
            (
                widgets.word(c.verdict),
                c.metric,
                c.group,
                c.bound,
                c.value,
                c.interval,
                c.method,
                c.n,
                c.n_to_decide,
                c.why,
                "; ".join(f"needs {gap.need}; found {gap.found}; {gap.remedy}" for gap in c.unmet),
            )
            for c in shown.criteria
        ],
        empty="The policy names no criterion.",
        key="criteria",
    )


def _samples(shown: View) -> None:
    if not shown.samples:
        st.caption("This run kept no samples to look at.")
    for position, item in enumerate(shown.samples):
        with st.container(border=True):
            st.markdown(f"**{plain(item.caption)}**")
            _exhibit(item, f"sample-{position}")


def _measurements(shown: View, judged: Judged) -> None:
    if not shown.sections:
        st.caption("This run recorded no measurement.")
    for position, section in enumerate(shown.sections):
        st.subheader(plain(section.name))
        st.caption(plain(section.summary))
        for family in section.families:
            st.altair_chart(charts.forest(family, judged), width="stretch")
        _numbers(section, position)


def _numbers(section: Section, position: int) -> None:
    lines = [line for family in section.families for line in family.lines]
    with st.expander(f"Numbers, methods and references ({len(lines)})"):
        widgets.table(
            (
                "Question",
                "Metric",
                "Group",
                "Value",
                "Unit",
                "Interval",
                "Method",
                "n",
                "References",
                "Notes",
            ),
            [
                (
                    line.question,
                    line.metric,
                    line.group,
                    f"void: {line.value}" if line.void else line.value,
                    line.unit,
                    line.interval or "none",
                    f"{line.level}, {line.method}" if line.interval else line.unquantified,
                    line.n,
                    " · ".join(line.references),
                    " ".join(filter(None, (f"Void: {line.void}." if line.void else "", *line.notes))),
                )
                for line in lines
            ],
            key=f"numbers-{position}",
        )
        if section.controls:
            widgets.table(
                ("Control of", "Asked of", "Value", "Interval", "Result", "Because"),
                [(c.metric, c.asked, c.value, c.interval, c.right, c.because) for c in section.controls],
                key=f"controls-{position}",
            )
        for caveat in section.caveats:
            st.text(visible(caveat))
        for metric, text in section.descriptions:
            st.text(visible(f"{metric}: {text}"))
        for name, reason in section.undefined:
            st.text(visible(f"{name} has no value: {reason}"))
        for reference in section.references:
            st.text(visible(reference))


def _evidence(shown: View) -> None:
    exhibits = [(section.name, item) for section in shown.sections for item in section.exhibits]
    if not exhibits:
        st.caption("This run kept no evidence.")
    for position, (name, item) in enumerate(exhibits):
        with st.container(border=True):
            st.markdown(f"**{plain(item.caption)}**")
            st.caption(plain(f"{name} · {item.digest[:12]}{' · sensitive' if item.sensitive else ''}"))
            _exhibit(item, f"exhibit-{position}")


def _exhibit(item: Exhibit, key: str) -> None:
    if item.message:
        st.info(plain(item.message), icon=":material/visibility_off:")
    elif item.curve is not None:
        st.altair_chart(charts.curve(item.curve), width="stretch")
    elif item.pictures:
        with st.container(horizontal=True, gap="small"):
            for picture in item.pictures:
                st.image(
                    enlarged(picture), caption=plain(picture.attributes), alt=visible(picture.alternative)
                )
    elif item.together:
        with st.container(horizontal=True, gap="medium"):
            for each in item.together:
                with st.container(width="content", gap=None):
                    with st.container(horizontal=True, gap="small"):
                        for name, picture in each.pictures:
                            caption = plain(name) if len(each.pictures) > 2 else ""
                            st.image(enlarged(picture), caption=caption, alt=visible(picture.alternative))
                    st.caption(plain(each.attributes))
    elif item.passages:
        for passage in item.passages:
            st.code(visible(passage.prefix + passage.text), language=None, wrap_lines=True)
            if passage.attributes:
                st.caption(plain(passage.attributes))
    else:
        widgets.table(item.columns, item.rows, key=key)
    if item.left_out:
        st.caption(plain(item.left_out))


def enlarged(picture: Picture) -> Any:
    """Return a picture at the size it is to be shown at, each pixel a square: browsers would blur it."""
    from PIL import Image

    data = base64.b64decode(picture.source.partition(",")[2])
    with Image.open(io.BytesIO(data)) as image:
        return image.resize((picture.width, picture.height), Image.Resampling.NEAREST)


def _gaps(shown: View) -> None:
    st.subheader("Failed")
    widgets.table(
        ("What", "Piece", "Error", "Tried", "Without a result for it"),
        [(f.what, str(f.shard), f.error, str(f.attempts), ", ".join(f.evaluators)) for f in shown.failures],
        empty="Nothing failed.",
        key="failures",
    )
    for failure in shown.failures:
        if failure.detail:
            with st.expander(f"Details: {plain(failure.what, 120)}"):
                st.code(visible(shortened(failure.detail, 8_000)), language=None, wrap_lines=True)
    st.subheader("Skipped")
    widgets.table(
        ("Evaluator", "What it asks", "Needs", "Found", "What would change that"),
        [
            (name, summary, gap.need, gap.found, gap.remedy)
            for name, summary, unmet in shown.skipped
            for gap in unmet
        ],
        empty="Nothing was skipped.",
        key="skipped",
    )
    st.subheader("Without a value")
    widgets.table(
        ("Metric", "Why"),
        [gap for section in shown.sections for gap in section.undefined],
        empty="Every metric that was measured has a value.",
        key="undefined",
    )


def _limits(shown: View) -> None:
    st.caption("What this run cannot say.")
    for limit in shown.limits:
        st.markdown(f"- {plain(limit, 1_200)}")


def _repeat(shown: View) -> None:
    st.caption(
        "A run with the same weights, data, settings and sources gives artifacts with the same digests."
    )
    repeat = shown.reproduction
    for title, rows in repeat.tables:
        st.subheader(plain(title))
        widgets.table(("Name", "Value"), rows, key=f"repeat-{title}")
    st.subheader("Evaluators")
    widgets.table(
        ("Name", "Status", "Parameters", "Digest of its source"),
        [
            (n, status, ", ".join(f"{k} = {v}" for k, v in given), source)
            for n, status, source, given in repeat.evaluators
        ],
        key="repeat-evaluators",
    )
    st.subheader("Artifacts")
    widgets.table(("Artifact", "Key", "Shards", "Digest", "Time"), repeat.artifacts, key="repeat-artifacts")


if __name__ == "__main__":  # Streamlit runs a page as the main module
    show()
