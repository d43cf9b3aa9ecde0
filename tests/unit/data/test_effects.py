from functools import partial

import numpy as np
import pytest

from hmean.data import effects


@pytest.fixture
def noise(rng):
    return rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)


def dot(x, y, height=81, width=101):
    """A white dot of 4 x 4 pixels on black, around (x, y)."""
    image = np.zeros((height, width, 3), np.uint8)
    image[y - 2 : y + 2, x - 2 : x + 2] = 255
    return image


def middle_of_ink(image):
    weight = image[..., 0].astype(float)
    ys, xs = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return (xs * weight).sum() / weight.sum(), (ys * weight).sum() / weight.sum()


BLURS = {
    "blur": partial(effects.blur, sigma=1.7),
    "motion": partial(effects.blur_by_motion, length=9, degrees=30),
    "short motion": partial(effects.blur_by_motion, length=4.3, degrees=100),
    "lost resolution": partial(effects.lose_resolution, factor=0.5),
}


@pytest.mark.parametrize("name", BLURS)
def test_places_do_not_change(name):
    for x, y in ((50, 40), (33, 52)):
        assert middle_of_ink(BLURS[name](dot(x, y))) == pytest.approx((x, y), abs=0.3)


def test_motion_smears_along_its_path_only():
    moved = effects.blur_by_motion(dot(50, 40), 12, 0)[..., 0]
    rows, columns = np.nonzero(moved)
    assert (rows.min(), rows.max()) == (38, 41)
    assert columns.max() - columns.min() + 1 == pytest.approx(4 + 12, abs=1)
    assert moved.sum() == pytest.approx(255 * 16, rel=0.02)


def test_contrast_is_lowered_towards_a_level(noise):
    faint = effects.lower_contrast(noise, 0.25, 200)
    assert np.abs(faint - (200 + 0.25 * (noise - 200.0))).max() <= 0.5
    assert np.array_equal(effects.lower_contrast(noise, 1, 7), noise)


def test_gamma_darkens_above_one_and_keeps_black_and_white(noise):
    darker = effects.change_gamma(noise, 2)
    assert np.abs(darker - noise.astype(float) ** 2 / 255).max() <= 0.5
    ends = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    assert np.array_equal(effects.change_gamma(ends, 0.4), ends)


def test_low_light_has_its_share_of_light_and_more_noise_where_it_is_bright(rng):
    image = np.zeros((300, 300, 3), np.uint8)
    image[:, 150:] = 240
    dark = effects.take_in_low_light(image + 60 * (image == 0).astype(np.uint8), 0.4, 0.05, rng).astype(float)
    assert dark[:, 150:].mean() == pytest.approx(96, abs=0.5)
    assert dark[:, :150].mean() == pytest.approx(24, abs=0.5)
    assert dark[:, 150:].std() > 1.3 * dark[:, :150].std()


def test_as_many_specks_as_were_asked_for(rng):
    image = np.full((100, 100, 3), 128, np.uint8)
    specked = effects.add_specks(image, 0.02, rng)
    changed = (specked != image).any(axis=2)
    assert 150 < changed.sum() <= 200
    assert set(np.unique(specked[changed])) == {0, 255}
    assert np.array_equal(image, np.full_like(image, 128))


def test_print_fades_and_paper_does_not():
    page = np.full((120, 160, 3), (230, 225, 220), np.uint8)
    page[50:60, 20:140] = 30
    left = np.ones((120, 160), np.float32)
    left[:, 80:] = 0.25
    faded = effects.fade(page, left)
    assert np.array_equal(faded[:, :60], page[:, :60])
    assert np.array_equal(faded[:40], page[:40])
    assert faded[55, 120, 0] == pytest.approx(230 - 0.25 * 200, abs=3)
    assert np.array_equal(effects.fade(page, np.ones_like(left)), page)


def test_creases_are_dark_lines_that_leave_the_rest_nearly_as_it_was(rng):
    few = effects.creases(rng, 200, 300, count=2, depth=0.3)
    assert few.shape == (200, 300)
    assert 0.6 < few.min() < 0.9
    many = effects.creases(rng, 200, 300, count=16, depth=0.3)
    steep = [float((np.abs(np.diff(factors, axis=1)) > 0.02).mean()) for factors in (few, many)]
    assert 0 < steep[0] < 0.1
    assert steep[1] > 2 * steep[0]
    assert np.array_equal(effects.creases(rng, 20, 30, count=5, depth=0), np.ones((20, 30)))


def test_stains_tint_what_is_wet(rng):
    image = np.full((100, 150, 3), 200, np.uint8)
    wet = effects.spill(rng, 100, 150)
    assert 0 <= wet.min() <= wet.max() <= 1
    stained = effects.stain(image, (0.9, 0.7, 0.5), wet)
    assert stained.max() <= 200
    wettest = np.unravel_index(wet.argmax(), wet.shape)
    expected = 200 * (1 - (1 - np.array([0.9, 0.7, 0.5])) * wet[wettest])
    assert np.abs(stained[wettest] - expected).max() <= 1


def test_shadows_lie_on_one_side():
    factors = effects.shadow(100, 200, angle=0, x=0.5, y=0.5, depth=0.4, softness=0.01)
    assert factors[:, :80].min() > 0.99
    assert factors[:, 120:].max() < 0.61
