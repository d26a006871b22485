"""Review: accept or reject each finding of a run, sign the run off, and see the log of all that."""

from __future__ import annotations

import streamlit as st

from audit.core.errors import InputError
from audit.core.identity import digest_of
from audit.core.records import AuditRecord
from audit.core.review import DECISIONS, MOST_COMMENT, SIGN_OFFS, UNNAMED, Action, Entry, Review
from audit.store import reviews
from audit.store.location import StoreAddress
from dashboards import access, widgets
from dashboards.widgets import Colour, plain
from reports import numbers
from reports.findings import Finding, findings
from reports.redact import visible
from reports.review import STATES, UNDECIDED, Reviewed, open_findings, reviewed

_PER_PAGE = 8
_SHOWN = ("Did not pass", "Undecided", "All")
_COLOURS: dict[str, Colour] = {
    "accepted": "green",
    "rejected": "red",
    "needs work": "orange",
    UNDECIDED: "gray",
}
_MEANINGS = (
    "Accept: it does not stand in the way. Reject: the model must not ship with it. Needs work: it cannot be decided yet; "
    "say what is missing."
)


def show() -> None:
    """Show the page."""
    address, runs = widgets.runs_or_stop()
    st.title("Review")
    line = widgets.chosen_run(runs)
    kept = widgets.record_or_stop(line)
    if line.finished is None:
        st.info("This run has not finished, so there is nothing to review yet.", icon=":material/pending:")
        st.stop()
    try:
        record = reviews.reviewed(address, kept)
    except InputError as error:
        st.error(plain(str(error), 1_000), icon=":material/error:")
        st.stop()
    review = record.review or Review()
    widgets.badge(record.verdict.value, f"verdict of the run: {record.verdict.value}")
    shown = reviewed(record)
    _state(shown)
    access.ask_name()
    _message()
    _findings(address, record, review)
    _sign_off(address, record, review)
    _log(shown)


def _state(shown: Reviewed | None) -> None:
    if shown is None:
        st.info("Nobody has reviewed this run.", icon=":material/rate_review:")
        return
    if not shown.sound:
        st.error(f"**{plain(shown.chain, 400)}**", icon=":material/link_off:")
        for fault in shown.faults:
            st.text(visible(fault))
    show = st.success if shown.headline.startswith("Approved") and shown.sound else st.info
    show(plain(shown.headline, 400), icon=":material/rate_review:")


def _message() -> None:
    """Say what came of the last button, once."""
    if (said := st.session_state.pop("review-said", None)) is not None:
        ok, sentence = said
        (st.success if ok else st.error)(
            plain(sentence, 1_200), icon=":material/check:" if ok else ":material/error:"
        )


def _record(address: StoreAddress, run: str, action: Action, about: str, comment: str) -> None:
    """Add a line to the log and show the page anew; what went wrong is said there."""
    try:
        who = access.reviewer()
        if who == UNNAMED:
            raise InputError("Say your name first, above the findings: it stands beside every decision.")
        if action in (Action.REJECT, Action.NEEDS_WORK, Action.REFUSE) and not comment.strip():
            raise InputError(f"Say in the comment why: '{action.value}' alone tells nobody what to do.")
        entry = reviews.add(address, run, action, who=who, about=about, comment=comment)
        said = (True, f"Recorded as line {entry.number}: {STATES[action]}{f', {about}' if about else ''}.")
    except (InputError, OSError) as error:
        said = (False, str(error))
    st.session_state["review-said"] = said
    st.rerun()


