import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmean import geometry
from hmean.data.augment import Augment, TrainView, training_crop, training_page
from hmean.data.photometric import Photometric
from hmean.data.views import letterbox
from hmean.images import Pixels, decode
from hmean.types import Page, Polygons
from support import plane

STRONG = Augment(
    rotate=15,
    scale=(0.6, 1.6),
    shift=0.3,
    shear=8,
    perspective=0.1,
    stretch=0.5,
    hflip=0.5,
    vflip=0.5,
    turn=0.7,
    tilt=45,
    p_tilt=0.3,
)
sizes = st.integers(40, 1500)


def sample(kind, seed, width, height, words):
    rng = np.random.default_rng(seed)
    if kind == "page":
        return training_page(rng, width, height, 320, STRONG)
    return training_crop(rng, width, height, words, crop=192, long_side=(300, 900), near_text=0.5, augment=STRONG)


@st.composite
def labelled_pages(draw):
    width, height = draw(sizes), draw(sizes)
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    count = draw(st.integers(0, 12))
    words = [
        plane.rect_corners(*(rng.uniform(-0.1, 1.1, 2) * (width, height)), *rng.uniform(4, 90, 2), rng.uniform(-90, 90))
        for _ in range(count)
    ]
    return width, height, Polygons.of(words)


@settings(max_examples=150, deadline=None)
@given(labelled_pages(), st.sampled_from(["page", "crop"]), st.integers(0, 10**6))
def test_words_keep_their_identity_and_come_back(page, kind, seed):
    """As many words, in the same order, each the image of itself; and the way back is exact."""
    width, height, words = page
    view = sample(kind, seed, width, height, words)
    moved = view.polygons(words)
    assert np.array_equal(moved.offsets, words.offsets)
    for i, word in enumerate(words):
        assert np.allclose(moved[i], geometry.transform(view.matrix, word))
    back = geometry.transform(view.to_page, moved.points) if len(words) else words.points
    assert np.abs(back - words.points).max(initial=0) < 1e-6 * max(width, height)


@pytest.mark.parametrize("kind", ["page", "crop", "letterbox"])
@pytest.mark.parametrize("seed", range(12))
def test_pixels_and_polygons_move_together(kind, seed):
    """Dots are drawn on a page; in the view, the ink must lie at the mapped centres to half a pixel."""
    width, height = 700, 500
    centres = np.array([[x, y] for x in range(60, 680, 90) for y in range(60, 480, 90)], float)
    page = np.zeros((height, width, 3), np.uint8)
    for x, y in centres.astype(int):
        page[y - 6 : y + 6, x - 6 : x + 6] = 255
    words = Polygons.of([[[x, y], [x + 1, y], [x, y + 1]] for x, y in centres])
    view = letterbox(width, height, 416, "stride") if kind == "letterbox" else sample(kind, seed, width, height, words)
    ink = view.image(Pixels(page, width, height), (0, 0, 0))[:, :, 0].astype(float)
    ys, xs = np.mgrid[: view.height, : view.width] + 0.5
    seen = 0
    for x, y in geometry.transform(view.matrix, centres):
        near = (np.abs(xs - x) < 22) & (np.abs(ys - y) < 22)
        if not (25 < x < view.width - 25 and 25 < y < view.height - 25):
            continue
        weight = ink * near
        if weight.sum() == 0:
            continue
        others = geometry.transform(view.matrix, centres) - (x, y)
        if (np.abs(others).max(axis=1) < 44).sum() > 1:
            continue  # another dot's ink is in the window
        assert (xs * weight).sum() / weight.sum() == pytest.approx(x, abs=0.5)
        assert (ys * weight).sum() / weight.sum() == pytest.approx(y, abs=0.5)
        seen += 1
    assert seen or kind != "letterbox"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("seed", range(3))
