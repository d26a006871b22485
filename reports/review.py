"""What people said of a run, as reports and the dashboard show it: the sign-off, a decision for each finding, and the log."""

from __future__ import annotations

from dataclasses import dataclass

from audit.core.records import AuditRecord
from audit.core.review import Action, Entry, Review
from audit.core.words import counted
from reports import numbers
from reports.findings import Finding, findings

STATES = {
    Action.ACCEPT: "accepted",
    Action.REJECT: "rejected",
    Action.NEEDS_WORK: "needs work",
    Action.APPROVE: "approved",
    Action.REFUSE: "refused",
    Action.REVEAL: "looked at",
}
UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log, written out."""

    number: str
    at: str
    who: str
    did: str
    about: str
    comment: str


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a report shows of a review: ``sound`` says whether the log is as it was written."""

    headline: str
    sound: bool
    chain: str
    faults: tuple[str, ...]
    decided: tuple[Line, ...]
    """The last decision on each finding, in the order of the log."""
    lines: tuple[Line, ...]


def reviewed(record: AuditRecord) -> Reviewed | None:
    """Return what a report shows of the review of a record, or None where there is none."""
    review = record.review
    if review is None:
        return None
    return Reviewed(
        headline=headline(review),
        sound=not review.faults,
        chain=chain(review),
        faults=review.faults,
        decided=tuple(_line(entry) for entry in review.decisions().values()),
        lines=tuple(_line(entry) for entry in review.entries),
    )


def headline(review: Review) -> str:
    """Say in one sentence whether the run is signed off."""
    last = review.sign_off()
    if last is not None:
        verb = "Approved" if last.action is Action.APPROVE else "Refused"
        return f"{verb} by {last.who} on {numbers.moment(last.at)}."
    if review.signed():
        return "Not signed off: a finding was decided anew after the last sign-off."
    return "Not signed off."


def chain(review: Review) -> str:
    """Say in one sentence whether the log is as it was written."""
    if review.faults:
        return f"This log was changed after it was written: {counted(len(review.faults), 'place')}."
    if not review.entries:
        return "Nothing was written yet."
    said = f"Every line matches what the next one says of it; the last of {counted(len(review.entries), 'line')} is {review.head}."
    if review.aside:
        said += (
            f" {counted(review.aside, 'piece')} that an interrupted writer left "
            f"{'was' if review.aside == 1 else 'were'} set aside."
        )
    if review.unconfirmed:
        said += " The last line was not confirmed: its writer may have been interrupted right after it."
    return said


def open_findings(record: AuditRecord, review: Review) -> list[Finding]:
    """Return the findings that stand in the way of an approval: what did not pass and was not accepted."""
    decided = review.decisions()
    return [
        finding
        for finding in findings(record)
        if finding.verdict.value != "pass"
        and (finding.name not in decided or decided[finding.name].action is not Action.ACCEPT)
    ]


def _line(entry: Entry) -> Line:
    return Line(
        number=str(entry.number),
        at=numbers.moment(entry.at),
        who=entry.who,
        did=STATES[entry.action],
        about=entry.about,
        comment=entry.comment,
    )
