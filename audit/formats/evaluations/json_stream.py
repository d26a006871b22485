"""A JSON document read member by member, so that a large one is never held whole.

Inspect writes NaN for a sample that was not graded, as Python's own writer does and the JSON standard does not; readers
that stream JSON (``ijson``) stop there, and Inspect itself then reads the whole file. So values are taken one by one from a
window of the text by Python's decoder, which knows NaN.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from audit.formats.hostile import UnreadableError, shown

MOST_VALUE = 32 * 2**20
"""Characters of one value: beyond that a hostile file costs gigabytes, since an empty object takes 64 bytes."""
_BLOCK = 1 << 20
_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder()


class JsonDocument:
    """A JSON document in the order of its file. Every method raises UnreadableError with the reason.

    ``names`` goes over the members of an object: call ``value`` or ``items`` after each name, or neither, and the value is
    passed over. Of a document that is a list ``items`` yields the elements; ``value`` returns any document whole.
    """

    def __init__(self, file: BinaryIO, most: int = MOST_VALUE) -> None:
        self._file = file
        self._most = most
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._ended = False
        self._pending = False

    def names(self) -> Iterator[str]:
        """Yield the name of each member. A name that comes twice is refused, as is anything after the object."""
        if self._next() != "{":
            raise UnreadableError("no JSON object")
        self._at += 1
        seen: set[str] = set()
        while (sign := self._next()) != "}":
            if seen:
                self._expect(",")
                sign = self._next()
            if sign != '"':
                raise UnreadableError(self._broken())
            name = self._decode()
            if name in seen:
                raise UnreadableError(f"it names '{shown(name)}' twice")
            seen.add(name)
            self._expect(":")
            self._pending = True
            yield name
            if self._pending:
                self.value()
        self._at += 1
        if self._next():
            raise UnreadableError(
                "there is more after the JSON object: it is damaged, or several in one file"
            )

    def value(self) -> Any:
        """Return the value of the member that was named last."""
        self._pending = False
        self._next()
        return self._decode()

    def items(self) -> Iterator[Any]:
        """Yield the elements of the list that was named last, one by one; of null, none."""
        if self._next() != "[":
            if self.value() is not None:
                raise UnreadableError("no list stands where one is wanted")
            return
        self._pending = False
        self._at += 1
        yield from self._elements()

    def _elements(self) -> Iterator[Any]:
        first = True
        while (sign := self._next()) != "]":
            if not first:
                self._expect(",")
                sign = self._next()
            if not sign:
                raise UnreadableError(self._broken())
            first = False
            yield self._decode()
        self._at += 1

    def _next(self) -> str:
        """Return the next character that is no white space, where the window then begins; empty at the end of the file."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(_BLOCK):
                return ""

    def _expect(self, sign: str) -> None:
        if self._next() != sign:
            raise UnreadableError(self._broken())
        self._at += 1

    def _decode(self) -> Any:
        while True:
            try:
                found, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._grown():
                    raise UnreadableError(self._broken(error)) from None
                continue
            except RecursionError:
                raise UnreadableError("it is nested too deep") from None
            except ValueError:  # Python reads no whole number of over 4,300 digits
                raise UnreadableError("it holds a number of thousands of digits") from None
            if end == len(self._text) and self._grown():  # a number may go on
                continue
            self._at = end
            return found

    def _grown(self) -> bool:
        """Read on, about as much as there is of the value; say whether there was more."""
        held = len(self._text) - self._at
        if held > self._most and not self._ended:
            raise UnreadableError(f"one value has over {self._most:,} characters")
        return self._more(max(_BLOCK, held))

    def _more(self, size: int) -> bool:
        if self._ended:
            return False
        block = self._file.read(size)
        self._ended = not block
        try:
            text = self._decoder.decode(block, final=not block)
        except UnicodeDecodeError:
            raise UnreadableError("it is no UTF-8 text") from None
        self._text, self._at = self._text[self._at :] + text, 0
        return bool(text) or (not self._ended and self._more(size))

    def _broken(self, error: json.JSONDecodeError | None = None) -> str:
        if self._ended and (error is None or len(self._text) - error.pos < 8 or "Unterminated" in error.msg):
            return "the JSON ends in the middle: the file was cut short"
        near = (
            self._text[self._at : self._at + 30] if error is None else self._text[error.pos : error.pos + 30]
        )
        return f"it is no JSON near '{shown(near)}'"
