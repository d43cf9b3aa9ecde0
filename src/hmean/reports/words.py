"""The words of all reports, English and Korean: one table, ``templates/words.json``.

A key of one report alone has its name before a dot, such as ``run.settings``; the others are shared. Names of files,
keys of settings, P, R, H and what engines write into files are the same in all languages.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Literal, NamedTuple, get_args

from hmean.errors import InputError

Language = Literal["en", "ko"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
DEFAULT_LANGUAGE: Language = "en"


class Text(NamedTuple):
    """One text of the table; ``{name}`` stands for a value."""

    en: str
    ko: str


class Words:
    """The texts of one language.

    Raises:
        InputError: if there is no such language.
    """

    def __init__(self, lang: str = DEFAULT_LANGUAGE) -> None:
        if lang not in LANGUAGES:
            raise InputError(f"lang={lang}: choose one of {', '.join(LANGUAGES)}")
        self.lang = lang
        self._texts = {key: str(getattr(text, lang)) for key, text in read_table().items()}

    def say(self, key: str, **values: str | int) -> str:
        """A text of the table, with its values.

        Raises:
            KeyError: if the table has no such text, or a value is missing.
        """
        return self._texts[key].format(**values)

    def word(self, name: str) -> str:
        """A split, outcome, verdict or strategy in this language; what has no entry stays as it is."""
        return self._texts.get(name, name)

    def file_name(self, suffix: str) -> str:
        """The name of a report's file: ``report.html``, and ``report.ko.html`` beside it."""
        if self.lang == DEFAULT_LANGUAGE:
            return f"report{suffix}"
        return f"report.{self.lang}{suffix}"


def read_table() -> dict[str, Text]:
    """All texts by their keys."""
    source = files("hmean.reports") / "templates" / "words.json"
    table = json.loads(source.read_text(encoding="utf-8"))
    return {key: Text(*texts) for key, texts in table.items()}
