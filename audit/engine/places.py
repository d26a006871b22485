"""Remove from a sentence what names this machine or its user: folders, and the name of the host."""

from __future__ import annotations

import contextlib
import re
import socket
from functools import cache
from pathlib import Path

_QUOTED = re.compile(r"""(["'])(?:file://)?/[^"'\n]+\1""")
_BARE = re.compile(r"""(?<![\w.~:/\\…])(?:file://)?/[^\s"'`<>|:,;()\[\]{}]+""")
_TOO_COMMON = ("localhost", "localdomain")


def placeless(text: str) -> str:
    """Return a sentence with the last part of each path alone, and without the name of this machine.

    A record is sent to others: whose folders it was made in is not theirs to
    read. A home folder goes with all that leads to it, and the user's name in it.

    >>> placeless('File "/home/ann lee/model.py", line 3: no /home/ann/weights/w.bin, /a/b/')
    'File "…/model.py", line 3: no …/w.bin, …/b'
    >>> placeless("and/or, 1/2, https://example.com/a/b, ~/x/y, a /metre and /etc")
    'and/or, 1/2, https://example.com/a/b, ~/x/y, a /metre and …/etc'
    """
    if "/" in text:
        for lead in _known():
            text = text.replace(lead, "/…/")
        text = _QUOTED.sub(lambda found: f"{found[1]}{_end(found[0].strip(found[1]))}{found[1]}", text)
        text = _BARE.sub(lambda found: _end(found[0]), text)
    return _machine().sub("this machine", text)


def _end(path: str) -> str:
    """Return the last part of a path; what has one part alone is a path if there is such a thing."""
    lead, _, last = path.rstrip("/").rpartition("/")
    with contextlib.suppress(OSError, ValueError):
        if not lead and not Path(path).exists():
            return path
    return f"…/{last}"


@cache
def _known() -> tuple[str, ...]:
    """Return folders that may hold spaces, in which a path would seem to end, the longest first."""
    leads = set()
    for find in (Path.home, Path.cwd):
        with contextlib.suppress(OSError, RuntimeError):  # there is none, or it was deleted
            leads.add(f"{str(find()).rstrip('/')}/")
    return tuple(sorted((lead for lead in leads if " " in lead), key=len, reverse=True))


@cache
def _machine() -> re.Pattern[str]:
    """Return what finds this machine's name, whole or up to its first point, as a word of its own."""
    name = socket.gethostname()
    words = {word for word in (name, name.partition(".")[0]) if len(word) > 1 and word not in _TOO_COMMON}
    if not words:
        return re.compile(r"(?!)")
    choice = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])(?:{choice})(?![\w-])")
