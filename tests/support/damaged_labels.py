"""Damage of every kind that label files meet, drawn from a seeded generator."""

from __future__ import annotations

import random
import re

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_QUOTED = re.compile(rb'"[^"]*"')
_NUMBERS = (
    b"NaN", b"Infinity", b"-Infinity", b"nan", b"inf", b"1e400", b"-1e308", b"1e308", b"1" + b"0" * 400, b"9" * 5000,
    b"-1", b"0", b"1e-320", b"0.1", b"123456789012345678901234567890", b"true", b"null", b'"7"', b"[]", b"{}", b"-0.0",
    b"99999999", b"1000000", b"2147483648", b"9223372036854775808",
)  # fmt: skip
_TEXTS = (
    b'""', b'"\\ud800"', b'"\\u0000"', b'"###"', b'"*"', b"null", b"7", b"[]", b'{"a": 1}', b'"' + b"n" * 300 + b'"',
    b'"../../../etc/passwd"', b'"/"', b'".."', b'"\xff\xfe"', '"\u202e\u200b"'.encode(), b'"a\\nb\\tc"', b'"\xed\xa0\x80"',
)  # fmt: skip


def damaged(content: bytes, generator: random.Random) -> bytes:
    """The content of a file with one to three faults."""
    damages = _DAMAGES
    if content.lstrip().startswith(b"<"):
        damages += _DAMAGES_OF_XML
    for _ in range(generator.randint(1, 3)):
        content = generator.choice(damages)(content, generator)
    return content


def _number(content: bytes, generator: random.Random) -> bytes:
    return _swap_match(_NUMBER, _NUMBERS, content, generator)


def _text(content: bytes, generator: random.Random) -> bytes:
    return _swap_match(_QUOTED, _TEXTS, content, generator)


def _swap_match(
    pattern: re.Pattern[bytes], others: tuple[bytes, ...], content: bytes, generator: random.Random
) -> bytes:
    found = list(pattern.finditer(content))
    if not found:
        return content
    match = generator.choice(found)
    return content[: match.start()] + generator.choice(others) + content[match.end() :]


def _cut(content: bytes, generator: random.Random) -> bytes:
    return content[: generator.randint(0, len(content))]


def _drop(content: bytes, generator: random.Random) -> bytes:
    start = generator.randint(0, len(content))
    return content[:start] + content[start + generator.randint(1, 40) :]


def _double(content: bytes, generator: random.Random) -> bytes:
    start = generator.randint(0, len(content))
    end = start + generator.randint(1, 200)
    return content[:end] + content[start:end] + content[end:]


def _insert(content: bytes, generator: random.Random) -> bytes:
    at = generator.randint(0, len(content))
    what = generator.choice(
        [b"\0", b"\xff", b"\xed\xa0\x80", b"\r", b"\n", b"\t", b"{", b"[", b'"', b",", b"}", b"]", b"|", b"\\"]
    )
    return content[:at] + what + content[at:]


def _nest(content: bytes, generator: random.Random) -> bytes:
    match = generator.choice([*_NUMBER.finditer(content)] or [re.search(rb"$", content)])
    depth = generator.choice([40, 70, 500, 100_000])
    return content[: match.start()] + b"[" * depth + match.group() + b"]" * depth + content[match.end() :]


def _nest_elements(content: bytes, generator: random.Random) -> bytes:
    """Elements in each other, closed or not, before one of the tags."""
    places = [match.start() for match in re.finditer(rb"<", content)] or [0]
    at = generator.choice(places)
    depth = generator.choice([40, 300, 100_000])
    closed = generator.choice([0, depth])
    return content[:at] + b"<b>" * depth + b"</b>" * closed + content[at:]


def _declare(content: bytes, generator: random.Random) -> bytes:
    """Entities that grow when they are read, or hold a file, in a text or an attribute."""
    grow = b"".join(b'<!ENTITY e%d "%s">' % (k + 1, b"&e%d;" % k * 10) for k in range(1, 20))
    dtd = generator.choice(
        [
            b'<!DOCTYPE x [<!ENTITY e1 "ha">' + grow + b"]>",
            b'<!DOCTYPE x [<!ENTITY e20 "&e20;">]>',
            b'<!DOCTYPE x [<!ENTITY e20 SYSTEM "file:///etc/passwd">]>',
            b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
        ]
    )
    head, mark, rest = content.partition(b"?>")
    place = generator.choice([*re.finditer(rb"(?<=[>\"'])[^<>\"'=]+(?=[<\"'])", rest)] or [re.search(rb"$", rest)])
    return head + mark + dtd + rest[: place.start()] + b"&e20;" + rest[place.end() :]


def _encode(content: bytes, generator: random.Random) -> bytes:
    text = content.decode(errors="replace")
    encoding = generator.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "latin-1"])
    return text.encode(encoding, errors="replace")


def _end_lines(content: bytes, generator: random.Random) -> bytes:
    return content.replace(b"\n", generator.choice([b"\r\n", b"\r", b"\n\n"]))


def _swap_lines(content: bytes, generator: random.Random) -> bytes:
    lines = content.split(b"\n")
    generator.shuffle(lines)
    return b"\n".join(lines)


_DAMAGES = (
    _number,
    _number,
    _number,
    _text,
    _text,
    _cut,
    _drop,
    _double,
    _insert,
    _nest,
    _encode,
    _end_lines,
    _swap_lines,
)
_DAMAGES_OF_XML = (
    _nest_elements,
    _nest_elements,
    _declare,
    _declare,
)
