"""Which scripts texts are written in: Latin, Hangul, Han, ..."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from fontTools import unicodedata

NO_SCRIPT = "digits and signs"
_SHARED = frozenset({"Zyyy", "Zinh", "Zzzz"})  # Unicode's codes of characters that belong to all scripts, or to none


def count_scripts(texts: Iterable[str | None]) -> dict[str, int]:
    """Characters of each script, the most frequent first; white space is not counted.

    Characters of no script of their own (digits, punctuation, currency signs) are ``NO_SCRIPT``.
    """
    characters: Counter[str] = Counter()
    for text in texts:
        characters.update("".join((text or "").split()))
    scripts: Counter[str] = Counter()
    for character, count in characters.items():
        scripts[_script_of(character)] += count
    return dict(scripts.most_common())


@lru_cache(maxsize=1 << 16)
def _script_of(character: str) -> str:
    """The script's name in Unicode, with spaces: ``Old Italic``."""
    code = unicodedata.script(character)
    if code in _SHARED:
        return NO_SCRIPT
    return str(unicodedata.script_name(code)).replace("_", " ")
