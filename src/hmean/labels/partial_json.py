"""The start of a JSON text as far as it goes: enough to tell what kind of file it is, without reading it whole."""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(r'\s*(?:([{}\[\],:])|("[^"\\]*(?:\\.[^"\\]*)*")|([^\s{}\[\],:"]+))', re.DOTALL)
_DEEPEST = 64  # containers in each other; label files have fewer than ten
_WORDS = {"true": True, "false": False, "null": None}


def read_start(text: str) -> Any:
    """The first value of a text that may be cut off anywhere: containers are returned as far as they are there.

    What is not JSON ends the reading; numbers become floats, and escapes in texts stay as they are written.

    Returns:
        The value; None if the text does not begin with JSON.
    """
    reader = _StartReader()
    at = 0
    while not reader.is_done:
        token = _TOKEN.match(text, at)
        if token is None:
            break
        at = token.end()
        mark, quoted, word = token.groups()
        if mark is not None:
            reader.take_mark(mark)
        elif quoted is not None:
            reader.take_text(quoted[1:-1])
        elif token.end() < len(text):  # else it may go on behind the cut
            reader.take_word(word)
    return reader.value


class _StartReader:
    """Builds the value from its tokens."""

    def __init__(self) -> None:
        self.value: Any = None
        self.is_done = False
        self._open: list[dict[str, Any] | list[Any]] = []
        self._key: str | None = None  # of the innermost object, if it was read and its value was not

    def take_mark(self, mark: str) -> None:
        if mark == "{":
            self._begin({})
        elif mark == "[":
            self._begin([])
        elif mark in "}]":
            self._end()

    def take_text(self, text: str) -> None:
        if self._open and isinstance(self._open[-1], dict) and self._key is None:
            self._key = text
        else:
            self._add(text)

    def take_word(self, word: str) -> None:
        if word in _WORDS:
            self._add(_WORDS[word])
            return
        try:
            self._add(float(word))
        except ValueError:
            self.is_done = True

    def _begin(self, container: dict[str, Any] | list[Any]) -> None:
        if len(self._open) == _DEEPEST:
            self.is_done = True
            return
        self._add(container)
        if self._open or self.value is container:
            self._open.append(container)
            self.is_done = False

    def _end(self) -> None:
        self._key = None
        if self._open:
            self._open.pop()
        self.is_done = not self._open

    def _add(self, value: Any) -> None:
        if not self._open:
            self.value = value
            self.is_done = True
            return
        container = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        elif self._key is not None:
            container[self._key] = value
            self._key = None
        else:
            self.is_done = True  # a value without a key: not JSON