def _findings(address: StoreAddress, record: AuditRecord, review: Review) -> None:
    st.subheader("Findings")
    st.caption(_MEANINGS)
    wanted = st.segmented_control("Show", _SHOWN, default=_SHOWN[0], required=True, key=f"show-{record.run}")
    decided = review.decisions()
    every = [
        f
        for f in dict.fromkeys(findings(record))
        if wanted == "All"
        or (wanted == "Undecided" and f.name not in decided)
        or (wanted == _SHOWN[0] and f.verdict.value != "pass")
    ]
    if not every:
        st.caption("No finding to show here.")
        return
    first = 0
    if len(every) > _PER_PAGE:
        pages = -(-len(every) // _PER_PAGE)
        page = st.number_input(f"Page, of {pages}", 1, pages, 1, key=f"page-{record.run}-{wanted}")
        first = (int(page) - 1) * _PER_PAGE
    for finding in every[first : first + _PER_PAGE]:
        _finding(address, record.run, review, finding)


def _finding(address: StoreAddress, run: str, review: Review, finding: Finding) -> None:
    last = review.decisions().get(finding.name)
    state = STATES[last.action] if last else UNDECIDED
    key = form_key(run, finding, last)
    with st.form(f"finding-{key}", border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            widgets.badge(finding.verdict.value)
            st.badge(state, color=_COLOURS[state])
            st.markdown(f"**{plain(finding.asked, 300)}**", width="content")
        st.markdown(plain(f"{finding.found} {finding.standing} {finding.todo}", 1_500))
        st.caption(plain(finding.name, 300))
        if last is not None:
            st.caption(
                plain(
                    f"{last.who}, {numbers.moment(last.at)}{f': {last.comment}' if last.comment else ''}",
                    1_000,
                )
            )
        action = st.segmented_control(
            "Decision",
            [a.value for a in DECISIONS],
            format_func=str.capitalize,
            key=f"decision-{key}",
        )
        comment = st.text_area("Comment", max_chars=MOST_COMMENT, height=68, key=f"comment-{key}")
        if st.form_submit_button("Record the decision", icon=":material/edit_note:", key=f"record-{key}"):
            if action is None:
                st.error("Choose accept, reject or needs work.", icon=":material/error:")
            else:
                _record(address, run, Action(action), finding.name, comment)


def form_key(run: str, finding: Finding, last: Entry | None) -> str:
    """Return the key of a finding's form: of no other finding, wherever it stands, and fresh once a decision was recorded."""
    return f"{run}-{digest_of(finding.name.encode('utf-8', 'replace'))[:16]}-{last.number if last else 0}"


def _sign_off(address: StoreAddress, record: AuditRecord, review: Review) -> None:
    st.subheader("Sign-off")
    left = open_findings(record, review)
    if left:
        st.caption(
            plain(
                f"To approve, each finding that did not pass has to be accepted; not yet: {len(left)}.", 300
            )
            + " Refusing is possible at any time."
        )
    signed = [e.number for e in review.entries if e.action in SIGN_OFFS]
    key = f"{record.run}-{max(signed, default=0)}"  # fresh once a sign-off was recorded
    with st.form(f"sign-off-{record.run}", border=True):
        action = st.segmented_control(
            "This run is",
            [Action.APPROVE.value, Action.REFUSE.value],
            format_func=lambda value: STATES[Action(value)],
            key=f"sign-{key}",
        )
        comment = st.text_area("Statement", max_chars=MOST_COMMENT, height=68, key=f"statement-{key}")
        if st.form_submit_button("Sign off", icon=":material/signature:", key="sign-off"):
            if action is None:
                st.error("Choose approved or refused.", icon=":material/error:")
            elif action == Action.APPROVE.value and left:
                st.error(
                    plain(
                        f"It cannot be approved yet. Not accepted: {'; '.join(f.name for f in left)}", 1_200
                    ),
                    icon=":material/error:",
                )
            else:
                _record(address, record.run, Action(action), "", comment)


def _log(shown: Reviewed | None) -> None:
    if shown is None:
        return
    st.subheader("The log")
    st.caption(plain(shown.chain, 600))
    widgets.table(
        ("Line", "When", "Who", "What", "About", "Comment"),
        [(e.number, e.at, e.who, e.did, e.about, e.comment) for e in reversed(shown.lines)],
        key="log",
    )


if __name__ == "__main__":  # Streamlit runs a page as the main module
    show()
