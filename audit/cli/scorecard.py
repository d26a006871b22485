"""A record in the terminal: the verdict, the criteria, the measurements, what was skipped and why."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from audit.cli.visible import visible
from audit.core.measurements import Interval, Measurement
from audit.core.policy import Judgement, Verdict, in_order, spared
from audit.core.records import AuditRecord, not_asked

_STYLES = {
    Verdict.PASS: ("green", "PASS"),
    Verdict.FAIL: ("red", "FAIL"),
    Verdict.INCONCLUSIVE: ("yellow", "INCONCLUSIVE"),
    Verdict.NOT_ASSESSED: ("cyan", "NOT ASSESSED"),
}
_SENTENCES = {
    Verdict.PASS: "every criterion of the policy was met",
    Verdict.FAIL: "at least one criterion of the policy was not met",
    Verdict.INCONCLUSIVE: "nothing failed, but the evidence does not decide every criterion",
    Verdict.NOT_ASSESSED: "nothing failed, but not every criterion could be assessed",
}
_WIDEST = 60
_FAILURES = 12
_NOTES = 2
"""Notes of a number that does not pass, at most."""


class Terminal(Console):
    """A console that reports when its reader has left, where rich would end the program with an exit code of its own."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def terminal() -> Console:
    """Return standard output to print tables on; a file or a pipe gets 120 columns unless COLUMNS says otherwise."""
    # What rich would colour by itself it looks for in time that grows with the square of a word's length.
    if sys.stdout.isatty():
        return Terminal(highlight=False)
    columns = os.environ.get("COLUMNS", "")
    return Terminal(width=int(columns) if columns.isdecimal() else 120, highlight=False)


def word(verdict: Verdict) -> Text:
    """Return a verdict as a coloured word."""
    style, text = _STYLES[verdict]
    return Text(text, style=f"bold {style}")


def clean(text: str) -> str:
    """Return visible text in which rich finds no markup."""
    return escape(visible(text))


def number(value: float) -> str:
    """Return a number with four significant digits."""
    return f"{value:.4g}"


def uncertainty(measurement: Measurement) -> str:
    """Return the interval in brackets, or why there is none."""
    match measurement.uncertainty:
        case Interval(low=low, high=high):
            return f"[{number(low)}, {number(high)}]"
        case unquantified:
            return f"no interval: {unquantified.reason}"


def name_of(measurement: Measurement) -> str:
    """Return a metric's name and its group."""
    group = ", ".join(f"{key}={value}" for key, value in measurement.group)
    return f"{measurement.metric} ({group})" if group else measurement.metric


def print_record(record: AuditRecord, console: Console, *, groups: bool = False) -> None:
    """Print the scorecard of one run; ``groups`` adds the measurements on groups of examples."""
    console.print()
    console.print(Text.assemble((visible(record.name), "bold"), f"   run {record.run}"))
    if record.finished is None:
        console.print("This run has not finished; the command that began it resumes it.", style="yellow")
    else:
        console.print(Text.assemble(word(record.verdict), f"  {_sentence(record)}"))
    lock = record.settings.get("lock")
    if isinstance(lock, Mapping):
        departs = lock.get("deviations") or ()
        console.print(
            f"registered {clean(str(lock.get('written')))}: {len(departs)} deviations from it",
            highlight=False,
        )
        for sentence in departs:
            console.print(f"  [yellow]deviates[/] {clean(str(sentence))}", highlight=False)
    _criteria(record, console)
    _measurements(record, console, groups)
    _absent(record, console)
    for spending in record.spending:
        console.print(f"[cyan]tokens[/]     {clean(spending.sentence())}", highlight=False)


def _sentence(record: AuditRecord) -> str:
    """Return what the verdict means in a few words."""
    waived = spared(record.judgements)
    if not any(j.decides for j in record.judgements) and not waived:
        return "no criterion of the policy decides about this audit"
    if record.verdict is Verdict.PASS and waived:
        what = "one that is waived" if len(waived) == 1 else f"{len(waived)} that are waived"
        return f"every criterion of the policy was met but for {what}"
    return _SENTENCES[record.verdict]