def test_shrunk_jpegs_show_the_same_view(tmp_path, orientation, seed):
    """Dots on an odd-sized page lie where the matrix says, when the page is decoded at the view's own choice."""
    width, height = 2801, 2003
    centres = np.array([[x, y] for x in range(200, 2700, 350) for y in range(200, 1900, 350)], float)
    page = np.zeros((height, width, 3), np.uint8)
    for x, y in centres.astype(int):
        page[y - 24 : y + 24, x - 24 : x + 24] = 255
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    upright = PIL.Image.fromarray(page)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored = upright if undo is None else upright.transpose(PIL.Image.Transpose(undo))
    stored.save(tmp_path / "a.jpg", quality=95, exif=exif)
    view = training_page(np.random.default_rng(seed), width, height, 640, Augment(rotate=10, scale=(0.9, 1.1)))
    pixels = decode(tmp_path / "a.jpg", view.shrink)
    assert view.shrink == 2
    assert pixels.shrink == (2 if orientation in (1, 5) else 1)  # both sides are odd
    ink = view.image(pixels, (0, 0, 0))[:, :, 0].astype(float)
    ys, xs = np.mgrid[: view.height, : view.width] + 0.5
    for x, y in geometry.transform(view.matrix, centres):
        if 20 < x < view.width - 20 and 20 < y < view.height - 20:
            weight = ink * ((np.abs(xs - x) < 20) & (np.abs(ys - y) < 20))
            assert (xs * weight).sum() / weight.sum() == pytest.approx(x, abs=0.1)
            assert (ys * weight).sum() / weight.sum() == pytest.approx(y, abs=0.1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["page", "crop"]), st.integers(300, 6000), st.integers(300, 6000))
def test_no_view_is_enlarged_from_a_shrunk_page(seed, kind, width, height):
    view = sample(kind, seed, width, height, Polygons.of([]))
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, (view.width - 1, view.height - 1), (40, 2))
    try:
        at = [geometry.transform(view.to_page, places + step) for step in ((0, 0), (1, 0), (0, 1))]
    except ValueError:  # the view shows the page's horizon
        assert view.shrink == 1
        return
    steps = np.stack([at[1] - at[0], at[2] - at[0]], axis=2)
    fewest = np.linalg.svd(steps, compute_uv=False).min()
    assert view.shrink == 1 or view.shrink < fewest


def test_crops_show_the_page_and_its_words():
    words = Polygons.of([plane.rect_corners(900, 1200, 60, 20, 0)])
    near = 0
    for seed in range(200):
        view = training_crop(
            np.random.default_rng(seed),
            1000,
            1400,
            words,
            crop=192,
            long_side=(700, 1400),
            near_text=0.8,
            augment=Augment(),
        )
        corners = geometry.transform(view.to_page, np.array([[0.0, 0], [192, 0], [192, 192], [0, 192]]))
        scale = 1 / np.sqrt(abs(np.linalg.det(view.to_page[:2, :2])))
        margin = 0.05 * 192 / scale + 1e-6
        assert corners.min() >= -margin
        assert (corners <= np.array([1000, 1400]) + margin).all()
        centre = geometry.transform(view.matrix, np.array([[900.0, 1200]]))[0]
        near += int(((centre >= 0) & (centre <= 192)).all())
    assert near > 150


def test_defaults_change_nothing(rng):
    assert np.allclose(Augment().sample(rng, 300, 200), np.eye(3))


def test_pages_are_turned_by_each_right_angle_about_as_often(rng):
    turned = Augment(turn=0.75)
    seen = {}
    for _ in range(800):
        matrix = turned.sample(rng, 300, 200)
        assert geometry.transform(matrix, np.array([[150.0, 100]])) == pytest.approx(np.array([[150, 100]]))
        kind = tuple(matrix[:2, :2].ravel())
        seen[kind] = seen.get(kind, 0) + 1
    upright, quarter, half, three = (1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)
    assert set(seen) == {upright, quarter, half, three}  # exactly: no rounding of cosines
    assert min(seen.values()) > 150


