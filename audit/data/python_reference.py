"""English text that every Python carries: its language reference, as the built-in help shows it."""

from __future__ import annotations

import importlib.util
import platform
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.core.identity import digest_file
from audit.core.options import OptionTable
from audit.core.references import DataRef
from audit.core.rows import Rows, text_rows
from audit.core.subjects import DataCard

_MODULE = "pydoc_data.topics"
_SHORTEST = 600
_LONGEST = 2_400


class PythonReference:
    """Sections of the Python language reference from the standard library's ``pydoc_data.topics``.

    Each help topic is cut between paragraphs into texts of about 600 to 2,400
    characters (longer where one paragraph is); no text spans two topics, and a
    shorter topic is left out. There is one split, ``holdout``, and no
    ``train``: the reference is on the web, so whether a model saw it in
    pre-training is unknown.

    Trap: the text is that of the Python which runs the audit. Another version
    of Python has another digest, and its scores are not comparable bit for bit.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> DataRef:
        OptionTable.of("the dataset 'python-reference'", options, ())
        file = _file()
        cut = (("longest", _LONGEST), ("shortest", _SHORTEST))
        return DataRef("python-reference", digest_file(file), cut, str(file))

    @classmethod
    def describe(cls, ref: DataRef) -> DataCard:
        return DataCard(
            "text",
            (("holdout", len(_read(ref))),),
            notes=(
                f"Text of Python {platform.python_version()} (PSF licence): another version of Python has another text.",
                "Whether the model saw these texts in training is unknown, so there is no split 'train'.",
                "English prose with code and grammar rules between the paragraphs.",
            ),
        )

    @classmethod
    def load(cls, ref: DataRef, split: str) -> Rows:
        if split != "holdout":
            raise InputError(f"The dataset 'python-reference' has no split '{split}'; it has holdout.")
        found = _read(ref)
        return text_rows([text for _, text in found], topic=[topic for topic, _ in found])


def sections(topic: str) -> list[str]:
    """Cut a topic between paragraphs into texts of 600 to 2,400 characters where its paragraphs allow.

    Paragraphs are gathered until a text is long enough. A paragraph is never
    cut, so one that is longer makes a longer text; a rest that is too short joins the text before.

    >>> [len(text) for text in sections("a" * 500 + "\\n\\n" + "b" * 500 + "\\n\\n" + "c" * 300)]
    [1304]
    """
    texts: list[str] = []
    gathered = ""
    for paragraph in re.split(r"\n[ \t]*\n", topic.strip("\n")):
        longer = f"{gathered}\n\n{paragraph}" if gathered else paragraph
        if len(longer) > _LONGEST and len(gathered) >= _SHORTEST:
            texts.append(gathered)
            longer = paragraph
        gathered = longer
    if texts and len(gathered) < _SHORTEST:
        texts[-1] = f"{texts[-1]}\n\n{gathered}"
    elif len(gathered) >= _SHORTEST:
        texts.append(gathered)
    return texts


def _file() -> Path:
    spec = importlib.util.find_spec(_MODULE)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise InputError(f"This Python lacks {_MODULE} (some minimal installations do). Use another dataset.")
    return Path(spec.origin)


def _read(ref: DataRef) -> tuple[tuple[str, str], ...]:
    """Return (topic, text) of every section, by name of topic."""
    if digest_file(_file()) != ref.content:
        raise InputError(
            f"{_MODULE} is not the one this audit was planned with. Use the same Python, or plan again."
        )
    return _cut()


@lru_cache(maxsize=1)
def _cut() -> tuple[tuple[str, str], ...]:
    from pydoc_data.topics import topics

    return tuple((name, text) for name in sorted(topics) for text in sections(topics[name]))