def _criteria(record: AuditRecord, console: Console) -> None:
    table = Table(
        title=f"Policy {clean(str(record.policy['name']))}", box=box.SIMPLE_HEAD, title_justify="left"
    )
    for column in ("verdict", "criterion", "measured", "because"):
        table.add_column(column, overflow="fold")
    questions = {metric: e.question(metric) for e in record.evaluators for metric in e.metrics}
    for judgement in in_order(record.judgements):
        because = judgement.because
        if isinstance(because, Measurement):
            measured = f"{number(because.value)} {uncertainty(because)}"
            told = () if judgement.verdict is Verdict.PASS else because.notes[:_NOTES]
            reason = " ".join((*told, judgement.to_decide))
            reason = f"void: {because.void}" if because.void else reason
            label = name_of(because)
        else:
            measured, label = "", judgement.criterion.metric
            reason = "; ".join(f"needs {gap.need}; found {gap.found}" for gap in because)
        question = questions.get(judgement.criterion.metric, "")
        table.add_row(
            word(judgement.verdict),
            "\n".join(clean(line) for line in (question, f"{label} {judgement.criterion.bound}") if line),
            clean(measured),
            clean("; ".join(part for part in (_standing(judgement), reason.strip()) if part)),
        )
    console.print(table)


def _standing(judgement: Judgement) -> str:
    """Return what has to be known besides a verdict; that a wider interval decides as the number's own does has not."""
    because, basis = judgement.because, judgement.basis
    same = basis is not None and isinstance(because, Measurement) and basis.value == because.value
    decided = judgement.verdict in (Verdict.PASS, Verdict.FAIL)
    return judgement.status if same and decided else judgement.standing


def _measurements(record: AuditRecord, console: Console, groups: bool) -> None:
    shown = [m for m in record.measurements if groups or not m.group]
    if not record.measurements:
        return
    table = Table(title="Measurements", box=box.SIMPLE_HEAD, title_justify="left")
    for column, justify in (
        ("metric", "left"),
        ("value", "right"),
        ("interval", "left"),
        ("n", "right"),
        ("floor", "right"),
    ):
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]  # literal by construction
    for m in shown:
        floor = "" if m.noise_floor is None else number(m.noise_floor)
        told = uncertainty(m)
        interval = told if len(told) <= _WIDEST else f"{told[: _WIDEST - 1]}…"
        value = Text(number(m.value), style="strike" if m.void else "")
        table.add_row(clean(name_of(m)), value, clean(interval), f"{m.n:,}", floor)
    console.print(table)
    if hidden := len(record.measurements) - len(shown):
        console.print(f"{hidden} more by group: audit show --groups", highlight=False)


def together(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return each reason once, with every name that it was given for.

    >>> together([("too few rows", "a"), ("no pixels", "b"), ("too few rows", "c"), ("too few rows", "a")])
    [('too few rows', 'a, c'), ('no pixels', 'b')]
    """
    found: dict[str, dict[str, None]] = {}
    for reason, name in pairs:
        found.setdefault(reason, {})[name] = None
    return [(reason, ", ".join(names)) for reason, names in found.items()]


def _absent(record: AuditRecord, console: Console) -> None:
    if elsewhere := not_asked(record):
        console.print(f"[cyan]not asked[/]  {clean(', '.join(elsewhere))}: about models of another kind")
    for problem in record.model.get("problems") or ():
        console.print(f"[yellow]samples[/]    {clean(str(problem))}")
    for problem in record.data.get("problems") or ():
        console.print(f"[yellow]data[/]       {clean(str(problem))}")
    for m in record.measurements:
        if m.void:
            console.print(f"[yellow]void[/]       {clean(name_of(m))}: {clean(m.void)}")
    for reason, metrics in together((u.reason, u.metric) for u in record.undefined):
        console.print(f"[cyan]no value[/]   {clean(metrics)}: {clean(reason)}")
    whys = (
        "; ".join(f"needs {u.need}; found {u.found}; {u.remedy}" for u in s.unmet) for s in record.skipped
    )
    for why, names in together(zip(whys, (skip.evaluator for skip in record.skipped), strict=True)):
        console.print(f"[cyan]skipped[/]    {clean(names)}: {clean(why)}")
    if lost := [e.name for e in record.evaluators if e.status == "failed"]:
        console.print(f"[red]no result[/]  {clean(', '.join(lost))}")
    for failure in record.failures[:_FAILURES]:
        told = f"{failure.what}, shard {failure.shard}: {failure.error}"
        console.print(f"[red]failed[/]     {clean(told)}")
    if (more := len(record.failures) - _FAILURES) > 0:
        console.print(f"[red]failed[/]     and {more} more shards; audit show --format json has them all")
    if record.failures:
        console.print("Fix the cause, then run the same command again with --retry-failed.", highlight=False)
