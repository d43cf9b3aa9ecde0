import cv2
import numpy as np
import pytest

from hmean.errors import InputError
from hmean.reports.contact_sheet import BEHIND, GAP, IGNORED, TITLE_SIZE, WORD, Tile, draw_sheet, save_sheet
from hmean.types import Page, Polygons

TOP = 2 * GAP + TITLE_SIZE
BOXES = [[[10, 10], [60, 10], [60, 30], [10, 30]], [[10, 50], [60, 50], [60, 80], [10, 80]]]


def tile(width=100, height=140, boxes=BOXES, ignored=(False, True), texts=()):
    image = np.full((height, width, 3), 255, dtype=np.uint8)
    return Tile(image, Polygons.of(boxes), np.array(ignored, dtype=np.bool_), "a.jpg", texts)


def near(pixel, color):
    return np.abs(np.asarray(pixel, dtype=int) - color).max() < 90  # lines are smoothed


def test_words_and_ignore_regions_have_colours_of_their_own():
    sheet = draw_sheet("mine", [tile()], columns=4, side=140)
    assert near(sheet[TOP + 10, GAP + 30], WORD)
    assert near(sheet[TOP + 50, GAP + 30], IGNORED)
    inside = sheet[TOP + 65, GAP + 30]
    assert tuple(inside) != (255, 255, 255)  # an ignore region is filled
    assert tuple(sheet[TOP + 20, GAP + 30]) == (255, 255, 255)
    assert tuple(sheet[0, 0]) == BEHIND


def test_tiles_stand_in_rows_as_narrow_as_they_are():
    tiles = [tile(width=200), tile(width=170), tile(width=180)]
    sheet = draw_sheet("", tiles, columns=2, side=500)
    assert sheet.shape[1] == GAP + 200 + GAP + 170 + GAP
    assert sheet.shape[0] > TOP + 2 * 140
    one_row = draw_sheet("", tiles, columns=8, side=500)
    assert one_row.shape[1] == GAP + 200 + GAP + 170 + GAP + 180 + GAP


def test_pages_are_made_smaller_and_never_larger():
    assert draw_sheet("", [tile(width=400, height=800)], columns=1, side=200).shape[0] < TOP + 240
    assert draw_sheet("", [tile(width=400, height=800)], columns=1, side=2000).shape[1] == 400 + 2 * GAP


def test_a_long_title_is_not_cut():
    assert draw_sheet("a title that is longer than the tile is wide", [tile()], columns=1, side=140).shape[1] > 300


def test_texts_stand_on_a_page_at_the_side():
    plain = draw_sheet("", [tile(width=200)], columns=1, side=200)
    written = draw_sheet("", [tile(width=200, texts=("TOTAL", None))], columns=1, side=200)
    assert written.shape[1] == plain.shape[1] + 200
    beside = written[TOP : TOP + 140, GAP + 200 : GAP + 400]
    rows, columns = np.nonzero((beside != 255).any(axis=2))
    assert 10 <= rows.min() <= rows.max() <= 32
    assert 8 <= columns.min() <= columns.max() <= 62


def test_words_outside_of_a_view_are_not_drawn():
    far = [[[1e7, 1e7], [2e7, 1e7], [2e7, 2e7], [1e7, 2e7]], [[-50, 0], [-10, 0], [-10, 20], [-50, 20]]]
    sheet = draw_sheet("", [tile(boxes=far)], columns=1, side=140)
    assert (sheet[TOP : TOP + 140, GAP : GAP + 100] == 255).all()


def test_a_page_becomes_a_tile_with_or_without_its_texts():
    page = Page("a.jpg", 100, 140, Polygons.of(BOXES), texts=("x", "y"), ignore=np.array([False, True]))
    image = np.zeros((140, 100, 3), dtype=np.uint8)
    assert Tile.of_page(image, page, texts=True).texts == ("x", "y")
    assert Tile.of_page(image, page, texts=False).texts == ()


def test_a_file_that_is_no_font_is_refused(tmp_path):
    (tmp_path / "x.ttf").write_text("x")
    with pytest.raises(InputError, match="is not a font that can be read"):
        draw_sheet("", [tile()], columns=1, side=140, font=tmp_path / "x.ttf")


def test_a_sheet_is_saved_as_png(tmp_path):
    sheet = draw_sheet("mine", [tile()], columns=1, side=140)
    save_sheet(tmp_path / "sheet.png", sheet)
    stored = cv2.cvtColor(cv2.imread(str(tmp_path / "sheet.png")), cv2.COLOR_BGR2RGB)
    assert np.array_equal(stored, sheet)
