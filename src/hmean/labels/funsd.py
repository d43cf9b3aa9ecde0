"""FUNSD and XFUND: forms whose entries have boxes and words. FUNSD is a JSON file for each image, XFUND one for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek, first_object
from hmean.labels.whole_file import LabelFile, RawPage, RawWord, box_word
from hmean.labels.writers import FileForEachPage, OneFile, json_list
from hmean.types import Page

# In these languages the "words" of XFUND are single characters, so its entries are taken.
_WITHOUT_SPACES = ("zh", "ja")
_KEEPS = Keeps(outline="box", ignore="text", whole_pixels=True)


class _Word(msgspec.Struct):
    box: Any
    text: Any = None


class _Entry(msgspec.Struct):
    box: Any = None
    text: Any = None
    words: list[_Word] | None = None


class _FunsdFile(msgspec.Struct):
    form: list[_Entry]


class _Image(msgspec.Struct):
    fname: str
    width: Any = None
    height: Any = None


class _Document(msgspec.Struct):
    document: list[_Entry]
    img: _Image


class _XfundFile(msgspec.Struct):
    documents: list[_Document]
    lang: Any = None


def _recognises(peek: Peek) -> bool:
    return isinstance(peek.keys.get("form"), list)


def _recognises_xfund(peek: Peek) -> bool:
    return "document" in first_object(peek.keys.get("documents"))


def _read(file: LabelFile) -> Iterator[RawPage]:
    words = _parse_words(file.json(_FunsdFile).form, whole_entries=False)
    yield RawPage(file.own_image(), words)


def _read_xfund(file: LabelFile) -> Iterator[RawPage]:
    content = file.json(_XfundFile)
    for document in content.documents:
        words = _parse_words(document.document, whole_entries=content.lang in _WITHOUT_SPACES)
        image = document.img
        yield RawPage(file.image(image.fname), words, image.width, image.height)


def _parse_words(entries: list[_Entry], *, whole_entries: bool) -> list[RawWord]:
    words = []
    for entry in entries:
        if entry.words and not whole_entries:
            words += [box_word(word.box, "box", word.text) for word in entry.words]
        elif entry.box is not None:
            words.append(box_word(entry.box, "box", entry.text))
    return words


def _entries(page: Page) -> list[dict[str, Any]]:
    entries = []
    for number, (polygon, text) in enumerate(zip(page.polygons, page.texts, strict=True)):
        left, top = polygon.min(axis=0).astype(int).tolist()
        right, bottom = polygon.max(axis=0).astype(int).tolist()
        box = [left, top, right, bottom]
        entry: dict[str, Any] = {"box": box, "text": text or "", "label": "other"}
        entry["words"] = [{"box": box, "text": text or ""}]
        entry["linking"] = []
        entry["id"] = number
        entries.append(entry)
    return entries


def _render(page: Page) -> bytes:
    return msgspec.json.encode({"form": _entries(page)})


def _render_xfund(pages: Iterable[Page]) -> Iterator[bytes]:
    head = b'{"lang": "en", "version": "0.1", "split": "train", "documents": '
    yield from json_list(head, (_document(page) for page in pages), b"}\n")


def _document(page: Page) -> dict[str, Any]:
    image = {"fname": page.name, "width": page.width, "height": page.height}
    return {"id": page.name, "document": _entries(page), "img": image}


FORMAT = LabelFormat(
    name="funsd",
    title="a FUNSD file",
    layout='a JSON file for each image, `{"form": [{"words": [{"box": [left, top, right, bottom], "text"}]}]}`',
    recognises=_recognises,
    keeps=_KEEPS,
    read=_read,
    write=FileForEachPage(".json", _render),
    one_page_a_file=True,
    notes=(
        "The image has the name of the file, and its size. Words are read, not entries. Written: each word is an entry."
    ),
)

XFUND_FORMAT = LabelFormat(
    name="xfund",
    title="an XFUND file",
    layout='a JSON file `{"documents": [{"img": {"fname"}, "document": [...]}]}` with entries as of FUNSD',
    recognises=_recognises_xfund,
    keeps=_KEEPS,
    read=_read_xfund,
    write=OneFile(".json", _render_xfund),
    notes=("Words are read, except in Chinese and Japanese, where they are single characters: there the entries are."),
)
