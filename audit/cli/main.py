"""The command ``audit``: finds the command asked for, runs it, and turns errors into exit codes."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

import click

from audit import __version__
from audit.cli.visible import say, visible
from audit.core.errors import InputError

COMMANDS = {
    "run": "Run an audit, or resume an unfinished one.",
    "plan": "Say what would run, what is shared, what is skipped and why.",
    "qualify": "Plant defects at known doses, and say what an audit would catch.",
    "show": "Show the scorecard of a run.",
    "list": "List models, evaluators, datasets, extractors, assets, policies, runs.",
    "risks": "List the training records that a run found at risk: open, closed, new.",
    "report": "Write the report of a run: HTML, Markdown, JSON, CSV, JUnit, SARIF, card.",
    "review": "Show what people said of a run, and check that nobody changed it.",
    "label": "Write samples of an audit that a person is to label.",
    "import": "Read logs of Inspect, lm-eval, garak or Every Eval Ever as a run.",
    "compare": "Compare two runs: what changed, beyond noise.",
    "detect": "Say which marks of provenance files carry, and what each proves.",
    "mark": "Sign, label and watermark a folder of outputs into another.",
    "fetch": "Bring a pinned, hash-checked asset into the local asset store.",
    "train": "Train an included model again from its recipe.",
    "store": "Check a store, or free what no run needs.",
    "dashboard": "Open the dashboard in a browser.",
    "demo": "Audit the included digits model and write a report.",
    "doctor": "Say what is installed, what is usable and what is missing.",
}
"""Every command with its one line of help, so that ``audit --help`` imports none of them."""

_MODULES = {"import": "importing"}
"""Commands whose name no module can have."""

PASSED, FAILED, BAD_INPUT, UNDECIDED, UNFINISHED = 0, 1, 2, 3, 4
INTERRUPTED, TERMINATED = 130, 143

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
  4    the run could not finish, or a part of it failed; the same command
       resumes it, and with --retry-failed tries again what failed
  130  interrupted (143: terminated); the same command resumes it
"""


class _Lazy(click.Group):
    """Imports a command's module when the command is used, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"audit.cli.{_MODULES.get(name, name)}").command
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


RESUMES = "the same command resumes where it stopped"
_MOST = 4_000
"""Characters of a message: a name in it may be as long as a file allows."""


class JobError(Exception):
    """A job that was done apart did not come to its end, and the exit code that says so."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Terminated(BaseException):
    """SIGTERM arrived: end the workers as Ctrl-C does, with an exit code of its own."""


def main() -> None:
    """Run the command line and exit with the documented code."""
    signal.signal(signal.SIGTERM, terminate)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    _open_standard_streams()
    sys.exit(_main(apart=True))


def _open_standard_streams() -> None:
    """Have three streams that hold what is written to them, or drop it, and show signs that they cannot spell as escapes."""
    for descriptor in range(
        3
    ):  # one that is closed would be given to the next file, and that file written to
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


_interrupts: list[int] = []
"""Ctrl-C as it was heard: a library it lands in may turn it into an error of its own."""


def _interrupt(number: int, _frame: object) -> None:
    _interrupts.append(number)
    raise KeyboardInterrupt


def terminate(_number: int, _frame: object) -> None:
    """Leave as if an error had been raised: what is open is closed first."""
    raise Terminated


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _main(*, apart: bool = False) -> int:
    """Run the command line and return its exit code; ``apart`` says that models are loaded in another process."""
    try:
        code = audit.main(standalone_mode=False, obj=apart)
    except BrokenPipeError:  # the reader of what was shown left; a run answers for itself
        code = PASSED
    except click.ClickException as error:
        error.show()
        code = BAD_INPUT
    except BaseException as error:
        ended, message = ending(KeyboardInterrupt() if _interrupts else error)
        code = _say(message, ended)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return _say(f"standard output cannot be written: {error.strerror}", code or UNFINISHED)
    return code if isinstance(code, int) else PASSED


def ending(error: BaseException) -> tuple[int, str]:
    """Return the exit code for what ended a command, and the sentence that says it."""
    if _interrupts:
        return INTERRUPTED, f"interrupted; {RESUMES}"
    match error:
        case InputError():
            return BAD_INPUT, str(error)
        case JobError():
            return error.code, str(error)
        case Terminated():
            return TERMINATED, f"terminated; {RESUMES}"
        case KeyboardInterrupt() | click.exceptions.Abort():
            return INTERRUPTED, f"interrupted; {RESUMES}"
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            full = f"the disk is full ({error}). Make room; what was made is kept, and {RESUMES}"
            return UNFINISHED, full
        case OSError(strerror=str(said)) if said.endswith("."):  # it says what to do
            return UNFINISHED, f"{said} What was made is kept"
        case OSError():
            return UNFINISHED, f"{error}. What was made is kept, and {RESUMES}"
    if os.environ.get("AUDIT_TRACEBACK"):
        traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return UNFINISHED, f"it stopped on {what}. AUDIT_TRACEBACK=1 shows where; what was made is kept"


def _say(message: str, code: int) -> int:
    say(f"audit: {visible(_brief(message))}", err=True)
    return code


def _brief(message: str) -> str:
    """Return both ends of a message that holds a huge name: what is wrong, and what to do."""
    return message if len(message) <= _MOST else f"{message[: _MOST // 2]} … {message[-_MOST // 2 :]}"