def test_some_pages_are_tilted(rng):
    tilted = Augment(tilt=30, p_tilt=0.5)
    angles = []
    for _ in range(400):
        matrix = tilted.sample(rng, 300, 200)
        angles.append(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
    assert 150 < np.count_nonzero(angles) < 250
    assert 25 < np.abs(angles).max() <= 30


def test_what_is_not_asked_for_draws_nothing():
    """So the views of presets without turns and tilts are those of earlier versions."""
    gentle = Augment(rotate=5, shear=2, perspective=0.02)
    drawn = np.random.default_rng(3)
    gentle.sample(drawn, 300, 200)
    before = np.random.default_rng(3)
    before.random(5)  # scale, stretch, two flips, p
    before.random(2 + 8)  # rotation, shear; corners
    assert drawn.random() == before.random()


def test_crops_show_typical_text_at_the_height_drawn():
    words = Polygons.of([plane.rect_corners(100 + 70 * (i % 8), 100 + 50 * (i // 8), 60, 20, 0) for i in range(48)])
    heights = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        view = training_crop(
            rng,
            800,
            1000,
            words,
            crop=192,
            long_side=(300, 900),
            near_text=0.5,
            augment=Augment(),
            text_height=(14, 28),
        )
        heights.append(20 * view.scale)
    assert min(heights) >= 14
    assert max(heights) <= 28
    assert np.mean(heights) == pytest.approx(14 / np.log(2), rel=0.05)  # mean of a log-uniform value
    rng = np.random.default_rng(0)
    empty = training_crop(
        rng,
        800,
        1000,
        words.select(np.arange(0)),
        crop=192,
        long_side=(500, 500),
        near_text=0.5,
        augment=Augment(),
        text_height=(14, 28),
    )
    assert empty.scale == pytest.approx(0.5)


def test_a_share_of_the_crops_follows_the_height_of_text():
    words = Polygons.of([plane.rect_corners(100, 100 + 50 * i, 60, 20, 0) for i in range(10)])
    page = Page("a.jpg", 800, 1000, words)
    still = Photometric()

    def scales(share):
        view = TrainView((500, 500), 192, 0.5, Augment(), still, text_height=(30, 30), text_share=share)
        return np.array([view.sample(np.random.default_rng(seed), page).scale for seed in range(80)])

    assert np.allclose(scales(0.0), 0.5)
    assert np.allclose(scales(1.0), 1.5)
    assert 0.3 < np.isclose(scales(0.5), 1.5).mean() < 0.7


@pytest.mark.parametrize(("near_narrow", "least", "most"), [(0.0, 0.0, 0.2), (0.9, 0.8, 1.0)])
def test_crops_look_for_narrow_words(near_narrow, least, most):
    """Of ten words one is a digit; it lies far from the others, so a crop shows it only on purpose."""
    lines = [plane.rect_corners(500, 100 + 20 * i, 300, 16, 0) for i in range(9)]
    digit = plane.rect_corners(900, 1300, 8, 16, 0)
    seen = []
    for seed in range(200):
        view = training_crop(
            np.random.default_rng(seed),
            1000,
            1400,
            Polygons.of([*lines, digit]),
            crop=192,
            long_side=(1400, 1400),
            near_text=1.0,
            near_narrow=near_narrow,
            augment=Augment(),
        )
        centre = geometry.transform(view.matrix, np.array([[900.0, 1300]]))[0]
        seen.append(bool(((centre >= 0) & (centre <= 192)).all()))
    assert least <= np.mean(seen) <= most


def test_crops_of_a_page_without_narrow_words_are_like_others():
    words = Polygons.of([plane.rect_corners(900, 1200, 60, 20, 0)])
    options = {"crop": 192, "long_side": (1400, 1400), "near_text": 1.0, "augment": Augment()}
    view = training_crop(np.random.default_rng(1), 1000, 1400, words, near_narrow=1.0, **options)
    centre = geometry.transform(view.matrix, np.array([[900.0, 1200]]))[0]
    assert ((centre >= 0) & (centre <= 192)).all()
