"""The command ``audit``: finds the command asked for, runs it, and turns errors into exit codes."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module

import click

from audit import __version__
from audit.core.errors import InputError

COMMANDS = {
    "run": "Run an audit, or take up an unfinished one.",
    "plan": "Say what would run, what is shared, what is skipped and why.",
    "show": "Show the scorecard of a run.",
    "list": "List models, evaluators, datasets, extractors, assets, policies, runs.",
    "report": "Write the report of a run as HTML or JSON.",
    "compare": "Compare two runs: what changed, beyond noise.",
    "fetch": "Bring a pinned, hash-checked asset into the local asset store.",
    "train": "Train an included model again from its recipe.",
    "dashboard": "Open the dashboard in a browser.",
    "demo": "Audit the included digits model and write a report.",
    "doctor": "Say what is installed, what is usable and what is missing.",
}
"""Every command with its one line of help, so that ``audit --help`` imports none of them."""

PASSED, FAILED, BAD_INPUT, UNDECIDED, UNFINISHED, INTERRUPTED = 0, 1, 2, 3, 4, 130

_EPILOG = """\
\b
Examples:
  audit demo
  audit plan examples/digits.toml
  audit run examples/digits.toml
  audit report --format html -o report.html

\b
Exit codes of run:
  0    every criterion passed
  1    a criterion failed
  2    bad input; nothing was written
  3    nothing failed, but something is inconclusive or not assessed
  4    the run could not finish; the same command takes it up
  130  interrupted; the same command takes it up
"""


class _Lazy(click.Group):
    """Imports a command's module when the command is used, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"audit.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from audit.core.errors import nearest

            raise InputError(f"There is no command '{args[0]}'. {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="audit")
def audit() -> None:
    """Evaluate and audit generative models before they ship.

    Loads a model, scores what it makes for quality, fairness, privacy and
    provenance, and says with intervals what was measured, what was not, and
    whether it meets the bar set beforehand.
    """


def main() -> None:
    """Run the command line and exit with the documented code."""
    sys.exit(_main())


def _main() -> int:
    try:
        code = audit.main(standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else PASSED
    except InputError as error:
        return _say(str(error), BAD_INPUT)
    except click.exceptions.Abort:
        return _say("interrupted; the same command takes up where it stopped", INTERRUPTED)
    except KeyboardInterrupt:
        return _say("interrupted; the same command takes up where it stopped", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; nobody is told
        return PASSED
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _say(
                f"the disk is full ({error}). What was made is kept; make room, then run the same command again",
                UNFINISHED,
            )
        return _say(f"{error}. What was made is kept; the same command takes up where it stopped", UNFINISHED)


def _say(message: str, code: int) -> int:
    click.echo(f"audit: {message}", err=True)
    return code
