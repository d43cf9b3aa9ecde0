import cv2
import numpy as np
import pytest

from hmean.data.likeness import SAME, likeness, print_of, same_pages
from hmean.images import read_image
from support.pages import drawn_page


def page(words, turned=False):
    image = np.array(drawn_page(words).convert("RGB"))
    return np.ascontiguousarray(np.rot90(image)) if turned else image


def saved_again(image, quality=40):
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    "change",
    [
        saved_again,
        lambda image: (image * 0.8 + 30).astype(np.uint8),
        lambda image: cv2.resize(image, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC),
    ],
    ids=["saved again", "other brightness", "larger"],
)
def test_a_changed_copy_is_the_same_page(change):
    image = page(4)
    assert likeness(print_of(image), print_of(change(image))) > SAME


def test_other_pages_are_not():
    prints = [print_of(page(words)) for words in range(1, 7)]
    assert same_pages(prints) == []
    assert likeness(print_of(page(3)), print_of(page(3, turned=True))) < SAME


def test_pages_that_show_the_same_are_one_set():
    prints = [print_of(page(2)), print_of(page(3)), None, print_of(saved_again(page(2))), print_of(page(2))]
    assert same_pages(prints) == [[0, 3, 4]]
    assert same_pages([]) == same_pages([None]) == []


def test_all_pairs_are_compared_across_blocks(monkeypatch):
    monkeypatch.setattr("hmean.data.likeness._BLOCK", 2)
    prints = [print_of(page(words)) for words in (1, 2, 3, 4, 5, 1)]
    assert same_pages(prints) == [[0, 5]]


def test_blank_pages_are_not_the_same():
    rng = np.random.default_rng(0)
    noise = [rng.integers(250, 252, (90, 60, 3), dtype=np.uint8) for _ in range(2)]
    blank = print_of(np.full((60, 40, 3), 255, dtype=np.uint8))
    assert same_pages([blank, blank, *map(print_of, noise)]) == []


def test_a_sheet_that_was_scanned_twice_is_told_from_others_of_one_form(sroie):
    """The pairs of different receipts are those that look most alike of all in the data set."""
    names = ("235", "237", "479", "481", "477", "483", "486")
    prints = [print_of(read_image(sroie / "images" / f"{name}.jpg")) for name in names]
    assert same_pages(prints) == [[0, 1]]
