"""audit review: what people said of a run, and whether the log of it is as it was written."""

from __future__ import annotations

import click

from audit.cli.options import address, format_option, print_json, store_option
from audit.cli.show import read_record
from audit.cli.visible import say, visible
from audit.core.review import Review, review_to_plain

_EPILOG = """\
\b
Examples:
  audit review                              # of the last run
  audit review 20260102-1f3a --check        # exit code 1 when a line was changed, removed or inserted
  audit review --check --head 5f0c…         # also: the line with this digest, as a report named it, is still there
"""


@click.command("review", epilog=_EPILOG)
@click.argument("run", required=False)
@store_option
@format_option
@click.option("--check", is_flag=True, help="End with 1 when the log is not as it was written.")
@click.option("--head", metavar="DIGEST", help="A line that has to be there, as a report named it.")
def command(run: str | None, store: str | None, form: str, check: bool, head: str | None) -> int:
    """Show the review of RUN, or of the last run: decisions, sign-offs, and who looked at sensitive content.

    Reviews are written in the dashboard, on the page Review. Every line holds the digest of the line before, so that
    one that is changed, removed or inserted afterwards is named here.
    """
    from audit.store.reviews import review_of

    named = read_record(run, store).run
    review = review_of(address(store), named) or Review()
    faults = list(review.faults)
    if head and not any(e.digest.startswith(head) for e in review.entries):
        faults.append(
            f"No line of the log has the digest {head}: lines were removed, or it is of another run."
        )
    if form == "json":
        print_json({"run": named, **review_to_plain(review), "faults": faults, "head": review.head})
    else:
        _print(named, review, faults)
    return 1 if faults and (check or head) else 0


def _print(run: str, review: Review, faults: list[str]) -> None:
    for e in review.entries:
        about = f" {e.about}" if e.about else ""
        comment = f": {e.comment}" if e.comment else ""
        say(visible(f"{e.number}  {e.at}  {e.who}  {e.action.value}{about}{comment}"))
    for fault in faults:
        say(f"changed: {visible(fault)}")
    if not review.entries and not faults:
        say(f"nobody has reviewed run {visible(run)}; the dashboard's page Review is where that is done")
    elif not faults:
        say(f"sound: {len(review.entries)} lines; the last is {review.head}")
    if review.aside:
        say(f"set aside: {review.aside} half-written, by a writer that was interrupted")
    if review.unconfirmed:
        say("the last line was not confirmed; its writer may have been interrupted right after it")
