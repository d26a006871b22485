"""audit import: logs of other evaluation tools as a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
from rich.markup import escape

from audit.cli.main import PASSED
from audit.cli.options import address, format_option, print_json, store_option
from audit.cli.run import exit_code
from audit.cli.visible import visible
from audit.core.measurements import Direction
from audit.core.metrics import Metric
from audit.core.policy import Policy
from audit.core.policy_check import check_policy

if TYPE_CHECKING:
    from audit.engine.importing import Imported
    from audit.formats.evaluations.reading import Watched

_EPILOG = """\
\b
Examples:
  audit import logs/2026-01-02_sums.eval
  audit import results_2026-01-02.json samples_*.jsonl     # lm-eval: the samples give the intervals
  audit import garak.report.jsonl --policy policy.toml     # exit code 1 where a criterion fails
  audit import sums.eval garak.report.jsonl --model my-model-1.2
  audit import essays.eval --range 'inspect.essays.*=1:10'  # bounds what was not graded
  audit import garak.report.jsonl --dimension 'garak.sysprompt_extraction.*=privacy'

\b
The metrics are called TOOL.TASK.METRIC, such as lm_eval.gsm8k.exact_match.
Intervals are computed again from the samples in the files. A sample without a
score widens the interval by whatever its score could have been.

\b
Exit codes:
  0    imported; with --policy, every criterion passed
  1    a criterion failed
  2    bad input; nothing was written
  3    nothing failed, but something is inconclusive or not assessed
"""
_LARGE = 4 * 2**20


@click.command("import", epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@store_option
@format_option
@click.option("--policy", type=click.Path(dir_okay=False, path_type=Path), help="A policy file to judge by.")
@click.option("--name", help="What to call the run. Default: the name of the first file.")
@click.option("--model", help="The model that all files are about, where they call it by several names.")
@click.option(
    "--dimension",
    "dimensions",
    multiple=True,
    metavar="PATTERN=DIMENSION",
    help="Where tasks stand: quality, fairness, privacy or provenance. May be repeated. Default: quality, for a few known ones another.",
)
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="PATTERN=LEAST:MOST",
    help="Between which values a score of a metric lies, so that missing ones can be bounded. May be repeated.",
)
def command(
    files: tuple[Path, ...],
    store: str | None,
    form: str,
    policy: Path | None,
    name: str | None,
    model: str | None,
    dimensions: tuple[str, ...],
    ranges: tuple[str, ...],
) -> int:
    """Read logs of other evaluation tools and keep what they measured as a run.

    FILES are logs of Inspect (.eval or JSON), lm-evaluation-harness (results and samples), garak (report.jsonl) or
    Every Eval Ever 0.3 of one model.
    """
    from audit.config.imported_tasks import (
        dimension_of,
        parse_dimensions,
        parse_ranges,
        range_of,
        refuse_idle,
    )
    from audit.config.policies import policy_file
    from audit.core.records import to_plain
    from audit.engine.environment import environment
    from audit.engine.importing import import_run, measured
    from audit.formats.evaluations.reading import read_logs
    from audit.store.runs import open_store

    said, ends, where = parse_dimensions(dimensions), parse_ranges(ranges), address(store)
    rules = None if policy is None else policy_file(policy)
    with _progress() as watched:
        logs = read_logs(files, watched)
    found = measured(
        logs, lambda task: dimension_of(task, said), model, lambda metric: range_of(metric, ends)
    )
    refuse_idle("--dimension", (p for p, _ in said), [e.name for e in found.evaluators], "task")
    refuse_idle("--range", (p for p, *_ in ends), [o.metric for o in found.outcomes], "metric")
    if rules is not None:
        _check(rules, found)
    with open_store(where) as opened:
        record = import_run(opened, found, rules, name or files[0].name, _environment(environment("cpu")))
    with suppress(BrokenPipeError):  # a reader who leaves does not change the verdict
        if form == "json":
            print_json(to_plain(record))
        else:
            from audit.cli.scorecard import print_record, terminal

            print_record(record, terminal())
    return PASSED if rules is None else exit_code(record)


def _environment(facts: dict[str, str]) -> dict[str, str]:
    """Return what the numbers of an import rest on: no model was run."""
    return {name: facts[name] for name in ("python", "generative-audit", "numpy", "scipy") if name in facts}


def _check(policy: Policy, found: Imported) -> None:
    """Refuse a policy that asks for the wrong side of a metric; one of a metric that the files lack is not assessed."""
    declared = {
        name: Metric(name, str(about["meaning"]), Direction(about["direction"]))
        for evaluator in found.evaluators
        for name, about in evaluator.declared.items()
    }
    check_policy(policy, declared, [c.metric for c in policy.criteria if c.metric not in declared])


@contextmanager
def _progress() -> Iterator[Watched]:
    """Give what shows how far a large file has been read: a bar on standard error, where that is a terminal."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from audit.cli.progress import Quiet

    console = Quiet(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def watched(file: BinaryIO, size: int, name: str) -> BinaryIO:
            if size < _LARGE:
                return file
            return bar.wrap_file(file, total=size, description=escape(visible(name[:44])))

        yield watched
