"""What receipts say, in several languages (``words.ini``). Shops, people and places are invented."""

from __future__ import annotations

from configparser import ConfigParser
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.resources import files

from numpy.random import Generator

from hmean.synth.chance import pick

_SYLLABLES = "ba be bo da del fen gar hal in jo ka kel la lor ma mer mon na nor ol pe por qui ra ros sen ta tor ul yo"


@dataclass(frozen=True)
class Words:
    """The words of one language: for each part of a receipt, the alternatives.

    Digits are drawn anew each time, and ``{date}``, ``{time}``, ``{who}`` and ``{shop}`` are filled in.

    Attributes:
        money: what stands before and after a price, around its decimal mark (``#``: without decimals).
        shop: what follows a name in that of a shop.
        head: lines below the name: address, telephone, tax numbers.
        title: what the receipt is.
        meta: facts such as the date, as ``label: value``.
        columns: the four headings above the items: what, how many, price of one, price.
        items: what is bought.
        sums: lines between the items and the total.
        total: names of the total.
        pay: how it was paid.
        foot: last lines.
    """

    money: list[str]
    shop: list[str]
    head: list[str]
    title: list[str]
    meta: list[str]
    columns: list[str]
    items: list[str]
    sums: list[str]
    total: list[str]
    pay: list[str]
    foot: list[str]

    def letters(self) -> set[int]:
        """The code points that a font needs to print all of it, also in capitals."""
        text = ""
        for field in fields(self):
            text += "".join(getattr(self, field.name))
        return set(map(ord, text + text.upper()))


@lru_cache(maxsize=1)
def languages() -> tuple[Words, ...]:
    """The words of each language."""
    parser = ConfigParser(interpolation=None, delimiters=("=",))
    parser.read_string((files("hmean.synth") / "words.ini").read_text(encoding="utf-8"))
    found = []
    for language in parser.sections():
        alternatives = {}
        for part, text in parser[language].items():
            alternatives[part] = text.replace("\n", "").split("|")
        found.append(Words(**alternatives))
    return tuple(found)


def invent_name(rng: Generator) -> str:
    """A name of two or three syllables."""
    name = ""
    for _ in range(rng.integers(2, 4)):
        name += pick(rng, _SYLLABLES.split())
    return name.capitalize()
