"""Conversations in JSONL into a prompt and the reply to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audit.formats.hostile import Refused, UnreadableError, shown
from audit.formats.texts import checked, shows_nothing

_SPEAKERS, _CONTENTS = ("role", "from"), ("content", "value")
"""Keys of a message: those of chat interfaces, and those of ShareGPT."""
_REPLIES = ("assistant", "gpt", "model", "bot")
_TEXT_PARTS = ("text", "input_text", "output_text")
_NAMED = 5


def field_of(record: Mapping[str, Any], name: str) -> Any:
    """Return a field of a line. Raise UnreadableError that names the fields there are when it has none of this name."""
    if name not in record:
        names = ", ".join(shown(other) for other in list(record)[:_NAMED])
        raise UnreadableError(f"{_LACKS} '{shown(name)}' among {names or 'none'}")
    return record[name]


_LACKS = "no field"
_OF_SPLITS = ("train_field", "holdout_field")
_NAMING = ("messages", "prefix", *_OF_SPLITS, "field")
"""Keys of a spec that name a field; where two name the same one, the last of them is meant."""


def field_advice(refused: Sequence[Refused], options: Mapping[str, Any]) -> str:
    """Say what to do where no line has a field that ``options`` name; an empty string where some have."""
    if not refused or not all(one.reason.startswith(_LACKS) for one in refused):
        return ""
    named = {shown(str(options[key])): key for key in _NAMING if key in options}
    key = next(
        (key for name, key in named.items() if refused[0].reason.startswith(f"{_LACKS} '{name}' ")), "field"
    )
    if key in _OF_SPLITS and len({options.get(one, options[key]) for one in _OF_SPLITS}) == 1:
        key = "field"  # the one for all splits
    return f'If what is meant stands in another field, name it in the spec: {key} = "…".'


def reply_in(record: Mapping[str, Any], name: str, most: int) -> tuple[str, str]:
    """Return the last reply of a conversation, and what was said before it: contents alone, blank lines between them.

    The field ``name`` holds a list of messages, each with ``role`` and ``content`` (or ``from`` and ``value``), a content being
    a text or a list of parts of text. Messages after the last reply count for nothing. Raise UnreadableError with the
    reason and the message's number.
    """
    messages = field_of(record, name)
    if not isinstance(messages, list) or not messages:
        raise UnreadableError(f"'{shown(name)}' is no list of messages")
    speakers = [_speaker(message, number) for number, message in enumerate(messages, 1)]
    last = max((at for at, speaker in enumerate(speakers) if speaker in _REPLIES), default=None)
    if last is None:
        found = ", ".join(shown(one) for one in dict.fromkeys(speakers[:_NAMED]))
        raise UnreadableError(f"no message of the role 'assistant', only {found}")
    said = [_content(message, number) for number, message in enumerate(messages[: last + 1], 1)]
    text = checked(said[-1], most)
    prompt = "\n\n".join(one for one in said[:-1] if not shows_nothing(one))
    return (checked(prompt, most) if prompt else ""), text


def _speaker(message: Any, number: int) -> str:
    if not isinstance(message, dict):
        raise UnreadableError(f"message {number} is no object with role and content")
    found = next((message[key] for key in _SPEAKERS if key in message), None)
    if not isinstance(found, str):
        raise UnreadableError(f"message {number} has no role")
    return found.lower()


def _content(message: Mapping[str, Any], number: int) -> str:
    found = next((message[key] for key in _CONTENTS if key in message), None)
    if isinstance(found, str):
        return found
    if not isinstance(found, list):
        raise UnreadableError(f"message {number} has no text as content")
    parts = []
    for part in found:
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        if kind not in _TEXT_PARTS or not isinstance(part.get("text"), str):
            raise UnreadableError(f"message {number} holds a part that is no text ({shown(str(kind))})")
        parts.append(part["text"])
    return "".join(parts)
